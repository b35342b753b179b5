"""From samples to polylines: exact minimum and maximum of every pixel column, never a line across a gap.

A run of neighbouring good (or uncertain) samples is one polyline. Where it has more samples than its columns show,
each column gets its first, lowest, highest and last value, in place of all of them: no extreme is lost (unlike with
"largest triangle" methods), and what is drawn is nowhere outside what was measured.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gateway.chart.content import Series

__all__ = ["Frame", "Ink", "Run", "ink", "runs"]

DENSE = 3
"""Samples a column from which on columns are drawn instead of samples."""


class Frame(NamedTuple):
    """Where the plot is: times and values of its edges, and its place in points."""

    left: float
    top: float
    width: float
    height: float
    start_ms: int
    end_ms: int
    low: float
    high: float

    def x(self, at_ms: float) -> float:
        """Points from the left edge of the drawing."""
        return self.left + (at_ms - self.start_ms) / (self.end_ms - self.start_ms) * self.width

    def y(self, value: float) -> float:
        """Points from the top edge of the drawing."""
        return self.top + (self.high - value) / (self.high - self.low) * self.height

    def within(self, at_ms: float) -> float:
        """The nearest time inside the plot."""
        return min(max(at_ms, self.start_ms), self.end_ms)


class Run(NamedTuple):
    """Samples ``first`` to ``last`` - 1, of one severity and without a gap between them."""

    first: int
    last: int
    uncertain: bool


class Ink(NamedTuple):
    """Polylines of one kind in tenths of a point; ``dots`` are samples that have no neighbour to be joined to."""

    lines: list[list[tuple[int, int]]]
    dots: list[list[tuple[int, int]]]


_SEVERITIES = re.compile(rb"[\x00-\x3f]+|[\x40-\x7f]+")


def runs(series: Series, start_ms: int, end_ms: int, breaks: Iterable[int]) -> Iterator[Run]:
    """The runs of a series within ``start_ms`` <= time < ``end_ms``; ``breaks`` are times that no run spans."""
    times, quality = series.times, series.quality
    first, last = bisect_left(times, start_ms), bisect_left(times, end_ms)
    cuts = sorted({bisect_left(times, at_ms) for at_ms in breaks})
    cut = bisect_left(cuts, first + 1)
    for match in _SEVERITIES.finditer(quality, first, last):
        begin, end = match.span()
        uncertain = quality[begin] >= 0x40
        while cut < len(cuts) and cuts[cut] <= begin:
            cut += 1
        while cut < len(cuts) and cuts[cut] < end:
            yield Run(begin, cuts[cut], uncertain)
            begin = cuts[cut]
            cut += 1
        yield Run(begin, end, uncertain)


def ink(series: Series, frame: Frame, found: Sequence[Run], breaks: Iterable[int], *, uncertain: bool) -> Ink:
    """What is to be drawn of the good runs, or of the uncertain ones with what joins them to good ones."""
    cuts = {bisect_left(series.times, at_ms) for at_ms in breaks}
    ends = {run.last for run in found} - cuts
    starts = {run.first for run in found} - cuts
    lines: list[list[tuple[int, int]]] = []
    specks: dict[int, list[int]] = {}
    # More runs than columns: what is narrower than a column is put together there, as the samples of a run are.
    crowded = len(found) > frame.width
    for run in found:
        if run.uncertain is not uncertain:
            continue
        first, last = run.first, run.last
        if uncertain:
            first -= first in ends
            last += last in starts
        points = _points(series, frame, first, last)
        if points[-1][0] - points[0][0] >= (10 if crowded else 1):
            lines.append(points)
        else:
            x = _column_x(frame, series.times[first]) if crowded else points[0][0]
            heights = [y for _, y in points]
            known = specks.setdefault(x, [min(heights), max(heights)])
            known[:] = min(known[0], *heights), max(known[1], *heights)
    dots = [[(x, low)] if low == high else [(x, low), (x, high)] for x, (low, high) in sorted(specks.items())]
    return Ink(lines, dots)


def _column_x(frame: Frame, at_ms: int) -> int:
    return 10 * int(frame.x(at_ms)) + 5


def _points(series: Series, frame: Frame, first: int, last: int) -> list[tuple[int, int]]:
    times, values = series.times, series.values
    span_ms = frame.end_ms - frame.start_ms
    x_scale, y_scale = 10 * frame.width / span_ms, 10 * frame.height / (frame.high - frame.low)
    x_zero, y_zero = 10 * frame.left - frame.start_ms * x_scale, 10 * frame.top + frame.high * y_scale
    columns = max(1, int(frame.width))
    first_column = (times[first] - frame.start_ms) * columns // span_ms
    last_column = min(columns - 1, (times[last - 1] - frame.start_ms) * columns // span_ms)
    if last - first <= DENSE * (last_column - first_column + 1):
        return [
            (round(at * x_scale + x_zero), round(y_zero - value * y_scale))
            for at, value in zip(times[first:last], values[first:last], strict=True)
        ]
    points: list[tuple[int, int]] = []
    begin = first
    for column in range(first_column, last_column + 1):
        end = last if column == last_column else bisect_left(times, _edge(frame, column + 1, columns), begin, last)
        if end == begin:
            continue
        here = values[begin:end]
        x = round(10 * frame.left + (column + 0.5) * 10 * frame.width / columns)
        enter, leave = round(y_zero - here[0] * y_scale), round(y_zero - here[-1] * y_scale)
        top, bottom = round(y_zero - max(here) * y_scale), round(y_zero - min(here) * y_scale)
        for y in (enter, top, bottom, leave) if enter - top < bottom - enter else (enter, bottom, top, leave):
            if not points or points[-1] != (x, y):
                points.append((x, y))
        begin = end
    return points


def _edge(frame: Frame, column: int, columns: int) -> int:
    """First millisecond of a column."""
    return frame.start_ms - (-column * (frame.end_ms - frame.start_ms) // columns)
