"""Values reach the outputs that take them: in order, in their own thread, bounded, and old ones marked as old."""

import threading
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from notify_tools import AWAY, HandClock, Probe, notifying, output, rule, site_of, until

from gateway import api
from gateway.api import Output, OutputError, Reading
from gateway.model import Column, DeviceLayout, Layout, Miss, Quality, Scan
from gateway.notify import feed as feed_module
from gateway.site import PointSpec

LAYOUT = Layout(
    (
        DeviceLayout(
            "probe-1",
            "line",
            "model",
            "hash",
            1000,
            0,
            (Column("t", "degC", 1), Column("t", "degC", 1, "indicated"), Column("h", "%", 0)),
        ),
    )
)
POINTS = (
    PointSpec(id="cold-room-1", name="Cold room 1", device="probe-1", channel="t"),
    PointSpec(id="twin", name="Twin", device="probe-1", channel="t"),
)


class Taker(Probe):
    """Takes values, and behaves as its class is told."""

    sends = False
    values = True
    given: ClassVar[list[Reading]] = []
    failures: ClassVar[list[BaseException]] = []
    hold: ClassVar[threading.Event] = threading.Event()

    async def take(self, readings: Sequence[Reading]) -> None:
        self.threads.add(threading.current_thread().name)
        if self.settings.mode == "block":
            self.hold.wait(20)
        if self.failures:
            failure = self.failures.pop(0)
            self.given.extend(readings[: getattr(failure, "taken", 0)])
            raise failure
        self.given.extend(readings)


@pytest.fixture(autouse=True)
def taker(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(api.BUILT_IN, "taker", "test_notify_feed:Taker")
    Taker.given.clear()
    Taker.failures.clear()
    Taker.hold.clear()
    yield
    Taker.hold.set()


def scan(slot: int, *quality: Quality) -> Scan:
    codes = bytes(quality or (Quality.GOOD,) * 3)
    return Scan(0, slot, 90_000 + slot, array("d", (4.0 + slot, 3.9, 80.0)), codes)


def world(folder: Path, **changes: Any) -> Any:
    spec = output("feed", type="taker", to=(), sends=False, values=True, **changes)
    clock = changes.pop("clock", None)
    site = site_of(folder, [spec], [], points=POINTS)
    return notifying(site, clock, layout=LAYOUT)


async def test_values_arrive_in_order_with_all_that_is_known_of_them(tmp_path: Path) -> None:
    async with world(tmp_path) as found:
        found.notifier.values(scan(1))
        found.notifier.values(scan(2, Quality.CALIBRATION_EXPIRED, Quality.GOOD, Quality.SENSOR_FAULT))
        found.notifier.values(Miss(0, 3, 4, int(Quality.TIMEOUT)))
        await until(lambda: len(Taker.given) == 3)
        stats = found.notifier.stats.outputs["feed"].values
        await until(lambda: stats.taken == 3)
    first, second, missed = Taker.given
    assert (first.device, first.slot, first.count, first.answered, first.stored) == ("probe-1", 1, 1, True, False)
    assert first.utc_ms is not None
    assert [(v.channel, v.value, v.unit, v.points) for v in first.values] == [
        ("t", 5.0, "degC", ("cold-room-1", "twin")),
        ("h", 80.0, "%", ()),
    ]
    assert [(v.value, v.severity, v.reason) for v in second.values] == [
        (6.0, "uncertain", "calibration_expired"),
        (None, "bad", "sensor_fault"),
    ]
    assert (missed.count, missed.answered, [v.value for v in missed.values]) == (4, False, [None, None])
    assert Taker.threads == {"output feed"}


async def test_what_could_not_be_given_when_it_was_new_is_marked(tmp_path: Path) -> None:
    Taker.failures.extend([AWAY, AWAY])
    async with world(tmp_path) as found:
        for slot in range(3):
            found.notifier.values(scan(slot))
        await until(lambda: len(Taker.given) == 3)
        await until(lambda: not found.notifier.stats.outputs["feed"].failing)
        found.notifier.values(scan(3))
        await until(lambda: len(Taker.given) == 4)
    assert [(reading.slot, reading.stored) for reading in Taker.given] == [
        (0, True), (1, True), (2, True), (3, False),
    ]  # fmt: skip


async def test_what_was_taken_before_a_failure_does_not_come_again(tmp_path: Path) -> None:
    Taker.failures.append(OutputError("half", "wait", taken=2))
    async with world(tmp_path) as found:
        for slot in range(5):
            found.notifier.values(scan(slot))
        await until(lambda: len(Taker.given) == 5)
    assert [reading.slot for reading in Taker.given] == list(range(5))


async def test_what_will_never_be_taken_is_counted_and_left(tmp_path: Path) -> None:
    Taker.failures.append(OutputError("never", "", retry=False))
    async with world(tmp_path) as found:
        found.notifier.values(scan(0))
        stats = found.notifier.stats.outputs["feed"].values
        await until(lambda: stats.refused == 1)
        found.notifier.values(scan(1))
        await until(lambda: stats.taken == 1)
        assert stats.queued == 0
        assert [reading.slot for reading in Taker.given] == [1]


@pytest.mark.parametrize("failure", [RuntimeError("bug"), SystemExit(3)])
async def test_a_plugin_that_raises_is_counted_and_its_values_wait(tmp_path: Path, failure: BaseException) -> None:
    Taker.failures.append(failure)
    async with world(tmp_path) as found:
        found.notifier.values(scan(0))
        await until(lambda: len(Taker.given) == 1)
        assert found.notifier.lanes["feed"].cell.faults.raised == 1
        assert "failed by a defect of its own" in found.notifier.lanes["feed"].cell.faults.last


async def test_a_plugin_that_blocks_loses_its_oldest_and_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = {"rest_s": 0.02, "most": 100, "longest_s": 60.0, "again": True}
    monkeypatch.setattr(feed_module.Feed.__init__, "__kwdefaults__", defaults)
    specs = [
        output("stuck", type="taker", settings={"mode": "block"}, to=(), sends=False, values=True, timeout_s=0.2),
        output("fine", type="taker", to=(), sends=False, values=True),
    ]
    async with notifying(site_of(tmp_path, specs, [], points=POINTS), layout=LAYOUT) as found:
        for slot in range(500):
            found.notifier.values(scan(slot))
            if slot % 50 == 0:
                await until(lambda slot=slot: len(Taker.given) >= slot)
        await until(lambda: len(Taker.given) == 500)
        stuck = found.notifier.stats.outputs["stuck"]
        assert stuck.values is not None
        assert stuck.values.dropped == 400
        assert stuck.values.queued == 100
        await until(lambda: stuck.faults.late == 1)
        Taker.hold.set()
        await until(lambda: stuck.values.queued == 0, 20)
    assert [reading.slot for reading in Taker.given[:500]] == list(range(500))


async def test_an_output_for_values_reaches_no_people(tmp_path: Path) -> None:
    """That values go out must not hide that nobody can be told of an alarm."""
    Probe.failure["mail"] = AWAY
    specs = [output("feed", type="taker", to=(), sends=False, values=True), output()]
    site = site_of(tmp_path, specs, [rule()], points=POINTS)
    async with notifying(site, HandClock(), layout=LAYOUT) as found:
        found.notifier.values(scan(0))
        await until(lambda: Taker.given)
        assert not found.notifier.lanes["feed"].spec.tells
        assert found.notifier.lanes["mail"].spec.tells


def test_the_base_takes_nothing() -> None:
    assert not Output.values
