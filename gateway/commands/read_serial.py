"""`aurora-gateway read` for what is not Modbus: one poll of an instrument or a meter, or what it says unasked."""

import argparse
import asyncio
import math
import tomllib
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from firmware_interfaces.asked import ChannelFacts, Introduction
from firmware_interfaces.errors import BusError
from firmware_interfaces.quality import BAD
from firmware_interfaces.serial.instrument import HeardText
from firmware_interfaces.serial.line import SerialLine
from firmware_interfaces.serial.meter import METERS, MeterModel, secondary_address
from firmware_interfaces.serial.models import (
    SerialModel,
    list_serial_models,
    load_meter_model,
    load_serial_model,
    settings_of,
)
from firmware_interfaces.serial.nouns import TextModel
from firmware_interfaces.serial.receiver import HeardReceiver
from gateway.acquire.serial import make_device, make_line
from gateway.errors import AuroraError
from gateway.model import Quality
from gateway.site import BusSpec, DeviceSpec

__all__ = ["find_serial_model", "read_serial"]

LISTEN_S = 5.0
"""Least time to listen to an instrument that speaks unasked."""


def find_serial_model(name: str) -> SerialModel | MeterModel | None:
    """The model, where the name or the file is that of a serial instrument or a meter; else None."""
    if name in METERS:
        return load_meter_model(name)
    if name in list_serial_models() or (name.endswith(".toml") and _has_line(Path(name))):
        return load_serial_model(name)
    return None


def _has_line(path: Path) -> bool:
    """Whether a model file is one of lines of text: those of Modbus have a [link]."""
    try:
        return "line" in tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def read_serial(arguments: argparse.Namespace, model: SerialModel | MeterModel) -> int:
    """Print what the instrument says; exit status 1 when a channel has no value."""
    if not arguments.serial:
        raise AuroraError(f"{model.id} is read on a serial port; write --serial /dev/serial/by-id/...")
    meter = isinstance(model, MeterModel)
    address = arguments.address or ""
    if address and (not meter or secondary_address(address) is None):
        raise AuroraError("--address is the number of an M-Bus meter: 8 digits, or 16 hexadecimal digits")
    settings = settings_of(model)
    bus = BusSpec(
        id="read",
        kind="mbus" if meter else "serial",
        device=arguments.serial,
        baud=arguments.baud or settings.baud,
        parity=arguments.parity or settings.parity,
        stop_bits=arguments.stop_bits or settings.stop_bits,
        data_bits=settings.data_bits,
        timeout_s=arguments.timeout,
    )
    addressed = meter or (isinstance(model, TextModel) and bool(model.line.address))
    unit = arguments.unit if addressed and not address else 0
    spec = DeviceSpec(id="read", bus="read", model=model.id, unit=unit, period_ms=1000, address=address)
    line = make_line(bus)
    if not isinstance(model, MeterModel) and model.listens:
        return asyncio.run(_listen(line, model, max(arguments.timeout, LISTEN_S)))
    slow_s = (model.line.timeout_ms or 0) / 1000 if isinstance(model, TextModel) else 2.0
    return asyncio.run(_ask(line, spec, model, max(arguments.timeout, slow_s)))


async def _ask(line: SerialLine, spec: DeviceSpec, model: SerialModel | MeterModel, timeout_s: float) -> int:
    device = make_device(line, spec, model)
    try:
        await line.open(timeout_s)
        reading = await device.poll(timeout_s)
        await _introduce(device.introduce(timeout_s))
    finally:
        _print_frames(line)
        line.close()
    _print_values(device.channels, reading.values, reading.quality)
    return 1 if max(reading.quality) >= BAD else 0


async def _introduce(introductions: Any) -> None:
    try:
        async for introduction in introductions:
            _print_introduction(introduction)
    except BusError as error:
        print(f"identity     ({error})")


def _print_introduction(introduction: Introduction) -> None:
    for name, value in introduction.found.items():
        wanted = introduction.unexpected.get(name)
        remark = "" if wanted is None else f": NOT what the model needs, {wanted}"
        print(f"{introduction.kind:12} {name:20} {value}{remark}")


async def _listen(line: SerialLine, model: SerialModel, seconds: float) -> int:
    heard = HeardText(model) if isinstance(model, TextModel) else HeardReceiver()
    found: dict[str, tuple[float, int]] = {}
    faults: list[str] = []
    complete = asyncio.Event()

    def take(frame: bytes) -> None:
        said = heard.hear(frame)
        if isinstance(said, str):
            faults.append(said)
        elif said is not None:
            found.update(said)
            if all(channel.key in found for channel in heard.channels):
                complete.set()

    line.listen(heard.framer(), take)
    await line.open(seconds)
    line.say(heard.start)
    try:
        async with asyncio.timeout(seconds):
            await complete.wait()
    except TimeoutError:
        pass
    finally:
        _print_frames(line)
        line.close()
    if not found:
        raise AuroraError(
            f"nothing of a {model.id} was heard within {seconds:g} s ({faults[-1] if faults else 'silence'})"
        )
    none = math.nan, Quality.STALE
    said = [found.get(channel.key, none) for channel in heard.channels]
    _print_values(heard.channels, array("d", [value for value, _ in said]), bytes(mark for _, mark in said))
    return 1 if max(mark for _, mark in said) >= BAD else 0


def _print_frames(line: SerialLine) -> None:
    for frame in line.frames:
        shown = frame.data.decode("ascii", "backslashreplace")
        printable = shown if shown.replace("\r", "").replace("\n", "").isprintable() else frame.data.hex(" ")
        print(f"{'sent' if frame.sent else 'received':12} {printable!r}")


def _print_values(channels: Sequence[ChannelFacts], values: "array[float]", quality: bytes) -> None:
    for channel, value, mark in zip(channels, values, quality, strict=True):
        text = (
            "no value"
            if math.isnan(value)
            else f"{value:.{channel.decimals}f}"
            if channel.decimals is not None
            else f"{value:.10g}"
        )
        print(f"{channel.key:24} {text:>14} {channel.unit:6} {Quality(mark).words}")
