"""Plugins by name: those that come with the gateway, and those of installed packages. Part of `gateway.api`."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from gateway.errors import AuroraError

__all__ = ["LONGEST_WORDS", "Origin", "PluginError", "load", "one_line", "origins", "types"]

LONGEST_WORDS = 400


class PluginError(AuroraError):
    """A plugin's class cannot be had; ``remedy`` says what would help."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}; {remedy}")


@dataclass(frozen=True, slots=True)
class Origin:
    """One plugin: where its class lies, and the package that it came with (empty: the gateway itself)."""

    name: str
    where: str
    package: str = ""
    version: str = ""


def one_line(text: str) -> str:
    """One line of bounded length, whatever a plugin or a server said."""
    line = " ".join(str(text)[: 4 * LONGEST_WORDS].split())
    return line if len(line) <= LONGEST_WORDS else line[: LONGEST_WORDS - 3] + "..."


def origins(group: str, built_in: Mapping[str, str] | None = None) -> list[Origin]:
    """Every plugin of a group by name; the gateway's own names cannot be taken by others."""
    from importlib.metadata import entry_points

    found = {}
    for entry in entry_points(group=group):
        package = entry.dist
        found[entry.name] = Origin(
            entry.name, entry.value, package.name if package else "?", package.version if package else ""
        )
    found |= {name: Origin(name, where) for name, where in (built_in or {}).items()}
    return [found[name] for name in sorted(found)]


def types(group: str, built_in: Mapping[str, str] | None = None) -> dict[str, str]:
    """Name of every plugin of a group, with where its class lies (``module:class``)."""
    return {origin.name: origin.where for origin in origins(group, built_in)}


def load(group: str, name: str, base: type, built_in: Mapping[str, str] | None = None) -> Any:
    """The class of a plugin. Raises `PluginError`, also for whatever importing it raises."""
    kind = base.__name__.lower()
    where = (built_in or {}).get(name) or types(group, built_in).get(name)
    if where is None:
        known = ", ".join(sorted(types(group, built_in))) or "none is installed"
        raise PluginError(f"there is no {kind} {name!r}", f"use one of: {known}")
    module, _, path = where.partition(":")
    try:
        found: Any = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise PluginError(
            f"the plugin {name!r} ({where}) cannot be loaded ({type(error).__name__}: {one_line(str(error))})",
            "install it again, or ask its maker",
        ) from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise PluginError(
            f"the plugin {name!r} ({where}) is no {kind}", f"its class must be a gateway.api.{base.__name__}"
        )
    return found
