"""The Nordic UART Service: frames written to one characteristic, answers notified on another."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from firmware_interfaces.ble.gatt.link import Link
from firmware_interfaces.ble.logs.nouns import NoLog

__all__ = ["Uart", "uart"]

SERVICE = "6e400001-b5a3-f393-e0a9-e50e24dcca9e"
WRITE, NOTIFY = "6e400002-b5a3-f393-e0a9-e50e24dcca9e", "6e400003-b5a3-f393-e0a9-e50e24dcca9e"

QUIET_S = 10.0
"""A sensor that says nothing for so long in the midst of an answer has broken off."""


class Uart:
    """The two directions of it."""

    def __init__(self, link: Link, queue: "asyncio.Queue[bytes | None]") -> None:
        self._link = link
        self._queue = queue

    async def send(self, data: bytes) -> None:
        """Write a frame; raises `BusError`."""
        (inward,) = self._link.all_of(WRITE, SERVICE)[:1]
        await self._link.write(inward, data)

    async def receive(self, quiet_s: float = QUIET_S) -> bytes | None:
        """The next that comes; None where nothing does, or the connection has ended."""
        try:
            async with asyncio.timeout(quiet_s):
                return await self._queue.get()
        except TimeoutError:
            return None


@contextlib.asynccontextmanager
async def uart(link: Link) -> AsyncIterator[Uart]:
    """The UART of a sensor, listened to; raises `NoLog` where it has none, `BusError`."""
    outward = link.all_of(NOTIFY, SERVICE)
    if not outward or not link.all_of(WRITE, SERVICE):
        raise NoLog(f"{link.address} has no UART service")
    async with link.heard(outward[0]) as queue:
        yield Uart(link, queue)
