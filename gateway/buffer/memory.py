"""Memories: what a station needs to go on after a restart as if nothing had been, committed with its records.

Each is checked by itself and says how far the record had come when it was written, so that a salvage that meets
several versions of one takes the newest.
"""

import sqlite3
import struct
import zlib
from collections.abc import Mapping
from typing import Final

_FRAME: Final = struct.Struct("<IQ")
"""CRC-32 of name, age and bytes; age: batches of both streams when it was written."""


def keep(connection: sqlite3.Connection, memories: Mapping[str, bytes], age: int) -> None:
    """Write memories in the open transaction, each in place of its predecessor."""
    for name, body in memories.items():
        value = _FRAME.pack(_check(name, age, body), age) + body
        if connection.execute("UPDATE memory SET value = ? WHERE name = ?", (value, name)).rowcount == 0:
            connection.execute("INSERT INTO memory(name, value) VALUES(?, ?)", (name, value))


def kept(connection: sqlite3.Connection) -> tuple[dict[str, bytes], list[str]]:
    """All sound memories by name, and the names of those that are damaged."""
    sound: dict[str, bytes] = {}
    damaged: list[str] = []
    for name, value in connection.execute("SELECT name, value FROM memory"):
        body = opened(name, value)
        if body is None:
            damaged.append(str(name))
        else:
            sound[name] = body[1]
    return sound, damaged


def opened(name: object, value: object) -> tuple[int, bytes] | None:
    """Age and bytes of a row, None where it is not a sound memory."""
    if not isinstance(name, str) or not isinstance(value, bytes) or len(value) < _FRAME.size:
        return None
    check, age = _FRAME.unpack_from(value)
    body = value[_FRAME.size :]
    return (age, body) if check == _check(name, age, body) else None


def _check(name: str, age: int, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(struct.pack("<Q", age), zlib.crc32(name.encode())))
