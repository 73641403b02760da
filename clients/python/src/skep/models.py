# SPDX-License-Identifier: Apache-2.0
"""models.py - what calls take and give, as immutable values.

Durations are seconds (float), instants are aware datetimes in UTC or None, sizes are bytes.
"""
from __future__ import annotations

import base64
import enum
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from .trace import Trace, headers_of

BODY_BYTES_MAX = 1 << 20  # of a task's body, and of a result
BATCH_TASKS_MAX = 1000  # in one request

Json = Dict[str, Any]


class TaskState(str, enum.Enum):
    """Where a task is in its life. DONE, DEAD and CANCELLED are final (DEAD but for a retry by hand)."""

    DELAYED = "delayed"
    QUEUED = "queued"
    LEASED = "leased"
    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in (TaskState.DONE, TaskState.DEAD, TaskState.CANCELLED)

    def __str__(self) -> str:
        return self.value


def instant(obj: Mapping[str, Any], name: str) -> Optional[datetime]:
    """The instant of a field of milliseconds since the Unix epoch; None for 0, for before it and for never."""
    ms = int(obj.get(name) or 0)
    return datetime.fromtimestamp(ms / 1000, timezone.utc) if ms > 0 else None


def seconds(obj: Mapping[str, Any], name: str) -> float:
    return float(obj.get(name) or 0) / 1000


def bytes_of(obj: Mapping[str, Any], name: str) -> bytes:
    """A bytes field: text where it is UTF-8, else base64."""
    if f"{name}_base64" in obj:
        return base64.b64decode(obj[f"{name}_base64"])
    return str(obj.get(name) or "").encode()


@dataclass(frozen=True)
class NewTask:
    """A task to be enqueued: exactly one of `iterations` (kind sha512) and `program` (kind command).

    body: at most 1 MiB; a str is taken as UTF-8. Kept as bytes.
    iterations: how many hashes, from 1.
    program: a name that workers list: a program of theirs, or a Python function as 'module:function'.
    queue: 1-64 of a-z A-Z 0-9 . _ - :
    priority: 0-9, 9 goes first; within a priority the oldest.
    max_attempts: failures of the work before the task is dead, 1-100.
    delay: seconds before it may start.
    start_deadline: not started so many seconds after it could: dead. 0 is none.
    timeout: seconds of one attempt. 0 is none.
    key: idempotency key; while a task of this queue with this key is kept, enqueueing gives that task.
    tags: at most 16.
    parameters: values for a program that declares them.
    checkpoint: sha512: what an attempt has done is left to the next one.
    trace: the W3C trace that it is part of, 'traceparent' and maybe 'tracestate'; without one that of the client.
    """

    body: Union[bytes, bytearray, memoryview, str] = b""
    iterations: Optional[int] = None
    program: Optional[str] = None
    queue: str = "default"
    priority: int = 5
    max_attempts: int = 5
    delay: float = 0.0
    start_deadline: float = 0.0
    timeout: float = 0.0
    key: Optional[str] = None
    tags: Sequence[str] = ()
    checkpoint: bool = True
    parameters: Mapping[str, str] = field(default_factory=dict)
    trace: Trace = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.iterations is None) == (self.program is None):
            raise ValueError("a task has either iterations (kind sha512) or a program (kind command)")
        if isinstance(self.tags, str):
            raise TypeError("tags is a sequence of names, not one name")
        object.__setattr__(self, "body", self.data)  # characters, and items of a memoryview, are no measure of a request
        if len(self.body) > BODY_BYTES_MAX:
            raise ValueError(f"the body has {len(self.body)} bytes; at most {BODY_BYTES_MAX} are taken")

    @property
    def kind(self) -> str:
        return "sha512" if self.program is None else "command"

    @property
    def data(self) -> bytes:
        """The body as bytes."""
        return self.body.encode() if isinstance(self.body, str) else bytes(self.body)


class Enqueued(NamedTuple):
    """The answer to an enqueue: the task is on stable storage."""

    id: str
    state: TaskState
    existing: bool  # the idempotency key named this task already

    @staticmethod
    def of(obj: Json) -> Enqueued:
        return Enqueued(obj["id"], TaskState(obj["state"]), bool(obj.get("existing")))


