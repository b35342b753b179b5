"""The chart of a point for its page: the report's own picture, drawn from condensed samples, with a table."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from firmware_interfaces.quality import BAD
from gateway import __version__
from gateway.chart import Chart, draw, svg
from gateway.language import N_, Language, local_time
from gateway.report.alarms import Occurrence, occurrences
from gateway.report.entries import (
    Change,
    ClockNote,
    Entry,
    Label,
    State,
    changes,
    clock_notes,
    entries,
    labels,
    states,
)
from gateway.report.figures import LimitLine
from gateway.report.haccp import Setting, limits_in_force
from gateway.report.names import ALARM_STEPS, CHANGE_NAMES, CLOCK_NAMES, RULES, STATE_KINDS, named
from gateway.report.period import Period
from gateway.report.picture import chart_of
from gateway.report.samples import Gap, Happening, Samples, cause_words
from gateway.reporting.data import limits_of
from gateway.site import PointSpec, Site
from gateway.viewing.shelf import Shelf, Stretch
from gateway.viewing.strips import gaps_of

__all__ = ["HOUR_MS", "LONGEST_MS", "SETTLING_MS", "chart_data"]

HOUR_MS = 3_600_000
LONGEST_MS = 100 * 24 * HOUR_MS
SETTLING_MS = 10_000
"""How long the newest samples may be on their way to the disk: they are not missing."""
COLUMNS = 360
"""Stretches for which the cursor has lowest and highest value."""
ROWS = 32
STEPS_MS = tuple(hours * HOUR_MS for hours in (1, 2, 3, 4, 6, 8, 12, 24, 48, 96))
MOST_HAPPENINGS = 200
ACTIONS = ("record.corrective", "record.note", "record.calibration", "record.verification")
MORE_NAMES = {"record.calibration": N_("calibration"), "record.verification": N_("verification")}


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the chart is drawn of."""

    setting: Setting
    period: Period
    samples: Samples
    limits: Sequence[LimitLine]
    alarms: Sequence[Occurrence]
    states: Sequence[State]
    labels: Sequence[Label]
    clock: Sequence[ClockNote]
    changes: Sequence[Change]


def chart_data(
    site: Site, shelf: Shelf, point: PointSpec, stretch: tuple[int, int], *, now_ms: int, t: Language, raw: bool
) -> dict[str, Any]:
    """The picture in two widths, what the cursor tells, the table, and what happened; times in Unix milliseconds.

    ``raw``: the values as the device gave them, where they were corrected. Reads the journal: for a thread.
    """
    zone, (start_ms, end_ms) = ZoneInfo(site.time_zone), stretch
    period = Period("stretch", start_ms, end_ms, min(end_ms, now_ms - SETTLING_MS), zone)
    found, events = shelf.look(point.device, point.channel, start_ms, end_ms)
    shown = _shown(site, point, period, found, events)
    chart = chart_of(shown, t)
    corrected = chart.indicated is not None
    if raw and chart.indicated is not None:
        chart = replace(chart, series=chart.indicated, indicated=None)
    return {
        "point": point.id,
        "name": point.name,
        "from_ms": start_ms,
        "to_ms": end_ms,
        "unit": t.unit(chart.unit),
        "decimals": chart.decimals,
        "values": len(chart.series.values),
        "corrected": corrected,
        "wide": svg(draw(chart, t, width=720, height=240), name="chart-w", extra="wide-chart"),
        "narrow": svg(draw(chart, t, width=350, height=220), name="chart-n", extra="narrow-chart"),
        "columns": _columns(chart),
        "rows": list(_rows(chart, zone)),
        "gaps": [
            {"from_ms": gap.start_ms, "to_ms": gap.end_ms, "words": t(cause_words(gap.cause))}
            for gap in shown.samples.gaps
        ],
        "alarms": [_alarm(held, point, t) for held in shown.alarms],
        "happenings": _happenings(shown, point, events, t),
    }


def _shown(site: Site, point: PointSpec, period: Period, stretch: Stretch, events: Sequence[Happening]) -> _Shown:
    start, until = period.start_ms, period.end_ms
    samples = _samples(point, period, stretch)
    setting = Setting(site.identity, point, limits_of(point), site.digest, __version__)
    alarms = occurrences(
        events, samples, point=point.id, device=point.device, start_ms=start, until_ms=max(until, start + 1)
    )
    alarms = [held for held in alarms if (held.raised_ms or 0) < until]
    inside = [event for event in events if event.utc_ms is not None and start <= event.utc_ms < until]
    return _Shown(
        setting,
        period,
        samples,
        limits_in_force(setting, samples, alarms)[0],
        alarms,
        states(events, point.id, start, until),
        labels(events, point.device, start, until),
        clock_notes(inside),
        changes(inside),
    )


