"""The simulated devices' server answers as the Modbus specifications say, to bytes and to libmodbus."""

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from demo_tools import needs, until
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.modbus_server import (
    Bus,
    CellError,
    Registers,
    RtuEndpoint,
    RtuLine,
    Table,
    TcpEndpoint,
    answer,
    crc16,
    rtu_frame,
)
from gateway.demo.serial_port import PtyPort


def device(**options: object) -> Registers:
    return Registers(
        {
            Table.HOLDING: {0: 219, 1: 0xFF90, 2: 0x8000, 10: lambda: 7},
            Table.INPUT: {i: i * 2 for i in range(200)},
            Table.DISCRETE: dict(enumerate([1, 0, 1, 1, 0, 0, 0, 1, 1, 0])),
            Table.COIL: {5: 1},
        },
        **options,  # type: ignore[arg-type]
    )


def test_published_frames_of_r4dcb08_are_reproduced_byte_for_byte() -> None:
    """Source: chmelat/r4dcb08, protocol document, examples 21.9 and -11.2 degrees."""
    for request, reply in [("010300000001840a", "01030200dbf81f"), ("010300010001d5ca", "010302ff90f9d8")]:
        asked = bytes.fromhex(request)
        assert crc16(asked[:-2]) == int.from_bytes(asked[-2:], "little")
        assert rtu_frame(1, answer(device(), asked[1:-2])) == bytes.fromhex(reply)


@pytest.mark.parametrize(
    ("request_pdu", "reply"),
    [
        ("0300000003", "030600dbff908000"),
        ("03000a0001", "03020007"),
        ("040000007d", None),
        ("0200000008", "02018d"),
        ("020000000a", "02028d01"),
        ("0100050001", "010101"),
        ("0300000004", "8302"),
        ("0300030001", "8302"),
        ("03ffff0002", "8302"),
        ("0300000000", "8303"),
        ("040000007e", "8403"),
        ("0200000000", "8203"),
        ("02000007d1", "8203"),
        ("030000", "8303"),
        ("030000000100", "8303"),
        ("050005ff00", "8501"),
        ("0600000001", "8601"),
        ("0f0005000101ff", "8f01"),
        ("1000000001020001", "9001"),
        ("2b0e0100", "ab01"),
        ("16000000f20025", "9601"),
        ("", "8001"),
    ],
)
def test_requests_and_exceptions(request_pdu: str, reply: str | None) -> None:
    got = answer(device(), bytes.fromhex(request_pdu))
    expected = bytes.fromhex(reply) if reply is not None else b"\x04\xfa" + struct.pack(">125H", *range(0, 250, 2))
    assert got == expected


def test_a_device_with_only_some_functions_refuses_the_others() -> None:
    only_holding = Registers({Table.HOLDING: {0: 1}}, max_read=15)
    assert answer(only_holding, bytes.fromhex("0400000001")) == bytes.fromhex("8401")
    assert answer(only_holding, bytes.fromhex("0300000010")) == bytes.fromhex("8303")


def test_a_cell_that_cannot_be_read_becomes_its_exception() -> None:
    def broken() -> int:
        raise CellError(4)

    assert answer(Registers({Table.INPUT: {1: broken}}), bytes.fromhex("0400010001")) == bytes.fromhex("8404")


@pytest.mark.parametrize(
    ("request_pdu", "reply"),
    [
        ("06000a0005", "06000a0005"),
        ("0600000005", "8602"),
        ("10000a0001020009", "10000a0001"),
        ("10000a0002020009", "9003"),
        ("10000a00010200", "9003"),
        ("1000090002040009000a", "9002"),
        ("050005ff00", "050005ff00"),
        ("05000500ff", "8503"),
        ("0f0005000101ff", "0f00050001"),
        ("0f0005000201ff", "8f02"),
        ("0f", "8f03"),
    ],
)
def test_writes_reach_only_what_the_unit_allows(request_pdu: str, reply: str) -> None:
    unit = device(writable=[(Table.HOLDING, 10), (Table.COIL, 5)])
    assert answer(unit, bytes.fromhex(request_pdu)) == bytes.fromhex(reply)


