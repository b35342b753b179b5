"""The profiles to choose from, as data: read as they lie, without the checker and its library."""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

__all__ = ["builtin", "choices"]


@cache
def builtin() -> Mapping[str, Mapping[str, Any]]:
    """The profiles that come with the gateway, by name, as their files have them."""
    folder = files("gateway").joinpath("assess/profiles")
    return {
        item.name.removesuffix(".toml"): tomllib.loads(item.read_text(encoding="utf-8"))
        for item in sorted(folder.iterdir(), key=lambda item: item.name)
        if item.name.endswith(".toml")
    }


def choices(site_file: Path | None, unit: str = "") -> list[dict[str, Any]]:
    """What a point can be judged by: the member's own profiles first, then those of the law, with their sources.

    With a ``unit`` those that are in it come before the others. Reads files.
    """
    found = [_choice(name, content, own=False) for name, content in builtin().items()]
    found = [*_own(site_file), *found]
    return sorted(found, key=lambda choice: (bool(unit) and choice["unit"] != unit, not choice["own"]))


def _own(site_file: Path | None) -> Iterator[dict[str, Any]]:
    if site_file is None:
        return
    try:
        tables = tomllib.loads(site_file.read_text(encoding="utf-8-sig")).get("profile", [])
    except (OSError, ValueError):
        return  # whoever reads the file to run by it says what is wrong with it
    for table in tables if isinstance(tables, list) else ():
        if isinstance(table, dict) and isinstance(table.get("id"), str):
            base = builtin().get(str(table.get("base", "")), {})
            sources = [*table.get("sources", []), *base.get("sources", [])]
            yield _choice(table["id"], {**base, **table, "sources": sources}, own=True)


def _choice(name: str, content: Mapping[str, Any], *, own: bool) -> dict[str, Any]:
    unit = str(content.get("unit", ""))
    return {
        "id": name,
        "title": content.get("title", name),
        "own": own,
        "base": content.get("base"),
        "unit": unit,
        "sources": list(content.get("sources", [])),
        "note": content.get("note", ""),
        "interval": content.get("interval"),
        "stale": content.get("stale"),
        "actions": list(content.get("actions", [])),
        "limits": [
            {"rule": rule, "limit": entry.get("limit"), "delay": entry.get("delay"), "unit": unit}
            for rule, entry in content.get("limits", {}).items()
            if isinstance(entry, dict)
        ],
    }
