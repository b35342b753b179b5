"""What the machine knows of time: the kernel's clocks, its error bound, and the daemon that keeps it right.

Only this module and `gateway.clock` read a clock. Sources: adjtimex(2) (``maxerror`` grows 500 us a second and
is 16 s when nothing disciplines the clock: Linux kernel/time/ntp.c), the tracking report of chronyd (command
protocol version 6, chrony's candm.h; open to local users without privilege, chronyd(8)), and the last answer
that systemd-timesyncd accepted (D-Bus property NTPMessage, org.freedesktop.timesync1(5)).
"""

import asyncio
import ctypes
import logging
import struct
import time
import uuid
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

__all__ = ["KernelSource", "Reading", "TimeSource", "boot_id", "boot_ns", "parse_ntp_message", "parse_tracking"]

Keeper = Literal["chrony", "timesyncd"]
"""The daemons whose discipline of the clock can be judged."""

DRIFT = 500e-6
"""How far an undisciplined clock may run off, as a share of the time passed (the kernel's own assumption)."""

log = logging.getLogger(__name__)


class Reading(NamedTuple):
    """The clocks of the machine at one instant, and what is known of the wall clock's error.

    ``max_error_us`` is the kernel's bound with the correction that it still has to work off; ``keeper`` the
    daemon that disciplines the clock (None: none known); ``distance_s`` that daemon's own bound on its
    reference at the same instant (None: not to be had).
    """

    boot_ns: int
    monotonic_ns: int
    real_ns: int
    max_error_us: int
    keeper: Keeper | None = None
    distance_s: float | None = None


