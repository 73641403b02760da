# SPDX-License-Identifier: Apache-2.0
"""aio.py - AsyncClient: what Client does, for asyncio.

Threads: one event loop. Cancelling a call is safe: repeating it is harmless.
Errors and units: as client.py.
"""
from __future__ import annotations

import os
import random
import ssl
import time
from types import TracebackType
from typing import AsyncIterable, AsyncIterator, Iterable, List, Mapping, Optional, Sequence, Type, TypeVar, Union

from . import _calls
from ._aio_session import AsyncSession
from ._calls import Call
from ._managers import Credentials, ManagerList, Managers, parse_managers, tls_context
from ._pulls import PullBook
from .client import BATCH_BYTES, TIMEOUT, Body
from .errors import CallTimeout, TaskCancelled, TaskDead
from .models import Enqueued, NewTask, Queue, Result, Status, Task, TaskPage, TaskState, WorkerInfo
from .trace import Trace, TraceSource

T = TypeVar("T")
TaskStream = Union[Iterable[NewTask], AsyncIterable[NewTask]]


class AsyncClient:
    """The arguments and promises are those of Client; `async with` it, or await close()."""

    def __init__(self, managers: Managers = None, *, token: Optional[str] = None,
                 token_file: Union[str, "os.PathLike[str]", None] = None,
                 ca: Union[str, "os.PathLike[str]", ssl.SSLContext, None] = None,
                 timeout: Optional[float] = TIMEOUT, trace: Optional[TraceSource] = None) -> None:
        addresses = parse_managers(managers)
        trust = ca if ca is None or isinstance(ca, ssl.SSLContext) else os.fspath(ca)
        self.timeout = timeout
        self._trace = trace or (lambda: None)
        # In an order of its own, so that of many clients each manager is preferred by about as many.
        self._managers = ManagerList(random.sample(addresses, len(addresses)))
        self._session = AsyncSession(self._managers, Credentials(token, os.fspath(token_file) if token_file else None),
                                     tls_context(addresses, trust))

    async def __aenter__(self: C) -> C:
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                        traceback: Optional[TracebackType]) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections; later calls raise ClientClosed."""
        await self._session.close()

    @property
    def manager(self) -> str:
        """The address of the manager that the next call goes to."""
        return str(self._managers.current())

    async def _run(self, call: Call[T]) -> T:
        return await self._session.run(call, self.timeout)

    # ---- tasks ----

    async def enqueue(self, body: Body = b"", *, iterations: Optional[int] = None, program: Optional[str] = None,
                      queue: str = "default", priority: int = 5, max_attempts: int = 5, delay: float = 0.0,
                      start_deadline: float = 0.0, timeout: float = 0.0, key: Optional[str] = None,
                      tags: Sequence[str] = (), checkpoint: bool = True,
                      parameters: Optional[Mapping[str, str]] = None, trace: Optional[Trace] = None) -> Enqueued:
        """As Client.enqueue."""
        return await self._run(_calls.enqueue(NewTask(
            body, iterations=iterations, program=program, queue=queue, priority=priority, max_attempts=max_attempts,
            delay=delay, start_deadline=start_deadline, timeout=timeout, key=key, tags=tags, checkpoint=checkpoint,
            parameters=parameters or {}, trace=trace or {}), self._trace()))

    async def enqueue_stream(self, tasks: TaskStream, *, batch_tasks: int = 1000,
                             batch_bytes: int = BATCH_BYTES) -> AsyncIterator[Enqueued]:
        """As Client.enqueue_stream; `tasks` may be an asynchronous iterator, of which a full batch is awaited."""
        if isinstance(tasks, AsyncIterable):
            held: List[NewTask] = []
            size = 0
            async for task in tasks:
                if held and (len(held) >= batch_tasks or size + len(task.body) > batch_bytes):
                    for reply in await self.enqueue_many(held, batch_tasks=batch_tasks, batch_bytes=batch_bytes):
                        yield reply
                    held, size = [], 0
                held.append(task)
                size += len(task.body)
            tasks = held
        for batch in _calls.batches(tasks, batch_tasks, batch_bytes):
            for reply in await self._run(_calls.enqueue_batch(batch, self._trace())):
                yield reply

    async def enqueue_many(self, tasks: TaskStream, *, batch_tasks: int = 1000,
                           batch_bytes: int = BATCH_BYTES) -> List[Enqueued]:
        """As Client.enqueue_many."""
        stream = self.enqueue_stream(tasks, batch_tasks=batch_tasks, batch_bytes=batch_bytes)
        return [reply async for reply in stream]

    async def get(self, task: str, *, wait: float = 0.0) -> Task:
        """As Client.get."""
        return await self._run(_calls.get(task, wait))

    async def wait(self, task: str, *, timeout: Optional[float] = None) -> Task:
        """As Client.wait."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _calls.WAIT_MAX if end is None else max(0.0, end - time.monotonic())
            found = await self._run(_calls.get(task, min(left, 60.0)))
            if found.state.is_final:
                return found
            if end is not None and time.monotonic() >= end:
                raise CallTimeout(f"task {task} is {found.state} after {timeout:g} s: {found.explanation}")

    async def result(self, task: str, *, timeout: Optional[float] = None) -> bytes:
        """As Client.result."""
        found = await self.wait(task, timeout=timeout)
        if found.state is TaskState.DEAD:
            raise TaskDead(f"task {task} is dead: {found.reason}", found)
        if found.state is TaskState.CANCELLED:
            raise TaskCancelled(f"task {task} was cancelled", found)
        return found.result if found.result is not None else await self._run(_calls.result(task))

    async def cancel(self, task: str) -> Task:
        """As Client.cancel."""
        return await self._run(_calls.cancel(task))

    async def retry(self, task: str) -> Task:
        """As Client.retry."""
        return await self._run(_calls.retry(task))

    async def tasks(self, *, state: Union[TaskState, str, None] = None, queue: Optional[str] = None,
                    tag: Optional[str] = None) -> AsyncIterator[Task]:
        """As Client.tasks."""
        cursor = ""
        while True:
            page: TaskPage = await self._run(_calls.list_tasks(None if state is None else str(TaskState(state)), queue,
                                                               tag, 1000, cursor))
            for task in page.tasks:
                yield task
            cursor = page.next_cursor
            if not cursor:
                return

    # ---- results, the system ----

    def pull(self, *, queue: Optional[str] = None, limit: Optional[int] = None, wait: Optional[float] = None,
             batch: int = 100) -> AsyncResultStream:
        """As Client.pull, for `async for`. After a break, close() it, or `async with` it: nothing else acknowledges
        what was handled since the last batch."""
        return AsyncResultStream(self, queue, limit, wait, batch)

    async def queues(self) -> List[Queue]:
        """As Client.queues."""
        return await self._run(_calls.queues())

    async def workers(self) -> List[WorkerInfo]:
        """As Client.workers."""
        return await self._run(_calls.workers())

    async def status(self) -> Status:
        """As Client.status."""
        return await self._run(_calls.status())


