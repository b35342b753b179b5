"""A calculation over past data, by the same code as live."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from gateway.assess.process.calculation import NOTHING
from gateway.assess.process.catalogue import make
from gateway.assess.process.outcome import Outcome, PointValue, Refusal

__all__ = ["Row", "calculate", "evaluate", "trace"]


class Row(NamedTuple):
    """One line of past data: UTC seconds, a value or None, further inputs by name."""

    t: float
    value: float | None
    more: Mapping[str, float | None] = NOTHING


def calculate(
    name: str, parameters: Mapping[str, Any], rows: Iterable[Row | tuple[float, float | None]]
) -> Outcome:
    """The outcome of a finished run over ``rows``, in rising time.

    Raises `ParameterError` for mistakes in the parameters and `ValueError` where time does not rise.
    """
    calculation = make(name, parameters)
    for row in rows:
        t, value, more = row if isinstance(row, Row) else Row(*row)
        calculation.feed(t, value, "no value", more)
    return calculation.result(ended=True)


def trace(
    name: str, parameters: Mapping[str, Any], rows: Iterable[Row | tuple[float, float | None]]
) -> Iterator[tuple[float, Outcome]]:
    """The outcome after every row, for charts and replay; the last one is of the finished run."""
    calculation = make(name, parameters)
    held: float | None = None
    for row in rows:
        if held is not None:
            yield held, calculation.result()
        t, value, more = row if isinstance(row, Row) else Row(*row)
        calculation.feed(t, value, "no value", more)
        held = t
    if held is not None:
        yield held, calculation.result(ended=True)


def evaluate(
    name: str, parameters: Mapping[str, Any], at: float, more: Mapping[str, float | None] = NOTHING
) -> PointValue | Refusal:
    """What a formula or table gives at one value. Raises `ParameterError`."""
    return make(name, parameters).at(at, more)