class TimeSource(Protocol):
    """All that the clock takes from the machine; the tests put a simulated machine in its place."""

    boot_id: bytes

    def boot_ns(self) -> int:
        """CLOCK_BOOTTIME in nanoseconds: counts suspend, is never set."""
        ...

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC in nanoseconds: stands still in suspend."""
        ...

    def read(self) -> Reading:
        """One consistent reading of everything."""
        ...

    async def measure(self) -> None:
        """Ask the daemon for its own error bound, where the last answer does not hold any more."""
        ...


boot_ns: Callable[[], int] = partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)
"""Nanoseconds of CLOCK_BOOTTIME. Read several times for each scan, hence no function of Python."""


def boot_id() -> bytes:
    """The 16 bytes by which the kernel names this boot."""
    return uuid.UUID(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()).bytes


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2) on 64-bit Linux, 208 bytes."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("_rest", ctypes.c_char * 152),
    )


STA_NANO = 0x2000
UNSYNCHRONISED_US = 16_000_000


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def kernel_error_us() -> tuple[int, int]:
    """The kernel's error bound, and the size of the correction that it is still working off (adjtimex(2))."""
    timex = _Timex()
    if _libc().adjtimex(ctypes.byref(timex)) < 0:
        return UNSYNCHRONISED_US, 0
    left = abs(int(timex.offset))
    return int(timex.maxerror), -(-left // 1000) if timex.status & STA_NANO else left


class KernelSource:
    """The real machine. `read` costs microseconds and never waits; `measure` asks a daemon, at most 250 ms."""

    def __init__(
        self,
        proc: Path = Path("/proc"),
        *,
        kernel_error_us: Callable[[], tuple[int, int]] = kernel_error_us,
        bus_address: str | None = None,
        chrony_port: int = 323,
    ) -> None:
        self.boot_id = boot_id()
        self._kernel_error_us = kernel_error_us
        self._proc = proc
        self._run = proc.parent / "run"
        self._bus_address = bus_address
        self._chrony_port = chrony_port
        self._keeper: Keeper | None = None
        self._keeper_pid = 0
        self._looked_ns: int | None = None
        self._distance: _Distance | None = None
        self._silent = False

    boot_ns = staticmethod(boot_ns)

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC in nanoseconds."""
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    def read(self) -> Reading:
        """Clocks and error bound that belong together: a clock set while they are read means reading again."""
        while True:
            before = time.clock_gettime_ns(time.CLOCK_REALTIME) - boot_ns()
            kernel_us, left_us = self._kernel_error_us()
            boot = boot_ns()
            real = time.clock_gettime_ns(time.CLOCK_REALTIME)
            monotonic = self.monotonic_ns()
            # A task switch between two calls shows as well, and then the pair is no good either.
            if abs(real - boot - before) < 1_000_000 and boot_ns() - boot < 1_000_000:
                break
        keeper = self._find_keeper(boot)
        held = self._distance
        distance = held.at(boot, kernel_us) if held is not None and held.keeper == keeper else None
        return Reading(boot, monotonic, real, kernel_us + left_us, keeper, distance)

    async def measure(self) -> None:
        """Ask chronyd each time, timesyncd once per synchronisation; silence leaves the cautious bound."""
        now = boot_ns()
        keeper = self._find_keeper(now)
        error_us, _ = self._kernel_error_us()
        if keeper is None or error_us >= UNSYNCHRONISED_US:
            self._distance = None
            return
        held = self._distance
        if keeper == "timesyncd" and held and held.keeper == keeper and held.at(now, error_us) is not None:
            return
        try:
            async with asyncio.timeout(0.25):
                if keeper == "chrony":
                    seconds = await ask_chrony(self._chrony_port)
                else:
                    seconds = await ask_timesyncd(self._bus_address)
        except (OSError, TimeoutError, ValueError) as error:
            self._distance = None
            if not self._silent:
                why = str(error) or "no answer"
                log.warning("%s does not tell its error bound (%s): assuming the cautious one", keeper, why)
            self._silent = True
            return
        if self._silent:
            log.info("%s tells its error bound again", keeper)
        self._silent = False
        self._distance = _Distance(keeper, seconds, now, error_us)

    def _find_keeper(self, now_ns: int) -> Keeper | None:
        """The running daemon; the search through /proc is made again at most every 30 s."""
        if self._keeper_pid and self._name_of(self._keeper_pid) == _COMMS.get(self._keeper or "chrony"):
            return self._keeper
        if self._keeper_pid == 0 and self._looked_ns is not None and now_ns - self._looked_ns < 30_000_000_000:
            return self._keeper
        self._looked_ns = now_ns
        self._keeper, self._keeper_pid = self._search()
        return self._keeper

    def _name_of(self, pid: int) -> str:
        try:
            return (self._proc / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""

    def _search(self) -> tuple[Keeper | None, int]:
        found: dict[str, int] = {}
        for entry in self._proc.iterdir():
            if entry.name.isdigit():
                found.setdefault(self._name_of(int(entry.name)), int(entry.name))
        for keeper, comm in _COMMS.items():
            if comm in found:
                return keeper, found[comm]
        # A hardened unit may not see other processes; chronyd's command port and the folder that timesyncd has
        # while it runs (RuntimeDirectory= of its unit) are visible all the same.
        if self._listens(self._chrony_port):
            return "chrony", 0
        return ("timesyncd", 0) if (self._run / "systemd/timesync").is_dir() else (None, 0)

    def _listens(self, port: int) -> bool:
        try:
            lines = (self._proc / "net/udp").read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            return False
        return any(line.split()[1] == f"0100007F:{port:04X}" for line in lines)


_COMMS: dict[Keeper, str] = {"chrony": "chronyd", "timesyncd": "systemd-timesyn"}
"""Names of the daemons in /proc/<pid>/comm (at most 15 characters)."""


class _Distance(NamedTuple):
    """A daemon's bound, and the synchronisation that it belongs to."""

    keeper: Keeper
    seconds: float
    boot_ns: int
    error_us: int

    def at(self, now_ns: int, error_us: int) -> float | None:
        """The bound at a later instant; None when a new synchronisation has taken its place."""
        passed_s = (now_ns - self.boot_ns) / 1e9
        if self.keeper == "chrony":
            return self.seconds + DRIFT * passed_s if passed_s < 60 else None
        # timesyncd sets maxerror to 0 at each poll: less than grown since means that it has polled again.
        grown_us = self.error_us + 500 * passed_s
        return self.seconds if abs(error_us - grown_us) < 1_500 else None


# chronyd ---------------------------------------------------------------------------------------------------------

_REQUEST = struct.Struct(">BBBBHHIII")
_REPLY = struct.Struct(">BBBBHHHHHHIII")
_TRACKING = struct.Struct(">I20sHHIIIIIIIIIIII")
_ASK_TRACKING = 33
_ANSWER_TRACKING = 5
_UNSYNCHRONISED_LEAP = 3


def _chrony_float(word: int) -> float:
    """chrony's own 32-bit float: 7 bits of signed exponent, 25 bits of signed mantissa."""
    exponent = word >> 25
    mantissa = word & 0x1FFFFFF
    if exponent >= 1 << 6:
        exponent -= 1 << 7
    if mantissa >= 1 << 24:
        mantissa -= 1 << 25
    return float(mantissa) * 2.0 ** (exponent - 25)


def tracking_request(sequence: int) -> bytes:
    """The request for a tracking report, padded to the length of the answer as the protocol demands."""
    head = _REQUEST.pack(6, 1, 0, 0, _ASK_TRACKING, 0, sequence, 0, 0)
    return head.ljust(_REPLY.size + _TRACKING.size, b"\0")


def parse_tracking(data: bytes, sequence: int) -> float:
    """Seconds by which chronyd's system clock can be wrong: |offset left| + root dispersion + root delay / 2.

    The rule is chronyc(1)'s. Raises ValueError for an answer that is damaged, not ours, or of an
    unsynchronised chronyd.
    """
    if len(data) < _REPLY.size + _TRACKING.size:
        raise ValueError(f"answer of {len(data)} bytes")
    version, kind, _, _, command, reply, status, _, _, _, number, _, _ = _REPLY.unpack_from(data)
    if (version, kind, command, reply, number) != (6, 2, _ASK_TRACKING, _ANSWER_TRACKING, sequence):
        raise ValueError("answer to another request")
    if status != 0:
        raise ValueError(f"refused with status {status}")
    fields = _TRACKING.unpack_from(data, _REPLY.size)
    if fields[3] == _UNSYNCHRONISED_LEAP:
        raise ValueError("not synchronised")
    correction, delay, dispersion = (_chrony_float(fields[index]) for index in (7, 13, 14))
    seconds = abs(correction) + abs(dispersion) + abs(delay) / 2
    if not seconds < 1e6:
        raise ValueError("no sensible bound")
    return seconds


class _OneAnswer(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:  # noqa: ARG002
        if not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def ask_chrony(port: int = 323) -> float:
    """The error bound of the local chronyd in seconds; OSError or ValueError when it gives none."""
    sequence = time.clock_gettime_ns(time.CLOCK_MONOTONIC) & 0xFFFFFFFF
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(_OneAnswer, remote_addr=("127.0.0.1", port))
    try:
        transport.sendto(tracking_request(sequence))
        return parse_tracking(await protocol.answer, sequence)
    finally:
        transport.close()


# systemd-timesyncd -----------------------------------------------------------------------------------------------


def parse_ntp_message(fields: object) -> float:
    """Seconds by which an NTP answer can be wrong: root delay / 2 + root dispersion + round trip / 2.

    ``fields`` is the D-Bus structure ``(uuuuittayttttbtt)``; its times are microseconds.
    """
    if not isinstance(fields, list | tuple) or len(fields) < 12:
        raise ValueError("no NTP message")
    numbers = [fields[index] for index in (5, 6, 8, 9, 10, 11)]
    if not all(isinstance(number, int) for number in numbers):
        raise ValueError("no NTP message")
    delay, dispersion, originate, receive, transmit, destination = numbers
    if originate == 0:
        raise ValueError("no answer from a time server yet")
    trip = (destination - originate) - (transmit - receive)
    # timesyncd sets the clock between the two readings when it steps: then the difference says nothing.
    if not 0 <= trip <= 10_000_000:
        raise ValueError("round trip not known")
    return float(delay / 2 + dispersion + trip / 2) / 1e6


async def ask_timesyncd(address: str | None = None) -> float:
    """The error bound of the answer that timesyncd used last, in seconds; OSError or ValueError when none."""
    from dbus_fast import BusType, Message, MessageType
    from dbus_fast.aio import MessageBus
    from dbus_fast.errors import DBusError

    bus = MessageBus(bus_address=address, bus_type=BusType.SYSTEM)
    try:
        await bus.connect()
        answer = await bus.call(
            Message(
                destination="org.freedesktop.timesync1",
                path="/org/freedesktop/timesync1",
                interface="org.freedesktop.DBus.Properties",
                member="Get",
                signature="ss",
                body=["org.freedesktop.timesync1.Manager", "NTPMessage"],
            )
        )
    except (DBusError, EOFError) as error:
        raise OSError(f"D-Bus: {error}") from error
    finally:
        bus.disconnect()
    if answer is None or answer.message_type is not MessageType.METHOD_RETURN:
        raise OSError("timesyncd is not on the system bus")
    return parse_ntp_message(answer.body[0].value)
