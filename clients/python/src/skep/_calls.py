# SPDX-License-Identifier: Apache-2.0
"""_calls.py - one function for each endpoint: what is sent, and how the answer is read. No I/O.

The same calls are made by Client (threads and sockets) and AsyncClient (asyncio).
"""
from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import Any, Callable, Dict, Generic, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple, TypeVar
from urllib.parse import quote, urlencode

from .errors import InternalError, SkepError, error_of_answer
from .models import (BATCH_TASKS_MAX, Enqueued, Json, Lease, NewTask, Outcome, PulledBatch, Queue, Registration, Result,
                     Status, Task, TaskPage, WorkerInfo)
from .trace import Trace, headers_of

T = TypeVar("T")
Pairs = List[Tuple[str, str]]

WAIT_MAX = 300.0  # seconds that a manager lets a call wait
_JSON_TYPE = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Response:
    status: int
    headers: Mapping[str, str]  # by lower-case names
    body: bytes

    def json(self) -> Json:
        try:
            found = json.loads(self.body)
        except ValueError as error:
            raise InternalError(f"the manager's answer is no JSON: {error}", status=self.status) from error
        if not isinstance(found, dict):
            raise InternalError("the manager's answer is no JSON object", status=self.status)
        return found

    def error(self) -> SkepError:
        """Of an answer that is not 2xx."""
        problem: Json = {}
        try:
            found = json.loads(self.body)
            problem = found if isinstance(found, dict) else {}
        except ValueError:
            pass  # of a proxy, say
        return error_of_answer(self.status, problem)

    def retry_after(self) -> Optional[float]:
        text = self.headers.get("retry-after", "")
        return float(text) if text.isdigit() else None  # a date would compare two clocks


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request and the reading of its answer. `wait`: seconds that the manager may let it wait."""

    method: str
    target: str
    read: Callable[[Response], T]
    body: bytes = b""
    headers: Dict[str, str] = field(default_factory=dict)
    wait: float = 0.0


def _target(path: str, pairs: Pairs) -> str:
    return f"{path}?{urlencode(pairs)}" if pairs else path


def _one(name: str) -> str:
    return quote(name, safe="")


def _ms(value: float) -> int:
    return max(0, round(value * 1000))


def _message(obj: Json) -> bytes:
    return json.dumps(obj, separators=(",", ":")).encode()


def _wait(pairs: Pairs, wait: float) -> float:
    """Puts the wait into the query; what will be waited."""
    wait = min(max(wait, 0.0), WAIT_MAX)
    if wait > 0:
        pairs.append(("wait", f"{_ms(wait)}ms"))
    return wait


# ---- tasks ----

def _with_key(task: NewTask) -> NewTask:
    """The task with an idempotency key, so that its enqueue may be repeated: the call that is made of it has the key."""
    return task if task.key is not None else replace(task, key=f"py-{secrets.token_hex(16)}")


def enqueue(task: NewTask, trace: Optional[Trace] = None) -> Call[Enqueued]:
    """`trace`: of a task that has none of its own."""
    task = _with_key(task)
    pairs: Pairs = [("queue", task.queue), ("kind", task.kind), ("priority", str(task.priority)),
                    ("max_attempts", str(task.max_attempts))]
    if task.iterations is not None:
        pairs.append(("iterations", str(task.iterations)))
    if task.program is not None:
        pairs.append(("program", task.program))
    for name in ("delay", "start_deadline", "timeout"):
        if getattr(task, name):
            pairs.append((name, f"{_ms(getattr(task, name))}ms"))
    pairs += [("tag", tag) for tag in task.tags]
    pairs += [("parameter", f"{name}={value}") for name, value in task.parameters.items()]
    if not task.checkpoint:
        pairs.append(("checkpoint", "false"))
    key = task.key or ""
    if not key or not all(0x20 < ord(char) < 0x7f for char in key):
        raise ValueError("an idempotency key is printable ASCII without blanks")
    return Call("POST", _target("/v1/tasks", pairs), lambda answer: Enqueued.of(answer.json()), task.data,
                {"Content-Type": "application/octet-stream", "Idempotency-Key": key, **headers_of(task.trace or trace)})


def _enqueue_request(task: NewTask) -> Json:
    options: Json = {"queue": task.queue, "kind": task.kind, "priority": task.priority,
                     "max_attempts": task.max_attempts, "idempotency_key": task.key}
    if task.iterations is not None:
        options["iterations"] = task.iterations
    if task.program is not None:
        options["program"] = task.program
    for name in ("delay", "start_deadline", "timeout"):
        if getattr(task, name):
            options[f"{name}_ms"] = _ms(getattr(task, name))
    if task.tags:
        options["tags"] = list(task.tags)
    if task.parameters:
        options["parameters"] = [f"{name}={value}" for name, value in task.parameters.items()]
    if not task.checkpoint:
        options["checkpoint"] = False
    return {"options": options, "body_base64": base64.b64encode(task.data).decode("ascii")}


def enqueue_batch(tasks: Sequence[NewTask], trace: Optional[Trace] = None) -> Call[List[Enqueued]]:
    """`trace`: of those that have none of their own."""
    traces = [headers_of(task.trace or trace) for task in tasks]
    # One for all goes into the headers, which a manager that knows nothing of traces passes over.
    shared = traces[0] if traces and all(each == traces[0] for each in traces) else {}
    requests = [_enqueue_request(_with_key(task)) for task in tasks]
    for request, own in zip(requests, traces):
        if own and not shared:
            request["options"].update(own)
    body = _message({"tasks": requests})

    def read(answer: Response) -> List[Enqueued]:
        replies = [Enqueued.of(reply) for reply in answer.json().get("tasks", ())]
        if len(replies) != len(tasks):
            raise InternalError(f"{len(tasks)} tasks were sent and {len(replies)} answered")
        return replies

    return Call("POST", "/v1/tasks:batch", read, body, {**_JSON_TYPE, **shared})


def batches(tasks: Iterable[NewTask], batch_tasks: int, batch_bytes: int) -> Iterator[List[NewTask]]:
    """Splits a stream into batches of at most so many tasks, and of bodies of about so many bytes."""
    if not 1 <= batch_tasks <= BATCH_TASKS_MAX:
        raise ValueError(f"batch_tasks is {batch_tasks}; it must be from 1 to {BATCH_TASKS_MAX}")
    batch: List[NewTask] = []
    size = 0
    for task in tasks:
        if batch and (len(batch) >= batch_tasks or size + len(task.body) > batch_bytes):
            yield batch
            batch, size = [], 0
        batch.append(task)
        size += len(task.body)
    if batch:
        yield batch


def get(task: str, wait: float = 0.0) -> Call[Task]:
    pairs: Pairs = []
    wait = _wait(pairs, wait)
    return Call("GET", _target(f"/v1/tasks/{_one(task)}", pairs), lambda answer: Task.of(answer.json()), wait=wait)


def result(task: str) -> Call[bytes]:
    return Call("GET", f"/v1/tasks/{_one(task)}/result", lambda answer: answer.body)


def cancel(task: str) -> Call[Task]:
    return Call("DELETE", f"/v1/tasks/{_one(task)}", lambda answer: Task.of(answer.json()))


def retry(task: str) -> Call[Task]:
    return Call("POST", f"/v1/tasks/{_one(task)}:retry", lambda answer: Task.of(answer.json()))


def list_tasks(state: Optional[str], queue: Optional[str], tag: Optional[str], limit: int,
               cursor: str) -> Call[TaskPage]:
    pairs: Pairs = [("limit", str(limit))]
    for name, value in (("state", state), ("queue", queue), ("tag", tag), ("cursor", cursor)):
        if value:
            pairs.append((name, str(value)))
    return Call("GET", _target("/v1/tasks", pairs), lambda answer: TaskPage.of(answer.json()))


# ---- results ----

def pull(limit: int, wait: float, queue: Optional[str]) -> Call[PulledBatch]:
    pairs: Pairs = [("max", str(limit))]
    if queue:
        pairs.append(("queue", queue))
    wait = _wait(pairs, wait)

    def read(answer: Response) -> PulledBatch:
        obj = answer.json()
        results = tuple(Result.of(item) for item in obj.get("items", ()))
        return PulledBatch(results, obj.get("receipt", ""), _visibility(answer, obj))

    return Call("POST", _target("/v1/results:pull", pairs), read, wait=wait)


def _visibility(answer: Response, obj: Json) -> float:
    """How many seconds the results are ours. By the manager's own clock, whose Date header is to the second."""
    redelivered = float(obj.get("redelivered_at_ms") or 0) / 1000
    try:
        now = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return 10.0
    left = max(0.0, redelivered - now)
    return max(left - 1.0, left / 2)


