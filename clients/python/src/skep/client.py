# SPDX-License-Identifier: Apache-2.0
"""client.py - Client: tasks go in, results come out, over HTTP.

Threads: a Client may be used from any thread. A ResultStream belongs to one thread at a time.
Errors: SkepError (errors.py); ValueError and TypeError for arguments that can not be right.
Units: seconds, bytes.
"""
from __future__ import annotations

import os
import random
import ssl
import time
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Type, TypeVar, Union
from types import TracebackType

from . import _calls
from ._calls import Call
from ._managers import Credentials, ManagerList, Managers, parse_managers, tls_context
from ._pulls import PullBook
from ._session import Session
from .errors import CallTimeout, TaskCancelled, TaskDead
from .models import Enqueued, NewTask, Queue, Result, Status, Task, TaskPage, TaskState, WorkerInfo
from .trace import Trace, TraceSource

T = TypeVar("T")
Body = Union[bytes, bytearray, memoryview, str]

TIMEOUT = 60.0
BATCH_BYTES = 8 << 20


class Client:
    """Talks to a manager, or to several of which it prefers one, drawn at random, and uses another while that fails.

    managers: 'http://HOST:PORT', several with commas, or a sequence; None: SKEP_MANAGER, else http://127.0.0.1:8080.
    token, token_file: what the managers ask for; the file is read again when it changes. None: SKEP_TOKEN_FILE, else
        SKEP_TOKEN, else none.
    ca: a PEM file of the authorities that https:// managers are trusted by, or an ssl.SSLContext; None: SKEP_CA, else
        the system's.
    timeout: seconds that a call may take with all its repetitions, beside the wait that it asks for. None: no end.
    trace: asked with each enqueue for the W3C trace that it is part of: a mapping with 'traceparent' and maybe
        'tracestate', or None. skep.current_trace goes on with that of the task that runs here.

    Whatever fails for now is repeated: at the next manager at once, then after pauses of up to 5 s, or as long as the
    manager asks. An enqueue has an idempotency key, so that however often it is sent it is one task.

    Is a context manager; close() ends calls under way.
    """

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
        self._session = Session(self._managers, Credentials(token, os.fspath(token_file) if token_file else None),
                                tls_context(addresses, trust))

    def __enter__(self: C) -> C:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections; calls under way, and later ones, raise ClientClosed."""
        self._session.close()

    @property
    def manager(self) -> str:
        """The address of the manager that the next call goes to."""
        return str(self._managers.current())

    def _use_managers(self, managers: ManagerList) -> None:
        """Those who share a list talk to the same manager, and move on together."""
        self._managers = self._session.managers = managers

    def _run(self, call: Call[T]) -> T:
        return self._session.run(call, self.timeout)

    # ---- tasks ----

    def enqueue(self, body: Body = b"", *, iterations: Optional[int] = None, program: Optional[str] = None,
                queue: str = "default", priority: int = 5, max_attempts: int = 5, delay: float = 0.0,
                start_deadline: float = 0.0, timeout: float = 0.0, key: Optional[str] = None,
                tags: Sequence[str] = (), checkpoint: bool = True,
                parameters: Optional[Mapping[str, str]] = None, trace: Optional[Trace] = None) -> Enqueued:
        """Puts one task on a queue; it is on stable storage when this returns. The arguments are those of NewTask."""
        return self._run(_calls.enqueue(NewTask(
            body, iterations=iterations, program=program, queue=queue, priority=priority, max_attempts=max_attempts,
            delay=delay, start_deadline=start_deadline, timeout=timeout, key=key, tags=tags, checkpoint=checkpoint,
            parameters=parameters or {}, trace=trace or {}), self._trace()))

    def enqueue_stream(self, tasks: Iterable[NewTask], *, batch_tasks: int = 1000,
                       batch_bytes: int = BATCH_BYTES) -> Iterator[Enqueued]:
        """Enqueues as it is iterated: takes a batch of tasks, sends it, gives the answers in order. Holds one batch at
        a time, so that `tasks` may be endless. A batch is enqueued whole or not at all (at each of several managers).
        """
        for batch in _calls.batches(tasks, batch_tasks, batch_bytes):
            yield from self._run(_calls.enqueue_batch(batch, self._trace()))

    def enqueue_many(self, tasks: Iterable[NewTask], *, batch_tasks: int = 1000,
                     batch_bytes: int = BATCH_BYTES) -> List[Enqueued]:
        """Enqueues all of `tasks`, in batches; the answers are in their order. After an error those before the failed
        batch are enqueued."""
        return list(self.enqueue_stream(tasks, batch_tasks=batch_tasks, batch_bytes=batch_bytes))

    def get(self, task: str, *, wait: float = 0.0) -> Task:
        """The task as it is now, or when it is finished if that is within `wait` seconds (at most 300)."""
        return self._run(_calls.get(task, wait))

    def wait(self, task: str, *, timeout: Optional[float] = None) -> Task:
        """Waits until the task is done, dead or cancelled. CallTimeout, which is a TimeoutError, after `timeout`
        seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _calls.WAIT_MAX if end is None else max(0.0, end - time.monotonic())
            found = self._run(_calls.get(task, min(left, 60.0)))
            if found.state.is_final:
                return found
            if end is not None and time.monotonic() >= end:
                raise CallTimeout(f"task {task} is {found.state} after {timeout:g} s: {found.explanation}")

    def result(self, task: str, *, timeout: Optional[float] = None) -> bytes:
        """Waits for the task and gives its result. TaskDead or TaskCancelled (both TaskFailed) if there is none."""
        found = self.wait(task, timeout=timeout)
        if found.state is TaskState.DEAD:
            raise TaskDead(f"task {task} is dead: {found.reason}", found)
        if found.state is TaskState.CANCELLED:
            raise TaskCancelled(f"task {task} was cancelled", found)
        return found.result if found.result is not None else self._run(_calls.result(task))

    def cancel(self, task: str) -> Task:
        """Cancels an unfinished task. Again is a success; Conflict if it is done or dead."""
        return self._run(_calls.cancel(task))

    def retry(self, task: str) -> Task:
        """Queues a dead task again with fresh budgets. Conflict if it is not dead."""
        return self._run(_calls.retry(task))

    def tasks(self, *, state: Union[TaskState, str, None] = None, queue: Optional[str] = None,
              tag: Optional[str] = None) -> Iterator[Task]:
        """All tasks that fit, by age. Asks for a page at a time, as they are wanted."""
        cursor = ""
        while True:
            page: TaskPage = self._run(_calls.list_tasks(None if state is None else str(TaskState(state)), queue, tag,
                                                         1000, cursor))
            yield from page.tasks
            cursor = page.next_cursor
            if not cursor:
                return

    # ---- results ----

    def pull(self, *, queue: Optional[str] = None, limit: Optional[int] = None, wait: Optional[float] = None,
             batch: int = 100) -> ResultStream:
        """The results of finished tasks, the oldest first, as an iterator:

            for result in client.pull(wait=10):
                store(result.id, result.result)

        A result is acknowledged once the loop comes back for the next one, or by ack(). What was not acknowledged,
        because the body of the loop raised, or this process died, comes again in a later pull (30 s; `--visibility`
        of the manager). So each result is seen at least once, by one puller at a time.

        queue: only of this one. limit: ends after so many. wait: ends when nothing came for so many seconds; 0 takes
        what is there, None never ends. batch: how many are fetched at once, 1-10000.
        """
        return ResultStream(self, queue, limit, wait, batch)

    # ---- the system ----

    def queues(self) -> List[Queue]:
        """The queues, with their settings and counts."""
        return self._run(_calls.queues())

    def configure_queue(self, name: str, *, paused: Optional[bool] = None, max_depth: Optional[int] = None,
                        max_leased: Optional[int] = None, retention: Optional[float] = None,
                        retention_bytes: Optional[int] = None, dead_retention: Optional[float] = None) -> Queue:
        """Changes what is given, makes the queue if there is none. Needs a token of role admin or sibling, where
        there are tokens. Retentions are seconds; limits of 0 are none."""
        changes: Dict[str, Any] = {"paused": paused, "max_depth": max_depth, "max_leased": max_leased,
                                   "retention_bytes": retention_bytes}
        for name_ms, value in (("retention_ms", retention), ("dead_retention_ms", dead_retention)):
            changes[name_ms] = None if value is None else round(value * 1000)
        return self._run(_calls.patch_queue(name, {key: value for key, value in changes.items() if value is not None}))

    def workers(self) -> List[WorkerInfo]:
        """The workers that managers know."""
        return self._run(_calls.workers())

    def status(self) -> Status:
        """The whole system in numbers."""
        return self._run(_calls.status())


