"""A box with the gateway installed as a service, in a machine or a container."""

import re
import time
from collections.abc import Callable

from vm.machine import PYTHONPATH, ROOT, SOURCE, Machine

__all__ = ["UNIT", "enrol", "install", "log", "show", "start", "stop", "until"]

UNIT = "aurora-gateway.service"
HANGING = "import signal, time; signal.signal(signal.SIGUSR1, lambda *_: time.sleep(3600))"
"""A handler runs in the main thread: with SIGUSR1 the event loop stands still."""
PROGRAM = f"""#!/bin/sh
export PYTHONPATH={PYTHONPATH}
exec python3 -c '{HANGING}
import sys
from gateway.{{module}} import main
sys.exit(main())' "$@"
"""
SENSORS = """
[[bus]]
id = "line"
type = "modbus-tcp"
host = "127.0.0.1"
port = 5020
[[device]]
id = "probe"
bus = "line"
model = "danfoss-ekc202d"
unit = 1
period_s = 1
"""
ANSWERS = b'member = "green-valley"\nsite = "plant-1"\ngateway = "gw-0001"\nlisten = "127.0.0.1:8080"\n'


def until(condition: Callable[[], bool], within_s: float = 240.0) -> None:
    """The machine is slow."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(1.0)


def show(box: Machine, name: str, unit: str = UNIT) -> str:
    return box.run(f"systemctl show -P {name} {unit}").stdout.strip()


def log(box: Machine) -> str:
    return box.run(f"journalctl -u {UNIT} -b --no-pager").stdout


def install(machine: Machine) -> None:
    """The programs in /opt/aurora-gateway/bin, the unit installed, and a simulated probe."""
    machine.put({f"{SOURCE}/systemd": ROOT / "systemd"})
    machine.run(f"ln -sfn {SOURCE}/systemd {SOURCE}/gateway_systemd; mkdir -p /opt/aurora-gateway/bin /root/stick")
    for name, module in (("aurora-gateway", "cli"), ("aurora-cluster", "cluster.cli")):
        machine.put({f"/opt/aurora-gateway/bin/{name}": PROGRAM.format(module=module).encode()})
    machine.service(
        "plant", "python3 -m gateway.demo.facility --tcp 127.0.0.1:5020 --rtu /run/plant-tty", PYTHONPATH=PYTHONPATH
    )
    done = machine.run("/opt/aurora-gateway/bin/aurora-gateway install --programs /opt/aurora-gateway/bin")
    assert "FAILED" not in done.stdout + done.stderr


def enrol(box: Machine) -> None:
    """Set up from a stick, as a new box is."""
    gateway, cluster = "/opt/aurora-gateway/bin/aurora-gateway", "/opt/aurora-gateway/bin/aurora-cluster"
    box.put({"/root/answers.toml": ANSWERS})
    box.run(f"{gateway} setup --identify /root/stick")
    told = box.run(
        f"{cluster} setup-file --data /root/cluster --out /root/stick /root/stick/*.json /root/answers.toml"
    )
    (fingerprint,) = re.findall(r"stick: ([0-9a-f]{64})", told.stdout)
    done = box.run(f"{gateway} setup --from /root/stick --cluster-key {fingerprint}")
    assert "systemctl start aurora-gateway" in done.stdout
    box.run(f"cat >> /etc/aurora-gateway/site.toml <<'END'\n{SENSORS}\nEND")


def start(box: Machine) -> float:
    """Start the service; seconds from the start of its process to ready, by systemd's own time stamps."""
    box.run(f"systemctl start {UNIT}", timeout=180)
    return _between(box, "ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")


def stop(box: Machine) -> float:
    """Stop the service; seconds from the order to the end of its process, by systemd's own time stamps."""
    box.run(f"systemctl stop {UNIT}")
    return _between(box, "ActiveExitTimestampMonotonic", "InactiveEnterTimestampMonotonic")


def _between(box: Machine, first: str, last: str) -> float:
    return (int(show(box, last)) - int(show(box, first))) / 1e6
