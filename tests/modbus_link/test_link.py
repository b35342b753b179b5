"""An answer is taken only when it is the answer to exactly this request."""

import asyncio
import socket
import struct
from typing import Any

import pytest
from pymodbus.framer import FramerRTU

from firmware_interfaces.errors import BadFrame, DeviceRefused, NoAnswer, NotConnected
from firmware_interfaces.modbus.device import ModbusDevice
from firmware_interfaces.modbus.model import load_model
from firmware_interfaces.modbus.rtu import RtuOverTcpLink
from firmware_interfaces.modbus.tcp import TcpLink

LIMIT = 5.0
SHORT = 0.05


def mbap(request: bytes, *, unit: int | None = None, transaction: int | None = None, pdu: bytes) -> bytes:
    number = int.from_bytes(request[:2], "big") if transaction is None else transaction
    return struct.pack(">HHHB", number, 0, len(pdu) + 1, request[6] if unit is None else unit) + pdu


def rtu(unit: int, pdu: bytes) -> bytes:
    body = bytes((unit,)) + pdu
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


@pytest.fixture
async def tcp(peer: Any) -> Any:
    link = TcpLink("127.0.0.1", peer.port)
    await link.open(LIMIT)
    yield link
    link.close()


@pytest.fixture
async def line(peer: Any) -> Any:
    link = RtuOverTcpLink("127.0.0.1", peer.port, limit_s=SHORT)
    await link.open(LIMIT)
    yield link
    link.close()


@pytest.mark.parametrize("kind", [TcpLink, lambda *place: RtuOverTcpLink(*place, limit_s=SHORT)])
class TestConnection:
    async def test_the_late_end_of_a_connection_that_was_given_up_leaves_its_successor_alone(
        self, peer: Any, kind: Any
    ) -> None:
        link = kind("127.0.0.1", peer.port)
        await link.open(LIMIT)
        old = link.connection
        await link.open(LIMIT)
        asking = asyncio.create_task(link.read(1, 3, 0, 1, 0.2))
        await asyncio.sleep(0)
        old.connection_lost(None)
        assert link.connected
        with pytest.raises(NoAnswer):
            await asking
        link.close()

    async def test_a_peer_that_vanishes_without_a_word_is_given_up_in_seconds(self, peer: Any, kind: Any) -> None:
        """What the kernel is told to do; only a cut cable could show it at work."""
        link = kind("127.0.0.1", peer.port)
        await link.open(LIMIT)
        line = link._transport.get_extra_info("socket")
        assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
        assert line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15
        link.close()