C = TypeVar("C", bound=Client)


class ResultStream(Iterator[Result]):
    """What Client.pull() gives: an iterator, and a context manager that acknowledges what was handled at its end."""

    def __init__(self, client: Client, queue: Optional[str], limit: Optional[int], wait: Optional[float],
                 batch: int) -> None:
        self._client = client
        self._queue = queue
        self._wait = wait
        self._book = PullBook(limit, batch)
        self._is_open = True

    def __iter__(self) -> ResultStream:
        return self

    def __next__(self) -> Result:
        if not self._is_open:
            raise StopIteration
        self._book.ack_given()
        if self._book.is_ack_due(time.monotonic()):
            self._flush()
        found = self._book.next(time.monotonic())
        while found is None and not self._book.is_over and self._refill():
            found = self._book.next(time.monotonic())
        if found is None:
            self.close()
            raise StopIteration
        return found

    def ack(self) -> None:
        """Acknowledges the result that was given last, before the next one is asked for."""
        self._book.ack_given()

    def close(self) -> None:
        """Acknowledges what was handled; the result that was given last only if ack() said so."""
        self._is_open = False
        self._flush()

    def __enter__(self) -> ResultStream:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.close()

    def __del__(self) -> None:
        if self._is_open and self._book.has_unsent:
            try:
                self.close()
            except Exception:  # nobody hears it here: they come again
                pass

    def _flush(self) -> None:
        ids = self._book.take_acks(time.monotonic())
        try:
            if ids:
                self._client._run(_calls.ack(ids))
        except BaseException:
            self._book.put_back(ids)
            raise

    def _refill(self) -> bool:
        """Pulls; false when nothing came in time."""
        self._flush()
        end = None if self._wait is None else time.monotonic() + self._wait
        while True:
            wait = 30.0 if end is None else min(30.0, max(0.0, end - time.monotonic()))
            batch = self._client._run(_calls.pull(self._book.wanted, wait, self._queue))
            if batch.results:
                self._book.fill(batch, time.monotonic())
                return True
            if end is not None and time.monotonic() >= end:
                return False
