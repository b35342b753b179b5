"""How a file is replaced whole: at any moment, also after a power cut, the old one or the new one is there."""

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: Path, data: bytes, mode: int | None = None) -> None:
    """Replace a file by another one: whole and on the disk, or not at all. Raises OSError.

    The file keeps its mode, and its owner where that may be; ``mode`` is for one that is not there yet. What a
    killed process has left of an attempt is written over.
    """
    path = path.resolve()
    draft = path.with_name(f".{path.name}.draft")
    try:
        before: os.stat_result | None = path.stat()
    except FileNotFoundError:
        before = None
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                if before is not None:
                    with suppress(PermissionError):
                        os.fchown(file.fileno(), before.st_uid, before.st_gid)
                    os.fchmod(file.fileno(), before.st_mode & 0o7777)
                elif mode is not None:
                    os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
