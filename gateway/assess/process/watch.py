"""How much of a run was seen: samples, gaps, and why values were missing."""

import math
from typing import ClassVar

from gateway.assess.process.memory import Remembers
from gateway.assess.process.outcome import Coverage

__all__ = ["SAME_S", "Watch"]

SAME_S = 1e-6
"""Times that differ by less are equal: milliseconds counted as binary fractions of a second."""


class Watch(Remembers):
    """Follows how much of a run was seen."""

    fields: ClassVar[tuple[str, ...]] = (
        "first_s",
        "last_s",
        "good_s",
        "samples",
        "covered_s",
        "longest_s",
        "missing",
    )

    def __init__(self, max_gap_s: float) -> None:
        self.max_gap_s = max_gap_s
        self.first_s: float | None = None
        self.last_s: float | None = None
        self.good_s: float | None = None
        self.samples = 0
        self.covered_s = 0.0
        self.longest_s = 0.0
        self.missing: dict[str, int] = {}

    def take(self, t: float, good: bool, reason: str) -> float | None:
        """Note a sample; returns the seconds since the usable one before where no more than the longest gap."""
        if not math.isfinite(t) or (self.last_s is not None and t <= self.last_s):
            raise ValueError(f"time must rise: {t!r} after {self.last_s!r}")
        if self.first_s is None:
            self.first_s = t
        self.last_s = t
        if not good:
            self.missing[reason] = self.missing.get(reason, 0) + 1
            return None
        self.samples += 1
        before = self.good_s if self.good_s is not None else self.first_s
        gap = t - before
        self.longest_s = max(self.longest_s, gap)
        step = gap if self.good_s is not None and gap <= self.max_gap_s + SAME_S else None
        if step is not None:
            self.covered_s += step
        self.good_s = t
        return step

    def silent_s(self, now: float | None) -> float:
        """Longest time without a usable value, the present silence included."""
        newest = max(x for x in (now, self.last_s, 0.0 if self.first_s is None else self.first_s) if x is not None)
        since = self.good_s if self.good_s is not None else self.first_s
        return self.longest_s if since is None else max(self.longest_s, newest - since)

    def coverage(self, now: float | None) -> Coverage:
        """The account at ``now``."""
        until = self.last_s if now is None or self.last_s is None else max(now, self.last_s)
        span = 0.0 if self.first_s is None or until is None else until - self.first_s
        return Coverage(
            from_s=self.first_s,
            until_s=until,
            samples=self.samples,
            share=self.covered_s / span if span > 0 else float(self.samples > 0),
            longest_gap_s=self.silent_s(now),
            max_gap_s=self.max_gap_s,
            missing=self.missing,
        )
