"""The payload of an event batch: a list of events, as zlib-compressed deterministic CBOR.

Format, for outsiders: docs/payload-format.md.
"""

import zlib

from gateway.errors import SealError
from gateway.model import Event
from gateway.seal import cbor
from gateway.seal.payload import Effort, check_items, deflate, plain, read

MAX_MS = 2**53
"""Largest boot time, in ms."""

_KIND = "bad-event"
_EFFORT = Effort(9, 15, 8, zlib.Z_DEFAULT_STRATEGY)


def encode_events(events: list[Event]) -> bytes:
    """Events as payload, in the order given.

    Dates and times in the data become ISO 8601 texts, tuples lists. Raises `SealError` ``bad-event`` for data
    that is not plain, ``too-large`` for more than a batch may hold.
    """
    data = cbor.dumps([[_check(event).at_ms, event.kind, plain(event.data, _KIND)] for event in events])
    check_items(data, _KIND)
    return deflate([data], _EFFORT)


def decode_events(payload: bytes) -> list[Event]:
    """The events of a payload; raises `SealError` (``bad-event``, ``too-large``) for anything malformed."""
    items = read(payload, _KIND)
    if not isinstance(items, list):
        raise SealError(_KIND, "not a list")
    return [_read(item) for item in items]


def _check(event: Event) -> Event:
    if not event.kind or not isinstance(event.data, dict) or not all(isinstance(key, str) for key in event.data):
        raise SealError(_KIND, "an event has a kind, and data with names")
    if isinstance(event.at_ms, bool) or not 0 <= event.at_ms <= MAX_MS:
        raise SealError(_KIND, f"time {event.at_ms} ms is not on the boot clock")
    return event


def _read(item: object) -> Event:
    match item:
        case [int(at_ms), str(kind), dict(data)]:
            plain(data, _KIND)
            return _check(Event(kind, at_ms, data))
        case _:
            raise SealError(_KIND, "an event is not made of time, kind and data")
