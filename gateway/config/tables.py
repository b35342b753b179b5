"""The first pass over a document: every table on its own. Good tables come out, mistakes go to the report."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.config.food import AlarmsTable, Layer, ProfileTable, read_layer
from gateway.config.kinds import ALL_BUSES
from gateway.config.locate import Key
from gateway.config.process import ProcessTable
from gateway.config.shape import (
    BufferTable,
    CalibrationTable,
    ClockTable,
    ClusterTable,
    DeviceTable,
    GatewayTable,
    PointTable,
    Table,
    WebTable,
)
from gateway.config.words import Report, did_you_mean, in_toml, say_all

__all__ = ["AnyBus", "Entry", "Tables", "read_tables"]

AnyBus = Table
"""One of `ALL_BUSES`: all have an ``id``."""
T = TypeVar("T", bound=BaseModel)

LISTS = ("bus", "device", "point", "profile", "process")
ELSEWHERE = ("output", "notify", "notices", "rule", "scanner")
"""Read by modules of their own."""
SINGLE: dict[str, type[BaseModel]] = {
    "gateway": GatewayTable,
    "cluster": ClusterTable,
    "buffer": BufferTable,
    "clock": ClockTable,
    "web": WebTable,
    "alarms": AlarmsTable,
}


@dataclass(slots=True)
class Entry(Generic[T]):
    """One table of an array: its place, its content as written, and the checked table where it is right."""

    at: Key
    raw: Mapping[str, Any]
    table: T | None

    def text(self, name: str) -> str | None:
        """A value as written, when it is a string: references are checked even in tables with mistakes."""
        value = self.raw.get(name)
        return value if isinstance(value, str) else None


@dataclass(slots=True)
class Tables:
    """Everything of the document that could be read; absent optional tables have their defaults."""

    single: dict[str, BaseModel] = field(default_factory=dict)
    buses: list[Entry[AnyBus]] = field(default_factory=list)
    devices: list[Entry[DeviceTable]] = field(default_factory=list)
    points: list[Entry[PointTable]] = field(default_factory=list)
    processes: list[Entry[ProcessTable]] = field(default_factory=list)
    calibrations: dict[Key, CalibrationTable] = field(default_factory=dict)
    profiles: list[Entry[ProfileTable]] = field(default_factory=list)
    layers: dict[Key, Layer] = field(default_factory=dict)
    """Rules of profiles and points, by the place of their table."""

    def one(self, name: str, shape: type[T]) -> T | None:
        """The table of that name, None where it has mistakes or is absent without a default."""
        table = self.single.get(name)
        return table if isinstance(table, shape) else None


def read_tables(document: Mapping[str, Any], report: Report) -> Tables:
    """Check names, types and ranges of every table of a site file."""
    tables = Tables()
    known = (*SINGLE, *LISTS, *ELSEWHERE)
    for name in document:
        if name not in known:
            report.add((name,), "is not a table of a site file", did_you_mean(name, known))
    for name, shape in SINGLE.items():
        if name in document:
            if (table := _read(shape, document[name], (name,), f"[{name}]", report)) is not None:
                tables.single[name] = table
        elif name == "gateway":
            report.add((name,), "is missing", "add [gateway] with member, site and id")
        elif name != "cluster":
            tables.single[name] = shape()
    tables.buses = _entries(document, "bus", report, _read_bus)
    tables.devices = _entries(document, "device", report, _reader(DeviceTable, "[[device]]"))
    tables.points = _entries(document, "point", report, _reader(PointTable, "[[point]]"))
    tables.profiles = _entries(document, "profile", report, _reader(ProfileTable, "[[profile]]"))
    for profile in tables.profiles:
        tables.layers[profile.at] = read_layer(profile.raw, profile.at, report)
    for point in tables.points:
        tables.layers[point.at] = read_layer(point.raw, point.at, report, ("limits",))
    tables.processes = _entries(document, "process", report, _reader(ProcessTable, "[[process]]"))
    for entry in tables.devices:
        _read_calibrations(entry, tables.calibrations, report)
    for name in ("bus", "device"):
        if name not in document:
            # A new box records its own state and is enrolled before its first sensor is there.
            fatal = not document.keys().isdisjoint({"bus", "device", "point", "process"})
            report.add((name,), "is missing", f"add a [[{name}]] table for each {name}", fatal=fatal)
    return tables


def _read(shape: type[T], raw: object, at: Key, table: str, report: Report) -> T | None:
    if not isinstance(raw, dict):
        report.add(at, "is not a table", f"write {table} on a line of its own, and the settings below it")
        return None
    try:
        return shape.model_validate(raw)
    except ValidationError as error:
        say_all(error, shape, at, table, report)
        return None


def _reader(shape: type[T], table: str) -> Callable[[object, Key, Report], T | None]:
    return lambda raw, at, report: _read(shape, raw, at, table, report)


def _read_bus(raw: object, at: Key, report: Report) -> AnyBus | None:
    kind = raw.get("type") if isinstance(raw, dict) else None
    if isinstance(raw, dict) and (not isinstance(kind, str) or kind not in ALL_BUSES):
        if kind is None:
            words = ", ".join(in_toml(word) for word in ALL_BUSES)
            report.add((*at, "type"), "is missing", f"add type = one of {words}")
        else:
            report.add((*at, "type"), f"{kind!r} is not a kind of bus", did_you_mean(kind, ALL_BUSES))
        return None
    return _read(ALL_BUSES[kind or "modbus-tcp"], raw, at, f"a {kind} [[bus]]", report)


def _entries(
    document: Mapping[str, Any], name: str, report: Report, read: Callable[[object, Key, Report], T | None]
) -> list[Entry[T]]:
    listed = document.get(name, [])
    if not isinstance(listed, list):
        report.add((name,), "is not a list of tables", f"write [[{name}]] with two brackets, once for each {name}")
        return []
    found = []
    for number, raw in enumerate(listed):
        at: Key = (name, number)
        table = read(raw, at, report)
        if isinstance(raw, dict):
            found.append(Entry(at, raw, table))
    return found


def _read_calibrations(entry: Entry[DeviceTable], found: dict[Key, CalibrationTable], report: Report) -> None:
    raw = entry.raw.get("calibration")
    if not isinstance(raw, dict):
        return
    for channel, content in raw.items():
        at = (*entry.at, "calibration", channel)
        table = _read(CalibrationTable, content, at, f"[device.calibration.{channel}]", report)
        if table is not None:
            found[at] = table
