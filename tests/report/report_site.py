"""A gateway's journal for the tests of reports: real scans and events, sealed and signed as the daemon does it."""

import argparse
import asyncio
import math
from array import array
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.buffer.journal import Journal
from gateway.buffer.reader import Reader
from gateway.commands.report import report_site
from gateway.model import ClockClaim, ClockState, Column, DeviceLayout, Event, Layout, Miss, Quality, Scan
from gateway.report.haccp import HaccpRecord
from gateway.report.period import Period, day_period, month_period, zone_of
from gateway.reporting.data import Record
from gateway.seal.batch import registration_payload
from gateway.seal.keys import load_or_create
from gateway.site import BufferSpec, BusSpec, DeviceSpec, Identity, PointSpec, Site

IDENTITY = Identity(member="green-valley-dairy", site="plant-1", gateway="gw-0001")
PARIS = zone_of("Europe/Paris")
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
DIGEST = "ab" * 32


def utc(text: str) -> int:
    """Unix milliseconds of an ISO time with its offset."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def make_layout(period_ms: int = 300_000, phase_ms: int = 500, *, calibrated: bool = True) -> Layout:
    """A probe in a cold room (corrected), and another device on the same line."""
    calibration = {
        "temperature": {
            "certificate": "K-2026-0815",
            "valid_until": "2027-06-30",
            "points": [[0.0, 0.1], [20.0, 20.2]],
        }
    }
    columns = [Column("temperature", "degC", 2), Column("humidity", "%RH", 1)]
    if calibrated:
        columns.insert(1, Column("temperature", "degC", 1, "indicated"))
    room = DeviceLayout(
        "room-probe",
        "line-1",
        "xy-md02",
        "00" * 8,
        period_ms,
        phase_ms,
        tuple(columns),
        calibration if calibrated else {},
    )
    other = DeviceLayout("freezer-probe", "line-1", "xy-md02", "00" * 8, period_ms, 0, (Column("air", "degC", 1),))
    return Layout((room, other))


@dataclass
class Clock:
    """Boot time that the test moves, with the wall clock right behind it (or not known)."""

    boot: bytes
    zero_utc_ms: int
    boot_ms: int = 0
    known: bool = True

    def __call__(self) -> ClockClaim:
        if not self.known:
            return ClockClaim(self.boot, self.boot_ms, None, None, ClockState.UNTRUSTED)
        return ClockClaim(self.boot, self.boot_ms, self.zero_utc_ms + self.boot_ms, 25, ClockState.TRUSTED)


@dataclass
class Plant:
    """A data directory that is written boot by boot."""

    folder: Path
    layout: Layout = field(default_factory=make_layout)
    points: tuple[PointSpec, ...] = (
        PointSpec(
            id="cold-room-1",
            name="Chambre froide n° 1 «lait»",
            device="room-probe",
            channel="temperature",
            critical=True,
        ),
        PointSpec(id="freezer-1", name="Zamrażarka", device="freezer-probe", channel="air"),
    )

    def site(self, **changes: Any) -> Site:
        facts: dict[str, Any] = {
            "identity": IDENTITY,
            "data_dir": self.folder,
            "buses": (BusSpec(id="line-1", kind="modbus-tcp", host="127.0.0.1"),),
            "devices": tuple(
                DeviceSpec(
                    id=d.id, bus="line-1", model="xy-md02", unit=i + 1, period_ms=d.period_ms, phase_ms=d.phase_ms
                )
                for i, d in enumerate(self.layout.devices)
            ),
            "points": self.points,
            "time_zone": "Europe/Paris",
            "language": "en",
            "source": "site.toml",
            "digest": DIGEST,
        }
        return Site(**(facts | changes))

    def write(self, clock: Clock, fill: "Callable[[Pen], None]") -> None:
        """One run of the gateway: ``fill`` writes with a pen, then everything is sealed."""
        asyncio.run(self._write(clock, fill))

    async def _write(self, clock: Clock, fill: "Callable[[Pen], None]") -> None:
        keys = self.folder / "keys"
        keys.mkdir(mode=0o700, exist_ok=True)
        signer = load_or_create(keys)
        registration = registration_payload(
            signer.public, IDENTITY, config_digest=bytes(32), storage="file", software="test"
        )
        journal = await Journal.open(
            self.folder / "journal.db",
            signer=signer,
            iss=IDENTITY.urn,
            layout=self.layout,
            spec=BufferSpec(batch_values=20_000, batch_min_age_s=1.0, batch_max_age_s=86_400.0),
            clock=clock,
            registration=registration,
        )
        pen = Pen(self, clock)
        fill(pen)
        try:
            for at_ms, records, events in pen.pages():
                clock.boot_ms = max(clock.boot_ms, at_ms)
                for record in records:
                    journal.put(record)
                for event in events:
                    assert (await asyncio.gather(_committed(journal, event)))[0]
                await journal.flush(seal=True)
        finally:
            await journal.close()

    def record(self, period: Period, point: int = 0, **changes: Any) -> HaccpRecord:
        """The HACCP record of a point in a period."""
        site = self.site(**changes)
        with closing(Reader(self.folder / "journal.db")) as reader:
            return Record.open(site, reader).haccp(site.points[point], period)

    def command(self, *words: str, out: Path | None = None, **changes: Any) -> int:
        """`aurora-gateway report` with this site."""
        parser = argparse.ArgumentParser()
        parser.add_argument("kind")
        for name in ("--point", "--date", "--lot", "--lang", "--zone", "--as-of"):
            parser.add_argument(name)
        parser.add_argument("--format", default="html")
        parser.add_argument("--key", type=Path, action="append", default=[])
        arguments = parser.parse_args(words)
        arguments.out = out
        return report_site(self.site(**changes), arguments)


async def _committed(journal: Journal, event: Event) -> bool:
    ticket = asyncio.ensure_future(journal.put_event(event))
    await asyncio.sleep(0)
    await journal.flush()
    return await ticket


class Pen:
    """Writes slots and events of one boot; times are UTC, in order."""

    def __init__(self, plant: Plant, clock: Clock) -> None:
        self._plant = plant
        self._clock = clock
        self._records: list[tuple[int, Scan | Miss]] = []
        self._events: list[Event] = []

    def boot_ms(self, utc_ms: int) -> int:
        return utc_ms - self._clock.zero_utc_ms

    def slots(self, device: int, start_ms: int, end_ms: int) -> range:
        """Slots of a device that are due in a stretch of UTC."""
        its = self._plant.layout.devices[device]
        first = -((self.boot_ms(start_ms) - its.phase_ms) // -its.period_ms)
        last = -((self.boot_ms(end_ms) - its.phase_ms) // -its.period_ms)
        return range(first, last)

    def due(self, device: int, slot: int) -> int:
        its = self._plant.layout.devices[device]
        return self._clock.zero_utc_ms + slot * its.period_ms + its.phase_ms

    def scans(
        self,
        start_ms: int,
        end_ms: int,
        value: Callable[[int], float],
        quality: int | Callable[[int], int] = 0,
        device: int = 0,
    ) -> None:
        """A scan for each slot due in a stretch; ``value`` and ``quality`` by the UTC at which the slot is due."""
        columns = self._plant.layout.devices[device].columns
        for slot in self.slots(device, start_ms, end_ms):
            due = self.due(device, slot)
            mark = quality(due) if callable(quality) else quality
            number = math.nan if mark >= 0x80 else round(value(due), 2 if device == 0 else 1)
            row = []
            for column in columns:
                if column.channel == "humidity":
                    row.append(55.0)
                elif column.role == "indicated":
                    row.append(number if mark >= 0x80 else round(number - 0.1, 1))
                else:
                    row.append(number)
            marks = bytes(0 if column.channel == "humidity" else mark for column in columns)
            scan = Scan(device, slot, self.boot_ms(due) + 120, array("d", row), marks)
            self._records.append((scan.at_ms, scan))

    def misses(self, start_ms: int, end_ms: int, cause: Quality, device: int = 0) -> None:
        """A recorded miss for the slots due in a stretch."""
        slots = self.slots(device, start_ms, end_ms)
        its = self._plant.layout.devices[device]
        if slots:
            miss = Miss(device, slots.start, len(slots), int(cause))
            self._records.append((slots[-1] * its.period_ms + its.phase_ms, miss))

    def event(self, kind: str, at_utc_ms: int, /, **data: Any) -> None:
        self._events.append(Event(kind, self.boot_ms(at_utc_ms), data))

    def alarm(self, kind: str, at_utc_ms: int, /, **changes: Any) -> None:
        """An event of an alarm with all its keys; ``since`` and ``raised`` are UTC."""
        since = self.boot_ms(changes.pop("since", at_utc_ms))
        raised = self.boot_ms(changes.pop("raised", at_utc_ms))
        until = changes.pop("until", None)
        data: dict[str, Any] = {
            "alarm": "cold-room-1/high-critical",
            "occurrence": 1,
            "state": "unacknowledged",
            "active": True,
            "rule": "high-critical",
            "tier": "critical",
            "point": "cold-room-1",
            "device": "room-probe",
            "value": 7.4,
            "limit": 7.0,
            "unit": "degC",
            "since_ms": since,
            "raised_ms": raised,
            "group": None,
            "escalation": 0,
            "person": None,
            "text": None,
            "until_ms": None if until is None else self.boot_ms(until),
            "words": "Cold room 1 is above its critical limit.",
            "detail": {
                "side": "above",
                "profile": "chilled-meat",
                "profile_hash": "cd" * 32,
                "sources": ["Regulation (EC) No 853/2004, Annex III, Section I"],
                "delay_s": 3600.0,
                "hysteresis": 0.5,
            },
        }
        self.event(kind, at_utc_ms, **(data | changes))

    def pages(self) -> Iterable[tuple[int, list[Scan | Miss], list[Event]]]:
        """What was written, hour by hour, with the boot time at the end of each."""
        records = sorted(self._records, key=lambda pair: pair[0])
        events = sorted(self._events, key=lambda event: event.at_ms)
        hours: dict[int, tuple[list[Scan | Miss], list[Event]]] = {}
        for at_ms, record in records:
            hours.setdefault(at_ms // (6 * HOUR_MS), ([], []))[0].append(record)
        for event in events:
            hours.setdefault(event.at_ms // (6 * HOUR_MS), ([], []))[1].append(event)
        for hour, (some, happened) in sorted(hours.items()):
            newest = max(
                [r.at_ms for r in some if isinstance(r, Scan)] + [e.at_ms for e in happened] + [hour * 6 * HOUR_MS]
            )
            yield newest + 1000, some, happened


def wave(due_ms: int) -> float:
    """A cold room: a slow wave around 3.5 with a warm hour at noon UTC."""
    hours = due_ms / HOUR_MS
    bump = 5.5 * math.exp(-(((hours % 24) - 12.0) ** 2) * 4)
    return 3.5 + 0.8 * math.sin(hours * 2.1) + bump * (int(hours // 24) % 7 == 3)


__all__ = ["PARIS", "Clock", "Pen", "Period", "Plant", "day_period", "make_layout", "month_period", "utc", "wave"]
