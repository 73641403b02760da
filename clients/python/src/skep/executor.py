# SPDX-License-Identifier: Apache-2.0
"""executor.py - Executor: concurrent.futures over the fleet.

Each executor has a queue of its own, so that executors share the fleet fairly and nobody takes another's results. A
manager has room for 1000 queues with unfinished tasks or undelivered results, so shutdown() leaves neither. Three
threads: one sends what was submitted, in batches; one pulls results; one looks after the oldest unfinished tasks, which
is how failures are seen, and results that a pull did not bring.

Threads: submit, map, cancel and shutdown from any thread. Callbacks of futures run on the executor's threads.
Errors: a future has the exception that the function raised (errors.exception_of_worker), TaskDead if the task ended
otherwise, or the SkepError of a manager that could not be asked for `patience` seconds.
"""
from __future__ import annotations

import itertools
import logging
import os
import re
import secrets
import ssl
import threading
import time
from collections import deque
from concurrent.futures import Executor as BaseExecutor
from concurrent.futures import Future, InvalidStateError
from types import TracebackType
from typing import (Any, Callable, Deque, Dict, Iterable, Iterator, List, Optional, Sequence, Set, Tuple, Type, TypeVar,
                    Union)

from . import _calls
from ._managers import Managers
from .client import BATCH_BYTES, Client
from .codecs import JSON, Call, Codec
from .errors import Conflict, NotFound, SkepError, TaskDead, Unavailable, UnknownOutcome, exception_of_worker
from .functions import name_of, options_of
from .models import NewTask, Result, Task, TaskState
from .trace import TraceSource

LOG = logging.getLogger("skep")
T = TypeVar("T")
LOOK_AT = 32  # the oldest tasks, which are looked after
LOOK_PAUSE = (0.25, 4.0)  # seconds between two looks: doubling while nothing happens
PULL_GRACE = 2.0  # seconds that a pull has to bring the result of a task that is done
PULL_WAIT = 20.0
TIDY_MAX = 5.0  # seconds that shutdown() takes at most to drop what nobody waits for


class TaskFuture(Future[T]):
    """A future of the fleet. Unlike a local one it can be cancelled while it runs: its worker stops it."""

    def __init__(self, executor: Executor, codec: Codec) -> None:
        super().__init__()
        self._executor = executor
        self._codec = codec
        self.task_id: Optional[str] = None
        """The task's id, once it is enqueued."""

    def cancel(self) -> bool:
        """Cancels the task, wherever it is. Asks the manager, and waits for its answer."""
        return self._executor._cancel(self)

    def _settle_cancelled(self) -> bool:
        if not super().cancel():
            return False
        try:
            self.set_running_or_notify_cancel()
        except (InvalidStateError, RuntimeError):
            pass  # it was cancelled before
        return True


