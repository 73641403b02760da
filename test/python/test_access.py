# SPDX-License-Identifier: Apache-2.0
"""Goal: the client and the worker are let in by tokens of their roles, and trust managers by the authority they are given.

Method: managers with tokens and with `--tls auto`; each refusal is seen beside what is allowed.
"""
import asyncio
import os
import socket
import ssl
import threading

import pytest
import skep
from harness import BIN, QUICK, Process, wait_until


@pytest.fixture
def make_token(lab):
    """Makes a token of a role on the store."""
    def make(role):
        made = lab.run("token", "create", "--role", role, "--store", f"rocksdb:{lab.path('store')}")
        assert made.returncode == 0, made.stderr
        return made.stdout.decode().split()[0]
    return make


def start_tls(lab, *arguments):
    manager = Process(lab, "manager", [BIN, "manager", "--listen", "127.0.0.1:0", "--store",
                                       f"rocksdb:{lab.path('store')}", "--tls", "auto", *QUICK, *arguments])
    return "https://" + manager.wait_for_first_line().split()[-1], lab.path("store", "tls", "ca.pem")


def test_each_role_may_do_its_part(lab, make_token, start_worker, monkeypatch):
    tokens = {role: make_token(role) for role in ("client", "worker", "admin")}
    manager = lab.manager(QUICK)
    with skep.Client(manager.url) as client, pytest.raises(skep.Unauthenticated) as refused:
        client.status()
    assert refused.value.status == 401 and isinstance(refused.value, PermissionError)
    with skep.Client(manager.url, token="skep_0123456789ab_" + 64 * "0") as client, pytest.raises(skep.Unauthenticated):
        client.status()
    with skep.Client(manager.url, token=tokens["worker"]) as client, pytest.raises(skep.Forbidden):
        client.enqueue(b"", iterations=1)
    denied = start_worker(manager, "--slots", "1", environment={"SKEP_TOKEN": tokens["client"]}, is_let_in=False)
    assert denied.wait(10) == 3 and "refuses this worker" in denied.log()
    start_worker(manager, "--slots", "1", environment={"SKEP_TOKEN": tokens["worker"]})
    monkeypatch.setenv("SKEP_TOKEN", tokens["client"])
    with skep.Client(manager.url) as client, skep.Executor(manager.url) as executor:
        assert list(executor.map("fleet_functions:square", range(3))) == [0, 1, 4]
        with pytest.raises(skep.Forbidden):
            client.configure_queue("q", paused=True)
    with skep.Client(manager.url, token=tokens["admin"]) as client:
        assert client.configure_queue("q", paused=True).paused


def test_a_token_is_read_again_when_its_file_changes(lab, make_token):
    first, second = make_token("client"), make_token("client")
    manager = lab.manager(QUICK)
    path = lab.path("token")

    def write(text):
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write(text + "\n")
        os.rename(path + ".new", path)

    write(first)
    with skep.Client(manager.url, token_file=path) as client:
        client.status()
        revoked = lab.run("token", "revoke", first.split("_")[1], "--store", f"rocksdb:{lab.path('store')}")
        assert revoked.returncode == 0, revoked.stderr

        def is_refused():
            try:
                return not client.status()
            except skep.Unauthenticated:
                return True

        wait_until(is_refused, "the first token has ended")
        write(second)
        client.status()
        os.remove(path)
        client.status()  # the one that was read counts on
    with pytest.raises(ValueError):
        skep.Client(manager.url, token=first, token_file=path)
    with pytest.raises(ValueError):
        skep.Client(manager.url, token="two words")


def test_functions_do_not_see_the_workers_token(lab, make_token, start_worker):
    token, client_token = make_token("worker"), make_token("client")
    manager = lab.manager(QUICK)
    start_worker(manager, "--slots", "1", functions=("fleet_functions", "os:getenv"), environment={"SKEP_TOKEN": token})
    with skep.Executor(manager.url, token=client_token) as executor:
        assert executor.submit(os.getenv, "SKEP_TOKEN").result(30) is None
        assert executor.submit(os.getenv, "PYTHONPATH").result(30)


def test_tls_is_trusted_by_its_authority_alone(lab, start_worker, monkeypatch):
    url, ca = start_tls(lab)
    with skep.Client(url) as client, pytest.raises(skep.Unauthenticated) as refused:
        client.status()
    assert "SKEP_CA" in str(refused.value)
    stranger = start_worker(url, "--slots", "1", is_let_in=False)
    assert stranger.wait(10) == 3
    start_worker(url, "--slots", "1", "--ca", ca)
    with skep.Client(url, ca=ca) as client, skep.Executor(url, ca=ca) as executor:
        body = os.urandom(1 << 20)
        assert client.get(client.enqueue(body, iterations=1).id).body_bytes == 1 << 20
        assert list(executor.map("fleet_functions:square", range(50))) == [i * i for i in range(50)]
    with skep.Client(url, ca=ssl.create_default_context(cafile=ca)) as client:
        client.status()
        (kept,) = client._session._idle.values()
        first = kept[0]
        client.status()
        assert kept == [first]
    monkeypatch.setenv("SKEP_CA", ca)
    with skep.Client(url.replace("127.0.0.1", "localhost")) as client:
        client.status()
    with skep.Client(url.replace("https", "http"), timeout=1) as client, pytest.raises(skep.SkepError):
        client.status()


def test_tls_for_asyncio(lab):
    url, ca = start_tls(lab)

    async def main():
        async with skep.AsyncClient(url) as client:
            with pytest.raises(skep.Unauthenticated, match="SKEP_CA"):
                await client.status()
        async with skep.AsyncClient(url, ca=ca) as client:
            replies = await client.enqueue_many(skep.NewTask(os.urandom(1 << 18), iterations=1) for _ in range(8))
            assert len({reply.id for reply in replies}) == 8
            assert (await client.status()).tasks.queued == 8

    asyncio.run(main())


def test_a_handshake_that_fails_leaves_no_connection_behind():
    listener = socket.create_server(("127.0.0.1", 0))
    accepted = []

    def close_all():
        while True:
            try:
                listener.accept()[0].close()
            except OSError:
                return
            accepted.append(1)

    threading.Thread(target=close_all, daemon=True).start()
    with skep.Client(f"https://127.0.0.1:{listener.getsockname()[1]}", timeout=5) as client:
        with pytest.raises(skep.Unavailable):
            client.status()
        assert len(accepted) > 1 and not any(client._session._idle.values())
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_who_reads_a_tls_connection_that_is_closed_meets_its_end(lab):
    url, ca = start_tls(lab)
    with skep.Client(url, ca=ca) as client:
        client.status()
        ((connection,),) = client._session._idle.values()
        connection.abort()
        assert connection._socket.recv(1) == b""  # ValueError of a socket whose TLS is gone already
