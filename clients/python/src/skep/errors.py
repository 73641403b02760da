# SPDX-License-Identifier: Apache-2.0
"""errors.py - what can go wrong in a call, as exceptions: all of them are SkepError.

A manager answers an error with a code that programs branch on and a sentence for people. Each code is a class here;
`error.code` is the code as the manager wrote it, `error.status` the HTTP status (None if no manager answered).
"""
from __future__ import annotations

import builtins
import re
import sys
from typing import TYPE_CHECKING, Any, Dict, Optional, Type

if TYPE_CHECKING:
    from .models import Task


class SkepError(Exception):
    """Any failure of a call. `code` is stable, the text is for people."""

    code = "internal"

    def __init__(self, detail: str, *, code: Optional[str] = None, status: Optional[int] = None) -> None:
        super().__init__(detail)
        if code is not None:
            self.code = code
        self.detail = detail
        self.status = status


class InvalidRequest(SkepError, ValueError):
    """The request is wrong; repeating it changes nothing."""

    code = "invalid"


class NotFound(SkepError, LookupError):
    """There is no such thing (any more)."""

    code = "not_found"


class Conflict(SkepError):
    """Its state forbids this: a result of a task that is not done, a retry of one that is not dead."""

    code = "conflict"


class StaleLease(Conflict):
    """The lease is over."""

    code = "stale_lease"


class LimitReached(SkepError):
    """A limit is reached, and still was when the call's time ended: a queue's depth, say."""

    code = "exhausted"


class Unavailable(SkepError, ConnectionError):
    """No manager could be reached, or all of them said 'not now', until the call's time ended."""

    code = "unavailable"


class Fenced(Unavailable):
    """Another manager owns the task now, and could not be reached in time."""

    code = "fenced"


class CallTimeout(SkepError, TimeoutError):
    """It took too long."""

    code = "timeout"


class UnknownOutcome(SkepError):
    """It may or may not have happened. Every call of this client may be repeated."""

    code = "unknown_outcome"


class StoreCorrupt(SkepError):
    """The manager's stored data is damaged."""

    code = "corrupt"


class InternalError(SkepError):
    """Something broke in the manager, or its answer is not understood."""

    code = "internal"


class Unauthenticated(SkepError, PermissionError):
    """A valid token is needed: none was sent, or an unknown, expired or revoked one."""

    code = "unauthenticated"


class Forbidden(SkepError, PermissionError):
    """The token's role does not allow this call."""

    code = "forbidden"


class ClientClosed(SkepError, RuntimeError):
    """The client was closed."""

    code = "closed"


class TaskFailed(SkepError):
    """The task ended without a result. `task` is its last state."""

    code = "task_failed"

    def __init__(self, detail: str, task: Task) -> None:
        super().__init__(detail)
        self.task = task


class TaskDead(TaskFailed):
    """The task gave up; `task.errors` has the errors of its attempts. It can be retried by hand."""


class TaskCancelled(TaskFailed):
    """The task was cancelled."""


class RemoteError(SkepError):
    """A function raised an exception in a worker, of a class that this process does not have.

    `type_name` is the class as the worker names it, `traceback` the end of the worker's traceback."""

    code = "remote"

    def __init__(self, type_name: str, message: str, traceback: str) -> None:
        super().__init__(f"{type_name}: {message}" if message else type_name)
        self.type_name = type_name
        self.message = message
        self.traceback = traceback


class RemoteTraceback(Exception):
    """The cause of an exception that a function raised in a worker: the worker's own traceback."""

    def __str__(self) -> str:
        return "\n" + str(self.args[0])


_CLASSES = (InvalidRequest, NotFound, Conflict, StaleLease, LimitReached, Unavailable, Fenced, CallTimeout,
            UnknownOutcome, StoreCorrupt, InternalError, Unauthenticated, Forbidden)
_BY_CODE: Dict[str, Type[SkepError]] = {kind.code: kind for kind in _CLASSES}
_BY_STATUS: Dict[int, Type[SkepError]] = {
    401: Unauthenticated, 403: Forbidden, 404: NotFound, 408: CallTimeout, 409: Conflict, 429: LimitReached,
    502: UnknownOutcome,  # of a proxy: the manager behind it may be gone, before or after it did what was asked
    503: Unavailable, 504: CallTimeout}


def error_of_answer(status: int, problem: Dict[str, Any]) -> SkepError:
    """The exception for an answer that is not 2xx. `problem` is its application/problem+json, or empty."""
    code = problem.get("code")
    kind = _BY_CODE.get(code) if isinstance(code, str) else None
    if kind is None:
        kind = _BY_STATUS.get(status, InvalidRequest if 400 <= status < 500 else InternalError)
    detail = problem.get("detail") or problem.get("title") or f"the manager answered {status}"
    return kind(str(detail), code=code if isinstance(code, str) else None, status=status)


_TRACEBACK = "Traceback (most recent call last)"
_FIRST_LINE = re.compile(r"([A-Za-z_][\w.]*)(?:: (.*))?$")


def describe_exception(error: BaseException, traceback: str, bytes_max: int) -> str:
    """How a worker reports an exception: 'TYPE: MESSAGE', then as much of the end of the traceback as fits.

    A message of several lines goes as its first line; all of it stands in the traceback."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    message = (str(error).splitlines() or [""])[0]
    head = f"{name}: {message}" if message else name
    head = head.encode("utf-8", "replace")[:bytes_max // 2].decode("utf-8", "ignore")
    room = bytes_max - len(head.encode()) - 1
    lines = traceback.strip().encode("utf-8", "replace")
    if len(lines) > room:  # its first line stays, for a reader to know it by
        mark = f"{_TRACEBACK}: ...\n".encode()
        lines = mark + lines[len(mark) - room:]
    return f"{head}\n{lines.decode('utf-8', 'ignore')}"


def exception_of_worker(text: str) -> Optional[Exception]:
    """The exception that describe_exception() wrote down, with the worker's traceback as its cause. None: the text is
    something else.

    Its class is one of Python's own or of a module that is imported here already; nothing is imported for it. It is
    made with its message alone. If there is no such class it is a RemoteError."""
    first, _, traceback = text.partition("\n")
    match = _FIRST_LINE.match(first)
    if match is None or _TRACEBACK not in traceback:
        return None
    name, message = match.group(1), match.group(2) or ""
    module, _, qualname = name.rpartition(".")
    kind = getattr(sys.modules.get(module) if module else builtins, qualname, None)
    error: Optional[Exception] = None
    if isinstance(kind, type) and issubclass(kind, Exception):
        if kind is KeyError and len(message) > 1 and message[0] == message[-1] == "'":
            message = message[1:-1]  # its text is the repr of the key
        try:
            error = kind(message) if message else kind()
        except Exception:  # its constructor wants something else
            error = None
    if error is None:
        return RemoteError(name, message, traceback)
    error.__cause__ = RemoteTraceback(traceback or text)
    return error