class TestTcp:
    async def test_registers_come_as_they_were_on_the_wire(self, tcp: TcpLink, peer: Any) -> None:
        peer.script = lambda request: mbap(request, pdu=bytes.fromhex("0304ff9200eb"))
        assert await tcp.read(1, 3, 0x10, 2, LIMIT) == bytes.fromhex("ff9200eb")
        assert peer.requests == [bytes.fromhex("0001 0000 0006 01 03 0010 0002")]

    @pytest.mark.parametrize("cut", range(1, 13))
    async def test_an_answer_in_two_pieces_is_one_answer(self, tcp: TcpLink, peer: Any, cut: int) -> None:
        def script(request: bytes) -> bytes:
            whole = mbap(request, pdu=bytes.fromhex("0304ff9200eb"))
            asyncio.get_running_loop().call_later(0.005, peer.send, whole[cut:])
            return whole[:cut]

        peer.script = script
        assert await tcp.read(1, 3, 0, 2, LIMIT) == bytes.fromhex("ff9200eb")

    async def test_an_exception_is_never_a_number(self, tcp: TcpLink, peer: Any) -> None:
        peer.script = lambda request: mbap(request, pdu=b"\x83\x06")
        with pytest.raises(DeviceRefused, match="busy") as refused:
            await tcp.read(1, 3, 0, 1, LIMIT)
        assert refused.value.code == 6

    async def test_silence_ends_at_the_time_limit(self, tcp: TcpLink) -> None:
        with pytest.raises(NoAnswer):
            await tcp.read(1, 3, 0, 1, SHORT)
        assert tcp.connected

    async def test_a_late_answer_is_dropped_and_reported(self, tcp: TcpLink, peer: Any) -> None:
        late: list[tuple[int, float]] = []
        tcp.on_late = lambda unit, took: late.append((unit, took))
        with pytest.raises(NoAnswer):
            await tcp.read(1, 3, 0, 1, SHORT)
        first = peer.requests[0]
        peer.script = lambda request: mbap(first, pdu=b"\x03\x02\x00\x11") + mbap(request, pdu=b"\x03\x02\x00\x22")
        assert await tcp.read(1, 3, 0, 1, LIMIT) == b"\x00\x22"
        assert [unit for unit, _ in late] == [1]
        assert tcp.stats.late_answers == 1

    async def test_another_unit_does_not_answer_for_the_one_asked(self, tcp: TcpLink, peer: Any) -> None:
        peer.script = lambda request: mbap(request, unit=49, pdu=b"\x03\x02\x00\x11")
        with pytest.raises(BadFrame, match="unit 49 answers for unit 1"):
            await tcp.read(1, 3, 0, 1, LIMIT)

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (b"\x04\x02\x00\x11", "function 4 answers 3"),
            (b"\x03\x04\x00\x11\x00\x12", "4 data bytes where 2"),
            (b"\x03\x02\x00", "1 data bytes where 2"),
            (b"\x03\x01\x00\x11", "where 2"),
        ],
    )
    async def test_an_answer_of_the_wrong_shape_is_refused(
        self, tcp: TcpLink, peer: Any, answer: bytes, words: str
    ) -> None:
        peer.script = lambda request: mbap(request, pdu=answer)
        with pytest.raises(BadFrame, match=words):
            await tcp.read(1, 3, 0, 1, LIMIT)

    async def test_what_is_not_modbus_ends_the_connection(self, tcp: TcpLink, peer: Any) -> None:
        peer.script = lambda request: b"HTTP/1.1 400 Bad Request\r\n\r\n"
        with pytest.raises(BadFrame, match="not a Modbus TCP frame"):
            await tcp.read(1, 3, 0, 1, LIMIT)
        assert not tcp.connected

    async def test_a_lost_connection_fails_the_pending_request(self, tcp: TcpLink, peer: Any) -> None:
        asyncio.get_running_loop().call_later(0.02, peer.hang_up)
        with pytest.raises(NotConnected):
            await tcp.read(1, 3, 0, 1, LIMIT)
        with pytest.raises(NotConnected):
            await tcp.read(1, 3, 0, 1, LIMIT)
        await tcp.open(LIMIT)
        peer.script = lambda request: mbap(request, pdu=b"\x03\x02\x00\x22")
        assert await tcp.read(1, 3, 0, 1, LIMIT) == b"\x00\x22"

    async def test_nobody_there(self, unused_tcp_port: int) -> None:
        with pytest.raises(NotConnected, match=r"127\.0\.0\.1"):
            await TcpLink("127.0.0.1", unused_tcp_port).open(LIMIT)

    async def test_the_last_frames_are_kept(self, tcp: TcpLink, peer: Any) -> None:
        peer.script = lambda request: mbap(request, pdu=b"\x03\x02\x00\x22")
        await tcp.read(1, 3, 0, 1, LIMIT)
        assert [(frame.sent, frame.data.hex()) for frame in tcp.frames] == [
            (True, "000100000006010300000001"),
            (False, "00010000000501" + "03020022"),
        ]


