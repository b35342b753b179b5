"""The log of a Combustion probe: messages, what is believed of them, and a download over a real D-Bus."""

from binascii import crc_hqx

import pytest
from bluez_standin import StandIn
from gatt_standin import Char, peripheral
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_interfaces.ble.gatt.central import Central
from firmware_interfaces.ble.logs.combustion import (
    LOGS,
    SESSION,
    STATUS,
    CombustionLog,
    Message,
    frames_of,
    request,
    temperatures,
)
from firmware_interfaces.ble.logs.nordic import NOTIFY, SERVICE, WRITE
from firmware_interfaces.ble.logs.nouns import Download, NoLog
from firmware_interfaces.errors import BadFrame

PROBE = "C0:FF:EE:00:00:01"
RAW = bytes.fromhex("8900da00d70d073305d518741a")
VALUES = [-13.15, 67.2, 258.4, 160.55, 225.6, 114.5, 189.75, 22.3]
PERIOD_MS = 1000


def answer(type_: int, payload: bytes, *, success: int = 1) -> bytes:
    body = bytes((type_, success, len(payload))) + payload
    return b"\xca\xfe" + crc_hqx(body, 0xFFFF).to_bytes(2, "little") + body


def record(number: int, raw: bytes = RAW) -> bytes:
    return answer(LOGS, number.to_bytes(4, "little") + raw + bytes(7))


class TestMessages:
    def test_a_request(self) -> None:
        asked = request(LOGS, (5).to_bytes(4, "little") + (9).to_bytes(4, "little"))
        assert asked[:2].hex() == "cafe"
        assert asked[4:].hex() == "0408" + "05000000" + "09000000"
        assert asked[2:4] == crc_hqx(asked[4:], 0xFFFF).to_bytes(2, "little")

    def test_messages_in_pieces_and_together(self) -> None:
        stream, found, buffer = record(1) + record(2) + record(3), [], bytearray()
        for at in range(0, len(stream), 20):
            buffer += stream[at : at + 20]
            found += list(frames_of(buffer))
        assert [message.payload[0] for message in found if isinstance(message, Message)] == [1, 2, 3]

    def test_a_damaged_one_does_not_cost_the_next(self) -> None:
        broken = bytearray(record(1))
        broken[10] ^= 1
        buffer = bytearray(b"noise" + bytes(broken) + record(2))
        found = list(frames_of(buffer))
        assert [message.payload[0] for message in found if isinstance(message, Message)] == [2]
        assert any(isinstance(message, BadFrame) for message in found)

    @settings(deadline=None)
    @given(st.lists(st.binary(max_size=40), max_size=10))
    def test_any_bytes(self, pieces: list[bytes]) -> None:
        buffer = bytearray()
        for piece in pieces:
            buffer += piece
            assert all(isinstance(message, Message | BadFrame) for message in frames_of(buffer))
            assert len(buffer) < 300

    def test_temperatures_of_the_makers_own_frame(self) -> None:
        assert list(temperatures(RAW).values()) == VALUES
        assert temperatures(bytes(13)) == {}, "what does not measure reads 0, which is not -20 degC"


def probe_at(standin: StandIn, numbers: list[int], *, newest: int = 500, frames: list[bytes] | None = None) -> Char:
    """A probe whose log has these numbers, or sends these frames."""
    out = Char(NOTIFY, flags=("notify",))

    def asked(data: bytes) -> None:
        if data[4] == SESSION:
            out.send(answer(SESSION, b"\x01\x02\x03\x04" + PERIOD_MS.to_bytes(2, "little")))
        elif data[4] == LOGS:
            first = int.from_bytes(data[6:10], "little")
            for frame in frames if frames is not None else [record(n) for n in numbers if n >= first]:
                out.send(frame)

    status = Char(STATUS, (100).to_bytes(4, "little") + newest.to_bytes(4, "little") + bytes(36))
    inward = Char(WRITE, flags=("write",), on_write=asked)
    peripheral(standin, PROBE, {SERVICE: [out, inward], STATUS.replace("101-", "100-"): [status]})
    standin.adapters["hci0"].discovering = 1
    assert standin.heard(PROBE)
    return inward


async def download(oldest_s: float = 60.0) -> Download:
    central = Central()
    try:
        async with central.linked(PROBE, wait_s=10.0, connect_s=10.0) as link:
            return await CombustionLog().read(link, oldest_s, lambda: 1000.0)
    finally:
        central.close()


class TestDownload:
    async def test_age_is_reckoned_from_the_newest_number(self, bluez: StandIn) -> None:
        inward = probe_at(bluez, list(range(450, 501)))
        found = await download(10.0)
        assert inward.written[-1][6:10] == (490).to_bytes(4, "little"), "only what is wanted is asked for"
        assert found.whole
        assert [kept.age_ms for kept in found.kept] == [1000 * n for n in range(10, -1, -1)]
        assert list(found.kept[0].values.values()) == VALUES
        assert found.kept[0].error_ms == PERIOD_MS + round(10_000 * 1e-4)

    async def test_repeats_contradictions_and_what_was_not_asked_for(self, bluez: StandIn) -> None:
        other = record(496, bytes.fromhex("9900da00d70d073305d518741a"))
        frames = [record(495), record(495), record(496), other, record(3), record(497), record(500)]
        probe_at(bluez, [], frames=frames)
        found = await download(10.0)
        assert [kept.age_ms for kept in found.kept] == [5000, 3000, 0]
        assert found.dropped == {"repeated": 1, "contradicts another of its time": 2, "not asked for": 1}

    async def test_a_refusal(self, bluez: StandIn) -> None:
        probe_at(bluez, [], frames=[answer(LOGS, b"", success=0)])
        with pytest.raises(NoLog, match="refuses"):
            await download()

    async def test_another_device(self, bluez: StandIn) -> None:
        peripheral(bluez, PROBE, {})
        bluez.adapters["hci0"].discovering = 1
        assert bluez.heard(PROBE)
        with pytest.raises(NoLog, match="no probe status"):
            await download()
