"""The payload of Sparkplug B 3.0 (Eclipse Sparkplug specification, chapter 6; sparkplug_b.proto), as far as it is
used.

A small encoder of Protocol Buffers: varints, 64-bit doubles, length-delimited parts. Reading is for commands, which
come from the network: whatever is not a well-formed payload raises `ValueError`.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

__all__ = ["BOOLEAN", "DOUBLE", "INT32", "INT64", "STRING", "UINT64", "Metric", "commands", "payload"]

INT32: Final = 3
INT64: Final = 4
UINT64: Final = 8
DOUBLE: Final = 10
BOOLEAN: Final = 11
STRING: Final = 12

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
LARGEST = 64 << 10

Scalar = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. ``value`` None is a null of the given ``datatype``; ``alias`` stands for the name in data
    messages."""

    name: str | None
    datatype: int
    value: Scalar | None
    timestamp_ms: int | None = None
    alias: int | None = None
    historical: bool = False
    properties: Mapping[str, tuple[int, Scalar]] = field(default_factory=dict)


def payload(timestamp_ms: int | None, metrics: list[Metric], seq: int | None = None) -> bytes:
    """A whole message; a death has no ``seq``."""
    parts = []
    if timestamp_ms is not None:
        parts.append(_number(1, timestamp_ms))
    parts += [_part(2, _metric(metric)) for metric in metrics]
    if seq is not None:
        parts.append(_number(3, seq))
    return b"".join(parts)


def _metric(metric: Metric) -> bytes:
    parts = []
    if metric.name is not None:
        parts.append(_part(1, metric.name.encode()))
    if metric.alias is not None:
        parts.append(_number(2, metric.alias))
    if metric.timestamp_ms is not None:
        parts.append(_number(3, metric.timestamp_ms))
    parts.append(_number(4, metric.datatype))
    if metric.historical:
        parts.append(_number(5, 1))
    if metric.value is None:
        parts.append(_number(7, 1))
    if metric.properties:
        keys = [_part(1, key.encode()) for key in metric.properties]
        values = [
            _part(2, _number(1, datatype) + _scalar(datatype, value, (3, 4, 6, 7, 8)))
            for datatype, value in metric.properties.values()
        ]
        parts.append(_part(9, b"".join(keys + values)))
    if metric.value is not None:
        parts.append(_scalar(metric.datatype, metric.value, (10, 11, 13, 14, 15)))
    return b"".join(parts)


def _scalar(datatype: int, value: Scalar, fields: tuple[int, int, int, int, int]) -> bytes:
    """A value in its field: of int, long, double, boolean, string."""
    of_int, of_long, of_double, of_boolean, of_string = fields
    if datatype == STRING:
        return _part(of_string, str(value).encode())
    if datatype == DOUBLE:
        return _key(of_double, FIXED64) + struct.pack("<d", value)
    if datatype == BOOLEAN:
        return _number(of_boolean, bool(value))
    if datatype == INT32:
        return _number(of_int, int(value) & 0xFFFF_FFFF)
    return _number(of_long, int(value) & 0xFFFF_FFFF_FFFF_FFFF)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _key(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _number(number: int, value: int) -> bytes:
    return _key(number, VARINT) + _varint(value)


def _part(number: int, content: bytes) -> bytes:
    return _key(number, BYTES) + _varint(len(content)) + content


def commands(data: bytes) -> dict[str, bool | None]:
    """The metrics of a command by name, with their boolean value where they have one. Raises `ValueError`."""
    if len(data) > LARGEST:
        raise ValueError("a command of this size is none")
    found: dict[str, bool | None] = {}
    for number, content in _fields(data):
        if number != 2 or not isinstance(content, bytes):
            continue
        name, value = "", None
        for inner, part in _fields(content):
            if inner == 1 and isinstance(part, bytes):
                name = part.decode()
            elif inner == 14 and isinstance(part, int):
                value = bool(part)
        if name:
            found[name] = value
    return found


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        kind = key & 7
        if kind == VARINT:
            value, at = _read_varint(data, at)
            yield key >> 3, value
            continue
        if kind == BYTES:
            length, at = _read_varint(data, at)
        elif kind in {FIXED64, FIXED32}:
            length = 8 if kind == FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at + length > len(data):
            raise ValueError("it ends in the middle of a field")
        yield key >> 3, data[at : at + length]
        at += length


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(10):
        if at >= len(data):
            raise ValueError("it ends in the middle of a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than 64 bits")
