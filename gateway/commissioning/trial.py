"""One reading of a Modbus device by a model: the registers as they came, beside the values they mean, and what is
odd about them. The command `aurora-gateway read` and the page's trial share it."""

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from firmware_interfaces.errors import BusError
from firmware_interfaces.modbus.device import Answer, ModbusDevice
from firmware_interfaces.modbus.link import Frame
from firmware_interfaces.modbus.model import Channel, DeviceModel
from firmware_interfaces.modbus.planner import supplier
from firmware_interfaces.quality import Quality

__all__ = ["FUNCTIONS", "block_words", "frames_data", "take_reading", "value_text", "verdict"]

FUNCTIONS = {1: "coil", 2: "discrete input", 3: "holding register", 4: "input register"}


async def take_reading(device: ModbusDevice, timeout_s: float, *, introduce: bool = True) -> dict[str, Any]:
    """Poll a device once, with its identity and correction registers where ``introduce`` asks for them.

    Keys: ``identity`` and ``corrections`` (``key``, ``title``, ``text``, ``wrong``), ``reads`` (``function``,
    ``table``, ``address``, ``count``, ``text``; whole numbers in ``words``, None where the read failed),
    ``channels`` (``key``, ``title``, ``value``, ``text``, ``unit``, ``raw``, ``quality``, ``severity``, ``words``,
    ``marks``), ``slowest_ms``. Raises `BusError` where nothing was learned.
    """
    answer = await device.poll(timeout_s)
    model = device.model
    return {
        "channels": [
            _channel(channel, value, Quality(mark), answer)
            for channel, value, mark in zip(device.channels, answer.values, answer.quality, strict=True)
        ],
        "reads": [
            {
                "function": read.function,
                "table": FUNCTIONS[read.function],
                "address": read.address,
                "count": read.count,
                "words": None if block is None else _numbers(read.function, block),
                "text": "no answer" if block is None else block_words(read.function, block),
            }
            for read, block in zip(answer.reads, answer.blocks, strict=True)
        ],
        "slowest_ms": round(answer.slowest_s * 1000, 1),
        "identity": [await _register(device, one, timeout_s) for one in model.identity] if introduce else [],
        "corrections": [await _register(device, one, timeout_s) for one in model.audit] if introduce else [],
    }


def _channel(channel: Channel, value: float, quality: Quality, answer: Answer) -> dict[str, Any]:
    known = None if math.isnan(value) else value
    return {
        "key": channel.key,
        "title": channel.title,
        "value": known,
        "text": value_text(known, channel.decimals),
        "unit": channel.unit,
        "decimals": channel.decimals,
        "raw": _raw(channel, answer),
        "quality": int(quality),
        "severity": quality.severity,
        "words": quality.words,
        "marks": list(_marks(channel, known)),
    }


def value_text(value: float | None, decimals: int | None) -> str:
    """A value as it is printed; "no value" where there is none."""
    if value is None:
        return "no value"
    return f"{value:.{decimals}f}" if decimals is not None else f"{value:g}"


def _raw(channel: Channel, answer: Answer) -> list[int] | None:
    """The registers or bits that hold a channel, as they came."""
    place = supplier(answer.reads, channel.span)
    if place is None or (block := answer.blocks[place]) is None:
        return None
    at = channel.address - answer.reads[place].address
    return _numbers(channel.function, block)[at : at + channel.count]


def _numbers(function: int, block: bytes) -> list[int]:
    if function in {1, 2}:
        return [byte >> bit & 1 for byte in block for bit in range(8)]
    return list(struct.unpack(f">{len(block) // 2}H", block))


def block_words(function: int, block: bytes) -> str:
    """A block for the eye: registers as whole numbers, or bits from the lowest."""
    if function in {1, 2}:
        return " ".join(f"{byte:08b}"[::-1] for byte in block)
    return " ".join(map(str, _numbers(function, block)))


def _marks(channel: Channel, value: float | None) -> Iterable[str]:
    """What a person should know who judges whether the value can be right."""
    if channel.low is not None and channel.high is not None:
        yield f"the sensor can measure {channel.low:g} to {channel.high:g} {channel.unit}".rstrip()
    if value is not None and channel.type.startswith("float") and value != 0 and not 1e-6 < abs(value) < 1e9:
        yield "a size that nothing measured has: the order of words or bytes is probably another one"


async def _register(device: ModbusDevice, register: Channel, timeout_s: float) -> dict[str, Any]:
    wrong = False
    try:
        value = await device.registers(register, timeout_s)
    except BusError as error:
        text = f"({error})"
    else:
        text = str(value)
        if register.expect is not None and not register.meets(register.expect, value):
            wrong, text = True, f"{value}: NOT what the model needs, {register.expect}"
    return {"key": register.key, "title": register.title, "text": text, "wrong": wrong}


def frames_data(frames: Iterable[Frame], now: float) -> list[dict[str, Any]]:
    """Frames as plain data; ``age_ms`` before ``now``, a loop time in seconds."""
    return [
        {"sent": frame.sent, "hex": frame.data.hex(" "), "age_ms": round((now - frame.at) * 1000, 1)}
        for frame in frames
    ]


def verdict(model: DeviceModel, readings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Whether a model fits what was read: ``fits``, ``doubtful`` or ``no``, and why, in ``words`` and ``marks``."""
    newest = readings[-1]
    channels = newest["channels"]
    with_value = [channel for channel in channels if channel["value"] is not None]
    marks = list(_across(readings))
    marks += [f"{one['title']}: {one['text']}" for one in newest["corrections"] if one["wrong"]]
    odd = any(
        len(channel["marks"]) > 1 or (channel["marks"] and "size" in channel["marks"][-1]) for channel in channels
    )
    if len(with_value) > 1 and all(channel["value"] == 0 for channel in with_value):
        marks.append("every value is 0: registers that do not exist often read so")
        odd = True
    good = sum(channel["severity"] == "good" for channel in channels)
    words = f"{good} of {len(channels)} channels of {model.title} have a good value"
    if not with_value:
        return {"fits": "no", "words": f"no channel of {model.title} has a value", "marks": marks}
    doubtful = odd or good < len(channels) or any(one["wrong"] for one in newest["corrections"])
    return {"fits": "doubtful" if doubtful else "fits", "words": words, "marks": marks}


def _across(readings: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """How far each channel moved from reading to reading."""
    if len(readings) < 2:
        return
    for number, channel in enumerate(readings[-1]["channels"]):
        values = [one["channels"][number]["value"] for one in readings]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            yield f"{channel['key']}: a value in {len(known)} of {len(values)} readings"
        if len(known) > 1:
            low, high = (value_text(value, channel["decimals"]) for value in (min(known), max(known)))
            span = f"{low} in all" if low == high else f"{low} to {high} in"
            yield f"{channel['key']}: {span} {len(known)} readings"
