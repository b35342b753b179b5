"""A serial port made of a pseudo-terminal: a device file for the gateway, our end of the wire for the test."""

import asyncio
import os
import pty
import tty
from collections.abc import Callable, Iterator
from pathlib import Path


class Wire:
    """``path`` is what a gateway opens. ``answer`` makes of what came in what goes out; None is silence."""

    def __init__(self, path: Path, answer: Callable[[bytes], bytes | None] | None = None) -> None:
        self.path = path
        self.answer = answer
        self.came = b""
        self._news = asyncio.Event()
        self._ends: tuple[int, int] | None = None

    def plug(self) -> None:
        """A new port under the same name, as udev makes it."""
        ours, theirs = pty.openpty()
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        self._ends = ours, theirs
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(theirs))
        asyncio.get_running_loop().add_reader(ours, self._readable)

    def unplug(self) -> None:
        if self._ends is None:
            return
        ours, theirs = self._ends
        self._ends = None
        asyncio.get_running_loop().remove_reader(ours)
        self.path.unlink(missing_ok=True)
        os.close(theirs)
        os.close(ours)

    def send(self, data: bytes) -> None:
        assert self._ends is not None
        os.write(self._ends[0], data)

    async def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait for something that bytes from the other side bring about."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._news.clear()
                waiter = asyncio.ensure_future(self._news.wait())
                await asyncio.wait([waiter], timeout=0.05)
                waiter.cancel()

    def _readable(self) -> None:
        if self._ends is None:
            return
        try:
            data = os.read(self._ends[0], 4096)
        except OSError:
            return
        self.came += data
        self._news.set()
        if self.answer is not None and (reply := self.answer(data)) is not None and self._ends is not None:
            self.send(reply)


def cuts(data: bytes, places: list[int]) -> Iterator[bytes]:
    """``data`` in pieces, cut at ``places``."""
    start = 0
    for place in sorted({place % (len(data) + 1) for place in places}):
        yield data[start:place]
        start = place
    yield data[start:]
