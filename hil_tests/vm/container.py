"""The same Debian with its systemd as a container of this machine's kernel: for what has to be timed.

The virtual machine emulates its processor and is some ten times slower, so times measured there say nothing of a
box. Here systemd is process 1 of its own namespaces (`systemd-nspawn`): units, sandbox and notification are real,
and the program runs at full speed. What needs a kernel of its own (drivers, udev, the clock) belongs into the
machine.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from vm.image import NoMachine
from vm.machine import START_LIMIT_S, Machine

__all__ = ["Container"]

TOOLS = {"systemd-nspawn": "systemd-container", "nsenter": "util-linux"}
BOOT = """
mount -o ro,loop,noload "$1/root.img" "$2/lower" &&
mount -t overlay -o "lowerdir=$2/lower,upperdir=$2/upper,workdir=$2/work" overlay "$2/root" &&
exec systemd-nspawn --quiet --directory="$2/root" --machine="$3" --register=no --keep-unit --private-network \
    --console=pipe --boot
"""
"""In a mount namespace of its own: however it ends, nothing stays mounted. The image is only read."""


class Container(Machine):
    """Started, asked and stopped like a `Machine`; needs root."""

    def start(self, limit_s: float = START_LIMIT_S) -> None:
        """Boot, and return when systemd has finished; raises `NoMachine`."""
        absent = sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})
        if absent:
            raise NoMachine(f"not installed: {' '.join(absent)} (scripts/install-system-packages hil)")
        if os.geteuid() != 0:
            raise NoMachine("a container can only be started by root: sudo make hil")
        for name in ("lower", "upper", "work", "root"):
            (self.folder / name).mkdir(exist_ok=True)
        name = f"aurora-hil-{os.getpid()}"
        words = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private"]
        with self.console.open("wb") as console:
            self._process = subprocess.Popen(
                [*words, "sh", "-c", BOOT, "boot", self.image, self.folder, name],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        end = time.monotonic() + limit_s
        while "running" not in (state := self._state()) and "degraded" not in state:
            if self._process.poll() is not None:
                raise NoMachine(f"the container ended: {self._console_end()}")
            if time.monotonic() > end:
                self.kill()
                raise NoMachine(f"not up within {limit_s:g} s; the end of its console: {self._console_end()}")
            time.sleep(0.2)

    def _state(self) -> str:
        if not self._init():
            return "none"
        return self.run("systemctl is-system-running", check=False, timeout=30).stdout

    def _init(self) -> int:
        """Process 1 of the container as this machine numbers it, 0 while there is none."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        try:
            found = children.read_text().split()
        except FileNotFoundError:
            return 0
        return int(found[0]) if found else 0

    def _words(self, command: str) -> list[str | Path]:
        inside = ["--target", str(self._init()), "--mount", "--uts", "--ipc", "--net", "--pid"]
        return ["nsenter", *inside, "--root", "--wdns=/root", "sh", "-c", command]

    def stop(self) -> None:
        """Shut down."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None