def ack(ids: Sequence[str]) -> Call[int]:
    return Call("POST", "/v1/results:ack", lambda answer: int(answer.json().get("acknowledged", 0)),
                _message({"ids": list(ids)}), _JSON_TYPE)


# ---- the system ----

def queues() -> Call[List[Queue]]:
    return Call("GET", "/v1/queues", lambda answer: [Queue.of(queue) for queue in answer.json().get("queues", ())])


def patch_queue(name: str, changes: Json) -> Call[Queue]:
    return Call("PATCH", f"/v1/queues/{_one(name)}", lambda answer: Queue.of(answer.json()), _message(changes), _JSON_TYPE)


def workers() -> Call[List[WorkerInfo]]:
    return Call("GET", "/v1/workers",
                lambda answer: [WorkerInfo.of(worker) for worker in answer.json().get("workers", ())])


def status() -> Call[Status]:
    return Call("GET", "/v1/cluster", lambda answer: Status.of(answer.json()))


# ---- workers ----

def register(request: Json) -> Call[Registration]:
    return Call("POST", "/v1/workers", lambda answer: Registration.of(answer.json()), _message(request), _JSON_TYPE)


@dataclass(frozen=True)
class Beat:
    """What a manager says to a heartbeat."""

    lost: Tuple[str, ...]
    cancelled: Tuple[str, ...]
    drain: bool
    move_to: str = ""  # HOST:PORT of a manager that has fewer workers


