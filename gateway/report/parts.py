"""Sections of a HACCP record about the place and its calibration, in words."""

from collections.abc import Iterator, Sequence
from datetime import date
from zoneinfo import ZoneInfo

from gateway.language import Language, local_time
from gateway.report.content import Block, Heading, Paragraph, Table
from gateway.report.entries import Entry
from gateway.report.haccp import Certificate, HaccpRecord
from gateway.report.names import CHANGE_NAMES, STATE_KINDS, named

__all__ = ["DASH", "ROWS", "calibration_part", "certificate_words", "entry_table", "left_over", "place_part"]

DASH = "\N{EN DASH}"
ROWS = 200


def entry_table(
    found: Sequence[Entry], zone: ZoneInfo, language: Language, *, decimals: int | None, unit: str
) -> Table:
    """Records of people, with what took their place."""
    rows = []
    for entry in found:
        words = [entry.text] if entry.text else []
        words += _details(entry, decimals, unit, language)
        if entry.supersedes:
            words.append(language("supersedes {record}", record=entry.supersedes))
        if entry.superseded_by:
            words.append(language("superseded by {record}", record=entry.superseded_by))
        if entry.withdrawn:
            words.append(language("withdrawn"))
        rows.append(
            [
                entry.record or DASH,
                named(CHANGE_NAMES, entry.kind, language),
                language.moment(entry.done_ms, zone, seconds=False),
                entry.person or DASH,
                "; ".join(words) or DASH,
            ]
        )
    head = [language("Record"), language("Kind"), language("Time"), language("Person"), language("Text")]
    return Table(head, rows, "lllll", (10, 14, 20, 16, 40))


def _details(entry: Entry, decimals: int | None, unit: str, language: Language) -> Iterator[str]:
    """What a calibration or verification measured."""
    data = entry.data
    if isinstance(data.get("certificate"), str) and data["certificate"]:
        yield language("certificate {number}", number=data["certificate"])
    if isinstance(data.get("valid_until"), str):
        yield language("valid until {day}", day=_day(data["valid_until"], language))
    for name in ("reference_instrument", "reference"):
        if isinstance(data.get(name), str) and data[name]:
            yield language("reference {instrument}", instrument=data[name])
    for name, words in (
        ("deviation", language("deviation")),
        ("product", language("product")),
        ("prevention", language("prevention")),
    ):
        if isinstance(data.get(name), str) and data[name]:
            yield f"{words}: {data[name]}"
    points = data.get("points")
    for point in points if isinstance(points, list | tuple) else ():
        if not isinstance(point, dict):
            continue
        values = [
            f"{words} {language.quantity(float(value), decimals, unit)}"
            for name, words in (
                ("reference", language("reference")),
                ("as_found", language("as found")),
                ("as_left", language("as left")),
            )
            if isinstance(value := point.get(name), int | float) and not isinstance(value, bool)
        ]
        if values:
            yield " / ".join(values)
    for name, words in (("as_found_passed", language("as found")), ("as_left_passed", language("as left"))):
        if isinstance(data.get(name), bool):
            yield f"{words}: {_result(data[name], language)}"


def _day(text: str, language: Language) -> str:
    try:
        return language.day_of_year(date.fromisoformat(text))
    except ValueError:
        return text


