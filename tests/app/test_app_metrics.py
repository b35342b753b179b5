"""The metrics: one table in code, one page, one clean exposition, and the accounting identity in figures."""

import asyncio
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from app_tools import ROOT, Record, Unit, record_of, running, site_of, until

from gateway.app import Gateway
from gateway.metrics import TABLE, Exposition
from gateway.model import Condition, Tier
from gateway.site import BusSpec, ClockSpec, ClusterSpec, OutputSpec
from gateway.sync.stats import UplinkStats


class Scraped(NamedTuple):
    """Two scrapes of one gateway with a second of polling between them, one more at its end, and its record."""

    first: str
    second: str
    last: str
    record: Record


def text_of(gateway: Gateway) -> str:
    text, content_type = Exposition(gateway).text()
    assert content_type.startswith("text/plain")
    return text.decode()


class Troubled(NamedTuple):
    """An uplink as the metrics see it."""

    stats: UplinkStats


async def scrape(folder: Path) -> Scraped:
    """Run a gateway that polls one unit that answers and one bus that is not there, and finds no cluster key."""
    async with Unit() as nobody:
        pass
    async with Unit() as unit:
        site = site_of(folder, unit.port, clock=ClockSpec(source="host", error_s=0.5))
        site = replace(
            site,
            buses=(*site.buses, BusSpec(id="down", kind="modbus-tcp", host="127.0.0.1", port=nobody.port)),
            devices=(*site.devices, replace(site.devices[0], id="b", bus="down")),
            cluster=ClusterSpec(host="127.0.0.1", port=nobody.port, receipt_key=folder / "nowhere.pem"),
            outputs=(
                OutputSpec(id="hook", type="webhook", settings={"url": f"http://127.0.0.1:{nobody.port}/"}),
                OutputSpec(id="drop", type="csv-drop", settings={"folder": folder}, sends=False, values=True),
            ),
        )
        async with running(site) as gateway:
            await until(lambda: gateway.acquire.pollers[0].stats.scans > 5)
            first = text_of(gateway)
            await gateway.journal.flush(seal=True)
            await until(lambda: gateway.acquire.pollers[0].stats.scans > 15)
            await until(lambda: gateway.assess.gaps[1].open_since is not None)
            await until(lambda: gateway.people is not None and "hook" in gateway.people.notifier.stats.outputs)
            await until(
                lambda: gateway.vitals.disk.free_bytes is not None and gateway.vitals.lag.longest_s is not None
            )
            now = gateway.clock.now_ms()
            gateway.assess.condition(
                Condition(
                    alarm="p/test", active=True, at_ms=now, since_ms=now, rule="test", tier=Tier.ALERT, point="p"
                ),
                "test",
            )
            gateway.uplink = Troubled(
                UplinkStats(
                    refused=Counter({"puback 135": 2}),
                    bad_answers=Counter({'odd "kind"\n': 1}),
                    receipt_ms={"scan": gateway.clock.now_ms() - 1500},
                )
            )
            second = text_of(gateway)
    return Scraped(first, second, text_of(gateway), record_of(site))


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Scraped:
    return asyncio.run(scrape(tmp_path_factory.mktemp("metrics")))


def samples(text: str) -> dict[str, float]:
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            assert name not in found, f"{name} stands there twice"
            found[name] = float(value)
    return found


def kinds(text: str) -> dict[str, str]:
    return dict(re.findall(r"^# TYPE (aurora_\w+) (\w+)$", text, re.MULTILINE))


