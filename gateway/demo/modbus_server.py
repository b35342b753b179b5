"""A small Modbus server core for the simulated facility: what a field device answers, and on which wire.

Written from the public specifications (MODBUS Application Protocol V1.1b3; MODBUS over Serial Line V1.02;
MODBUS Messaging on TCP/IP V1.0b) and independent of the gateway's client, so that a mistake in one is not
repeated in the other. `answer` is a pure function on bytes; `TcpEndpoint` and `RtuLine` put it on a wire.
"""

import asyncio
import logging
import random
import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from gateway.errors import AuroraError

log = logging.getLogger(__name__)

__all__ = [
    "Bus",
    "CellError",
    "Faults",
    "Registers",
    "RtuEndpoint",
    "RtuLine",
    "Table",
    "TcpEndpoint",
    "answer",
    "crc16",
    "rtu_frame",
]

ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3
DEVICE_FAILURE = 4
TARGET_SILENT = 0x0B

MAX_BITS, MAX_REGISTERS = 2000, 125
MAX_WRITE_BITS, MAX_WRITE_REGISTERS = 1968, 123
MAX_CLIENTS = 16


class Table(IntEnum):
    """The four tables of the data model, numbered by the function code that reads them."""

    COIL = 1
    DISCRETE = 2
    HOLDING = 3
    INPUT = 4


WRITES = {5: Table.COIL, 6: Table.HOLDING, 15: Table.COIL, 16: Table.HOLDING}

Cell = int | Callable[[], int]
"""A register or bit: a number, or how to find it at the moment of the request."""


class CellError(AuroraError):
    """A cell cannot be read now; ``code`` is the Modbus exception that the device answers."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"exception {code}")


class Registers:
    """One unit: sparse tables of cells, and what the device refuses.

    ``functions`` are the reading function codes that the device has, ``max_read`` the most registers it gives
    in one answer, ``writable`` the cells that it lets a master change. An address that is in no table is
    answered with exception 2, also within a block: holes are real on many controllers.
    """

    def __init__(
        self,
        tables: Mapping[Table, Mapping[int, Cell]],
        *,
        max_read: int = MAX_REGISTERS,
        writable: Collection[tuple[Table, int]] = (),
    ) -> None:
        self.tables: dict[Table, dict[int, Cell]] = {table: dict(cells) for table, cells in tables.items()}
        self.functions = frozenset(int(table) for table in tables)
        self.max_read = max_read
        self.writable = frozenset(writable)

    def read(self, table: Table, start: int, count: int) -> list[int] | None:
        """``count`` cells from ``start`` as numbers 0..65535 (bits 0 or 1); None where any is missing."""
        cells = self.tables[table]
        found = [cells.get(address) for address in range(start, start + count)]
        values = [cell() if callable(cell) else cell for cell in found if cell is not None]
        return values if len(values) == count else None

    def write(self, table: Table, start: int, values: list[int]) -> bool:
        """Change cells; False, and nothing changed, where any of them is not writable."""
        if any((table, start + i) not in self.writable for i in range(len(values))):
            return False
        self.tables[table].update(enumerate(values, start))
        return True


def refusal(function: int, code: int) -> bytes:
    """The exception answer to a request."""
    return bytes([function | 0x80, code])


def answer(unit: Registers, pdu: bytes) -> bytes:
    """What ``unit`` answers to one request (PDU without address and checksum; never raises)."""
    if not pdu:
        return refusal(0, ILLEGAL_FUNCTION)
    function = pdu[0]
    try:
        if function in unit.functions:
            return _read(unit, function, pdu)
        if function in WRITES and any(table is WRITES[function] for table, _ in unit.writable):
            return _write(unit, function, pdu)
    except CellError as failure:
        return refusal(function, failure.code)
    return refusal(function, ILLEGAL_FUNCTION)


def _read(unit: Registers, function: int, pdu: bytes) -> bytes:
    if len(pdu) != 5:
        return refusal(function, ILLEGAL_VALUE)
    start, count = struct.unpack(">HH", pdu[1:])
    table = Table(function)
    bits = table in (Table.COIL, Table.DISCRETE)
    if not 1 <= count <= (MAX_BITS if bits else min(MAX_REGISTERS, unit.max_read)):
        return refusal(function, ILLEGAL_VALUE)
    values = unit.read(table, start, count) if start + count <= 0x10000 else None
    if values is None:
        return refusal(function, ILLEGAL_ADDRESS)
    data = pack_bits(values) if bits else struct.pack(f">{count}H", *values)
    return bytes([function, len(data)]) + data


def _write(unit: Registers, function: int, pdu: bytes) -> bytes:
    values = _written(function, pdu)
    if values is None:
        return refusal(function, ILLEGAL_VALUE)
    start = int.from_bytes(pdu[1:3])
    if not unit.write(WRITES[function], start, values):
        return refusal(function, ILLEGAL_ADDRESS)
    return pdu[:5]


def _written(function: int, pdu: bytes) -> list[int] | None:
    """The values of a write request, None where the request contradicts itself."""
    if function in (5, 6):
        if len(pdu) != 5:
            return None
        value = int.from_bytes(pdu[3:5])
        if function == 6:
            return [value]
        return {0x0000: [0], 0xFF00: [1]}.get(value)
    if len(pdu) < 6:
        return None
    count, size = int.from_bytes(pdu[3:5]), pdu[5]
    data = pdu[6:]
    most, expected = (MAX_WRITE_BITS, (count + 7) // 8) if function == 15 else (MAX_WRITE_REGISTERS, 2 * count)
    if not 1 <= count <= most or size != expected or len(data) != size:
        return None
    if function == 15:
        return [data[i // 8] >> i % 8 & 1 for i in range(count)]
    return list(struct.unpack(f">{count}H", data))


def pack_bits(values: list[int]) -> bytes:
    """Bits in Modbus order: the first one is the lowest of the first byte, the rest is filled with zeros."""
    packed = sum((value & 1) << i for i, value in enumerate(values))
    return packed.to_bytes((len(values) + 7) // 8, "little")


def crc16(data: bytes) -> int:
    """The checksum of MODBUS over Serial Line V1.02, appendix B (polynomial 0xA001, start 0xFFFF)."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def rtu_frame(unit: int, pdu: bytes) -> bytes:
    """Address, PDU and checksum as they stand on a serial line."""
    body = bytes([unit]) + pdu
    return body + crc16(body).to_bytes(2, "little")


