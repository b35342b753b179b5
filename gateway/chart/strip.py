"""A strip chart laid out: what stands where, for screen and paper alike."""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gateway.chart.axes import clock_changes, time_ticks, value_ticks
from gateway.chart.content import Chart, Gap, Instant, Limit, Span
from gateway.chart.drawing import Box, Drawing, Item, Line, Stroke, Words, text_width
from gateway.chart.envelope import Frame, Run, ink, runs
from gateway.chart.legend import Shown, legend, tag
from gateway.chart.words import describe
from gateway.language import Language, local_time, offset_words

__all__ = ["draw"]

TAG_LANE = 15.0
BAR_LANE = 13.0
TEXT = 11.0
LONGEST_MS = 20 * 366 * 86_400_000


def draw(chart: Chart, language: Language, *, width: float = 720.0, height: float = 250.0) -> Drawing:
    """The drawing of a chart; ``height`` is that of the plot, without lanes, axis and legend.

    360 points of width suit a phone held upright. Raises ValueError for a stretch of time that is none, or for more
    than twenty years of it.
    """
    if not 0 < chart.end_ms - chart.start_ms <= LONGEST_MS or width < 200 or height < 60:
        message = f"a chart from {chart.start_ms} to {chart.end_ms}, {width} x {height} points, cannot be drawn"
        raise ValueError(message)
    breaks = [at for gap in chart.gaps for at in (gap.start_ms, gap.end_ms)]
    found = list(runs(chart.series, chart.start_ms, chart.end_ms, breaks))
    values = list(_extremes(chart, found))
    limits = [limit for limit in chart.limits if _overlaps(chart, limit.start_ms, limit.end_ms)]
    spans = [span for span in chart.spans if _overlaps(chart, span.start_ms, span.end_ms)]
    instants = [mark for mark in chart.instants if chart.start_ms <= mark.at_ms < chart.end_ms]
    letters = list(dict.fromkeys(span.letter for span in spans if span.kind == "bar"))
    tags = any(span.kind != "bar" for span in spans)
    top = 18 + TAG_LANE * tags + BAR_LANE * len(letters) + 12 * bool(instants)

    known = [*values, *_room(limits, values)]
    low, high, ticks = value_ticks(min(known), max(known), height, chart.decimals) if known else (0.0, 1.0, [])
    labels = [(tick, language.number(tick, _places(ticks))) for tick in ticks]
    left = 10 + max([text_width(label, TEXT) for _, label in labels] + [22.0])
    frame = Frame(left, top, width - left - 10, height, chart.start_ms, chart.end_ms, low, high)

    items: list[Item] = [Box(frame.left, top, frame.width, height, "band" if limits else "back")]
    items += _zones(limits, frame)
    items += _axes(chart, frame, labels, language)
    items += _alarm_tints(spans, frame)
    items += _gaps(chart.gaps, frame, language)
    items += _limits(limits, frame)
    items += _traces(chart, frame, found, breaks)
    offsets = list(_offsets(chart, frame, language))
    items += offsets
    labelled = _limit_labels(limits, frame, [item for item in offsets if isinstance(item, Words)])
    items += labelled
    items += _unsure(chart, frame, found)
    items += _lanes(spans, letters, instants, frame)
    items.append(Words(left - 4, 12, language.unit(chart.unit), "tick", "end"))
    bottom = top + height + 40
    described = describe(chart, limits, found, language)
    told = {item.text for item in labelled}
    untold = [limit for limit in limits if limit.label not in told]
    shown = Shown(chart, spans, instants, untold, found)
    rows, bottom = legend(shown, language, left=left, top=bottom, width=width)
    items += rows
    return Drawing(width, math.ceil(bottom), chart.title, described, items, _facts(chart, frame))


def _facts(chart: Chart, frame: Frame) -> dict[str, str]:
    """What a script needs to turn a place into time and value."""
    return {
        "start": str(frame.start_ms),
        "end": str(frame.end_ms),
        "left": f"{frame.left:.1f}",
        "right": f"{frame.left + frame.width:.1f}",
        "top": f"{frame.top:.1f}",
        "bottom": f"{frame.top + frame.height:.1f}",
        "low": repr(frame.low),
        "high": repr(frame.high),
        "decimals": "" if chart.decimals is None else str(chart.decimals),
        "unit": chart.unit,
        "zone": chart.zone.key,
    }


