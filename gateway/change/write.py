"""Values and keys as TOML text (TOML v1.0.0)."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

from gateway.change.plan import ChangeError

__all__ = ["block", "key_text", "value_text"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
WIDTH = 100
"""A list that would be longer on one line is written with one item a line."""


def key_text(*names: str) -> str:
    """A key, dotted where it has several parts."""
    return ".".join(name if _BARE.fullmatch(name) else _string(name) for name in names)


def value_text(value: Any, newline: str = "\n") -> str:
    """A value on the right of its key. Raises `ChangeError` for what TOML does not have, or no site file."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float() if math.isfinite(value):
            return repr(value)
        case str():
            return _string(value)
        case datetime() | date() | time():
            return value.isoformat()
        case Mapping():
            pairs = ", ".join(f"{key_text(_name(key))} = {value_text(item)}" for key, item in value.items())
            return f"{{ {pairs} }}" if pairs else "{}"
        case Sequence() if not isinstance(value, bytes | bytearray):
            items = [value_text(item) for item in value]
            line = f"[{', '.join(items)}]"
            if len(line) <= WIDTH:
                return line
            return "".join(("[", *(f"{newline}    {item}," for item in items), newline, "]"))
    raise ChangeError(f"{value!r:.60} is no value of a site file", "use texts, numbers, true, false, lists, tables")


def block(path: tuple[str, ...], values: Mapping[str, Any], *, array: bool, newline: str) -> str:
    """A table with its header; tables inside it follow with headers of their own."""
    header = f"[[{key_text(*path)}]]" if array else f"[{key_text(*path)}]"
    plain = {name: value for name, value in values.items() if not isinstance(value, Mapping)}
    inner = {name: value for name, value in values.items() if isinstance(value, Mapping)}
    lines = [header] if array or plain or not inner else []
    lines += [f"{key_text(_name(name))} = {value_text(value, newline)}" for name, value in plain.items()]
    text = "".join(f"{line}{newline}" for line in lines)
    for name, value in inner.items():
        text += (newline if text else "") + block((*path, _name(name)), value, array=False, newline=newline)
    return text


def _name(key: Any) -> str:
    if not isinstance(key, str):
        raise ChangeError(f"{key!r:.60} is no name of a setting", "use texts")
    return key


def _string(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ChangeError("a text holds half a character", "type it again") from error
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
