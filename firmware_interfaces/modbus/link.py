"""One Modbus connection with one request on the line at a time; what TCP and RTU share.

The CRC is pymodbus's. The transaction is not: pymodbus hands a late
RTU answer to the next request and closes a shared TCP connection because one unit behind it is dead. Here an
answer is taken only when unit, function, length and (on TCP) transaction agree with the request, and a unit
that let a request time out on RTU is left alone until its late answer can no longer come.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, Literal, cast

from firmware_interfaces.asked import RING, Frame, LinkStats
from firmware_interfaces.errors import BadFrame, BusError, DeviceRefused, NoAnswer, NotConnected
from firmware_interfaces.modbus.limits import TimeLimits

__all__ = ["RING", "Connection", "Frame", "Link", "LinkStats", "connect_tcp", "data_size", "read_request"]

ECHO = 5
"""Bytes of the acknowledgement of a write: function, address, and the value or the count, as they were sent."""
RECONNECT_S = 3.0
UNANSWERED_MS = 10_000
"""A TCP peer that acknowledges nothing for so long is gone, even if nobody said so (a switch lost its power)."""


def read_request(function: int, address: int, count: int) -> bytes:
    """PDU of a read (functions 1 to 4): function, first wire address, count, all big-endian."""
    return bytes((function,)) + address.to_bytes(2, "big") + count.to_bytes(2, "big")


def data_size(function: int, count: int) -> int:
    """Data bytes that the answer to a read must hold."""
    return (count + 7) // 8 if function in {1, 2} else 2 * count


class Connection(asyncio.Protocol):
    """One connection of a link. The end of one that was given up comes late, and must not touch its successor."""

    def __init__(self, link: "Link") -> None:
        self._link = link
        # Bound here, so that an answer takes no extra step.
        setattr(self, "data_received", link.data_received)  # noqa: B010

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The link has this connection now."""
        self._link.connected_by(self, cast(asyncio.Transport, transport))

    def connection_lost(self, exc: Exception | None) -> None:
        """The link has it no longer, unless it has another one already."""
        if self._link.connection is self:
            self._link.disconnected(exc)


async def connect_tcp(link: "Link", loop: asyncio.AbstractEventLoop, host: str, port: int, **tls: Any) -> None:
    """Connect a link over TCP, such that a peer that vanished without a word is noticed in about ten seconds.

    ``tls`` is what `asyncio.loop.create_connection` takes for it.
    """
    transport, _ = await loop.create_connection(lambda: Connection(link), host, port, **tls)
    line: socket.socket = transport.get_extra_info("socket")
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_MS)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 2)):
        line.setsockopt(socket.IPPROTO_TCP, option, seconds)


