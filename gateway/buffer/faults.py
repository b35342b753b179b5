"""What is wrong with the store, in one word, from what SQLite or the kernel says."""

import errno
import sqlite3
from typing import Final, Literal

from gateway.errors import StorageError

State = Literal["ok", "full", "read-only", "failing", "locked", "corrupt"]
"""``full``: no space, or the byte cap; ``failing``: input or output errors; ``locked``: another program has it."""

_CODES: Final[dict[int, State]] = {
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_READONLY: "read-only",
    sqlite3.SQLITE_PERM: "read-only",
    sqlite3.SQLITE_CORRUPT: "corrupt",
    sqlite3.SQLITE_NOTADB: "corrupt",
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
}
_ERRNOS: Final[dict[int, State]] = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EROFS: "read-only",
    errno.EACCES: "read-only",
    errno.EPERM: "read-only",
}
REMEDIES: Final[dict[State, str]] = {
    "ok": "",
    "full": "free space on the data partition, or raise buffer.max_bytes",
    "read-only": "look at the mount options, the owner of the data directory and the kernel log",
    "failing": "look at the kernel log: the card or disk may be dying",
    "locked": "stop the other program that writes the journal",
    "corrupt": "the file is set aside and salvaged by itself",
}


class StoreError(StorageError):
    """The store cannot be used now; ``state`` says how. It is tried again."""

    def __init__(self, state: State, what: str) -> None:
        self.state: State = state
        super().__init__(what, REMEDIES[state])


STORE_ERRORS: Final = (sqlite3.Error, OSError, UnicodeDecodeError)
"""What the sqlite3 module raises for a store that fails; the last for damaged names and texts."""


def fault_of(error: sqlite3.Error | OSError | UnicodeDecodeError) -> StoreError:
    """The fault behind an error of SQLite or of the kernel."""
    return StoreError(_state_of(error), str(error))


def _state_of(error: sqlite3.Error | OSError | UnicodeDecodeError) -> State:
    if isinstance(error, UnicodeDecodeError):
        return "corrupt"
    if isinstance(error, OSError):
        return _ERRNOS.get(error.errno or 0, "failing")
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return "failing"
    return _CODES.get(code & 0xFF, "failing")
