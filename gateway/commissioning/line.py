"""Which line an engineer means, and how to speak on it: through the running link where the gateway has it open."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from firmware_interfaces.errors import ModelError
from firmware_interfaces.modbus.link import Link
from firmware_interfaces.modbus.model import DeviceModel, LinkFacts, list_models, load_model
from gateway.acquire.guests import FRAMES_KEPT, GuestLink
from gateway.acquire.modbus import make_link
from gateway.acquire.worker import BusWorker
from gateway.app import Gateway
from gateway.errors import OperatorError
from gateway.logbook.fields import Fields
from gateway.site import BusSpec

__all__ = ["line_data", "line_of", "model_of_request", "open_line", "patience_s", "place_of", "whole", "worker_of"]

MODBUS = ("modbus-tcp", "modbus-tls", "modbus-rtu", "modbus-rtu-over-tcp")
NEW = ("modbus-tcp", "modbus-rtu", "modbus-rtu-over-tcp")
"""Kinds that a request can describe; TLS needs files that stand in a site file."""
NETWORK = frozenset({"modbus-tcp", "modbus-tls"})
CONNECT_S = 3.0


def line_of(fields: Fields, gateway: Gateway, facts: LinkFacts | None = None) -> BusSpec:
    """The bus of a request: ``bus`` names one of the site file, ``connection`` describes one that is not in it yet.

    What a connection does not say of its serial line is taken from the model's ``facts``. Raises `RecordError`.
    """
    buses = {bus.id: bus for bus in gateway.site.buses if bus.kind in MODBUS}
    name = fields.known("bus", buses, "Modbus bus")
    given = fields.table("connection")
    if name is not None:
        if given is not None:
            raise fields.wrong("connection", "and bus are given both", "name a bus, or describe a connection")
        return buses[name]
    if given is None:
        raise fields.wrong("bus", "is missing", "name a bus of the site file, or describe a connection")
    return _described(Fields(given, where="connection."), facts)


def _described(fields: Fields, facts: LinkFacts | None) -> BusSpec:
    kind = fields.choice("type", NEW)
    if kind == "modbus-rtu":
        spec = BusSpec(
            id="new",
            kind="modbus-rtu",
            device=fields.text("device", need="give the port, such as /dev/ttyUSB0") or "",
            baud=whole(fields, "baud", 300, 1_000_000, (facts and facts.baud) or 9600),
            parity=cast("Any", fields.choice("parity", ("N", "E", "O"), default=(facts and facts.parity) or "N")),
            stop_bits=cast("Any", whole(fields, "stop_bits", 1, 2, (facts and facts.stop_bits) or 1)),
        )
    else:
        host = fields.text("host", need="give the address, such as 192.168.1.20")
        port = whole(fields, "port", 1, 65535, 502)
        spec = BusSpec(id="new", kind=cast("Any", kind), host=host or "", port=port)
    fields.done()
    return spec


def model_of_request(fields: Fields, gateway: Gateway) -> DeviceModel:
    """The device model that a request names: one that comes with the gateway, one that the site uses, or a file
    beside the site file. Reads files. Raises `RecordError`."""
    name = fields.text("model", need="name a device model: commission.models lists them") or ""
    known = {*list_models(), *(device.model for device in gateway.site.devices)}
    path: str | Path = name
    if name not in known and name.endswith(".toml"):
        folder = Path(gateway.site.source).resolve().parent
        path = (folder / name).resolve()
        if not gateway.site.source or folder not in path.parents:
            raise fields.wrong("model", "lies elsewhere than the site file", "put it beside that, or below")
    try:
        return load_model(path)
    except ModelError as error:
        first = error.problems[0]
        raise fields.wrong("model", f"cannot be used: {first.what}", first.remedy) from error


def whole(fields: Fields, name: str, low: int, high: int, default: int | None = None) -> int:
    """A whole number of a request; required where there is no default."""
    span = f"a whole number from {low} to {high} is needed"
    value = fields.number(name, need="" if default is not None else span)
    if value is None:
        assert default is not None
        return default
    if value != int(value) or not low <= value <= high:
        raise fields.wrong(name, f"is {value:g}", span)
    return int(value)


def place_of(bus: BusSpec) -> object:
    """What two buses must not share: the port behind all its names, or the address."""
    return str(Path(bus.device).resolve()) if bus.kind == "modbus-rtu" else (bus.host, bus.port)


def worker_of(gateway: Gateway, bus: BusSpec) -> BusWorker | None:
    """The worker that has this line open, under whatever name; None where the gateway does not use it."""
    places = {spec.id: place_of(spec) for spec in gateway.site.buses if spec.kind in MODBUS}
    wanted = place_of(bus)
    for worker in gateway.acquire.workers:
        if not isinstance(worker.link, Link):
            continue
        if worker.stats.id == bus.id or places.get(worker.stats.id) == wanted:
            return worker
    return None


@asynccontextmanager
async def open_line(gateway: Gateway, bus: BusSpec, min_gap_ms: float = 0.0) -> AsyncIterator[Link]:
    """A link on the bus for as long as the context lasts. Raises `OperatorError` where there is no connection."""
    worker = worker_of(gateway, bus)
    if worker is not None:
        if any(spec.release for spec in gateway.site.buses if spec.id == worker.stats.id):
            raise OperatorError(
                f"bus {worker.stats.id} gives its connection back after each poll: nobody can look between them",
                'write connection = "keep" there for as long as you are here',
            )
        if not worker.link.connected:
            raise OperatorError(
                f"bus {worker.stats.id} is not connected: {worker.stats.last_fault or 'connecting'}",
                "mend that first; the gateway keeps trying",
            )
        assert isinstance(worker.link, Link)
        yield GuestLink(worker.link, worker.guests)
        return
    link = make_link(bus, min_gap_ms, frames_kept=FRAMES_KEPT)
    try:
        await link.open(CONNECT_S)
        yield link
    finally:
        link.close()


def line_data(bus: BusSpec) -> Mapping[str, Any]:
    """A bus as plain data."""
    if bus.kind == "ble":
        return {"id": bus.id, "type": bus.kind, "adapters": list(bus.adapters)}
    if bus.kind in NETWORK:
        return {"id": bus.id, "type": bus.kind, "host": bus.host, "port": bus.port}
    if bus.kind not in MODBUS:
        return {"id": bus.id, "type": bus.kind, **({"device": bus.device} if bus.device else {})}
    serial = {"baud": bus.baud, "parity": bus.parity, "stop_bits": bus.stop_bits}
    if bus.kind == "modbus-rtu":
        return {"id": bus.id, "type": bus.kind, "device": bus.device, **serial}
    return {"id": bus.id, "type": bus.kind, "host": bus.host, "port": bus.port, **serial}


def patience_s(gateway: Gateway, bus: BusSpec) -> float:
    """How long an answer may take on a bus, where nobody says: on one that is polled, what half a period leaves."""
    worker = worker_of(gateway, bus)
    if worker is None:
        return bus.timeout_s
    shortest_s = min(poller.grid.period_ms for poller in worker.pollers) / 1000
    return max(0.05, min(bus.timeout_s, shortest_s / 2))
