"""A serial line that is asked or listened to: one request at a time, a time limit, a ring of the last frames.

Most instruments number nothing, so a late answer looks like the answer to the next request. A unit that let a
request time out is therefore left alone until its late answer can no longer come, and what arrives meanwhile is
counted and thrown away.
"""

import asyncio
import errno
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from firmware_interfaces.asked import RING, Frame, LateAnswer, LinkStats
from firmware_interfaces.errors import BadFrame, BusError, DeviceRefused, NoAnswer, NotConnected
from firmware_interfaces.modbus.limits import TimeLimits
from firmware_interfaces.serial.framing import Framer, LineFramer
from firmware_interfaces.serial.port import LineSettings, SerialTransport, open_port

__all__ = ["Judge", "SerialLine"]

T = TypeVar("T")
Judge = Callable[[bytes], T | None]
"""Looks at one frame: the answer, None where it is none, or a `BusError` where it ends the request."""

GONE = {
    errno.ENOENT: "is not plugged in",
    errno.EACCES: "may not be used (is the user in group dialout?)",
    errno.EBUSY: "another program holds the port",
}
DROP_RAW = 256
"""Bytes kept of what could not be understood."""


class _Ends(asyncio.Protocol):
    """One opening of a line's port. The end of one that was given up must not touch its successor."""

    def __init__(self, line: "SerialLine") -> None:
        self._line = line

    def data_received(self, data: bytes) -> None:
        if self._line.opened is self:
            self._line.received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._line.opened is self:
            self._line.lost(exc)


