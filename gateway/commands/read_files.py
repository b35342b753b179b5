"""`aurora-gateway read` of sensors behind the kernel's files: what the files hold beside what it means."""

import argparse
import asyncio
import json
import math
from collections.abc import Sequence

from firmware_interfaces.asked import AskedDevice, Line
from firmware_interfaces.iio.board import read_board
from firmware_interfaces.iio.device import INPUTS
from firmware_interfaces.iio.inputs import list_inputs
from firmware_interfaces.iio.tree import Subsystem, find
from firmware_interfaces.onewire.address import kernel_name
from firmware_interfaces.onewire.master import list_masters
from firmware_interfaces.onewire.sensor import MODELS, model_for
from firmware_interfaces.quality import BAD, Quality
from gateway.acquire.files import load, make_devices
from gateway.errors import AuroraError
from gateway.site import BusKind, BusSpec, DeviceSpec

__all__ = ["read_files"]

PLACES: dict[Subsystem, str] = {"iio": "bus/iio/devices", "hwmon": "class/hwmon"}


def read_files(arguments: argparse.Namespace) -> int:
    """Print what the sensor says; exit status 1 when a channel has no value. Raises `BusError` for no answer."""
    kind: BusKind
    if arguments.onewire:
        kind, spec = "onewire", _thermometer(arguments)
    elif arguments.board:
        kind, spec = "hwmon", _spec("raspberry-pi", "")
        print(f"{'board':12} {read_board(arguments.sysfs).model or 'unknown'}")
    else:
        subsystem: Subsystem = "iio" if arguments.iio else "hwmon"
        kind, spec = subsystem, _chip(subsystem, arguments.iio or arguments.hwmon, arguments)
    masters = list_masters(arguments.sysfs / "bus/w1/devices") if kind == "onewire" else []
    bus = BusSpec(id="read", kind=kind, device=masters[0] if masters else "w1_bus_master1", sysfs=arguments.sysfs)
    model = load(spec.model)
    line, (device,) = make_devices(bus, [(spec, model)])  # type: ignore[list-item]
    return asyncio.run(_read(line, device, max(arguments.timeout, 3.0)))


def _spec(model: str, address: str) -> DeviceSpec:
    return DeviceSpec(id="read", bus="read", model=model, unit=0, period_ms=1000, address=address)


def _thermometer(arguments: argparse.Namespace) -> DeviceSpec:
    address = kernel_name(arguments.onewire)
    if address is None:
        raise AuroraError(f"{arguments.onewire!r} is not the address of a 1-wire thermometer; see: scan onewire")
    name = arguments.model or model_for(address)
    if name not in MODELS:
        raise AuroraError(f"there is no 1-wire model {name!r}; there are {', '.join(MODELS)}")
    return _spec(name, address)


def _chip(subsystem: Subsystem, place: str, arguments: argparse.Namespace) -> DeviceSpec:
    names = list_inputs(subsystem, find(subsystem, place, arguments.sysfs / PLACES[subsystem]))
    if not names:
        raise AuroraError(f"{place} has no input that can be read here")
    inputs = json.dumps({name.replace("-", "_"): {"input": name} for name in names})
    return _spec(f"{INPUTS[subsystem]}:{inputs}", place)


async def _read(line: Line, device: AskedDevice, timeout_s: float) -> int:
    await line.open(timeout_s)
    try:
        async for kind, found, _ in device.introduce(timeout_s):
            for key, value in found.items():
                print(f"{kind:12} {key:20} {value}")
        reading = await device.poll(timeout_s)
    finally:
        line.close()
    raw = reading.raw()
    print(f"{'held':12} {raw.decode() if raw.isascii() and raw.decode().isprintable() else raw.hex(' ')}")
    return _print(device, reading.values, reading.quality)


def _print(device: AskedDevice, values: Sequence[float], quality: bytes) -> int:
    for channel, value, mark in zip(device.channels, values, quality, strict=True):
        text = "no value" if math.isnan(value) else f"{value:.{channel.decimals}f}"
        print(f"{channel.key:24} {text:>12} {channel.unit:6} {Quality(mark).words}")
    return 1 if max(quality) >= BAD else 0
