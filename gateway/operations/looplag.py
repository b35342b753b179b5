"""How long the loop is held: a timer that should have rung, and when it did. One wake-up a second."""

import asyncio
from bisect import bisect_left
from collections import deque
from time import monotonic

__all__ = ["LAG_BUCKETS_S", "LoopLag"]

LAG_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
PERIOD_S = 1.0
RECENT = 60


class LoopLag:
    """A sample a second: a task that holds the loop for a part h of the time is met by that part of the samples."""

    def __init__(self) -> None:
        self.buckets = [0] * (len(LAG_BUCKETS_S) + 1)
        """How often by `LAG_BUCKETS_S`; the last is beyond them."""
        self.total_s = 0.0
        self._recent: deque[float] = deque(maxlen=RECENT)

    def note(self, late_s: float) -> None:
        """One timer rang so late. libuv rounds to milliseconds, so it may be a little early: that is no lag."""
        late_s = max(0.0, late_s)
        self.buckets[bisect_left(LAG_BUCKETS_S, late_s)] += 1
        self.total_s += late_s
        self._recent.append(late_s)

    @property
    def longest_s(self) -> float | None:
        """The longest of the last minute; None before the first sample."""
        return max(self._recent, default=None)

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due = monotonic() + PERIOD_S
            await asyncio.sleep(PERIOD_S)
            self.note(monotonic() - due)
