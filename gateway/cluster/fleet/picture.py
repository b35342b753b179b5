"""The chart of a point out of the derived tables: values for a day or two, hours beyond that; gaps are gaps."""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from firmware_interfaces.quality import BAD, Quality
from gateway.chart import Chart, Gap, Instant, Limit, Series, Span
from gateway.cluster.derive.nouns import ClusterEvent, Rolled
from gateway.cluster.derive.segment import HOUR_MS, Segment
from gateway.cluster.fleet.details import PointRow
from gateway.cluster.fleet.happened import LABELS, event_words
from gateway.language import N_, Language
from gateway.report.names import named

__all__ = ["NO_NEWS", "Readings", "chart_of", "limits_of", "of_hours", "of_values"]

NO_NEWS: Final = N_("nothing has come")
PATIENCE: Final = 2.5
"""So many periods may pass between two values before there is a gap: a late one is none."""
MOST_MARKS: Final = 60
LETTERS: Final = {"defrost": "D", "door": "O", "start-up": "S", "cleaning": "C", "loading": "L", "disturbance": "X"}
INSTANTS: Final = {
    "power_up": "P",
    "config.changed": "K",
    "clock.step": "T",
    "clock.correction": "T",
    "record.calibration": "C",
}
_TINTS: Final[Mapping[str, Literal["critical", "alert", "other"]]] = {
    "critical": "critical",
    "alert": "alert",
}


@dataclass(frozen=True, slots=True)
class Readings:
    """What a chart draws: a series, gaps with their cause (a msgid), and how many readings there are."""

    series: Series
    gaps: tuple[Gap, ...]
    good: int
    uncertain: int
    bad: int


def of_values(segments: Iterable[Segment], start_ms: int, until_ms: int, period_ms: int) -> Readings:
    """Every reading of a stretch. ``until_ms`` is its end, or now: what is to come is not missing."""
    times, values, quality = array("q"), array("d"), bytearray()
    gaps: list[Gap] = []
    counts = [0, 0, 0]
    causes: Counter[str] = Counter()
    last = start_ms
    longest = PATIENCE * max(period_ms, 1000)

    def close(at_ms: int) -> None:
        if causes or at_ms - last > longest:
            gaps.append(Gap(last, at_ms, causes.most_common(1)[0][0] if causes else NO_NEWS))
        causes.clear()

    for segment in segments:
        for at_ms, value, mark in zip(*segment, strict=True):
            counts[2 if mark >= BAD else 1 if mark >= 0x40 else 0] += 1
            if mark >= BAD or not isfinite(value):
                causes[_words(mark)] += 1
                continue
            if causes or at_ms - last > longest:
                close(at_ms)
            times.append(at_ms)
            values.append(value)
            quality.append(mark)
            last = at_ms
    close(until_ms)
    kept = tuple(gap for gap in gaps if gap.end_ms > gap.start_ms)
    return Readings(Series(times, values, bytes(quality)), kept, *counts)


