"""Modbus TCP."""

import asyncio
from typing import Any

from firmware_interfaces.errors import BadFrame
from firmware_interfaces.modbus.link import RING, Link, connect_tcp

__all__ = ["TcpLink"]

REQUESTS_KEPT = 1000
"""Requests of which a link remembers the bytes: a plan asks the same ones again and again."""

MBAP = 7
LONGEST_PDU = 253


class TcpLink(Link):
    """Modbus TCP. A late answer is told by its transaction number and dropped."""

    kind = "tcp"

    def __init__(self, host: str, port: int, **timing: Any) -> None:
        super().__init__(**timing)
        self.host, self.port = host, port
        self._transaction = 0
        self._rest: dict[tuple[int, bytes], bytes] = {}
        self._late: dict[int, tuple[int, float]] = {}

    def __str__(self) -> str:
        return f"Modbus TCP {self.host}:{self.port}"

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        await connect_tcp(self, loop, self.host, self.port)

    def _frame(self, unit: int, pdu: bytes) -> bytes:
        self._transaction = self._transaction % 0xFFFF + 1
        rest = self._rest.get((unit, pdu))
        if rest is None:
            if len(self._rest) >= REQUESTS_KEPT:
                self._rest.clear()
            rest = self._rest[unit, pdu] = b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes((unit,)) + pdu
        return self._transaction.to_bytes(2, "big") + rest

    def _timed_out(self) -> None:
        if len(self._late) >= RING:
            self._late.clear()
        self._late[self._transaction] = self._unit, self._sent_at

    def _parse(self) -> None:
        buffer = self._buffer
        while len(buffer) > MBAP:
            length = buffer[4] << 8 | buffer[5]
            if buffer[2] or buffer[3] or not 2 <= length <= LONGEST_PDU + 1:
                self._abandon(buffer)
                return
            if len(buffer) < 6 + length:
                break
            frame, buffer = buffer[: 6 + length], buffer[6 + length :]
            self._take(frame)
        self._buffer = buffer

    def _take(self, frame: bytes) -> None:
        transaction = frame[0] << 8 | frame[1]
        pending = self._answer is not None and not self._answer.done()
        if pending and transaction == self._transaction:
            if frame[6] == self._unit:
                self._accept(frame[MBAP:])
            else:
                self._fail(BadFrame(f"{self}: unit {frame[6]} answers for unit {self._unit}", raw=frame))
        elif (late := self._late.pop(transaction, None)) is not None:
            self.stats.late_answers += 1
            if self.on_late is not None:
                self.on_late(late[0], self.time() - late[1])
        else:
            self.stats.stray_frames += 1

    def _abandon(self, raw: bytes) -> None:
        """What comes is not Modbus TCP: without frame borders only a new connection helps."""
        self._fail(BadFrame(f"{self}: not a Modbus TCP frame", raw=raw[:64]))
        self.close()
