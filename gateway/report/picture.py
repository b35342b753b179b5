"""The chart of a HACCP record."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from gateway.chart import Chart, Gap, Instant, Limit, Series, Span, draw
from gateway.language import Language
from gateway.report.alarms import Occurrence
from gateway.report.content import Picture
from gateway.report.entries import Change, ClockNote, Label, State
from gateway.report.figures import LimitLine
from gateway.report.haccp import HaccpRecord, Setting
from gateway.report.names import CHANGE_NAMES, CLOCK_NAMES, RULES, STATE_KINDS, named
from gateway.report.period import Period
from gateway.report.samples import Samples, cause_words

__all__ = ["Charted", "chart_of", "limit_words", "picture_of"]

LETTERS = {"defrost": "D", "door": "O", "start-up": "S", "cleaning": "C", "loading": "L"}
INSTANTS = {"power_up": "P", "config.changed": "K", "clock.step": "T", "clock.correction": "T"}
KINDS = {"critical": "critical", "alert": "alert"}


class Charted(Protocol):
    """What a chart shows of a record; a HACCP record has all of it."""

    @property
    def setting(self) -> Setting: ...
    @property
    def period(self) -> Period: ...
    @property
    def samples(self) -> Samples: ...
    @property
    def limits(self) -> Sequence[LimitLine]: ...
    @property
    def alarms(self) -> Sequence[Occurrence]: ...
    @property
    def states(self) -> Sequence[State]: ...
    @property
    def labels(self) -> Sequence[Label]: ...
    @property
    def clock(self) -> Sequence[ClockNote]: ...
    @property
    def changes(self) -> Sequence[Change]: ...


def limit_words(limit: LimitLine, decimals: int | None, language: Language) -> str:
    """The limit as it stands at its line: ``critical limit 7.0 °C``."""
    value = language.quantity(limit.value, decimals, limit.unit)
    if limit.tier == "critical":
        words = language("critical limit {value}", value=value)
    else:
        words = language("alert limit {value}", value=value)
    return words


def chart_of(record: Charted, language: Language) -> Chart:
    """The content of the chart, without its form."""
    samples, period = record.samples, record.period
    quality = bytes(samples.quality)
    raw = None
    if samples.indicated and any(a != b for a, b in zip(samples.indicated, samples.values, strict=True) if a == a):  # noqa: PLR0124
        marks = bytes(q if v == v else 0x80 for q, v in zip(quality, samples.indicated, strict=True))  # noqa: PLR0124
        raw = Series(samples.at, samples.indicated, marks)
    return Chart(
        title=record.setting.point.name,
        start_ms=period.start_ms,
        end_ms=period.end_ms,
        zone=period.zone,
        unit=samples.unit,
        decimals=samples.decimals,
        series=Series(samples.at, samples.values, quality),
        indicated=raw,
        gaps=tuple(Gap(gap.start_ms, gap.end_ms, language(cause_words(gap.cause))) for gap in samples.gaps),
        limits=tuple(
            Limit(
                limit.value,
                limit.side,
                limit.tier == "critical",
                limit_words(limit, samples.decimals, language),
                limit.since_ms,
                limit.until_ms,
            )
            for limit in record.limits
        ),
        spans=tuple(_spans(record, language)),
        instants=tuple(_instants(record, language)),
    )


def _spans(record: Charted, language: Language) -> Iterator[Span]:
    until = record.period.until_ms
    for held in record.alarms:
        start = held.since_ms if held.since_ms is not None else held.raised_ms
        if start is None:
            continue
        kind = held.tier if held.tier in {"critical", "alert"} else "other"
        end = held.returned_ms if held.returned_ms is not None else until
        words = named(RULES, held.rule, language)
        yield Span(start, end, kind, str(held.number), language("alarm"), words)  # type: ignore[arg-type]
    for label in record.labels:
        words = named(STATE_KINDS, label.kind, language)
        yield Span(label.start_ms, label.end_ms or until, "bar", LETTERS[label.kind], words)
    for state in record.states:
        if state.start_ms is not None:
            words = language("declared: {state}", state=named(STATE_KINDS, state.kind, language))
            letter = LETTERS.get(state.kind, "Z").lower()
            yield Span(state.start_ms, state.end_ms or until, "bar", letter, words, state.person)


def _instants(record: Charted, language: Language) -> Iterator[Instant]:
    for change in record.changes:
        if change.kind in INSTANTS and change.at_ms is not None:
            yield Instant(change.at_ms, INSTANTS[change.kind], named(CHANGE_NAMES, change.kind, language))
    for note in record.clock:
        if note.kind in INSTANTS and note.at_ms is not None:
            yield Instant(note.at_ms, INSTANTS[note.kind], named(CLOCK_NAMES, note.kind, language))


def picture_of(record: HaccpRecord, language: Language) -> Picture:
    """The chart in both widths."""
    chart = chart_of(record, language)
    return Picture(draw(chart, language, width=720, height=230), draw(chart, language, width=350, height=200))