def of_hours(rows: Sequence[Rolled], start_ms: int, until_ms: int, width_ms: int) -> Readings:
    """Lowest and highest of each stretch of ``width_ms``: two samples, so that every extreme is drawn."""
    times, values, quality = array("q"), array("d"), bytearray()
    gaps: list[Gap] = []
    last, known = start_ms, False
    for row in rows:
        if row.low is None or row.high is None:
            continue
        if row.start_ms - last > (0 if not known else 1000):
            gaps.append(Gap(last, row.start_ms, _between(rows, last, row.start_ms)))
        mark = 0 if row.good or not row.uncertain else 0x40
        for at_ms, value in ((row.start_ms, row.low), (row.start_ms + width_ms // 2, row.high)):
            times.append(at_ms)
            values.append(value)
            quality.append(mark)
        last, known = row.start_ms + width_ms, True
    if until_ms - last > HOUR_MS:
        gaps.append(Gap(last, until_ms, _between(rows, last, until_ms)))
    counts = [sum(getattr(row, name) for row in rows) for name in ("good", "uncertain", "bad")]
    return Readings(Series(times, values, bytes(quality)), tuple(gaps), *counts)


def _between(rows: Sequence[Rolled], start_ms: int, end_ms: int) -> str:
    """Why there is nothing: bad readings have come, or none at all."""
    bad = any(row.bad for row in rows if start_ms <= row.start_ms < end_ms)
    return N_("only readings without a value") if bad else NO_NEWS


def _words(mark: int) -> str:
    try:
        return Quality(mark).words
    except ValueError:
        return N_("a reason that this release does not know")


def limits_of(settings: Any) -> list[dict[str, Any]]:
    """The limits of a point's settings: value, side, tier, rule; what is none of these is left out."""
    profile = settings.get("profile") if isinstance(settings, Mapping) else None
    if not isinstance(profile, Mapping):
        return []
    found = []
    for part in (profile.get("limits"), profile.get("times")):
        for limit in part if isinstance(part, list) else []:
            if not isinstance(limit, Mapping):
                continue
            value, side, tier = limit.get("limit"), limit.get("side"), limit.get("tier")
            if isinstance(value, int | float) and isfinite(value) and isinstance(tier, str):
                high = side == "above"
                rule = str(limit.get("rule", ""))
                found.append({"value": float(value), "side": "high" if high else "low", "tier": tier, "rule": rule})
    return found


def chart_of(
    point: PointRow,
    readings: Readings,
    events: Sequence[ClusterEvent],
    stretch: tuple[int, int],
    *,
    now_ms: int,
    zone: ZoneInfo,
    t: Language,
) -> Chart:
    """The content of the chart in words of a language."""
    return Chart(
        title=point.name,
        start_ms=stretch[0],
        end_ms=stretch[1],
        zone=zone,
        unit=point.unit,
        decimals=point.decimals,
        series=readings.series,
        gaps=tuple(gap._replace(cause=t(gap.cause)) for gap in readings.gaps),
        limits=tuple(_limits(point, t)),
        spans=tuple(_spans(point, events, stretch, now_ms, t)),
        instants=tuple(_instants(events, t)),
    )


def _limits(point: PointRow, t: Language) -> Iterator[Limit]:
    for limit in limits_of(point.settings):
        critical = limit["tier"] == "critical"
        value = t.quantity(limit["value"], point.decimals, point.unit)
        label = t("critical limit {value}", value=value) if critical else t("alert limit {value}", value=value)
        yield Limit(limit["value"], limit["side"], critical, label)


def _spans(
    point: PointRow, events: Sequence[ClusterEvent], stretch: tuple[int, int], now_ms: int, t: Language
) -> Iterator[Span]:
    """Alarms and states from their events. One whose beginning lies before the events begins at the edge."""
    open_since: dict[tuple[str, str], tuple[int, Mapping[str, Any]]] = {}
    number = 0
    for event in sorted(events, key=lambda one: (one.utc_ms or 0, one.seq, one.place)):
        at, data = event.utc_ms, event.data
        if at is None:
            continue
        if event.kind.startswith("label."):
            yield from _label(point, event, at, t)
            continue
        if event.point != point.point:
            continue
        begins, ends = (
            event.kind in {"alarm.raised", "state.declared"},
            event.kind in {"alarm.returned", "state.ended"},
        )
        what = "alarm" if event.kind.startswith("alarm.") else "state"
        key = (what, str(data.get("alarm" if what == "alarm" else "kind", "")))
        if begins:
            open_since.setdefault(key, (at, data))
        elif ends:
            since = open_since.pop(key, (stretch[0], data))
            number += what == "alarm"
            yield _span(key, since, at, number, t)
    for key, since in open_since.items():
        number += key[0] == "alarm"
        yield _span(key, since, min(now_ms, stretch[1]), number, t)


def _label(point: PointRow, event: ClusterEvent, at_ms: int, t: Language) -> Iterator[Span]:
    """What was recognised at a device: its times are by the clock since the machine has started."""
    kind, data = event.kind.removeprefix("label."), event.data
    start, end = data.get("start_ms"), data.get("end_ms")
    if kind in LETTERS and data.get("device") == point.device and isinstance(start, int):
        shift = at_ms - event.boot_ms
        until = end + shift if isinstance(end, int) else at_ms
        yield Span(start + shift, max(start + shift, until), "bar", LETTERS[kind], named(LABELS, kind, t))


def _span(
    key: tuple[str, str], since: tuple[int, Mapping[str, Any]], end_ms: int, number: int, t: Language
) -> Span:
    start_ms, data = since
    if key[0] == "alarm":
        kind: Literal["critical", "alert", "other"] = _TINTS.get(str(data.get("tier")), "other")
        return Span(start_ms, end_ms, kind, str(number), t("alarm"), str(data.get("words", "")))
    words = event_words("state.declared", {"kind": key[1]}, t)
    return Span(start_ms, end_ms, "bar", LETTERS.get(key[1], "Z").lower(), words, str(data.get("person") or ""))


def _instants(events: Sequence[ClusterEvent], t: Language) -> Iterator[Instant]:
    found = [event for event in events if event.kind in INSTANTS and event.utc_ms is not None]
    for event in found[:MOST_MARKS]:
        yield Instant(event.utc_ms or 0, INSTANTS[event.kind], event_words(event.kind, event.data, t))
