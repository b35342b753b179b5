"""Charts for the tests, and what was drawn, read back."""

import re
from array import array
from math import nan
from typing import Any
from zoneinfo import ZoneInfo

from gateway.chart import Chart, Series

PARIS = ZoneInfo("Europe/Paris")
START_MS = 1_795_474_800_000
"""24 November 2026, 00:00 in Paris."""
HOUR_MS = 3_600_000
DAY_MS = 86_400_000


def series(
    values: list[float | None], step_ms: int = 60_000, *, start_ms: int = START_MS, doubt: set[int] | None = None
) -> Series:
    """Samples at equal steps; None is a bad one, ``doubt`` are the places of uncertain ones."""
    quality = bytes(0x81 if v is None else 0x43 if doubt and i in doubt else 0 for i, v in enumerate(values))
    times = array("q", range(start_ms, start_ms + len(values) * step_ms, step_ms))
    return Series(times, array("d", [nan if v is None else v for v in values]), quality)


def chart(samples: Series, *, start_ms: int = START_MS, end_ms: int = START_MS + DAY_MS, **more: Any) -> Chart:
    """A chart of a cold room over one day."""
    facts: dict[str, Any] = {"title": "Cold room 1", "zone": PARIS, "unit": "degC", "decimals": 1}
    return Chart(start_ms=start_ms, end_ms=end_ms, series=samples, **(facts | more))


def polylines(picture: str) -> list[list[tuple[int, int]]]:
    """The polylines of all stroked paths of an SVG, absolute, in tenths of a point."""
    found = []
    for path in re.findall(r'stroke-linecap="\w+" d="([^"]*)"', picture):
        for part in path.split("M")[1:]:
            numbers = re.findall(r"([lhv])|(-?\d+)", part)
            (x, y), kind, pending = (int(numbers[0][1]), int(numbers[1][1])), "", []
            points = [(x, y)]
            for letter, number in numbers[2:]:
                if letter:
                    kind = letter
                    continue
                pending.append(int(number))
                if kind == "l" and len(pending) < 2:
                    continue
                x += pending[0] if kind in "lh" else 0
                y += pending[-1] if kind in "lv" else 0
                pending = []
                points.append((x, y))
            found.append(points)
    return found
