"""The metrics: one table in code, one page, one clean exposition, and the accounting identity in figures."""

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from app_tools import ROOT

from gateway.app import Gateway
from gateway.clock import Clock
from gateway.metrics import TABLE, Exposition
from gateway.site import BusSpec, DeviceSpec, Identity, PointSpec, Site

SAMPLE = re.compile(r"^([a-z_]+?)(_bucket|_sum|_count)?(\{.*\})? (\S+)$")


@pytest.fixture
async def exposition(tmp_path: Path, unused_tcp_port: int) -> str:
    """What a gateway says that polls one unit that answers and one bus that is not there."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while len(head := await reader.read(12)) == 12:
            count = head[11]
            body = bytes((head[6], head[7], 2 * count)) + bytes(2 * count)
            writer.write(head[:4] + len(body).to_bytes(2, "big") + body)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    site = Site(
        identity=Identity(member="m", site="s", gateway="g"),
        data_dir=tmp_path,
        buses=(
            BusSpec(id="up", kind="modbus-tcp", host="127.0.0.1", port=port),
            BusSpec(id="down", kind="modbus-tcp", host="127.0.0.1", port=unused_tcp_port),
        ),
        devices=(
            DeviceSpec(id="a", bus="up", model="generic-registers-20", unit=1, period_ms=100),
            DeviceSpec(id="b", bus="down", model="generic-registers-20", unit=1, period_ms=100),
        ),
        points=(PointSpec(id="p", name="P", device="a", channel="r0"),),
        web=None,
        digest="00" * 32,
    )
    gateway, stop = Gateway(site, Clock()), asyncio.Event()
    running = asyncio.create_task(gateway.run(stop))
    async with asyncio.timeout(20):
        while gateway.acquire.pollers[0].stats.scans < 10:
            await asyncio.sleep(0.05)
    text, content_type = Exposition(gateway).text()
    stop.set()
    await running
    server.close()
    assert content_type.startswith("text/plain")
    return text.decode()


def samples(text: str) -> dict[str, float]:
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            match = SAMPLE.match(line)
            assert match is not None, line
            found[line.rsplit(" ", 1)[0]] = float(match[4])
    return found


async def test_promtool_finds_nothing_to_say(exposition: str) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: run scripts/install-system-packages test"
    done = subprocess.run(
        [promtool, "check", "metrics"], input=exposition, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""


async def test_everything_exposed_is_in_the_table(exposition: str) -> None:
    names = {line.split()[2] for line in exposition.splitlines() if line.startswith("# TYPE aurora_")}
    assert names <= set(TABLE), names - set(TABLE)
    assert {"aurora_scans_total", "aurora_values_total", "aurora_missed_slots_total", "aurora_clock_state"} <= names


async def test_scans_and_missed_slots_are_what_was_scheduled(exposition: str) -> None:
    found = samples(exposition)
    scans = found['aurora_scans_total{device="a"}']
    assert found['aurora_values_total{device="a",reason="clock_untrusted",severity="uncertain"}'] == 20 * scans
    assert found['aurora_missed_slots_total{cause="bus_down",device="b"}'] >= 5
    assert found['aurora_bus_up{bus="up"}'] == 1
    assert found['aurora_bus_up{bus="down"}'] == 0
    assert found['aurora_poll_duration_seconds_count{device="a"}'] == scans
    assert found['aurora_clock_state{state="untrusted"}'] == 1
    assert "aurora_clock_error_seconds" not in exposition, "what is not known is not exposed as a number"


def test_the_page_says_what_the_table_says() -> None:
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(aurora_\w+)` \| (\w+) \| ([^|]*) \| (.*) \|$", page, re.MULTILINE)
    assert {name: (kind, labels, words) for name, kind, labels, words in rows} == {
        name: (row.kind, ", ".join(row.labels) or "-", row.help) for name, row in TABLE.items()
    }


def test_names_follow_the_conventions() -> None:
    for name, row in TABLE.items():
        assert name.startswith("aurora_")
        assert name.endswith("_total") == (row.kind == "counter"), name
        assert not re.search(r"_(ms|minutes|kb|mb)(_|$)", name), f"{name}: base units"
        assert row.help.endswith(".")
