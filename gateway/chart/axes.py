"""Where the marks of the axes stand: round values, and local times that stay right when the clocks change."""

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from gateway.chart.drawing import text_width
from gateway.language import Language, local_time, offset_words

__all__ = ["Tick", "clock_changes", "day_start", "time_ticks", "value_ticks"]

QUARTER_MS = 900_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000


class Tick(NamedTuple):
    """A mark: where, and what it says (nothing: a grid line alone)."""

    at: float
    label: str


def day_start(day: date, zone: ZoneInfo) -> int:
    """The first instant of a local day, Unix milliseconds. A day has 23 or 25 hours when the clocks change."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)


def clock_changes(start_ms: int, end_ms: int, zone: ZoneInfo) -> Iterator[tuple[int, str]]:
    """Instants within the stretch at which the local clocks change, with the offset from then on."""
    at_ms = start_ms
    while at_ms < end_ms:
        next_ms = min(at_ms + DAY_MS, end_ms)
        if _offset(at_ms, zone) != _offset(next_ms, zone):
            low, high = at_ms, next_ms
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if _offset(middle, zone) == _offset(at_ms, zone) else (low, middle)
            if high < end_ms:
                yield high, offset_words(local_time(high, zone))
        at_ms = next_ms


def _offset(at_ms: int, zone: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(zone).utcoffset()


def value_ticks(low: float, high: float, room: float, decimals: int | None) -> tuple[float, float, list[float]]:
    """Edges of an axis and round values on it for ``room`` points of height, in steps of 1, 2 or 5 times 10**n."""
    finest = 10.0**-decimals if decimals is not None else 0.0
    span = max(high - low, 10 * finest, abs(high) * 1e-6, 1e-9)
    middle = (low + high) / 2
    low, high = min(low, middle - span / 2), max(high, middle + span / 2)
    rough = span / max(2.0, room / 34)
    power = 10.0 ** math.floor(math.log10(rough))
    step = max(finest, next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999))
    first, last = math.floor(low / step), math.ceil(high / step)
    return first * step, last * step, [place * step for place in range(first, last + 1)]


def time_ticks(
    start_ms: int, end_ms: int, width: float, zone: ZoneInfo, language: Language
) -> tuple[list[Tick], list[Tick]]:
    """The marks of the time axis in two rows: times (or days), and below them their days (or months)."""
    per_ms = width / (end_ms - start_ms)
    for minutes in (15, 30, 60, 120, 180, 240, 360, 720):
        if minutes * 60_000 * per_ms >= 42:
            return _hours(start_ms, end_ms, minutes, zone), _days(start_ms, end_ms, per_ms, zone, language)
    for days in (1, 2, 7):
        if days * DAY_MS * per_ms >= 26:
            return _dates(start_ms, end_ms, days, zone), _months(start_ms, end_ms, per_ms, zone, language)
    every = next(count for count in (1, 2, 3, 6, 12, 120) if count * 30 * DAY_MS * per_ms >= 44)
    return _month_names(start_ms, end_ms, every, zone, language), _years(start_ms, end_ms, zone)


def _hours(start_ms: int, end_ms: int, minutes: int, zone: ZoneInfo) -> list[Tick]:
    """Whole local times. An hour that the clocks repeat has its mark twice, one that they skip has none."""
    found: list[Tick] = []
    at_ms = -(-start_ms // QUARTER_MS) * QUARTER_MS
    while at_ms <= end_ms:
        local = local_time(at_ms, zone)
        if (local.hour * 60 + local.minute) % minutes == 0:
            found.append(Tick(at_ms, f"{local:%H:%M}"))
        at_ms += QUARTER_MS
    # Marks of times that the clocks repeat can stand too close to be read: the line stays, the label goes.
    spaced: list[Tick] = []
    for tick in found:
        close = spaced and tick.at - spaced[-1].at < minutes * 60_000 * 0.75
        spaced.append(Tick(tick.at, "") if close and minutes > 60 else tick)
    return spaced


def _local_days(start_ms: int, end_ms: int, zone: ZoneInfo) -> Iterator[tuple[date, int]]:
    """Local days whose first instant lies within the stretch, with that instant."""
    day = local_time(start_ms, zone).date()
    while (at_ms := day_start(day, zone)) <= end_ms:
        if at_ms >= start_ms:
            yield day, at_ms
        day += timedelta(days=1)


def _days(start_ms: int, end_ms: int, per_ms: float, zone: ZoneInfo, language: Language) -> list[Tick]:
    ticks = [Tick(start_ms, language.weekday(local_time(start_ms, zone).date()))]
    ticks += [Tick(at, language.weekday(day)) for day, at in _local_days(start_ms + 1, end_ms - 1, zone)]
    return _fitting(ticks, end_ms, per_ms)


def _dates(start_ms: int, end_ms: int, every: int, zone: ZoneInfo) -> list[Tick]:
    """Days of the month, or Mondays."""

    def keep(day: date) -> bool:
        return day.weekday() == 0 if every == 7 else (day.day - 1) % every == 0

    found = ((day, at) for day, at in _local_days(start_ms, end_ms, zone) if keep(day))
    return [Tick(at, str(day.day) if at < end_ms else "") for day, at in found]


def _months(start_ms: int, end_ms: int, per_ms: float, zone: ZoneInfo, language: Language) -> list[Tick]:
    ticks = [Tick(start_ms, language.month(local_time(start_ms, zone).date()))]
    for day, at in _local_days(start_ms + 1, end_ms - 1, zone):
        if day.day == 1:
            ticks.append(Tick(at, language.month(day)))
    return _fitting(ticks, end_ms, per_ms)


def _month_names(start_ms: int, end_ms: int, every: int, zone: ZoneInfo, language: Language) -> list[Tick]:
    return [
        Tick(at, language.facts.short_months[day.month - 1] if at < end_ms else "")
        for day, at in _local_days(start_ms, end_ms, zone)
        if day.day == 1 and (day.month - 1) % every == 0
    ]


def _years(start_ms: int, end_ms: int, zone: ZoneInfo) -> list[Tick]:
    ticks = [Tick(start_ms, str(local_time(start_ms, zone).year))]
    for day, at in _local_days(start_ms + 1, end_ms - 1, zone):
        if (day.month, day.day) == (1, 1):
            ticks.append(Tick(at, str(day.year)))
    return ticks


def _fitting(ticks: list[Tick], end_ms: int, per_ms: float) -> list[Tick]:
    """Labels that would run into the next or over the end are left away."""
    ends = [tick.at for tick in ticks[1:]] + [end_ms]
    return [
        Tick(tick.at, tick.label if (end - tick.at) * per_ms > text_width(tick.label, 11) else "")
        for tick, end in zip(ticks, ends, strict=True)
    ]
