"""One write to a device: what it held before, the write, what it holds after. Sent once, never again.

An answer that does not come leaves open whether the device has done it. That is said so, unless reading it back
settles it; what settles it is the reading alone, never a second write.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from firmware_interfaces.errors import BusError, DeviceRefused
from firmware_interfaces.modbus.device import ModbusDevice
from firmware_interfaces.modbus.encode import encode, write_request
from firmware_interfaces.modbus.nouns import Channel

__all__ = ["Before", "Result", "Written", "before_write", "write_once"]

OPEN = {
    5: "the device has not finished",
    10: "no way to the device",
    11: "the device behind the converter is silent",
}
"""Exceptions after which the write may have been carried out (Application Protocol V1.1b3, section 7)."""
READ_BACKS = 3
SETTLE_S = 0.3
"""Between readings of a device that does not show the new value yet."""

Result = Literal["done", "refused", "not done", "differs", "unknown"]


@dataclass(frozen=True, slots=True)
class Before:
    """What a channel held: its bytes and its value, None where the device itself says that there is none."""

    block: bytes
    value: float | None


@dataclass(frozen=True, slots=True)
class Written:
    """How it ended. ``found`` is what the channel held when it was read back, None where that failed."""

    result: Result
    words: str
    found: float | None = None


async def before_write(device: ModbusDevice, channel: Channel, timeout_s: float) -> Before:
    """Read the channel. Raises `BusError`: a device that cannot be read is not written."""
    return Before(await _block(device, channel, timeout_s), await _value(device, channel, timeout_s))


async def write_once(
    device: ModbusDevice, channel: Channel, value: Decimal, before: Before, timeout_s: float
) -> Written:
    """Send the write, once, and read back. Raises `NotWritable` before anything is sent."""
    request, wanted = write_request(channel, value), encode(channel, value)
    lost = ""
    try:
        await device.link.write(device.unit, request, timeout_s)
    except DeviceRefused as error:
        if error.code not in OPEN:
            return Written("refused", str(error), before.value)
        lost = f"{OPEN[error.code]} (exception {error.code})"
    except BusError as error:
        lost = str(error)
    try:
        found = await _read_back(device, channel, wanted, timeout_s)
    except BusError as error:
        if lost:
            return Written("unknown", f"{lost}; whether it was done is not known: reading back failed ({error})")
        return Written("unknown", f"the device acknowledged; reading back failed ({error})")
    shown = None
    with suppress(BusError):
        shown = await _value(device, channel, timeout_s)
    if found == wanted:
        return Written("done", f"done, by what was read back ({lost})" if lost else "done and read back", shown)
    if lost and found == before.block:
        return Written("not done", f"{lost}; read back, it holds what it held before", shown)
    said = lost or "the device acknowledged"
    return Written("differs", f"{said}; read back, it holds something else", shown)


async def _read_back(device: ModbusDevice, channel: Channel, wanted: bytes, timeout_s: float) -> bytes:
    link = device.link
    if not link.connected:
        await link.open(timeout_s)
    if (rest := link.ready_at(device.unit) - link.time()) > 0:
        await asyncio.sleep(rest)
    found = await _block(device, channel, timeout_s)
    for _ in range(READ_BACKS - 1):
        if found == wanted:
            break
        await asyncio.sleep(SETTLE_S)
        found = await _block(device, channel, timeout_s)
    return found


async def _block(device: ModbusDevice, channel: Channel, timeout_s: float) -> bytes:
    """The channel's own bytes; of a coil's answer its bit alone, since the others belong to its neighbours."""
    block = await device.link.read(device.unit, channel.function, channel.address, channel.count, timeout_s)
    return bytes((block[0] & 1,)) if channel.function == 1 else block


async def _value(device: ModbusDevice, channel: Channel, timeout_s: float) -> float | None:
    value = await device.registers(channel, timeout_s)
    return value if isinstance(value, float) else None
