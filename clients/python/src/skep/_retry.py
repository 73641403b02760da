# SPDX-License-Identifier: Apache-2.0
"""_retry.py - whether, when and where a call is tried again. Pure: time and randomness come in.

A round is one try at each manager. Within a round the next manager is tried at once; after it the call backs off with
full jitter, doubling, and not before the earliest Retry-After that the round heard. Every call of this package may be
repeated: an enqueue has an idempotency key. All times are seconds.
"""
from __future__ import annotations

import random
from dataclasses import dataclass
from typing import NamedTuple, Optional

from .errors import SkepError

BACK_OFF_FIRST = 0.1
BACK_OFF_MAX = 5.0
RETRY_AFTER_MAX = 60.0  # a manager may not silence a client for longer than this

RETRYABLE = frozenset({"exhausted", "unavailable", "fenced", "timeout", "unknown_outcome"})
# What a manager says of itself says nothing of the others; 'exhausted' is the answer of all.
_ABOUT_THE_MANAGER = frozenset({"unavailable", "fenced", "timeout", "unknown_outcome"})


@dataclass(frozen=True)
class Failure:
    """How one try failed: by an answer, or (is_answer false) without one."""

    error: SkepError
    is_answer: bool
    retry_after: Optional[float] = None


class NextTry(NamedTuple):
    is_over: bool
    is_next_manager: bool
    at: float


class RetryPolicy:
    def __init__(self, deadline: float, source: random.Random) -> None:
        self._deadline = deadline
        self._random = source
        self._tried_in_round = 0
        self._retry_after_least = float("inf")
        self._back_off = BACK_OFF_FIRST

    def after(self, failure: Failure, managers: int, now: float) -> NextTry:
        """What to do after a try failed at one of `managers`."""
        if failure.error.code not in RETRYABLE:
            return NextTry(True, False, now)
        self._tried_in_round += 1
        self._retry_after_least = min(self._retry_after_least, failure.retry_after or 0.0)
        is_about_it = not failure.is_answer or failure.error.code in _ABOUT_THE_MANAGER
        is_next = managers > 1 and is_about_it
        if is_next and self._tried_in_round < managers:
            return NextTry(now >= self._deadline, True, now)
        pause = max(self._random.uniform(0, self._back_off), min(self._retry_after_least, RETRY_AFTER_MAX))
        self._back_off = min(2 * self._back_off, BACK_OFF_MAX)
        self._tried_in_round = 0
        self._retry_after_least = float("inf")
        return NextTry(now + pause >= self._deadline, is_next, now + pause)
