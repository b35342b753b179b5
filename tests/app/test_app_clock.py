"""What the gateway knows of the time outlives a restart, and is on record from the first look on."""

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from app_tools import ROOT, Unit, health, more_scans, record_of, running, scans, site_of, until

from gateway import app
from gateway.clock import Clock
from gateway.clock_sources import KernelSource, Reading
from gateway.model import ClockState, Event
from gateway.site import ClockSpec


class Disciplined(KernelSource):
    """This machine's clocks, as if a time service kept them right to a tenth of a second."""

    def read(self) -> Reading:
        return super().read()._replace(keeper="timesyncd", max_error_us=1000, distance_s=0.1)

    async def measure(self) -> None:
        return


class TestSleep:
    async def test_a_machine_that_slept_looks_at_once_at_what_is_due(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(app, "CLOCK_PERIOD_S", 0.05)
        async with Unit() as unit:
            site = site_of(tmp_path, unit.port)
            hourly = replace(site, devices=(replace(site.devices[0], period_ms=3_600_000),))
            clock = Clock(ClockSpec())
            looks: list[None] = []
            look = clock.update

            async def counted() -> list[Event]:
                looks.append(None)
                return await look()

            monkeypatch.setattr(clock, "update", counted)
            async with running(hourly, clock) as gateway:
                await until(lambda: scans(gateway) == 1)
                # The first look is at the start, the next ones know how far boot time was ahead.
                await until(lambda: len(looks) >= 3)
                awake = clock.now_ms
                slept_ms = 3_600_000
                gateway.acquire.workers[0]._now_ms = lambda: awake() + slept_ms
                monkeypatch.setattr(clock, "now_ms", lambda: awake() + slept_ms)
                await until(lambda: scans(gateway) == 2)


class TestClock:
    async def test_a_restart_holds_over_what_the_last_run_knew(self, tmp_path: Path) -> None:
        async with Unit() as unit:
            site = site_of(tmp_path, unit.port)
            async with running(site, Clock(ClockSpec(), Disciplined())) as gateway:
                await more_scans(gateway, 2)
                await until((tmp_path / app.CLOCK_FILE).exists)
                known = gateway.clock.claim()
                assert health(gateway, "Clock")["words"] == "within 0.103 s (timesyncd)"
            assert not list(tmp_path.glob("*.draft"))
            later = Clock(ClockSpec(), memory=app._read_memory(site))
            async with running(site, later) as gateway:
                await more_scans(gateway, 2)
                claim = gateway.clock.claim()
        assert claim.state is ClockState.HOLDOVER
        assert known.utc_ms is not None
        assert claim.utc_ms == pytest.approx(known.utc_at(claim.boot_ms), abs=2)
        assert (claim.error_ms or 0) >= (known.error_ms or 0)
        kinds = record_of(site).kinds()
        assert {"clock.correction", "clock.trusted", "clock.holdover"} <= set(kinds)

    @pytest.mark.parametrize("memory", [None, b"", b"{", b'{"boot": "00"}', bytes(range(256))])
    async def test_without_a_sound_memory_the_clock_is_untrusted(
        self, tmp_path: Path, memory: bytes | None
    ) -> None:
        site = site_of(tmp_path, 1)
        if memory is not None:
            (tmp_path / app.CLOCK_FILE).write_bytes(memory)
        clock = Clock(ClockSpec(), memory=app._read_memory(site))
        assert clock.claim().state is ClockState.UNTRUSTED

    def test_a_memory_that_cannot_be_saved_is_no_reason_to_stop(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        site = site_of(tmp_path / "nowhere", 1)
        with caplog.at_level(logging.WARNING):
            app._save_memory(site, b"{}")
        assert "the clock's state cannot be saved (No such file or directory)" in caplog.text

    def test_the_daemon_reads_it_back(self, tmp_path: Path, unused_tcp_port: int) -> None:
        """`aurora-gateway run` as a process: in holdover by the memory of an earlier one."""
        clock = Clock(ClockSpec(), Disciplined())
        clock.refresh()
        sample = (
            '[gateway]\nmember = "m"\nsite = "s"\nid = "g"\ndata_dir = "."\n[web]\nlisten = false\n'
            f'[[bus]]\nid = "b"\ntype = "modbus-tcp"\nhost = "127.0.0.1"\nport = {unused_tcp_port}\n'
            '[[device]]\nid = "a"\nbus = "b"\nmodel = "xy-md02"\nunit = 1\nperiod_s = 1\n'
        )
        (tmp_path / "site.toml").write_text(sample)
        memory = clock.memory()
        assert memory is not None
        (tmp_path / app.CLOCK_FILE).write_bytes(memory)
        words = [sys.executable, "-m", "gateway.cli", "run", str(tmp_path / "site.toml")]
        with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True) as daemon:
            assert daemon.stderr is not None
            seen = [line for line in iter(daemon.stderr.readline, "") if _mentions(line, daemon)]
        assert daemon.returncode == 0
        assert any("wall clock is in holdover" in line for line in seen), seen


def _mentions(line: str, daemon: "subprocess.Popen[str]") -> bool:
    """Keep every line; end the daemon at the first that shows that it runs."""
    if "no scan has come yet" in line:
        daemon.terminate()
    return True
