"""State of a calculation as bytes and back: versioned, checked, and exact to the last bit of every number."""

import json
import zlib
from typing import Any, ClassVar

from gateway.errors import StorageError

__all__ = ["Remembers", "pack", "unpack"]

_MARK = b"AGPC1"
_WIDTH = len(_MARK) + 4


class Remembers:
    """Something whose ``fields`` say all that its future depends on. A field may itself remember."""

    fields: ClassVar[tuple[str, ...]] = ()

    def save(self) -> list[Any]:
        """The fields as plain data."""
        return [_saved(getattr(self, name)) for name in self.fields]

    def load(self, saved: Any) -> None:
        """Take the fields back. Raises `StorageError` for what `save` of this class did not make."""
        if not isinstance(saved, list) or len(saved) != len(self.fields):
            raise StorageError(f"the kept state of {type(self).__name__} has another form", "it begins anew")
        for name, value in zip(self.fields, saved, strict=True):
            now = getattr(self, name)
            if isinstance(now, Remembers):
                now.load(value)
            elif isinstance(now, list) and now and isinstance(now[0], Remembers):
                if not isinstance(value, list) or len(value) != len(now):
                    raise StorageError(
                        f"the kept state of {type(self).__name__} has another form", "it begins anew"
                    )
                for one, part in zip(now, value, strict=True):
                    one.load(part)
            else:
                setattr(self, name, value)


def _saved(value: Any) -> Any:
    if isinstance(value, Remembers):
        return value.save()
    if isinstance(value, list):
        return [_saved(one) for one in value]
    return dict(value) if isinstance(value, dict) else value


def pack(content: Any) -> bytes:
    """Plain data (JSON's kinds) as bytes with a version and a checksum."""
    body = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
    return _MARK + zlib.crc32(body).to_bytes(4, "big") + body


def unpack(kept: bytes) -> Any:
    """What `pack` was given. Raises `StorageError` for bytes that it did not make or that were damaged."""
    body = kept[_WIDTH:]
    sound = kept.startswith(_MARK) and len(body) > 0
    if not sound or zlib.crc32(body) != int.from_bytes(kept[len(_MARK) : _WIDTH], "big"):
        raise StorageError("the kept state of a calculation is damaged or of another version", "it begins anew")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise StorageError("the kept state of a calculation is not what was kept", "it begins anew") from None
