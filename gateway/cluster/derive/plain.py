"""What comes from a gateway, made fit for a table: it is signed, but it is not ours."""

import json
import math
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from gateway.model import ClockClaim

__all__ = ["END_MS", "Offset", "as_json", "clean", "dated", "name", "offset_of"]

END_MS = 253_370_764_800_000
"""The year 9999: no time of a record lies there, and one in any time zone can still be shown."""
MOST_NAME = 200
"""Characters of a name: an index takes no long ones."""
MOST_BYTES = 4096
"""Bytes that stand in an event's data as they are."""

Offset = tuple[int, int]
"""UTC minus boot time, and its largest error, in ms."""


def offset_of(clock: ClockClaim, boots: Mapping[bytes, Offset]) -> Offset | None:
    """How the boot time of a batch becomes UTC; None while that is not known.

    A correction counts where the batch's own clock was untrusted, and nowhere else.
    """
    if clock.utc_ms is None:
        return boots.get(clock.boot)
    return clock.utc_ms - clock.boot_ms, clock.error_ms or 0


def dated(offset: Offset | None, boot_ms: object) -> int | None:
    """Unix ms of a boot time; None where it is not known, or no time of a record."""
    if offset is None or not isinstance(boot_ms, int) or isinstance(boot_ms, bool):
        return None
    utc_ms = boot_ms + offset[0]
    return utc_ms if 0 <= utc_ms < END_MS else None


def clean(text: str) -> str:
    """A text without the sign that PostgreSQL has no place for."""
    return text.replace("\0", "\ufffd")


def name(value: object, most: int = MOST_NAME) -> str | None:
    """A text that can be looked up; None for anything else."""
    return clean(value) if isinstance(value, str) and 0 < len(value) <= most else None


def as_json(data: object) -> str:
    """Data as JSON: bytes as hexadecimal texts (long ones as their length and SHA-256), no NaN."""
    return json.dumps(_plain(data), ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def _plain(value: Any) -> Any:
    match value:
        case bytes():
            if len(value) <= MOST_BYTES:
                return value.hex()
            return {"bytes": len(value), "sha256": sha256(value).hexdigest()}
        case float() if not math.isfinite(value):
            return str(value)
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return value
