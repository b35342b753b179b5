"""A report in electronic form: JSON with everything, CSV with its figures as one long table."""

import csv
import dataclasses
import io
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

from gateway.language import local_time
from gateway.report.entries import Entry
from gateway.report.figures import Figures
from gateway.report.haccp import HaccpRecord
from gateway.report.samples import Samples, cause_words

__all__ = ["CSV_HEAD", "as_csv", "as_json", "haccp_data", "haccp_rows", "iso"]

CSV_HEAD = ("section", "name", "start", "end", "value", "unit", "person", "text")


def iso(utc_ms: int | None, zone: ZoneInfo) -> str | None:
    """Local time with its offset, ISO 8601, to the millisecond; None where it is not known."""
    return None if utc_ms is None else local_time(utc_ms, zone).isoformat(timespec="milliseconds")


def _utc(utc_ms: int | None) -> str | None:
    if utc_ms is None:
        return None
    return datetime.fromtimestamp(utc_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(value: Any, zone: ZoneInfo) -> Any:
    """Plain data for JSON. A field ``x_ms`` that is an instant has beside it ``x_utc`` and ``x_local``."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _fields({item.name: getattr(value, item.name) for item in dataclasses.fields(value)}, zone)
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _fields(value._asdict(), zone)
    if isinstance(value, Mapping):
        return {str(key): plain(item, zone) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, zone) for item in value]
    if isinstance(value, bytes | bytearray):
        return bytes(value).hex()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, ZoneInfo):
        return value.key
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and (value != value or value in {float("inf"), float("-inf")}):  # noqa: PLR0124
        return None
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


LENGTHS = frozenset(
    {"duration_ms", "longest_ms", "beyond_ms", "period_ms", "phase_ms", "error_ms", "by_ms", "delay_ms"}
)
"""Fields in milliseconds that are lengths of time, not instants."""


def _fields(data: Mapping[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in data.items():
        instant = name.endswith("_ms") and name not in LENGTHS and (value is None or isinstance(value, int))
        if instant:
            found[name.removesuffix("_ms") + "_utc"] = _utc(value)
            found[name.removesuffix("_ms") + "_local"] = iso(value, zone)
        else:
            found[name] = plain(value, zone)
    return found


def haccp_data(record: HaccpRecord) -> dict[str, Any]:
    """The record as plain data: all figures, and whatever a person would need to compute them again."""
    zone = record.period.zone
    data = {
        item.name: plain(getattr(record, item.name), zone)
        for item in dataclasses.fields(record)
        if item.name not in {"setting", "samples", "figures", "days"}
    }
    setting, samples = record.setting, record.samples
    head = {
        "report": "haccp",
        "member": setting.identity.member,
        "site": setting.identity.site,
        "gateway": setting.identity.gateway,
        "point": setting.point.id,
        "name": setting.point.name,
        "critical": setting.point.critical,
        "device": setting.point.device,
        "channel": setting.point.channel,
        "unit": samples.unit,
        "decimals": samples.decimals,
        "site_file_sha256": setting.digest,
        "software": f"aurora-gateway {setting.version}",
        "figures": figures_data(record.figures, zone),
        "days": [
            {
                "day": day.day.isoformat(),
                "start_utc": _utc(day.start_ms),
                "end_utc": _utc(day.end_ms),
                "alarms_raised": day.alarms,
                "beyond_critical_ms": day.beyond_ms,
                **figures_data(day.figures, zone),
            }
            for day in record.days
        ],
        "data": samples_data(samples),
    }
    return head | data


def figures_data(figures: Figures, zone: ZoneInfo) -> dict[str, Any]:
    """Figures with the coverage, a number from 0 to 1, None where nothing was scheduled."""
    coverage = figures.covered / figures.scheduled if figures.scheduled else None
    return {**_fields(dataclasses.asdict(figures), zone), "covered": figures.covered, "coverage": coverage}


def samples_data(samples: Samples) -> dict[str, Any]:
    """What the figures rest on, without the samples themselves (an export has those)."""
    zone = samples.period.zone
    return {
        "sha256": samples.digest,
        "scheduled_from_utc": _utc(samples.scheduled_from_ms),
        "grids": [{"period_ms": period, "phase_ms": phase} for period, phase in samples.grids],
        "batches": sorted(samples.batches),
        "unsealed": samples.unsealed,
        "clock": dict(samples.clock),
        "largest_time_error_ms": samples.error_ms,
        "gaps": [plain(gap, zone) for gap in samples.gaps],
        "unplaced": [plain(lost, zone) for lost in samples.unplaced],
    }


def as_json(data: Mapping[str, Any]) -> str:
    """Indented JSON, the same for the same data."""
    return json.dumps(data, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


Row = tuple[str, str, str | None, str | None, object, str, str, str]


def haccp_rows(record: HaccpRecord) -> Iterator[Row]:
    """The record as rows of `CSV_HEAD`: English names, points as decimal marks, local times with offset."""
    zone, period, samples = record.period.zone, record.period, record.samples
    start, end = iso(period.start_ms, zone), iso(period.until_ms, zone)
    setting = record.setting
    for name, text in (
        ("member", setting.identity.member),
        ("site", setting.identity.site),
        ("gateway", setting.identity.gateway),
        ("point", setting.point.id),
        ("name", setting.point.name),
        ("sensor", f"{setting.point.device}.{setting.point.channel}"),
        ("time zone", zone.key),
        ("sha256 of the data", samples.digest),
        ("verification", record.proof.result),
    ):
        yield "identification", name, start, end, None, "", "", text
    yield from _figure_rows("period", (start, end), record.figures, samples)
    for day in record.days:
        stretch = iso(day.start_ms, zone), iso(day.end_ms, zone)
        yield from _figure_rows(f"day {day.day.isoformat()}", stretch, day.figures, samples)
    yield from _limit_rows(record)
    yield from _alarm_rows(record)
    yield from _entry_rows(record)


def _limit_rows(record: HaccpRecord) -> Iterator[Row]:
    zone, period = record.period.zone, record.period
    start, end = iso(period.start_ms, zone), iso(period.until_ms, zone)
    for past in record.beyond:
        limit = past.limit
        since = start if limit.since_ms is None else iso(limit.since_ms, zone)
        until = end if limit.until_ms is None else iso(limit.until_ms, zone)
        source = "; ".join(limit.sources)
        yield "limit", limit.rule, since, until, limit.value, limit.unit, "", source
        yield "limit", f"{limit.rule}: samples beyond", since, until, past.samples, "", "", ""
        yield "limit", f"{limit.rule}: time beyond", since, until, past.duration_ms / 1000, "s", "", ""
        yield "limit", f"{limit.rule}: worst", iso(past.worst_at_ms, zone), None, past.worst, limit.unit, "", ""


def _alarm_rows(record: HaccpRecord) -> Iterator[Row]:
    zone, samples = record.period.zone, record.samples
    for held in record.alarms:
        name = f"{held.alarm} {held.occurrence}"
        began, ended = iso(held.since_ms, zone), iso(held.returned_ms, zone)
        yield "alarm", name, began, ended, held.worst, held.unit, "", held.state
        for step in held.transitions:
            yield (
                "alarm step",
                f"{name}: {step.kind}",
                iso(step.at_ms, zone),
                None,
                None,
                "",
                step.person,
                step.text,
            )
    for gap in samples.gaps:
        causes = ", ".join(f"{cause_words(cause)}: {slots}" for cause, slots in gap.causes.items())
        yield "gap", gap.cause, iso(gap.start_ms, zone), iso(gap.end_ms, zone), gap.slots, "samples", "", causes
    for one in record.later:
        began, ended = iso(one.start_ms, zone), iso(one.end_ms, zone)
        yield "read later", one.source, began, ended, one.slots, "samples", "", f"sha256 {one.sha256}"
        yield "read later", "lowest", began, ended, one.low, samples.unit, "", ""
        yield "read later", "highest", began, ended, one.high, samples.unit, "", ""


def _entry_rows(record: HaccpRecord) -> Iterator[Row]:
    zone, samples = record.period.zone, record.samples
    for entry in (*record.calibrations, *record.actions):
        yield entry_row(entry, zone)
    for state in record.states:
        yield (
            "state",
            state.kind,
            iso(state.start_ms, zone),
            iso(state.end_ms, zone),
            None,
            "",
            state.person,
            state.text,
        )
    for label in record.labels:
        yield (
            "label",
            label.kind,
            iso(label.start_ms, zone),
            iso(label.end_ms, zone),
            label.peak,
            samples.unit,
            "",
            "",
        )
    for outcome in record.outcomes:
        words = "; ".join(text for text in (outcome.words, outcome.source) if text)
        yield (
            "process",
            outcome.calculation,
            iso(outcome.at_ms, zone),
            None,
            outcome.result,
            outcome.unit,
            "",
            words,
        )
    for change in record.changes:
        yield "change", change.kind, iso(change.at_ms, zone), None, None, "", change.person, change.text


def _figure_rows(
    section: str, stretch: tuple[str | None, str | None], figures: Figures, samples: Samples
) -> Iterator[Row]:
    (start, end), zone = stretch, samples.period.zone
    for name, value in (
        ("scheduled", figures.scheduled),
        ("covered", figures.covered),
        ("good", figures.good),
        ("uncertain", figures.uncertain),
        ("bad", figures.bad),
        *((f"missed: {cause}", slots) for cause, slots in figures.missed.items()),
    ):
        yield section, name, start, end, value, "samples", "", ""
    unit = samples.unit
    yield section, "lowest", iso(figures.low_at_ms, zone), None, figures.low, unit, "", ""
    yield section, "highest", iso(figures.high_at_ms, zone), None, figures.high, unit, "", ""
    yield section, "mean", start, end, figures.mean, unit, "", ""


def entry_row(entry: Entry, zone: ZoneInfo) -> Row:
    """A record of a person."""
    words = [entry.text, f"supersedes {entry.supersedes}" if entry.supersedes else ""]
    words.append(f"superseded by {entry.superseded_by}" if entry.superseded_by else "")
    words.append("withdrawn" if entry.withdrawn else "")
    text = "; ".join(word for word in words if word)
    return entry.kind, entry.record, iso(entry.done_ms, zone), None, None, "", entry.person, text


def as_csv(rows: Iterator[Row]) -> str:
    """The rows as CSV (RFC 4180, but for line ends). What a spreadsheet would take for a formula is quoted."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(CSV_HEAD)
    for row in rows:
        lines.writerow([_cell(value) for value in row])
    return out.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        return f"'{value}"
    return "" if value is None else value
