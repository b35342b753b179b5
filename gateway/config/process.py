"""Tables ``[[process]]``: process calculations on channels. Names, places and parameters are checked against what
runs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gateway.assess.process.calculation import Calculation
from gateway.assess.process.catalogue import CALCULATIONS
from gateway.assess.process.parameters import ParameterError
from gateway.config.lookup import model_of
from gateway.config.shape import Identifier, Table, Text
from gateway.config.words import Report, did_you_mean
from gateway.site import ProcessSpec

if TYPE_CHECKING:
    from gateway.config.models import ModelBook
    from gateway.config.tables import Entry, Tables

__all__ = ["ProcessTable", "build_processes", "check_processes"]

CELSIUS = "degC"
UNITS = {"rh": ("%RH", "%"), "wet": (CELSIUS,)}
"""Units in which further inputs are understood; others are taken as they come."""


class ProcessTable(Table):
    """A process calculation."""

    id: Identifier = Field(examples=["cook-1"])
    calculation: Text = Field(examples=["lethality"])
    point: Text | None = Field(None, examples=["cooker-1"])
    channel: Text | None = Field(None, examples=["cooker-1.core"])
    inputs: dict[str, Any] = Field(default_factory=dict, examples=[{"forward": "pasteuriser.forward"}])
    parameters: dict[str, Any] = Field(default_factory=dict, examples=[{"definition": "f0"}])
    tier: Literal["critical", "alert"] | None = Field(None, examples=["critical"])
    start_above: float | None = Field(None, ge=-300, le=3000, examples=[60.0])
    start_below: float | None = Field(None, ge=-300, le=3000, examples=[0.0])
    end_above: float | None = Field(None, ge=-300, le=3000, examples=[8.0])
    end_below: float | None = Field(None, ge=-300, le=3000, examples=[50.0])
    end_after_s: float | None = Field(None, ge=1, le=3.2e7, examples=[86400.0])
    hold_s: float = Field(0.0, ge=0, le=86400, examples=[60.0])


def check_processes(tables: "Tables", models: "ModelBook", report: Report) -> None:
    """Everything about a process that its own table does not show."""
    seen: set[str] = set()
    for entry in tables.processes:
        if (name := entry.text("id")) is not None:
            if name in seen:
                report.add((*entry.at, "id"), f"{name!r} is the id of another process", "give each its own id")
            seen.add(name)
        kind = _kind(entry, report)
        _place(entry, tables, models, kind, report)
        _inputs(entry, tables, models, kind, report)
        _parameters(entry, kind, report)
        _rules(entry, report)


def _kind(entry: "Entry[ProcessTable]", report: Report) -> type[Calculation] | None:
    written = entry.text("calculation")
    if written is None:
        return None
    if written not in CALCULATIONS:
        report.add(
            (*entry.at, "calculation"), f"there is no calculation {written!r}", did_you_mean(written, CALCULATIONS)
        )
    return CALCULATIONS.get(written)


def _place(
    entry: "Entry[ProcessTable]",
    tables: "Tables",
    models: "ModelBook",
    kind: type[Calculation] | None,
    report: Report,
) -> None:
    """A point or a channel, one of both, and in degC where that is what the calculation takes."""
    point, channel = entry.text("point"), entry.text("channel")
    if "point" in entry.raw and "channel" in entry.raw:
        report.add((*entry.at, "channel"), "is given beside point", "write one of both")
        return
    if "point" not in entry.raw and "channel" not in entry.raw:
        report.add(
            (*entry.at, "point"), "is missing", 'add point = "the id of a point", or channel = "device.channel"'
        )
        return
    at = (*entry.at, "point" if point is not None else "channel")
    if point is not None:
        points = {other.text("id"): other for other in tables.points if other.text("id")}
        if point not in points:
            report.add(at, f"there is no point {point!r}", did_you_mean(point, [str(name) for name in points]))
            return
        channel = points[point].text("channel")
    if channel is None:
        return
    unit = _unit(channel, tables, models, at, report)
    if kind is not None and unit is not None and kind.input_unit == CELSIUS and unit != CELSIUS:
        report.add(
            at, f"is measured in {unit}, and {kind.name} takes degC", "choose a channel that measures temperature"
        )


def _unit(
    channel: str, tables: "Tables", models: "ModelBook", at: tuple[str | int, ...], report: Report
) -> str | None:
    """Unit of ``device.channel``; None where it is not there, which is reported."""
    device, dot, name = channel.partition(".")
    devices = {entry.text("id"): entry for entry in tables.devices if entry.text("id")}
    if not dot or not name:
        report.add(at, f"{channel!r} is not a channel of a device", 'write "device-id.channel"')
        return None
    if device not in devices:
        report.add(at, f"there is no device {device!r}", did_you_mean(device, [str(known) for known in devices]))
        return None
    model = model_of(devices[device], tables, models)
    if model is None:
        return None
    chosen = devices[device].raw.get("channels")
    known = [key for key in model.channels if not isinstance(chosen, list) or key in chosen]
    if name not in known:
        full = [f"{device}.{key}" for key in known]
        report.add(at, f"device {device!r} has no channel {name!r}", did_you_mean(channel, full))
        return None
    return model.channels[name].unit


def _inputs(
    entry: "Entry[ProcessTable]",
    tables: "Tables",
    models: "ModelBook",
    kind: type[Calculation] | None,
    report: Report,
) -> None:
    given = entry.raw.get("inputs")
    if kind is None or not isinstance(given, dict):
        return
    for name, channel in given.items():
        at = (*entry.at, "inputs", name)
        if name not in kind.also:
            remedy = (
                did_you_mean(name, kind.also)
                if kind.also
                else "take it away: this calculation has no further inputs"
            )
            report.add(at, f"is not an input of {kind.name}", remedy)
        elif not isinstance(channel, str):
            report.add(at, "is not a channel", 'write "device-id.channel"')
        elif (unit := _unit(channel, tables, models, at, report)) is not None and unit not in UNITS.get(
            name, (unit,)
        ):
            report.add(at, f"is measured in {unit}", f"choose a channel in {' or '.join(UNITS[name])}")


def _parameters(entry: "Entry[ProcessTable]", kind: type[Calculation] | None, report: Report) -> None:
    given = entry.raw.get("parameters", {})
    if kind is None or not isinstance(given, dict):
        return
    at = (*entry.at, "parameters")
    if "unit" in given:
        report.add((*at, "unit"), "has no meaning here: channels are in degC", "take it away")
        given = {name: value for name, value in given.items() if name != "unit"}
    try:
        made = kind(given)
    except ParameterError as error:
        for problem in error.problems:
            report.add((*at, problem.name), problem.what, problem.remedy)
        return
    inputs = entry.raw.get("inputs")
    for name in made.needs:
        if not isinstance(inputs, dict) or name not in inputs:
            report.add(
                (*entry.at, "inputs"),
                f"lacks {name}",
                f'add inputs.{name} = "device-id.channel" ({kind.also[name]})',
            )


def _rules(entry: "Entry[ProcessTable]", report: Report) -> None:
    table = entry.table
    if table is None:
        return
    if table.start_above is not None and table.start_below is not None:
        report.add((*entry.at, "start_below"), "is given beside start_above", "write one of both")
    starts = table.start_above is not None or table.start_below is not None
    ends = [value for value in (table.end_above, table.end_below, table.end_after_s) if value is not None]
    if starts and not ends:
        report.add(
            (*entry.at, "end_below"),
            "is missing: the run has a start and no end",
            "add end_below, end_above or end_after_s",
        )
    if not starts and (table.end_above is not None or table.end_below is not None):
        name = "end_below" if table.end_below is not None else "end_above"
        report.add((*entry.at, name), "ends a run whose start is not said", "add start_above or start_below")
    if table.start_above is not None and table.end_below is not None and table.end_below > table.start_above:
        report.add((*entry.at, "end_below"), "lies above start_above", f"write {table.start_above:g} or less")
    if table.start_below is not None and table.end_above is not None and table.end_above < table.start_below:
        report.add((*entry.at, "end_above"), "lies below start_below", f"write {table.start_below:g} or more")


def build_processes(tables: "Tables") -> tuple[ProcessSpec, ...]:
    """The processes of a file without mistakes."""
    points = {entry.table.id: entry.table for entry in tables.points if entry.table is not None}
    built = []
    for entry in tables.processes:
        table = entry.table
        assert table is not None
        point = points.get(table.point) if table.point is not None else None
        written = point.channel if point is not None else table.channel
        assert written is not None
        device, _, channel = written.partition(".")
        default: Literal["critical", "alert"] = "critical" if point is not None and point.critical else "alert"
        built.append(
            ProcessSpec(
                id=table.id,
                calculation=table.calculation,
                device=device,
                channel=channel,
                point=table.point,
                inputs=_split(table.inputs),
                parameters=table.parameters,
                tier=table.tier if table.tier is not None else default,
                start_above=table.start_above,
                start_below=table.start_below,
                end_above=table.end_above,
                end_below=table.end_below,
                end_after_s=table.end_after_s,
                hold_s=table.hold_s,
            )
        )
    return tuple(built)


def _split(inputs: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    return {
        name: (device, channel)
        for name, written in inputs.items()
        for device, _, channel in (written.partition("."),)
    }
