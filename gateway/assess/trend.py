"""Where a slow quantity is going: a robust line through weeks of it, and when it reaches a limit, if that is known.

The line is that of Theil and Sen (median of the slopes of all pairs): up to a quarter of the points may be wild.
What it says is taken only where it can be known: days of data, a fall of more than the steps of the sensor, and
a middle half of all slopes that agrees about the time to within a factor of three.
"""

from collections.abc import Sequence
from itertools import combinations
from statistics import median, quantiles
from typing import Any, NamedTuple

from gateway.assess.bootline import Move, moved_time

__all__ = ["DAY_MS", "Forecast", "Trend"]

DAY_MS = 86_400_000
MOST_POINTS = 30
"""Then every second one goes, and points come half as often."""
FIRST_STEP_MS = 6 * 3_600_000
FEWEST_POINTS = 8
SHORTEST_MS = 3 * DAY_MS
AGREES = 3.0
LONGEST_DAYS = 3 * 365


class Forecast(NamedTuple):
    """Days until the limit is reached: the most likely, and between which it lies by half of all slopes."""

    days: float
    soonest: float
    latest: float


class Trend:
    """Points of one quantity, each the median of a stretch of time. ``least`` is the smallest fall that counts."""

    __slots__ = ("_newest_ms", "_open", "_points", "_since_ms", "_step_ms", "least")

    def __init__(self, least: float) -> None:
        self.least = least
        self._points: list[tuple[int, float]] = []
        self._step_ms = FIRST_STEP_MS
        self._since_ms: int | None = None
        self._open: list[float] = []
        self._newest_ms = 0

    def add(self, value: float, at_ms: int) -> bool:
        """Take a value; whether that completed a point."""
        self._newest_ms = at_ms
        if self._since_ms is None:
            self._since_ms = at_ms
        if at_ms - self._since_ms < self._step_ms:
            if len(self._open) < 99:
                self._open.append(value)
            return False
        if self._open:
            self._points.append(((self._since_ms + at_ms) // 2, median(self._open)))
        self._since_ms, self._open = at_ms, [value]
        if len(self._points) > MOST_POINTS:
            self._points = self._points[1::2]
            self._step_ms *= 2
        return True

    def restart(self) -> None:
        """The quantity has begun anew (a changed battery): nothing of before counts."""
        self._points.clear()
        self._since_ms, self._open, self._step_ms = None, [], FIRST_STEP_MS

    def forecast(self, limit: float) -> Forecast | None:
        """When a falling quantity will be at ``limit``; None where that cannot be known, or is years away."""
        points = self._points
        if len(points) < FEWEST_POINTS or points[-1][0] - points[0][0] < SHORTEST_MS:
            return None
        slopes = sorted(
            (after[1] - before[1]) / ((after[0] - before[0]) / DAY_MS)
            for before, after in combinations(points, 2)
            if after[0] > before[0]
        )
        if not slopes:
            return None
        lower, middle, upper = quantiles(slopes, n=4)
        days = (points[-1][0] - points[0][0]) / DAY_MS
        if upper >= 0 or -middle * days < self.least or lower / upper > AGREES:
            return None
        # The line through the middle of the points, at the newest time: one wild last point does not move it.
        now = median(value - middle * (at - self._newest_ms) / DAY_MS for at, value in points)
        left = max(0.0, now - limit)
        found = Forecast(left / -middle, left / -lower, left / -upper)
        return found if found.days <= LONGEST_DAYS else None

    def move(self, move: Move) -> None:
        """Move all times."""
        self._points = [(moved_time(move, at), value) for at, value in self._points]
        self._since_ms = move(self._since_ms)
        self._newest_ms = moved_time(move, self._newest_ms)

    def save(self) -> list[Any]:
        """Plain data for a restart; the stretch under way begins anew."""
        return [self._step_ms, [list(point) for point in self._points]]

    def load(self, saved: Sequence[Any]) -> None:
        """Take back what `save` gave; raises TypeError or ValueError for anything else."""
        step_ms, points = saved
        self._step_ms = int(step_ms)
        self._points = [(int(at), float(value)) for at, value in points]
        self._newest_ms = self._points[-1][0] if self._points else 0
