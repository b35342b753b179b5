"""kill -9 while outputs that take values are away: the next process gives them all that was recorded meanwhile."""

import asyncio
import csv
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from app_tools import Unit
from notify_tools import until
from test_notify_mqtt import Mosquitto, pytestmark  # noqa: F401 - the skip
from test_notify_sparkplug import host

from gateway.buffer.reader import Reader
from gateway.errors import AuroraError
from gateway.records import Archive, backwards

ROOT = Path(__file__).parents[2]
SITE = """
[gateway]
member = "dairy"
site = "plant-1"
id = "gw-1"
data_dir = "data"
[clock]
source = "host"
error_s = 0.5
[buffer]
loss_window_s = 0.1
[[bus]]
id = "line"
type = "modbus-tcp"
host = "127.0.0.1"
port = {unit}
[[device]]
id = "a"
bus = "line"
model = "generic-registers-20"
unit = 1
period_s = 0.1
[[output]]
id = "drop"
type = "csv-drop"
folder = "{folder}"
reserve_mb = 0
[[output]]
id = "scada"
type = "sparkplug"
host = "127.0.0.1"
port = {broker}
"""


@asynccontextmanager
async def daemon(site: Path) -> AsyncIterator["subprocess.Popen[bytes]"]:
    """The gateway as a process of its own."""
    with (site.parent / "log.txt").open("ab") as log:
        words = [sys.executable, "-m", "gateway.cli", "run", str(site)]
        process = subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)


def on_disk(site: Path) -> int:
    """How many slots of the device the journal holds by now."""
    try:
        reader = Reader(site.parent / "data/journal.db")
        archive = Archive(layouts=reader.layouts())
        count = sum(len(records) for _, _, records in reader.tail())
        count += sum(len(archive.scans(body)[2]) for body, _ in backwards(reader))
        reader.close()
    except AuroraError:
        return 0
    return count


def rows(folder: Path) -> list[dict[str, str]]:
    """What has been dropped of one channel, also in the file that is being written."""
    found = []
    for path in sorted(folder.iterdir()):
        with path.open(newline="") as file:
            found += [row for row in csv.DictReader(file) if row["channel"] == "r0"]
    return found


async def attempts(site: Path) -> None:
    """Both outputs have tried, and the reason was said."""
    log = site.parent / "log.txt"
    await until(lambda: "output drop" in (text := log.read_text()) and "output scada" in text, 30.0)


@pytest.mark.timeout(120)
async def test_what_waited_is_given_by_the_next_process(tmp_path: Path) -> None:
    broker, folder, site = Mosquitto(tmp_path), tmp_path / "drop", tmp_path / "site.toml"
    async with Unit(word=7) as unit:
        site.write_text(SITE.format(unit=unit.port, folder=folder, broker=broker.port))
        async with daemon(site) as process:
            await attempts(site)
            before = on_disk(site)
            await until(lambda: on_disk(site) >= before + 20, 30.0)
            os.kill(process.pid, signal.SIGKILL)
        waiting = on_disk(site)
        folder.mkdir()
        broker.start()
        try:
            async with host(broker) as (_, said), daemon(site) as process:
                await until(lambda: sum(row["stored"] == "0" for row in rows(folder)) >= 5, 40.0)
                stored = [row for row in rows(folder) if row["stored"] == "1" and row["severity"] == "good"]
                await until(lambda: len(history(said)) >= len(stored), 40.0)
                process.send_signal(signal.SIGTERM)
                await asyncio.to_thread(process.wait, 20)
        finally:
            broker.stop()
    given = rows(folder)
    assert len(stored) >= 20
    assert waiting >= 20
    # One after the other, none left out, none twice: also the time between the two processes is told.
    spans = [(int(row["slot"]), int(row["count"])) for row in given]
    assert [slot for slot, _ in spans[1:]] == [slot + count for slot, count in spans[:-1]]
    assert any(row["reason"] == "gateway_down" for row in given)
    # What is new is not kept back behind history, and history is never told as what is so now.
    assert [row["stored"] for row in given] == sorted((row["stored"] for row in given), reverse=True)


def history(said: list) -> set[int]:  # type: ignore[type-arg]
    """Times of the stored values that the host was told."""
    return {
        metric.timestamp
        for kind, payload in said
        if kind == "DDATA/a"
        for metric in payload.metrics
        if metric.is_historical
    }


@pytest.mark.timeout(120)
async def test_an_orderly_restart_gives_nothing_twice_and_leaves_nothing_out(tmp_path: Path) -> None:
    broker, folder, site = Mosquitto(tmp_path), tmp_path / "drop", tmp_path / "site.toml"
    folder.mkdir()
    async with Unit(word=7) as unit:
        site.write_text(SITE.format(unit=unit.port, folder=folder, broker=broker.port))
        seen = 0
        for _ in range(2):
            async with daemon(site) as process:
                await until(lambda: len(rows(folder)) >= seen + 10, 40.0)  # noqa: B023 - waited for here
                process.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(process.wait, 20) == 0
            seen = len(rows(folder))
    spans = [(int(row["slot"]), int(row["count"])) for row in rows(folder)]
    assert [slot for slot, _ in spans[1:]] == [slot + count for slot, count in spans[:-1]]
