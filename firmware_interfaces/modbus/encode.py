"""From a value to the registers that stand for it: the way back of `decode`, exact or refused."""

import struct
from decimal import Decimal, localcontext

from firmware_interfaces.errors import FirmwareError
from firmware_interfaces.modbus.nouns import KINDS, Channel

__all__ = ["NotWritable", "encode", "write_request"]

FLOATS = {2: ">f", 4: ">d"}


class NotWritable(FirmwareError):  # noqa: N818 - named for what it says
    """A value cannot be written to a channel, and why."""


def encode(channel: Channel, value: Decimal) -> bytes:
    """Bytes of the channel's registers as they go over the wire; one byte, 0 or 1, for a coil.

    Raises `NotWritable` for a value that the device cannot hold exactly, or takes for "no value".
    """
    if not value.is_finite():
        raise NotWritable(f"{value} is no number")
    kind = KINDS[channel.type]
    if channel.function == 1:
        if value not in {0, 1}:
            raise NotWritable(f"{value} is neither 0 nor 1")
        return bytes((int(value),))
    if kind.form == "float":
        big = _float(channel, value)
    else:
        pattern = _pattern(channel, value)
        if pattern in channel.invalid:
            raise NotWritable(f'{value} means "no value" to the device')
        big = pattern.to_bytes(2 * channel.count, "big")
    words = [big[at : at + 2] for at in range(0, len(big), 2)]
    if channel.word_order == "little":
        words.reverse()
    if channel.byte_order == "little":
        words = [word[::-1] for word in words]
    return b"".join(words)


def _float(channel: Channel, value: Decimal) -> bytes:
    try:
        return struct.pack(FLOATS[channel.count], (float(value) - channel.offset) / channel.scale)
    except OverflowError as error:
        raise NotWritable(f"{value} does not fit a {channel.type}") from error


def _pattern(channel: Channel, value: Decimal) -> int:
    """The raw number as an unsigned bit pattern."""
    with localcontext() as context:
        context.prec = 60
        raw = (value.scaleb(channel.places) - channel.addend) / channel.multiplier
        if raw != raw.to_integral_value():
            step = Decimal(abs(channel.multiplier)).scaleb(-channel.places).normalize()
            raise NotWritable(f"{value} lies between the steps of the device ({step:f})")
    bits = 16 * channel.count
    form = KINDS[channel.type].form
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if form == "int" else (0, (1 << bits) - 1)
    if form == "bcd":
        high = int(10 ** (bits // 4)) - 1
    if not low <= raw <= high:
        raise NotWritable(f"{value} does not fit a {channel.type}")
    return int(str(int(raw)), 16) if form == "bcd" else int(raw) & (1 << bits) - 1


def write_request(channel: Channel, value: Decimal) -> bytes:
    """The request that writes a value, by the channel's rule. Raises `NotWritable`, beyond its limits as well."""
    rule = channel.write
    if rule is None:
        raise NotWritable(f"{channel.key} is not marked writable in the model")
    if not rule.low <= value <= rule.high:
        unit = f" {channel.unit}" if channel.unit else ""
        raise NotWritable(f"{value} is outside what the model allows, {rule.low} to {rule.high}{unit}")
    data = encode(channel, value)
    head = bytes((rule.function,)) + channel.address.to_bytes(2, "big")
    match rule.function:
        case 5:
            return head + (b"\xff\x00" if data[0] else b"\x00\x00")
        case 6:
            return head + data
        case 15:
            return head + b"\x00\x01\x01" + data
        case _:
            return head + channel.count.to_bytes(2, "big") + bytes((len(data),)) + data