class Link:
    """What the three kinds of connection share: one pending request, a time limit, a ring of frames.

    `request` raises `NotConnected`, `NoAnswer`, `BadFrame` or `DeviceRefused`; it never returns data that was
    not the answer to exactly this request.
    """

    kind: Literal["tcp", "rtu", "rtu-over-tcp"]
    longest_retry_s = 5.0

    def __init__(
        self,
        *,
        gap_s: float = 0.0,
        connect_pause_s: float = 0.0,
        limits: TimeLimits | None = None,
        frames_kept: int = RING,
        rest_after_s: float | None = None,
    ) -> None:
        self.deadline = 0.0
        self.rest_after_s = rest_after_s
        """After so long without a request the connection is given back, for devices that allow few; None: never."""
        self._resting = False
        self._rest_timer: asyncio.TimerHandle | None = None
        self._limits = limits or TimeLimits()
        self.stats = LinkStats()
        self._frames: deque[tuple[float, bool, bytes]] = deque(maxlen=frames_kept)
        self.gap_s = gap_s
        self.connect_pause_s = connect_pause_s
        self.on_late: Callable[[int, float], None] | None = None
        """Called with unit and seconds since its request when an answer comes after the time limit."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self.connection: Connection | None = None
        """The connection in use."""
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._quiet_from = 0.0
        self._buffer = b""
        self._unit = self._function = self._size = 0
        self._echo = b""

    def time(self) -> float:
        """The event loop's time in seconds, as in `Frame.at`."""
        return self._loop.time() if self._loop is not None else 0.0

    @property
    def connected(self) -> bool:
        """Whether a request can be sent now; a link that rests connects again for it."""
        return self._transport is not None or self._resting

    @property
    def frames(self) -> list[Frame]:
        """The last frames, oldest first."""
        return [Frame(*frame) for frame in self._frames]

    async def open(self, timeout_s: float) -> None:
        """Connect; raises `NotConnected` with the operating system's words."""
        self._loop = asyncio.get_running_loop()
        self.close()
        try:
            async with asyncio.timeout(timeout_s):
                await self._connect(self._loop)
        except (OSError, TimeoutError, ValueError) as error:
            self.close()
            raise NotConnected(f"{self}: {error or 'no connection within the time limit'}") from error
        self.stats.connects += 1
        if self.connect_pause_s:
            await asyncio.sleep(self.connect_pause_s)

    def close(self) -> None:
        """Drop the connection; a pending request fails with `NotConnected`."""
        self._stay_awake()
        self._resting = False
        self._hang_up()
        self._fail(NotConnected(f"{self}: connection closed"))
        self._buffer = b""

    def _hang_up(self) -> None:
        transport, self._transport, self.connection = self._transport, None, None
        if transport is not None:
            transport.close()

    def _stay_awake(self) -> None:
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None

    def _give_back(self) -> None:
        """Give the connection back until the next request."""
        self._rest_timer = None
        if self._answer is None and self._transport is not None:
            self._resting = True
            self._hang_up()
            self._buffer = b""

    async def _wake(self) -> None:
        """Connect again after a rest. Raises `NotConnected`; the link is then down like any other."""
        self._resting = False
        await self.open(RECONNECT_S)
        if self._transport is None:
            raise NotConnected(f"{self}: connection lost at once")

    def ready_at(self, unit: int) -> float:  # noqa: ARG002 - for the kinds that need it
        """Loop time from which ``unit`` may be asked again without risk of taking a late answer."""
        return 0.0

    async def settle(self, seconds: float) -> None:
        """After a time-out and an answer: listen for ``seconds``, to make sure that answers are in step again.

        Nothing to do where answers carry the number of their request.
        """

    async def read(self, unit: int, function: int, address: int, count: int, timeout_s: float) -> bytes:
        """Data bytes of one read (functions 1 to 4): registers big-endian, or bits packed from the lowest."""
        answer = await self.request(
            unit, read_request(function, address, count), data_size(function, count), timeout_s
        )
        return answer[2:]

    async def request(self, unit: int, pdu: bytes, size: int, timeout_s: float) -> bytes:
        """Send a PDU and return the PDU of its answer: function, byte count, ``size`` data bytes.

        ``timeout_s`` counts from the moment the request is on its way.
        """
        loop = self._loop
        if loop is None or not self.connected:
            raise NotConnected(f"{self}: not connected")
        if self._answer is not None:
            raise RuntimeError("one request at a time: the bus worker is the only caller")
        self._stay_awake()
        if self._resting:
            await self._wake()
        if self.gap_s:
            # The loop's own time is one of whole milliseconds; a timer may come a fraction of one too early.
            while (wait := self._quiet_from + self.gap_s - monotonic()) > 0:
                await self._be_silent(wait)
        transport = self._transport
        if transport is None:
            raise NotConnected(f"{self}: connection lost while the line had to be silent")
        self._unit, self._function, self._size, self._echo = unit, pdu[0], size, pdu[:ECHO] if size < 0 else b""
        frame = self._frame(unit, pdu)
        answer: asyncio.Future[bytes] = loop.create_future()
        self._answer = answer
        self.stats.requests += 1
        self.stats.bytes_sent += len(frame)
        self._sent_at = loop.time()
        self._frames.append((self._sent_at, True, frame))
        transport.write(frame)
        self.deadline = self._sent_at + timeout_s
        self._limits.start(self, loop)
        try:
            return await answer
        except BadFrame:
            self.stats.bad_frames += 1
            raise
        finally:
            self._limits.stop(self)
            self._answer = None
            if self.rest_after_s is not None:
                self._rest_timer = loop.call_later(self.rest_after_s, self._give_back)

    async def write(self, unit: int, pdu: bytes, timeout_s: float) -> None:
        """Send a request that changes the device (functions 5, 6, 15, 16), once.

        Returns when the device has acknowledged exactly it; raises as `request` does. After `NoAnswer`, `BadFrame`
        or `NotConnected` it may have been carried out or not.
        """
        await self.request(unit, pdu, -1, timeout_s)

    # what the kinds differ in

    async def _be_silent(self, seconds: float) -> None:
        """Wait out a silence."""
        await asyncio.sleep(seconds)

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        raise NotImplementedError

    def _frame(self, unit: int, pdu: bytes) -> bytes:
        raise NotImplementedError

    def _parse(self) -> None:
        raise NotImplementedError

    def _timed_out(self) -> None:
        """Remember what a late answer would look like."""

    # events of the transport

    def connected_by(self, connection: Connection, transport: asyncio.Transport) -> None:
        """Take the transport."""
        self.connection, self._transport = connection, transport

    def disconnected(self, exc: Exception | None) -> None:
        """Fail the pending request; the worker connects again."""
        self._stay_awake()
        self.connection = self._transport = None
        self._buffer = b""
        self._fail(NotConnected(f"{self}: connection lost ({exc or 'closed by the other side'})"))

    def data_received(self, data: bytes) -> None:
        """Collect bytes and look for the answer."""
        self.stats.bytes_received += len(data)
        now = self.time()
        if self.gap_s:
            self._quiet_from = monotonic()
        self._frames.append((now, False, data))
        self._buffer = self._buffer + data if self._buffer else data
        self._parse()

    def expire(self) -> None:
        """The time limit of the pending request has passed."""
        answer = self._answer
        if answer is not None and not answer.done():
            self._quiet_from = monotonic()
            self.stats.timeouts += 1
            self._timed_out()
            if self._buffer:
                answer.set_exception(BadFrame(f"{self} unit {self._unit}: answer broke off", raw=self._buffer))
            else:
                answer.set_exception(NoAnswer(f"{self} unit {self._unit}: no answer"))
            self._buffer = b""

    def _fail(self, error: BusError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def _accept(self, pdu: bytes) -> None:
        """Judge an answer whose frame is sound and whose unit is right."""
        answer = self._answer
        if answer is None or answer.done():
            return
        function = pdu[0]
        if function == self._function | 0x80 and len(pdu) == 2:
            self.stats.exceptions += 1
            answer.set_exception(DeviceRefused(pdu[1]))
        elif function != self._function:
            answer.set_exception(BadFrame(f"{self}: function {function} answers {self._function}", raw=pdu))
        elif self._echo and pdu != self._echo:
            answer.set_exception(BadFrame(f"{self}: it acknowledges another write than this one", raw=pdu))
        elif self._echo:
            self.stats.answers += 1
            answer.set_result(pdu)
        elif len(pdu) != self._size + 2 or pdu[1] != self._size:
            answer.set_exception(
                BadFrame(f"{self}: {len(pdu) - 2} data bytes where {self._size} were asked for", raw=pdu)
            )
        else:
            self.stats.answers += 1
            answer.set_result(pdu)
