"""Published values with their sources, and courses of temperature to feed."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from gateway.assess.process.calculation import Calculation

DATA = Path(__file__).parent / "data"


@cache
def published(name: str) -> Any:
    """A file of tests/process/data."""
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


def feed(
    calculation: Calculation, values: list[float | None], step: float = 10.0, start: float = 0.0
) -> Calculation:
    """Feed values at even distances."""
    for number, value in enumerate(values):
        calculation.feed(start + number * step, value)
    return calculation


def ramp(first: float, last: float, count: int) -> list[float]:
    return [first + (last - first) * number / (count - 1) for number in range(count)]
