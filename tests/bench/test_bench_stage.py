"""A whole stage: broker, simulator, proxy and sink around the script; and the site files that the gateway gets."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bench.gateway_peer import Gateway, TlsGateway, made_scans
from bench.meter import measure
from bench.peers import Loop, Script
from bench.scenarios import QUICK, Run, base, play
from bench.stage import Job, Stage
from gateway.config import check_file

needs_programs = pytest.mark.skipif(
    shutil.which("cc") is None or not (shutil.which("mosquitto") or Path("/usr/sbin/mosquitto").exists()),
    reason="needs a C compiler and mosquitto",
)
SMALL = Job(period_ms=100, units=3)


def brief(run: Run, _plan: object) -> dict[str, object]:
    """Some polls, then an outage, then everything has to arrive once."""
    run.stage.uplink("refuse")
    reads = len(run.stage.reads())
    while len(run.stage.reads()) < reads + 20:
        assert run.process.alive()
    run.stage.uplink("up")
    found = run.quiet(10)
    assert measure(run.process.pid).cpu_s > 0
    return {"polls": found.polls, "lost": len(found.lost), "duplicated": found.duplicated}


@needs_programs
def test_the_script_delivers_every_poll_once_through_an_outage(tmp_path: Path) -> None:
    figures = play(Script, SMALL, QUICK, tmp_path / "work", brief)
    assert figures["polls"] > 20
    assert (figures["lost"], figures["duplicated"]) == (0, 0)
    assert 0 < figures["start_s"] < 10


@needs_programs
def test_the_base_scenario_fills_its_figures(tmp_path: Path) -> None:
    plan = replace(QUICK, warm_s=0.2, window_s=1.0)
    figures = play(Loop, SMALL, plan, tmp_path / "work", base)
    assert figures["values_per_s"] > 0
    assert figures["cpu_s_per_1000"] is not None
    assert figures["wire_bytes_per_value"] > 1
    assert figures["disk_bytes_per_value"] == 0
    assert figures["rss_mb"] > 1


@pytest.mark.parametrize("kind", [Gateway, TlsGateway])
@pytest.mark.parametrize("job", [Job(), Job(shared=True), Job(units=10, baud=19200), Job(100, 247)])
def test_the_site_files_pass_the_gateways_own_check(tmp_path: Path, kind: type[Gateway], job: Job) -> None:
    stage = Stage(tmp_path, job, kind.topic)
    stage.modbus_port = stage.uplink_port = 5020
    peer = kind(stage)
    receipt_key = tmp_path / "receipts.pem"
    for file in (receipt_key, *(tmp_path / "pki" / name for name in ("ca.pem", "bench.gw.pem", "bench.gw.key"))):
        file.parent.mkdir(exist_ok=True)
        file.touch()
    peer.site.write_text(peer.settings(receipt_key))
    site, problems = check_file(peer.site)
    assert problems == []
    assert site is not None
    assert (len(site.devices), site.devices[-1].period_ms) == (job.units, job.period_ms)
    assert (site.cluster is not None, site.buffer.loss_window_ms) == (True, 1000)


def test_a_made_backlog_is_one_scan_a_second_and_device() -> None:
    scans = list(made_scans(12, 20))
    assert [(scan.device, scan.slot) for scan in scans[4:7]] == [(4, 0), (0, 1), (1, 1)]
    assert all(len(scan.values) == len(scan.quality) == 20 and not any(scan.quality) for scan in scans)
