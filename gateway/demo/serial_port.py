"""A serial port made of a pseudo-terminal: the simulated RS-485 line on our side, a device file for the gateway."""

import asyncio
import logging
import os
import pty
import termios
import tty
from pathlib import Path

from gateway.demo.modbus_server import Bus, RtuLine

log = logging.getLogger(__name__)

__all__ = ["PtyPort"]


class PtyPort:
    """``path`` becomes a symbolic link to the terminal that a Modbus master opens like /dev/ttyUSB0.

    A pty has no baud rate of its own, but it keeps the one that was asked for: a master at another speed than
    ``baud`` is not understood, as on a real line (parity cannot be imitated: the pty driver forces 8N1).
    """

    def __init__(self, bus: Bus, path: Path, *, baud: int = 9600) -> None:
        self.bus = bus
        self.path = path
        self.baud = baud
        self._speed = int(getattr(termios, f"B{baud}"))
        self._understood = True
        self._ends: tuple[int, int] | None = None
        self._line: RtuLine | None = None

    async def open(self) -> None:
        """Plug in; raises FileExistsError where ``path`` is something else than a link. Does nothing when open."""
        if self._ends is not None:
            return
        if self.path.is_symlink():
            self.path.unlink()
        elif self.path.exists():
            raise FileExistsError(f"{self.path} exists and is not a symbolic link")
        ours, theirs = pty.openpty()
        # The other end stays open here as well, or ours would fail whenever no master is connected.
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        self._ends = ours, theirs
        self._line = RtuLine(self.bus, self._write, baud=self.baud)
        self.path.symlink_to(os.ttyname(theirs))
        asyncio.get_running_loop().add_reader(ours, self._readable)

    async def close(self) -> None:
        """Unplug: the master's end fails, the link is gone."""
        if self._ends is None or self._line is None:
            return
        ours, theirs = self._ends
        asyncio.get_running_loop().remove_reader(ours)
        self._line.close()
        self._ends = self._line = None
        self.path.unlink(missing_ok=True)
        os.close(ours)
        os.close(theirs)

    def _readable(self) -> None:
        if self._ends is None or self._line is None:
            return
        ours, theirs = self._ends
        try:
            data = os.read(ours, 4096)
        except OSError:  # a master that came and went between poll and read
            return
        understood = termios.tcgetattr(theirs)[5] == self._speed
        if understood != self._understood:
            self._understood = understood
            log.warning(
                "%s: master speaks at %s", self.path, f"{self.baud} baud" if understood else "another speed"
            )
        if understood:
            self._line.feed(data)

    def _write(self, data: bytes) -> None:
        if self._ends is None:
            return
        try:
            os.write(self._ends[0], data)
        except BlockingIOError:  # nobody has read for thousands of bytes: lost, as on a line nobody listens to
            return