def place_part(record: HaccpRecord, language: Language) -> Iterator[Block]:
    """Actions without an alarm, declared states, defrosts and doors, process results."""
    zone, samples = record.period.zone, record.samples
    if record.actions:
        yield Heading(language("Other corrective actions and notes"))
        yield entry_table(record.actions, zone, language, decimals=samples.decimals, unit=samples.unit)
    if record.states:
        yield Heading(language("Declared states"))
        rows = [
            [
                named(STATE_KINDS, state.kind, language),
                language.moment(state.start_ms, zone),
                language.moment(state.end_ms, zone) if state.end_ms is not None else language("goes on"),
                state.person or DASH,
                state.text or DASH,
            ]
            for state in record.states
        ]
        head = [language("State"), language("From"), language("To"), language("Person"), language("Text")]
        yield Table(head, rows, "lllll", (14, 22, 22, 16, 26))
    if record.labels:
        yield Heading(language("Defrosts and door openings"))
        rows = [
            [
                named(STATE_KINDS, label.kind, language),
                language.moment(label.start_ms, zone),
                language.moment(label.end_ms, zone) if label.end_ms is not None else language("goes on"),
                DASH if label.end_ms is None else language.duration(label.end_ms - label.start_ms),
                language.quantity(label.baseline, samples.decimals, samples.unit),
                language.quantity(label.peak, samples.decimals, samples.unit),
            ]
            for label in record.labels[:ROWS]
        ]
        head = [
            language("Kind"),
            language("From"),
            language("To"),
            language("Duration"),
            language("Before"),
            language("Peak"),
        ]
        yield Table(head, rows, "llllrr", (15, 25, 25, 13, 11, 11))
        yield from left_over(len(record.labels), language)
    if record.outcomes:
        yield Heading(language("Process results"))
        rows = [
            [
                language.moment(outcome.at_ms, zone),
                outcome.calculation or DASH,
                language("refused") if outcome.refused else _result(outcome.passed, language),
                DASH if outcome.result is None else language.quantity(outcome.result, None, outcome.unit),
                "; ".join(text for text in (outcome.words, outcome.source) if text) or DASH,
            ]
            for outcome in record.outcomes
        ]
        head = [
            language("Time"),
            language("Calculation"),
            language("Outcome"),
            language("Result"),
            language("Source"),
        ]
        yield Table(head, rows, "lllll", (22, 16, 12, 14, 36))


def _result(passed: bool | None, language: Language) -> str:
    if passed is None:
        return DASH
    return language("passed") if passed else language("not passed")


def left_over(count: int, language: Language) -> Iterator[Block]:
    """What is said of rows that are not shown."""
    if count > ROWS:
        words = language.many(
            "{n} more is in the electronic form.", "{n} more are in the electronic form.", count - ROWS
        )
        yield Paragraph(words, "note")


def certificate_words(
    used: Certificate, day: date, decimals: int | None, unit: str, language: Language
) -> tuple[str, str, str]:
    """Certificate, its state on a day, its points."""
    if not used.certificate:
        return language("none on record"), language("not calibrated"), DASH
    if used.valid_until is None:
        state = DASH
    elif used.valid_until < day:
        state = language("expired on {day}", day=language.day_of_year(used.valid_until))
    else:
        left = (used.valid_until - day).days
        valid = language("valid until {day}", day=language.day_of_year(used.valid_until))
        state = f"{valid} ({language.many('{n} day left', '{n} days left', left)})"
    points = ", ".join(
        f"{language.number(shown, decimals)} \N{RIGHTWARDS ARROW} {language.quantity(true, decimals, unit)}"
        for shown, true in used.points
    )
    return used.certificate, state, points or DASH


def calibration_part(record: HaccpRecord, language: Language) -> Iterator[Block]:
    """The certificates in use, and what was compared and calibrated."""
    zone, samples = record.period.zone, record.samples
    last_day = local_time(record.period.until_ms - 1, zone).date()
    yield Heading(language("Calibration"))
    rows = []
    for used in record.certificates:
        since = (
            language("before this period")
            if used.since_ms is None or used.since_ms <= record.period.start_ms
            else language.moment(used.since_ms, zone, seconds=False)
        )
        # Certificates are stated to hundredths where sensors show tenths.
        finer = None if samples.decimals is None else samples.decimals + 1
        rows.append([since, *certificate_words(used, last_day, finer, samples.unit, language)])
    if rows:
        head = [
            language("In use since"),
            language("Certificate"),
            language("State at the end of the period"),
            language("Indicated \N{RIGHTWARDS ARROW} true"),
        ]
        yield Table(head, rows, "llll", (20, 20, 28, 32))
    else:
        yield Paragraph(language("The layout of the sensor in this period is not on record here."), "warning")
    if record.calibrations:
        yield entry_table(record.calibrations, zone, language, decimals=samples.decimals, unit=samples.unit)
