"""A small plant on loopback: units with registers behind one Modbus TCP endpoint, and a sink that remembers."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.model import Event, Miss, Scan


class Plant:
    """Answers reads of holding registers. ``mute`` units do not answer, ``refuse`` ones with an exception code,
    ``delay_s`` ones late. Register r of unit u holds 100 * u + r.
    """

    def __init__(self) -> None:
        self.mute: set[int] = set()
        self.refuse: dict[int, int] = {}
        self.delay_s: dict[int, float] = {}
        self.missing: dict[int, set[int]] = {}
        self.reads: list[tuple[int, int, int]] = []
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readexactly(7)
                body = await reader.readexactly(int.from_bytes(head[4:6], "big") - 1)
                unit = head[6]
                address, count = struct.unpack(">HH", body[1:5])
                self.reads.append((unit, address, count))
                if unit in self.mute:
                    continue
                if unit in self.delay_s:
                    await asyncio.sleep(self.delay_s[unit])
                if unit in self.refuse:
                    pdu = bytes((body[0] | 0x80, self.refuse[unit]))
                elif self.missing.get(unit, set()) & set(range(address, address + count)):
                    pdu = bytes((body[0] | 0x80, 2))
                else:
                    values = [100 * unit + address + i for i in range(count)]
                    pdu = struct.pack(f">BB{count}H", body[0], 2 * count, *values)
                writer.write(head[:4] + struct.pack(">HB", len(pdu) + 1, unit) + pdu)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


class Memory:
    """Keeps what acquire brings, and lets a test wait until it has seen enough."""

    def __init__(self) -> None:
        self.records: list[Scan | Miss] = []
        self.events: list[Event] = []
        self._news = asyncio.Event()

    def scan(self, scan: Scan) -> None:
        self.records.append(scan)
        self._news.set()

    def miss(self, miss: Miss) -> None:
        self.records.append(miss)
        self._news.set()

    def event(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    def of(self, device: int) -> list[Scan | Miss]:
        return [record for record in self.records if record.device == device]

    def scans(self, device: int) -> list[Scan]:
        return [record for record in self.of(device) if isinstance(record, Scan)]

    def misses(self, device: int) -> list[Miss]:
        return [record for record in self.of(device) if isinstance(record, Miss)]

    async def until(self, condition: Callable[[], bool], limit_s: float = 60.0) -> None:
        async with asyncio.timeout(limit_s):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def assert_accounted(self) -> None:
        """Every slot of every device from its first to its last stands here exactly once."""
        for device in {record.device for record in self.records}:
            expected = self.of(device)[0].slot
            for record in self.of(device):
                assert record.slot == expected, f"device {device}: slot {expected} is missing or doubled"
                expected += record.count if isinstance(record, Miss) else 1


@pytest.fixture
async def plant() -> AsyncIterator[Plant]:
    it = Plant()
    await it.start()
    yield it
    await it.stop()


@pytest.fixture
def memory() -> Memory:
    return Memory()
