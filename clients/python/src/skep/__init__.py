# SPDX-License-Identifier: Apache-2.0
"""skep - client and worker in Python for skep, an elastic, durable task queue.

    Client, AsyncClient   enqueue, wait, pull, cancel, look
    Executor              concurrent.futures over the fleet
    Worker, task          a Python function as work for the fleet

Standard library only, Python 3.9 or newer.
"""
from .aio import AsyncClient, AsyncResultStream
from .client import Client, ResultStream
from .codecs import BYTES, JSON, PICKLE, Codec
from .errors import (CallTimeout, ClientClosed, Conflict, Fenced, Forbidden, InternalError, InvalidRequest, LimitReached,
                     NotFound, RemoteError, RemoteTraceback, SkepError, StaleLease, StoreCorrupt, TaskCancelled, TaskDead,
                     TaskFailed, Unauthenticated, Unavailable, UnknownOutcome)
from .executor import Executor, TaskFuture
from .functions import Retry, task
from .models import (AttemptError, Enqueued, NewTask, Queue, Result, Status, Task, TaskCounts, TaskState, WorkerInfo)
from .trace import current_trace
from .version import __version__
from .worker import Worker

__all__ = [
    "AsyncClient", "AsyncResultStream", "AttemptError", "BYTES", "CallTimeout", "Client", "ClientClosed", "Codec",
    "Conflict", "Enqueued", "Executor", "Fenced", "Forbidden", "InternalError", "InvalidRequest", "JSON", "LimitReached",
    "NewTask", "NotFound", "PICKLE", "Queue", "RemoteError", "RemoteTraceback", "Result", "ResultStream", "Retry",
    "SkepError", "StaleLease", "Status", "StoreCorrupt", "Task", "TaskCancelled", "TaskCounts", "TaskDead", "TaskFailed",
    "TaskFuture", "TaskState", "Unauthenticated", "Unavailable", "UnknownOutcome", "Worker", "WorkerInfo", "__version__",
    "current_trace", "task"]
