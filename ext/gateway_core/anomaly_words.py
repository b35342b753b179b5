"""The words in which the anomaly detectors speak: settings, verdicts, statistics, explanations.

`gateway_core.anomaly` holds the arithmetic and says what it does; `docs/anomaly.md` is for its readers.
"""

import hashlib
import math
import struct
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gateway_core.anomaly_state import State

__all__ = [
    "STATISTICS",
    "THRESHOLD",
    "Config",
    "Explanation",
    "Verdict",
    "config_hash",
]

HOUR_S, DAY_S = 3600.0, 86400.0

THRESHOLD = 0.5
"""A score from here on is an advisory."""

STATISTICS = (
    "level",
    "mean",
    "rate",
    "spread",
    "noise",
    "drift",
    "cusum",
    "daily",
    "daily-mean",
    "weekly",
    "cycle",
    "peak",
    "trough",
    "flat",
)
"""What is held against a learned band, in the order of the arrays of the state."""


class Verdict(IntEnum):
    """What became of the last value of a channel."""

    NOT_JUDGED = 0
    """No usable value, or a second one for the same instant."""
    WARMING = 1
    """Still learning."""
    NORMAL = 2
    ADVISORY = 3
    """An advisory begins with this value."""
    HELD = 4
    """The refractory time of an advisory is running: nothing more is said, and what lies outside is not learned."""
    EXPECTED = 5
    """A labelled excursion (defrost, open door)."""


class Config(NamedTuple):
    """Settings of all channels of a bank; times in seconds. The defaults are those for plant: days, not samples.

    The pure numbers were chosen once (docs/anomaly.md says how) and are not meant to be tuned at a site.
    """

    warm_up_s: float = 7.0 * DAY_S
    """Each statistic learns so long before it judges."""
    short_s: float = 2.0 * HOUR_S
    """Time constant of mean, spread and seasonal mean."""
    medium_s: float = 12.0 * HOUR_S
    """Time constant of the mean that the short one is compared with, and of the cumulative sum."""
    long_s: float = 4.0 * DAY_S
    """Time constant of the base and its spread."""
    noise_s: float = 2.0 * HOUR_S
    """Time constant of the noise (mean change from value to value)."""
    peak_s: float = 8.0 * HOUR_S
    """Time constant with which peak and trough fall back."""
    refractory_s: float = 12.0 * HOUR_S
    """After an advisory nothing further is said for so long, save what is far worse (`breakthrough`)."""
    budget_s: float = 14.0 * DAY_S
    """Advisories weigh on the budget with this time constant."""
    mark_s: float = 30.0 * DAY_S
    """What was alarmed is not said again for so long unless it goes further; then that fades."""
    teach_s: float = 12.0 * HOUR_S
    """A band that has learned gives way to what lies outside it with this time constant."""
    flat_s: float = HOUR_S
    """Least time by which the band of unchanged values is measured."""
    threshold: float = 0.06
    """Exceedance in band widths, after maturity and budget, that makes an advisory: there the score is 0.5."""
    breakthrough: float = 20.0
    """Thresholds that break into a refractory time, if it is also twice as far outside as what was said."""
    budget: float = 1.0
    """Each recent advisory raises the threshold by this share of itself."""
    maturity: float = 1.0
    """Exceedances count n / (n + maturity) after n warm-up times."""
    agreement: float = 0.5
    """Share of the root sum of squares of all statistics against the worst alone."""
    relevance: float = 0.1
    """No band counts as narrower than this share of the band of the level."""
    allowance: float = 0.5
    """What the cumulative sum forgives, in spreads."""
    hysteresis: float = 1.0
    """A cycle turns so many spreads above and below the base."""
    regularity: float = 0.35
    """Largest mean deviation of the cycle, as a share of its period, at which it counts as one."""
    floor: float = 1e-6
    """No band counts as narrower than this share of the value."""
    flat_weight: float = 0.1
    """What is flat counts so little, since unchanged values are common."""
    day_visits: float = 7.0
    """What is usual at an hour follows over so many days."""
    week_visits: float = 3.0
    """What is usual at a time of the week follows over so many weeks."""
    cycle_visits: float = 16.0
    """Period and shape of the own cycle follow over so many cycles."""

    @classmethod
    def over(cls, scale_s: float) -> "Config":
        """Settings for a stream of unknown kind, all times in proportion to a warm-up time ``scale_s``.

        Raises `ValueError` where that is not a positive number.
        """
        if not 0.0 < scale_s < 1e9:
            raise ValueError(f"a time scale of {scale_s} s is not usable; give seconds above 0")
        return cls(
            warm_up_s=scale_s,
            short_s=0.05 * scale_s,
            medium_s=0.2 * scale_s,
            long_s=2.0 * scale_s,
            noise_s=0.05 * scale_s,
            peak_s=0.2 * scale_s,
            refractory_s=0.2 * scale_s,
            budget_s=0.5 * scale_s,
            mark_s=10.0 * scale_s,
            teach_s=0.1 * scale_s,
            flat_s=0.02 * scale_s,
        )

    def check(self) -> None:
        """Raise `ValueError`, naming the setting, where the arithmetic would not hold."""
        for name, value in zip(self._fields, self, strict=True):
            least = 1.0 if name in {"breakthrough", "day_visits", "week_visits", "cycle_visits"} else 0.0
            if not (math.isfinite(value) and least <= value < 1e12):
                raise ValueError(f"setting {name} is {value}; it has to be a number from {least:g} to 1e12")
        for name in (*(name for name in self._fields if name.endswith("_s")), "threshold", "maturity", "floor"):
            if getattr(self, name) == 0.0:
                raise ValueError(f"setting {name} is 0; it has to be above")
        if max(self.short_s, self.medium_s, self.noise_s, self.peak_s) > self.long_s:
            raise ValueError("setting long_s has to be the longest of the time constants of averages")


