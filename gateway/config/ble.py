"""What a site file says of Bluetooth sensors: the table of a `ble` bus, and what its devices need."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from gateway.config.locate import Key
from gateway.config.shape import ADAPTER, BUSES, DeviceTable, Identifier, RtuBus, RtuOverTcpBus, Table, TcpBus
from gateway.config.words import Report, did_you_mean

if TYPE_CHECKING:
    from firmware_interfaces.ble.models import BleModel

__all__ = ["ALL_BUSES", "BleBus", "ble_model", "check_adapters", "check_ble_device", "check_key_file", "check_unit"]

Adapter = Annotated[str, Field(pattern=ADAPTER)]


class BleBus(Table):
    """Bluetooth adapters that listen together."""

    id: Identifier = Field(examples=["air"])
    type: Literal["ble"] = Field(examples=["ble"])
    adapters: list[Adapter] = Field(default_factory=list, max_length=8, examples=[["hci0"]])
    scan: Literal["auto", "passive", "active"] = Field("auto", examples=["auto"])
    connections: int = Field(3, ge=1, le=20, examples=[3])


ALL_BUSES: Mapping[str, type[TcpBus | RtuBus | RtuOverTcpBus | BleBus]] = {**BUSES, "ble": BleBus}


KEY_BYTES = 16
ADDRESS = re.compile(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")


def ble_model(written: str | None) -> "BleModel | None":
    """The model of a sensor that is heard; None where there is none of that name."""
    from firmware_interfaces.ble.models import MODELS

    return None if written is None else MODELS.get(written)


def check_adapters(at: Key, bus: BleBus, seen: dict[str, str], report: Report) -> None:
    """An adapter belongs to one bus; ``seen`` is whose it is. No adapter named means the first that has power."""
    for number, adapter in enumerate(bus.adapters or [""]):
        where = (*at, "adapters", number) if bus.adapters else (*at, "adapters")
        if adapter in seen:
            whose = "twice" if seen[adapter] == bus.id else f"by bus {seen[adapter]!r} as well"
            what = f"{adapter or 'the first adapter'} is used {whose}"
            report.add(where, what, "give each adapter to one bus, once: one bus takes all its sensors")
        seen.setdefault(adapter, bus.id)


def check_ble_device(at: Key, raw: Mapping[str, object], report: Report) -> None:
    """A sensor that is heard: it has an address and names its channels, and no unit id."""
    from firmware_interfaces.ble.models import MODELS

    address = raw.get("address")
    if "address" not in raw:
        report.add((*at, "address"), "is missing", 'add address = "CB:B8:33:4C:88:4F" (aurora-gateway scan ble)')
    elif isinstance(address, str) and not ADDRESS.fullmatch(address):
        report.add((*at, "address"), f"{address!r} is not an address", 'write it as "CB:B8:33:4C:88:4F"')
    if "unit" in raw:
        report.add((*at, "unit"), "has no meaning for a sensor that is heard", "take it away")
    if "channels" not in raw:
        remedy = 'list those that it sends, for example: channels = ["temperature", "rssi"]'
        report.add((*at, "channels"), "is missing: a model has more channels than any one sensor sends", remedy)
    model = raw.get("model")
    if isinstance(model, str) and model not in MODELS:
        report.add((*at, "model"), f"there is no Bluetooth model {model!r}", did_you_mean(model, MODELS))
    elif isinstance(model, str) and raw.get("backfill") is True and MODELS[model].log is None:
        named = ", ".join(name for name, known in MODELS.items() if known.log is not None)
        what = f"{model} has no memory that can be read"
        report.add((*at, "backfill"), what, f"take it away; those that have one: {named}")


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