def test_a_written_register_reads_back() -> None:
    unit = device(writable=[(Table.HOLDING, 10)])
    answer(unit, bytes.fromhex("06000a1234"))
    assert answer(unit, bytes.fromhex("03000a0001")) == bytes.fromhex("03021234")


@given(st.binary(max_size=260))
def test_any_bytes_get_an_answer_of_legal_length(pdu: bytes) -> None:
    for unit in (device(), device(writable=[(Table.HOLDING, 10), (Table.COIL, 5)])):
        reply = answer(unit, pdu)
        assert 2 <= len(reply) <= 253
        assert reply[0] & 0x7F == (pdu[0] & 0x7F if pdu else 0)


@given(st.binary(min_size=5, max_size=64), st.integers(0, 2**32))
def test_damage_is_always_seen_by_the_checksum(body: bytes, seed: int) -> None:
    frame = body + crc16(body).to_bytes(2, "little")
    hurt = Bus({}, seed=seed).damaged(frame)
    assert hurt != frame
    assert crc16(hurt[:-2]) != int.from_bytes(hurt[-2:], "little")


@pytest.fixture
async def bus() -> Bus:
    return Bus({1: device(), 2: device()})


@pytest.fixture
async def tcp(bus: Bus) -> AsyncIterator[TcpEndpoint]:
    endpoint = TcpEndpoint(bus, "127.0.0.1", 0)
    await endpoint.open()
    yield endpoint
    await endpoint.close()


@pytest.fixture
async def port(bus: Bus, tmp_path: Path) -> AsyncIterator[PtyPort]:
    line = PtyPort(bus, tmp_path / "line", baud=9600)
    await line.open()
    yield line
    await line.close()


