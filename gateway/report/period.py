"""What a report is about: a local day, a local month, or any stretch of time."""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.chart.axes import day_start
from gateway.errors import AuroraError
from gateway.language import local_time

__all__ = ["Period", "day_period", "month_period", "zone_of"]


@dataclass(frozen=True, slots=True)
class Period:
    """From ``start_ms`` to before ``end_ms`` (Unix milliseconds); ``as_of_ms`` is the end of what could be known.

    A period that is over has ``as_of_ms == end_ms``; of another, what comes after ``as_of_ms`` is not missing.
    """

    kind: Literal["day", "month", "stretch"]
    start_ms: int
    end_ms: int
    as_of_ms: int
    zone: ZoneInfo

    @property
    def until_ms(self) -> int:
        """The end of what the report speaks of."""
        return min(self.end_ms, self.as_of_ms)

    @property
    def complete(self) -> bool:
        """Whether the period was over."""
        return self.as_of_ms >= self.end_ms

    @property
    def first_day(self) -> date:
        """Its first local day."""
        return local_time(self.start_ms, self.zone).date()

    def days(self) -> list[tuple[date, int, int]]:
        """Each local day in it: the date, its first millisecond and the one after its last."""
        found = []
        day = self.first_day
        while (start := day_start(day, self.zone)) < self.until_ms:
            following = day + timedelta(days=1)
            found.append((day, max(start, self.start_ms), min(day_start(following, self.zone), self.until_ms)))
            day = following
        return found


def zone_of(name: str) -> ZoneInfo:
    """The zone of an IANA name; raises `AuroraError` for one that this machine does not know."""
    try:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_+/-]{0,63}", name):
            raise ValueError
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise AuroraError(
            f"{name!r} is no time zone that this machine knows; write an IANA name such as Europe/Paris "
            "(package tzdata has them)"
        ) from error


def day_period(text: str, zone: ZoneInfo, now_ms: int | None = None) -> Period:
    """The local day ``2026-11-24``; raises `AuroraError` for what is none, or has not begun."""
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            raise ValueError
        day = date.fromisoformat(text)
    except ValueError as error:
        raise AuroraError(f"{text!r} is no day; write it as 2026-11-24") from error
    return _period("day", day, day + timedelta(days=1), zone, now_ms)


def month_period(text: str, zone: ZoneInfo, now_ms: int | None = None) -> Period:
    """The local month ``2026-11``; raises `AuroraError` for what is none, or has not begun."""
    match = re.fullmatch(r"(\d{4})-(\d{2})", text)
    try:
        if match is None:
            raise ValueError
        first = date(int(match[1]), int(match[2]), 1)
        following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    except ValueError as error:
        raise AuroraError(f"{text!r} is no month; write it as 2026-11") from error
    return _period("month", first, following, zone, now_ms)


def _period(kind: Literal["day", "month"], first: date, after: date, zone: ZoneInfo, now_ms: int | None) -> Period:
    if not 1971 <= first.year <= 9000:
        raise AuroraError(f"there is no record of the year {first.year}")
    start, end = day_start(first, zone), day_start(after, zone)
    if now_ms is not None and now_ms <= start:
        raise AuroraError(f"{first.isoformat()} has not begun: there is nothing to report")
    return Period(kind, start, end, end if now_ms is None else min(end, now_ms), zone)
