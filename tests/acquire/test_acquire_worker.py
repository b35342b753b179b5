"""Each scheduled slot ends as a scan or in a miss, whatever the bus does; one device never stops the others."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from firmware_interfaces.modbus.model import load_model
from gateway.acquire.station import Acquire
from gateway.clock import boot_ms
from gateway.model import Quality
from gateway.site import BusSpec, Calibration, DeviceSpec, Identity, Site

MODEL = "generic-registers-20"
PERIOD_MS = 100


def site(port: int, units: int = 1, **device: Any) -> Site:
    spec = {"period_ms": PERIOD_MS, "channels": ("r0", "r1"), "model": MODEL, **device}
    return Site(
        identity=Identity(member="m", site="s", gateway="g"),
        data_dir=Path("/nonexistent"),
        buses=(BusSpec(id="bus", kind="modbus-tcp", host="127.0.0.1", port=port, timeout_s=0.5),),
        devices=tuple(DeviceSpec(id=f"unit-{unit}", bus="bus", unit=unit, **spec) for unit in range(1, units + 1)),
    )


@asynccontextmanager
async def acquiring(
    memory: Any, of: Site, resume: dict[str, int] | None = None, now: Callable[[], int] = boot_ms
) -> AsyncIterator[Acquire]:
    station = Acquire(of, {MODEL: load_model(MODEL)}, memory, now)
    task = asyncio.create_task(station.run(resume or {}, now()))
    try:
        yield station
    finally:
        task.cancel()
        await asyncio.wait([task])
        memory.assert_accounted()


async def test_values_come_from_the_registers_at_the_slots_of_the_grid(plant: Any, memory: Any) -> None:
    async with acquiring(memory, site(plant.port)):
        await memory.until(lambda: len(memory.scans(0)) >= 5)
    scans = memory.scans(0)
    for scan in scans:
        assert list(scan.values) == [100.0, 101.0]
        assert scan.quality == bytes((Quality.GOOD, Quality.GOOD))
        assert scan.raw is None
        # How soon after it an answer comes is up to the machine, too.
        assert scan.at_ms >= scan.slot * PERIOD_MS, "nobody is asked before the slot"
    assert all(one.slot < other.slot for one, other in pairwise(scans)), "each slot is answered once"


async def test_the_first_poll_does_not_wait_for_the_next_slot(plant: Any, memory: Any) -> None:
    started = boot_ms()
    async with acquiring(memory, site(plant.port, period_ms=3_600_000)):
        await memory.until(lambda: bool(memory.scans(0)))
    assert memory.scans(0)[0].slot == started // 3_600_000


async def test_a_dead_unit_is_backed_off_and_the_others_keep_their_slots(plant: Any, memory: Any) -> None:
    plant.mute.add(2)
    async with acquiring(memory, site(plant.port, units=3)) as station:
        await memory.until(lambda: len(memory.scans(0)) >= 25)
        assert station.pollers[1].breaker.open
    causes = {miss.quality for miss in memory.misses(1)}
    assert causes <= {Quality.TIMEOUT, Quality.BACKED_OFF, Quality.LATE, Quality.GATEWAY_DOWN}
    assert not memory.scans(1)
    asked = sum(1 for unit, _, _ in plant.reads if unit == 2)
    assert asked <= 4, "a dead unit is probed now and then, not polled"
    late = [miss for miss in memory.misses(0) if miss.quality == Quality.LATE]
    assert sum(miss.count for miss in late) <= 10, "only the first time-outs may cost the others a slot"


async def test_a_unit_that_comes_back_is_polled_again(plant: Any, memory: Any) -> None:
    async with acquiring(memory, site(plant.port)) as station:
        await memory.until(lambda: len(memory.scans(0)) >= 2)
        plant.mute.add(1)
        await memory.until(lambda: station.pollers[0].breaker.open)
        before = len(memory.scans(0))
        plant.mute.clear()
        await memory.until(lambda: len(memory.scans(0)) > before + 2)
        assert not station.pollers[0].breaker.open


async def test_an_exception_is_a_scan_without_values_and_no_reason_to_back_off(plant: Any, memory: Any) -> None:
    plant.refuse[1] = 6
    async with acquiring(memory, site(plant.port)) as station:
        await memory.until(lambda: len(memory.scans(0)) >= 3)
        assert not station.pollers[0].breaker.open
    assert memory.scans(0)[0].quality == bytes((Quality.DEVICE_EXCEPTION,) * 2)
    assert all(value != value for value in memory.scans(0)[0].values), "no error turned into a number"


@pytest.mark.parametrize("code", [10, 11])
async def test_a_converter_that_says_its_unit_is_silent_opens_the_breaker(
    plant: Any, memory: Any, code: int
) -> None:
    plant.refuse[1] = code
    async with acquiring(memory, site(plant.port)) as station:
        await memory.until(lambda: station.pollers[0].breaker.open)
    assert memory.misses(0)[0].quality == Quality.TIMEOUT


async def test_a_register_that_the_unit_lacks_does_not_cost_the_good_ones(plant: Any, memory: Any) -> None:
    plant.missing[1] = {1}
    async with acquiring(memory, site(plant.port)):
        await memory.until(lambda: len(memory.scans(0)) >= 3)
    scan = memory.scans(0)[-1]
    assert scan.values[0] == 100.0
    assert scan.quality == bytes((Quality.GOOD, Quality.NOT_SUPPORTED))
    assert (1, 0, 2) in plant.reads
    assert plant.reads[-1] == (1, 0, 1), "the split is remembered"


async def test_a_lost_connection_is_said_and_made_again(plant: Any, memory: Any) -> None:
    async with acquiring(memory, site(plant.port)):
        await memory.until(lambda: len(memory.scans(0)) >= 2)
        port = plant.port
        await plant.stop()
        await memory.until(lambda: any(m.quality == Quality.BUS_DOWN for m in memory.misses(0)))
        before = len(memory.scans(0))
        await plant.start(port)
        await memory.until(lambda: len(memory.scans(0)) > before)
    assert [event.kind for event in memory.events if event.kind.startswith("bus.")] == ["bus.lost", "bus.back"]


async def test_a_bus_that_was_never_there(memory: Any, unused_tcp_port: int) -> None:
    async with acquiring(memory, site(unused_tcp_port, units=2)):
        await memory.until(lambda: len(memory.misses(0)) >= 2 and len(memory.misses(1)) >= 2)
    assert {miss.quality for miss in memory.records} <= {Quality.BUS_DOWN}
    assert memory.events[0].kind == "bus.lost"


async def test_slots_of_a_stopped_gateway_are_owed_to_the_record(plant: Any, memory: Any) -> None:
    newest = boot_ms() // PERIOD_MS - 7
    async with acquiring(memory, site(plant.port), resume={"unit-1": newest}):
        await memory.until(lambda: len(memory.scans(0)) >= 1)
    first = memory.of(0)[0]
    assert first.slot == newest + 1
    assert first.quality == Quality.GATEWAY_DOWN
    assert 6 <= first.count <= 60, "about seven, and as many more as the start took"


async def test_a_slot_that_is_on_record_is_not_polled_twice(plant: Any, memory: Any) -> None:
    newest = boot_ms() // PERIOD_MS
    async with acquiring(memory, site(plant.port), resume={"unit-1": newest}):
        await memory.until(lambda: len(memory.scans(0)) >= 1)
    assert memory.of(0)[0].slot > newest


async def test_a_slow_device_misses_slots_but_none_is_replayed(plant: Any, memory: Any) -> None:
    plant.delay_s[1] = 0.25
    async with acquiring(memory, site(plant.port)):
        await memory.until(lambda: len(memory.scans(0)) >= 4)
    assert any(miss.quality == Quality.LATE for miss in memory.misses(0))
    times = [scan.at_ms for scan in memory.scans(0)]
    assert all(b - a >= 200 for a, b in pairwise(times)), "no stale polls are worked off"


async def test_raw_and_corrected_values_are_both_kept(plant: Any, memory: Any) -> None:
    calibration = Calibration(certificate="C-1", valid_until=date(2027, 1, 1), points=((100.0, 99.5),))
    async with acquiring(memory, site(plant.port, calibration={"r0": calibration})) as station:
        await memory.until(lambda: len(memory.scans(0)) >= 1)
        columns = [(c.channel, c.role) for c in station.layout.devices[0].columns]
    assert columns == [("r0", "value"), ("r0", "indicated"), ("r1", "value")]
    assert list(memory.scans(0)[0].values) == [99.5, 100.0, 101.0]


async def test_a_defect_in_one_worker_is_recorded_and_survived(
    plant: Any, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with acquiring(memory, site(plant.port)) as station:
        await memory.until(lambda: len(memory.scans(0)) >= 1)
        healthy = station.pollers[0].scan
        monkeypatch.setattr(station.pollers[0], "scan", lambda *_: 1 / 0)
        await memory.until(lambda: any(event.kind == "device.fault" for event in memory.events))
        monkeypatch.setattr(station.pollers[0], "scan", healthy)
        before = len(memory.scans(0))
        await memory.until(lambda: len(memory.scans(0)) > before)
    assert any(miss.quality == Quality.GATEWAY_FAULT for miss in memory.misses(0))


async def test_an_endpoint_that_accepts_and_hangs_up_is_told_once(memory: Any) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with acquiring(memory, site(server.sockets[0].getsockname()[1])) as station:
        await memory.until(lambda: station.workers[0].stats.connects >= 3)
    server.close()
    assert [event.kind for event in memory.events] == ["bus.lost"]


async def test_after_the_machine_slept_what_is_due_is_polled_at_once(plant: Any, memory: Any) -> None:
    """While it sleeps boot time goes on and timers do not."""
    slept_ms = 0
    async with acquiring(
        memory, site(plant.port, period_ms=3_600_000), now=lambda: boot_ms() + slept_ms
    ) as station:
        await memory.until(lambda: len(memory.scans(0)) == 1)
        slept_ms = 2 * 3_600_000
        station.awake()
        await memory.until(lambda: len(memory.scans(0)) == 2)
    first, second = memory.scans(0)
    assert second.slot == first.slot + 2
