"""Barcode and QR scanners on serial ports: what is scanned at a door becomes a lot record, or a refusal on record.

A scanner types lines; at which zone it stands, and which way lots pass it, the site file says. The line goes the
way of every record that a person makes (`RecordControl`): checked against all before it, one event in the signed
stream.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from firmware_interfaces.errors import NotConnected
from firmware_interfaces.serial.framing import LineFramer
from firmware_interfaces.serial.line import SerialLine
from firmware_interfaces.serial.port import LineSettings
from gateway.errors import AuroraError
from gateway.model import Event
from gateway.site import ScannerSpec

__all__ = ["KIND", "ScanFramer", "Scanner"]

log = logging.getLogger(__name__)

LOT = "record.lot"
KIND = "scanner.refused"
RETRY_S = 1.0
LONGEST = 4000
WAITING = 100
"""Scanned lines that may wait to be recorded; a scanner that sends more is broken."""

Recorder = Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


class ScanFramer(LineFramer):
    """Lines that end with CR, LF or both: scanners come with any of these."""

    def __init__(self) -> None:
        super().__init__(b"\r", longest=LONGEST)

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now."""
        return super().feed(data.replace(b"\n", b"\r"))


class Scanner:
    """One scanner. ``record`` makes a record, or raises an `AuroraError`; ``event`` takes what is refused."""

    def __init__(
        self, spec: ScannerSpec, record: Recorder, event: Callable[[Event], None], now_ms: Callable[[], int]
    ) -> None:
        self.spec = spec
        self.scanned = self.refused = self.repeated = 0
        self.fault = ""
        """Why nothing can be scanned; empty while it can."""
        settings = LineSettings(spec.baud, spec.parity, spec.stop_bits, spec.data_bits)
        self.line = SerialLine(spec.device, settings, kind="scanner")
        self._record = record
        self._event = event
        self._now_ms = now_ms
        self._lines: asyncio.Queue[bytes] = asyncio.Queue(WAITING)
        self._last: tuple[bytes, int] = b"", 0
        self._lost = asyncio.Event()
        self.line.listen(ScanFramer(), self._scanned)
        self.line.on_lost = self._lost.set

    async def run(self) -> None:
        """Until cancelled: hold the port, and record line by line."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._hold(), name=f"port of scanner {self.spec.id}")
                group.create_task(self._take(), name=f"scanner {self.spec.id}")
        finally:
            self.line.close()

    async def _hold(self) -> None:
        while True:
            try:
                await self.line.open(0)
            except NotConnected as error:
                if not self.fault:
                    self._gone(str(error))
            else:
                if self.fault:
                    self._event(Event("scanner.back", self._now_ms(), {"scanner": self.spec.id}))
                self.fault = ""
                log.info("scanner %s: ready", self.spec.id)
                self._lost.clear()
                await self._lost.wait()
                self._gone(f"{self.line} was unplugged")
            await asyncio.sleep(RETRY_S)

    def _gone(self, why: str) -> None:
        self.fault = why
        log.warning("scanner %s: %s; the gateway keeps trying", self.spec.id, why)
        self._event(Event("scanner.lost", self._now_ms(), {"scanner": self.spec.id, "why": why}))

    def _scanned(self, line: bytes) -> None:
        """A second trigger on the same label is one lot, not two."""
        now = self._now_ms()
        last, at = self._last
        self._last = line, now
        if line == last and now - at < self.spec.repeat_s * 1000:
            self.repeated += 1
            return
        try:
            self._lines.put_nowait(line)
        except asyncio.QueueFull:
            self._refuse(line, "more is scanned than can be recorded")

    async def _take(self) -> None:
        while True:
            line = await self._lines.get()
            try:
                await self._make(line)
            except AuroraError as error:
                self._refuse(line, str(error))

    async def _make(self, line: bytes) -> None:
        spec = self.spec
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise AuroraError("the line is no text: check the scanner's speed and parity") from error
        request = {
            "direction": spec.direction,
            "point": spec.point,
            "person": spec.person,
            "text": f"scanner {spec.id}",
            "source": "scanner",
            "lot" if spec.plain else "code": text,
        }
        answer = await self._record(LOT, request)
        self.scanned += 1
        log.info("scanner %s: %s is recorded as %s", spec.id, text, answer["record"])

    def _refuse(self, line: bytes, why: str) -> None:
        self.refused += 1
        log.warning("scanner %s: %r is refused: %s", self.spec.id, line[:80], why)
        shown = line.decode("utf-8", "backslashreplace")
        data = {"scanner": self.spec.id, "point": self.spec.point, "line": shown, "why": why}
        self._event(Event(KIND, self._now_ms(), data))
