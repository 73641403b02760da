# SPDX-License-Identifier: Apache-2.0
"""worker.py - Worker: offers Python functions to the fleet. Also `python3 -m skep worker MODULE...`.

It registers for tasks of kind command whose program is one of its functions, so a client can never name a function that
this worker does not list. Functions run in processes of their own; threads here only wait: one heartbeats, one asks for
leases, one delivers results and hands back leases.

Errors: a manager that is away is waited for, results are kept meanwhile; see run().
Units: seconds.
"""
from __future__ import annotations

import logging
import os
import random
import signal
import socket
import ssl
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Callable, Deque, Dict, List, Optional, Sequence, Tuple, Union

from . import _calls
from ._managers import ManagerList, Managers, parse_managers
from ._pool import Slot
from ._retry import RETRYABLE
from .client import Client
from .errors import ClientClosed, Forbidden, InvalidRequest, NotFound, SkepError, Unauthenticated
from .functions import load
from .models import Lease, Outcome
from .version import __version__

LOG = logging.getLogger("skep.worker")
EXIT_OK, EXIT_INVALID, EXIT_DENIED = 0, 2, 3
ACQUIRE_WAIT = 20.0
CALL_MAX = 10.0  # for a call with its repetitions; then it is made again as things are by then
BEAT_MAX = 2.0
PREFETCH_FOR = 0.25  # as many leases wait here as were finished in this time
COMPLETE_MAX = 256
COMPLETE_BYTES_MAX = 8 << 20
KEPT_MAX = 4 * COMPLETE_MAX  # undelivered results beyond which nothing more is taken
NEWS_PAUSE = 0.05  # before the next heartbeat, after one whose answer told something
GIVE_UP = 5.0  # draining: a manager that does not answer for so long is not waited for


@dataclass
class _Held:
    lease: Lease
    is_started: bool = False
    is_finished: bool = False


