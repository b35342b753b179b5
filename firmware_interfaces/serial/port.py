"""A serial port as an asyncio transport: opened for us alone, in raw mode, gone when its device is unplugged.

`termios` and the event loop's own watching of files do it all: no thread, no polling. Sources: termios(3),
ioctl_tty(2) (TIOCEXCL), flock(2); low latency as setserial(8) sets it (an FTDI chip otherwise keeps what came for
up to 16 ms).
"""

import array
import asyncio
import contextlib
import errno
import fcntl
import os
import termios
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["BAUDS", "LineSettings", "PortBusy", "SerialTransport", "open_port"]

READ = 4096
LARGEST_BACKLOG = 64 * 1024
"""Bytes that may wait to be sent: a port that takes none for so long is no port."""
ASYNC_LOW_LATENCY = 0x2000
BAUDS = {
    int(name[1:]): int(getattr(termios, name)) for name in dir(termios) if name[0] == "B" and name[1:].isdigit()
}
"""Speeds that the system knows, with its codes for them."""
BITS = {5: termios.CS5, 6: termios.CS6, 7: termios.CS7, 8: termios.CS8}


class PortBusy(OSError):  # noqa: N818 - named for what is the matter
    """Somebody else holds the port."""


@dataclass(frozen=True, slots=True)
class LineSettings:
    """How the characters of a line are built."""

    baud: int = 9600
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1
    data_bits: Literal[7, 8] = 8

    @property
    def character_s(self) -> float:
        """Seconds that one character takes on the line."""
        return (1 + self.data_bits + (self.parity != "N") + self.stop_bits) / self.baud

    def __str__(self) -> str:
        return f"{self.baud} {self.data_bits}{self.parity}{self.stop_bits}"


def open_port(device: str, settings: LineSettings) -> int:
    """A file descriptor of the port, ours alone until it is closed. Raises `OSError` with the reason.

    A character that came with a wrong parity is read as a zero byte, so that the frame around it is damaged for
    everybody to see.
    """
    if settings.baud not in BAUDS:
        raise ValueError(f"{settings.baud} baud is not a speed that the system knows")
    fd = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PortBusy(errno.EBUSY, "another program holds the port", device) from error
        fcntl.ioctl(fd, termios.TIOCEXCL)
        termios.tcsetattr(fd, termios.TCSANOW, _raw(termios.tcgetattr(fd), settings))
        termios.tcflush(fd, termios.TCIFLUSH)
        _low_latency(fd)
    except PortBusy:
        os.close(fd)
        raise
    except (termios.error, OSError) as error:
        close_port(fd)
        raise OSError(errno.ENOTTY, f"{device} is no serial port ({error.args[-1]})") from error
    return fd


def close_port(fd: int) -> None:
    """Give the port back."""
    with contextlib.suppress(OSError):
        fcntl.ioctl(fd, termios.TIOCNXCL)
    os.close(fd)


def _raw(attributes: list[Any], settings: LineSettings) -> list[Any]:
    """Attributes of a line that changes nothing of what passes."""
    control = BITS[settings.data_bits] | termios.CREAD | termios.CLOCAL
    if settings.parity != "N":
        control |= termios.PARENB | (termios.PARODD if settings.parity == "O" else 0)
    if settings.stop_bits == 2:
        control |= termios.CSTOPB
    characters = list(attributes[6])
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    speed = BAUDS[settings.baud]
    # INPCK without PARMRK: what a parity bit shows to be damaged is read as zero.
    checked = termios.INPCK if settings.parity != "N" else 0
    return [checked, 0, control, 0, speed, speed, characters]


def _low_latency(fd: int) -> None:
    """Best effort: a pseudo-terminal and most on-board ports do not know it."""
    with contextlib.suppress(OSError, AttributeError):
        state = array.array("i", [0] * 32)
        fcntl.ioctl(fd, termios.TIOCGSERIAL, state)
        if not state[4] & ASYNC_LOW_LATENCY:
            state[4] |= ASYNC_LOW_LATENCY
            fcntl.ioctl(fd, termios.TIOCSSERIAL, state)


class SerialTransport(asyncio.Transport):
    """An open port. The protocol hears `connection_lost` when the device is gone, and after `close`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._loop = loop
        self._fd = fd
        self._protocol = protocol
        self._unsent = b""
        self._closing = False
        protocol.connection_made(self)
        loop.add_reader(fd, self._readable)

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        """Send; what the port does not take at once is sent when it does."""
        if self._closing:
            return
        data = bytes(data)
        if not self._unsent:
            try:
                data = data[os.write(self._fd, data) :]
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as error:
                self._end(error)
                return
            if not data:
                return
            self._loop.add_writer(self._fd, self._writable)
        self._unsent += data
        if len(self._unsent) > LARGEST_BACKLOG:
            self._end(OSError(errno.EIO, "the port takes no data"))

    def is_closing(self) -> bool:
        """Whether it was closed or lost."""
        return self._closing

    def close(self) -> None:
        """Give the port back; what was not sent yet never is."""
        self._end(None)

    abort = close

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(error)
            return
        if data:
            self._protocol.data_received(data)
        else:
            self._end(OSError(errno.EIO, "the port hung up"))

    def _writable(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._fd, self._unsent) :]
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(error)
            return
        if not self._unsent:
            self._loop.remove_writer(self._fd)

    def _end(self, error: Exception | None) -> None:
        if self._closing:
            return
        self._closing = True
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        close_port(self._fd)
        self._loop.call_soon(self._protocol.connection_lost, error)
