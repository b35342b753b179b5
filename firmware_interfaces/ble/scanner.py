"""One adapter that listens for as long as it is asked to: whatever breaks is named, counted, and tried again.

bleak asks BlueZ to scan (passively where it may); what is heard comes by a D-Bus connection of our own (`bluez`).
Nothing that can happen to an adapter ends the run: no D-Bus, no bluetoothd, no adapter, no power and silence are
states, each said once when it begins.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from enum import Enum
from typing import Any, Literal

from bleak import BleakScanner
from bleak.args.bluez import BlueZScannerArgs, OrPattern
from bleak.assigned_numbers import AdvertisementDataType
from bleak.exc import BleakBluetoothNotAvailableError, BleakError

from firmware_interfaces.ble.bluez import Bluez, BluezRefused, NoBus, Report, reset_adapter
from firmware_interfaces.ble.decoders.dispatch import BY_COMPANY, BY_SERVICE
from firmware_interfaces.ble.ladder import Ladder, Step

__all__ = ["Mode", "RadioState", "Scanner"]

Mode = Literal["auto", "passive", "active"]

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
POWER_OFF_S = 1.0
"""How long an adapter stays without power in a power cycle."""
CALL_LIMIT_S = 20.0
"""Longest that bluetoothd may take for one request; a hung daemon must not hang us."""


class RadioState(Enum):
    """What an adapter is doing, or why it is not."""

    IDLE = "idle"
    SCANNING = "scanning"
    NO_DBUS = "no-dbus"
    NO_BLUETOOTHD = "no-bluetoothd"
    NO_ADAPTER = "no-adapter"
    POWERED_OFF = "powered-off"
    REFUSED = "refused"

    @property
    def words(self) -> str:
        """What it means, and what would mend it."""
        return WORDS[self]


WORDS = {
    RadioState.IDLE: "not started",
    RadioState.SCANNING: "scanning",
    RadioState.NO_DBUS: "the system D-Bus cannot be reached; is the package dbus installed and its socket there?",
    RadioState.NO_BLUETOOTHD: "bluetoothd is not running; systemctl start bluetooth",
    RadioState.NO_ADAPTER: "there is no such adapter; is it plugged in? bluetoothctl list shows what there is",
    RadioState.POWERED_OFF: "the adapter has no power and refuses to be switched on; rfkill unblock bluetooth",
    RadioState.REFUSED: "BlueZ refuses to scan",
}


PATTERNS_A_MONITOR = 7
"""bluetoothd of BlueZ 5.66 aborts ("free(): invalid next size") at a monitor with eight: 34 bytes each are more
than one byte can count."""
EVERYBODY = (b"\x06", b"\x04", b"\x05", b"\x02", b"\x1a")
"""Flags that begin the advertisements of nearly all devices (Core Specification Supplement, part A, 1.3)."""


def _patterns(*, everybody: bool = False) -> Iterator[OrPattern]:
    """What passive scanning is to wake up for: the companies and services that a decoder knows, or everybody."""
    if everybody:
        for flags in EVERYBODY:
            yield OrPattern(0, AdvertisementDataType.FLAGS, flags)
    maker, service = AdvertisementDataType.MANUFACTURER_SPECIFIC_DATA, AdvertisementDataType.SERVICE_DATA_UUID16
    for company in BY_COMPANY:
        yield OrPattern(0, maker, company.to_bytes(2, "little"))
    for uuid in BY_SERVICE:
        yield OrPattern(0, service, uuid.to_bytes(2, "little"))


class _Scan:
    """A scan that bleak asks BlueZ for; passively it takes several monitors, started and stopped as one."""

    def __init__(self, mode: Literal["passive", "active"], adapter: str, *, everybody: bool) -> None:
        # DuplicateData: BlueZ is to report equal payloads as well, since an equal value is news, too.
        chosen = [BlueZScannerArgs(adapter=adapter, filters={"DuplicateData": True})]
        if mode == "passive":
            patterns: list[OrPattern | tuple[int, AdvertisementDataType, bytes]] = []
            patterns += _patterns(everybody=everybody)
            chosen = [
                BlueZScannerArgs(adapter=adapter, or_patterns=[*patterns[at : at + PATTERNS_A_MONITOR]])
                for at in range(0, len(patterns), PATTERNS_A_MONITOR)
            ]
        self._parts = [BleakScanner(scanning_mode=mode, bluez=bluez) for bluez in chosen]
        self._started: list[BleakScanner] = []

    async def start(self) -> None:
        """Start all; where one is refused, none is left behind."""
        try:
            for part in self._parts:
                await part.start()
                self._started.append(part)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop those that run. An adapter or a daemon that is gone leaves nothing to stop."""
        while self._started:
            await _quietly(self._started.pop().stop())