def _overlaps(chart: Chart, start_ms: int | None, end_ms: int | None) -> bool:
    return (start_ms is None or start_ms < chart.end_ms) and (end_ms is None or end_ms > chart.start_ms)


def _extremes(chart: Chart, found: Iterable[Run]) -> Iterator[float]:
    """Lowest and highest value of every run, and of the indicated values."""
    for run in found:
        here = chart.series.values[run.first : run.last]
        yield min(here)
        yield max(here)
    if chart.indicated is not None:
        for run in runs(chart.indicated, chart.start_ms, chart.end_ms, ()):
            here = chart.indicated.values[run.first : run.last]
            yield min(here)
            yield max(here)


def _room(limits: list[Limit], values: list[float]) -> Iterator[float]:
    """A little more than each limit, so that what lies beyond it is seen to be there."""
    known = [*values, *(limit.value for limit in limits)]
    rim = max((max(known) - min(known)) * 0.05, 1e-6) if known else 0.0
    for limit in limits:
        yield limit.value + (rim if limit.side == "high" else -rim)


def _places(ticks: list[float]) -> int:
    """Decimals that the steps of an axis need."""
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    return max(0, -math.floor(math.log10(step) + 1e-9))


def _axes(chart: Chart, frame: Frame, labels: list[tuple[float, str]], language: Language) -> Iterator[Item]:
    right, bottom = frame.left + frame.width, frame.top + frame.height
    for value, label in labels:
        y = frame.y(value)
        yield Line(frame.left, y, right, y, "grid")
        yield Words(frame.left - 5, y + 4, label, "tick", "end")
    times, days = time_ticks(frame.start_ms, frame.end_ms, frame.width, chart.zone, language)
    for tick in times:
        x = frame.x(tick.at)
        yield Line(x, frame.top, x, bottom, "grid")
        half = text_width(tick.label, TEXT) / 2
        if tick.label:
            yield Words(
                min(max(x, frame.left + half - 14), right + 10 - half), bottom + 19, tick.label, "tick", "middle"
            )
    for tick in days:
        x = frame.x(tick.at)
        if tick.at > frame.start_ms:
            yield Line(x, frame.top, x, bottom + 32, "frame")
        if tick.label:
            yield Words(x + (3 if tick.at > frame.start_ms else 0), bottom + 33, tick.label, "small")
    yield Line(frame.left, frame.top, frame.left, bottom, "frame")
    yield Line(frame.left, bottom, right, bottom, "frame")


def _offsets(chart: Chart, frame: Frame, language: Language) -> Iterator[Item]:
    """The zone above the plot, and every change of the clocks at its place."""
    right = frame.left + frame.width
    offset = offset_words(local_time(frame.start_ms, chart.zone))
    changes = list(clock_changes(frame.start_ms, frame.end_ms, chart.zone))
    zone = chart.zone.key.replace("_", " ")
    words = f"{language('local time')}, {zone}"
    if not changes:
        words += f" ({offset})"
    yield Words(right, 12, words, "small", "end")
    for at_ms, after in changes:
        x = frame.x(at_ms)
        yield Line(x, frame.top, x, frame.top + frame.height, "instant")
        room = right - x > text_width(after, 10) + 6
        text = f"\N{RIGHTWARDS ARROW} {after}"
        yield Words(
            x + (4 if room else -4), frame.top + frame.height - 6, text, "instant-text", "start" if room else "end"
        )


