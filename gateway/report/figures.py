"""Figures of a stretch of samples. Each can be computed again from an export; docs/reports.md says how."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from firmware_interfaces.quality import BAD, UNCERTAIN, Quality
from gateway.report.samples import Samples, clip

__all__ = ["Beyond", "Figures", "LimitLine", "beyond", "figures", "time_beyond"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitLine:
    """A limit of a value, as it was in force from ``since_ms`` to ``until_ms`` (None: all the time).

    ``known_by`` says where it was taken from: ``site file``, or ``alarm record`` (the rule that an alarm carried).
    """

    rule: str
    side: Literal["high", "low"]
    tier: str
    value: float
    unit: str
    delay_s: float | None = None
    hysteresis: float | None = None
    profile: str = ""
    profile_hash: str = ""
    sources: tuple[str, ...] = ()
    known_by: str = "site file"
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the slots of a stretch amount to. ``covered`` (good or uncertain) of ``scheduled`` is the coverage.

    ``mean`` weighs each value by the poll period it stands for; slots without a value are in none of the three.
    """

    scheduled: int
    good: int
    uncertain: int
    bad: int
    """Answered, without a value."""
    missed: dict[str, int] = field(default_factory=dict)
    """Not answered, or recorded by nobody, by cause."""
    uncertain_by: dict[str, int] = field(default_factory=dict)
    low: float | None = None
    low_at_ms: int | None = None
    high: float | None = None
    high_at_ms: int | None = None
    mean: float | None = None

    @property
    def covered(self) -> int:
        """Slots with a value."""
        return self.good + self.uncertain


@dataclass(frozen=True, slots=True, kw_only=True)
class Beyond:
    """The values beyond a limit while it was in force (strictly: a value equal to the limit keeps to it)."""

    limit: LimitLine
    samples: int
    duration_ms: int
    """Sum of the poll periods that these samples stand for."""
    longest_ms: int
    """Longest unbroken run of such samples."""
    worst: float | None = None
    worst_at_ms: int | None = None


def figures(samples: Samples, start_ms: int, end_ms: int) -> Figures:
    """The figures of the slots that were due in ``start_ms`` <= time < ``end_ms``."""
    first, last = bisect_left(samples.due, start_ms), bisect_left(samples.due, end_ms)
    missed: dict[str, int] = {}
    for hole in samples.holes:
        if (part := clip(hole, start_ms, end_ms)) is not None:
            missed[part.cause] = missed.get(part.cause, 0) + part.slots
    low = high = low_at = high_at = None
    weight, total, counts = 0, 0.0, dict[int, int]()
    for i in range(first, last):
        quality = samples.quality[i]
        counts[quality] = counts.get(quality, 0) + 1
        if quality >= BAD:
            continue
        value = samples.values[i]
        if low is None or value < low:
            low, low_at = value, samples.at[i]
        if high is None or value > high:
            high, high_at = value, samples.at[i]
        weight += samples.weights[i]
        total += value * samples.weights[i]
    return Figures(
        scheduled=last - first + sum(missed.values()),
        good=sum(n for quality, n in counts.items() if quality < UNCERTAIN),
        uncertain=sum(n for quality, n in counts.items() if UNCERTAIN <= quality < BAD),
        bad=sum(n for quality, n in counts.items() if quality >= BAD),
        missed=missed,
        uncertain_by={_name(q): n for q, n in sorted(counts.items()) if UNCERTAIN <= q < BAD},
        low=low,
        low_at_ms=low_at,
        high=high,
        high_at_ms=high_at,
        mean=total / weight if weight else None,
    )


def _name(quality: int) -> str:
    return Quality(quality).name.lower()


def beyond(samples: Samples, limits: Iterable[LimitLine], start_ms: int, end_ms: int) -> list[Beyond]:
    """For every limit the values beyond it in a stretch."""
    return [_beyond(samples, limit, start_ms, end_ms) for limit in limits]


def time_beyond(samples: Samples, limits: Iterable[LimitLine], start_ms: int, end_ms: int) -> int:
    """Milliseconds for which samples stand that were beyond at least one of the limits."""
    over: set[int] = set()
    for limit in limits:
        over.update(_over(samples, limit, start_ms, end_ms))
    return sum(samples.weights[i] for i in over)


def _stretch(samples: Samples, limit: LimitLine, start_ms: int, end_ms: int) -> range:
    """The samples of a stretch that were due while a limit was in force."""
    start = start_ms if limit.since_ms is None else max(start_ms, limit.since_ms)
    end = end_ms if limit.until_ms is None else min(end_ms, limit.until_ms)
    return range(bisect_left(samples.due, start), bisect_left(samples.due, end))


def _over(samples: Samples, limit: LimitLine, start_ms: int, end_ms: int) -> Iterator[int]:
    sign = 1 if limit.side == "high" else -1
    for i in _stretch(samples, limit, start_ms, end_ms):
        # No value (NaN) is not beyond.
        if sign * (samples.values[i] - limit.value) > 0:
            yield i


def _beyond(samples: Samples, limit: LimitLine, start_ms: int, end_ms: int) -> Beyond:
    over = list(_over(samples, limit, start_ms, end_ms))
    longest = run = 0
    before: int | None = None
    for i in over:
        # A slot without a value between two that are beyond says nothing: it does not end the run.
        if before is None or any(samples.quality[k] < BAD for k in range(before + 1, i)):
            run = 0
        run += samples.weights[i]
        longest = max(longest, run)
        before = i
    choose = max if limit.side == "high" else min
    worst = choose(over, key=lambda i: samples.values[i], default=None)
    return Beyond(
        limit=limit,
        samples=len(over),
        duration_ms=sum(samples.weights[i] for i in over),
        longest_ms=longest,
        worst=None if worst is None else samples.values[worst],
        worst_at_ms=None if worst is None else samples.at[worst],
    )
