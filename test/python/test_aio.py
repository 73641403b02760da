# SPDX-License-Identifier: Apache-2.0
"""Goal: AsyncClient does what Client does, many calls at once, and its own HTTP/1.1 withstands what managers and relays do.

Method: a real manager and worker; relays that lose answers, say 503, or fall silent; a server of chunked answers.
"""
import asyncio
import itertools
import time

import pytest
import skep
from harness import QUICK, free_port, reference
from skep import _calls
from skep._retry import RetryPolicy


def test_tasks_go_in_and_results_come_out(lab):
    manager = lab.manager(["--max-workers", "1", *QUICK], command="up")

    async def main():
        async with skep.AsyncClient(manager.url) as client:
            one = await client.enqueue(b"a body", iterations=10)
            assert (await client.result(one.id, timeout=60)).decode() == reference(b"a body", 10)
            replies = await asyncio.gather(*(client.enqueue(b"%d" % i, iterations=1) for i in range(60)))
            found = {}
            async for result in client.pull(wait=20, limit=61):
                found[result.id] = result.result.decode()
            assert found == {one.id: reference(b"a body", 10),
                             **{reply.id: reference(b"%d" % i, 1) for i, reply in enumerate(replies)}}
            assert (await client.status()).tasks.undelivered == 0
            assert [queue.name for queue in await client.queues()] == ["default"]
            assert len(await client.workers()) == 1
            assert len([task async for task in client.tasks(state="done")]) == 61

    asyncio.run(main())


def test_streams_cancels_retries_and_errors(manager):
    async def tasks():
        for i in itertools.count():
            yield skep.NewTask(b"%d" % i, iterations=1)

    async def main():
        async with skep.AsyncClient(manager.url) as client:
            ids = []
            stream = client.enqueue_stream(tasks(), batch_tasks=10)
            async for reply in stream:
                ids.append(reply.id)
                if len(ids) == 25:
                    break
            await stream.aclose()
            assert len(set(ids)) == 25 and (await client.status()).tasks.queued == 30
            assert (await client.cancel(ids[0])).state is skep.TaskState.CANCELLED
            with pytest.raises(skep.Conflict):
                await client.retry(ids[0])
            with pytest.raises(skep.TaskCancelled):
                await client.result(ids[0])
            with pytest.raises(skep.NotFound):
                await client.get("00000g00000000000001")
            with pytest.raises(TimeoutError):
                await client.wait(ids[1], timeout=0.2)
            waiting = asyncio.ensure_future(client.wait(ids[2]))
            await asyncio.wait({waiting}, timeout=0.1)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await client.status()  # the connection that was waiting is not used again
        with pytest.raises(skep.ClientClosed):
            await client.status()

    asyncio.run(main())


def test_what_was_not_handled_comes_again(lab):
    manager = lab.manager(["--max-workers", "1", "--visibility", "1s", *QUICK], command="up")

    async def main():
        async with skep.AsyncClient(manager.url) as client:
            await client.enqueue_many(skep.NewTask(b"%d" % i, iterations=1) for i in range(6))
            handled = []
            async with client.pull(wait=20, batch=6) as results:
                async for result in results:
                    if len(handled) == 3:
                        break
                    handled.append(result.id)
            again = [result.id async for result in client.pull(wait=10, limit=3)]
            assert len(again) == 3 and not set(again) & set(handled)

    asyncio.run(main())


def test_lost_answers_and_503_are_repeated_and_a_task_stays_one(manager, relay):
    async def main():
        bad = relay(manager.address, ["swallow", "503", "swallow"], retry_after=0)
        async with skep.AsyncClient(bad.url) as client:
            assert (await client.enqueue(b"once", iterations=1)).existing
            bad.answers = ["swallow"]
            many = await client.enqueue_many(skep.NewTask(b"%d" % i, iterations=1) for i in range(20))
            assert len({reply.id for reply in many}) == 20
            assert (await client.status()).tasks.queued == 21

    asyncio.run(main())


def test_a_kept_connection_that_breaks_is_replaced_without_a_pause(manager, relay, monkeypatch):
    monkeypatch.setattr(RetryPolicy, "after", None)

    async def main():
        bad = relay(manager.address, ["pass", "swallow"])
        async with skep.AsyncClient(bad.url) as client:
            await client.status()
            await client.status()
            assert bad.requests == 3

    asyncio.run(main())


def test_it_moves_on_from_a_manager_that_is_gone_or_hangs_within_a_second(manager, relay):
    async def main():
        for dead in (f"http://127.0.0.1:{free_port()}", relay(manager.address, ["hang"]).url):
            took = []
            for _ in range(3):
                async with skep.AsyncClient([dead, manager.url]) as client:
                    client._managers.move_to(dead.rpartition("/")[2])
                    began = time.monotonic()
                    await client.status()
                    took.append(time.monotonic() - began)
                    assert client.manager == manager.url
            assert min(took) < 1.0, took

    asyncio.run(main())


def test_a_restarted_manager_is_the_same_to_its_clients(lab):
    port = free_port()
    manager = lab.manager(QUICK, port=port)

    async def main():
        async with skep.AsyncClient(manager.url) as client:
            await asyncio.gather(*(client.status() for _ in range(4)))  # idle connections, which will be dead ones
            manager.kill()
            calls = [asyncio.ensure_future(client.enqueue(b"%d" % i, iterations=1)) for i in range(20)]
            await asyncio.wait(calls, timeout=0.3)
            lab.manager(QUICK, port=port)
            assert len({reply.id for reply in await asyncio.gather(*calls)}) == 20

    asyncio.run(main())


def test_answers_without_a_length_go_on_to_the_end_of_the_connection():
    answers = [b"HTTP/1.0 200 OK\r\n\r\n" + b'{"version":"9.9","slots":3}', b"HTTP/1.1 502 Bad Gateway\r\n\r\nof a proxy"]

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers[0])
        await writer.drain()
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with skep.AsyncClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
            for _ in range(2):
                assert (await client.status()).slots == 3
            answers.pop(0)
            answer = await client._session._try(client._managers.current(), _calls.status(), time.monotonic() + 30)
            assert (answer.status, answer.body) == (502, b"of a proxy")
            assert isinstance(answer.error(), skep.UnknownOutcome)
        server.close()

    asyncio.run(main())


def test_chunked_answers_are_read():
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in (b'{"version":"9.9"', b',"slots":3}'):
            writer.write(b"%x\r\n%s\r\n" % (len(part), part))
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with skep.AsyncClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
            for _ in range(2):
                status = await client.status()
                assert (status.version, status.slots) == ("9.9", 3)
        server.close()

    asyncio.run(main())