class Executor(BaseExecutor):
    """Runs functions on skep workers that offer them: `python3 -m skep worker MODULE`.

    managers, token, token_file, ca: as of Client. trace: the same; asked when a call is submitted, by who submits it.
    codec: how arguments and results travel where a function does not say (@task(codec=...)): JSON, BYTES or PICKLE.
    timeout: seconds of one attempt, 0 is none. max_attempts: failures that are tried again, such as a worker's process
    that dies or skep.Retry; an exception is an answer and is not tried again. priority: 0-9. tags: for people.
    patience: seconds that no manager may answer before futures fail. None: for ever.
    queue: None is one of its own, for this executor alone. A program that is run again and again can give a name, for one
    executor at a time: it then drops the results that a run which was killed has left there.
    """

    def __init__(self, managers: Managers = None, *, token: Optional[str] = None,
                 token_file: Union[str, "os.PathLike[str]", None] = None,
                 ca: Union[str, "os.PathLike[str]", ssl.SSLContext, None] = None, codec: Codec = JSON,
                 timeout: float = 0.0, max_attempts: int = 5, priority: int = 5, tags: Sequence[str] = (),
                 patience: Optional[float] = 300.0, queue: Optional[str] = None,
                 trace: Optional[TraceSource] = None) -> None:
        if queue == "":
            raise ValueError("the queue's name is empty; without one the executor has a queue of its own")
        self._client = Client(managers, token=token, token_file=token_file, ca=ca, timeout=patience)
        self._codec = codec
        self._trace = trace or (lambda: None)
        self.queue = f"python-{secrets.token_hex(8)}" if queue is None else queue
        """The queue of this executor's tasks."""
        self._has_leavings = queue is not None  # there may be results that nobody waits for
        self._left: List[str] = []  # tasks that may go on, whose futures have failed
        self._template: Dict[str, Any] = {"queue": self.queue, "timeout": timeout, "max_attempts": max_attempts,
                                          "priority": priority, "tags": tuple(tags)}
        NewTask(program="checked", **self._template)
        self._changed = threading.Condition()
        self._unsent: Deque[Tuple[TaskFuture[Any], NewTask]] = deque()
        self._sending: Set[TaskFuture[Any]] = set()
        self._by_id: Dict[str, TaskFuture[Any]] = {}  # unfinished, the oldest first
        self._early: Dict[str, bytes] = {}  # results that came before the answer to their enqueue
        self._done_since: Dict[str, float] = {}
        self._is_shut = False
        self._is_stopped = False
        self._is_acking = False
        self._threads: List[threading.Thread] = []

    # ---- what callers ask for ----

    def submit(self, fn: Union[str, Callable[..., T]], /, *args: Any, **kwargs: Any) -> TaskFuture[T]:
        """Enqueues a call of `fn`, a function of a module or its name, 'module:function'.

        ValueError or TypeError if it has no such name, or the arguments can not be encoded or are larger than 1 MiB.
        """
        return self._submit(fn, Call(args, kwargs))

    def map(self, fn: Union[str, Callable[..., T]], *iterables: Iterable[Any],
            timeout: Optional[float] = None, chunksize: int = 1) -> Iterator[T]:
        """As the built-in map, over the fleet; results in the order of the inputs. All inputs are taken at once.

        timeout: seconds from now until the last result is given; then TimeoutError. chunksize: calls in one task, which
        is worth it where a call takes less than some milliseconds. What is not done when the iterator is closed, or an
        exception of a call came out of it, is cancelled.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be at least 1")
        end = None if timeout is None else time.monotonic() + timeout
        inputs = zip(*iterables)
        if chunksize == 1:
            futures = deque(self._submit(fn, Call(args, {})) for args in inputs)
        else:
            chunks = iter(lambda: list(itertools.islice(inputs, chunksize)), [])
            futures = deque(self._submit(fn, Call((), {}, chunk)) for chunk in chunks)
        return self._results(futures, end, chunksize > 1)

    @staticmethod
    def _results(futures: Deque[TaskFuture[Any]], end: Optional[float], is_chunked: bool) -> Iterator[Any]:
        try:
            while futures:
                left = None if end is None else max(0.0, end - time.monotonic())
                value = futures[0].result(left)
                futures.popleft()
                if is_chunked:
                    yield from value
                else:
                    yield value
        finally:
            for future in futures:
                if not future.done():
                    future.cancel()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes nothing more. wait: returns when all futures are finished. cancel_futures: cancels those that are not.
        Without wait the threads go on until all are, or this process ends; then the tasks go on all the same, and their
        results wait in the queue for whoever pulls them. At the end of a `with` block it waits; if Ctrl-C or sys.exit()
        ends that, it cancels."""
        with self._changed:
            self._is_shut = True
            pending = [future for future, _ in self._unsent] + list(self._sending) + list(self._by_id.values())
            self._changed.notify_all()
        if cancel_futures:
            self._cancel_all(pending)
        if wait:
            with self._changed:
                self._changed.wait_for(lambda: self._is_idle() and not self._is_acking)
            self._tidy_up()
            self._stop()

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.shutdown(cancel_futures=kind is not None and not issubclass(kind, Exception))

    # ---- inside ----

    def _submit(self, fn: Union[str, Callable[..., Any]], call: Call) -> TaskFuture[Any]:
        codec = self._codec if isinstance(fn, str) or options_of(fn).codec is JSON else options_of(fn).codec
        program = fn if isinstance(fn, str) else name_of(fn)
        task = NewTask(codec.dump_call(call), program=program, trace=self._trace() or {}, **self._template)
        future: TaskFuture[Any] = TaskFuture(self, codec)
        with self._changed:
            if self._is_shut:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._unsent.append((future, task))
            self._start()
            self._changed.notify_all()
        return future

    def _start(self) -> None:
        if self._threads:
            return
        for work in (self._send, self._pull, self._look_after):
            thread = threading.Thread(target=work, name=f"skep-{work.__name__.strip('_')}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _stop(self) -> None:
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()
        self._client.close()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    @staticmethod
    def _cancel_all(futures: Iterable[TaskFuture[Any]]) -> None:
        try:
            for future in futures:
                future.cancel()
        except (Unavailable, UnknownOutcome):
            pass  # no manager answers: the rest is finished as all is then

    def _tidy_up(self) -> None:
        """Cancels tasks, and drops results, that nobody waits for. It has idle threads, so that nothing comes between."""
        with self._changed:
            left, self._left = self._left, []
            has_leavings, self._has_leavings = self._has_leavings, False
        end = time.monotonic() + TIDY_MAX

        def run(call: _calls.Call[T]) -> T:
            return self._client._session.run(call, max(0.0, end - time.monotonic()))

        try:
            for task in left:
                try:
                    run(_calls.cancel(task))
                except (Conflict, NotFound):
                    pass  # it is finished: there may be a result
            while has_leavings:
                batch = run(_calls.pull(1000, 0.0, self.queue))
                if batch.results:
                    run(_calls.ack([item.id for item in batch.results]))
                has_leavings = bool(batch.results)
        except SkepError as error:
            LOG.info("queue %s may keep tasks or results that nobody waits for: %s", self.queue, error)

    def _is_idle(self) -> bool:
        return not self._unsent and not self._sending and not self._by_id

    def _wait_for_work(self, is_wanted: Callable[[], bool]) -> bool:
        """False: there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: is_wanted() or self._is_stopped or (self._is_shut and self._is_idle()))
            return is_wanted() and not self._is_stopped

    def _send(self) -> None:
        while self._wait_for_work(lambda: bool(self._unsent)):
            batch: List[Tuple[TaskFuture[Any], NewTask]] = []
            size = 0
            with self._changed:
                while self._unsent and len(batch) < 1000 and size < BATCH_BYTES:
                    batch.append(self._unsent.popleft())
                    size += len(batch[-1][1].body)
                self._sending.update(future for future, _ in batch)
            try:
                replies = self._client._run(_calls.enqueue_batch([task for _, task in batch]))
            except Exception as error:
                self._has_leavings = True  # they may be enqueued all the same
                self._after_sending([])
                for future, _ in batch:
                    self._settle(future, error=error)
                continue
            self._after_sending([(future, reply.id) for (future, _), reply in zip(batch, replies)])

    def _after_sending(self, sent: List[Tuple[TaskFuture[Any], str]]) -> None:
        with self._changed:
            for future, task in sent:
                future.task_id = task
                self._by_id[task] = future
            early, self._early = self._early, {}
            self._sending.clear()
            self._changed.notify_all()
        for task, result in early.items():
            self._take_result(task, result)

    def _pull(self) -> None:
        while self._wait_for_work(lambda: bool(self._by_id or self._sending)):
            try:
                batch = self._client._run(_calls.pull(1000, PULL_WAIT, self.queue))
                with self._changed:
                    self._is_acking = bool(batch.results)
                self._take_batch(batch.results)
            except Exception as error:  # also a mistake of ours must end in the futures
                self._fail_all(error)
            finally:
                with self._changed:
                    self._is_acking = False
                    self._changed.notify_all()

    def _take_batch(self, results: Sequence[Result]) -> None:
        for item in results:
            with self._changed:
                if item.id not in self._by_id and self._sending:
                    self._early[item.id] = item.result
            self._take_result(item.id, item.result)
        if results:
            self._client._run(_calls.ack([item.id for item in results]))

    def _look_after(self) -> None:
        pause = LOOK_PAUSE[0]
        while self._wait_for_work(lambda: bool(self._by_id)):
            began = time.monotonic()
            with self._changed:
                oldest = list(itertools.islice(self._by_id, LOOK_AT))
            try:
                seen = [self._look_at(task, pause if task == oldest[0] else 0.0) for task in oldest]
            except Exception as error:  # also a mistake of ours must end in the futures
                self._fail_all(error)
                continue
            pause = LOOK_PAUSE[0] if any(seen) else min(2 * pause, LOOK_PAUSE[1])
            if not any(seen):
                with self._changed:
                    self._changed.wait_for(lambda: self._is_stopped or not self._by_id,
                                           max(0.0, pause - (time.monotonic() - began)))

    def _look_at(self, task: str, wait: float) -> bool:
        """Settles the task's future if that is due. Whether it was."""
        with self._changed:
            future = self._by_id.get(task)
        if future is None:
            return True
        try:
            found = self._client.get(task, wait=wait)
            if found.state is TaskState.DONE:
                since = self._done_since.setdefault(task, time.monotonic())
                if time.monotonic() < since + PULL_GRACE:
                    return False
                result = found.result if found.result is not None else self._client._run(_calls.result(task))
                self._client._run(_calls.ack([task]))
                self._take_result(task, result)
                return True
        except NotFound as error:
            self._settle(future, error=error)
            return True
        if found.state is TaskState.DEAD:
            self._settle(future, error=exception_of(found))
        elif found.state is TaskState.CANCELLED:
            self._forget(future)
            future._settle_cancelled()
        return found.state.is_final

    def _take_result(self, task: str, result: bytes) -> None:
        with self._changed:
            future = self._by_id.get(task)
        if future is None:
            return  # it came again
        try:
            value = future._codec.load_result(result)
        except Exception as error:  # whatever a codec throws at what is no result of it
            self._settle(future, error=error)
            return
        self._settle(future, value)

    def _settle(self, future: TaskFuture[Any], value: Any = None, error: Optional[BaseException] = None) -> None:
        self._forget(future)
        try:
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(value)
        except InvalidStateError:
            pass  # it was cancelled, or came another way

    def _forget(self, future: TaskFuture[Any]) -> None:
        with self._changed:
            if future.task_id is not None:
                self._by_id.pop(future.task_id, None)
                self._done_since.pop(future.task_id, None)
            self._changed.notify_all()

    def _fail_all(self, error: Exception) -> None:
        with self._changed:
            failed = [] if self._is_stopped else list(self._by_id.values())
            self._left += [future.task_id for future in failed if future.task_id is not None]
            self._has_leavings = self._has_leavings or bool(failed)
        for future in failed:
            self._settle(future, error=error)

    def _cancel(self, future: TaskFuture[Any]) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: future not in self._sending)
            for waiting in self._unsent:
                if waiting[0] is future:
                    self._unsent.remove(waiting)
                    self._changed.notify_all()
                    return future._settle_cancelled()
        if future.done():
            return future.cancelled()
        if future.task_id is None:
            return future._settle_cancelled()  # its enqueue failed just now
        try:
            self._client.cancel(future.task_id)
        except (Conflict, NotFound):
            return False  # it is finished: its result is on its way
        self._forget(future)
        return future._settle_cancelled()


def exception_of(task: Task) -> Exception:
    """Why a dead task has no result: what its function raised, else TaskDead."""
    last = task.errors[-1] if task.errors else None
    raised = None
    if last is not None and last.end == "failed":
        raised = exception_of_worker(re.sub(r"^exit code \d+: ", "", last.message))
    return raised or TaskDead(f"task {task.id} is dead: {task.reason}", task)
