"""From checked tables to a `Site`: settings that models bring, whole paths, load of the lines, files to be read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from firmware_interfaces.modbus.model import DeviceModel
from gateway.config.files import named
from gateway.config.food import AlarmsTable
from gateway.config.judging import alarm_spec
from gateway.config.kinds import KINDS
from gateway.config.lookup import kind_of, model_of
from gateway.config.models import ModelBook
from gateway.config.process import build_processes
from gateway.config.relations import period_ms
from gateway.config.shape import (
    BufferTable,
    ClockTable,
    ClusterTable,
    DeviceTable,
    GatewayTable,
    RtuBus,
    RtuOverTcpBus,
    SerialLine,
    TcpBus,
    WebTable,
)
from gateway.config.tables import AnyBus, Entry, Tables
from gateway.config.wire import line_load, poll_s, reads_of
from gateway.config.words import Report
from gateway.site import (
    BufferSpec,
    BusSpec,
    Calibration,
    ClockSpec,
    ClusterSpec,
    DeviceSpec,
    Identity,
    PointSpec,
    Site,
    WebSpec,
)

__all__ = ["build_buses", "build_devices", "build_site", "check_files", "check_load"]

_T = TypeVar("_T")

TIMEOUT_S = 1.0


class Line(NamedTuple):
    """Settings of a serial line; these are what it is set to when neither the file nor a model says."""

    baud: int = 9600
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1


def build_buses(tables: Tables, models: ModelBook, report: Report) -> list[BusSpec]:
    """The buses that are right, with the serial settings of their devices where the file gives none."""
    return [_bus(entry, entry.table, tables, models, report) for entry in tables.buses if entry.table is not None]


def _bus(entry: Entry[AnyBus], bus: AnyBus, tables: Tables, models: ModelBook, report: Report) -> BusSpec:
    if not isinstance(bus, RtuBus | TcpBus | RtuOverTcpBus):
        devices = (device for device in tables.devices if device.text("bus") == entry.text("id"))
        of = [model for device in devices if (model := model_of(device, tables, models)) is not None]
        return KINDS[str(entry.text("type"))].spec(entry.at, bus, of, report)
    mine = {
        device.text("id") or "?": model
        for device in tables.devices
        if device.text("bus") == bus.id and (model := models.get(device.text("model") or "")) is not None
    }
    slowest_s = max((model.link.timeout_ms or 0 for model in mine.values()), default=0) / 1000
    line = _line(entry, bus, mine, report) if isinstance(bus, SerialLine) else Line()
    return BusSpec(
        id=bus.id,
        kind=bus.type,
        host="" if isinstance(bus, RtuBus) else bus.host,
        port=502 if isinstance(bus, RtuBus) else bus.port,
        device=bus.device if isinstance(bus, RtuBus) else "",
        baud=line.baud,
        parity=line.parity,
        stop_bits=line.stop_bits,
        timeout_s=bus.timeout_s if bus.timeout_s is not None else max(TIMEOUT_S, slowest_s),
        gap_ms=bus.gap_ms,
        connect_pause_ms=bus.connect_pause_ms,
        release=not isinstance(bus, RtuBus) and bus.connection == "release",
        rs485=bus.rs485 if isinstance(bus, RtuBus) else None,
    )


def _line(entry: Entry[AnyBus], bus: SerialLine, mine: dict[str, DeviceModel], report: Report) -> Line:
    links = {device: model.link for device, model in mine.items()}
    _conflict(entry, "baud", bus.baud, {device: link.baud for device, link in links.items()}, report)
    _conflict(entry, "parity", bus.parity, {device: link.parity for device, link in links.items()}, report)
    _conflict(entry, "stop_bits", bus.stop_bits, {device: link.stop_bits for device, link in links.items()}, report)
    factory = Line()
    return Line(
        _first(factory.baud, bus.baud, *(link.baud for link in links.values())),
        _first(factory.parity, bus.parity, *(link.parity for link in links.values())),
        _first(factory.stop_bits, bus.stop_bits, *(link.stop_bits for link in links.values())),
    )


def _first(default: _T, *stated: _T | None) -> _T:
    return next((one for one in stated if one is not None), default)


def _conflict(entry: Entry[AnyBus], name: str, given: object, wishes: Mapping[str, object], report: Report) -> None:
    """Devices that come out of the box with different settings do not talk on one line as they are."""
    stated = {device: wish for device, wish in wishes.items() if wish is not None}
    if given is None and len(set(stated.values())) > 1:
        words = ", ".join(f"{device} {wish}" for device, wish in stated.items())
        remedy = f"set all devices alike and write {name} here, or put them on lines of their own"
        report.add((*entry.at, name), f"the devices are made for different settings ({words})", remedy)


def build_devices(tables: Tables, models: ModelBook, base: Path) -> list[tuple[Entry[DeviceTable], DeviceSpec]]:
    """The devices whose own table is right."""
    built = []
    for entry in tables.devices:
        device = entry.table
        if device is None or (period := period_ms(device)) is None:
            continue
        calibration = {
            channel: Calibration(
                certificate=table.certificate,
                valid_until=table.valid_until,
                points=tuple((indicated, reference) for indicated, reference in table.points),
            )
            for channel in device.calibration
            if (table := tables.calibrations.get((*entry.at, "calibration", channel))) is not None
        }
        kind = kind_of(entry, tables)
        spec = DeviceSpec(
            id=device.id,
            bus=device.bus,
            model=models.name(device.model) if kind is None or device.inputs is None else named(entry.raw),
            unit=device.unit or 0,
            period_ms=round(period),
            phase_ms=round(device.phase_s * 1000),
            channels=tuple(device.channels or ()),
            calibration=calibration,
            address=str(kind.who(device)) if kind is not None and device.address else "",
            key_file=_whole(base, device.key_file) if device.key_file is not None else None,
            write=tuple(device.write or ()),
            backfill=device.backfill is not False,
            interval_s=device.interval,
        )
        built.append((entry, spec))
    return built


def check_load(
    tables: Tables,
    buses: Sequence[BusSpec],
    devices: Sequence[tuple[Entry[DeviceTable], DeviceSpec]],
    models: ModelBook,
    report: Report,
) -> None:
    """No line may be asked for more than it can carry, even if the devices took no time at all to answer."""
    entries = {str(entry.text("id")): entry for entry in tables.buses if entry.table is not None}
    for bus in buses:
        if (bus.kind in {"modbus-tcp", "modbus-tls"} or bus.kind in KINDS) or (
            bus.kind == "modbus-rtu-over-tcp" and "baud" not in entries[bus.id].raw
        ):
            continue
        polls: list[tuple[DeviceSpec, DeviceModel]] = []
        sound = True
        for entry, device in devices:
            model = models.get(entry.text("model") or "")
            if device.bus == bus.id and model is not None and set(device.channels) <= set(model.channels):
                polls.append((device, model))
                sound &= _fits(entry, device, bus, model, report)
        load = line_load(bus, polls)
        if load > 1 and sound:
            what = f"its polls need {load:.0%} of the time that {bus.baud} baud can give"
            report.add(entries[bus.id].at, what, "poll less often, choose fewer channels, or split the line")


def _fits(entry: Entry[DeviceTable], device: DeviceSpec, bus: BusSpec, model: DeviceModel, report: Report) -> bool:
    """Whether one poll of the device ends before the next is due."""
    reads = reads_of(model, device.channels)
    needed_s = poll_s(bus, model, reads)
    if needed_s * 1000 <= device.period_ms:
        return True
    name = "period_s" if "period_s" in entry.raw else "period"
    what = f"{device.period_ms / 1000:g} s is too short for one poll, which takes the line {needed_s:.2f} s"
    remedy = "poll less often, choose fewer channels, or raise the speed of the line"
    report.add((*entry.at, name), f"{what} ({len(reads)} reads at {bus.baud} baud)", remedy)
    return False


def check_files(tables: Tables, base: Path, report: Report) -> None:
    """Files for the uplink that cannot be read: said, but no reason not to record (the uplink waits for them)."""
    cluster = tables.one("cluster", ClusterTable)
    if cluster is None:
        return
    for name in ("receipt_key", "ca", "certificate", "key"):
        written = getattr(cluster, name)
        if written is None:
            continue
        try:
            with (base / written).open("rb"):
                pass
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            remedy = (
                "put it there, readable for the gateway's user; until then nothing is delivered, all is recorded"
            )
            report.add(("cluster", name), f"{written}: {why}", remedy, fatal=False)


def build_site(
    tables: Tables,
    buses: Sequence[BusSpec],
    devices: Sequence[tuple[Entry[DeviceTable], DeviceSpec]],
    points: Sequence[PointSpec],
    *,
    base: Path,
    source: str,
) -> Site:
    """The site of a file without mistakes."""
    gateway = tables.one("gateway", GatewayTable)
    buffer = tables.one("buffer", BufferTable)
    clock = tables.one("clock", ClockTable)
    web = tables.one("web", WebTable)
    assert gateway is not None
    assert buffer is not None
    assert clock is not None
    assert web is not None
    alarms = tables.one("alarms", AlarmsTable)
    assert alarms is not None
    return Site(
        identity=Identity(member=gateway.member, site=gateway.site, gateway=gateway.id),
        data_dir=_whole(base, gateway.data_dir),
        buses=tuple(buses),
        devices=tuple(device for _, device in devices),
        points=tuple(points),
        processes=build_processes(tables),
        cluster=_cluster(tables.one("cluster", ClusterTable), base),
        buffer=BufferSpec(
            loss_window_ms=round(buffer.loss_window_s * 1000),
            batch_values=buffer.batch_values,
            batch_min_age_s=buffer.batch_min_age_s,
            batch_max_age_s=buffer.batch_max_age_s,
            keep_days=buffer.keep_days,
            max_bytes=buffer.max_size,
            card_endurance_bytes=buffer.card_endurance,
        ),
        clock=ClockSpec(source=clock.source, error_s=clock.error_s),
        time_zone=gateway.time_zone,
        language=gateway.language,
        web=_web(web, base),
        alarms=alarm_spec(alarms),
        source=source,
    )


def _web(table: WebTable, base: Path) -> WebSpec | None:
    if table.listen is None:
        return None
    return WebSpec(
        host=table.listen.host,
        port=table.listen.port,
        open_view=table.open_view,
        names=frozenset(name.lower() for name in table.names),
        tls=table.tls,
        certificate=_whole(base, table.certificate) if table.certificate is not None else None,
        key=_whole(base, table.key) if table.key is not None else None,
    )


def _cluster(table: ClusterTable | None, base: Path) -> ClusterSpec | None:
    if table is None:
        return None
    return ClusterSpec(
        host=table.broker.host,
        port=table.broker.port,
        receipt_key=_whole(base, table.receipt_key),
        ca=_whole(base, table.ca) if table.ca is not None else None,
        certificate=_whole(base, table.certificate) if table.certificate is not None else None,
        key=_whole(base, table.key) if table.key is not None else None,
        in_flight=table.in_flight,
    )


def _whole(base: Path, written: str) -> Path:
    return (base / written).absolute()
