"""The published data beside the code: read once, checked, looked up by id."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["entries", "read"]


@cache
def read(name: str) -> Mapping[str, Any]:
    """One data file of this package, by its name without ``.toml``."""
    text = files("gateway.assess.process").joinpath("data", f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def entries(name: str, kind: str) -> Mapping[str, Mapping[str, Any]]:
    """The tables ``[[kind]]`` of a data file by their id."""
    return {entry["id"]: entry for entry in read(name)[kind]}
