"""What a restart needs, as bytes that say what they are: a checksum, a name, a version, and plain data."""

import json
import zlib
from typing import Any

from gateway.errors import StorageError

__all__ = ["pack", "unpack"]

MAGIC = b"AGm1"
LARGEST = 64_000_000
"""Bytes that the data of a memory may have when it is unpacked."""


def pack(name: str, version: int, data: Any) -> bytes:
    """Bytes of plain data (what JSON can carry; floating-point numbers keep every bit)."""
    body = json.dumps({"name": name, "version": version, "data": data}, separators=(",", ":")).encode()
    packed = zlib.compress(body, 6)
    return MAGIC + zlib.crc32(packed).to_bytes(4, "big") + packed


def unpack(name: str, version: int, memory: bytes) -> Any:
    """The data of `pack`. Raises `StorageError` for anything but whole bytes of that name and version."""
    remedy = "nothing to do: it begins anew"
    if memory[:4] != MAGIC or zlib.crc32(memory[8:]).to_bytes(4, "big") != memory[4:8]:
        raise StorageError(f"what was kept for {name} is damaged", remedy)
    try:
        decompressor = zlib.decompressobj()
        body = json.loads(decompressor.decompress(memory[8:], LARGEST))
        found, written = body["name"], body["version"]
        data = body["data"]
    except (zlib.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StorageError(f"what was kept for {name} is damaged", remedy) from error
    if found != name or written != version:
        raise StorageError(f"what was kept for {name} is {found} of version {written}, not {version}", remedy)
    return data