def test_promtool_finds_nothing_to_say(scraped: Scraped) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: run scripts/install-system-packages test"
    for text in (scraped.first, scraped.second):
        done = subprocess.run(
            [promtool, "check", "metrics"], input=text, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""


def test_everything_in_the_table_is_exposed_and_nothing_else(scraped: Scraped) -> None:
    # Those of Bluetooth need a sensor in the air (tests/ble_radio); what the disk tells depends on the disk, and a
    # forecast needs an hour (tests/operations); rules are in plugins (tests/plugins); serial lines and the board
    # have tests of their own (tests/serial_line, tests/wired_files).
    elsewhere = ("aurora_ble_", "aurora_disk_", "aurora_rule_", "aurora_line_", "aurora_board_", "aurora_scanner_")
    assert {name: kind for name, kind in kinds(scraped.second).items() if not name.startswith(elsewhere)} == {
        name: row.kind for name, row in TABLE.items() if not name.startswith(elsewhere)
    }
    assert set(kinds(scraped.first)) <= set(TABLE)


def test_every_sample_belongs_to_a_row_and_has_its_labels(scraped: Scraped) -> None:
    for line in samples(scraped.second):
        name, _, labels = line.partition("{")
        if name.startswith("process_"):
            continue
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        row = TABLE.get(name) or TABLE[base]
        given = set(re.findall(r'([a-z_]+)="', labels)) - {"le"}
        assert given == set(row.labels), line


def test_counters_never_fall_and_the_living_ones_rise(scraped: Scraped) -> None:
    first, second, last = samples(scraped.first), samples(scraped.second), samples(scraped.last)
    for before, after in ((first, second), (second, last)):
        for name, value in before.items():
            if re.search(r"(_total|_bucket|_sum|_count)(\{|$)", name):
                assert after[name] >= value, name
    assert second['aurora_scans_total{device="a"}'] >= first['aurora_scans_total{device="a"}'] + 10
    assert second["aurora_sealed_batches_total"] > first["aurora_sealed_batches_total"]


def total(found: dict[str, float], name: str, device: str) -> float:
    return sum(value for line, value in found.items() if line.startswith(name) and f'device="{device}"' in line)


@pytest.mark.parametrize("device", ["a", "b"])
def test_scans_and_missed_slots_are_what_was_scheduled(scraped: Scraped, device: str) -> None:
    """What the counters say when the gateway has ended is what stands in the record, slot by slot."""
    found = samples(scraped.last)
    scheduled = scraped.record.count(device)
    assert scheduled > 15
    assert (
        total(found, "aurora_scans_total", device) + total(found, "aurora_missed_slots_total", device) == scheduled
    )


def test_what_is_up_and_what_is_down(scraped: Scraped) -> None:
    found = samples(scraped.second)
    scans = found['aurora_scans_total{device="a"}']
    assert found['aurora_values_total{device="a",reason="good",severity="good"}'] == 20 * scans
    assert found['aurora_missed_slots_total{cause="bus_down",device="b"}'] >= 15
    assert found['aurora_gap_open{device="b"}'] == 1
    assert found['aurora_bus_up{bus="up"}'] == 1
    assert found['aurora_bus_up{bus="down"}'] == 0
    assert found['aurora_poll_duration_seconds_count{device="a"}'] == scans
    assert found['aurora_poll_duration_seconds_bucket{device="a",le="+Inf"}'] == scans
    assert found['aurora_clock_state{state="trusted"}'] == 1
    assert found["aurora_clock_error_seconds"] == pytest.approx(0.5, abs=0.1)
    assert found['aurora_receipt_age_seconds{stream="scan"}'] >= 1.5
    assert found['aurora_backlog_batches{stream="scan"}'] >= 2
    assert found['aurora_uplink_bad_answers_total{kind="odd \\"kind\\"\\n"}'] == 1


async def test_what_is_not_known_is_not_exposed_as_a_number(tmp_path: Path) -> None:
    async with Unit() as unit, running(site_of(tmp_path, unit.port)) as gateway:
        text = text_of(gateway)
    assert samples(text)['aurora_clock_state{state="untrusted"}'] == 1
    for name in ("aurora_clock_error_seconds", "aurora_uplink_up", "aurora_receipt_age_seconds"):
        assert f"\n{name}" not in text


async def test_lost_events_are_not_counted_as_values(tmp_path: Path) -> None:
    async with Unit() as unit, running(site_of(tmp_path, unit.port)) as gateway:
        gateway.journal._events_dropped = 3
        found = samples(text_of(gateway))
        gateway.journal._events_dropped = 0
    assert found["aurora_events_dropped_total"] == 3
    assert not any("memory-events" in name for name in found)


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
