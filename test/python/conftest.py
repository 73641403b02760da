# SPDX-License-Identifier: Apache-2.0
"""conftest.py - what the tests of the Python client share: a lab of real processes, and relays that misbehave."""
import os
import signal
import socket
import sys
import threading

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SOURCE = os.path.join(ROOT, "clients", "python", "src")
sys.path[:0] = [SOURCE, HERE, os.path.join(ROOT, "test", "process")]

from harness import QUICK, Lab, Process, wait_until  # noqa: E402  (after its path)

for name in [name for name in os.environ if name.startswith("SKEP_") and name != "SKEP_BIN"]:
    del os.environ[name]  # no configuration of the person who runs the tests


@pytest.fixture
def lab():
    with Lab() as made:
        yield made


@pytest.fixture
def manager(lab):
    return lab.manager(QUICK)


TEST_SECONDS_MAX = 60  # far more than any needs: one that meets it found a hang


@pytest.fixture(autouse=True)
def no_test_hangs():
    def on_alarm(*_):
        raise AssertionError(f"it hangs: not done within {TEST_SECONDS_MAX} s")

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(TEST_SECONDS_MAX)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def python_worker(lab, manager, *arguments, functions=("fleet_functions",), environment=None, is_let_in=True):
    """A worker that offers the functions of fleet_functions.py, once it is registered."""
    url = manager if isinstance(manager, str) else manager.url
    worker = Process(lab, "python-worker", [sys.executable, "-B", "-m", "skep", "worker", *functions, "--manager", url,
                                            *arguments],
                     {"PYTHONPATH": os.pathsep.join([SOURCE, HERE]), **(environment or {})})
    if is_let_in:
        wait_until(lambda: "registered" in worker.log(1_000_000) or not worker.is_running(), "the worker registers")
        assert worker.is_running(), worker.log()
    return worker


@pytest.fixture
def start_worker(lab):
    return lambda manager, *arguments, **more: python_worker(lab, manager, *arguments, **more)


class Relay:
    """Stands before a manager, passes on what comes, or what `answers` says of the next answers.

    swallow: the request is carried out, its answer is lost. 503: it is answered for the manager, which sees nothing.
    hang: nothing is answered, neither to this request nor, from then on, to any."""

    def __init__(self, manager, answers=(), retry_after=None):
        self.target = manager
        self.answers = list(answers)
        self.retry_after = retry_after
        self.requests = 0
        self.is_hanging = "hang" in self.answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listener]
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            while True:
                request = self._read_message(client)
                if self.is_hanging:
                    return  # it leaves the connection open
                if request is None:
                    client.close()
                    return
                self.requests += 1
                what = self.answers.pop(0) if self.answers else "pass"
                if what == "503":
                    client.sendall(self._unavailable())
                    continue
                host, _, port = self.target.rpartition(":")
                with socket.create_connection((host, int(port)), timeout=60) as manager:
                    manager.sendall(request)
                    answer = self._read_message(manager)
                if what == "swallow" or answer is None:
                    client.close()
                    return
                client.sendall(answer)
        except OSError:
            client.close()

    def _unavailable(self):
        body = b'{"type":"/problems/unavailable","title":"Not now","status":503,"detail":"test","code":"unavailable"}'
        pause = f"Retry-After: {self.retry_after}\r\n" if self.retry_after is not None else ""
        return (f"HTTP/1.1 503 Not now\r\nContent-Type: application/problem+json\r\n{pause}"
                f"Content-Length: {len(body)}\r\n\r\n").encode() + body

    @staticmethod
    def _read_message(sock):
        """A whole request or answer with Content-Length; None at the end."""
        data = b""
        while b"\r\n\r\n" not in data:
            part = sock.recv(65536)
            if not part:
                return None
            data += part
        head, _, _ = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        while len(data) < len(head) + 4 + length:
            part = sock.recv(1 << 20)
            if not part:
                return None
            data += part
        return data

    def close(self):
        for sock in self._sockets:
            sock.close()


@pytest.fixture
def relay():
    made = []

    def make(*arguments, **more):
        made.append(Relay(*arguments, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()