class TestRtu:
    async def test_a_read_and_its_checksum(self, line: RtuOverTcpLink, peer: Any) -> None:
        # Request and answer as published for the R4DCB08 (channel 1, 21.9 degrees Celsius).
        peer.script = lambda request: bytes.fromhex("01030200DBF81F")
        assert await line.read(1, 3, 0, 1, LIMIT) == b"\x00\xdb"
        assert peer.requests == [bytes.fromhex("010300000001840A")]

    async def test_a_wrong_checksum_is_a_bad_frame_with_its_bytes(self, line: RtuOverTcpLink, peer: Any) -> None:
        peer.script = lambda request: bytes.fromhex("01030200DAF81F")
        with pytest.raises(BadFrame, match="checksum") as bad:
            await line.read(1, 3, 0, 1, LIMIT)
        assert bad.value.raw == bytes.fromhex("01030200DAF81F")

    async def test_an_answer_that_breaks_off(self, line: RtuOverTcpLink, peer: Any) -> None:
        peer.script = lambda request: rtu(1, b"\x03\x02\x00\x11")[:-3]
        with pytest.raises(BadFrame, match="broke off"):
            await line.read(1, 3, 0, 1, SHORT)

    async def test_the_late_answer_of_one_unit_is_not_the_next_units_value(
        self, line: RtuOverTcpLink, peer: Any
    ) -> None:
        with pytest.raises(NoAnswer):
            await line.read(1, 3, 0, 1, SHORT)
        peer.script = lambda request: rtu(1, b"\x03\x02\x00\x11") + rtu(2, b"\x03\x02\x00\x22")
        assert await line.read(2, 3, 0, 1, LIMIT) == b"\x00\x22"
        assert line.stats.late_answers == 1

    async def test_a_unit_that_timed_out_rests_until_its_late_answer_cannot_come(
        self, line: RtuOverTcpLink, peer: Any
    ) -> None:
        asked = line.time()
        with pytest.raises(NoAnswer):
            await line.read(1, 3, 0, 1, SHORT)
        assert line.ready_at(1) >= asked + 2 * SHORT
        assert line.ready_at(2) == 0.0
        peer.script = lambda request: rtu(1, b"\x03\x02\x00\x11") + rtu(2, b"\x03\x02\x00\x22")
        await line.read(2, 3, 0, 1, LIMIT)
        assert line.ready_at(1) == 0.0, "its late answer was seen: it may be asked again"

    async def test_a_late_block_is_not_taken_for_a_probe(self, line: RtuOverTcpLink, peer: Any) -> None:
        peer.script = lambda request: rtu(1, b"\x03\x04\x00\x11\x00\x12")
        with pytest.raises(BadFrame, match="4 data bytes where 2"):
            await line.read(1, 3, 0, 1, LIMIT)

    async def test_noise_between_two_requests_is_thrown_away(self, line: RtuOverTcpLink, peer: Any) -> None:
        peer.script = lambda request: rtu(1, b"\x03\x02\x00\x11") + b"\x00\xff"
        assert await line.read(1, 3, 0, 1, LIMIT) == b"\x00\x11"
        assert await line.read(1, 3, 0, 1, LIMIT) == b"\x00\x11"

    async def test_an_exception_frame(self, line: RtuOverTcpLink, peer: Any) -> None:
        peer.script = lambda request: rtu(1, b"\x83\x02")
        with pytest.raises(DeviceRefused, match="illegal data address"):
            await line.read(1, 3, 0, 1, LIMIT)

    async def test_silence_between_frames(self, peer: Any) -> None:
        link = RtuOverTcpLink("127.0.0.1", peer.port, gap_s=0.03)
        await link.open(LIMIT)
        peer.script = lambda request: rtu(1, b"\x03\x02\x00\x11")
        await link.read(1, 3, 0, 1, LIMIT)
        await link.read(1, 3, 0, 1, LIMIT)
        first, second = (frame.at for frame in link.frames if not frame.sent)
        sent = [frame.at for frame in link.frames if frame.sent]
        assert sent[1] - first >= 0.03
        assert second > sent[1]
        link.close()

    async def test_a_connection_that_is_lost_in_the_silence_before_a_request(self, peer: Any) -> None:
        link = RtuOverTcpLink("127.0.0.1", peer.port, gap_s=0.1)
        await link.open(LIMIT)
        peer.script = lambda request: rtu(1, b"\x03\x02\x00\x11")
        await link.read(1, 3, 0, 1, LIMIT)
        asyncio.get_running_loop().call_later(0.02, peer.hang_up)
        with pytest.raises(NotConnected, match="silent"):
            await link.read(1, 3, 0, 1, LIMIT)

    async def test_a_device_that_wakes_and_answers_twice_is_out_of_step(
        self, line: RtuOverTcpLink, peer: Any
    ) -> None:
        """Single-register reads all look alike: the second answer would be taken for the next register's."""
        device = ModbusDevice(line, 1, load_model("danfoss-ekc202d"), ("air", "s3"))
        with pytest.raises(NoAnswer):
            await device.poll(SHORT)
        with pytest.raises(NoAnswer, match="may still come"):
            await device.probe(SHORT)
        await asyncio.sleep(line.ready_at(1) - line.time())
        late, timely = rtu(1, b"\x03\x02\x00\x11"), rtu(1, b"\x03\x02\x00\x22")
        peer.script = lambda request: late + timely
        with pytest.raises(BadFrame, match="out of step"):
            await device.probe(SHORT)
        peer.script = lambda request: timely
        await device.probe(SHORT)
        assert set((await device.poll(LIMIT)).blocks) == {b"\x00\x22"}

    async def test_a_byte_of_noise_before_the_frame_does_no_harm(self, line: RtuOverTcpLink, peer: Any) -> None:
        peer.script = lambda request: b"\x00" + rtu(1, b"\x03\x02\x00\x11")
        assert await line.read(1, 3, 0, 1, LIMIT) == b"\x00\x11"
