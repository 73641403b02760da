# SPDX-License-Identifier: Apache-2.0
"""_pool.py - a worker's processes: one call each at a time, killed when it takes too long or is not wanted any more.

Not concurrent.futures.ProcessPoolExecutor: that can not end one call, and one process that dies breaks all.

Threads: one for each process; start(), stop() and close() from any thread. `finished` is called on the slot's thread.
Units: seconds.
"""
from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Callable, List, Optional

from ._child import receive_frame, send_frame
from .functions import Function
from .models import Lease, Outcome

Finished = Callable[[Lease, Optional[Outcome]], None]
_CHILD = "import sys; from skep._child import main; main(int(sys.argv[1]))"
START_MAX = 60.0  # for a process to import its functions
LAUNCH_MAX = 10.0  # in which it is tried again to start one, where the system refuses; then the call has failed
LAUNCH_PAUSE = (0.1, 2.0)  # between two tries, doubling


class Slot:
    """Runs the call that start() gives and tells `finished` how it ended: None if stop() ended it."""

    def __init__(self, targets: List[str], allows_pickle: bool, finished: Finished) -> None:
        self._targets = targets
        self._allows_pickle = allows_pickle
        self._finished = finished
        self._changed = threading.Condition()
        self._lease: Optional[Lease] = None
        self._timeout = 0.0
        self._is_stopped = False  # what runs is not wanted any more
        self._is_closed = False
        self._process: Optional["subprocess.Popen[bytes]"] = None
        self._sock: Optional[socket.socket] = None
        self._is_ready = False  # it has imported its functions
        self._thread = threading.Thread(target=self._run, name="skep-slot", daemon=True)
        self._thread.start()

    @property
    def is_free(self) -> bool:
        return self._lease is None

    def start(self, lease: Lease, function: Function) -> None:
        limits = [limit for limit in (lease.timeout, function.options.timeout) if limit > 0]
        with self._changed:
            self._lease, self._timeout, self._is_stopped = lease, min(limits, default=0.0), False
            self._changed.notify_all()

    def stop(self, lease: str) -> bool:
        """Kills the call of this lease. False: it is not here (any more)."""
        with self._changed:
            if self._lease is None or self._lease.lease != lease or self._is_stopped:
                return False
            self._is_stopped = True
            self._changed.notify_all()
            self._kill()
            return True

    def close(self) -> None:
        with self._changed:
            self._is_closed = self._is_stopped = True
            self._changed.notify_all()
            self._kill()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._process is None and not self._is_closed:
                    self._launch()  # ahead of its first call; if that can not be, then with it
                self._changed.wait_for(lambda: self._lease is not None or self._is_closed)
                lease = self._lease
                if self._is_closed or lease is None:
                    break
                if self._process is not None and self._is_ready and self._has_news(0):  # it ended while it was idle
                    self._reap()
                problem = self._launch_for_call() if self._process is None else None
            outcome: Optional[Outcome] = Outcome(lease.lease, error=problem) if problem else self._call(lease)
            with self._changed:
                if self._is_stopped:
                    outcome = None
                    self._reap()
                self._lease = None
            self._finished(lease, outcome)
        with self._changed:
            self._reap()

    def _launch_for_call(self) -> Optional[str]:
        """Starts a process, with the lock held, but not while it waits to try again. What is wrong if there is none."""
        end, pause = time.monotonic() + LAUNCH_MAX, LAUNCH_PAUSE[0]
        while True:
            error = self._launch()
            left = end - time.monotonic()
            if error is None or self._is_stopped or left <= 0:
                return None if error is None else f"its process could not be started: {error}"
            self._changed.wait_for(lambda: self._is_stopped, min(pause, left))
            pause = min(2 * pause, LAUNCH_PAUSE[1])

    def _launch(self) -> Optional[OSError]:
        """Starts a process; or the system's reason why there is none: it has too many already, or no memory."""
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            return error
        with theirs:
            try:
                # A session of its own: a kill takes along what the function started.
                self._process = subprocess.Popen([sys.executable, "-c", _CHILD, str(theirs.fileno())],
                                                 pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
                                                 start_new_session=True, env={**os.environ, "PYTHONPATH": _own_path()})
            except OSError as error:
                ours.close()
                return error
        self._sock = ours
        self._is_ready = False
        try:
            send_frame(ours, {"targets": self._targets, "path": sys.path, "allows_pickle": self._allows_pickle})
        except OSError as error:
            self._reap()
            return error
        return None

    def _call(self, lease: Lease) -> Outcome:
        began = time.monotonic()
        assert self._sock is not None
        try:
            if not self._is_ready:
                if not self._has_news(START_MAX) or receive_frame(self._sock) is None:
                    return self._died(lease, began, "did not start")
                self._is_ready = True
                began = time.monotonic()
            send_frame(self._sock, {"program": lease.program, "trace": dict(lease.trace)}, lease.body)
            if not self._has_news(self._timeout or None):
                self._end()
                return Outcome(lease.lease, error=f"it ran longer than its timeout of {self._timeout:g} s and was killed",
                               timed_out=True, run=time.monotonic() - began)
            frame = receive_frame(self._sock)
        except OSError:
            frame = None
        if frame is None:
            return self._died(lease, began, "died")
        head, body = frame
        if head["ok"]:
            return Outcome(lease.lease, result=body, run=head["run"])
        return Outcome(lease.lease, error=head["error"], permanent=head["permanent"], run=head["run"])

    def _has_news(self, timeout: Optional[float]) -> bool:
        """A frame, or the end of the process."""
        assert self._sock is not None
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(None if timeout is None else timeout * 1000))

    def _died(self, lease: Lease, began: float, what: str) -> Outcome:
        code = self._end()
        how = f"killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
        return Outcome(lease.lease, error=f"its process {what}: {how}", run=time.monotonic() - began)

    def _end(self) -> Optional[int]:
        with self._changed:
            return self._reap()

    def _kill(self) -> None:
        """With the lock held: a process is reaped under it too, so that this one is still ours."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass  # it has not begun its session, or has ended

    def _reap(self) -> Optional[int]:
        """Ends the process, with the lock held. Its exit code; that of its own end if that came first."""
        process, self._process = self._process, None
        if process is None:
            return None
        if self._sock is not None:
            self._sock.close()
        try:
            code: Optional[int] = process.wait(0.05)  # it may be ending by itself: its own code says more
        except subprocess.TimeoutExpired:
            code = None
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        if code is None:
            process.kill()
            code = process.wait()
        return code


def _own_path() -> str:
    """Where a child finds this package; the rest of the path goes in its first frame."""
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return os.pathsep.join([own, *filter(None, [os.environ.get("PYTHONPATH")])])
