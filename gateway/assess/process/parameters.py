"""Parameters of calculations: declared once, checked alike for the site file and for the command line."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from gateway.errors import AuroraError

__all__ = ["Parameter", "ParameterError", "ParameterProblem", "check_parameters", "close_to"]

Kind = Literal["number", "text", "flag", "table", "rows"]

_WORDS: dict[str, str] = {
    "number": "a number",
    "text": "a string",
    "flag": "true or false",
    "table": "a table of numbers",
    "rows": "a list of lists of numbers",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One setting of a calculation.

    ``default`` None means that it may be left out and then has no value; ``required`` that it may not. ``low`` and
    ``high`` are inclusive. ``choices`` gives the words that are allowed, looked up when it is checked.
    """

    name: str
    kind: Kind
    words: str
    unit: str = ""
    default: Any = None
    required: bool = False
    low: float | None = None
    high: float | None = None
    choices: Callable[[], Collection[str]] | None = None
    example: Any = None


@dataclass(frozen=True, slots=True)
class ParameterProblem:
    """One mistake: the parameter, what is wrong, what would be right."""

    name: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.name}: {self.what}; {self.remedy}"


class ParameterError(AuroraError):
    """A calculation cannot be set up; ``problems`` holds every mistake found."""

    def __init__(self, calculation: str, problems: Sequence[ParameterProblem]) -> None:
        self.calculation = calculation
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{calculation}: {problem}" for problem in problems))


def close_to(word: object, known: Collection[str]) -> str:
    """What a mistyped word was probably meant to be, or all that it could be."""
    close = get_close_matches(word, known, n=1) if isinstance(word, str) else []
    return f"did you mean {close[0]!r}?" if close else f"use one of: {', '.join(sorted(known))}"


def check_parameters(
    declared: Sequence[Parameter], given: Mapping[str, Any]
) -> tuple[dict[str, Any], list[ParameterProblem]]:
    """Values with their defaults, and every mistake in what was given."""
    known = {parameter.name: parameter for parameter in declared}
    values = {parameter.name: parameter.default for parameter in declared}
    problems = [
        ParameterProblem(name, "is not a parameter of this calculation", close_to(name, known))
        for name in given
        if name not in known
    ]
    for name, parameter in known.items():
        if name not in given:
            if parameter.required:
                problems.append(ParameterProblem(name, "is missing", f"add {name} = {_example(parameter)}"))
            continue
        problem, value = _checked(parameter, given[name])
        if problem is not None:
            problems.append(problem)
        else:
            values[name] = value
    return values, problems


def _example(parameter: Parameter) -> str:
    example = parameter.example
    if example is None and parameter.choices is not None:
        example = next(iter(sorted(parameter.choices())), None)
    written = f'"{example}"' if isinstance(example, str) else str(example).lower()
    return f"{written} ({parameter.words}{', ' + parameter.unit if parameter.unit else ''})"


def _checked(parameter: Parameter, value: Any) -> tuple[ParameterProblem | None, Any]:
    name = parameter.name
    if parameter.kind == "number":
        return _number(parameter, value)
    if parameter.kind == "table":
        return _table(parameter, value)
    if parameter.kind == "rows":
        return _rows(parameter, value)
    wanted = {"text": str, "flag": bool}[parameter.kind]
    if not isinstance(value, wanted):
        what = f"{value!r} is not {_WORDS[parameter.kind]}"
        return ParameterProblem(name, what, f"for example: {name} = {_example(parameter)}"), None
    if parameter.choices is not None and value not in (known := parameter.choices()):
        return ParameterProblem(name, f"{value!r} is not known", close_to(value, known)), None
    return None, value


def _finite(value: Any) -> bool:
    """Whether it is a number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _number(parameter: Parameter, value: Any) -> tuple[ParameterProblem | None, Any]:
    name = parameter.name
    if not _finite(value):
        what = f"{str(value)[:40]!r} is not a number"
        return ParameterProblem(name, what, f"for example: {name} = {_example(parameter)}"), None
    if parameter.low is not None and value < parameter.low:
        return ParameterProblem(name, f"{value:g} is too low", f"write {parameter.low:g} or more"), None
    if parameter.high is not None and value > parameter.high:
        return ParameterProblem(name, f"{value:g} is too high", f"write {parameter.high:g} or less"), None
    return None, float(value)


def _table(parameter: Parameter, value: Any) -> tuple[ParameterProblem | None, Any]:
    sound = isinstance(value, Mapping) and all(isinstance(key, str) and _finite(one) for key, one in value.items())
    if not sound:
        remedy = f"for example: {parameter.name} = {{ pH = 6.0 }}"
        return ParameterProblem(parameter.name, "is not a table of names and numbers", remedy), None
    return None, {key: float(one) for key, one in value.items()}


def _rows(parameter: Parameter, value: Any) -> tuple[ParameterProblem | None, Any]:
    remedy = f"for example: {parameter.name} = {parameter.example}"
    if not isinstance(value, list) or not value or not all(isinstance(row, list) for row in value):
        return ParameterProblem(parameter.name, "is not a list of rows", remedy), None
    width = len(parameter.example[0])
    for number, row in enumerate(value, 1):
        if len(row) != width or not all(_finite(one) for one in row):
            return ParameterProblem(parameter.name, f"row {number} is not {width} numbers", remedy), None
    return None, [[float(one) for one in row] for row in value]
