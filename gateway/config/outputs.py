"""The tables that say who is told of alarms, [[output]], [[notify]] and [notices]: read, related, built."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_IROTH
from typing import Any

from gateway.api import Mistake, Output, PluginError, Secret, load_output, output_types
from gateway.config.locate import Key
from gateway.config.outputs_shape import NoticesTable, NotifyTable, OutputTable, output_shape, own_settings
from gateway.config.serial import MbusBus, SerialBus
from gateway.config.shape import GatewayTable, RtuBus
from gateway.config.tables import Entry, Tables, _entries, _read
from gateway.config.words import Report, did_you_mean
from gateway.model import Tier
from gateway.site import NoticesSpec, NotifySpec, OutputSpec

__all__ = ["build_outputs", "check_outputs", "read_outputs"]

TIERS = tuple(tier.value for tier in Tier)
TRANSITIONS = ("raised", "returned", "acknowledged", "confirmed", "escalated", "shelved")


@dataclass(slots=True)
class OutputTables:
    """What could be read of the three."""

    outputs: list[Entry[OutputTable]]
    rules: list[Entry[NotifyTable]]
    notices: NoticesTable | None


def read_outputs(document: Mapping[str, Any], report: Report) -> OutputTables:
    """Check names, types and ranges, each output's by its plugin's own settings."""
    notices: NoticesTable | None = NoticesTable.model_validate({})
    if "notices" in document:
        notices = _read(NoticesTable, document["notices"], ("notices",), "[notices]", report)
    return OutputTables(
        _entries(document, "output", report, _read_output),
        _entries(document, "notify", report, lambda raw, at, r: _read(NotifyTable, raw, at, "[[notify]]", r)),
        notices,
    )


def _read_output(raw: object, at: Key, report: Report) -> OutputTable | None:
    kind = raw.get("type") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or not isinstance(kind, str):
        return _read(OutputTable, raw, at, "[[output]]", report)
    if kind not in (known := output_types()):
        report.add((*at, "type"), f"{kind!r} is not a kind of output", did_you_mean(kind, known))
        return None
    try:
        plugin = load_output(kind)
        shape = output_shape(plugin)
    except PluginError as error:
        report.add((*at, "type"), error.what, error.remedy)
        return None
    table = _read(shape, raw, at, f"a {kind} [[output]]", report)
    if table is not None:
        _check_settings(plugin, table, at, report)
    return table


def _check_settings(plugin: type[Output], table: OutputTable, at: Key, report: Report) -> None:
    """The plugin's own rules; one that breaks is its maker's mistake, and named as that."""
    try:
        for mistake in plugin.check(plugin.Settings(**own_settings(table))):
            report.add((*at, *([mistake.key] if mistake.key else [])), mistake.what, mistake.remedy)
    except Exception as error:  # noqa: BLE001 - the border to a plugin
        what = f"the plugin cannot check its settings ({type(error).__name__}: {error})"
        report.add((*at, "type"), what, "ask its maker")
    if not plugin.sends and table.alive is not None:
        report.add((*at, "alive"), f"a {table.type} output shows what stands, and tells nothing", "take it away")
    _check_addresses(plugin, table.to, (*at, "to"), report)
    if not plugin.address:
        if table.to:
            report.add((*at, "to"), f"a {table.type} output has no recipients", "take it away")
    elif not table.to:
        report.add((*at, "to"), "is missing", f"add to = [...] with {plugin.address} at least")


def _check_addresses(plugin: type[Output], addresses: Sequence[str], at: Key, report: Report) -> None:
    for address in addresses:
        try:
            plugin.check_address(address)
        except Mistake as mistake:
            report.add(at, mistake.what, mistake.remedy)
        except Exception as error:  # noqa: BLE001 - the border to a plugin
            report.add(at, f"the plugin cannot check {address!r} ({type(error).__name__})", "ask its maker")
    if len(set(addresses)) != len(addresses):
        report.add(at, "names a recipient twice", "name each once")


def check_outputs(found: OutputTables, tables: Tables, base: Path, report: Report) -> None:
    """Ids, references between rules, outputs and points, lines that are taken, and secrets that can be read."""
    outputs: dict[str, Entry[OutputTable]] = {}
    for entry in found.outputs:
        name = entry.text("id")
        if name in outputs:
            report.add((*entry.at, "id"), f"{name!r} is the id of another output", "give each its own id")
        elif name is not None:
            outputs[name] = entry
    places = {entry.text("id") or "" for entry in tables.points} | {
        entry.text("id") or "" for entry in tables.devices
    }
    for rule in found.rules:
        _check_rule(rule, outputs, places - {""}, report)
    used = {rule.text("output") for rule in found.rules}
    gateway = tables.one("gateway", GatewayTable)
    own = base / gateway.data_dir if gateway is not None else None
    for name, entry in outputs.items():
        if name not in used and (entry.table is None or _tells(entry.table)):
            remedy = f'add a [[notify]] table with output = "{name}"'
            report.add(entry.at, "is told nothing: no rule names it", remedy, fatal=False)
        if entry.table is not None:
            _check_line(entry, entry.table, tables, report)
            _check_secrets(entry, entry.table, base, own, report)
    _check_critical(found, report)


def _check_rule(
    rule: Entry[NotifyTable], outputs: Mapping[str, Entry[OutputTable]], places: set[str], report: Report
) -> None:
    name = rule.text("output") or ""
    if name and name not in outputs:
        report.add((*rule.at, "output"), f"there is no output {name!r}", did_you_mean(name, outputs))
    for key, known in (("tiers", TIERS), ("transitions", TRANSITIONS), ("points", places)):
        written = rule.raw.get(key)
        for number, word in enumerate(written if isinstance(written, list) else ()):
            if isinstance(word, str) and word not in known:
                what = (
                    f"{word!r} is no point and no device" if key == "points" else f"{word!r} is none of the {key}"
                )
                report.add((*rule.at, key, number), what, did_you_mean(word, known))
    output = outputs[name].table if name in outputs else None
    if rule.table is None or output is None:
        return
    plugin = load_output(output.type)
    if rule.table.to and not plugin.address:
        report.add((*rule.at, "to"), f"{name!r} has no recipients to choose from", "take it away")
    elif rule.table.to:
        _check_addresses(plugin, rule.table.to, (*rule.at, "to"), report)
    if not (plugin.sends or plugin.follows):
        report.add((*rule.at, "output"), f"{name!r} takes values, and is told of no alarms", "take the rule away")
    elif not plugin.sends and "transitions" in rule.raw:
        what = f"{name!r} shows what stands, and is not told of transitions"
        report.add((*rule.at, "transitions"), what, "take it away")


def _check_line(entry: Entry[OutputTable], table: OutputTable, tables: Tables, report: Report) -> None:
    """A serial line has one master: an output on the line of a bus would garble its readings."""
    device = own_settings(table).get("device")
    for bus in tables.buses:
        if device and isinstance(bus.table, RtuBus | SerialBus | MbusBus) and bus.table.device == device:
            what = f"is the line of bus {bus.table.id!r}, and two masters on one line disturb each other"
            report.add((*entry.at, "device"), what, "give the output a line of its own, or reach it over TCP")


def _check_secrets(
    entry: Entry[OutputTable], table: OutputTable, base: Path, own: Path | None, report: Report
) -> None:
    """Said, but no reason not to start: the file may come later, or be readable for the gateway's user alone.

    What lies in the gateway's own folder (its key, who may sign in) is refused: no output may send that out.
    """
    for name, value in own_settings(table).items():
        if not isinstance(value, Secret) or value.file is None:
            continue
        if own is not None and (base / value.file).resolve().is_relative_to(own.resolve()):
            remedy = "put the secret into a file of its own, outside data_dir"
            report.add((*entry.at, name), f"{value.file} lies in the gateway's own folder", remedy)
            continue
        try:
            if (base / value.file).stat().st_mode & S_IROTH:
                remedy = f"take it from others: chmod o-rwx {value.file}"
                report.add((*entry.at, name), f"{value.file} can be read by everybody", remedy, fatal=False)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            remedy = "put it there, readable for the gateway's user; until then this output cannot send"
            report.add((*entry.at, name), f"{value.file}: {why}", remedy, fatal=False)


def _tells(table: OutputTable) -> bool:
    """Whether it is told of alarms, or takes values alone."""
    plugin = load_output(table.type)
    return plugin.sends or plugin.follows


def _check_critical(found: OutputTables, report: Report) -> None:
    told = [
        rule.table
        for rule in found.rules
        if rule.table is not None and not rule.table.level and not rule.table.points
    ]
    tellers = [entry for entry in found.outputs if entry.table is None or _tells(entry.table)]
    if tellers and not any("critical" in rule.tiers and "raised" in rule.transitions for rule in told):
        what = "no rule tells anybody of every critical alarm"
        remedy = 'add a [[notify]] table with tiers = ["critical"], without points and level'
        report.add(tellers[0].at, what, remedy, fatal=False)


def build_outputs(found: OutputTables, base: Path) -> dict[str, Any]:
    """The parts of a `Site` that the three tables say, from tables without mistakes."""
    outputs = tuple(_output(entry.table, base) for entry in found.outputs if entry.table is not None)
    rules = tuple(_rule(entry.table) for entry in found.rules if entry.table is not None)
    notices = found.notices or NoticesTable.model_validate({})
    return {
        "outputs": outputs,
        "notify": rules,
        "notices": NoticesSpec(link=notices.link or "", unreachable_s=notices.unreachable),
    }


def _output(table: OutputTable, base: Path) -> OutputSpec:
    plugin = load_output(table.type)
    return OutputSpec(
        id=table.id,
        type=table.type,
        settings={name: _whole(base, value) for name, value in own_settings(table).items()},
        to=tuple(table.to),
        language=table.language,
        timeout_s=plugin.timeout_s if table.timeout is None else table.timeout,
        limit=table.limit,
        per_s=table.per,
        late_s=table.late,
        give_up_s=table.give_up,
        alive_s=table.alive,
        sends=plugin.sends,
        follows=plugin.follows,
        digests=plugin.digests,
        values=plugin.values,
    )


def _whole(base: Path, value: Any) -> Any:
    """Paths, also those of secrets, are relative to the site file."""
    if isinstance(value, Path):
        return (base / value).absolute()
    if isinstance(value, Secret) and value.file is not None:
        return Secret(file=(base / value.file).absolute())
    return value


def _rule(table: NotifyTable) -> NotifySpec:
    return NotifySpec(
        output=table.output,
        tiers=tuple(table.tiers),
        transitions=tuple(table.transitions),
        points=tuple(table.points),
        to=tuple(table.to),
        level=table.level,
        delay_s=table.delay,
        times=tuple(table.times),
    )