def heartbeat(worker: str, leases: Mapping[str, bool], draining: bool, wait: float) -> Call[Beat]:
    """`leases`: all that the worker holds, and whether each was started."""
    request = {"leases": [{"lease": lease, "started": started} for lease, started in leases.items()],
               "draining": draining, "wait_ms": _ms(wait)}

    def read(answer: Response) -> Beat:
        obj = answer.json()
        return Beat(tuple(obj.get("lost", ())), tuple(obj.get("cancelled", ())), bool(obj.get("drain")),
                    obj.get("move_to", ""))

    return Call("POST", f"/v1/workers/{_one(worker)}:heartbeat", read, _message(request), _JSON_TYPE, wait)


def acquire(worker: str, limit: int, wait: float, programs: Sequence[str]) -> Call[Tuple[List[Lease], bool]]:
    """The leases, and whether the worker is to drain."""
    request = {"worker": worker, "max": limit, "wait_ms": _ms(wait), "kinds": ["command"], "programs": list(programs)}

    def read(answer: Response) -> Tuple[List[Lease], bool]:
        obj = answer.json()
        return [Lease.of(lease) for lease in obj.get("leases", ())], bool(obj.get("drain"))

    return Call("POST", "/v1/leases:acquire", read, _message(request), _JSON_TYPE, wait)


def complete(worker: str, outcomes: Sequence[Outcome]) -> Call[List[Tuple[str, str, str]]]:
    """For each outcome: its lease, 'ok' or the code that is final for it, and a sentence."""
    request = {"worker": worker, "outcomes": [outcome.to_json() for outcome in outcomes]}

    def read(answer: Response) -> List[Tuple[str, str, str]]:
        return [(reply["lease"], reply.get("status", ""), reply.get("detail", ""))
                for reply in answer.json().get("outcomes", ())]

    return Call("POST", "/v1/leases:complete", read, _message(request), _JSON_TYPE)


def release(worker: str, leases: Mapping[str, bool]) -> Call[int]:
    request: Dict[str, Any] = {"worker": worker, "leases": [{"lease": lease, "started": started}
                                                            for lease, started in leases.items()]}
    return Call("POST", "/v1/leases:release", lambda answer: int(answer.json().get("released", 0)), _message(request),
                _JSON_TYPE)


def leave(worker: str, reason: str) -> Call[None]:
    return Call("DELETE", _target(f"/v1/workers/{_one(worker)}", [("reason", reason)]), lambda answer: None)
