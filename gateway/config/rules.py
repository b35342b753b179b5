"""The tables [[rule]]: rules of plugins, read by the plugin's own settings, related to points, built."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field as Shape

from gateway.api import RULES, PluginError, Rule, load_rule
from gateway.api_loading import types
from gateway.config.locate import Key
from gateway.config.outputs import _whole
from gateway.config.outputs_shape import Duration, own_settings, plugin_shape
from gateway.config.shape import Identifier, Table, Text
from gateway.config.tables import Entry, Tables, _entries, _read
from gateway.config.words import Report, did_you_mean
from gateway.site import RuleSpec

__all__ = ["RuleTable", "build_rules", "check_rules", "read_rules"]


class RuleTable(Table):
    """What all rules have; a plugin's own settings come on top."""

    id: Identifier = Shape(examples=["rises"])
    type: Text = Shape(examples=["rise-rate"])
    points: list[Text] = Shape(default_factory=list, max_length=1000, examples=[["cold-room-1"]])
    tier: Literal["alert", "maintenance", "advisory"] = Shape("advisory", examples=["advisory"])
    limit: Annotated[Duration, Shape(ge=0.1, le=60)] = Shape(2.0, examples=["2s"])


@dataclass(slots=True)
class RuleTables:
    """What could be read of them."""

    rules: list[Entry[RuleTable]]


def read_rules(document: Mapping[str, Any], report: Report) -> RuleTables:
    """Check names, types and ranges, each rule's by its plugin's own settings."""
    return RuleTables(_entries(document, "rule", report, _read_rule))


def _read_rule(raw: object, at: Key, report: Report) -> RuleTable | None:
    kind = raw.get("type") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or not isinstance(kind, str):
        return _read(RuleTable, raw, at, "[[rule]]", report)
    if kind not in (known := types(RULES)):
        remedy = did_you_mean(kind, known) if known else "install the package that has it: docs/plugins.md"
        report.add((*at, "type"), f"{kind!r} is not a kind of rule", remedy)
        return None
    try:
        plugin = load_rule(kind)
        shape = plugin_shape(plugin, plugin.Settings, RuleTable)
    except PluginError as error:
        report.add((*at, "type"), error.what, error.remedy)
        return None
    table = _read(shape, raw, at, f"a {kind} [[rule]]", report)
    if table is not None:
        _check_settings(plugin, table, at, report)
    return table


def _check_settings(plugin: type[Rule], table: RuleTable, at: Key, report: Report) -> None:
    try:
        for mistake in plugin.check(plugin.Settings(**own_settings(table, RuleTable))):
            report.add((*at, *([mistake.key] if mistake.key else [])), mistake.what, mistake.remedy)
    except Exception as error:  # noqa: BLE001 - the border to a plugin
        what = f"the plugin cannot check its settings ({type(error).__name__}: {error})"
        report.add((*at, "type"), what, "ask its maker")


def check_rules(found: RuleTables, tables: Tables, report: Report) -> None:
    """Ids, and points that there are."""
    points = {entry.text("id") or "" for entry in tables.points} - {""}
    seen: set[str] = set()
    for entry in found.rules:
        name = entry.text("id")
        if name in seen:
            report.add((*entry.at, "id"), f"{name!r} is the id of another rule", "give each its own id")
        elif name is not None:
            seen.add(name)
        written = entry.raw.get("points")
        for number, point in enumerate(written if isinstance(written, list) else ()):
            if isinstance(point, str) and point not in points:
                report.add(
                    (*entry.at, "points", number), f"there is no point {point!r}", did_you_mean(point, points)
                )


def build_rules(found: RuleTables, base: Path) -> dict[str, Any]:
    """The part of a `Site` that the tables say, from tables without mistakes."""
    rules = [
        RuleSpec(
            id=table.id,
            type=table.type,
            settings={name: _whole(base, value) for name, value in own_settings(table, RuleTable).items()},
            points=tuple(table.points),
            tier=table.tier,
            limit_s=table.limit,
        )
        for entry in found.rules
        if (table := entry.table) is not None
    ]
    return {"rules": tuple(rules)}