@dataclass(slots=True)
class Faults:
    """What is wrong with one unit's communication at the moment."""

    mute: bool = False
    garble: bool = False
    exception: int | None = None
    delay_s: float = 0.0


@dataclass
class Bus:
    """The units that share one wire, and their faults. ``connected`` False: the wire itself is broken."""

    units: Mapping[int, Registers]
    seed: int = 0
    faults: dict[int, Faults] = field(default_factory=dict)
    requests: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(f"{self.seed}/garble")

    def fault(self, unit: int) -> Faults:
        """The faults of ``unit``, to be read or set."""
        return self.faults.setdefault(unit, Faults())

    def reply(self, unit: int, pdu: bytes) -> bytes | None:
        """The PDU that ``unit`` would answer, None for silence."""
        self.requests += 1
        fault = self.faults.get(unit, NO_FAULT)
        device = self.units.get(unit)
        if device is None or fault.mute:
            return None
        if fault.exception is not None and pdu:
            return refusal(pdu[0], fault.exception)
        return answer(device, pdu)

    def delay(self, unit: int) -> float:
        """Seconds that ``unit`` takes on top of its usual time."""
        return self.faults.get(unit, NO_FAULT).delay_s

    def garbles(self, unit: int) -> bool:
        """Whether the answers of ``unit`` are to be damaged."""
        return self.faults.get(unit, NO_FAULT).garble

    def damaged(self, frame: bytes) -> bytes:
        """``frame`` with one to three bits flipped: few enough that the checksum always tells."""
        flipped = int.from_bytes(frame)
        for position in self._random.sample(range(8 * len(frame)), self._random.randint(1, 3)):
            flipped ^= 1 << position
        return flipped.to_bytes(len(frame))


NO_FAULT = Faults()


