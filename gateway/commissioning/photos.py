"""Photographs that belong to records: kept beside the journal under the SHA-256 that the signed record holds."""

import hashlib
import os
from pathlib import Path

from gateway.errors import OperatorError

__all__ = ["LARGEST_PHOTO", "Photo", "keep_photo", "photo_file", "photo_type"]

LARGEST_PHOTO = 4_000_000
MOST_BYTES = 400_000_000
"""All photographs together."""
FOLDER = "photos"
ENDINGS = {"image/jpeg": ".jpg", "image/png": ".png"}
PNG = b"\x89PNG\r\n\x1a\n"
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers that begin the picture of a JPEG (ITU-T T.81, table B.1): SOF0 to SOF15."""
ALONE = frozenset({0x01, *range(0xD0, 0xD8)})


class Photo(dict[str, object]):
    """``sha256``, ``type``, ``bytes``: plain data for the session and the page."""


def photo_type(content: bytes) -> str | None:
    """``image/jpeg`` or ``image/png`` by what is in it; None for anything else, whatever it calls itself."""
    if content[: len(PNG)] == PNG and content[12:16] == b"IHDR":
        return "image/png"
    return "image/jpeg" if content[:3] == b"\xff\xd8\xff" and _has_picture(content) else None


def _has_picture(content: bytes) -> bool:
    """Whether the segments of a JPEG lead to a picture."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker in FRAMES:
            return True
        if marker in ALONE or marker == 0xFF:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        if length < 2:
            return False
        at += 2 + length
    return False


def keep_photo(data_dir: Path, content: bytes) -> Photo:
    """Write a photograph, readable for the gateway's user alone; the same twice is one file.

    Raises `OperatorError` for what is none, or too large, or when there is no room.
    """
    if len(content) > LARGEST_PHOTO:
        size = f"{len(content) / 1e6:.1f} MB"
        raise OperatorError(
            f"the photo has {size}", f"at most {LARGEST_PHOTO / 1e6:g} MB are kept; take a smaller one"
        )
    kind = photo_type(content)
    if kind is None:
        raise OperatorError("that is no photo", "a JPEG or PNG file is needed")
    digest = hashlib.sha256(content).hexdigest()
    folder = data_dir / FOLDER
    path = folder / f"{digest}{ENDINGS[kind]}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if not path.exists():
            if sum(other.stat().st_size for other in folder.iterdir()) + len(content) > MOST_BYTES:
                raise OperatorError(f"{folder} is full", "move its oldest files to where they are kept for good")
            _write(path, content)
    except OSError as error:
        raise OperatorError(f"{folder} cannot be written ({error.strerror})", "see the disk") from error
    return Photo(sha256=digest, type=kind, bytes=len(content))


def _write(path: Path, content: bytes) -> None:
    draft = path.with_suffix(".draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    draft.replace(path)


def photo_file(data_dir: Path, digest: str) -> tuple[Path, str] | None:
    """Where a photograph lies, and its type; None where there is none of that SHA-256."""
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        return None
    for kind, ending in ENDINGS.items():
        path = data_dir / FOLDER / f"{digest}{ending}"
        if path.is_file():
            return path, kind
    return None
