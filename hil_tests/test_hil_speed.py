"""How fast the service starts and stops, and what it holds, under a real systemd at this machine's full speed."""

import os
import statistics
from collections.abc import Iterator

import pytest
from service_box import UNIT, enrol, install, log, show, start, stop, until
from vm.container import Container

START_S = STOP_S = 2.0
ROUNDS = 3
ASK = "python3 -c 'import urllib.request as r; print(r.urlopen(\"http://127.0.0.1:8080/metrics\").read().decode())'"


@pytest.fixture(scope="module")
def box(container: Container) -> Iterator[Container]:
    install(container)
    enrol(container)
    yield container
    container.run(f"systemctl stop {UNIT} plant", check=False)


def cpu_s(box: Container) -> float:
    """Processor time of the daemon so far."""
    stat = box.run(f"cat /proc/{show(box, 'MainPID')}/stat").stdout.rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def test_it_is_ready_within_two_seconds_and_stopped_within_two(box: Container) -> None:
    """The first start makes the journal, the others find one.

    On a machine that is busy with other things the time that passes is theirs; then only processor time is judged.
    """
    quiet = os.getloadavg()[0] < (os.cpu_count() or 1)
    starts, stops, used = [], [], []
    for _ in range(ROUNDS):
        starts.append(start(box))
        used.append(cpu_s(box))
        assert show(box, "StatusText") == "1 of 1 devices answer; records reach the disk"
        # Beyond readiness: uplink and page are loaded, too, and have to be ended.
        until(lambda: "aurora_build_info" in box.run(ASK, check=False).stdout)
        stops.append(stop(box))
        assert show(box, "Result") == "success"
    print(f"\nby systemd's time stamps: start to ready {starts} s, stop to stopped {stops} s")
    print(f"processor time until ready: {used} s; the machine was {'quiet' if quiet else 'BUSY: times not judged'}")
    assert statistics.median(used) < START_S
    if quiet:
        assert statistics.median(starts) < START_S
        assert statistics.median(stops) < STOP_S
    assert "Traceback" not in log(box)