class SerialLine:
    """One port. ``limit_s`` is the longest wait for an answer, ``gap_s`` the least silence before a request.

    `ask` raises `NotConnected`, `NoAnswer`, `BadFrame` or what the judge raises.
    """

    longest_retry_s = 1.0
    """Looking for a device file costs nothing, and it should be in use soon after it was plugged in."""

    def __init__(
        self,
        device: str,
        settings: LineSettings,
        *,
        kind: str = "serial",
        limits: TimeLimits | None = None,
        limit_s: float = 1.0,
        gap_s: float = 0.0,
        frames_kept: int = RING,
    ) -> None:
        self.kind = kind
        self.device = device
        self.settings = settings
        self.stats = LinkStats()
        self.limit_s = limit_s
        self.gap_s = gap_s
        self.on_late: LateAnswer | None = None
        self.on_frame: Callable[[bytes], None] | None = None
        """Takes the frames that nobody asked for."""
        self.on_lost: Callable[[], None] | None = None
        """Told when the port is gone."""
        self.deadline = 0.0
        self.opened: _Ends | None = None
        """The opening in use."""
        self._transport: SerialTransport | None = None
        self._limits = limits or TimeLimits()
        self._frames: deque[tuple[float, bool, bytes]] = deque(maxlen=frames_kept)
        self._framer: Framer = LineFramer(b"\n")
        self._answer: asyncio.Future[Any] | None = None
        self._judge: Judge[Any] | None = None
        self._unit = 0
        self._sent_at = self._quiet_from = 0.0
        self._noise = b""
        self._late: dict[int, tuple[float, float]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def __str__(self) -> str:
        return f"serial port {self.device}"

    @property
    def connected(self) -> bool:
        """Whether a request can be sent now."""
        return self._transport is not None

    @property
    def frames(self) -> list[Frame]:
        """The last pieces of traffic as they came, oldest first."""
        return [Frame(*frame) for frame in self._frames]

    def time(self) -> float:
        """The event loop's time in seconds, as in `Frame.at`."""
        return self._loop.time() if self._loop is not None else 0.0

    async def open(self, timeout_s: float) -> None:  # noqa: ARG002 - a port opens at once or not at all
        """Take the port for us alone. Raises `NotConnected`."""
        self._loop = asyncio.get_running_loop()
        self.close()
        try:
            fd = open_port(self.device, self.settings)
        except (OSError, ValueError) as error:
            why = GONE.get(getattr(error, "errno", None) or 0) or getattr(error, "strerror", None) or str(error)
            raise NotConnected(f"{self}: {why}") from error
        self.opened = _Ends(self)
        self._transport = SerialTransport(self._loop, fd, self.opened)
        self._framer.clear()
        self.stats.connects += 1

    def close(self) -> None:
        """Give the port back; a pending request fails."""
        transport, self._transport, self.opened = self._transport, None, None
        if transport is not None:
            transport.close()
        self._fail(NotConnected(f"{self}: closed"))

    def listen(self, framer: Framer, on_frame: Callable[[bytes], None]) -> None:
        """Hand every frame over that nobody asked for."""
        self._framer, self.on_frame = framer, on_frame

    def say(self, command: bytes) -> None:
        """Send without waiting for anything."""
        if self._transport is not None:
            self._sent(command)
            self._transport.write(command)

    def ready_at(self, unit: int) -> float:
        """Twice the limit after a request that timed out; at once when the late answer was seen."""
        late = self._late.get(unit)
        return late[1] if late else 0.0

    async def ask(self, unit: int, command: bytes, framer: Framer, judge: Judge[T], timeout_s: float) -> T:
        """Send a command and return what ``judge`` makes of the first frame that is its answer.

        Frames that it knows nothing about are noise; when nothing better comes within ``timeout_s`` they are a
        `BadFrame`.
        """
        loop = self._loop
        if loop is None or self._transport is None:
            raise NotConnected(f"{self}: not connected")
        if self._answer is not None:
            raise RuntimeError("one request at a time: the bus worker is the only caller")
        if self.ready_at(unit) > loop.time():
            raise NoAnswer(f"{self}: not asked, the answer to an earlier request may still come")
        if self.gap_s and (wait := self._quiet_from + self.gap_s - loop.time()) > 0:
            await asyncio.sleep(wait)
        if self._transport is None:
            raise NotConnected(f"{self}: connection lost while the line had to be silent")
        if self._framer.pending:
            self.stats.stray_frames += 1
        framer.clear()
        self._framer, self._judge, self._unit, self._noise = framer, judge, unit, b""
        answer: asyncio.Future[T] = loop.create_future()
        self._answer = answer
        self.stats.requests += 1
        self._sent(command)
        self._transport.write(command)
        self.deadline = self._sent_at + timeout_s
        self._limits.start(self, loop)
        try:
            found = await answer
        except BadFrame:
            self.stats.bad_frames += 1
            raise
        except DeviceRefused:
            self.stats.exceptions += 1
            raise
        finally:
            self._limits.stop(self)
            self._answer = None
        self.stats.answers += 1
        return found

    def expire(self) -> None:
        """The time limit of the pending request has passed."""
        if self._answer is None or self._answer.done():
            return
        self.stats.timeouts += 1
        self._late[self._unit] = self._sent_at, self._sent_at + 2 * self.limit_s
        raw = (self._noise + self._framer.pending)[:DROP_RAW]
        self._framer.clear()
        if raw:
            self._fail(BadFrame(f"{self}: no answer that could be understood", raw=raw))
        else:
            self._fail(NoAnswer(f"{self}: no answer"))

    # events of the port

    def received(self, data: bytes) -> None:
        """Bytes came."""
        self.stats.bytes_received += len(data)
        now = self.time()
        self._quiet_from = now
        self._frames.append((now, False, data))
        for frame in self._framer.feed(data):
            self._take(frame)

    def lost(self, exc: Exception | None) -> None:
        """The port is gone: unplugged, or hung up."""
        self._transport = self.opened = None
        self._framer.clear()
        self._fail(NotConnected(f"{self}: {getattr(exc, 'strerror', None) or 'unplugged'}"))
        if self.on_lost is not None:
            self.on_lost()

    def _take(self, frame: bytes) -> None:
        answer = self._answer
        if answer is not None and not answer.done() and self._judge is not None:
            try:
                found = self._judge(frame)
            except BusError as error:
                self._late.pop(self._unit, None)
                answer.set_exception(error)
                return
            if found is None:
                self._noise += frame
            else:
                self._late.pop(self._unit, None)
                answer.set_result(found)
        elif self.on_frame is not None:
            self.on_frame(frame)
        elif (late := self._late.pop(self._unit, None)) is not None:
            self.stats.late_answers += 1
            if self.on_late is not None:
                self.on_late(self._unit, self.time() - late[0])
        else:
            self.stats.stray_frames += 1

    def _sent(self, command: bytes) -> None:
        self._sent_at = self.time()
        self.stats.bytes_sent += len(command)
        self._frames.append((self._sent_at, True, command))

    def _fail(self, error: BusError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
