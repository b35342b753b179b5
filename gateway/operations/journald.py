"""Writes log records to systemd's journal by its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL).

One datagram an entry: ``NAME=value`` lines; a value that holds a line break is written as name, line break, length
(64 bits, little-endian), value. What is too large for a datagram goes into a sealed memory file whose descriptor is
sent instead. The socket never blocks: an entry that the journal does not take is counted and left.
"""

import errno
import fcntl
import logging
import os
import socket
import struct
import traceback
from collections.abc import Iterable
from pathlib import Path

from gateway.operations.messages import MESSAGES

__all__ = ["SOCKET", "JournalHandler", "encode", "entry_of", "journal_is_there"]

SOCKET = Path("/run/systemd/journal/socket")
PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
"""syslog(3): critical, error, warning, informational; below that debug, 7."""
DEBUG = 7
IDENTIFIER = "aurora-gateway"
LONGEST = 64 << 10

Entry = Iterable[tuple[str, str]]


def journal_is_there(descriptor: int = 2) -> bool:
    """Whether systemd has connected this stream to its journal: JOURNAL_STREAM names its device and inode."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(descriptor)
        return (int(device), int(inode)) == (found.st_dev, found.st_ino)
    except (ValueError, OSError):
        return False


def encode(entry: Entry) -> bytes:
    """The bytes of one entry."""
    parts = []
    for name, value in entry:
        data = value.encode("utf-8", "surrogateescape")
        if b"\n" in data:
            parts.append(name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n")
        else:
            parts.append(name.encode() + b"=" + data + b"\n")
    return b"".join(parts)


def entry_of(record: logging.LogRecord) -> list[tuple[str, str]]:
    """A record as fields: the line, its place in the code, and what its template is known for."""
    text = record.getMessage()[:LONGEST]
    entry = [
        ("MESSAGE", text),
        ("PRIORITY", str(next((value for level, value in PRIORITIES if record.levelno >= level), DEBUG))),
        ("SYSLOG_IDENTIFIER", IDENTIFIER),
        ("CODE_FILE", record.pathname),
        ("CODE_LINE", str(record.lineno)),
        ("CODE_FUNC", record.funcName or ""),
        ("AURORA_LOGGER", record.name),
    ]
    message = MESSAGES.get(record.msg) if isinstance(record.msg, str) else None
    if message is not None:
        entry.append(("MESSAGE_ID", message.id))
        entry.append(("AURORA_STATE", message.state))
        values = record.args if isinstance(record.args, tuple) else ()
        entry += [
            (f"AURORA_{name}", str(value)[:LONGEST]) for name, value in zip(message.fields, values, strict=False)
        ]
    if record.exc_info and record.exc_info[0] is not None:
        entry.append(("AURORA_TRACE", "".join(traceback.format_exception(*record.exc_info))[-LONGEST:]))
    return entry


class JournalHandler(logging.Handler):
    """Sends to the socket at ``path``. ``lost`` counts entries that the journal did not take."""

    def __init__(self, path: Path = SOCKET) -> None:
        super().__init__()
        self.lost = 0
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one entry; never raises and never waits."""
        try:
            data = encode(entry_of(record))
            try:
                self._socket.sendto(data, self._path)
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise
                self._send_file(data)
        except OSError:
            self.lost += 1
        except Exception:  # noqa: BLE001 - a line that cannot be written must not harm what wrote it
            self.handleError(record)

    def _send_file(self, data: bytes) -> None:
        file = os.memfd_create("aurora-log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.write(file, data)
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", file))]
            self._socket.sendmsg([b""], rights, 0, self._path)
        finally:
            os.close(file)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()
        super().close()
