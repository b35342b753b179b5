"""RTU frames, on a serial line or through a converter.

The CRC is pymodbus's.
"""

import asyncio
import logging
from typing import Any, Literal

from pymodbus.framer import FramerRTU

from firmware_interfaces.errors import BadFrame, NoAnswer
from firmware_interfaces.modbus.link import Connection, Link, connect_tcp
from firmware_interfaces.modbus.rs485 import Rs485, apply_rs485
from firmware_interfaces.serial.finetimer import FineTimer
from firmware_interfaces.serial.port import LineSettings, SerialTransport, open_port

__all__ = ["RtuLink", "RtuOverTcpLink", "SerialLink"]

log = logging.getLogger(__name__)

SETTLE_S = 0.1
"""How long an RTU line is listened to before a unit that had timed out is polled again."""

FINE_BELOW_S = 0.02
"""Shorter silences are waited for by a timer of the kernel: event loops count in milliseconds."""
EXCEPTION_RTU = 5
"""Bytes of an exception answer on RTU: unit, function, code, CRC."""


class RtuLink(Link):
    """RTU frames: no transaction number, so a late answer can only be told by unit, function and length.

    A unit that timed out is not asked again, by whomever, before its answer can no longer come (`ready_at`: twice
    ``limit_s`` after the request, however short the time-out was), and what still arrives meanwhile is thrown
    away: the other units of the line go on being polled.
    """

    def __init__(self, *, limit_s: float = 1.0, **timing: Any) -> None:
        super().__init__(**timing)
        self.limit_s = limit_s
        self._late: dict[int, tuple[float, float]] = {}
        self._surplus_before = 0

    def ready_at(self, unit: int) -> float:
        """Twice the site's limit after the request that timed out; at once when the late answer was seen."""
        late = self._late.get(unit)
        return late[1] if late else 0.0

    async def settle(self, seconds: float) -> None:
        """Listen for ``seconds``, at least `SETTLE_S`. Raises `BadFrame` when something came.

        A device that had hung answers everything at once when it wakes, and the first answer was not the last.
        """
        await asyncio.sleep(max(SETTLE_S, seconds))
        if self._buffer or self._surplus() != self._surplus_before:
            raise BadFrame(f"{self}: answers were out of step with requests", raw=self._buffer)

    async def request(self, unit: int, pdu: bytes, size: int, timeout_s: float) -> bytes:
        """As `Link.request`; what is still in the receive buffer from before is noise and is dropped.

        Raises `NoAnswer` at once for a unit whose late answer may still come.
        """
        if self.ready_at(unit) > self.time():
            raise NoAnswer(f"{self} unit {unit}: not asked, the answer to an earlier request may still come")
        if self._buffer:
            self.stats.stray_frames += 1
            self._buffer = b""
        self._surplus_before = self._surplus()
        answer = await super().request(unit, pdu, size, timeout_s)
        self._late.pop(unit, None)
        return answer

    def _surplus(self) -> int:
        """Frames that answered no pending request."""
        return self.stats.stray_frames + self.stats.late_answers

    def _frame(self, unit: int, pdu: bytes) -> bytes:
        body = bytes((unit,)) + pdu
        return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")

    def _timed_out(self) -> None:
        self._late[self._unit] = self._sent_at, self._sent_at + 2 * self.limit_s

    def disconnected(self, exc: Exception | None) -> None:
        """As `Link.disconnected`; a converter may deliver the answer to the next connection."""
        if self._answer is not None and not self._answer.done():
            self._timed_out()
        super().disconnected(exc)

    def _parse(self) -> None:
        while len(self._buffer) >= EXCEPTION_RTU:
            length = self._length()
            if len(self._buffer) < length:
                return
            frame, self._buffer = self._buffer[:length], self._buffer[length:]
            if FramerRTU.compute_CRC(frame[:-2]) != frame[-2] << 8 | frame[-1]:
                raw = frame + self._buffer
                # Switching the line's direction often puts a byte of noise before the frame; the checksum decides.
                self._buffer = self._from_next_start(raw)
                if self._buffer:
                    continue
                self._fail(BadFrame(f"{self} unit {self._unit}: checksum is wrong", raw=raw))
                return
            self._take(frame)

    def _from_next_start(self, raw: bytes) -> bytes:
        """What follows the noise at the start of ``raw``, where the pending answer could begin; else nothing."""
        starts = (raw.find(bytes((self._unit, code)), 1) for code in (self._function, self._function | 0x80))
        return raw[min((start for start in starts if start > 0), default=len(raw)) :]

    def _length(self) -> int:
        """Bytes of the frame at the start of the buffer, by its own function and byte count."""
        function = self._buffer[1]
        if function & 0x80:
            return EXCEPTION_RTU
        if function in {5, 6, 15, 16}:
            return 8
        return EXCEPTION_RTU + self._buffer[2]

    def _take(self, frame: bytes) -> None:
        unit = frame[0]
        pending = self._answer is not None and not self._answer.done()
        if pending and unit == self._unit:
            self._accept(frame[1:-2])
            return
        if (late := self._late.pop(unit, None)) is not None:
            self.stats.late_answers += 1
            if self.on_late is not None:
                self.on_late(unit, self.time() - late[0])
        else:
            self.stats.stray_frames += 1


