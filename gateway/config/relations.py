"""The second pass: what the tables of a site file mean together. Looks at every table that can be understood,
whatever is wrong elsewhere in the file."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from gateway.config.ble import check_unit
from gateway.config.files import named
from gateway.config.kinds import KINDS
from gateway.config.lookup import kind_of, model_of
from gateway.config.models import ModelBook
from gateway.config.process import check_processes
from gateway.config.shape import (
    BufferTable,
    CalibrationTable,
    ClockTable,
    ClusterTable,
    DeviceTable,
    RtuBus,
    RtuOverTcpBus,
    TcpBus,
    WebTable,
)
from gateway.config.tables import Entry, Tables
from gateway.config.words import Report, did_you_mean

__all__ = ["check_relations", "period_ms"]


def check_relations(tables: Tables, models: ModelBook, report: Report) -> None:
    """Ids, references, models, calibrations and addresses."""
    for entries, kind in ((tables.buses, "bus"), (tables.devices, "device"), (tables.points, "point")):
        _unique_ids(entries, kind, report)
    _bus_addresses(tables, report)
    for entry in tables.devices:
        _device(entry, tables, models, report)
    _units(tables, models, report)
    _points(tables, models, report)
    check_processes(tables, models, report)
    _single_tables(tables, report)


def _unique_ids(entries: Iterable[Entry[Any]], kind: str, report: Report) -> None:
    seen: set[str] = set()
    for entry in entries:
        name = entry.text("id")
        if name is None:
            continue
        if name in seen:
            report.add((*entry.at, "id"), f"{name!r} is the id of another {kind}", "give each its own id")
        seen.add(name)


def _bus_addresses(tables: Tables, report: Report) -> None:
    seen: dict[object, str] = {}
    for entry in tables.buses:
        bus = entry.table
        if bus is None:
            continue
        if not isinstance(bus, RtuBus | TcpBus | RtuOverTcpBus):
            KINDS[str(entry.text("type"))].check_bus(entry.at, bus, seen, report)
            continue
        place: object = bus.device if isinstance(bus, RtuBus) else (bus.host, bus.port)
        if place in seen:
            key = "device" if isinstance(bus, RtuBus) else "host"
            remedy = "put the devices of both on one bus: two would disturb each other"
            report.add((*entry.at, key), f"is the line of bus {seen[place]!r} as well", remedy)
        seen.setdefault(place, bus.id)


def _device(entry: Entry[DeviceTable], tables: Tables, models: ModelBook, report: Report) -> None:
    buses = {bus.text("id"): bus for bus in tables.buses if bus.text("id")}
    bus = entry.text("bus")
    if bus is not None and bus not in buses:
        known = [str(name) for name in buses]
        report.add((*entry.at, "bus"), f"there is no bus {bus!r}", did_you_mean(bus, known))
    kind = kind_of(entry, tables)
    if kind is not None:
        kind.check_device(entry.at, entry.raw, report)
    else:
        check_unit(entry.at, entry.raw, report)
    unit = entry.raw.get("unit") if kind is None else None
    on_tcp = bus in buses and isinstance(buses[bus].table, TcpBus)
    if (
        isinstance(unit, int)
        and not isinstance(unit, bool)
        and not (1 <= unit <= 247 or (on_tcp and unit in {0, 255}))
    ):
        own = " (0 and 255 are for devices with an address of their own on Modbus TCP)"
        report.add(
            (*entry.at, "unit"), f"{unit} is not a unit id", f"write 1 to 247{own if unit in {0, 255} else ''}"
        )
    _times(entry, report)
    _model(entry, tables, models, report)


def _times(entry: Entry[DeviceTable], report: Report) -> None:
    given = [name for name in ("period_s", "period") if name in entry.raw]
    if not given:
        report.add((*entry.at, "period_s"), "is missing", "add period_s = 10, the seconds between two polls")
    if len(given) == 2:
        report.add((*entry.at, "period"), "is given twice", "write period_s or period, not both")
    device = entry.table
    if device is None or (period := period_ms(device)) is None:
        return
    for name, value in ((given[0] if given else "period_s", period), ("phase_s", device.phase_s * 1000)):
        if abs(value - round(value)) > 1e-6:
            report.add((*entry.at, name), "is finer than a millisecond", "write whole milliseconds")
    if device.phase_s * 1000 >= period:
        remedy = f"write less than {period / 1000:g}: the phase is a shift within the period"
        report.add((*entry.at, "phase_s"), f"{device.phase_s:g} is not below the period", remedy)


def period_ms(device: DeviceTable) -> float | None:
    """Milliseconds between two polls, however the file says it; None where it does not."""
    period_s = device.period_s if device.period_s is not None else device.period
    return None if period_s is None else round(period_s * 1000, 6)


def _model(entry: Entry[DeviceTable], tables: Tables, models: ModelBook, report: Report) -> None:
    written = entry.text("model")
    if not written:
        return
    model = model_of(entry, tables, models)
    if model is None:
        # The mistakes of one model file are told at the first device that uses it.
        first = next(other for other in tables.devices if other.text("model") == written)
        if not written.endswith(".toml"):
            first = entry
        for problem in models.problems(named(entry.raw) if kind_of(entry, tables) is not None else written):
            what = problem.what if problem.path == "model" else f"{written}: {problem.path}: {problem.what}"
            report.add((*first.at, "model"), what, problem.remedy)
        return
    check_model = getattr(kind_of(entry, tables), "check_model", None)
    if check_model is not None:
        check_model(entry.at, entry.raw, model, report)
    wanted = entry.raw.get("channels")
    chosen = [name for name in wanted if isinstance(name, str)] if isinstance(wanted, list) else []
    for number, name in enumerate(chosen):
        at = (*entry.at, "channels", number)
        if name not in model.channels:
            report.add(at, f"{model.id} has no channel {name!r}", did_you_mean(name, model.channels))
        elif name in chosen[:number]:
            report.add(at, f"{name!r} is listed twice", "list each channel once")
    calibrations = entry.raw.get("calibration")
    for name in calibrations if isinstance(calibrations, dict) else ():
        at = (*entry.at, "calibration", name)
        if name not in model.channels:
            report.add(at, f"{model.id} has no channel {name!r}", did_you_mean(name, model.channels))
        elif chosen and name not in chosen:
            report.add(
                at, f"{name!r} is not among the channels of this device", "add it to channels, or take this away"
            )
        if at in tables.calibrations:
            _rising(at, tables.calibrations[at], report)


def _rising(at: tuple[str | int, ...], calibration: CalibrationTable, report: Report) -> None:
    for number, ((low, low_is), (high, high_is)) in enumerate(pairwise(calibration.points), 1):
        if low >= high or low_is >= high_is:
            what = f"[{high:g}, {high_is:g}] does not rise from [{low:g}, {low_is:g}]"
            remedy = "list [indicated, reference] pairs in rising order of both, each once"
            report.add((*at, "points", number), what, remedy)


def _units(tables: Tables, models: ModelBook, report: Report) -> None:
    """One unit id is one device on a bus; it may be listed twice to poll some of its channels more often."""
    seen: dict[tuple[str, object], list[tuple[DeviceTable, set[str]]]] = {}
    for entry in tables.devices:
        device = entry.table
        if device is None or (model := model_of(entry, tables, models)) is None:
            continue
        kind = kind_of(entry, tables)
        heard = kind is not None and kind.whom == "address"
        whom = device.unit if kind is None else kind.who(device)
        channels = set(device.channels or model.channels)
        for other, others in seen.setdefault((device.bus, whom), []):
            at = (*entry.at, "address" if heard else "unit")
            who = f"{'sensor' if heard else 'unit'} {whom} of bus {device.bus!r} is {other.id!r} already"
            if other.model != device.model:
                remedy = "give each sensor one model" if heard else "give each device its own unit id"
                report.add(at, f"{who}, a {other.model}", remedy)
            elif both := sorted(channels & others):
                report.add(at, f"{who}, with the same channels ({', '.join(both[:3])})", "poll each channel once")
        seen[device.bus, whom].append((device, channels))


def _points(tables: Tables, models: ModelBook, report: Report) -> None:
    devices = {entry.text("id"): entry for entry in tables.devices if entry.text("id")}
    for entry in tables.points:
        written = entry.text("channel")
        if written is None:
            continue
        at = (*entry.at, "channel")
        name, dot, channel = written.partition(".")
        if not dot or not channel:
            report.add(at, f"{written!r} is not a channel of a device", 'write "device-id.channel"')
            continue
        if name not in devices:
            report.add(at, f"there is no device {name!r}", did_you_mean(name, [str(known) for known in devices]))
            continue
        if (model := model_of(devices[name], tables, models)) is None:
            continue
        if entry.raw.get("critical") is True and getattr(model, "not_for_ccp", False):
            what = f"a critical point cannot rest on {name!r}: nobody answers for the format of a {model.id}"
            report.add(at, what, "take another sensor, or take critical away")
        chosen = devices[name].raw.get("channels")
        known = [key for key in model.channels if not isinstance(chosen, list) or key in chosen]
        if channel not in known:
            full = [f"{name}.{key}" for key in known]
            report.add(at, f"device {name!r} has no channel {channel!r}", did_you_mean(written, full))


def _single_tables(tables: Tables, report: Report) -> None:
    buffer = tables.one("buffer", BufferTable)
    if buffer is not None and buffer.batch_min_age_s > buffer.batch_max_age_s:
        remedy = f"write {buffer.batch_max_age_s:g} or less (batch_max_age_s)"
        report.add(("buffer", "batch_min_age_s"), "is above batch_max_age_s", remedy)
    clock = tables.one("clock", ClockTable)
    if clock is not None and clock.source == "host" and clock.error_s is None:
        remedy = "add error_s = the seconds by which the host's clock can be wrong"
        report.add(("clock", "error_s"), 'is missing, and source is "host"', remedy)
    if clock is not None and clock.source == "auto" and clock.error_s is not None:
        remedy = 'take it away, or write source = "host" if something outside keeps the clock right'
        report.add(("clock", "error_s"), 'has no meaning with source = "auto"', remedy)
    web = tables.one("web", WebTable)
    for name, other in (("certificate", "key"), ("key", "certificate")):
        if web is not None and getattr(web, name) is not None and getattr(web, other) is None:
            report.add(("web", other), f"is missing, and {name} is given", f"add {other} = the file's path")
    if web is not None and web.certificate is not None and web.tls == "self":
        report.add(("web", "tls"), "is self, and a certificate is given", "take one of the two away")
    cluster = tables.one("cluster", ClusterTable)
    if cluster is None:
        return
    for name in ("ca", "certificate", "key"):
        given = getattr(cluster, name) is not None
        if cluster.broker.tls and not given:
            report.add(("cluster", name), "is missing, and the broker is mqtts", f"add {name} = the file's path")
        if not cluster.broker.tls and given:
            report.add(("cluster", name), "has no meaning without TLS", "write mqtts:// in broker, or take it away")
