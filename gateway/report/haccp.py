"""The HACCP record of one point over one period: a pure model, computed from samples and events alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from hashlib import sha256
from itertools import pairwise
from typing import Any, NamedTuple

from gateway.model import DeviceLayout
from gateway.report.alarms import Occurrence, limits_seen, occurrences
from gateway.report.entries import (
    Change,
    ClockNote,
    Entry,
    Label,
    ProcessOutcome,
    State,
    changes,
    clock_notes,
    entries,
    labels,
    outcomes,
    states,
)
from gateway.report.figures import Beyond, Figures, LimitLine, beyond, figures, time_beyond
from gateway.report.later import Later, read_later
from gateway.report.period import Period
from gateway.report.samples import Happening, Samples
from gateway.site import Identity, PointSpec

__all__ = [
    "Certificate",
    "Day",
    "HaccpRecord",
    "Proof",
    "Setting",
    "calibrations_of",
    "certificates",
    "haccp_record",
    "limits_in_force",
]


ACTIONS = ("record.corrective", "record.note")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the verification of the signature chain found when the report was made.

    ``result`` is ``whole``, ``held`` (whole as far as it is still held here), ``broken`` or ``nothing`` (no batch).
    ``covered`` has by stream the last sequence that a checked receipt of the cluster covers.
    """

    result: str
    scan_batches: int = 0
    event_batches: int = 0
    absent: int = 0
    """Batches that retention has taken from here."""
    anchored: bool = False
    """Whether the keys were given from outside, and not only found with the record."""
    keys: tuple[str, ...] = ()
    covered: Mapping[str, int] = field(default_factory=dict)
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The calibration of a channel as the gateway used it, from ``since_ms`` on (None: before what is known)."""

    since_ms: int | None
    certificate: str
    valid_until: date | None
    points: tuple[tuple[float, float], ...] = ()


class Setting(NamedTuple):
    """What a report is about, besides the record itself."""

    identity: Identity
    point: PointSpec
    limits: Sequence[LimitLine]
    """Limits by the site file, empty where none are known."""
    digest: str
    """SHA-256 of the site file."""
    version: str
    """Of the software."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One local day of a longer period."""

    day: date
    start_ms: int
    end_ms: int
    figures: Figures
    alarms: int
    """Alarms that were raised on it."""
    beyond_ms: int
    """Time beyond critical limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HaccpRecord:
    """All that the record says of a point in a period. Times are Unix ms."""

    setting: Setting
    period: Period
    samples: Samples
    figures: Figures
    days: list[Day]
    limits: list[LimitLine]
    limits_from: str
    """``site file``, ``alarm record``, or ``none``."""
    same_configuration: bool | None
    """Whether the period ended under the site file of today; None where that is not known."""
    beyond: list[Beyond]
    beyond_critical_ms: int | None
    """Time beyond any critical limit; None where none is known."""
    alarms: list[Occurrence]
    certificates: list[Certificate]
    calibrations: list[Entry]
    actions: list[Entry]
    outcomes: list[ProcessOutcome]
    states: list[State]
    labels: list[Label]
    clock: list[ClockNote]
    changes: list[Change]
    later: list[Later]
    """What was read later from the sensor's own memory, for slots that were missed."""
    proof: Proof
    batch_ranges: list[tuple[int, int]]
    batch_digest: str
    """SHA-256 over the leaf hashes of the batches, in order."""


def haccp_record(
    setting: Setting,
    samples: Samples,
    events: Sequence[Happening],
    layouts: Sequence[tuple[int | None, DeviceLayout]],
    proof: Proof,
) -> HaccpRecord:
    """The record of ``setting.point``. ``events`` are all of the gateway, in order; ``layouts`` those of its device
    with the time from which each was in use."""
    period, point = samples.period, setting.point
    start, until = period.start_ms, period.until_ms
    inside = [event for event in events if event.utc_ms is not None and start <= event.utc_ms < until]
    alarms = occurrences(events, samples, point=point.id, device=point.device, start_ms=start, until_ms=until)
    limits, limits_from = limits_in_force(setting, samples, alarms)
    critical = [limit for limit in limits if limit.tier == "critical"]
    return HaccpRecord(
        setting=setting,
        period=period,
        samples=samples,
        figures=figures(samples, start, until),
        days=[_day(samples, limits, alarms, day) for day in period.days()] if period.kind != "day" else [],
        limits=limits,
        limits_from=limits_from,
        same_configuration=_same(events, until, setting.digest),
        beyond=beyond(samples, limits, start, until),
        beyond_critical_ms=time_beyond(samples, critical, start, until) if critical else None,
        alarms=alarms,
        certificates=certificates(layouts, point.channel, start, until),
        calibrations=calibrations_of(events, [point], until),
        actions=[entry for entry in _mine(entries(events, ACTIONS), point) if _within(entry, start, until)],
        outcomes=outcomes(inside, point.id),
        states=states(events, point.id, start, until),
        labels=labels(events, point.device, start, until),
        clock=clock_notes(inside),
        changes=changes(inside),
        later=read_later(events, point.device, point.channel, period),
        proof=proof,
        batch_ranges=_ranges(samples.batches),
        batch_digest=sha256(b"".join(samples.batches[seq] for seq in sorted(samples.batches))).hexdigest(),
    )