class RtuOverTcpLink(RtuLink):
    """RTU frames through a transparent TCP converter."""

    kind = "rtu-over-tcp"

    def __init__(self, host: str, port: int, **timing: Any) -> None:
        super().__init__(**timing)
        self.host, self.port = host, port

    def __str__(self) -> str:
        return f"Modbus RTU over TCP {self.host}:{self.port}"

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        await connect_tcp(self, loop, self.host, self.port)


class SerialLink(RtuLink):
    """RTU on a serial line. The silence between frames is 3.5 characters, 1.75 ms from 19 200 baud on
    (Modbus over Serial Line V1.02, section 2.5.1.1), or longer where a device needs it.
    """

    kind = "rtu"
    longest_retry_s = 1.0
    """Looking for a device file costs nothing, and it should be in use soon after it was plugged in."""

    def __init__(
        self,
        device: str,
        *,
        baud: int,
        parity: Literal["N", "E", "O"],
        stop_bits: Literal[1, 2],
        rs485: Rs485 | None = None,
        **timing: Any,
    ) -> None:
        super().__init__(**timing)
        self.rs485 = rs485
        self._said = ""
        self._timer: FineTimer | None = None
        self.device = device
        self.settings = LineSettings(baud, parity, stop_bits)
        self.gap_s = max(self.gap_s, 0.00175 if baud > 19200 else 3.5 * self.settings.character_s)

    def __str__(self) -> str:
        return f"Modbus RTU {self.device}"

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        if self.gap_s < FINE_BELOW_S:
            self._timer = FineTimer(loop)
        fd = open_port(self.device, self.settings)
        if self.rs485 is not None:
            self._direct(fd, self.rs485)
        SerialTransport(loop, fd, Connection(self))

    async def _be_silent(self, seconds: float) -> None:
        """Of a fast line a millisecond more is a tenth of its time."""
        if self._timer is None:
            await super()._be_silent(seconds)
        else:
            await self._timer.sleep(seconds)

    def close(self) -> None:
        """As `Link.close`."""
        super().close()
        self._no_timer()

    def disconnected(self, exc: Exception | None) -> None:
        """As `RtuLink.disconnected`."""
        super().disconnected(exc)
        self._no_timer()

    def _no_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.close()

    def _direct(self, descriptor: int, rs485: Rs485) -> None:
        """Set the direction control; what the driver does not take is said once."""
        words = apply_rs485(descriptor, rs485)
        if words and words != self._said:
            log.warning("%s: rs485: %s", self, words)
        self._said = words
