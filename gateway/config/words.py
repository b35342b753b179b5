"""What pydantic found, said for the person who wrote the file; and the list in which all mistakes are collected."""

import datetime
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.config.locate import Key
from gateway.config.shape import PATTERNS
from gateway.errors import Problem

__all__ = ["Report", "did_you_mean", "in_toml", "say_all"]

_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (str, "a string"),
    (list, "a list"),
    (dict, "a table"),
    (datetime.datetime, "a date with a time"),
    (datetime.date, "a date"),
    (datetime.time, "a time of day"),
)

_WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "a string in quotes",
    "bool_type": "true or false",
    "list_type": "a list in square brackets",
    "dict_type": "a table",
    "model_type": "a table",
    "date_type": "a date without quotes",
    "is_instance_of": "a string in quotes",
    "literal_error": "one of the allowed words",
    "finite_number": "a finite number",
}

_LIMITS = {
    "greater_than_equal": ("ge", "is below the least that is allowed", "write {} or more"),
    "less_than_equal": ("le", "is above the most that is allowed", "write {} or less"),
    "string_too_short": ("min_length", "is empty", "write something"),
    "string_too_long": ("max_length", "is too long", "write at most {} characters"),
}


class Report:
    """All mistakes in one file. ``fatal`` tells whether one of them leaves the file unusable."""

    def __init__(self, lines: Mapping[Key, int]) -> None:
        self._lines = lines
        self._found: dict[tuple[Key, str], Problem] = {}
        self.fatal = False

    def add(self, at: Key, what: str, remedy: str, *, fatal: bool = True) -> None:
        """Note a mistake at a key path (or, where the key does not stand in the file, at its table)."""
        self.fatal |= fatal
        self._found.setdefault((at, what), Problem(_path_words(at), what, remedy, self._line(at)))

    @property
    def problems(self) -> list[Problem]:
        """In the order of the file."""
        return sorted(self._found.values(), key=lambda problem: problem.line or 0)

    def _line(self, at: Key) -> int | None:
        while at:
            if at in self._lines:
                return self._lines[at]
            at = at[:-1]
        return None


def did_you_mean(word: object, known: Collection[str]) -> str:
    """What a mistyped word was probably meant to be, or all that it could be."""
    close = get_close_matches(word, known, n=1) if isinstance(word, str) else []
    if close:
        return f"did you mean {close[0]!r}?"
    return f"use one of: {', '.join(sorted(known))}" if known else "there is none yet: add it first"


def in_toml(value: object) -> str:
    """A value as it is written in TOML (strings, numbers, booleans, dates, lists and flat tables)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ", ".join(in_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {in_toml(item)}" for key, item in value.items()) + "}"
    return str(value)


def say_all(error: ValidationError, shape: type[BaseModel], at: Key, table: str, report: Report) -> None:
    """Put everything that pydantic found in one table into the report; ``table`` is its name in messages."""
    for details in error.errors(include_url=False):
        where, what, remedy = _say(details, shape, table)
        report.add((*at, *where), what, remedy)


def _say(details: ErrorDetails, shape: type[BaseModel], table: str) -> tuple[Key, str, str]:
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    where = _inside(details["loc"], shape)
    name = str(where[0]) if where else ""
    field = shape.model_fields.get(name)
    example = field.examples[0] if field is not None and field.examples else None
    write = f"write {name} = {in_toml(example)}" if example is not None else "mend it"
    if kind == "missing":
        return where, "is missing", f"add {write.removeprefix('write ')}"
    if kind == "extra_forbidden":
        return where, f"is not a setting of {table}", did_you_mean(name, shape.model_fields)
    if kind == "said":
        return where, context["what"], context["remedy"]
    if kind == "literal_error":
        return where, f"{_shown(value)} is not allowed", f"use {context['expected']}"
    if kind == "string_pattern_mismatch":
        return where, f"{_shown(value)} has characters that are not allowed", PATTERNS[context["pattern"]]
    if kind in _LIMITS:
        limit, what, remedy = _LIMITS[kind]
        return where, f"{_shown(value)} {what}", remedy.format(context[limit])
    if kind in {"too_short", "too_long"}:
        return where, f"has {context['actual_length']} entries", f"for example: {name} = {in_toml(example)}"
    wanted = _WANTED.get(kind, "another value")
    return where, f"{_shown(value)} is {_kind_of(value)}, not {wanted}", f"for example: {name} = {in_toml(example)}"


def _inside(loc: tuple[int | str, ...], shape: type[BaseModel]) -> Key:
    """pydantic's place without its own steps (the members of a union), which do not stand in the file."""
    if not loc or loc[0] not in shape.model_fields:
        return tuple(loc)
    return (loc[0], *(step for step in loc[1:] if isinstance(step, int)))


def _kind_of(value: Any) -> str:
    return next((words for kind, words in _KINDS if isinstance(value, kind)), "something else")


def _shown(value: object) -> str:
    text = in_toml(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _path_words(at: Key) -> str:
    """``device[2].model``; entries are counted from 1, as people do."""
    words = ""
    for step in at:
        words += f"[{step + 1}]" if isinstance(step, int) else f".{step}" if words else step
    return words or "file"
