"""What a site file says beyond plain reading: secured lines, direction control, channels that may be written."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from firmware_interfaces.modbus.model import DeviceModel
from gateway.config.lookup import model_of
from gateway.config.models import ModelBook
from gateway.config.shape import Rs485Table, RtuBus, TlsBus
from gateway.config.tables import Tables
from gateway.config.words import Report, did_you_mean, say_all
from gateway.site import BusSpec

__all__ = ["check_rs485", "check_writes", "secured"]

FILES = ("ca", "certificate", "key")


def secured(tables: Tables, buses: Sequence[BusSpec], base: Path, report: Report) -> list[BusSpec]:
    """The buses, with whole paths for the files of TLS. A file that cannot be read is no reason not to record the
    other buses: it is looked for at each connection.
    """
    entries = {entry.table.id: entry for entry in tables.buses if isinstance(entry.table, TlsBus)}
    done = []
    for bus in buses:
        entry = entries.get(bus.id)
        if entry is None or not isinstance(entry.table, TlsBus):
            done.append(bus)
            continue
        paths: dict[str, Path] = {name: (base / getattr(entry.table, name)).absolute() for name in FILES}
        for name, path in paths.items():
            try:
                with path.open("rb"):
                    pass
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or str(error)
                remedy = "put it there, readable for the gateway's user; until then the bus is down"
                report.add((*entry.at, name), f"{getattr(entry.table, name)}: {why}", remedy, fatal=False)
        ca, certificate, key = (paths[name] for name in FILES)
        name = entry.table.server_name or ""
        done.append(replace(bus, ca=ca, certificate=certificate, key=key, server_name=name))
    return done


def check_rs485(tables: Tables, report: Report) -> None:
    """The direction control of a serial line."""
    for entry in tables.buses:
        if isinstance(entry.table, RtuBus) and entry.table.rs485 is not None:
            try:
                Rs485Table.model_validate(entry.table.rs485)
            except ValidationError as error:
                say_all(error, Rs485Table, (*entry.at, "rs485"), "rs485", report)


def check_writes(tables: Tables, models: ModelBook, report: Report) -> None:
    """A channel may be written only where its model allows it, with limits."""
    for entry in tables.devices:
        device = entry.table
        if device is None or device.write is None or (model := model_of(entry, tables, models)) is None:
            continue
        if not isinstance(model, DeviceModel):
            report.add((*entry.at, "write"), "has no meaning: this device is only read", "take it away")
            continue
        allowed = [key for key, channel in model.channels.items() if channel.writable]
        for number, name in enumerate(device.write):
            at = (*entry.at, "write", number)
            if name not in model.channels:
                report.add(at, f"{model.id} has no channel {name!r}", did_you_mean(name, model.channels))
            elif name not in allowed:
                remedy = f"it allows: {', '.join(allowed)}" if allowed else "it allows none to be written"
                report.add(at, f"{model.id} does not allow {name!r} to be written", remedy)