async def mbpoll(*words: str) -> tuple[int, str]:
    """The independent master (libmodbus); one poll, half a second of patience."""
    process = await asyncio.create_subprocess_exec(
        "mbpoll",
        "-1",
        "-q",
        "-0",
        "-o",
        "0.5",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


RTU = ("-m", "rtu", "-b", "9600", "-P", "none", "-d", "8", "-s", "1")


@needs("mbpoll")
async def test_libmodbus_reads_over_tcp(tcp: TcpEndpoint) -> None:
    code, out = await mbpoll(
        "-m", "tcp", "-p", str(tcp.port), "-a", "2", "-t", "4", "-r", "0", "-c", "3", "127.0.0.1"
    )
    assert code == 0, out
    assert "[0]: \t219" in out
    assert "[1]: \t65424 (-112)" in out
    code, out = await mbpoll("-m", "tcp", "-p", str(tcp.port), "-t", "1", "-r", "0", "-c", "10", "127.0.0.1")
    assert code == 0, out
    assert [line.split()[-1] for line in out.splitlines() if line.startswith("[")] == list("1011000110")


@needs("mbpoll")
async def test_libmodbus_reads_over_rtu(port: PtyPort) -> None:
    for table, row in (("4", "[1]: \t65424 (-112)"), ("3", "[1]: \t2"), ("1", "[1]: \t0")):
        code, out = await mbpoll(*RTU, "-a", "1", "-t", table, "-r", "0", "-c", "3", str(port.path))
        assert code == 0, out
        assert row in out


@needs("mbpoll")
async def test_libmodbus_sees_exceptions_and_silence(tcp: TcpEndpoint, port: PtyPort, bus: Bus) -> None:
    over_tcp = ("-m", "tcp", "-p", str(tcp.port), "-t", "4", "-r", "3", "127.0.0.1")
    over_rtu = (*RTU, "-t", "4", "-r", "3", str(port.path))
    for way in (over_tcp, over_rtu):
        _, out = await mbpoll(*way)
        assert "Illegal data address" in out
    bus.fault(1).mute = True
    for way in (over_tcp, over_rtu):
        _, out = await mbpoll(*way)
        assert "timed out" in out
    bus.fault(1).mute = False
    bus.fault(1).garble = True
    _, out = await mbpoll(*RTU, "-t", "4", "-r", "0", str(port.path))
    assert "CRC" in out or "timed out" in out or "Invalid" in out


@needs("mbpoll")
async def test_a_master_at_the_wrong_speed_is_not_understood(port: PtyPort, bus: Bus) -> None:
    _, out = await mbpoll("-m", "rtu", "-b", "19200", "-P", "none", "-t", "4", "-r", "0", str(port.path))
    assert "timed out" in out
    assert bus.requests == 0


async def exchange(endpoint: TcpEndpoint | RtuEndpoint, sent: bytes, expect: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
    try:
        writer.write(sent)
        return await asyncio.wait_for(reader.readexactly(expect), 5)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_requests_sent_at_once_are_answered_in_order(tcp: TcpEndpoint) -> None:
    asked = b"".join(struct.pack(">HHHB", number, 0, 6, 1) + bytes.fromhex("03000a0001") for number in (7, 8, 9))
    got = await exchange(tcp, asked, 33)
    assert [got[i : i + 2] for i in (0, 11, 22)] == [b"\0\7", b"\0\10", b"\0\11"]


async def test_a_unit_that_does_not_exist_is_silent_behind_the_tcp_gateway(tcp: TcpEndpoint) -> None:
    got = await exchange(tcp, struct.pack(">HHHB", 1, 0, 6, 99) + bytes.fromhex("03000a0001"), 9)
    assert got[-2:] == b"\x83\x0b"


@pytest.mark.parametrize("header", ["0001000100060103", "00010000000101", "0001000000ff0103", "00010000ffff0103"])
async def test_a_broken_header_ends_the_connection(tcp: TcpEndpoint, header: str) -> None:
    with pytest.raises(asyncio.IncompleteReadError) as seen:
        await exchange(tcp, bytes.fromhex(header) + bytes(300), 1)
    assert seen.value.partial == b""


async def test_rtu_over_tcp(bus: Bus) -> None:
    endpoint = RtuEndpoint(bus, "127.0.0.1", 0, baud=115200)
    await endpoint.open()
    got = await exchange(endpoint, rtu_frame(2, bytes.fromhex("0300000001")), 7)
    assert got == rtu_frame(2, bytes.fromhex("030200db"))
    await endpoint.close()


async def test_a_frame_takes_the_time_of_its_bytes(bus: Bus) -> None:
    """1200 baud: 8 bytes of request, 3.5 bytes of silence and 7 of answer are at least 154 ms."""
    loop = asyncio.get_running_loop()
    got = bytearray()
    line = RtuLine(bus, got.extend, baud=1200)
    begun = loop.time()
    line.feed(rtu_frame(1, bytes.fromhex("0300000001")))
    await until(lambda: len(got) == 7)
    assert loop.time() - begun >= 0.150
    line.close()


async def test_noise_before_a_frame_costs_that_frame_only(bus: Bus) -> None:
    got = bytearray()
    line = RtuLine(bus, got.extend, baud=115200)
    line.feed(b"\xff\x00" + rtu_frame(1, bytes.fromhex("0300000001")))
    await asyncio.sleep(0.03)
    assert bus.requests == 0
    line.feed(bytes(1000))
    await until(lambda: line._timer is None)
    line.feed(rtu_frame(1, bytes.fromhex("0300000001")))
    await until(lambda: len(got) == 7)
    line.close()


async def test_a_late_answer_comes_late(bus: Bus) -> None:
    loop = asyncio.get_running_loop()
    got = bytearray()
    line = RtuLine(bus, got.extend, baud=115200)
    bus.fault(1).delay_s = 0.2
    begun = loop.time()
    line.feed(rtu_frame(1, bytes.fromhex("0300000001")))
    await until(lambda: len(got) == 7)
    assert loop.time() - begun >= 0.2
    line.close()


@needs("mbpoll")
async def test_an_unplugged_port_comes_back(port: PtyPort, tcp: TcpEndpoint) -> None:
    where = tcp.port
    await port.close()
    await tcp.close()
    assert not port.path.exists()
    assert not port.path.is_symlink()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", where)
    await port.open()
    await tcp.open()
    assert tcp.port == where
    code, out = await mbpoll(*RTU, "-t", "4", "-r", "0", str(port.path))
    assert code == 0, out


async def test_a_file_in_the_way_is_not_overwritten(bus: Bus, tmp_path: Path) -> None:
    (tmp_path / "line").write_text("mine")
    with pytest.raises(FileExistsError):
        await PtyPort(bus, tmp_path / "line").open()
    assert (tmp_path / "line").read_text() == "mine"
