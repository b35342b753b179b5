"""The map inside a scan payload: its keys, and a reader that believes nothing. Format: docs/payload-format.md."""

from itertools import pairwise
from typing import Any, Final, NamedTuple

from cbor2 import CBORTag
from gateway_core.series import LIMIT

from gateway.errors import SealError
from gateway.seal.payload import untyped

ID_BYTES = 8
"""Length of a layout's name."""

TAGS = {1: 72, 2: 77, 3: 78, 4: 79, 5: 69, 6: 85, 7: 86}
"""Array code of `gateway_core.series` to the tag of RFC 8746."""

CODES = {tag: code for code, tag in TAGS.items()}


class Key:
    """What stands where in the map (plain integers: members of an enumeration cost the encoder time)."""

    CONTEXT: Final = 0
    LAYOUT: Final = 1
    FIRST_MS: Final = 2
    LAST_MS: Final = 3
    ROWS: Final = 4
    VALUES: Final = 5
    MISSED: Final = 6
    DEVICES: Final = 7
    BLOCK_ROWS: Final = 8
    SLOTS: Final = 9
    STEPS: Final = 10
    RUN_LENGTHS: Final = 11
    RUN_QUALITIES: Final = 12
    KINDS: Final = 13
    MISSES: Final = 14
    FIRSTS: Final = 15
    RESTS: Final = 16
    RAWS: Final = 17
    MISS_RAWS: Final = 18


_SUMMARY = frozenset(range(Key.LAYOUT, Key.MISSED + 1))
_BATCH_KEYS = frozenset(range(Key.LAYOUT, Key.MISS_RAWS + 1))
_TAIL_KEYS = _BATCH_KEYS | {Key.CONTEXT}


class ScanSummary(NamedTuple):
    """What a payload says of itself: boot times in ms, cells that hold a value, scans, slots without an answer."""

    layout_id: bytes
    first_ms: int
    last_ms: int
    values: int
    rows: int
    misses: int


class Body:
    """The map of a payload or a tail; every access checks, and raises `SealError` of the body's kind."""

    def __init__(self, items: object, kind: str, *, tail: bool) -> None:
        self.kind = kind
        if not isinstance(items, dict) or not all(type(key) is int for key in items):
            raise self.error("not a map of integer keys")
        if not items.keys() >= _SUMMARY:
            raise self.error("the summary is not complete")
        if not items.keys() <= (_TAIL_KEYS if tail else _BATCH_KEYS):
            raise self.error("a key that has no place here")
        self._items: dict[int, Any] = items

    def error(self, what: str) -> SealError:
        """The error to raise for something that is wrong in this body."""
        return SealError(self.kind, what)

    def summary(self) -> ScanSummary:
        """The six keys that every payload has."""
        name = self.octets(Key.LAYOUT)
        if len(name) != ID_BYTES:
            raise self.error(f"the name of the layout is not {ID_BYTES} bytes")
        keys = (Key.FIRST_MS, Key.LAST_MS, Key.VALUES, Key.ROWS, Key.MISSED)
        return ScanSummary(name, *(self.number(key) for key in keys))

    def number(self, key: int) -> int:
        """An integer from 0 to 2**53."""
        value = self._items.get(key)
        if type(value) is not int or not 0 <= value <= LIMIT:
            raise self.error(f"key {key} is not a number")
        return value

    def octets(self, key: int) -> bytes:
        """A byte string, empty where the key is absent."""
        value = self._items.get(key, b"")
        if not isinstance(value, bytes):
            raise self.error(f"key {key} is not a byte string")
        return value

    def integers(self, key: int) -> list[int]:
        """A typed array of integers, empty where the key is absent."""
        return untyped(self._items[key], self.kind).tolist() if key in self._items else []

    def streams(self, key: int) -> dict[int, bytes]:
        """Typed arrays of elements by array code."""
        items = self._items.get(key, [])
        if not isinstance(items, list):
            raise self.error(f"key {key} is not a list of typed arrays")
        streams: dict[int, bytes] = {}
        for item in items:
            if not isinstance(item, CBORTag) or item.tag not in CODES or not isinstance(item.value, bytes):
                raise self.error(f"key {key} is not a list of typed arrays")
            if CODES[item.tag] in streams:
                raise self.error(f"key {key} has two arrays of tag {item.tag}")
            streams[CODES[item.tag]] = item.value
        return streams

    def misses(self) -> list[tuple[int, int, int, int]]:
        """Device, slot from the device's base, count and quality of each run of misses."""
        items = self._items.get(Key.MISSES)
        if items is None:
            return []
        if not isinstance(items, list) or len(items) != 4 or not isinstance(items[3], bytes):
            raise self.error("misses are not four arrays")
        devices, slots, counts = (untyped(item, self.kind).tolist() for item in items[:3])
        if not len(devices) == len(slots) == len(counts) == len(items[3]):
            raise self.error("the arrays of misses differ in length")
        return list(zip(devices, slots, counts, items[3], strict=True))

    def raws(self, key: int, end: int) -> dict[int, bytes]:
        """Raw bytes by the position of their record, which is below ``end``."""
        items = self._items.get(key, [])
        if not isinstance(items, list) or len(items) % 2:
            raise self.error(f"key {key} is not a list of pairs")
        places, raws = items[::2], items[1::2]
        if not all(type(place) is int and 0 <= place < end for place in places):
            raise self.error(f"key {key} names a record that is not there")
        if not all(isinstance(raw, bytes) for raw in raws) or any(b <= a for a, b in pairwise(places)):
            raise self.error(f"key {key} is not a rising list of byte strings")
        return dict(zip(places, raws, strict=True))