class Scanner:
    """Scans with one adapter. ``adapter`` is its name; None takes the first that has power. ``everybody``: BlueZ is
    to know all devices in the air, and not only those whose advertisements can be read.

    ``on_report`` gets each advertisement with the time (seconds of the loop's clock) at which it came,
    ``on_state`` gets each change of state with what is to be said about it, ``on_step`` each step of the ladder
    with the words of its failure (empty where it went well).
    """

    def __init__(
        self,
        on_report: Callable[[Report, float], None],
        *,
        adapter: str | None = None,
        mode: Mode = "auto",
        everybody: bool = False,
        on_state: Callable[[RadioState, str], None] = lambda _, __: None,
        on_step: Callable[[Step, str], None] = lambda _, __: None,
        ladder: Ladder | None = None,
        reset: Callable[[str], None] = reset_adapter,
        first_pause_s: float = FIRST_PAUSE_S,
        power_off_s: float = POWER_OFF_S,
    ) -> None:
        self.adapter = adapter
        self.mode: Mode = mode
        self.everybody = everybody
        self.ladder = ladder or Ladder()
        self.state = RadioState.IDLE
        self.scanning_with = ""
        """Adapter in use, empty while none is."""
        self.passive = False
        self.reports = 0
        self._on_report = on_report
        self._on_state = on_state
        self._on_step = on_step
        self._reset = reset
        self._first_pause_s = first_pause_s
        self._power_off_s = power_off_s
        self._changed = asyncio.Event()
        self._changes: list[str] = []

    async def run(self) -> None:
        """Scan until cancelled."""
        pause_s = self._first_pause_s
        while True:
            bluez = Bluez(self._report, self._noted)
            try:
                state, words = await self._attend(bluez)
            except NoBus as error:
                state, words = RadioState.NO_DBUS, str(error)
            except BluezRefused as error:
                state, words = RadioState.REFUSED, str(error)
            except TimeoutError:
                state, words = RadioState.REFUSED, f"bluetoothd did not answer within {CALL_LIMIT_S:g} s"
            finally:
                bluez.close()
                self.scanning_with = ""
            if self.state is RadioState.SCANNING:
                pause_s = self._first_pause_s
            self.ladder.stopped()
            self._say(state, words)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _attend(self, bluez: Bluez) -> tuple[RadioState, str]:
        """One connection to the bus, from its beginning to what ended it."""
        async with asyncio.timeout(CALL_LIMIT_S):
            await bluez.open()
        lost = asyncio.create_task(bluez.lost())
        try:
            while True:
                self._changes.clear()
                ready = await self._ready(bluez)
                if not isinstance(ready, str):
                    return ready
                refused = await self._scan(bluez, ready, lost)
                if lost.done():
                    return RadioState.NO_DBUS, "connection lost"
                if refused:
                    return RadioState.REFUSED, refused
        finally:
            lost.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await lost

    async def _ready(self, bluez: Bluez) -> tuple[RadioState, str] | str:
        """Name of the adapter to scan with, given power if it has none; or why there is none."""
        async with asyncio.timeout(CALL_LIMIT_S):
            if not await bluez.running():
                return RadioState.NO_BLUETOOTHD, ""
            adapters = await bluez.adapters()
            if self.adapter is None:
                found = min(adapters.values(), key=lambda facts: (not facts.powered, facts.name), default=None)
            else:
                found = adapters.get(self.adapter)
            if found is None:
                there = ", ".join(sorted(adapters)) or "none"
                return RadioState.NO_ADAPTER, f"{self.adapter or 'any adapter'} is wanted; there is {there}"
            if not found.powered:
                try:
                    await bluez.power(found.name, on=True)
                except BluezRefused as error:
                    return RadioState.POWERED_OFF, f"{found.name}: {error}"
        return found.name

    async def _scan(self, bluez: Bluez, name: str, lost: "asyncio.Task[None]") -> str:
        """One scan, until silence, a change or a refusal (whose words are returned) ends it."""
        # What comes while the last monitors are still being registered counts as heard.
        self.scanning_with = name
        scanner, refusal = await self._started(name)
        if scanner is None:
            return refusal
        try:
            self.ladder.started(self._now())
            self._say(RadioState.SCANNING, f"{name}, {'passive' if self.passive else 'active'}")
            step = await self._until_silent(name, lost)
        finally:
            await scanner.stop()
        if step is not None:
            await self._take(step, bluez, name)
        return ""

    async def _started(self, name: str) -> tuple[_Scan | None, str]:
        """A scan, running; None and why where BlueZ refuses."""
        refusal = ""
        modes: list[Literal["passive", "active"]] = ["passive", "active"] if self.mode == "auto" else [self.mode]
        for mode in modes:
            try:
                async with asyncio.timeout(CALL_LIMIT_S):
                    scan = _Scan(mode, name, everybody=self.everybody)
                    await scan.start()
            except BleakBluetoothNotAvailableError as error:
                return None, str(error.args[0])
            except (BleakError, OSError, EOFError, TimeoutError) as error:
                refusal = str(error) or type(error).__name__
                continue
            self.passive = mode == "passive"
            return scan, ""
        return None, refusal

    async def _until_silent(self, name: str, lost: "asyncio.Task[None]") -> Step | None:
        """The step that silence asks for; None when something changed that ends this scan."""
        changed = asyncio.create_task(self._change_of(name))
        try:
            while True:
                due = self.ladder.due_at()
                limit = None if due is None else max(0.0, due - self._now())
                done, _ = await asyncio.wait({changed, lost}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
                if done:
                    return None
                if (step := self.ladder.next(self._now())) is not None:
                    return step
        finally:
            changed.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await changed

    async def _change_of(self, name: str) -> None:
        """Return at a change that may have ended this scan; whether it has is then asked of BlueZ."""
        mine = {"bluetoothd stopped", "bluetoothd started", f"{name} removed", f"{name} power False"}
        while True:
            while self._changes:
                if self._changes.pop(0) in mine:
                    return
            self._changed.clear()
            await self._changed.wait()

    async def _take(self, step: Step, bluez: Bluez, name: str) -> None:
        """One step of the ladder. The scanner has been stopped and is started again by whoever called."""
        words = ""
        try:
            async with asyncio.timeout(CALL_LIMIT_S):
                if step is Step.POWER_CYCLE:
                    await bluez.power(name, on=False)
                    await asyncio.sleep(self._power_off_s)
                    await bluez.power(name, on=True)
                elif step is Step.RESET:
                    await asyncio.to_thread(self._reset, name)
        except (BluezRefused, NoBus) as error:
            words = str(error)
        except TimeoutError:
            words = f"bluetoothd did not answer within {CALL_LIMIT_S:g} s"
        self._on_step(step, words)

    def _say(self, state: RadioState, words: str) -> None:
        if state is not self.state:
            self.state = state
            self._on_state(state, words)

    def _report(self, report: Report) -> None:
        if report.adapter != self.scanning_with:
            return
        now = self._now()
        self.reports += 1
        self.ladder.heard(now)
        self._on_report(report, now)

    def _noted(self, change: str) -> None:
        self._changes.append(change)
        self._changed.set()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


async def _quietly(stop: Awaitable[Any]) -> None:
    """Stop a scanner whose adapter or daemon may be gone: then there is nothing to stop."""
    with contextlib.suppress(BleakError, OSError, EOFError, TimeoutError, AssertionError, KeyError, ValueError):
        async with asyncio.timeout(CALL_LIMIT_S):
            await stop
