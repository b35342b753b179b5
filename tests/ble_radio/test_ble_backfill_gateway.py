"""A whole gateway through a gap: missed, read later, judged as the past, exported and proven."""

import asyncio
import csv
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from bluez_standin import StandIn
from test_ble_backfill import tag_at
from test_ble_gateway import TAG, exposed, gateway_of, recorded, ruuvi

from gateway.buffer.reader import Reader
from gateway.config import check_site
from gateway.model import Quality, Scan
from gateway.records import Archive
from gateway.seal.backfill import BACKFILL

SITE = f"""
[gateway]
member = "m"
site = "s"
id = "g"
data_dir = "data"

[web]
listen = false

[[bus]]
id = "air"
type = "ble"

[[device]]
id = "chiller"
bus = "air"
model = "ruuvi-tag"
address = "{TAG}"
period = "1s"
channels = ["temperature", "humidity", "rssi"]

[[point]]
id = "chiller"
name = "Chiller"
channel = "chiller.temperature"
[point.limits]
high-critical = 8.0
"""


@pytest.fixture
def quick_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tag that keeps a value every second."""
    monkeypatch.setattr("firmware_interfaces.ble.logs.ruuvi.RuuviLog.interval_s", 1.0)


async def test_a_gap_is_filled_judged_exported_and_proven(bluez: StandIn, tmp_path: Path, quick_log: None) -> None:
    path = tmp_path / "site.toml"
    path.write_text(SITE)
    site, problems = check_site(SITE, str(path), tmp_path)
    assert site is not None, problems
    tag_at(bluez, [(age, 1000) for age in range(30, -1, -1)])
    bluez.adapters["hci0"].discovering = 0
    async with gateway_of(tmp_path, site) as gateway:
        (poller,) = gateway.acquire.pollers
        desk, number = gateway.acquire.air[0].backfill, 0
        async with asyncio.timeout(50):
            while poller.stats.scans < 2:
                number += bluez.heard(TAG, {0x0499: ruuvi(number)}, rssi=-70)
                await asyncio.sleep(0.1)
            while poller.stats.missed.get(Quality.STALE, 0) < 3:
                await asyncio.sleep(0.1)
            while not desk.done:
                number += bluez.heard(TAG, {0x0499: ruuvi(number)}, rssi=-70)
                await asyncio.sleep(0.1)
        found = exposed(gateway)
        assert found["aurora_ble_backfills_total", "air", "done"] >= 1
        assert found["aurora_ble_connections_total", "air"] >= 1
        backfilled = found["aurora_ble_backfilled_slots_total", "chiller"]
    assert backfilled > 0
    scans = [record for record in recorded(site.data_dir) if isinstance(record, Scan)]
    assert all(scan.values[0] == 24.3 for scan in scans), "nothing of the log is a scan"
    archive = Archive()
    with closing(Reader(site.data_dir / "journal.db")) as reader:
        bodies = [batch.body for batch in reader.batches("event", 0, 10_000) if batch.body is not None]
    events = [stored.event for stored in archive.add_events(bodies)]
    kinds = [event.kind for event in events]
    assert kinds.index(BACKFILL) < kinds.index("backfill.deviation") < kinds.index("backfill.done")
    later = list(archive.backfilled())
    assert later
    assert {(r.channel, r.value, r.quality) for r in later} == {
        ("temperature", 10.0, Quality.BACKFILLED),
        ("humidity", 50.0, Quality.BACKFILLED),
    }
    assert not {scan.slot for scan in scans}.intersection(r.slot for r in later)
    (past,) = (event for event in events if event.kind == "backfill.deviation")
    assert "in the past" in past.data["words"]

    def run(*words: str) -> str:
        command = [sys.executable, "-m", "gateway.cli", *words]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=50)
        return done.stdout

    await asyncio.to_thread(run, "export", str(path), "--format", "batches", "--out", str(tmp_path / "evidence"))
    proven = await asyncio.to_thread(run, "verify", str(tmp_path / "evidence"))
    assert "the record is whole" in proven
    assert f"{len({r.slot for r in later})} missed slots backfilled" in proven
    table = await asyncio.to_thread(run, "export", str(path), "--format", "csv")
    rows = [row for row in csv.DictReader(table.splitlines()) if row["reason"] == "backfilled"]
    assert len(rows) == len(later)
    assert {row["severity"] for row in rows} == {"uncertain"}
