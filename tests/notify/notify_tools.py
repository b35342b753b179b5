"""What the tests of the outputs share: a clock by hand, alarms, a site, and outputs that behave in every way."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from gateway import api
from gateway.api import Host, Notice, Output, OutputError, Standing, setting
from gateway.model import Alarm, AlarmState, ClockClaim, ClockState, Condition, Event, Layout, Tier
from gateway.notify.mark import Recall
from gateway.notify.station import Notifier
from gateway.site import Identity, NoticesSpec, NotifySpec, OutputSpec, PointSpec, Site

BOOT = bytes(range(16))
MONDAY_NOON = 1_763_985_600_000
"""2025-11-24 12:00 UTC, a Monday."""


class HandClock:
    """Boot time that leaps by hand and flows as it does; the wall clock is known where ``utc_ms`` is."""

    def __init__(self, boot_ms: int = 100_000, utc_ms: int | None = MONDAY_NOON, boot: bytes = BOOT) -> None:
        self.boot_ms = boot_ms
        self.utc_ms = utc_ms
        self.boot = boot
        self._began_s = time.monotonic()

    def __call__(self) -> ClockClaim:
        flown_ms = round((time.monotonic() - self._began_s) * 1000)
        boot_ms = self.boot_ms + flown_ms
        if self.utc_ms is None:
            return ClockClaim(self.boot, boot_ms, None, None, ClockState.UNTRUSTED)
        return ClockClaim(self.boot, boot_ms, self.utc_ms + flown_ms, 5, ClockState.TRUSTED)

    def pass_s(self, seconds: float) -> None:
        self.boot_ms += round(seconds * 1000)
        if self.utc_ms is not None:
            self.utc_ms += round(seconds * 1000)

    def reboot(self, *, off_s: float = 60.0, known: bool = True) -> None:
        """Another boot, after so long without power."""
        self.utc_ms = None if self.utc_ms is None or not known else self.utc_ms + round(off_s * 1000)
        self.boot_ms = 5_000
        self.boot = bytes(reversed(self.boot))


def alarm(kind: str = "raised", **changes: Any) -> Event:
    """An event as the alarm engine emits it: cold room 1 is too warm."""
    data: dict[str, Any] = {
        "alarm": "cold-room-1/high-critical",
        "occurrence": 1,
        "state": {
            "returned": AlarmState.RETURNED.value,
            "acknowledged": AlarmState.ACKNOWLEDGED.value,
            "shelved": AlarmState.SHELVED.value,
        }.get(kind, AlarmState.UNACKNOWLEDGED.value),
        "active": kind != "returned",
        "rule": "high-critical",
        "tier": "critical",
        "point": "cold-room-1",
        "device": "probe-1",
        "value": 8.2,
        "limit": 5.0,
        "unit": "degC",
        "since_ms": 40_000,
        "raised_ms": 100_000,
        "group": None,
        "escalation": 0,
        "person": None,
        "text": None,
        "until_ms": None,
        "words": "Cold room 1 is above its critical limit",
        "detail": {},
    }
    return Event(f"alarm.{kind}", 100_000, data | changes)


def standing_alarm(**changes: Any) -> Alarm:
    """The same alarm as the engine has it after a restart."""
    tier = changes.pop("tier", Tier.CRITICAL)
    condition = Condition(
        alarm="cold-room-1/high-critical",
        active=True,
        at_ms=100_000,
        since_ms=40_000,
        rule="high-critical",
        tier=tier,
        point="cold-room-1",
        value=8.2,
        limit=5.0,
        unit="degC",
        words="Cold room 1 is above its critical limit",
    )
    found = Alarm(
        id="cold-room-1/high-critical",
        occurrence=1,
        state=AlarmState.UNACKNOWLEDGED,
        active=True,
        condition=condition,
        raised_ms=100_000,
    )
    return replace(found, **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSettings:
    """``mode`` says how it behaves."""

    mode: str = setting("", example="")


class Probe(Output):
    """An output that notes what it is told, and fails as its class is told to."""

    title = "for tests"
    Settings = ProbeSettings
    told: ClassVar[list[tuple[str, Notice]]] = []
    shown: ClassVar[list[Standing]] = []
    failure: ClassVar[dict[str, BaseException | Callable[[Notice], None]]] = {}
    threads: ClassVar[set[str]] = set()
    release: ClassVar[threading.Event] = threading.Event()
    settings: ProbeSettings

    async def send(self, notice: Notice) -> None:
        self.threads.add(threading.current_thread().name)
        await self._behave(notice)
        self.told.append((self.host.output, notice))

    async def follow(self, standing: Standing) -> None:
        await self._behave(None)
        self.shown.append(standing)

    async def _behave(self, notice: Notice | None) -> None:
        mode = self.settings.mode
        if mode == "block":
            self.release.wait(20)
        elif mode == "spin":
            end = time.monotonic() + 20
            while time.monotonic() < end:
                pass
        elif mode == "hang":
            await asyncio.sleep(60)
        elif mode == "exit":
            raise SystemExit(3)
        elif mode == "flood":
            for number in range(1000):
                self.log.warning("line %d", number)
        failure = self.failure.get(self.host.output)
        if isinstance(failure, BaseException):
            raise failure
        if failure is not None and notice is not None:
            failure(notice)


class TestingProbe(Probe):
    """One whose way can be tried without telling anybody."""

    __test__ = False
    tried: ClassVar[list[str]] = []

    async def test(self) -> None:
        self.tried.append(self.host.output)
        failure = self.failure.get(self.host.output)
        if isinstance(failure, BaseException):
            raise failure


class Boom(Output):
    """One that cannot even be made."""

    Settings = ProbeSettings

    def __init__(self, settings: Any, host: Host) -> None:
        super().__init__(settings, host)
        raise RuntimeError("no such luck")


KINDS = {"probe": "notify_tools:Probe", "testing": "notify_tools:TestingProbe", "boom": "notify_tools:Boom"}
AWAY = OutputError("the server is away", "wait for it")


def output(name: str = "mail", **changes: Any) -> OutputSpec:
    return replace(OutputSpec(id=name, type="probe", to=("a@x.example",), timeout_s=5.0), **changes)


def rule(name: str = "mail", **changes: Any) -> NotifySpec:
    base = NotifySpec(
        output=name, tiers=("critical", "alert"), transitions=("raised", "returned", "acknowledged", "escalated")
    )
    return replace(base, **changes)


def site_of(folder: Path, outputs: list[OutputSpec], rules: list[NotifySpec], **changes: Any) -> Site:
    site = Site(
        identity=Identity(member="dairy", site="plant-1", gateway="gw-1"),
        data_dir=folder,
        buses=(),
        devices=(),
        points=(PointSpec(id="cold-room-1", name="Cold room 1", device="probe-1", channel="t", critical=True),),
        outputs=tuple(outputs),
        notify=tuple(rules),
        notices=NoticesSpec(link="http://gw.local:8080/"),
    )
    return replace(site, **changes)


@dataclass
class World:
    """A notifier at work, with what it says."""

    notifier: Notifier
    clock: HandClock
    events: list[Event]
    conditions: list[Condition]

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    async def until(self, condition: Callable[[], object], within_s: float = 60.0) -> None:
        await until(condition, within_s)

    async def idle(self) -> None:
        """Until no output has anything to do at the moment."""
        for lane in self.notifier.lanes.values():
            begun = lane.rounds
            lane.wake()
            await until(lambda lane=lane, begun=begun: lane.rounds > begun + 1 or lane.wake())


async def until(condition: Callable[[], object], within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def notifying(
    site: Site,
    clock: HandClock | None = None,
    *,
    alarms: list[Alarm] | None = None,
    pace: Mapping[str, float] | None = None,
    layout: Layout | None = None,
    recall: Recall | None = None,
) -> AsyncIterator[World]:
    """A notifier that runs until the end of the block; quick rests, so that nobody has to wait."""
    clock = clock or HandClock()
    events: list[Event] = []
    conditions: list[Condition] = []
    quick = {"idle_s": 0.3, "rest_s": 0.02, "probe_s": 900.0, **(pace or {})}
    more: dict[str, Any] = {"layout": layout, "recall": recall, "random": Random(1)}
    notifier = Notifier(site, clock, events.append, conditions.append, **more, **quick)
    await notifier.open()
    if alarms is not None:
        await notifier.resync(alarms)
    running = asyncio.create_task(notifier.run())
    try:
        yield World(notifier, clock, events, conditions)
        assert not running.done(), running.exception()
    finally:
        running.cancel()
        await asyncio.wait([running])


def install(monkeypatch: Any) -> None:
    """Make the outputs of this file known, as if they were installed."""
    for name, where in KINDS.items():
        monkeypatch.setitem(api.BUILT_IN, name, where)