C = TypeVar("C", bound=AsyncClient)


class AsyncResultStream(AsyncIterator[Result]):
    """What AsyncClient.pull() gives."""

    def __init__(self, client: AsyncClient, queue: Optional[str], limit: Optional[int], wait: Optional[float],
                 batch: int) -> None:
        self._client = client
        self._queue = queue
        self._wait = wait
        self._book = PullBook(limit, batch)
        self._is_open = True

    def __aiter__(self) -> AsyncResultStream:
        return self

    async def __anext__(self) -> Result:
        if not self._is_open:
            raise StopAsyncIteration
        self._book.ack_given()
        if self._book.is_ack_due(time.monotonic()):
            await self._flush()
        found = self._book.next(time.monotonic())
        while found is None and not self._book.is_over and await self._refill():
            found = self._book.next(time.monotonic())
        if found is None:
            await self.close()
            raise StopAsyncIteration
        return found

    def ack(self) -> None:
        """Acknowledges the result that was given last, before the next one is asked for."""
        self._book.ack_given()

    async def close(self) -> None:
        """Acknowledges what was handled; the result that was given last only if ack() said so."""
        self._is_open = False
        await self._flush()

    async def __aenter__(self) -> AsyncResultStream:
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                        traceback: Optional[TracebackType]) -> None:
        await self.close()

    async def _flush(self) -> None:
        ids = self._book.take_acks(time.monotonic())
        try:
            if ids:
                await self._client._run(_calls.ack(ids))
        except BaseException:
            self._book.put_back(ids)
            raise

    async def _refill(self) -> bool:
        await self._flush()
        end = None if self._wait is None else time.monotonic() + self._wait
        while True:
            wait = 30.0 if end is None else min(30.0, max(0.0, end - time.monotonic()))
            batch = await self._client._run(_calls.pull(self._book.wanted, wait, self._queue))
            if batch.results:
                self._book.fill(batch, time.monotonic())
                return True
            if end is not None and time.monotonic() >= end:
                return False
