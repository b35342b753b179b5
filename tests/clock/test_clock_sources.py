"""What the kernel, chronyd and systemd-timesyncd are asked, and what is made of their answers."""

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock_sources import (
    UNSYNCHRONISED_US,
    KernelSource,
    ask_chrony,
    ask_timesyncd,
    kernel_error_us,
    parse_ntp_message,
    parse_tracking,
    tracking_request,
)

CHRONY_ANSWER = bytes.fromhex(
    "06020000002100050000000000000000308fe4a600000000000000007f0000017f000001000000000000000000000000"
    "0001000000090000000000006b04d25c068d16a8df6f5739d4be22ebd890521bfd772abff28542f3feb7b16be0f127dc"
    "dea1ff49048075e1"
)
"""Answer of chronyd 4.3 (Debian 12) to a tracking request; chronyc(1) showed 2.2 us of offset, 2.3 us of root
dispersion and 7.2 us of root delay in that second."""

SEQUENCE = 0x308FE4A6

NTP_MESSAGE = [
    0,
    4,
    4,
    2,
    -20,
    15_000,
    20_000,
    b"\x7f\0\0\1",
    1_000_000,
    1_021_000,
    1_021_500,
    1_040_500,
    False,
    3,
    9,
]
"""Root delay 15 ms, root dispersion 20 ms, round trip 40.5 - 0.5 = 40 ms: 7.5 + 20 + 20 ms."""


# The kernel ------------------------------------------------------------------------------------------------------


def test_the_kernel_answers_without_privilege() -> None:
    bound_us, left_us = kernel_error_us()
    assert 0 <= bound_us <= UNSYNCHRONISED_US
    assert left_us >= 0


def test_a_reading_belongs_together() -> None:
    source = KernelSource()
    before = source.boot_ns()
    reading = source.read()
    assert before <= reading.boot_ns <= source.boot_ns()
    assert reading.monotonic_ns <= source.monotonic_ns()
    assert abs(reading.real_ns - reading.boot_ns - (time.time_ns() - source.boot_ns())) < 1_000_000_000


# Which daemon ----------------------------------------------------------------------------------------------------


def process(proc: Path, pid: int, name: str) -> None:
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "comm").write_text(name + "\n")


@pytest.mark.parametrize(
    ("names", "keeper"),
    [
        ([], None),
        (["bash", "ntpd"], None),
        (["bash", "systemd-timesyn"], "timesyncd"),
        (["chronyd", "chronyd"], "chrony"),
        (["systemd-timesyn", "chronyd"], "chrony"),
    ],
)
def test_the_daemon_is_known_by_its_process(tmp_path: Path, names: list[str], keeper: str | None) -> None:
    (tmp_path / "self").mkdir()
    for pid, name in enumerate(names, 100):
        process(tmp_path, pid, name)
    assert KernelSource(tmp_path).read().keeper == keeper


def test_a_daemon_that_ends_is_noticed_at_the_next_reading(tmp_path: Path) -> None:
    process(tmp_path, 7, "chronyd")
    source = KernelSource(tmp_path)
    assert source.read().keeper == "chrony"
    shutil.rmtree(tmp_path / "7")
    assert source.read().keeper is None


@pytest.mark.parametrize(
    ("line", "keeper"), [("0100007F:0143", "chrony"), ("00000000:0143", None), ("0100007F:0035", None)]
)
def test_a_hidden_chronyd_is_known_by_its_command_port(tmp_path: Path, line: str, keeper: str | None) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/udp").write_text(f"  sl  local_address rem_address   st\n  1: {line} 00000000:0000 07\n")
    assert KernelSource(tmp_path).read().keeper == keeper


# chronyd ---------------------------------------------------------------------------------------------------------


def test_a_tracking_report_of_a_real_chronyd() -> None:
    assert parse_tracking(CHRONY_ANSWER, SEQUENCE) == pytest.approx(8.163e-6, abs=1e-9)


