# SPDX-License-Identifier: Apache-2.0
"""virtual_clock.py - the server's time, which can run faster than the wall's and be moved on by hand.

What takes AWS minutes (a boot, a termination, the delay of an instance profile) is timed by it. Signatures and the
expiry of credentials are not: clients compare those with their own clocks, so they go by wall(), which has a skew of
its own to be set.

Threads: any.
"""
import threading
import time
from datetime import datetime, timedelta, timezone


class VirtualClock:
    def __init__(self, rate=1.0):
        self._lock = threading.Lock()
        self._rate = rate
        self._virtual = datetime.now(timezone.utc)
        self._real = time.monotonic()
        self.skew = timedelta()

    def now(self):
        with self._lock:
            return self._now()

    def _now(self):
        return self._virtual + timedelta(seconds=(time.monotonic() - self._real) * self._rate)

    def wall(self):
        """What the server takes for the time of day."""
        return datetime.now(timezone.utc) + self.skew

    def set(self, rate=None, advance_seconds=0.0):
        """From now on `rate` virtual seconds pass in one; jumps by `advance_seconds` first."""
        with self._lock:
            self._virtual = self._now() + timedelta(seconds=advance_seconds)
            self._real = time.monotonic()
            if rate is not None:
                self._rate = rate

    @property
    def rate(self):
        return self._rate
