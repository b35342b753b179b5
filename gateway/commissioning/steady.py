"""Whether readings stand still: what a comparison with a reference may be made of."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["FEWEST", "Reading", "Steadiness", "criterion", "judge"]

FEWEST = 5
"""Readings in a window."""
SHARE = 5.0
"""The spread may be this part of the tolerance: what moves more than that cannot prove that it is within."""
STEPS = 2
"""So many steps of its resolution any reading may move."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One scan: boot time, what the gateway showed and what the device indicated, in the channel's unit."""

    at_ms: int
    shown: float
    indicated: float


@dataclass(frozen=True, slots=True)
class Steadiness:
    """Figures of a window: ``spread`` is the largest less the smallest, ``drift`` the mean of its second half less
    that of its first, both as indicated."""

    count: int
    window_s: float
    lowest: float
    highest: float
    drift: float
    limit: float
    shown: float
    indicated: float

    @property
    def spread(self) -> float:
        """The largest less the smallest."""
        return round(self.highest - self.lowest, 9)

    @property
    def steady(self) -> bool:
        """Whether spread and drift are within the limit; a drift may be half of it."""
        return self.count >= FEWEST and self.spread <= self.limit and abs(self.drift) <= self.limit / 2

    def words(self, unit: str) -> str:
        """The figures in a sentence."""
        return (
            f"{self.lowest:g} to {self.highest:g} {unit} in {self.count} readings over {self.window_s:.0f} s: "
            f"spread {self.spread:g}, drift {self.drift:+.3g}; allowed are {self.limit:g} and half of that"
        )


def criterion(tolerance: float, decimals: int | None) -> float:
    """The largest spread: a fifth of the tolerance, or two steps of the resolution where that is more."""
    step = 0.0 if decimals is None else STEPS * 10.0**-decimals
    return round(max(tolerance / SHARE, step), 9)


def judge(readings: Sequence[Reading], limit: float, decimals: int | None) -> Steadiness:
    """The figures of readings in the order of their time. Means have one decimal place more than a reading."""
    indicated = [reading.indicated for reading in readings]
    half = len(readings) // 2
    places = 6 if decimals is None else decimals + 1
    drift = mean(indicated[half:]) - mean(indicated[:half]) if half else 0.0
    return Steadiness(
        count=len(readings),
        window_s=(readings[-1].at_ms - readings[0].at_ms) / 1000,
        lowest=min(indicated),
        highest=max(indicated),
        drift=round(drift, 9),
        limit=limit,
        shown=round(mean([reading.shown for reading in readings]), places) + 0.0,
        indicated=round(mean(indicated), places) + 0.0,
    )


def mean(values: Sequence[float]) -> float:
    """Of at least one value."""
    return sum(values) / len(values)