class Endpoint:
    """A listening TCP socket that can be taken away and given back at the same port."""

    def __init__(self, bus: Bus, host: str, port: int) -> None:
        self.bus = bus
        self.host = host
        self.port = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Listen; ``port`` 0 becomes the port that the kernel chose. Does nothing when already open."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, self.host, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Refuse new clients and drop those that are connected."""
        if self._server is not None:
            self._server.close()
            for writer in tuple(self._writers):
                writer.transport.abort()
            await self._server.wait_closed()
            # Connections that are closing are closed in the loop's next turn.
            await asyncio.sleep(0)
            self._server = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._writers) >= MAX_CLIENTS:
            writer.close()
            return
        self._writers.add(writer)
        try:
            await self._serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client left, in the middle of a frame or not: nothing is owed to it
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


class TcpEndpoint(Endpoint):
    """Modbus TCP. Requests of one connection are answered in order; a broken header ends the connection."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            transaction, protocol, length, unit = struct.unpack(">HHHB", await reader.readexactly(7))
            if protocol != 0 or not 2 <= length <= 254:
                return
            pdu = await reader.readexactly(length - 1)
            if delay := self.bus.delay(unit):
                await asyncio.sleep(delay)
            reply = self.bus.reply(unit, pdu)
            if unit not in self.bus.units:
                reply = refusal(pdu[0], TARGET_SILENT)
            if reply is None:
                continue
            if self.bus.garbles(unit):
                # TCP protects the bits; what goes wrong in practice is an answer that contradicts itself.
                reply = reply[:1] + bytes([reply[1] ^ 0x41]) + reply[2:]
            writer.write(struct.pack(">HHHB", transaction, 0, len(reply) + 1, unit) + reply)
            await writer.drain()


class RtuLine:
    """Modbus RTU on any stream of bytes, at the pace of a serial line.

    Frames are told apart by silence, as the specification says. The bytes of a pty or socket arrive at once,
    therefore the time that they would have needed is waited for, both ways: ``baud`` with ten bits a byte
    (8N1). ``turnaround_s`` is what the device needs to think. A late answer still goes out, late.
    """

    CHUNK = 8

    def __init__(
        self, bus: Bus, write: Callable[[bytes], None], *, baud: int = 9600, turnaround_s: float = 0.003
    ) -> None:
        self.bus = bus
        self._write = write
        self._byte_s = 10 / baud
        self._silence_s = max(3.5 * self._byte_s, 0.00175)
        self._turnaround_s = turnaround_s
        self._buffer = bytearray()
        self._arrived = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._replies: set[asyncio.Task[None]] = set()
        self._talking = asyncio.Lock()

    def feed(self, data: bytes) -> None:
        """Bytes from the master."""
        loop = asyncio.get_running_loop()
        self._arrived = max(self._arrived, loop.time()) + len(data) * self._byte_s
        if len(self._buffer) <= 256:
            self._buffer += data
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(self._arrived + self._silence_s, self._frame)

    def close(self) -> None:
        """Stop: nothing that is under way will be answered."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._replies:
            task.cancel()

    def _frame(self) -> None:
        frame, self._timer = bytes(self._buffer), None
        self._buffer.clear()
        if not 4 <= len(frame) <= 256 or crc16(frame[:-2]) != int.from_bytes(frame[-2:], "little"):
            return
        unit, pdu = frame[0], frame[1:-2]
        reply = self.bus.reply(unit, pdu)
        if reply is None:
            return
        out = rtu_frame(unit, reply)
        if self.bus.garbles(unit):
            out = self.bus.damaged(out)
        task = asyncio.get_running_loop().create_task(self._answer(out, self._turnaround_s + self.bus.delay(unit)))
        self._replies.add(task)
        task.add_done_callback(self._replies.discard)

    async def _answer(self, frame: bytes, after_s: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(after_s)
        async with self._talking:
            due = loop.time()
            for start in range(0, len(frame), self.CHUNK):
                chunk = frame[start : start + self.CHUNK]
                due += len(chunk) * self._byte_s
                await asyncio.sleep(max(0.0, due - loop.time()))
                self._write(chunk)


class RtuEndpoint(Endpoint):
    """RTU frames over TCP, as simple serial device servers carry them."""

    def __init__(self, bus: Bus, host: str, port: int, *, baud: int = 9600) -> None:
        super().__init__(bus, host, port)
        self.baud = baud

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = RtuLine(self.bus, writer.write, baud=self.baud)
        try:
            while data := await reader.read(256):
                line.feed(data)
        finally:
            line.close()