class Worker:
    """functions: functions, 'module:function', or 'module' for all that it marks with @skep.task.

    managers, token, token_file, ca: as of Client; the token's role is worker.
    slots: functions at once, each in a process; None: as many as there are processors to use.
    name: what people call it; None: the host's name.
    allow_pickle: also calls whose arguments are pickled. Whoever can enqueue can then run any code here.
    drain_timeout: how long a drain waits for what runs. orphan_timeout: no manager answered for so long: exit.
    """

    def __init__(self, functions: Sequence[Union[str, Callable[..., Any]]], managers: Managers = None, *,
                 token: Optional[str] = None, token_file: Union[str, "os.PathLike[str]", None] = None,
                 ca: Union[str, "os.PathLike[str]", ssl.SSLContext, None] = None, slots: Optional[int] = None,
                 name: Optional[str] = None, allow_pickle: bool = False, drain_timeout: float = 20.0,
                 orphan_timeout: float = 600.0) -> None:
        self._functions = load(functions)
        self._slot_count = slots if slots is not None else len(os.sched_getaffinity(0))
        if not 1 <= self._slot_count <= 1000:
            raise ValueError(f"slots is {self._slot_count}; it must be from 1 to 1000")
        self._name = name or socket.gethostname()
        self._allow_pickle = allow_pickle
        self._drain_timeout = drain_timeout
        self._orphan_timeout = orphan_timeout

        def client(timeout: float) -> Client:
            return Client(managers, token=token, token_file=token_file, ca=ca, timeout=timeout)

        self._polls, self._beats, self._calls = client(CALL_MAX), client(BEAT_MAX), client(CALL_MAX)
        # It is registered at one of them, and stays there until that fails or asks it to move.
        self._managers = ManagerList(parse_managers(managers), returns=False)
        for each in (self._polls, self._beats, self._calls):
            each._use_managers(self._managers)
        self._left = ""  # its id where it moved from, until it has taken leave there
        self._changed = threading.Condition()
        self._slots: List[Slot] = []
        self._worker = ""  # its id, "" while it is not registered
        self._heartbeat = 2.0
        self._held: Dict[str, _Held] = {}
        self._outcomes: Deque[Outcome] = deque()  # to be delivered; those that are being delivered are _held too
        self._releasing: Dict[str, bool] = {}  # to be handed back, and whether it was started
        self._finished_at: Deque[float] = deque()
        self._drain_began: Optional[float] = None
        self._signals = 0
        self._answered_at = time.monotonic()
        self._is_over = False
        self._exit_code = EXIT_OK

    @property
    def programs(self) -> List[str]:
        """The names of what it offers."""
        return sorted(self._functions)

    def drain(self) -> None:
        """Takes nothing more, finishes what runs within drain_timeout, hands back the rest; then run() returns. The
        second time what runs is handed back at once. From any thread and from signal handlers' threads."""
        with self._changed:
            self._signals += 1
            self._begin_drain("asked to drain")
            self._changed.notify_all()

    def run(self) -> int:
        """Works until it is drained: by drain(), SIGTERM or SIGINT (if this is the main thread), or a manager's order.

        Gives 0; 3 if a manager's certificate or its refusal of the token never let it in; 2 if its registration is
        refused. What it holds when it ends goes back to the queue, without using up an attempt.
        """
        before = self._take_signals()
        targets = [function.target for function in self._functions.values()]
        self._slots = [Slot(targets, self._allow_pickle, self._on_finished) for _ in range(self._slot_count)]
        threads = [threading.Thread(target=self._guarded, args=(work,), name=f"skep-{work.__name__.strip('_')}",
                                    daemon=True) for work in (self._beat, self._acquire, self._deliver)]
        for thread in threads:
            thread.start()
        try:
            self._supervise()
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify_all()
            self._leave()
            for client in (self._polls, self._beats, self._calls):
                client.close()
            for slot in self._slots:
                slot.close()
            for thread in threads:
                thread.join()
            for number, handler in before.items():
                signal.signal(number, handler)
        return self._exit_code

    # ---- the main thread ----

    def _take_signals(self) -> Dict[int, Any]:
        if threading.current_thread() is not threading.main_thread():
            return {}

        def on_signal(number: int, frame: object) -> None:
            # Not in the handler: the lock may be held by what it interrupted.
            threading.Thread(target=self.drain, daemon=True).start()

        return {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except ClientClosed:
            pass
        except BaseException:
            LOG.exception("a thread of the worker ends")
            with self._changed:
                self._end(1, "it can not go on")

    def _supervise(self) -> None:
        with self._changed:
            while not self._is_over:
                now = time.monotonic()
                if self._drain_began is not None:
                    self._drain_step(now)
                elif now > self._answered_at + self._orphan_timeout:
                    self._end(EXIT_OK, f"no manager has answered for {self._orphan_timeout:g} s")
                if not self._is_over:
                    self._changed.wait(0.1 if self._drain_began is not None else 1.0)

    def _begin_drain(self, why: str) -> None:
        if self._drain_began is None:
            self._drain_began = time.monotonic()
            LOG.info("drains: %s; %d leases are held", why, len(self._held))
            # Ends the long-poll. What it may still bring goes back when the worker leaves.
            threading.Thread(target=self._polls.close, daemon=True).start()

    def _drain_step(self, now: float) -> None:
        began = self._drain_began or now
        for name, held in list(self._held.items()):
            if not held.is_started:
                self._hand_back(name)
            elif not held.is_finished and (self._signals > 1 or now > began + self._drain_timeout):
                if any(slot.stop(name) for slot in self._slots):
                    self._hand_back(name)
        if not self._held and not self._releasing:
            self._end(EXIT_OK, "drained")
        elif now > max(began, self._answered_at) + GIVE_UP and all(h.is_finished for h in self._held.values()):
            self._end(EXIT_OK, f"no manager answers the drain: {len(self._held)} results were not delivered")

    def _hand_back(self, name: str) -> None:
        held = self._held.pop(name)
        self._releasing[name] = held.is_started
        self._changed.notify_all()

    def _end(self, code: int, why: str) -> None:
        if not self._is_over:
            LOG.info("exits: %s", why)
            self._exit_code = code
            self._is_over = True
            self._changed.notify_all()

    def _leave(self) -> None:
        """The manager is told, so that what it still counts here goes back at once; nobody waits for long."""
        if not self._worker:
            return
        self._calls.timeout = 1.0
        try:
            self._calls._run(_calls.leave(self._worker, "drained" if self._drain_began is not None else "exits"))
        except SkepError as error:
            LOG.warning("could not take leave: %s", error)

    def _note_answer(self) -> None:
        self._answered_at = time.monotonic()

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_over, seconds)

    # ---- heartbeats and registration ----

    def _beat(self) -> None:
        while not self._is_over:
            if not self._worker and not self._register():
                continue
            sent = time.monotonic()
            with self._changed:
                worker, is_draining = self._worker, self._drain_began is not None
                leases = {name: held.is_started for name, held in self._held.items()}
            try:
                beat = self._beats._run(_calls.heartbeat(worker, leases, is_draining, self._heartbeat))
            except NotFound:
                self._forget_registration(worker)
                continue
            except ClientClosed:
                return
            except SkepError as error:
                LOG.warning("heartbeat fails: %s", error)
                self._pause(random.uniform(0.05, 0.5))
                continue
            self._note_answer()
            self._take_leave_of_the_last()
            if beat.move_to and self._move(worker, beat.move_to):
                continue
            has_news = bool(beat.lost or beat.cancelled or (beat.drain and not is_draining))
            with self._changed:
                for name in (*beat.lost, *beat.cancelled):
                    self._stop(name)
                if beat.drain:
                    self._begin_drain("a manager orders it")
                self._changed.notify_all()
            self._pause(NEWS_PAUSE if has_news else max(0.0, sent + self._heartbeat - time.monotonic()))

    def _move(self, worker: str, host_port: str) -> bool:
        """Goes on at another manager, as this one asks, with all that it holds."""
        with self._changed:
            if self._drain_began is not None or not self._managers.move_to(host_port):
                return False
            LOG.info("moves to manager %s", host_port)
            self._left, self._worker = worker, ""
            return True

    def _take_leave_of_the_last(self) -> None:
        """The manager before may forget it, now that the next one has heard what it holds."""
        with self._changed:
            left, self._left = self._left, ""
        if not left:
            return
        try:
            self._beats._run(_calls.leave(left, "moved"))
        except SkepError as error:
            LOG.info("the manager before was not told: %s", error)  # it notices

    def _register(self) -> bool:
        request = {"name": self._name, "slots": self._slot_count, "commands": self._slot_count, "kinds": ["command"],
                   "programs": self.programs, "host": socket.gethostname(), "pid": os.getpid(),
                   "version": f"python {__version__}"}
        try:
            found = self._beats._run(_calls.register(request))
        except ClientClosed:
            return False
        except (InvalidRequest, Unauthenticated, Forbidden) as error:
            LOG.error("the manager refuses this worker: %s", error)
            if self._heartbeat_is_default:
                with self._changed:
                    self._end(EXIT_INVALID if isinstance(error, InvalidRequest) else EXIT_DENIED, str(error))
            self._pause(random.uniform(0.5, 2.0))
            return False
        except SkepError as error:
            LOG.warning("can not register: %s", error)
            self._pause(random.uniform(0.05, 0.5))
            return False
        self._note_answer()
        with self._changed:
            self._worker = found.worker
            self._heartbeat = found.heartbeat or self._heartbeat
            self._heartbeat_is_default = False
            self._changed.notify_all()
        LOG.info("registered worker=%s manager=%s slots=%d programs=%s", found.worker, self._beats.manager,
                 self._slot_count, ",".join(self.programs))
        return True

    _heartbeat_is_default = True  # it was never let in

    def _forget_registration(self, worker: str) -> None:
        with self._changed:
            if self._worker == worker:
                self._worker = ""
                LOG.info("the manager does not know this worker: it registers again")

    def _stop(self, name: str) -> None:
        """Somebody else has the task, or nobody wants it any more. A result that is there is offered all the same."""
        held = self._held.get(name)
        if held is None or held.is_finished:
            return
        if not held.is_started or any(slot.stop(name) for slot in self._slots):
            del self._held[name]

    # ---- leases ----

    def _room(self) -> int:
        """How many leases to ask for."""
        if not self._worker or self._drain_began is not None or len(self._outcomes) > KEPT_MAX:
            return 0
        now = time.monotonic()
        while self._finished_at and self._finished_at[0] < now - PREFETCH_FOR:
            self._finished_at.popleft()
        taken = sum(not held.is_finished for held in self._held.values())
        prefetch = min(len(self._finished_at), 4 * self._slot_count)
        # Half of the prefetch is used up before more is asked for, so that fast tasks come in batches.
        beyond = max(0, taken - self._slot_count)
        return 0 if beyond * 2 > prefetch else min(1000, max(0, self._slot_count + prefetch - taken))

    def _acquire(self) -> None:
        while not self._is_over:
            with self._changed:
                self._changed.wait_for(lambda: self._is_over or self._drain_began is not None or self._room() > 0)
                room, worker = self._room(), self._worker
            if room == 0:
                return
            try:
                leases, is_drain_ordered = self._polls._run(_calls.acquire(worker, room, ACQUIRE_WAIT, self.programs))
            except NotFound:
                self._forget_registration(worker)
                continue
            except ClientClosed:
                return
            except SkepError as error:
                LOG.warning("acquire fails: %s", error)
                self._pause(random.uniform(0.05, 0.5))
                continue
            self._note_answer()
            with self._changed:
                for lease in leases:
                    self._held[lease.lease] = _Held(lease)
                if is_drain_ordered:
                    self._begin_drain("a manager orders it")
                self._start_waiting()
                self._changed.notify_all()

    def _start_waiting(self) -> None:
        if self._drain_began is not None:
            return
        waiting = [held for held in self._held.values() if not held.is_started]
        for slot in self._slots:
            if not waiting:
                return
            if slot.is_free:
                held = waiting.pop(0)
                held.is_started = True
                function = self._functions.get(held.lease.program)
                if function is None:  # it was never offered: the manager is not what it should be
                    self._finish(held, Outcome(held.lease.lease, error="this worker does not list it"))
                else:
                    slot.start(held.lease, function)

    def _on_finished(self, lease: Lease, outcome: Optional[Outcome]) -> None:
        with self._changed:
            held = self._held.get(lease.lease)
            if held is not None and outcome is not None:
                self._finish(held, outcome)
            self._start_waiting()
            self._changed.notify_all()

    def _finish(self, held: _Held, outcome: Outcome) -> None:
        held.is_finished = True
        self._outcomes.append(outcome)
        self._finished_at.append(time.monotonic())
        if outcome.error:
            trace_id = held.lease.trace_id and f" trace_id={held.lease.trace_id}"
            LOG.info("task %s fails: %s%s", held.lease.task, outcome.error.partition("\n")[0], trace_id)

    # ---- results, and what is handed back ----

    def _deliver(self) -> None:
        most = COMPLETE_MAX
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_over or self._outcomes or self._releasing)
                if self._is_over:
                    return
                batch = self._take_outcomes(most)
                releasing, worker = dict(self._releasing), self._worker
            kept: List[Outcome] = []
            try:
                if batch:
                    kept = self._settle(batch, self._calls._run(_calls.complete(worker, batch)))
                    most = COMPLETE_MAX
                if releasing:
                    self._calls._run(_calls.release(worker, releasing))
            except ClientClosed:
                return
            except SkepError as error:
                LOG.warning("results are not delivered yet: %s", error)
                most = self._keep(batch, isinstance(error, InvalidRequest))
                self._pause(random.uniform(0.05, 0.5))
                continue
            self._note_answer()
            with self._changed:
                for outcome in batch:
                    if outcome not in kept:
                        self._held.pop(outcome.lease, None)
                self._outcomes.extend(kept)
                for name in releasing:
                    self._releasing.pop(name, None)
                self._changed.notify_all()
            if kept:
                self._pause(random.uniform(0.05, 0.5))

    @staticmethod
    def _settle(batch: List[Outcome], replies: List[Tuple[str, str, str]]) -> List[Outcome]:
        """Those that are to be delivered again: the manager that has the task is away."""
        status_of = {lease: status for lease, status, _ in replies}
        for lease, status, detail in replies:
            if status != "ok":
                LOG.info("outcome %s is not taken: %s: %s", lease, status, detail)
        return [outcome for outcome in batch if status_of.get(outcome.lease, "ok") in RETRYABLE]

    def _take_outcomes(self, most: int) -> List[Outcome]:
        batch: List[Outcome] = []
        size = 0
        while self._outcomes and len(batch) < most and size < COMPLETE_BYTES_MAX:
            batch.append(self._outcomes.popleft())
            size += len(batch[-1].result or b"")
        return batch

    def _keep(self, batch: List[Outcome], is_refused: bool) -> int:
        """Puts outcomes back. Something in a batch that is refused as a whole is found by halving, and given up alone.
        How many to send next time."""
        with self._changed:
            if is_refused and len(batch) == 1:
                self._held.pop(batch[0].lease, None)
                return COMPLETE_MAX
            self._outcomes.extendleft(reversed(batch))
            return max(1, len(batch) // 2) if is_refused else COMPLETE_MAX
