"""What a site file says of serial instruments: the tables of ``serial`` and ``mbus`` buses, their devices."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from gateway.config.locate import Key
from gateway.config.shape import Baud, BusTable, DeviceTable, Table, Text
from gateway.config.words import Report
from gateway.site import BusKind, BusSpec

if TYPE_CHECKING:
    from firmware_interfaces.asked import Model
    from firmware_interfaces.serial.port import LineSettings

__all__ = ["MbusBus", "MbusKind", "SerialBus", "SerialKind"]

TIMEOUT_S, METER_TIMEOUT_S = 1.0, 2.0
MAIN_LARGEST = 250
"""Largest primary address of M-Bus (EN 13757-2); those above mean all, or the one that was selected."""
SECONDARY = re.compile(r"[0-9]{8}|[0-9A-Fa-f]{16}")
LINE = ("baud", "parity", "stop_bits", "data_bits")


class SerialBus(BusTable):
    """One serial port with one instrument, or several that have addresses."""

    type: Literal["serial"] = Field(examples=["serial"])
    device: Text = Field(examples=["/dev/serial/by-id/usb-..."])
    baud: Baud | None = Field(None, examples=[9600])
    parity: Literal["N", "E", "O"] | None = Field(None, examples=["N"])
    stop_bits: Literal[1, 2] | None = Field(None, examples=[1])
    data_bits: Literal[7, 8] | None = Field(None, examples=[8])


class MbusBus(BusTable):
    """Meters behind an M-Bus level converter."""

    type: Literal["mbus"] = Field(examples=["mbus"])
    device: Text = Field(examples=["/dev/serial/by-id/usb-..."])
    baud: Annotated[int, Field(ge=300, le=38400)] | None = Field(None, examples=[2400])
    parity: Literal["N", "E", "O"] | None = Field(None, examples=["E"])
    stop_bits: Literal[1, 2] | None = Field(None, examples=[1])
    data_bits: Literal[7, 8] | None = Field(None, examples=[8])


class SerialKind:
    """Instruments with a language of their own."""

    shape: ClassVar[type[Table]] = SerialBus
    whom: ClassVar[str] = "unit"
    kind: ClassVar[BusKind] = "serial"
    timeout_s: ClassVar[float] = TIMEOUT_S

    def load(self, name: str) -> "Model":
        """The model of an instrument."""
        from firmware_interfaces.serial.models import load_serial_model

        return load_serial_model(name)

    def check_bus(self, at: Key, bus: Any, seen: dict[object, str], report: Report) -> None:
        """A port belongs to one bus, whatever is spoken there; its speed is one that ports know."""
        from firmware_interfaces.serial.port import BAUDS

        if bus.device in seen:
            remedy = "give each bus a port of its own"
            report.add((*at, "device"), f"is the line of bus {seen[bus.device]!r} as well", remedy)
        seen.setdefault(bus.device, bus.id)
        if bus.baud is not None and bus.baud not in BAUDS:
            usual = ", ".join(str(baud) for baud in sorted(BAUDS) if 300 <= baud <= 115200)
            report.add((*at, "baud"), f"{bus.baud} is not a speed of serial ports", f"use one of {usual}")

    def check_device(self, at: Key, raw: Mapping[str, object], report: Report) -> None:
        """What has no meaning for an instrument on a serial port."""
        _no(at, raw, ("address", "key_file"), report)

    def check_model(self, at: Key, raw: Mapping[str, object], model: Any, report: Report) -> None:
        """A unit id where the instrument has one, and only there."""
        line = getattr(model, "line", None)
        addressed = line is not None and bool(line.address)
        if addressed and "unit" not in raw:
            report.add((*at, "unit"), f"is missing: a {model.id} has an address", "add unit = 1")
        if not addressed and "unit" in raw:
            what = f"has no meaning for a {model.id}, which has no address"
            report.add((*at, "unit"), what, "take it away")
        unit = raw.get("unit")
        if addressed and isinstance(unit, int) and not 0 <= unit <= 255:
            report.add((*at, "unit"), f"{unit} is not an address", "write 0 to 255")

    def spec(self, at: Key, bus: Any, models: "Sequence[Model]", report: Report) -> BusSpec:
        """The checked port, with the settings of its instruments where the file gives none."""
        of: list[Any] = list(models)
        self._together(at, of, report)
        settings = [_settings(model) for model in of]
        line = {name: self._setting(at, bus, name, settings, report) for name in LINE}
        slowest_s = max((_timeout_s(model) for model in of), default=0.0)
        return BusSpec(
            id=bus.id,
            kind=self.kind,
            device=bus.device,
            timeout_s=bus.timeout_s if bus.timeout_s is not None else max(self.timeout_s, slowest_s),
            gap_ms=bus.gap_ms,
            connect_pause_ms=bus.connect_pause_ms,
            **line,
        )

    def _together(self, at: Key, models: "list[Any]", report: Report) -> None:
        """Whether instruments can share a port: only those that know when they are meant."""
        different = {model.id for model in models}
        if len(different) < 2:
            return
        alone = sorted({model.id for model in models if model.listens or not model.line.address})
        if alone:
            what = f"{' and '.join(alone)} cannot share a port with others: they do not know who is meant"
            report.add(at, what, "give each of them a bus of its own")

    def _setting(self, at: Key, bus: Any, name: str, settings: "list[LineSettings]", report: Report) -> Any:
        given = getattr(bus, name)
        wishes = {getattr(one, name) for one in settings}
        if given is None and len(wishes) > 1:
            words = ", ".join(str(wish) for wish in sorted(wishes))
            remedy = f"set all instruments alike and write {name} here, or give them ports of their own"
            report.add((*at, name), f"the instruments are made for different settings ({words})", remedy)
        return given if given is not None else min(wishes, default=self._usual(name))

    def _usual(self, name: str) -> Any:
        from firmware_interfaces.serial.port import LineSettings

        return getattr(LineSettings(), name)

    def place(self, bus: BusSpec) -> str:
        """The port and its settings."""
        return f"serial port {bus.device}, {bus.baud} baud, {bus.data_bits}{bus.parity}{bus.stop_bits}"

    def who(self, device: DeviceTable) -> object:
        """The unit id, 0 where there is one instrument only."""
        return device.unit or 0


class MbusKind(SerialKind):
    """Meters on M-Bus."""

    shape: ClassVar[type[Table]] = MbusBus
    whom: ClassVar[str] = "address"
    kind: ClassVar[BusKind] = "mbus"
    timeout_s: ClassVar[float] = METER_TIMEOUT_S

    def load(self, name: str) -> "Model":
        """The model of a meter."""
        from firmware_interfaces.serial.models import load_meter_model

        return load_meter_model(name)

    def check_device(self, at: Key, raw: Mapping[str, object], report: Report) -> None:
        """A meter has a primary address (``unit``) or a secondary one (``address``)."""
        _no(at, raw, ("key_file",), report)
        unit, address = raw.get("unit"), raw.get("address")
        if unit is None and address is None:
            remedy = 'add unit = 1 (primary address) or address = "12345678" (the number on the meter)'
            report.add((*at, "unit"), "is missing", remedy)
        elif unit is not None and address is not None:
            report.add((*at, "address"), "and unit are both given", "keep one: how the gateway shall ask the meter")
        if isinstance(unit, int) and not 0 <= unit <= MAIN_LARGEST:
            report.add((*at, "unit"), f"{unit} is not a primary address", f"write 0 to {MAIN_LARGEST}")
        if isinstance(address, str) and not SECONDARY.fullmatch(address):
            remedy = 'write the 8 digits on the meter, "12345678", or all 16 hexadecimal digits'
            report.add((*at, "address"), f"{address!r} is not a secondary address", remedy)

    def check_model(self, at: Key, raw: Mapping[str, object], model: Any, report: Report) -> None:
        """A model of many kinds of meters says nothing of what this one sends."""
        if model.id == "mbus-meter" and "channels" not in raw:
            remedy = 'list what this meter sends, for example: channels = ["energy", "power"]'
            report.add((*at, "channels"), "is missing: the model has more channels than any one meter", remedy)

    def _together(self, at: Key, models: "list[Any]", report: Report) -> None:
        """Meters have addresses."""

    def _usual(self, name: str) -> Any:
        from firmware_interfaces.serial.meter import LINE as METER_LINE

        return getattr(METER_LINE, name)

    def place(self, bus: BusSpec) -> str:
        """The port and its settings."""
        return f"M-Bus on {super().place(bus)}"

    def who(self, device: DeviceTable) -> object:
        """The secondary address, else the primary one."""
        return device.address.upper() if device.address else device.unit or 0


def _no(at: Key, raw: Mapping[str, object], names: Sequence[str], report: Report) -> None:
    for name in names:
        if name in raw:
            report.add((*at, name), "has no meaning on this bus", "take it away")


def _settings(model: Any) -> "LineSettings":
    from firmware_interfaces.serial.models import settings_of

    return settings_of(model)


def _timeout_s(model: Any) -> float:
    line = getattr(model, "line", None)
    return ((line.timeout_ms if line is not None else None) or 0) / 1000