def _samples(point: PointSpec, period: Period, stretch: Stretch) -> Samples:
    samples = Samples(point.device, point.channel, period, stretch.unit, stretch.decimals)
    samples.at = samples.due = stretch.times
    samples.values, samples.quality = stretch.values, bytearray(stretch.quality)
    if any(value == value for value in stretch.indicated):  # noqa: PLR0124 - NaN alone differs from itself
        samples.indicated = stretch.indicated
    if not samples.unit:
        samples.unit = point.profile.unit if point.profile is not None else ""
    # Before the record began nothing is missing.
    begins = max(period.start_ms, stretch.begins_ms or period.start_ms)
    samples.gaps = [
        Gap(gap.start_ms, gap.end_ms, 1, {gap.cause: 1})
        for gap in gaps_of(stretch.runs, begins, period.until_ms, untimed=stretch.untimed)
    ]
    return samples


def _columns(chart: Chart) -> list[list[float] | None]:
    """Of `COLUMNS` equal parts of the time, lowest and highest value; None where there is none."""
    found: list[list[float] | None] = []
    times, values, quality = chart.series.times, chart.series.values, chart.series.quality
    span, begin = chart.end_ms - chart.start_ms, bisect_left(chart.series.times, chart.start_ms)
    for column in range(COLUMNS):
        end = bisect_left(times, chart.start_ms + span * (column + 1) // COLUMNS, begin)
        here = _known(values, quality, begin, end)
        found.append([min(here), max(here)] if here else None)
        begin = end
    return found


def _known(values: "array[float]", quality: bytes, begin: int, end: int) -> "Sequence[float]":
    if begin < end and max(quality[begin:end]) < BAD:
        return values[begin:end]
    return [values[n] for n in range(begin, end) if quality[n] < BAD]


def _rows(chart: Chart, zone: ZoneInfo) -> Iterator[dict[str, Any]]:
    """The table: lowest and highest of equal stretches, and how much of each is without data."""
    span = chart.end_ms - chart.start_ms
    step = next((step for step in STEPS_MS if span <= ROWS * step), STEPS_MS[-1])
    # Steps of a day begin at midnight there, steps of hours on the hour.
    offset = _offset_ms(chart.start_ms, zone)
    at = chart.start_ms - (chart.start_ms + offset) % step
    times, values, quality = chart.series.times, chart.series.values, chart.series.quality
    while at < chart.end_ms:
        first, last = max(at, chart.start_ms), min(at + step, chart.end_ms)
        here = _known(values, quality, bisect_left(times, first), bisect_left(times, last))
        missing = sum(
            max(0, min(gap.end_ms, last) - max(gap.start_ms, first)) for gap in chart.gaps if gap.end_ms > first
        )
        if here or missing:
            yield {
                "from_ms": first,
                "to_ms": last,
                "low": min(here, default=None),
                "high": max(here, default=None),
                "missing_ms": missing,
            }
        at += step


def _offset_ms(utc_ms: int, zone: ZoneInfo) -> int:
    offset = local_time(utc_ms, zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds() * 1000)


def _alarm(held: Occurrence, point: PointSpec, t: Language) -> dict[str, Any]:
    by = [step for step in held.transitions if step.person]
    return {
        "number": held.number,
        "alarm": held.alarm,
        "tier": held.tier,
        "what": named(RULES, held.rule, t),
        "own": held.point == point.id,
        "from_ms": held.since_ms if held.since_ms is not None else held.raised_ms,
        "to_ms": held.returned_ms,
        "worst": held.worst,
        "state": held.state,
        "people": [
            {
                "at_ms": step.at_ms,
                "step": named(ALARM_STEPS, step.kind, t),
                "person": step.person,
                "text": step.text,
            }
            for step in by
        ],
    }


def _happenings(shown: _Shown, point: PointSpec, events: Sequence[Happening], t: Language) -> list[dict[str, Any]]:
    """What happened in the stretch, newest first."""
    start, until = shown.period.start_ms, shown.period.end_ms
    found: list[tuple[int | None, str, str, str]] = []
    for held in shown.alarms:
        what = named(RULES, held.rule, t)
        found += [
            (step.at_ms, f"{what}: {named(ALARM_STEPS, step.kind, t)}", step.person, step.text)
            for step in held.transitions
        ]
    for label in shown.labels:
        found.append((label.start_ms, named(STATE_KINDS, label.kind, t), "", t("recognised from the temperature")))
    for state in shown.states:
        words = t("declared: {state}", state=named(STATE_KINDS, state.kind, t))
        found.append((state.start_ms, words, state.person, state.text))
    found += [
        (change.at_ms, named(CHANGE_NAMES, change.kind, t), change.person, change.text) for change in shown.changes
    ]
    found += [(note.at_ms, named(CLOCK_NAMES, note.kind, t), "", "") for note in shown.clock]
    for entry in entries(events, ACTIONS):
        if _mine(entry, point):
            found.append(
                (entry.done_ms, named({**CHANGE_NAMES, **MORE_NAMES}, entry.kind, t), entry.person, entry.text)
            )
    inside = [row for row in found if row[0] is not None and start <= row[0] < until]
    inside.sort(key=lambda row: -(row[0] or 0))
    return [
        {"at_ms": at, "what": what, "person": person, "text": text}
        for at, what, person, text in inside[:MOST_HAPPENINGS]
    ]


def _mine(entry: Entry, point: PointSpec) -> bool:
    data = entry.data
    channel = f"{point.device}.{point.channel}"
    return (
        data.get("point") == point.id
        or data.get("channel") == channel
        or (data.get("point") is None and data.get("device") == point.device)
    )
