"""What all payloads share: plain values, arrays of integers, and zlib that is opened with care."""

import sys
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time
from typing import Any, NamedTuple

from cbor2 import CBORTag
from gateway_core.series import SIGNED, UNSIGNED, narrow

from gateway.errors import SealError
from gateway.seal import cbor

MAX_PACKED = 4 * 2**20
"""Bytes of a payload as it stands in a batch."""

MAX_INFLATED = 64 * 2**20
"""Bytes of a payload once it is inflated."""

MAX_ITEMS = 2**18
"""CBOR items in a payload: a few bytes must not become a list of millions."""

_TYPECODES = {tag: typecode for _, tag, typecode in UNSIGNED + SIGNED}


class Effort(NamedTuple):
    """How hard zlib tries: level, window bits, memory level and strategy of `zlib.compressobj`."""

    level: int
    window: int
    memory: int
    strategy: int


def typed(values: Sequence[int]) -> CBORTag:
    """Integers as the narrowest typed array of RFC 8746, little-endian; signed where one is negative."""
    return CBORTag(*narrow(values))


def untyped(item: object, kind: str) -> "array[int]":
    """The integers of a typed array of any width."""
    if not isinstance(item, CBORTag) or item.tag not in _TYPECODES or not isinstance(item.value, bytes):
        raise SealError(kind, "an array of integers is not there")
    elements = array(_TYPECODES[item.tag])
    if len(item.value) % elements.itemsize:
        raise SealError(kind, "an array of integers ends inside an element")
    elements.frombytes(item.value)
    if sys.byteorder == "big":
        elements.byteswap()
    return elements


def plain(value: object, kind: str) -> object:
    """A value as CBOR without tags carries it; dates and times become ISO 8601 texts.

    Map keys are all texts or all integers from 0 on: only then is their order the same by the old and the new
    rules of deterministic CBOR. Raises `SealError` of the given kind for anything else.
    """
    match value:
        case None | bool() | float() | bytes():
            return value
        case str():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise SealError(kind, "a text holds half a character") from error
            return value
        case int() if -(2**64) <= value < 2**64:
            return int(value)
        case date() | time():
            return value.isoformat()
        case Mapping():
            texts = all(isinstance(key, str) for key in value)
            if not texts and not all(isinstance(key, int) and 0 <= key < 2**64 for key in value):
                raise SealError(kind, "the keys of a map are neither all texts nor all integers from 0 on")
            return {key if texts else int(key): plain(item, kind) for key, item in value.items()}
        case list() | tuple():
            return [plain(item, kind) for item in value]
        case _:
            raise SealError(kind, f"{type(value).__name__} is not a plain value")


def deflate(parts: Iterable[bytes], effort: Effort) -> bytes:
    """One zlib stream; each part begins a deflate block, since what it holds is distributed differently.

    Raises `SealError` ``too-large`` where `inflate` would refuse the result.
    """
    packer = zlib.compressobj(effort.level, zlib.DEFLATED, effort.window, effort.memory, effort.strategy)
    packed = bytearray()
    size = 0
    for part in parts:
        if size:
            packed += packer.flush(zlib.Z_BLOCK)
        packed += packer.compress(part)
        size += len(part)
    packed += packer.flush()
    if size > MAX_INFLATED or len(packed) > MAX_PACKED:
        raise SealError("too-large", f"a payload of {size} bytes, {len(packed)} packed")
    return bytes(packed)


def inflate(packed: bytes, kind: str) -> bytes:
    """The content of exactly one zlib stream, refused where it is larger than `MAX_INFLATED`."""
    if len(packed) > MAX_PACKED:
        raise SealError("too-large", f"a payload of {len(packed)} bytes")
    opener = zlib.decompressobj()
    try:
        data = opener.decompress(packed, MAX_INFLATED + 1)
    except zlib.error as error:
        raise SealError(kind, f"damaged ({error})") from error
    if len(data) > MAX_INFLATED:
        raise SealError("too-large", f"a payload that inflates to more than {MAX_INFLATED} bytes")
    if not opener.eof or opener.unused_data:
        raise SealError(kind, "cut short, or followed by other bytes")
    return data


def read(packed: bytes, kind: str) -> Any:
    """Inflate and decode one CBOR item; raises `SealError` (``too-large`` or the given kind)."""
    data = inflate(packed, kind)
    check_items(data, kind)
    return cbor.loads(data, kind)


def check_items(data: bytes, kind: str) -> None:
    """Refuse CBOR of more than `MAX_ITEMS` items before anything is made of them.

    Malformed heads are left to the decoder, which names them.
    """
    if len(data) <= MAX_ITEMS:
        return
    at, items = 0, 0
    while at < len(data):
        head = data[at]
        at += 1
        items += 1
        argument = head & 31
        if 24 <= argument <= 27:
            width = 1 << (argument - 24)
            argument = int.from_bytes(data[at : at + width], "big")
            at += width
        if head >> 5 in {2, 3}:
            at += argument
        if items > MAX_ITEMS:
            raise SealError("too-large", f"a {kind.removeprefix('bad-')} of more than {MAX_ITEMS} CBOR items")