@dataclass(frozen=True)
class AttemptError:
    """How one attempt ended without a result."""

    number: int
    end: str  # failed, run_timeout, worker_lost, lease_expired, released
    at: Optional[datetime]
    worker: str
    message: str

    @staticmethod
    def of(obj: Json) -> AttemptError:
        return AttemptError(int(obj.get("number", 0)), obj.get("end", ""), instant(obj, "at_ms"),
                            obj.get("worker", ""), obj.get("message", ""))


@dataclass(frozen=True)
class Task:
    """A task as a manager knows it. `raw` is the whole answer, by the names of docs/protocol.md."""

    id: str
    state: TaskState
    queue: str
    kind: str
    program: str
    iterations: int
    priority: int
    tags: Tuple[str, ...]
    body_bytes: int
    enqueued_at: Optional[datetime]
    started_at: Optional[datetime]
    finished_at: Optional[datetime]
    worker: str
    attempts_failed: int
    workers_lost: int
    errors: Tuple[AttemptError, ...]
    reason: str  # why it is dead or cancelled
    explanation: str  # why it is where it is, in a sentence or two
    iterations_done: int
    result_bytes: int
    result: Optional[bytes]  # of a done task, if it came along: at most 64 KiB
    cpu_seconds: float  # what the programs of its attempts used
    memory_peak_bytes: int
    trace: Trace  # of the request that enqueued it; empty if it was part of none
    raw: Json = field(repr=False, compare=False)

    @staticmethod
    def of(obj: Json) -> Task:
        options = obj.get("options") or {}
        state = TaskState(obj["state"])
        result_bytes = int(obj.get("result_bytes", 0))
        has_result = "result" in obj or "result_base64" in obj or result_bytes == 0
        return Task(
            id=obj["id"], state=state, queue=options.get("queue", ""), kind=options.get("kind", ""),
            program=options.get("program", ""), iterations=int(options.get("iterations", 0)),
            priority=int(options.get("priority", 5)), tags=tuple(options.get("tags", ())),
            body_bytes=int(obj.get("body_bytes", 0)), enqueued_at=instant(obj, "enqueued_at_ms"),
            started_at=instant(obj, "started_at_ms"), finished_at=instant(obj, "finished_at_ms"),
            worker=obj.get("worker", ""), attempts_failed=int(obj.get("attempts_failed", 0)),
            workers_lost=int(obj.get("workers_lost", 0)),
            errors=tuple(AttemptError.of(error) for error in obj.get("errors", ())),
            reason=obj.get("reason", ""), explanation=obj.get("explanation", ""),
            iterations_done=int(obj.get("iterations_done", 0)), result_bytes=result_bytes,
            result=bytes_of(obj, "result") if state is TaskState.DONE and has_result else None,
            cpu_seconds=int(obj.get("cpu_us", 0)) / 1e6, memory_peak_bytes=int(obj.get("memory_peak_bytes", 0)),
            trace=headers_of(options), raw=obj)


@dataclass(frozen=True)
class TaskPage:
    """A page of a list of tasks. It may be short, even empty, and still have a next one."""

    tasks: Tuple[Task, ...]
    next_cursor: str  # empty: no more
    silent: Tuple[str, ...]  # managers that did not answer in time

    @staticmethod
    def of(obj: Json) -> TaskPage:
        return TaskPage(tuple(Task.of(task) for task in obj.get("tasks", ())), obj.get("next_cursor", ""),
                        tuple(obj.get("silent", ())))


@dataclass(frozen=True)
class Result:
    """A task's result, as a pull gives it."""

    id: str
    result: bytes
    queue: str
    finished_at: Optional[datetime]

    @staticmethod
    def of(obj: Json) -> Result:
        return Result(obj["id"], bytes_of(obj, "result"), obj.get("queue", ""), instant(obj, "finished_at_ms"))


@dataclass(frozen=True)
class PulledBatch:
    """What one pull brought. It comes again unless it is acknowledged within `visibility` seconds."""

    results: Tuple[Result, ...]
    receipt: str
    visibility: float


@dataclass(frozen=True)
class TaskCounts:
    """How many tasks are in which state; `undelivered` are done and were not pulled."""

    delayed: int = 0
    queued: int = 0
    leased: int = 0
    done: int = 0
    dead: int = 0
    cancelled: int = 0
    undelivered: int = 0

    @property
    def unfinished(self) -> int:
        return self.delayed + self.queued + self.leased

    @staticmethod
    def of(obj: Json) -> TaskCounts:
        return TaskCounts(**{name: int(obj.get(name, 0)) for name in TaskCounts.__dataclass_fields__})


