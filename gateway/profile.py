"""What a place must keep to: the rules of a profile, resolved and frozen. Nouns without any parsing.

A profile comes from ``gateway/assess/profiles/*.toml`` or from a member's site file; the checker resolves it for
each point (base, derivation, overrides), and what stands here is what is in force. Times are seconds, limits are in
the profile's ``unit``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.model import Tier

__all__ = [
    "STATE_KINDS",
    "Allowance",
    "Hours",
    "Limit",
    "Profile",
    "RateLimit",
    "Side",
    "StageLimit",
    "TimeLimit",
]

Side = Literal["above", "below"]
"""On which side of the limit a value is beyond it. Comparison is strict: a value equal to the limit keeps to it."""

STATE_KINDS = ("start-up", "defrost", "cleaning", "loading")
"""What a person may declare of a point: a stretch in which its profile allows some limits to rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A value beyond ``limit`` for ``delay_s`` and at the ``samples``-th value in a row is a deviation.

    It ends with the first value that is back by ``hysteresis``, or when values stayed back for ``off_delay_s``.
    """

    rule: str
    side: Side
    limit: float
    tier: Tier
    delay_s: float = 0.0
    samples: int = 1
    hysteresis: float = 0.0
    off_delay_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """A change of more than ``per_minute`` (positive: rise, negative: fall), over ``over_s``, is a deviation."""

    rule: str
    per_minute: float
    over_s: float
    tier: Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimit:
    """Time beyond ``limit``: ``single_s`` at a stretch, ``total_s`` and ``periods`` stretches within a window.

    The window is the last ``window_s`` seconds, or the calendar day of the site where it is None. A stretch shorter
    than ``brief_s`` is not counted as a period.
    """

    rule: str
    side: Side
    limit: float
    tier: Tier
    single_s: float | None = None
    total_s: float | None = None
    periods: int | None = None
    window_s: float | None = 86400.0
    brief_s: float = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLimit:
    """From ``start`` the value must reach ``goal`` within ``within_s`` (cooling where goal is below start)."""

    rule: str
    start: float
    goal: float
    within_s: float
    tier: Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a declared state may let rest: these rules, at most ``longest_s``, and again only after ``every_s``."""

    rules: tuple[str, ...]
    longest_s: float
    every_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """A stretch of the week, local: ``days`` (0 is Monday) from minute to minute, past midnight if end <= start."""

    days: frozenset[int]
    start_min: int
    end_min: int

    def hold(self, weekday: int, minute: int) -> bool:
        """Whether a minute (0..1439) of a weekday lies in it."""
        if self.start_min < self.end_min:
            return weekday in self.days and self.start_min <= minute < self.end_min
        if minute >= self.start_min:
            return weekday in self.days
        return minute < self.end_min and (weekday - 1) % 7 in self.days


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The rules in force for one point, with where they come from.

    ``digest`` is the SHA-256 of the resolved rules: two points with the same digest are judged alike. ``base``
    names the profile that this one was derived from. ``interval_s`` is the longest interval between two recorded
    values that the profile demands, ``stale_s`` the silence after which a point counts as not watched,
    ``product_tau_s`` the time constant by which a product is simulated where a point asks for it.
    """

    id: str
    title: str
    unit: str
    sources: tuple[str, ...]
    base: str | None = None
    note: str = ""
    reason: str = ""
    """Why a member's own rules are laxer than those of the base, in the member's words."""
    limits: tuple[Limit, ...] = ()
    rates: tuple[RateLimit, ...] = ()
    times: tuple[TimeLimit, ...] = ()
    stages: tuple[StageLimit, ...] = ()
    states: Mapping[str, Allowance] = field(default_factory=dict)
    interval_s: float | None = None
    stale_s: float = 1800.0
    product_tau_s: float | None = None
    actions: tuple[str, ...] = ()
    digest: str = ""

    @property
    def rules(self) -> tuple[str, ...]:
        """Names of all rules."""
        named: list[Limit | RateLimit | TimeLimit | StageLimit] = [*self.limits, *self.rates, *self.times]
        return tuple(rule.rule for rule in (*named, *self.stages))