def test_the_request_is_as_long_as_the_answer() -> None:
    request = tracking_request(SEQUENCE)
    assert len(request) == len(CHRONY_ANSWER)
    assert request[:8] == bytes((6, 1, 0, 0, 0, 33, 0, 0))


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (b"", "0 bytes"),
        (CHRONY_ANSWER[:-1], "103 bytes"),
        (b"\x05" + CHRONY_ANSWER[1:], "another request"),
        (CHRONY_ANSWER[:16] + b"\0\0\0\1" + CHRONY_ANSWER[20:], "another request"),
        (CHRONY_ANSWER[:9] + b"\x02" + CHRONY_ANSWER[10:], "refused with status 2"),
        (CHRONY_ANSWER[:55] + b"\x03" + CHRONY_ANSWER[56:], "not synchronised"),
        (CHRONY_ANSWER[:-8] + b"\x7e" + CHRONY_ANSWER[-7:], "no sensible bound"),
    ],
)
def test_an_answer_that_cannot_be_used_is_refused(answer: bytes, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        parse_tracking(answer, SEQUENCE)


@given(
    st.binary(min_size=0, max_size=120)
    | st.binary(min_size=76, max_size=76).map(lambda tail: CHRONY_ANSWER[:28] + tail)
)
def test_any_answer_is_a_bound_or_a_named_fault(answer: bytes) -> None:
    with suppress(ValueError):
        assert 0 <= parse_tracking(answer, SEQUENCE) < 1e6


class Chronyd(asyncio.DatagramProtocol):
    """Answers each request with the recorded report, or not at all."""

    def __init__(self) -> None:
        self.asked = 0
        self.mute = False

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked += 1
        if not self.mute:
            self.transport.sendto(CHRONY_ANSWER[:16] + data[8:12] + CHRONY_ANSWER[20:], addr)


@asynccontextmanager
async def chronyd() -> AsyncIterator[tuple[Chronyd, int]]:
    loop = asyncio.get_running_loop()
    transport, daemon = await loop.create_datagram_endpoint(Chronyd, local_addr=("127.0.0.1", 0))
    try:
        yield daemon, transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


async def test_chronyd_is_asked_over_its_command_port() -> None:
    async with chronyd() as (_, port):
        assert await ask_chrony(port) == pytest.approx(8.163e-6, abs=1e-9)


async def test_nobody_on_the_command_port_is_an_error_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(OSError, match="refused"):
        await ask_chrony(port)


async def test_chronys_bound_is_asked_each_time_and_its_silence_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    process(tmp_path, 7, "chronyd")
    caplog.set_level("INFO", "gateway.clock_sources")
    async with chronyd() as (daemon, port):
        source = KernelSource(tmp_path, kernel_error_us=lambda: (1000, 0), chrony_port=port)
        assert source.read().distance_s is None
        await source.measure()
        assert source.read().distance_s == pytest.approx(8e-6, abs=1e-5)
        daemon.mute = True
        await source.measure()
        await source.measure()
        assert source.read().distance_s is None
        daemon.mute = False
        await source.measure()
        assert source.read().distance_s is not None
        assert daemon.asked == 4
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_nobody_is_asked_while_the_kernel_is_unsynchronised(tmp_path: Path) -> None:
    process(tmp_path, 7, "chronyd")
    async with chronyd() as (daemon, port):
        source = KernelSource(tmp_path, kernel_error_us=lambda: (UNSYNCHRONISED_US, 0), chrony_port=port)
        await source.measure()
        assert daemon.asked == 0


# systemd-timesyncd -----------------------------------------------------------------------------------------------


def test_distance_of_an_ntp_answer() -> None:
    assert parse_ntp_message(NTP_MESSAGE) == pytest.approx(0.0475)


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        (None, "no NTP message"),
        ([], "no NTP message"),
        (["x"] * 15, "no NTP message"),
        ([0] * 15, "no answer from a time server yet"),
        ([*NTP_MESSAGE[:11], 500_000, *NTP_MESSAGE[12:]], "round trip not known"),
        ([*NTP_MESSAGE[:11], 10**15, *NTP_MESSAGE[12:]], "round trip not known"),
    ],
)
def test_an_ntp_message_that_says_nothing_is_refused(fields: object, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        parse_ntp_message(fields)


@pytest.fixture
def system_bus(tmp_path: Path) -> Iterator[str]:
    daemon = shutil.which("dbus-daemon")
    if daemon is None:
        pytest.skip("dbus-daemon is not installed")
    config = tmp_path / "bus.conf"
    config.write_text(
        f"<busconfig><listen>unix:path={tmp_path}/bus</listen><policy context='default'>"
        "<allow send_destination='*' eavesdrop='true'/><allow eavesdrop='true'/><allow own='*'/>"
        "</policy></busconfig>"
    )
    with subprocess.Popen(
        [daemon, f"--config-file={config}", "--nofork", "--print-address=1"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


@asynccontextmanager
async def timesyncd(address: str) -> AsyncIterator[list[str]]:
    """Has the one property that matters; the list tells what was asked for."""
    asked: list[str] = []
    bus = await MessageBus(bus_address=address).connect()

    def answer(message: Message) -> Message | None:
        if message.message_type is not MessageType.METHOD_CALL or message.member != "Get":
            return None
        asked.append(message.body[1])
        return Message.new_method_return(message, "v", [Variant("(uuuuittayttttbtt)", NTP_MESSAGE)])

    bus.add_message_handler(answer)
    await bus.request_name("org.freedesktop.timesync1")
    try:
        yield asked
    finally:
        bus.disconnect()
        await bus.wait_for_disconnect()


async def test_timesyncd_is_asked_once_for_each_synchronisation(tmp_path: Path, system_bus: str) -> None:
    process(tmp_path / "proc", 7, "systemd-timesyn")
    bound_us = 1000
    async with timesyncd(system_bus) as asked:
        source = KernelSource(tmp_path / "proc", kernel_error_us=lambda: (bound_us, 0), bus_address=system_bus)
        await source.measure()
        await source.measure()
        assert asked == ["NTPMessage"]
        assert source.read().distance_s == pytest.approx(0.0475)
        bound_us = 100_000
        assert source.read().distance_s is None, "another synchronisation than the one that was measured"
        await source.measure()
        assert asked == ["NTPMessage"] * 2


async def test_no_timesyncd_on_the_bus(system_bus: str) -> None:
    with pytest.raises(OSError, match="not on the system bus"):
        await ask_timesyncd(system_bus)


async def test_no_bus_at_all(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"D-Bus|No such file"):
        await ask_timesyncd(f"unix:path={tmp_path}/none")