def _zones(limits: list[Limit], frame: Frame) -> Iterator[Item]:
    """What lies beyond a limit, up to the next limit of the same side or the edge."""
    for limit in limits:
        x1, x2 = _stretch(limit.start_ms, limit.end_ms, frame)
        beyond = [
            other.value
            for other in limits
            if other.side == limit.side
            and (other.value > limit.value if limit.side == "high" else other.value < limit.value)
            and _stretch(other.start_ms, other.end_ms, frame) == (x1, x2)
        ]
        if limit.side == "high":
            top, bottom = frame.y(min(beyond, default=frame.high)), frame.y(limit.value)
        else:
            top, bottom = frame.y(limit.value), frame.y(max(beyond, default=frame.low))
        if bottom - top >= 0.1 and x2 > x1:
            yield Box(x1, top, x2 - x1, bottom - top, "back")
            yield Box(x1, top, x2 - x1, bottom - top, "critical-zone" if limit.critical else "alert-zone")


def _stretch(start_ms: int | None, end_ms: int | None, frame: Frame) -> tuple[float, float]:
    start = frame.start_ms if start_ms is None else frame.within(start_ms)
    end = frame.end_ms if end_ms is None else frame.within(end_ms)
    return frame.x(start), frame.x(end)


def _limits(limits: list[Limit], frame: Frame) -> Iterator[Item]:
    for limit in limits:
        x1, x2 = _stretch(limit.start_ms, limit.end_ms, frame)
        y = frame.y(limit.value)
        yield Line(x1, y, x2, y, "critical-limit" if limit.critical else "alert-limit")


def _limit_labels(limits: list[Limit], frame: Frame, standing: list[Words]) -> list[Words]:
    """On the side of the line where there is room, critical ones first; one that fits nowhere is in the legend."""
    labels: list[Words] = []
    taken: list[tuple[float, float, float]] = []
    for words in standing:
        length = text_width(words.text, 10)
        start = words.x - length if words.anchor == "end" else words.x
        taken.append((words.y, start, start + length))
    for limit in sorted(limits, key=lambda one: not one.critical):
        x1, x2 = _stretch(limit.start_ms, limit.end_ms, frame)
        width = text_width(limit.label, 10.5)
        if x2 - x1 < width + 6:
            continue
        outward = -4 if limit.side == "high" else 12
        for shift in (outward, 12 if outward < 0 else -4):
            y = frame.y(limit.value) + shift
            if not frame.top + 8 <= y <= frame.top + frame.height - 1:
                continue
            if any(abs(y - other) < 12 and x2 - width < until and x2 > start for other, start, until in taken):
                continue
            taken.append((y, x2 - width, x2))
            labels.append(Words(x2 - 4, y, limit.label, "limit-label" if limit.critical else "alert-label", "end"))
            break
    return labels


def _alarm_tints(spans: list[Span], frame: Frame) -> Iterator[Item]:
    for span in spans:
        if span.kind != "bar":
            x1, x2 = _stretch(span.start_ms, span.end_ms, frame)
            yield Box(x1, frame.top, max(1.0, x2 - x1), frame.height, span.kind, span.detail)


class _Hatched(NamedTuple):
    x1: float
    x2: float
    cause: str


def _gaps(gaps: Iterable[Gap], frame: Frame, language: Language) -> Iterator[Item]:
    """Every gap is at least one point wide; those that would cover each other are drawn as one."""
    boxes: list[_Hatched] = []
    for gap in sorted(gaps):
        if gap.end_ms <= frame.start_ms or gap.start_ms >= frame.end_ms:
            continue
        x1 = frame.x(frame.within(gap.start_ms))
        x2 = max(frame.x(frame.within(gap.end_ms)), x1 + 1)
        if boxes and x1 < boxes[-1].x2 + 0.5:
            before = boxes[-1]
            cause = before.cause if before.cause == gap.cause else language("several causes")
            if before.cause == gap.cause or min(before.x2 - before.x1, x2 - x1) < 4:
                boxes[-1] = _Hatched(before.x1, max(before.x2, x2), cause)
                continue
        boxes.append(_Hatched(x1, x2, gap.cause))
    for box in boxes:
        words = f"{language('no data')}: {box.cause}"
        yield Box(box.x1, frame.top, box.x2 - box.x1, frame.height, "back")
        yield Box(box.x1, frame.top, box.x2 - box.x1, frame.height, "gap", words)
    for box in boxes:
        room = box.x2 - box.x1 - 6
        texts = (f"{language('no data')}: {box.cause}", language("no data"))
        words = next((text for text in texts if text_width(text, 10.5) < room), "")
        if words:
            yield Words((box.x1 + box.x2) / 2, frame.top + frame.height * 0.45, words, "gap-label", "middle")


