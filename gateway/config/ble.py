"""What a site file says of Bluetooth sensors: the table of a `ble` bus, and what its devices need."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from firmware_interfaces.errors import ModelError, ModelProblem
from gateway.config.locate import Key
from gateway.config.shape import ADAPTER, DeviceTable, Identifier, Table
from gateway.config.words import Report, did_you_mean
from gateway.site import BusSpec

if TYPE_CHECKING:
    from firmware_interfaces.asked import Model

__all__ = ["BleBus", "BleKind", "check_key_file", "check_unit"]

Adapter = Annotated[str, Field(pattern=ADAPTER)]


class BleBus(Table):
    """Bluetooth adapters that listen together."""

    id: Identifier = Field(examples=["air"])
    type: Literal["ble"] = Field(examples=["ble"])
    adapters: list[Adapter] = Field(default_factory=list, max_length=8, examples=[["hci0"]])
    scan: Literal["auto", "passive", "active"] = Field("auto", examples=["auto"])
    connections: int = Field(3, ge=1, le=20, examples=[3])


KEY_BYTES = 16
ADDRESS = re.compile(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")


class BleKind:
    """Sensors that are heard by radio."""

    shape: ClassVar[type[Table]] = BleBus
    whom: ClassVar[str] = "address"

    def load(self, name: str) -> "Model":
        """The model of a sensor that is heard."""
        from firmware_interfaces.ble.models import MODELS

        if name not in MODELS:
            remedy = did_you_mean(name, MODELS)
            raise ModelError(name, [ModelProblem("model", f"there is no Bluetooth model {name!r}", remedy)])
        return MODELS[name]

    def check_bus(self, at: Key, bus: BleBus, seen: dict[object, str], report: Report) -> None:
        """An adapter belongs to one bus. No adapter named means the first that has power."""
        for number, adapter in enumerate(bus.adapters or [""]):
            where = (*at, "adapters", number) if bus.adapters else (*at, "adapters")
            if adapter in seen:
                whose = "twice" if seen[adapter] == bus.id else f"by bus {seen[adapter]!r} as well"
                what = f"{adapter or 'the first adapter'} is used {whose}"
                report.add(where, what, "give each adapter to one bus, once: one bus takes all its sensors")
            seen.setdefault(adapter, bus.id)

    def check_device(self, at: Key, raw: Mapping[str, object], report: Report) -> None:
        """A sensor that is heard: it has an address and names its channels, and no unit id."""
        address = raw.get("address")
        if "address" not in raw:
            report.add(
                (*at, "address"), "is missing", 'add address = "CB:B8:33:4C:88:4F" (aurora-gateway scan ble)'
            )
        elif isinstance(address, str) and not ADDRESS.fullmatch(address):
            report.add((*at, "address"), f"{address!r} is not an address", 'write it as "CB:B8:33:4C:88:4F"')
        if "unit" in raw:
            report.add((*at, "unit"), "has no meaning for a sensor that is heard", "take it away")
        if "channels" not in raw:
            remedy = 'list those that it sends, for example: channels = ["temperature", "rssi"]'
            report.add((*at, "channels"), "is missing: a model has more channels than any one sensor sends", remedy)
        if raw.get("backfill") is True:
            self._check_memory(at, raw.get("model"), report)

    @staticmethod
    def _check_memory(at: Key, model: object, report: Report) -> None:
        from firmware_interfaces.ble.models import MODELS

        if isinstance(model, str) and model in MODELS and MODELS[model].log is None:
            named = ", ".join(name for name, known in MODELS.items() if known.log is not None)
            what = f"{model} has no memory that can be read"
            report.add((*at, "backfill"), what, f"take it away; those that have one: {named}")

    def spec(self, at: Key, bus: BleBus, models: "Sequence[Model]", report: Report) -> BusSpec:  # noqa: ARG002
        """The adapters and how they scan."""
        return BusSpec(
            id=bus.id, kind="ble", adapters=tuple(bus.adapters), scan=bus.scan, connections=bus.connections
        )

    def place(self, bus: BusSpec) -> str:
        """The adapters."""
        return f"Bluetooth LE, {', '.join(bus.adapters) or 'the first adapter with power'}"

    def who(self, device: DeviceTable) -> object:
        """The address in capitals."""
        return (device.address or "").upper()


def check_unit(at: Key, raw: Mapping[str, object], report: Report) -> None:
    """A device that is asked: it has a unit id, and neither address nor key."""
    if "unit" not in raw:
        report.add((*at, "unit"), "is missing", "add unit = 1")
    for name in ("address", "key_file", "backfill", "interval"):
        if name in raw:
            report.add((*at, name), "has no meaning on this bus", 'take it away, or use a bus with type = "ble"')


def check_key_file(at: Key, device: DeviceTable, base: Path, report: Report) -> None:
    """A key that cannot be read: said, but no reason not to record the others."""
    if device.key_file is None:
        return
    remedy = f"put the sensor's key there, {2 * KEY_BYTES} hexadecimal digits, readable for the gateway's user"
    try:
        text = (base / device.key_file).read_text(encoding="ascii").strip()
        if len(bytes.fromhex(text)) != KEY_BYTES:
            report.add((*at, "key_file"), f"{device.key_file}: is no key of {KEY_BYTES} bytes", remedy, fatal=False)
    except OSError as error:
        report.add((*at, "key_file"), f"{device.key_file}: {error.strerror}", remedy, fatal=False)
    except ValueError:
        report.add((*at, "key_file"), f"{device.key_file}: is not hexadecimal", remedy, fatal=False)
