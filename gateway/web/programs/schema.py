"""What a program sends, checked against a schema: the part of JSON Schema (2020-12) that the API's table uses.

The schemas stand in the table as they stand in the OpenAPI text. A general library for them takes 10 MB of a
gateway that has 60.
"""

import re
from collections.abc import Mapping
from math import inf, isfinite
from typing import Any, Final

__all__ = ["Schema", "Unfit", "check", "read_query"]

Schema = Mapping[str, Any]

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "boolean": (bool,),
    "number": (int, float),
    "integer": (int,),
    "array": (list,),
    "object": (dict,),
}


_WHOLE = re.compile("-?[0-9]{1,17}")


class Unfit(ValueError):  # noqa: N818 - named for what is said of the value
    """A value does not fit; the words say where and why."""


def check(value: Any, schema: Schema, place: str = "the body") -> None:
    """Raises `Unfit` where a value is not of its schema."""
    kind = schema["type"]
    fits: bool = isinstance(value, _TYPES[kind])
    if not fits or (isinstance(value, bool) and kind != "boolean"):
        raise Unfit(f"{place} is no {kind}")
    match kind:
        case "string":
            _string(value, schema, place)
        case "number" | "integer":
            _number(value, schema, place)
        case "array":
            if len(value) > schema.get("maxItems", len(value)):
                raise Unfit(f"{place} has {len(value)} items; {schema['maxItems']} are allowed")
            for number, item in enumerate(value):
                check(item, schema["items"], f"{place}[{number}]")
        case "object":
            _object(value, schema, place)


def _string(value: str, schema: Schema, place: str) -> None:
    if "enum" in schema and value not in schema["enum"]:
        raise Unfit(f"{place} is none of {', '.join(schema['enum'])}")
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        raise Unfit(f"{place} has {len(value)} characters; see its limits")
    if "pattern" in schema and re.search(schema["pattern"], value) is None:
        raise Unfit(f"{place} is not of the form {schema['pattern']}")


def _number(value: float, schema: Schema, place: str) -> None:
    try:
        number = float(value)
    except OverflowError:
        number = inf
    low, high = schema.get("minimum", -inf), schema.get("maximum", inf)
    if not isfinite(number) or not low <= value <= high or value <= schema.get("exclusiveMinimum", -inf):
        raise Unfit(f"{place} is out of its range")


def _object(value: Mapping[str, Any], schema: Schema, place: str) -> None:
    known = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            raise Unfit(f"{name} is missing")
    for name, member in value.items():
        if name in known:
            check(member, known[name], name if place == "the body" else f"{place}.{name}")
        elif schema.get("additionalProperties") is False:
            # A misspelt name would otherwise be left out in silence.
            raise Unfit(f"{name[:60]!r} is not known here; known are: {', '.join(known)}")


def read_query(query: Mapping[str, str], schema: Schema) -> dict[str, Any]:
    """The fields of a query, which has no types, as their schema has them."""
    found: dict[str, Any] = {}
    for name, word in query.items():
        kind = schema.get("properties", {}).get(name, {}).get("type")
        if kind == "boolean" and word in {"true", "false"}:
            found[name] = word == "true"
        elif kind == "integer":
            found[name] = int(word) if _WHOLE.fullmatch(word) else word
        elif kind == "number":
            try:
                found[name] = int(word) if _WHOLE.fullmatch(word) else float(word)
            except ValueError:
                found[name] = word
        else:
            found[name] = word
    return found