def _day(
    samples: Samples, limits: Iterable[LimitLine], alarms: Iterable[Occurrence], local: tuple[date, int, int]
) -> Day:
    day, start, end = local
    critical = [limit for limit in limits if limit.tier == "critical"]
    return Day(
        day=day,
        start_ms=start,
        end_ms=end,
        figures=figures(samples, start, end),
        alarms=sum(start <= step.at_ms < end for held in alarms for step in held.of("alarm.raised") if step.at_ms),
        beyond_ms=time_beyond(samples, critical, start, end),
    )


def limits_in_force(
    setting: Setting, samples: Samples, alarms: Sequence[Occurrence]
) -> tuple[list[LimitLine], str]:
    """The limits of the site file; where alarms of the period carried another value of a rule, that one until then.

    Without limits in the site file those that alarms carried.
    """
    seen = limits_seen(alarms, samples.unit)
    by_rule = {limit.rule: limit for limit in setting.limits if limit.unit == samples.unit}
    if not by_rule:
        steps = [step for rule in dict.fromkeys(limit.rule for limit in seen) for step in _steps(seen, rule)]
        return steps, "alarm record" if steps else "none"
    found: list[LimitLine] = []
    for rule, limit in by_rule.items():
        other = [line for line in seen if line.rule == rule and line.value != limit.value]
        if not other:
            found.append(limit)
            continue
        ends = max(line.since_ms or 0 for line in other)
        same = [line.since_ms for line in seen if line.rule == rule and line.value == limit.value and line.since_ms]
        change = min((at for at in same if at > ends), default=ends)
        found += _steps([*other, _since(limit, change)], rule)
    return found, "site file"


def _since(limit: LimitLine, at_ms: int | None) -> LimitLine:
    return replace(limit, since_ms=at_ms)


def _steps(lines: Iterable[LimitLine], rule: str) -> list[LimitLine]:
    """The values that one rule had, each until the next was seen; the first from the start."""
    mine = sorted((line for line in lines if line.rule == rule), key=lambda line: line.since_ms or 0)
    found = [replace(before, until_ms=after.since_ms) for before, after in pairwise(mine)] + mine[-1:]
    return [replace(found[0], since_ms=None), *found[1:]] if found else []


def _same(events: Iterable[Happening], until_ms: int, digest: str) -> bool | None:
    """Whether the last start before the end of the period was made with the site file of today."""
    used = None
    for event in events:
        if event.kind == "power_up" and (event.utc_ms is None or event.utc_ms < until_ms):
            used = event.data.get("config")
    return None if not isinstance(used, str) or not digest else used == digest


def certificates(
    layouts: Iterable[tuple[int | None, DeviceLayout]], channel: str, start_ms: int, until_ms: int
) -> list[Certificate]:
    """The calibrations of a channel that were in use in a stretch, as the layouts on record have them."""
    found: list[Certificate] = []
    for since, layout in layouts:
        if since is not None and since >= until_ms:
            continue
        made = _certificate(since, layout.calibration.get(channel, {}))
        if since is None or since <= start_ms:
            found = [made]
        elif not found or (found[-1].certificate, found[-1].points) != (made.certificate, made.points):
            found.append(made)
    return found


def _certificate(since: int | None, data: Mapping[str, Any]) -> Certificate:
    stated = data.get("valid_until")
    try:
        valid = (
            date.fromisoformat(stated) if isinstance(stated, str) else stated if isinstance(stated, date) else None
        )
    except ValueError:
        valid = None
    name = data.get("certificate")
    return Certificate(
        since_ms=since,
        certificate=name if isinstance(name, str) else "",
        valid_until=valid,
        points=tuple(_pairs(data.get("points"))),
    )


def _pairs(points: object) -> Iterator[tuple[float, float]]:
    """Indicated and true value of each point of a certificate."""
    for pair in points if isinstance(points, list | tuple) else ():
        match pair:
            case [int() | float() as shown, int() | float() as true]:
                yield float(shown), float(true)


def _within(entry: Entry, start_ms: int, until_ms: int) -> bool:
    """Whether something was done or entered in a stretch; one without a known time may have been."""
    times = [at for at in (entry.at_ms, entry.done_ms) if at is not None]
    return not times or any(start_ms <= at < until_ms for at in times)


def calibrations_of(events: Iterable[Happening], points: Iterable[PointSpec], until_ms: int) -> list[Entry]:
    """Calibrations and verifications of the channels of points, entered before ``until_ms``, oldest first."""
    every = entries(events, ("record.calibration", "record.verification"))
    mine = {id(entry) for point in points for entry in _mine(every, point)}
    return [entry for entry in every if id(entry) in mine and (entry.at_ms is None or entry.at_ms < until_ms)]


def _mine(found: Iterable[Entry], point: PointSpec) -> list[Entry]:
    """Entries that name the point, its channel, or its device without a channel."""
    kept = []
    for entry in found:
        data = entry.data
        channel = data.get("channel")
        whole = f"{point.device}.{point.channel}"
        same_device = data.get("device") == point.device and channel in (None, "", point.channel)
        if data.get("point") == point.id or channel == whole or same_device:
            kept.append(entry)
    return kept


def _ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] + 1 == number:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found