def _traces(chart: Chart, frame: Frame, found: list[Run], breaks: list[int]) -> Iterator[Item]:
    if chart.indicated is not None:
        raw = list(runs(chart.indicated, chart.start_ms, chart.end_ms, breaks))
        for kind in (False, True):
            if lines := ink(chart.indicated, frame, raw, breaks, uncertain=kind).lines:
                yield Stroke(lines, "indicated")
    for uncertain, style in ((False, "trace"), (True, "doubt")):
        drawn = ink(chart.series, frame, found, breaks, uncertain=uncertain)
        if drawn.lines:
            yield Stroke(drawn.lines, style)
        if drawn.dots:
            yield Stroke(drawn.dots, "trace")


def _unsure(chart: Chart, frame: Frame, found: list[Run]) -> Iterator[Item]:
    """A dotted strip below the plot under values that are to be used with care."""
    times = chart.series.times
    strips: list[list[float]] = []
    for run in found:
        if run.uncertain:
            x1, x2 = frame.x(times[run.first]), frame.x(times[run.last - 1])
            x2 = max(x2, x1 + 1.5)
            if strips and x1 <= strips[-1][1] + 1.5:
                strips[-1][1] = max(strips[-1][1], x2)
            else:
                strips.append([x1, x2])
    for x1, x2 in strips:
        yield Box(x1, frame.top + frame.height + 2, x2 - x1, 5, "unsure")


def _lanes(spans: list[Span], letters: list[str], instants: list[Instant], frame: Frame) -> Iterator[Item]:
    """Above the plot: numbers of alarms, a lane for every kind of bar, letters of instants."""
    y = 18.0
    alarms = sorted((span for span in spans if span.kind != "bar"), key=lambda span: span.start_ms)
    if alarms:
        yield from _tags(alarms, frame, y)
        y += TAG_LANE
    for letter in letters:
        for span in spans:
            if span.kind == "bar" and span.letter == letter:
                x1, x2 = _stretch(span.start_ms, span.end_ms, frame)
                yield Box(x1, y + 1, max(2.0, x2 - x1), BAR_LANE - 2, "bar", span.detail)
                if x2 - x1 > text_width(letter, 10):
                    yield Words((x1 + x2) / 2, y + 10, letter, "bar-text", "middle")
                else:
                    yield Words(max(x1, x2) + 3, y + 10, letter, "small")
        y += BAR_LANE
    last = -math.inf
    for mark in sorted(instants):
        x = frame.x(mark.at_ms)
        yield Line(x, y + 10, x, frame.top + frame.height, "instant")
        if x - last >= 9:
            yield Words(x, y + 9, mark.letter, "instant-text", "middle")
            last = x


def _tags(alarms: list[Span], frame: Frame, y: float) -> Iterator[Item]:
    """Number and shape of each alarm; numbers without room for themselves are put together ("3 to 7")."""
    order = {"critical": 0, "alert": 1, "other": 2}
    groups: list[tuple[float, list[Span]]] = []
    for span in alarms:
        x = frame.x(frame.within(span.start_ms))
        if groups and x < groups[-1][0] + 16 + text_width(_numbers(groups[-1][1]), 10):
            groups[-1][1].append(span)
        else:
            groups.append((x, [span]))
    for x, together in groups:
        kind = min((span.kind for span in together), key=lambda one: order[one])
        text = _numbers(together)
        place = min(x, frame.left + frame.width - 14 - text_width(text, 10))
        yield tag(place, y + 1, kind)
        yield Words(place + 13, y + 11, text, "instant-text")


def _numbers(together: list[Span]) -> str:
    first, last = together[0].letter, together[-1].letter
    return first if len(together) == 1 else f"{first}\N{EN DASH}{last}"
