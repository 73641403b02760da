# SPDX-License-Identifier: Apache-2.0
"""_pulls.py - which pulled results were given, which are to be acknowledged, which came too late. Pure: time comes in."""
from __future__ import annotations

from collections import deque
from typing import Deque, List, Optional

from .models import PulledBatch, Result

ACK_EVERY = 5.0  # seconds that an acknowledgement may wait for others
ACKS_MAX = 1000


class PullBook:
    def __init__(self, limit: Optional[int], batch: int) -> None:
        if not 1 <= batch <= 10_000:
            raise ValueError(f"batch is {batch}; it must be from 1 to 10000")
        self._left = limit
        self._batch = batch
        self._waiting: Deque[Result] = deque()
        self._ours_until = 0.0
        self._given: Optional[str] = None
        self._acks: List[str] = []
        self._sent_at = float("inf")

    @property
    def is_over(self) -> bool:
        return self._left is not None and self._left <= 0

    @property
    def wanted(self) -> int:
        return self._batch if self._left is None else min(self._batch, self._left)

    @property
    def has_unsent(self) -> bool:
        return bool(self._acks)

    def fill(self, batch: PulledBatch, now: float) -> None:
        self._waiting = deque(batch.results)
        self._ours_until = now + batch.visibility
        self._sent_at = now

    def next(self, now: float) -> Optional[Result]:
        """The next one to give. What is left when it is not ours any more is dropped: it comes again."""
        if now >= self._ours_until:
            self._waiting.clear()
        if not self._waiting or self.is_over:
            return None
        found = self._waiting.popleft()
        if self._left is not None:
            self._left -= 1
        self._given = found.id
        return found

    def ack_given(self) -> None:
        if self._given is not None:
            self._acks.append(self._given)
            self._given = None

    def is_ack_due(self, now: float) -> bool:
        return bool(self._acks) and (now >= self._sent_at + ACK_EVERY or len(self._acks) >= ACKS_MAX)

    def take_acks(self, now: float) -> List[str]:
        self._sent_at = now
        acks, self._acks = self._acks, []
        return acks

    def put_back(self, acks: List[str]) -> None:
        """They could not be sent."""
        self._acks[:0] = acks
