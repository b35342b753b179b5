"""The gateway as a whole when something in it fails: polling goes on, and the failure is seen three ways."""

import asyncio
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from app_tools import Unit, command, health, more_scans, record_of, running, scans, site_of, until

from gateway import app, beside
from gateway.app import Gateway
from gateway.clock import Clock
from gateway.errors import StorageError
from gateway.identity import open_identity
from gateway.metrics import Exposition
from gateway.model import Event, Quality
from gateway.site import ClusterSpec, WebSpec
from gateway.sync.uplink import Uplink
from gateway.web.server import WebServer


@contextmanager
def no_file_may_grow_beyond(size: int) -> Iterator[None]:
    """The kernel refuses to write further, as a failing disk would (works without privileges)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def metric(gateway: Gateway, name: str) -> float:
    lines = Exposition(gateway).text()[0].decode().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name} "))
    return float(line.rsplit(" ", 1)[1])


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    names = {"gateway.app", "gateway.beside"}
    return [record.getMessage() for record in caplog.records if record.name in names and record.levelno >= 40]


class TestStartAndStop:
    async def test_both_are_on_record_with_what_ran(self, tmp_path: Path) -> None:
        async with Unit() as unit:
            site = site_of(tmp_path, unit.port)
            async with running(site) as gateway:
                await more_scans(gateway, 3)
        record = record_of(site)
        assert record.one("power_up").data == {
            "version": app.__version__,
            "boot": Clock().boot,
            "resumed": False,
            "config": site.digest,
            "previous": None,
        }
        assert record.kinds()[-1] == "power_down"
        assert record.one("power_down").data == {"orderly": True}
        assert record.count("a") == scans(gateway) + sum(gateway.acquire.pollers[0].stats.missed.values())

    async def test_the_time_between_two_runs_is_accounted_for(self, tmp_path: Path) -> None:
        async with Unit() as unit:
            site = site_of(tmp_path, unit.port)
            async with running(site) as gateway:
                await more_scans(gateway, 3)
            await asyncio.sleep(0.35)
            async with running(site) as gateway:
                await more_scans(gateway, 3)
        record = record_of(site)
        starts = [e for e in record.events if e.kind == "power_up"]
        assert [e.data["resumed"] for e in starts] == [False, True]
        previous = starts[1].data["previous"]
        assert previous["orderly"]
        assert previous["boot"] == Clock().boot
        assert previous["last_ms"] + previous["down_ms"] == starts[1].at_ms
        assert 350 <= previous["down_ms"] < 10_000
        record.count("a")
        assert sum(count for _, count, quality in record.slots["a"] if quality == Quality.GATEWAY_DOWN) >= 2

    async def test_a_gap_goes_on_over_a_restart_and_is_closed_with_its_whole_length(self, tmp_path: Path) -> None:
        async with Unit() as unit:
            site = site_of(tmp_path, unit.port)
            async with running(site) as gateway:
                await more_scans(gateway, 3)
        async with running(site) as gateway:
            await until(lambda: gateway.assess.gaps[0].open_since is not None)
            began = gateway.assess.gaps[0].open_since
        await asyncio.sleep(0.35)
        unit.port = site.buses[0].port
        async with unit, running(site) as gateway:
            await more_scans(gateway, 1)
        record = record_of(site)
        gap = record.one("gap.closed").data
        assert record.one("gap.opened").data["slot"] == gap["slot"] == began
        bad = [(first, count) for first, count, quality in record.slots["a"] if quality.bad and first >= began]
        end = began
        for first, count in sorted(bad):
            if first == end:  # a slot missed after the first answer is not of this gap
                end += count
        assert gap["count"] == end - began
        assert str(int(Quality.GATEWAY_DOWN)) in gap["causes"]

    async def test_a_gateway_without_one_answer_starts_page_and_stops_all_the_same(
        self, tmp_path: Path, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(app, "FIRST_SCAN_WAIT_S", 0.1)
        site = site_of(tmp_path, unused_tcp_port, web=WebSpec(port=0, open_view=True))
        async with running(site) as gateway:
            await until(lambda: gateway.page_address is not None)
            async with httpx.AsyncClient() as client:
                page = (await client.get(str(gateway.page_address))).text
            assert "\N{EN DASH}" in page
            assert "has not answered yet" in page
        record = record_of(site)
        assert {quality for _, _, quality in record.slots["a"]} <= {Quality.BUS_DOWN, Quality.GATEWAY_DOWN}


class TestDiskRefuses:
    async def test_while_it_runs_it_keeps_polling_and_stores_everything_afterwards(self, tmp_path: Path) -> None:
        async with Unit() as unit:
            site = site_of(tmp_path, unit.port)
            async with running(site) as gateway:
                await more_scans(gateway, 3)
                with no_file_may_grow_beyond(1):
                    await until(lambda: gateway.journal.state != "ok")
                    await more_scans(gateway, 10)
                    fact = health(gateway, "Journal")
                    assert fact["state"] == "bad"
                    assert "wait in memory" in fact["words"]
                    assert metric(gateway, "aurora_journal_up") == 0
                    assert metric(gateway, "aurora_journal_pending_values") >= 100
                await until(lambda: gateway.journal.state == "ok")
                assert health(gateway, "Journal")["state"] == "good"
        record = record_of(site)
        assert record.count("a") >= 13
        assert Quality.NOT_STORED not in {quality for _, _, quality in record.slots["a"]}
        assert record.one("storage.outage").data["values"] == 0

    async def test_at_the_start_it_polls_all_the_same(self, tmp_path: Path) -> None:
        async with Unit() as unit:
            site = site_of(tmp_path, unit.port)
            open_identity(site)
            with no_file_may_grow_beyond(1):
                async with running(site) as gateway:
                    await more_scans(gateway, 5)
                    assert gateway.journal.state != "ok"
                    # It mends before the gateway stops.
                    resource.setrlimit(
                        resource.RLIMIT_FSIZE,
                        (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_FSIZE)[1]),
                    )
                    await until(lambda: gateway.journal.state == "ok")
        assert record_of(site).count("a") >= 5

    async def test_at_the_end_it_says_what_is_lost_and_stops(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with Unit() as unit:
            with ExitStack() as outliving_the_gateway:
                async with running(site_of(tmp_path, unit.port)) as gateway:
                    await more_scans(gateway, 3)
                    outliving_the_gateway.enter_context(no_file_may_grow_beyond(1))
                    await more_scans(gateway, 3)
        assert "could not be stored before the end" in caplog.text

    def test_a_place_that_cannot_be_is_said_with_its_remedy(self, tmp_path: Path) -> None:
        sample = command("check", "--sample").stdout.replace('data_dir = "data"', 'data_dir = "/dev/null/data"')
        (tmp_path / "site.toml").write_text(sample)
        done = command("run", tmp_path / "site.toml")
        assert done.returncode == 2
        last = done.stderr.splitlines()[-1]
        assert last.startswith(
            "aurora-gateway: /dev/null/data/keys cannot be made (Not a directory); choose another"
        )
        assert "Traceback" not in done.stderr

    async def test_a_journal_of_another_gateway_is_refused(self, tmp_path: Path) -> None:
        with sqlite3.connect(tmp_path / "journal.db") as other:
            other.execute("CREATE TABLE stranger (x)")
        other.close()
        with pytest.raises(StorageError):
            await Gateway(site_of(tmp_path, 1), Clock()).run(asyncio.Event())


class TestEvents:
    async def test_what_does_not_fit_is_counted_said_and_on_record(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(app, "EVENT_QUEUE", 5)
        async with Unit() as unit:
            site = site_of(tmp_path, unit.port)
            async with running(site) as gateway:
                await more_scans(gateway, 1)
                await gateway._events.join()
                for n in range(20):
                    gateway._event(Event("flood", 5, {"n": n}))
                assert gateway.counters.events_dropped == 15
                assert metric(gateway, "aurora_events_dropped_total") == 15
                assert health(gateway, "Events") == {
                    "name": "Events",
                    "words": "15 could not be stored",
                    "state": "bad",
                }
        assert errors(caplog) == [
            "events come faster than they can be stored; the first that is lost is flood",
        ]
        record = record_of(site)
        assert [event.data["n"] for event in record.events if event.kind == "flood"] == [0, 1, 2, 3, 4]
        assert record.one("events.lost").data == {"count": 15}

    async def test_one_that_no_batch_can_hold_stops_nothing(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with Unit() as unit:
            site = site_of(tmp_path, unit.port)
            async with running(site) as gateway:
                await more_scans(gateway, 1)
                gateway._event(Event("odd", 5, {"thing": object()}))
                gateway._event(Event("sound", 5, {}))
                await more_scans(gateway, 2)
                assert gateway.counters.events_dropped == 1
        assert "event odd was not stored" in errors(caplog)[0]
        assert "sound" in record_of(site).kinds()


class TestStations:
    """A station that ends is counted and started again, and the path does not notice."""

    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(beside, "RESTART_S", 0.02)
        # Longer than any start of a station takes here: otherwise that counts as a life, and is said anew.
        monkeypatch.setattr(beside, "LONGEST_RESTART_S", 10.0)

    async def test_the_page_comes_back_after_a_crash(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        serve, times = WebServer.run, 0

        async def crash_once(self: WebServer, listener: Any) -> None:
            nonlocal times
            times += 1
            if times == 1:
                listener.close()
                raise ZeroDivisionError
            await serve(self, listener)

        monkeypatch.setattr(WebServer, "run", crash_once)
        async with (
            Unit() as unit,
            running(site_of(tmp_path, unit.port, web=WebSpec(port=0, open_view=True))) as gateway,
        ):
            await until(lambda: gateway.page_address is not None)
            async with httpx.AsyncClient() as client:
                first = str(gateway.page_address)
                with pytest.raises(httpx.TransportError):
                    await client.get(first)
                await until(lambda: gateway.page_address not in {None, first})
                page = (await client.get(str(gateway.page_address))).text
                metrics = (await client.get(f"{gateway.page_address}metrics")).text
            await more_scans(gateway, 2)
        assert "web: ZeroDivisionError() (once)" in page
        assert 'aurora_station_restarts_total{station="web"} 1.0' in metrics
        assert errors(caplog) == ["web stopped"]

    async def test_an_uplink_that_always_crashes_is_said_once_and_the_path_goes_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def crash(_: Uplink) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(Uplink, "run", crash)
        async with Unit() as unit:
            site = site_of(tmp_path, unit.port, cluster=self.cluster(tmp_path))
            async with running(site) as gateway:
                await until(lambda: gateway.counters.restarts.get("uplink", 0) >= 3)
                await more_scans(gateway, 2)
                assert health(gateway, "Restarted")["state"] == "uncertain"
        assert errors(caplog) == ["uplink stopped"]
        assert record_of(site).count("a") >= 3

    @staticmethod
    def cluster(folder: Path) -> ClusterSpec:
        key = folder / "cluster.pem"
        key.write_bytes(open_identity(site_of(folder / "other", 1)).signer.public.pem())
        return ClusterSpec(host="127.0.0.1", port=1, receipt_key=key)

    async def test_without_the_cluster_s_key_nothing_is_sent_and_it_is_said_once(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with Unit() as unit:
            site = site_of(tmp_path, unit.port, cluster=self.cluster(tmp_path))
            assert site.cluster is not None
            site.cluster.receipt_key.unlink()
            async with running(site) as gateway:
                await until(lambda: gateway.counters.restarts.get("uplink", 0) >= 3)
                await more_scans(gateway, 2)
                assert "cannot be read (No such file or directory)" in health(gateway, "Restarted")["words"]
        assert len(errors(caplog)) == 1

    async def test_an_address_in_use_is_said_once_and_taken_when_it_is_free(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        other = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
        port = other.sockets[0].getsockname()[1]
        async with (
            Unit() as unit,
            running(site_of(tmp_path, unit.port, web=WebSpec(port=port, open_view=True))) as gateway,
        ):
            await until(lambda: gateway.counters.restarts.get("web", 0) >= 3)
            assert "choose another [web] listen address" in health(gateway, "Restarted")["words"]
            other.close()
            await other.wait_closed()
            await until(lambda: gateway.page_address is not None)
            async with httpx.AsyncClient() as client:
                assert (await client.get(str(gateway.page_address))).status_code == 200
        assert len(errors(caplog)) == 1

    async def test_the_same_failure_after_a_longer_life_is_said_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(beside, "LONGEST_RESTART_S", 0.05)
        lives = 0

        async def live_and_die(_: Uplink) -> None:
            nonlocal lives
            lives += 1
            await asyncio.sleep(0.1)
            raise ZeroDivisionError

        monkeypatch.setattr(Uplink, "run", live_and_die)
        async with Unit() as unit, running(site_of(tmp_path, unit.port, cluster=self.cluster(tmp_path))):
            await until(lambda: lives >= 3)
        assert errors(caplog)[:2] == ["uplink stopped"] * 2

    async def test_a_journal_that_dies_of_a_defect_ends_the_gateway_and_does_not_hang_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without its journal a gateway is none: it ends, and systemd starts it anew."""
        monkeypatch.setattr(app, "SETTLE_S", 0.2)
        async with Unit() as unit:
            gateway = Gateway(site_of(tmp_path, unit.port), Clock())
            task = asyncio.create_task(gateway.run(asyncio.Event()))
            await until(lambda: hasattr(gateway, "journal") and scans(gateway) > 2)
            monkeypatch.setattr(gateway.journal._writer, "commit", lambda _: 1 // 0)
            async with asyncio.timeout(20):
                with pytest.raises(ZeroDivisionError):
                    await task
            for left in asyncio.all_tasks() - {asyncio.current_task()}:
                left.cancel()
