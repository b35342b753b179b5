"""A gateway with Bluetooth sensors, from the air to the signed record: real bleak, real D-Bus, real journal."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from bluez_standin import StandIn
from prometheus_client.parser import text_string_to_metric_families

from gateway.app import Gateway
from gateway.buffer.reader import Reader
from gateway.clock import Clock
from gateway.metrics import TABLE, Exposition
from gateway.model import Miss, Quality, Scan
from gateway.records import Archive
from gateway.site import BufferSpec, BusSpec, DeviceSpec, Identity, Site
from gateway.status import Status

TAG = "CB:B8:33:4C:88:4F"


def ruuvi(sequence: int) -> bytes:
    frame = bytearray.fromhex("0512fc5394c37c0004fffc040cac364200cdcbb8334c884f")
    frame[16:18] = sequence.to_bytes(2, "big")
    return bytes(frame)


def site_of(folder: Path) -> Site:
    device = DeviceSpec(
        id="chiller",
        bus="air",
        model="ruuvi-tag",
        unit=0,
        period_ms=200,
        channels=("temperature", "humidity", "rssi"),
        address=TAG,
    )
    return Site(
        identity=Identity(member="m", site="s", gateway="g"),
        data_dir=folder,
        buses=(BusSpec(id="air", kind="ble"),),
        devices=(device,),
        buffer=BufferSpec(loss_window_ms=50),
        web=None,
        digest="00" * 32,
    )


@asynccontextmanager
async def gateway_of(folder: Path, site: Site | None = None) -> AsyncIterator[Gateway]:
    site = site or site_of(folder)
    gateway, stop = Gateway(site, Clock(site.clock)), asyncio.Event()
    task = asyncio.create_task(gateway.run(stop))
    try:
        while not task.done() and not hasattr(gateway, "journal"):
            await asyncio.sleep(0.01)
        yield gateway
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await task


async def test_from_the_air_to_the_signed_record(bluez: StandIn, tmp_path: Path) -> None:
    async with gateway_of(tmp_path) as gateway:
        (poller,) = gateway.acquire.pollers
        number = 0
        async with asyncio.timeout(20):
            while poller.stats.scans < 5:
                number += bluez.heard(TAG, {0x0499: ruuvi(number)}, rssi=-70)
                await asyncio.sleep(0.05)
            before = sum(poller.stats.missed.values())
            while sum(poller.stats.missed.values()) < before + 2:
                await asyncio.sleep(0.05)
        snapshot = Status(gateway).snapshot()
        facts = {fact["name"]: fact["words"] for fact in snapshot["health"]}
        assert facts["Bus air"] == "connected"
        found = exposed(gateway)
        assert found["aurora_bus_up", "air"] == 1
        assert found["aurora_ble_reports_total", "air"] >= 5
        assert found["aurora_ble_signal_dbm", "chiller", "hci0"] == -70
        assert found["aurora_ble_replays_total", "chiller"] == 0
        assert found["aurora_ble_recovery_steps_total", "air", "first", "adapter-reset"] == 0
    records = recorded(tmp_path)
    scans = [record for record in records if isinstance(record, Scan)]
    assert len(scans) >= 5
    assert all(list(scan.values) == [24.3, 53.49, -70.0] for scan in scans)
    assert len({scan.at_ms for scan in scans}) == len(scans)
    misses = {record.quality for record in records if isinstance(record, Miss)}
    assert misses <= {Quality.STALE, Quality.GATEWAY_DOWN, Quality.BUS_DOWN}
    assert Quality.STALE in misses
    slots = sorted(
        slot
        for record in records
        for slot in range(record.slot, record.slot + (record.count if isinstance(record, Miss) else 1))
    )
    assert slots == list(range(slots[0], slots[-1] + 1))


def exposed(gateway: Gateway) -> dict[tuple[str, ...], float]:
    """Samples by name and labels, in the order of the table."""
    return {
        (sample.name, *(sample.labels[label] for label in TABLE[sample.name].labels)): sample.value
        for metric in text_string_to_metric_families(Exposition(gateway).text()[0].decode())
        for sample in metric.samples
        if sample.name in TABLE
    }


def recorded(folder: Path) -> list[Scan | Miss]:
    """What the sealed batches hold."""
    archive = Archive()
    with closing(Reader(folder / "journal.db")) as reader:
        events = [batch.body for batch in reader.batches("event", 0, 10_000) if batch.body is not None]
        scans = [batch.body for batch in reader.batches("scan", 0, 10_000) if batch.body is not None]
    assert list(archive.add_events(events))
    return [record for body in scans for record in archive.scans(body)[2]]


async def test_without_bluetooth_the_gateway_runs_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    async with gateway_of(tmp_path) as gateway:
        async with asyncio.timeout(20):
            while not gateway.acquire.pollers[0].stats.missed:
                await asyncio.sleep(0.02)
        assert set(gateway.acquire.pollers[0].stats.missed) == {Quality.BUS_DOWN}
        (fact,) = (fact for fact in Status(gateway).snapshot()["health"] if fact["name"] == "Bus air")
        assert "D-Bus" in fact["words"]
