"""What a memory still owes outlives the gateway: it is killed and started again, for real and in a model."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Self

import pytest
from bluez_standin import StandIn
from dbus_fast import DBusError
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from test_ble_asked import Record
from test_ble_backfill import now_ms, poller_of, tag_at
from test_ble_backfill_gateway import SITE
from test_ble_gateway import TAG, ruuvi

from firmware_interfaces.ble.gatt.central import Central
from gateway.acquire.backfill import BackfillDesk
from gateway.acquire.owed import Owed, name_of, pack, unpack
from gateway.buffer.faults import StoreError
from gateway.buffer.reader import Reader
from gateway.errors import SealError
from gateway.model import Event, Miss, Quality, Scan, Stream
from gateway.records import Archive
from gateway.seal import cbor
from gateway.site import BusSpec

BOOT, NEXT_BOOT = bytes(16), bytes(15) + b"\1"
START = """
import sys
from firmware_interfaces.ble.logs.ruuvi import RuuviLog
RuuviLog.interval_s = 1.0
from gateway.cli import main
sys.exit(main(["run", sys.argv[1]]))
"""
LIMIT_S = 50.0


class Daemon:
    """A gateway in a process of its own."""

    def __init__(self, site: Path) -> None:
        words = [sys.executable, "-c", START, str(site)]
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    async def end(self, how: signal.Signals) -> None:
        """The stand-in for bluetoothd goes on meanwhile."""
        self._process.send_signal(how)
        await asyncio.to_thread(self._process.wait, 30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


class Air:
    """The tag, which advertises or is silent, and what is on record of it."""

    def __init__(self, bluez: StandIn, folder: Path) -> None:
        self.bluez, self.folder = bluez, folder
        self.number = 0

    async def until(self, condition: Callable[[], object], *, silent: bool = False) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                if not silent:
                    self.number += self.bluez.heard(TAG, {0x0499: ruuvi(self.number)}, rssi=-70)
                await asyncio.sleep(0.1)

    def begun(self) -> bool:
        """Whether the journal has been laid out."""
        try:
            return bool(self._bodies("event"))
        except StoreError:
            return False

    def records(self) -> list[Scan | Miss]:
        archive = Archive()
        list(archive.add_events(self._bodies("event")))
        found = [record for body in self._bodies("scan") for record in archive.scans(body)[2]]
        with closing(Reader(self.folder / "journal.db")) as reader:
            return found + [record for _, _, records in reader.tail() for record in records]

    def _bodies(self, stream: Stream) -> list[bytes]:
        with closing(Reader(self.folder / "journal.db")) as reader:
            return [batch.body for batch in reader.batches(stream, 0, 10_000) if batch.body is not None]

    def scans(self) -> list[Scan]:
        return [record for record in self.records() if isinstance(record, Scan)]

    def silent_slots(self) -> set[int]:
        """Slots in which the gateway listened, and nothing was heard."""
        return {
            slot
            for record in self.records()
            if isinstance(record, Miss) and record.quality == Quality.STALE
            for slot in range(record.slot, record.slot + record.count)
        }

    def settled(self) -> list[Event]:
        events = (stored.event for stored in Archive().add_events(self._bodies("event")))
        return [event for event in events if event.kind in {"backfill.done", "backfill.failed"}]


def slots_of(event: Event) -> set[int]:
    return {slot for start, count in event.data["runs"] for slot in range(start, start + count)}


@pytest.mark.parametrize("gap", ["open", "over"])
async def test_a_gap_is_filled_by_the_next_process(bluez: StandIn, tmp_path: Path, gap: str) -> None:
    site = tmp_path / "site.toml"
    site.write_text(SITE)
    tag = tag_at(bluez, [(age, 1000) for age in range(40, -1, -1)])
    bluez.adapters["hci0"].discovering = 0
    assert tag.peripheral is not None
    tag.peripheral.refuses = DBusError("org.bluez.Error.Failed", "le-connection-abort-by-local")
    air = Air(bluez, tmp_path / "data")

    with Daemon(site) as first:
        await air.until(air.begun)
        await air.until(lambda: len(air.scans()) >= 2)
        heard = len(air.scans())
        before = air.silent_slots()
        await air.until(lambda: len(air.silent_slots() - before) >= 3, silent=True)
        if gap == "over":
            calls = tag.peripheral.connects
            await air.until(lambda: len(air.scans()) > heard and tag.peripheral and tag.peripheral.connects > calls)
        await first.end(signal.SIGKILL)
    owed = air.silent_slots() - before
    assert air.settled() == []

    tag.peripheral.refuses = None
    with Daemon(site) as second:
        await air.until(air.settled)
        await second.end(signal.SIGTERM)
    events = air.settled()
    assert {event.kind for event in events} == {"backfill.done"}
    assert owed <= slots_of(events[0])
    assert not slots_of(events[0]) & {scan.slot for scan in air.scans()}
    assert events[0].data["filled"] >= 3

    # What was settled is not owed any more: the third fills its own silence, and nothing else.
    with Daemon(site) as third:
        await air.until(lambda: len(air.silent_slots() - before - owed) >= 3, silent=True)
        await air.until(lambda: len(air.settled()) > len(events))
        await third.end(signal.SIGTERM)
    assert not any(slots_of(event) & owed for event in air.settled()[len(events) :])

    async def run(*words: str) -> str:
        command = [sys.executable, "-m", "gateway.cli", *words]
        done = await asyncio.to_thread(
            subprocess.run, command, check=True, capture_output=True, text=True, timeout=LIMIT_S
        )
        return str(done.stdout)

    await run("export", str(site), "--format", "batches", "--out", str(tmp_path / "evidence"))
    assert "the record is whole" in await run("verify", str(tmp_path / "evidence"))


class TestBytes:
    @given(
        st.binary(min_size=16, max_size=16),
        st.lists(st.integers(0, 2**40), max_size=40, unique=True).map(sorted),
        st.booleans(),
    )
    def test_they_come_back(self, boot: bytes, edges: list[int], is_open: bool) -> None:
        owed = Owed(boot, tuple(zip(edges[::2], edges[1::2], strict=False)), is_open)
        assert unpack(poller_of().spec, pack(poller_of().spec, owed)) == owed

    @given(st.binary(max_size=200))
    def test_any_others_are_refused(self, memory: bytes) -> None:
        with pytest.raises(SealError):
            unpack(poller_of().spec, memory)

    @pytest.mark.parametrize("runs", [[[5, 5]], [[-1, 3]], [[4, 9], [8, 12]], [[1]], [7]])
    def test_runs_that_are_none_are_refused(self, runs: list[object]) -> None:
        spec = poller_of().spec
        whose = [spec.address, spec.model, spec.period_ms, spec.phase_ms]
        with pytest.raises(SealError):
            unpack(spec, cbor.dumps([1, whose, BOOT, runs, False]))

    @pytest.mark.parametrize("change", [{"address": "CB:B8:33:4C:88:50"}, {"period_ms": 30_000}, {"phase_ms": 5}])
    def test_of_another_sensor_or_grid_there_is_nothing(self, change: dict[str, object]) -> None:
        memory = pack(poller_of().spec, Owed(BOOT, ((3, 9),), False))
        assert unpack(poller_of(**change).spec, memory) is None


def desk_of(kept: dict[str, bytes], record: Record, boot: bytes = BOOT) -> BackfillDesk:
    bus = BusSpec(id="air", kind="ble")
    return BackfillDesk(
        bus, [poller_of()], sink=record, now_ms=now_ms, central=Central(), keep=kept.__setitem__, boot=boot
    )


class TestAnotherBoot:
    def test_what_is_owed_of_an_earlier_boot_is_given_up_aloud(self) -> None:
        kept: dict[str, bytes] = {}
        desk_of(kept, Record()).missed(poller_of(), 100, 30)
        record = Record()
        desk = desk_of(kept, record, NEXT_BOOT)
        desk.recall(kept, {"chiller": 400})
        (event,) = record.events
        assert event.kind == "backfill.failed"
        assert "started anew" in event.data["why"]
        assert event.data["boot"] == BOOT
        kept |= desk.told()
        after = Record()
        desk_of(kept, after, NEXT_BOOT).recall(kept, {"chiller": 400})
        assert after.events == [], "it is said once"

    def test_damage_is_no_reason_not_to_start(self) -> None:
        record = Record()
        desk_of({}, record).recall({name_of("chiller"): b"\0damaged"}, {"chiller": 10})
        assert record.events == []


SHORTEST = 5
"""Slots of a minute that a gap must have for the log of a tag to hold something of it."""


class Killed(RuleBasedStateMachine):
    """A desk beside a record; both are lost back to the last commit whenever the process is killed."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[bool] = []
        """What is on record: a slot's value, or that it was missed."""
        self.done: set[int] = set()
        """Slots that events on record have settled."""
        self.on_disk: tuple[list[bool], set[int], dict[str, bytes]] = ([], set(), {})
        self.kept: dict[str, bytes] = {}
        self.queued: set[int] = set()
        self.poller = poller_of()
        self.desk = desk_of(self.kept, Record())
        self.heard = False

    @rule(slots=st.integers(1, 8))
    def silence(self, slots: int) -> None:
        self.desk.missed(self.poller, len(self.answers), slots)
        self.answers += [False] * slots

    @rule()
    def value(self) -> None:
        self.answers.append(True)
        self.desk.answered(self.poller)
        self.heard = True

    @rule()
    def commit(self) -> None:
        self.on_disk = list(self.answers), set(self.done), dict(self.kept)

    @precondition(lambda self: self.debt.runs and not self.debt.open)
    @rule()
    def download(self) -> None:
        runs = [(start, stop) for start, stop in self.debt.runs]
        self.desk._enter(self.debt, runs, "")
        self.queued |= {slot for start, stop in runs for slot in range(start, stop)}

    @rule()
    def events_are_offered(self) -> None:
        self.kept |= self.desk.told()
        self.done |= self.queued
        self.queued = set()

    @rule(slots=st.integers(0, 8))
    def kill(self, slots: int) -> None:
        answers, done, kept = self.on_disk
        self.answers, self.done, self.kept, self.queued = list(answers), set(done), dict(kept), set()
        self.desk = desk_of(self.kept, Record())
        newest = {"chiller": len(self.answers) - 1} if self.answers else {}
        self.desk.recall(self.kept, newest)
        if slots and self.answers:
            self.silence(slots)

    @property
    def debt(self):  # type: ignore[no-untyped-def]
        return self.desk._debts["chiller"]

    def gaps(self) -> Iterator[range]:
        """Gaps on record, oldest first; one that is not over counts from its first slot."""
        start: int | None = None
        for slot, answered in enumerate([*self.answers, True]):
            if answered and start is not None:
                if slot - start >= SHORTEST or slot == len(self.answers):
                    yield range(start, slot)
                start = None
            elif not answered and start is None:
                start = slot

    @invariant()
    def exactly_what_was_missed_and_not_settled_is_owed(self) -> None:
        owed = [slot for start, stop in self.debt.runs for slot in range(start, stop)]
        expected = {slot for gap in self.gaps() for slot in gap} - self.done - self.queued
        assert len(owed) == len(set(owed))
        assert set(owed) == expected


Killed.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
TestKilled = Killed.TestCase
