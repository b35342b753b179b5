"""Whether somebody on this computer uses a line already: a second master would spoil its polls, and the scan."""

import errno
import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from gateway.site import BusSpec

__all__ = ["held_here"]

ESTABLISHED = "01"


def held_here(bus: BusSpec, proc: Path = Path("/proc")) -> str | None:
    """Who holds the line, in words; None when nobody on this computer does."""
    if bus.kind == "modbus-rtu":
        return _held_port(bus.device)
    if any(_connections(bus.host, bus.port, proc)):
        return f"a program on this computer (the gateway?) is connected to {bus.host}:{bus.port}"
    return None


def _held_port(device: str) -> str | None:
    """The gateway takes an exclusive lock on its serial lines; so does every well-behaved program."""
    try:
        port = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        return f"{device} is in use" if error.errno == errno.EBUSY else None
    try:
        fcntl.flock(port, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return f"{device} is held by another program (the gateway?)"
    finally:
        os.close(port)
    return None


def _connections(host: str, port: int, proc: Path) -> Iterator[bool]:
    """One item for each established connection to the endpoint (proc(5), /proc/net/tcp)."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return
    wanted = {place for family, _, _, _, address in found for place in _in_hex(family, str(address[0]), port)}
    for name in ("net/tcp", "net/tcp6"):
        try:
            lines = (proc / name).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if len(words) > 3 and words[3] == ESTABLISHED and words[2] in wanted:
                yield True


def _in_hex(family: int, address: str, port: int) -> Iterator[str]:
    """An address as the kernel prints it: 32-bit words in the machine's own byte order."""
    data = socket.inet_pton(family, address.partition("%")[0])
    yield f"{_words(data)}:{port:04X}"
    if family == socket.AF_INET:
        yield f"{_words(bytes(10) + bytes((255, 255)) + data)}:{port:04X}"


def _words(data: bytes) -> str:
    words = (data[at : at + 4] for at in range(0, len(data), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)