def config_hash(config: Config) -> bytes:
    """Eight bytes that name the settings."""
    return hashlib.sha256(struct.pack(f"<{len(config)}d", *config)).digest()[:8]


class Explanation(NamedTuple):
    """Why the last value of a channel was judged as it was.

    ``value``, ``low``, ``high`` and ``beyond`` are of the statistic ``detector`` (None where nothing was outside),
    for all but ``cusum`` (spreads) and ``flat`` (seconds) in the unit of the channel. ``mark`` is how far outside
    it was when it was alarmed before, as far as not forgotten: only what is ``beyond`` band and mark counts.
    """

    verdict: Verdict
    score: float
    detector: str | None
    value: float
    low: float
    high: float
    mark: float
    beyond: float
    widths: float
    """What is beyond, in widths of the band."""
    exceedance: float
    """All statistics together, in widths, after maturity; the budget and the refractory time come after it."""
    outside_s: float
    """How long something has been outside without a pause."""
    learned_s: float
    """For how long the band has been taught."""
    samples: int
    since_t: float
    """Time of the first value."""
    warm_up_left_s: float
    threshold: float
    """Exceedance that makes an advisory now, budget included (refractory time not)."""
    refractory_left_s: float
    advisories: int
    suppressed: int
    """Exceedances in refractory times that would have been advisories."""
    explained: int
    """Values in labelled excursions whose level would have been one."""
    skipped: int
    duplicates: int
    gaps: int
    set_back: int
    cycle_s: float
    """Period of the channel's own cycle, 0 while none is known."""
    config: str

    @property
    def words(self) -> str:
        """The same in one English sentence."""
        if self.verdict is Verdict.WARMING:
            return f"still learning for {self.warm_up_left_s:.0f} s"
        if self.verdict is Verdict.NOT_JUDGED:
            return "no usable value"
        if self.verdict is Verdict.EXPECTED:
            return "a labelled excursion: neither judged nor learned from"
        if self.detector is None:
            return "nothing outside what was learned"
        said = (
            f"{self.detector} {self.value:.6g} is outside {self.low:.6g} to {self.high:.6g}, "
            f"learned in {self.learned_s / 86400.0:.1f} days, by {self.beyond:.3g} ({self.widths:.2g} widths)"
        )
        return f"{said}; held: an advisory was given before" if self.verdict is Verdict.HELD else said

    @classmethod
    def of(cls, config: Config, s: "State") -> "Explanation":
        """Read the state of a channel."""
        known = s.fired >= 0.0
        recent = s.recent * (config.budget_s / (config.budget_s + (s.observed - s.recent_at)))
        regular = s.crossings >= 4.0 and s.period_spread < config.regularity * s.period
        outside = max(s.fired_value - s.fired_high, s.fired_low - s.fired_value)
        return cls(
            verdict=Verdict(int(s.verdict)),
            score=s.score,
            detector=STATISTICS[int(s.fired)] if known else None,
            value=s.fired_value if known else math.nan,
            low=s.fired_low if known else math.nan,
            high=s.fired_high if known else math.nan,
            mark=s.fired_mark if known else 0.0,
            beyond=outside - s.fired_mark if known else 0.0,
            widths=s.fired_widths if known else 0.0,
            exceedance=s.exceedance,
            outside_s=s.t - s.outside_t if s.outside else 0.0,
            learned_s=s.learned[int(s.fired)] if known else s.settled,
            samples=int(s.samples),
            since_t=s.first_t,
            warm_up_left_s=max(0.0, config.warm_up_s - s.settled),
            threshold=config.threshold * (1.0 + config.budget * recent),
            refractory_left_s=max(0.0, s.refractory_until - s.observed),
            advisories=int(s.advisories),
            suppressed=int(s.suppressed),
            explained=int(s.explained),
            skipped=int(s.skipped),
            duplicates=int(s.duplicates),
            gaps=int(s.gaps),
            set_back=int(s.set_back),
            cycle_s=s.period if regular else 0.0,
            config=config_hash(config).hex(),
        )
