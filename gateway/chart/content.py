"""What a strip chart shows. All times are Unix milliseconds, all values in the unit of the chart."""

from array import array
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

__all__ = ["Chart", "Gap", "Instant", "Limit", "Series", "Span"]


@dataclass(frozen=True, slots=True)
class Series:
    """Samples in order of time: ``values`` are NaN exactly where ``quality`` (one byte each) is bad (>= 0x80)."""

    times: "array[int]" = field(default_factory=lambda: array("q"))
    values: "array[float]" = field(default_factory=lambda: array("d"))
    quality: bytes = b""


class Gap(NamedTuple):
    """A stretch without values, and why in words. Nothing is ever drawn across it."""

    start_ms: int
    end_ms: int
    cause: str


class Limit(NamedTuple):
    """A limit, in force from ``start_ms`` to ``end_ms`` (None: open). ``label`` is what stands at the line."""

    value: float
    side: Literal["high", "low"]
    critical: bool
    label: str
    start_ms: int | None = None
    end_ms: int | None = None


class Span(NamedTuple):
    """Something that lasted. An alarm is tinted over the full height and numbered, all else is a bar in a lane.

    ``letter`` stands in the bar (the alarm's number in a list below the chart, ``D`` for defrost ...), ``words``
    explains it in the legend, ``detail`` is for this one alone. ``end_ms`` None: it has not ended.
    """

    start_ms: int
    end_ms: int | None
    kind: Literal["critical", "alert", "other", "bar"]
    letter: str
    words: str
    detail: str = ""


class Instant(NamedTuple):
    """Something that happened at one moment: a thin line with a letter."""

    at_ms: int
    letter: str
    words: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart of one point. ``indicated`` are values as the device gave them, drawn thin beside the corrected."""

    title: str
    start_ms: int
    end_ms: int
    zone: ZoneInfo
    unit: str
    decimals: int | None
    series: Series
    indicated: Series | None = None
    gaps: tuple[Gap, ...] = ()
    limits: tuple[Limit, ...] = ()
    spans: tuple[Span, ...] = ()
    instants: tuple[Instant, ...] = ()
