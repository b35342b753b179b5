"""The legend: only what is in the picture, each with its sign."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gateway.chart.content import Chart, Instant, Limit, Span
from gateway.chart.drawing import Box, Item, Line, Shape, Stroke, Words, text_width
from gateway.chart.envelope import Run
from gateway.language import Language

__all__ = ["Shown", "legend", "tag"]

ROW = 15.0
SIGN = 18.0


class Shown(NamedTuple):
    """What is in the picture, and therefore in its legend."""

    chart: Chart
    spans: Sequence[Span]
    instants: Sequence[Instant]
    limits: Sequence[Limit]
    """Those without a label at their line."""
    runs: Sequence[Run]


def legend(shown: Shown, language: Language, *, left: float, top: float, width: float) -> tuple[list[Item], float]:
    """The rows of the legend from ``top`` on, wrapped at ``width``, and where they end."""
    items: list[Item] = []
    x, y = left, top + 11
    for style, sign, words in _entries(shown, language):
        room = SIGN + 4 + text_width(words, 10)
        if x > left and x + room > width - 4:
            x, y = left, y + ROW
        items.append(_sign(style, sign, x, y))
        if sign:
            items.append(Words(x + SIGN / 2, y, sign, "bar-text" if style == "bar" else "instant-text", "middle"))
        items.append(Words(x + SIGN + 4, y, words, "small"))
        x += room + 12
    return items, y + 5 if items else top


def _entries(shown: Shown, language: Language) -> Iterator[tuple[str, str, str]]:
    """Style, letter and words of each sign in the picture."""
    chart, spans, instants, limits, found = shown
    if chart.indicated is not None:
        yield "trace", "", language("corrected value")
        yield "indicated", "", language("as indicated by the device")
    if any(run.uncertain for run in found):
        yield "doubt", "", language("uncertain value")
    if any(gap.end_ms > chart.start_ms and gap.start_ms < chart.end_ms for gap in chart.gaps):
        yield "gap", "", language("no data")
    for limit in {(limit.label, limit.critical): limit for limit in limits}.values():
        yield "critical-limit" if limit.critical else "alert-limit", "", limit.label
    for kind, words in (
        ("critical", language("critical alarm")),
        ("alert", language("alert")),
        ("other", language("other alarm")),
    ):
        if any(span.kind == kind for span in spans):
            yield f"{kind}-tag", "", words
    for letter, words in dict.fromkeys((span.letter, span.words) for span in spans if span.kind == "bar"):
        yield "bar", letter, words
    for letter, words in dict.fromkeys((mark.letter, mark.words) for mark in instants):
        yield "instant", letter, words


def _sign(style: str, letter: str, x: float, y: float) -> Item:
    if style.endswith("-tag"):
        return tag(x + 4, y - 10, style.removesuffix("-tag"))
    if style in {"gap", "bar"}:
        return Box(x, y - 9, SIGN, 11, style)
    if style == "instant":
        return Line(x + 2, y - 9, x + 2, y + 2, style) if letter else Line(x, y - 4, x + SIGN, y - 4, style)
    if style in {"trace", "doubt", "indicated"}:
        return Stroke([[(round(10 * x), round(10 * y - 40)), (round(10 * (x + SIGN)), round(10 * y - 40))]], style)
    return Line(x, y - 4, x + SIGN, y - 4, style)


def tag(x: float, y: float, kind: str) -> Shape:
    """The sign of a kind of alarm: triangle, diamond, square; told apart without colour."""
    match kind:
        case "critical":
            points = [(x, y + 11), (x + 5.5, y), (x + 11, y + 11)]
        case "alert":
            points = [(x, y + 6), (x + 5.5, y), (x + 11, y + 6), (x + 5.5, y + 12)]
        case _:
            points = [(x + 1, y + 1), (x + 10, y + 1), (x + 10, y + 10), (x + 1, y + 10)]
    return Shape(points, f"{kind}-tag")
