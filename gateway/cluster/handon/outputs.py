"""Who is told what on behalf of which member: ``[[output]]`` tables as of a gateway, and the member's name.

[[output]]
member = "Alder Dairy"
id = "quality-system"
type = "webhook"                       # any output of a gateway that tells alarms or takes values
url = "https://hooks.example/aurora"
key = { file = "alder.key" }           # relative to this file
tiers = ["critical", "alert"]          # these are the defaults
transitions = ["raised", "returned", "escalated"]
sites = []                             # all
begin = "now"                          # or "beginning": everything that the store holds
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.config.outputs import TIERS, TRANSITIONS, build_outputs, read_outputs
from gateway.config.words import Report, did_you_mean
from gateway.errors import ConfigError, Problem
from gateway.site import OutputSpec

__all__ = ["MemberOutput", "load_outputs"]

OURS = ("member", "tiers", "transitions", "sites", "begin")
BEGINNINGS = ("now", "beginning")


@dataclass(frozen=True, slots=True)
class MemberOutput:
    """One output of one member, and what it is told."""

    spec: OutputSpec
    member: str
    tiers: frozenset[str]
    transitions: frozenset[str]
    sites: frozenset[str]
    history: bool
    """Whether it begins with what the store held before it was set up."""


def load_outputs(path: Path) -> list[MemberOutput]:
    """Read and check a file; raises `ConfigError` with every mistake in it."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        problem = Problem("file", f"cannot be read ({error.strerror})", "look at its name and mode")
        raise ConfigError(str(path), [problem]) from error
    except ValueError as error:
        problem = Problem("file", f"is no TOML ({error})", "mend the line named")
        raise ConfigError(str(path), [problem]) from error
    report = Report({})
    for name in document.keys() - {"output"}:
        report.add((name,), "is not known here", "write [[output]] tables")
    tables = document.get("output")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        report.add(("output",), "is missing, or no list of tables", "write [[output]] tables")
        raise ConfigError(str(path), report.problems)
    for number, table in enumerate(tables):
        _check(table, ("output", number), report)
    seen: set[tuple[object, object]] = set()
    for number, table in enumerate(tables):
        key = (table.get("member"), table.get("id"))
        if key in seen:
            report.add(("output", number, "id"), f"{key[1]!r} is another output of this member", "give it its own")
        seen.add(key)
    common = [{name: value for name, value in table.items() if name not in OURS} for table in tables]
    found = read_outputs({"output": common}, report)
    for number, entry in enumerate(found.outputs):
        _check_kind(entry.table, ("output", number), report)
    if report.problems and report.fatal:
        raise ConfigError(str(path), report.problems)
    specs: tuple[OutputSpec, ...] = build_outputs(found, path.parent)["outputs"]
    return [_made(table, spec) for table, spec in zip(tables, specs, strict=True)]


def _check(table: dict[str, Any], at: tuple[str | int, ...], report: Report) -> None:
    if not isinstance(table.get("member"), str) or not table["member"]:
        report.add((*at, "member"), "is missing", 'say whose data it is: member = "Alder Dairy"')
    for name, known in (("tiers", TIERS), ("transitions", TRANSITIONS), ("sites", ())):
        words = table.get(name, [])
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            report.add(
                (*at, name), "is no list of texts", f'for example: {name} = ["{known[0] if known else "north"}"]'
            )
            continue
        for word in words:
            if known and word not in known:
                report.add((*at, name), f"{word!r} is none of the {name}", did_you_mean(word, known))
    if table.get("begin", "now") not in BEGINNINGS:
        report.add((*at, "begin"), f"{table['begin']!r} is no beginning", 'write "now" or "beginning"')


def _check_kind(table: Any, at: tuple[str | int, ...], report: Report) -> None:
    from gateway.api import load_output

    if table is None:
        return
    plugin = load_output(table.type)
    if not (plugin.sends or plugin.values):
        report.add((*at, "type"), f"a {table.type} output shows what stands at a gateway", "set it up there")
    if table.alive is not None:
        report.add((*at, "alive"), "is a sign of life of a gateway", "take it away")


def _made(table: dict[str, Any], spec: OutputSpec) -> MemberOutput:
    return MemberOutput(
        spec=spec,
        member=table["member"],
        tiers=frozenset(table.get("tiers", ["critical", "alert"])),
        transitions=frozenset(table.get("transitions", ["raised", "returned", "escalated"])),
        sites=frozenset(table.get("sites", [])),
        history=table.get("begin", "now") == "beginning",
    )
