"""Where the Bluetooth tests run: before virtual radios in the virtual machine, or before this machine's adapter."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vm.machine import PYTHONPATH, ROOT, Machine

__all__ = ["TAG", "Bench", "RealBench", "VirtualBench", "until"]

TAG, HOME = "CB:B8:33:4C:88:4F", "C1:11:22:33:44:55"
THERMOMETER, CLIMATE = "C2:11:22:33:44:66", "C2:11:22:33:44:77"
VIRTUAL = {
    TAG: "ruuvi-tag",
    HOME: "bthome",
    THERMOMETER: "gatt-thermometer",
    CLIMATE: "gatt-environmental",
}
"""Sensors that `vm/radios.py` plays, and the models that a scan is to find; the last two are asked."""


def until(condition: Callable[[], Any], limit_s: float = 1200.0, pause_s: float = 2.0) -> Any:
    """Wait for something that is true; gives it back. Emulated beside others, a minute may become ten."""
    end = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < end, f"not so within {limit_s:g} s"
        time.sleep(pause_s)
    return found


class Bench:
    """What a test can do anywhere."""

    expected: dict[str, str]
    """Sensors that must be heard, with their models."""

    def run(self, *words: str, limit_s: float = 400.0) -> tuple[int, str, str]:
        """`aurora-gateway` with these words: status, output, errors."""
        raise NotImplementedError

    def scan(self, seconds: float, *options: str) -> list[dict[str, Any]]:
        """What `scan ble` hears."""
        status, out, error = self.run("scan", "ble", "--json", "--seconds", str(seconds), *options)
        assert status in {0, 1}, error
        return list(json.loads(out))


class VirtualBench(Bench):
    """Debian's BlueZ before a virtual controller."""

    expected = VIRTUAL

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        machine.put({"/opt/hil/radios.py": Path(__file__).parent / "vm" / "radios.py"})
        machine.run("modprobe hci_vhci")
        self.plug_in()
        machine.run("systemctl start bluetooth")
        self._adapter_up()

    def plug_in(self) -> None:
        """Start the radios; the adapter appears a while later."""
        self.machine.service("radios", "/usr/bin/python3 -u /opt/hil/radios.py", PYTHONPATH="/opt/hil/radio")
        until(lambda: "radios are up" in self.machine.run("journalctl -u radios --no-pager -n 30").stdout)
        if self.machine.run("systemctl is-active bluetooth", check=False).stdout.strip() == "active":
            self._adapter_up()

    def _adapter_up(self) -> None:
        """A machine that is slow may miss the kernel's first questions: then they are asked again."""
        until(lambda: "Controller" in self.machine.run("hciconfig hci0 up; sleep 3; bluetoothctl list").stdout)

    def unplug(self) -> None:
        """Take the adapter away, and all sensors with it."""
        self.machine.run("systemctl stop radios; journalctl --rotate; journalctl --vacuum-time=1s")

    def silence(self, *names: str) -> None:
        """Only these do not advertise."""
        self.machine.put({"/run/radios.json": json.dumps({"silent": names}).encode()})

    def run(self, *words: str, limit_s: float = 400.0) -> tuple[int, str, str]:
        line = " ".join(f"'{word}'" for word in words)
        done = self.machine.python(f"-m gateway.cli {line}", check=False, timeout=limit_s)
        return done.returncode, done.stdout, done.stderr

    def start_gateway(self, site: str, log_interval_s: float) -> None:
        """The daemon, with a RuuviTag's log of that interval (a real one's is five minutes)."""
        self.machine.run("mkdir -p /root/gw")
        start = (
            "import sys\n"
            "from firmware_interfaces.ble.logs.ruuvi import RuuviLog\n"
            f"RuuviLog.interval_s = {log_interval_s}\n"
            "from gateway.cli import main\n"
            "sys.exit(main(['run', '/root/gw/site.toml']))\n"
        )
        self.machine.put({"/root/gw/site.toml": site.encode(), "/root/gw/start.py": start.encode()})
        self.machine.service("gateway", "/usr/bin/python3 /root/gw/start.py", PYTHONPATH=PYTHONPATH)

    def status(self) -> dict[str, Any]:
        """The daemon's own page as data; empty while there is none. Raises where there is one that refuses."""
        # Under emulation the start of an interpreter would take longer than the answer.
        ask = "GET /api/status HTTP/1.0\\r\\nHost: 127.0.0.1:8080\\r\\n\\r\\n"
        line = f"exec 3<>/dev/tcp/127.0.0.1/8080 && printf '{ask}' >&3 && timeout 20 cat <&3"
        done = self.machine.run(f'bash -c "{line}"', check=False, timeout=60)
        head, _, body = done.stdout.partition("\r\n\r\n")
        if done.returncode or not head:
            return {}
        assert " 200 " in head.partition("\r\n")[0], done.stdout
        return dict(json.loads(body))

    def log(self) -> str:
        """What the daemon has written."""
        return self.machine.run("journalctl -u gateway --no-pager").stdout

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Events of a kind that are on record."""
        done = self.run("export", "/root/gw/site.toml", "--format", "sqlite", "--out", "/root/gw/export.db")
        assert done[0] == 0, done[2]
        query = f"SELECT data FROM event WHERE kind = '{kind}'"
        rows = self.machine.run(f'sqlite3 -json /root/gw/export.db "{query}"').stdout
        return [json.loads(row["data"]) for row in json.loads(rows or "[]")]


class RealBench(Bench):
    """This machine's adapter, and whatever is in the air."""

    expected: dict[str, str] = {}  # noqa: RUF012 - nothing is known of the air here

    def __init__(self, adapter: str) -> None:
        self.adapter = adapter

    def run(self, *words: str, limit_s: float = 400.0) -> tuple[int, str, str]:
        here = ("--adapter", self.adapter) if words[:2] == ("scan", "ble") else ()
        command = [sys.executable, "-m", "gateway.cli", *words, *here]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=limit_s, cwd=ROOT)
        return done.returncode, done.stdout, done.stderr
