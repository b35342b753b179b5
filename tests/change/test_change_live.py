"""A site file that changes under a running gateway with real Modbus units: who is not touched does not notice."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from app_tools import Unit, record_of, until
from change_tools import (
    HEAD,
    bus_text,
    causes,
    checked_here,
    device_text,
    device_values,
    plant,
    point_text,
    two_buses,
    two_units,
    verified,
    whole,
)

from gateway.change import changes
from gateway.change.plan import ChangeError
from gateway.cli import main
from gateway.model import Quality
from gateway.status import Status


@pytest.fixture(autouse=True)
def no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "inquire", checked_here)


class TestUntouchedDevices:
    async def test_they_keep_worker_grid_breaker_and_counters_and_lose_no_slot(self, tmp_path: Path) -> None:
        async with two_units() as (one, two), plant(tmp_path, two_buses(one.port, two.port)) as here:
            await here.more("b")
            before, scans = here.poller("b"), here.poller("b").stats.scans
            worker = next(worker for worker in here.gateway.acquire.buses if worker.stats.id == "two")
            connects = worker.stats.connects
            # A device that sorts before it: b stands elsewhere in the layout from now on.
            text = here.path.read_text().replace(
                device_text("a", "one"), device_text("a", "one") + device_text("c", "one", unit=2)
            )
            done = await here.apply(text=text)
            assert done["applied"]
            assert here.poller("b") is before
            assert before.index == 2
            assert before.stats.scans >= scans
            await here.more("b")
            await here.more("c")
            assert worker in here.gateway.acquire.buses
            assert worker.stats.connects == connects
            site = here.gateway.site
        record = whole(site, tmp_path, "a", "b", "c")
        assert Quality.NOT_STARTED not in causes(record.slots["b"])
        missed = before.stats.missed
        assert sum(missed.values()) == sum(causes(record.slots["b"]).values())
        assert record.count("b") == before.stats.scans + sum(missed.values())

    async def test_values_stay_with_their_device_when_places_are_exchanged(self, tmp_path: Path) -> None:
        async with two_units() as (one, two), plant(tmp_path, two_buses(one.port, two.port)) as here:
            text = here.path.read_text()
            a, b = device_text("a", "one"), device_text("b", "two")
            for _ in range(3):
                text = text.replace(a, "@").replace(b, a).replace("@", b)
                await here.apply(text=text)
                await asyncio.gather(here.more("a"), here.more("b"))
            latest = {poller.spec.id: here.gateway.latest[poller.index] for poller in here.gateway.acquire.pollers}
            assert {name: scan and scan.values[0] for name, scan in latest.items()} == {"a": 1, "b": 2}
            site = here.gateway.site
        whole(site, tmp_path, "a", "b")
        out = tmp_path / "values.jsonl"
        assert main(["export", site.source, "--format", "jsonl", "--out", str(out)]) == 0
        exported = [json.loads(line) for line in out.read_text().splitlines()]
        values = {(line["device"], line["value"]) for line in exported if line.get("value") is not None}
        assert values == {("a", 1.0), ("b", 2.0)}

    async def test_a_change_that_touches_no_bus_starts_none_anew(self, tmp_path: Path) -> None:
        async with two_units() as (one, two), plant(tmp_path, two_buses(one.port, two.port)) as here:
            buses = list(here.gateway.acquire.buses)
            done = await here.apply([{"op": "set", "path": ["point", "p", "name"], "value": "Cold room"}])
            assert here.gateway.acquire.buses == buses
            assert Status(here.gateway).snapshot()["points"][0]["name"] in {"Cold room", "Q"}
            assert "2 of 2 devices do not notice" in [fact["words"] for fact in done["consequences"]]
            await here.more("a")
            site = here.gateway.site
        record = whole(site, tmp_path, "a", "b")
        assert not causes(record.slots["a"]).get(Quality.NOT_STARTED)

    async def test_an_open_gap_stays_open_over_the_change(self, tmp_path: Path) -> None:
        async with Unit() as one:
            async with Unit() as gone:
                port = gone.port
            async with plant(tmp_path, two_buses(one.port, port)) as here:
                await until(lambda: here.gateway.assess.gaps[1].open_since is not None)
                began = here.gateway.assess.gaps[1].open_since
                text = here.path.read_text().replace(
                    device_text("a", "one"), device_text("a", "one") + device_text("c", "one", unit=2)
                )
                await here.apply(text=text)
                assert here.gateway.assess.gaps[2].open_since == began
                gone.port = port
                async with gone:
                    await here.more("b", 1)
                site = here.gateway.site
        record = whole(site, tmp_path, "a", "b", "c")
        assert record.one("gap.opened").data["slot"] == record.one("gap.closed").data["slot"] == began


class TestDevicesThatChange:
    async def test_every_slot_is_accounted_for_over_many_changes_and_ways_back(self, tmp_path: Path) -> None:
        periods = [0.1, 0.2, 0.1, 0.3, 0.2]
        async with two_units() as (one, two), plant(tmp_path, two_buses(one.port, two.port)) as here:
            for period in periods:
                await here.apply([{"op": "set", "path": ["device", "a", "period_s"], "value": period}])
                await here.more("a", 2)
            scans = here.poller("a").stats.scans
            site = here.gateway.site
        record = record_of(site)
        verified(site, tmp_path)
        assert Quality.GATEWAY_DOWN not in causes(record.slots["b"])
        assert scans >= 2 * len(periods)
        assert len([event for event in record.events if event.kind == "layout"]) == 3

    async def test_a_device_that_comes_back_says_for_how_long_it_was_not_polled(self, tmp_path: Path) -> None:
        values = device_values("b", "two")
        async with two_units() as (one, two), plant(tmp_path, two_buses(one.port, two.port)) as here:
            await here.more("b")
            await here.apply(
                [{"op": "remove", "path": ["device", "b"]}, {"op": "remove", "path": ["point", "q"]}],
            )
            assert [poller.spec.id for poller in here.gateway.acquire.pollers] == ["a"]
            await here.more("a", 8)
            await here.apply([{"op": "add", "path": ["device"], "values": values}])
            await here.more("b")
            site = here.gateway.site
        record = whole(site, tmp_path, "a", "b")
        assert causes(record.slots["b"])[Quality.NOT_STARTED] >= 5

    async def test_also_over_a_restart_in_between(self, tmp_path: Path) -> None:
        async with two_units() as (one, two):
            text = two_buses(one.port, two.port)
            async with plant(tmp_path, text) as here:
                await here.more("b")
                await here.apply([{"op": "set", "path": ["device", "b", "period_s"], "value": 0.2}])
                await here.more("b")
            async with plant(tmp_path, here.path.read_text()) as here:
                await here.more("b")
                await here.apply([{"op": "set", "path": ["device", "b", "period_s"], "value": 0.1}])
                await here.more("b")
                site = here.gateway.site
        assert record_of(site).kinds().count("power_up") == 2
        verified(site, tmp_path)

    async def test_a_calibration_takes_effect_and_the_layout_says_so(self, tmp_path: Path) -> None:
        calibration = {"certificate": "K-1", "valid_until": "2099-01-31", "points": [[0.0, 0.5], [10.0, 10.5]]}
        async with two_units() as (one, two), plant(tmp_path, two_buses(one.port, two.port)) as here:
            done = await here.apply(
                [{"op": "add", "path": ["device", "a", "calibration", "r0"], "values": calibration}]
            )
            assert {fact["kind"] for fact in done["consequences"]} >= {"bus-restarts", "device-changed"}
            await here.more("a")
            scan = here.gateway.latest[0]
            assert scan is not None
            assert list(scan.values[:2]) == [1.5, 1.0]
            site = here.gateway.site
        whole(site, tmp_path, "a", "b")

    async def test_counters_of_a_device_count_on_when_its_bus_begins_anew(self, tmp_path: Path) -> None:
        async with two_units() as (one, two), plant(tmp_path, two_buses(one.port, two.port)) as here:
            await here.more("a", 5)
            scans = here.poller("a").stats.scans
            before = here.poller("a")
            await here.apply(
                [{"op": "add", "path": ["device"], "values": device_values("c", "one", unit=2)}],
            )
            assert here.poller("a") is not before
            assert here.poller("a").stats.scans >= scans
            assert here.poller("a").patience is before.patience
            await here.more("c")

    async def test_all_buses_can_go_and_others_come(self, tmp_path: Path) -> None:
        async with two_units() as (one, two):
            text = HEAD + bus_text("one", one.port) + device_text("a", "one")
            async with plant(tmp_path, text) as here:
                await here.apply(text=HEAD + bus_text("two", two.port) + device_text("b", "two"))
                await here.more("b")
                await here.apply(text=text)
                await here.more("a")
                site = here.gateway.site
        whole(site, tmp_path, "a", "b")


class TestABusThatCannotOpen:
    async def test_the_change_is_made_its_slots_say_why_and_the_others_go_on(
        self, tmp_path: Path, unused_tcp_port: int
    ) -> None:
        async with Unit() as one:
            text = HEAD + bus_text("one", one.port) + device_text("a", "one")
            async with plant(tmp_path, text) as here:
                await here.apply(text=text + bus_text("dead", unused_tcp_port) + device_text("d", "dead"))
                await here.more("a")
                await until(lambda: here.poller("d").stats.missed.get(Quality.BUS_DOWN, 0) > 2)
                site = here.gateway.site
        record = whole(site, tmp_path, "a", "d")
        assert record.one("bus.lost").data["bus"] == "dead"
        assert set(causes(record.slots["d"])) <= {Quality.BUS_DOWN, Quality.GATEWAY_DOWN}


class TestWhatCannotBeChanged:
    @pytest.mark.parametrize(
        ("path", "value", "word"),
        [
            (["gateway", "id"], "other", "signed batch"),
            (["gateway", "data_dir"], "elsewhere", "stores"),
            (["clock", "source"], "host", "time"),
            (["buffer", "max_size"], "2 GB", "journal"),
        ],
    )
    async def test_it_is_refused_with_the_reason_and_the_remedy(
        self, tmp_path: Path, path: list[str], value: Any, word: str
    ) -> None:
        edits: list[dict[str, Any]] = [{"op": "set", "path": path, "value": value}]
        if value == "host":
            edits.append({"op": "set", "path": ["clock", "error_s"], "value": 1.0})
        async with Unit() as one:
            text = HEAD + bus_text("one", one.port) + device_text("a", "one") + point_text("p", "a")
            async with plant(tmp_path, text) as here:
                proposal = await here.do("site.propose", edits=edits)
                assert proposal["usable"]
                assert word in proposal["refused"][0]["what"]
                with pytest.raises(ChangeError, match=word) as refused:
                    await here.apply(edits)
                assert "restart" in refused.value.remedy
                assert here.path.read_text() == text
                await here.more("a")

    async def test_how_the_journal_stores_can_be_changed(self, tmp_path: Path) -> None:
        async with two_units() as (one, two), plant(tmp_path, two_buses(one.port, two.port)) as here:
            await here.apply([{"op": "set", "path": ["buffer", "batch_values"], "value": 40}])
            await here.apply([{"op": "set", "path": ["buffer", "batch_min_age_s"], "value": 0.1}])
            head = here.gateway.journal.head("scan")
            assert head is not None
            await until(lambda: (here.gateway.journal.head("scan") or head).seq >= head.seq + 2)
            site = here.gateway.site
        whole(site, tmp_path, "a", "b")
