"""The settings of a gateway out of its events ``config.changed``, and the points that they describe. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from gateway.cluster.derive.plain import as_json, clean, name

__all__ = ["PointRow", "Settings", "points_of", "take"]

Settings = Mapping[str, Any]
"""Path (``point[p].critical``) to plain value, as `gateway.logbook.settings.canonical` writes them."""

MOST_PATH = 500
POINT = re.compile(r"point\[([^\]]+)\]\.(.+)")
STEP = re.compile(r"\[([^\]]*)\]|([^.\[\]]+)")
DIRECT = ("name", "device", "channel", "critical")


class PointRow(NamedTuple):
    """A point as a row of the table; ``settings`` is the rest of what the site file says of it, as JSON."""

    point: str
    name: str
    device: str
    channel: str
    critical: bool
    settings: str


def take(settings: Settings | None, data: Mapping[str, Any]) -> Settings | None:
    """The settings after an event ``config.changed``; None while the first file is not on record.

    An event that is none of ours leaves them as they are.
    """
    match data:
        case {"changes": list(changes), "first": bool(first), "part": int(part)}:
            pass
        case _:
            return settings
    if first and part == 1:
        settings = {}
    if settings is None:
        return None
    after = dict(settings)
    for change in changes:
        match change:
            case {"path": str(path), "new": (bool() | int() | float() | str() | None) as new} if (
                0 < len(path) <= MOST_PATH
            ):
                after.pop(clean(path), None)
                if new is not None:
                    after[clean(path)] = new
            case _:
                continue
    return after


def points_of(settings: Settings) -> list[PointRow]:
    """The points that have a device and a channel, by their id."""
    found: dict[str, dict[str, Any]] = {}
    for path, value in settings.items():
        if (match := POINT.fullmatch(path)) is not None:
            found.setdefault(match[1], {})[match[2]] = value
    return list(_rows(found))


def _rows(found: Mapping[str, Mapping[str, Any]]) -> Iterator[PointRow]:
    for point, parts in sorted(found.items()):
        known, device, channel = name(point), name(parts.get("device")), name(parts.get("channel"))
        if known is None or device is None or channel is None:
            continue
        words = parts.get("name")
        rest = {path: value for path, value in parts.items() if path not in DIRECT}
        yield PointRow(
            known,
            clean(words) if isinstance(words, str) else known,
            device,
            channel,
            parts.get("critical") is True,
            as_json(_nested(rest)),
        )


def _nested(flat: Mapping[str, Any]) -> Any:
    """Paths as maps and lists: ``profile.limits[0].limit`` as it was in the site."""
    tree: dict[str, Any] = {}
    for path, value in sorted(flat.items()):
        steps = [match[1] if match[1] is not None else match[2] for match in STEP.finditer(path)]
        place = tree
        for step in steps[:-1]:
            inner = place.setdefault(step, {})
            if not isinstance(inner, dict):
                break
            place = inner
        else:
            if steps:
                place[steps[-1]] = value
    return _listed(tree)


def _listed(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    if tree and set(tree) == {str(number) for number in range(len(tree))}:
        return [_listed(tree[str(number)]) for number in range(len(tree))]
    return {key: _listed(item) for key, item in tree.items()}
