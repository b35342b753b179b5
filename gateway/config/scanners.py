"""What a site file says of barcode scanners: one [[scanner]] table for each."""

from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.config.quantities import parse_duration_s
from gateway.config.shape import Baud, Identifier, Table, Text, _said
from gateway.config.tables import Entry, Tables, _entries, _reader
from gateway.config.words import Report, did_you_mean
from gateway.site import ScannerSpec

__all__ = ["build_scanners", "check_scanners", "read_scanners"]


class ScannerTable(Table):
    """A scanner at a zone: what it reads came into the zone, or went out."""

    id: Identifier = Field(examples=["door-1"])
    device: Text = Field(examples=["/dev/serial/by-id/usb-..."])
    point: Text = Field(examples=["cold-room-1"])
    direction: Literal["in", "out"] = Field(examples=["in"])
    person: Annotated[str, Field(min_length=1, max_length=100)] = Field(examples=["store staff"])
    plain: bool = Field(False, examples=[False])
    repeat: Annotated[float, Field(ge=0, le=3600), _said(parse_duration_s)] = Field(3.0, examples=["3s"])
    baud: Baud = Field(9600, examples=[9600])
    parity: Literal["N", "E", "O"] = Field("N", examples=["N"])
    stop_bits: Literal[1, 2] = Field(1, examples=[1])
    data_bits: Literal[7, 8] = Field(8, examples=[8])


Scanners = list[Entry[ScannerTable]]


def read_scanners(document: dict[str, Any], report: Report) -> Scanners:
    """The tables, each on its own."""
    return _entries(document, "scanner", report, _reader(ScannerTable, "[[scanner]]"))


def check_scanners(scanners: Scanners, tables: Tables, report: Report) -> None:
    """Ids, zones, and ports that belong to nobody else."""
    points = {name for point in tables.points if (name := point.text("id")) is not None}
    ports = {bus.text("device"): f"bus {bus.text('id')!r}" for bus in tables.buses if bus.text("device")}
    seen: set[str] = set()
    for entry in scanners:
        name, point, device = entry.text("id"), entry.text("point"), entry.text("device")
        if name in seen:
            report.add((*entry.at, "id"), f"{name!r} is the id of another scanner", "give each its own id")
        seen.add(name or "")
        if point is not None and point not in points:
            report.add((*entry.at, "point"), f"there is no point {point!r}", did_you_mean(point, points))
        if device in ports:
            what = f"is the port of {ports[device]} as well"
            report.add((*entry.at, "device"), what, "give each its own port")
        if device is not None:
            ports.setdefault(device, f"scanner {name!r}")
        if entry.table is not None:
            _speed(entry, entry.table.baud, report)


def _speed(entry: Entry[ScannerTable], baud: int, report: Report) -> None:
    from firmware_interfaces.serial.port import BAUDS

    if baud not in BAUDS:
        report.add((*entry.at, "baud"), f"{baud} is not a speed of serial ports", "write 9600, 19200, 115200 ...")


def build_scanners(scanners: Scanners) -> tuple[ScannerSpec, ...]:
    """The scanners of a file without mistakes."""
    found = []
    for entry in scanners:
        if (table := entry.table) is not None:
            settings = table.model_dump()
            settings["repeat_s"] = settings.pop("repeat")
            found.append(ScannerSpec(**settings))
    return tuple(found)
