"""What is drawn of the samples: every extreme, and nothing that was not measured."""

import re
import sys
from collections.abc import Callable
from math import floor
from random import Random
from types import FrameType

import pytest
from chart_tools import DAY_MS, HOUR_MS, START_MS, chart, polylines, series
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.chart import Gap, draw, svg
from gateway.chart.drawing import Drawing, Stroke
from gateway.language import language

EN = language("en")


def strokes(drawing: Drawing, style: str = "trace") -> list[list[tuple[int, int]]]:
    """The strokes of a style that lie in the plot (the legend has its own samples of them)."""
    bottom = 10 * float(drawing.facts["bottom"])
    lines = [
        list(line)
        for item in drawing.items
        if isinstance(item, Stroke) and item.style == style
        for line in item.lines
    ]
    return [line for line in lines if line[0][1] <= bottom + 1]


def height(drawing: Drawing, value: float) -> float:
    low, high = float(drawing.facts["low"]), float(drawing.facts["high"])
    top, bottom = float(drawing.facts["top"]), float(drawing.facts["bottom"])
    return 10 * (top + (high - value) / (high - low) * (bottom - top))


@settings(max_examples=30, deadline=None)
@given(
    values=st.lists(st.one_of(st.none(), st.integers(-300, 300).map(lambda n: n / 10)), min_size=1, max_size=6000),
    step_ms=st.sampled_from([1000, 10_000, 60_000]),
)
def test_no_extreme_is_lost_and_no_gap_is_crossed(values: list[float | None], step_ms: int) -> None:
    end_ms = START_MS + max(HOUR_MS, len(values) * step_ms)
    drawing = draw(chart(series(values, step_ms), end_ms=end_ms), EN)
    drawn = strokes(drawing)
    known = [value for value in values if value is not None]
    if not known:
        assert drawn == []
        return
    heights = [y for line in drawn for _, y in line]
    assert abs(min(heights) - height(drawing, max(known))) <= 1
    assert abs(max(heights) - height(drawing, min(known))) <= 1
    left, right = 10 * float(drawing.facts["left"]), 10 * float(drawing.facts["right"])
    runs = len(re.findall("g+", "".join("-" if value is None else "g" for value in values)))
    assert len(drawn) <= runs, "never more lines than runs: a line has at least one sample, and a run one line"
    per_tenth = (right - left) / (end_ms - START_MS)
    for place, value in enumerate(values):
        x = left + place * step_ms * per_tenth
        if value is None:
            crossed = [line for line in drawn if line[0][0] < x - 16 and line[-1][0] > x + 16]
            assert crossed == [], "a line over a slot without a value"


def test_each_column_has_its_own_minimum_and_maximum() -> None:
    random = Random(5)
    values: list[float | None] = [round(random.gauss(4, 1), 1) for _ in range(8640)]
    drawing = draw(chart(series(values, 10_000)), EN)
    (line,) = strokes(drawing)
    columns = int(float(drawing.facts["right"]) - float(drawing.facts["left"]))
    lowest: dict[int, list[float]] = {}
    for place, value in enumerate(values):
        assert value is not None
        lowest.setdefault(floor(place * 10_000 * columns / DAY_MS), []).append(value)
    drawn: dict[int, list[int]] = {}
    for x, y in line:
        drawn.setdefault(x, []).append(y)
    assert len(drawn) == len(lowest)
    for (_, there), (_, heights) in zip(sorted(lowest.items()), sorted(drawn.items()), strict=True):
        assert abs(min(heights) - height(drawing, max(there))) <= 1
        assert abs(max(heights) - height(drawing, min(there))) <= 1


def test_a_gap_breaks_the_line_even_where_no_bad_sample_stands() -> None:
    samples = series([4.0] * 600)
    hole = Gap(samples.times[300] - 1000, samples.times[300] - 500, "gateway was not running")
    drawing = draw(chart(samples, gaps=(hole,)), EN)
    assert len(strokes(drawing)) == 2


def test_a_sample_between_two_gaps_is_a_dot() -> None:
    drawing = draw(chart(series([None, 4.0, None])), EN)
    ((dot,),) = strokes(drawing)
    assert abs(dot[1] - height(drawing, 4.0)) <= 1
    assert "h0" in svg(drawing)


def test_an_uncertain_stretch_is_dashed_and_joined_to_the_good_ones() -> None:
    drawing = draw(chart(series([4.0] * 100 + [5.0] * 100 + [4.0] * 100, doubt=set(range(100, 200)))), EN)
    (dashed,) = strokes(drawing, "doubt")
    before, after = strokes(drawing)
    assert dashed[0] == before[-1]
    assert dashed[-1] == after[0]
    assert any(item.style == "unsure" for item in drawing.items)


def test_an_uncertain_stretch_is_not_joined_over_a_gap() -> None:
    samples = series([4.0] * 100 + [5.0] * 100, doubt=set(range(100, 200)))
    hole = Gap(samples.times[99] + 1, samples.times[100] - 1, "gateway was not running")
    (dashed,) = strokes(draw(chart(samples, gaps=(hole,)), EN), "doubt")
    assert len(dashed) == 100


def test_the_path_says_what_the_drawing_says() -> None:
    random = Random(3)
    values: list[float | None] = [
        None if random.random() < 0.01 else round(random.gauss(-19, 2), 1) for _ in range(2000)
    ]
    drawing = draw(chart(series(values, 40_000)), EN)
    written = [line for line in polylines(svg(drawing)) if line[0][1] <= 10 * float(drawing.facts["bottom"]) + 1]
    drawn = strokes(drawing)
    assert [[p for i, p in enumerate(line) if i == 0 or p != line[i - 1]] for line in drawn] == [
        line[:1] + [p for i, p in enumerate(line) if i and p != line[i - 1]] for line in written
    ]


def test_what_flickers_stays_small() -> None:
    values: list[float | None] = [float(i % 7) if i % 2 else None for i in range(40_000)]
    samples = series(values, 2000)
    gaps = tuple(Gap(samples.times[i], samples.times[i] + 2000, "timeout") for i in range(0, 40_000, 2))
    assert len(svg(draw(chart(samples, gaps=gaps), EN))) < 60_000


def lines_run(work: Callable[[], object]) -> int:
    """Lines of Python that are run: what it costs, on any machine."""
    count = 0

    def step(_frame: FrameType, event: str, _argument: object) -> Callable[..., object]:
        nonlocal count
        count += event == "line"
        return step

    before = sys.gettrace()
    sys.settrace(step)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(("count", "step_ms", "days"), [(8640, 10_000, 1), (43_200, 60_000, 30)])
def test_work_and_size(count: int, step_ms: int, days: int) -> None:
    random = Random(1)
    values: list[float | None] = [
        None if random.random() < 0.001 else round(random.gauss(3, 1), 1) for _ in range(count)
    ]
    picture = chart(series(values, step_ms), end_ms=START_MS + days * DAY_MS)
    # What a picture needs whatever is in it; samples are gathered without a line of Python for each. Seconds are
    # measured by bench.page.
    assert lines_run(lambda: svg(draw(picture, EN))) < 45_000 + count // 2
    assert len(svg(draw(picture, EN))) < 45_000