@dataclass(frozen=True)
class Queue:
    """A queue with its settings and counts. Limits of 0 are none."""

    name: str
    paused: bool
    max_depth: int
    max_leased: int
    retention: float
    retention_bytes: int
    dead_retention: float
    tasks: TaskCounts
    oldest_queued: float  # how long the oldest waiting task waits

    @staticmethod
    def of(obj: Json) -> Queue:
        return Queue(obj.get("name", ""), bool(obj.get("paused")), int(obj.get("max_depth", 0)),
                     int(obj.get("max_leased", 0)), seconds(obj, "retention_ms"), int(obj.get("retention_bytes", 0)),
                     seconds(obj, "dead_retention_ms"), TaskCounts.of(obj.get("tasks") or {}),
                     seconds(obj, "oldest_queued_ms"))


@dataclass(frozen=True)
class WorkerInfo:
    """A worker as a manager sees it."""

    id: str
    name: str
    state: str  # active, draining, lost
    slots: int
    leases: int
    host: str
    pid: int
    completed: int
    failed: int
    kinds: Tuple[str, ...]

    @staticmethod
    def of(obj: Json) -> WorkerInfo:
        return WorkerInfo(obj.get("id", ""), obj.get("name", ""), obj.get("state", ""), int(obj.get("slots", 0)),
                          int(obj.get("leases", 0)), obj.get("host", ""), int(obj.get("pid", 0)),
                          int(obj.get("completed", 0)), int(obj.get("failed", 0)), tuple(obj.get("kinds", ())))


@dataclass(frozen=True)
class Status:
    """The whole system in numbers. `raw` is the whole answer of GET /v1/cluster."""

    version: str
    address: str
    draining: bool
    tasks: TaskCounts
    workers_active: int
    workers_draining: int
    slots: int
    managers: Tuple[str, ...]
    silent: Tuple[str, ...]
    oldest_queued: float
    raw: Json = field(repr=False, compare=False)

    @staticmethod
    def of(obj: Json) -> Status:
        return Status(obj.get("version", ""), obj.get("address", ""), bool(obj.get("draining")),
                      TaskCounts.of(obj.get("tasks") or {}), int(obj.get("workers_active", 0)),
                      int(obj.get("workers_draining", 0)), int(obj.get("slots", 0)), tuple(obj.get("managers", ())),
                      tuple(obj.get("silent", ())), seconds(obj, "oldest_queued_ms"), obj)


@dataclass(frozen=True)
class Lease:
    """A worker's right to one attempt at a task."""

    lease: str
    task: str
    program: str
    timeout: float  # seconds of the run; 0 is none
    body: bytes
    trace: Trace = field(default_factory=dict)  # that its task is part of

    @staticmethod
    def of(obj: Json) -> Lease:
        return Lease(obj["lease"], obj.get("task", ""), obj.get("program", ""), seconds(obj, "timeout_ms"),
                     bytes_of(obj, "body"), headers_of(obj))

    @property
    def trace_id(self) -> str:
        """For lines about it; empty if its task is part of no trace."""
        return self.trace.get("traceparent", "")[3:35]


@dataclass(frozen=True)
class Registration:
    """What a manager tells a worker that registers."""

    worker: str
    heartbeat: float
    lease: float
    managers: Tuple[str, ...]

    @staticmethod
    def of(obj: Json) -> Registration:
        return Registration(obj["worker"], seconds(obj, "heartbeat_ms"), seconds(obj, "lease_ms"),
                            tuple(obj.get("managers", ())))


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended: a result, or an error. `run` is how many seconds it took."""

    lease: str
    result: Optional[bytes] = None
    error: str = ""
    permanent: bool = False
    timed_out: bool = False
    run: float = 0.0

    def to_json(self) -> Json:
        obj: Json = {"lease": self.lease, "run_us": int(self.run * 1e6)}
        if self.result is not None:
            obj["result_base64"] = base64.b64encode(self.result).decode("ascii")
        else:
            obj.update(failed=True, error=self.error, permanent=self.permanent, timed_out=self.timed_out)
        return obj
