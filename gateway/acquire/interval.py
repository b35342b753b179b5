"""How often a sensor measures: set, or learned from when it is heard; and when a value is overdue."""

from collections import deque
from statistics import median

__all__ = ["Interval"]

OF_GAPS = 21
FEWEST_GAPS = 8
MOST_LOST = 1000
"""Numbers further apart than this say nothing about the interval."""
OVERDUE = 3.0
"""So many intervals without news, and the newest value is overdue: one lost advertisement, or two, is no event."""


class Interval:
    """The interval of one sensor, in seconds. ``given_s`` is the one that the site file states."""

    __slots__ = ("_gaps", "_last_s", "_number", "given_s")

    def __init__(self, given_s: float | None = None) -> None:
        self.given_s = given_s
        self._gaps: deque[float] = deque(maxlen=OF_GAPS)
        self._last_s: float | None = None
        self._number: int | None = None

    def heard(self, at_s: float, number: int | None = None) -> None:
        """A new measurement came (seconds, monotonic); ``number`` is the sensor's own, where it counts them.

        With numbers what was not heard is reckoned with; without them the median stands against it.
        """
        before, last = self._number, self._last_s
        self._number, self._last_s = number, at_s
        if last is None or at_s <= last:
            return
        apart = 1 if before is None or number is None else number - before
        if 1 <= apart <= MOST_LOST:
            self._gaps.append((at_s - last) / apart)

    @property
    def seconds(self) -> float | None:
        """The interval; None while it is not known."""
        if self.given_s is not None:
            return self.given_s
        return median(self._gaps) if len(self._gaps) >= FEWEST_GAPS else None

    def overdue(self, age_s: float) -> bool:
        """Whether something newer should have come long before a value is ``age_s`` old."""
        interval_s = self.seconds
        return interval_s is not None and age_s > OVERDUE * interval_s
