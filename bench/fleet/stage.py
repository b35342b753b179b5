"""What stands between a fleet and the figures: broker, database and receivers as processes of their own."""

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.build import broker_program, program
from bench.meter import measure

ROOT = Path(__file__).parents[2]
CLUSTER = "urn:aurora:cluster:fleet"
GROUP = "receivers"
START_S = 20.0

SHIPPED = {"max_inflight_messages": "20", "max_queued_messages": "100000", "set_tcp_nodelay": "true"}
"""What docs/mosquitto/aurora.conf sets, without TLS and access rules."""
DEFAULTS: dict[str, str] = {"set_tcp_nodelay": "true"}
"""Mosquitto's own limits: 1000 messages queued and 20 in flight for each client."""


class StageError(Exception):
    """Something did not start; the message holds what it said."""


def free_port() -> int:
    """A port on the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Program:
    """A process with a log, that can be killed and started again."""

    def __init__(self, name: str, folder: Path, command: Sequence[str]) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.command = list(command)
        self.process: subprocess.Popen[bytes] | None = None
        self.cpu_s = 0.0
        """Of the process that runs, until `read_cpu`."""

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start it; what it says goes to its log."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End it now, and wait until it is gone."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def alive(self) -> None:
        """Raise `StageError` when it has ended by itself."""
        if self.process is not None and self.process.poll() is not None:
            raise StageError(f"{self.name} ended: {self.log.read_text()[-2000:]}")


class Broker(Program):
    """Mosquitto on a port of its own, plain, open to everybody: rights are not what is measured here."""

    def __init__(self, folder: Path, settings: Mapping[str, str] = SHIPPED) -> None:
        self.port = free_port()
        config = folder / "broker.conf"
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous true", "persistence false", "user root"]
        lines += [f"{name} {value}" for name, value in settings.items()]
        config.write_text("\n".join(lines) + "\n")
        super().__init__("broker", folder, [broker_program(), "-c", str(config)])

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        super().start()
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            self.alive()
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.01)
        raise StageError(f"the broker does not start: {self.log.read_text()}")


class Receiver(Program):
    """``aurora-cluster serve``, as one of a group where ``group`` is given."""

    def __init__(
        self,
        folder: Path,
        number: int,
        *,
        port: int,
        data: Path,
        store: str,
        group: str = "",
        opener: bool = False,
        profile: bool = False,
    ) -> None:
        name = f"receiver-{number}"
        words = ["serve", "--data", str(data), "--host", "127.0.0.1", "--port", str(port)]
        words += ["--client", f"aurora-{name}", "--name", CLUSTER]
        if store:
            words += ["--store", store]
        if group:
            words += ["--group", group]
        if opener:
            words.append("--opener")
        python = [sys.executable]
        if profile:
            python += ["-m", "cProfile", "-o", str(folder / f"{name}.prof")]
        super().__init__(name, folder, [*python, "-m", "gateway.cluster.cli", *words])

    def start(self) -> None:
        """Start, and wait until it is subscribed."""
        self.begin()
        deadline = time.monotonic() + START_S
        while not self.receiving():
            self.alive()
            if time.monotonic() > deadline:
                raise StageError(f"{self.name} does not receive: {self.log.read_text()[-2000:]}")
            time.sleep(0.02)

    def begin(self) -> None:
        """Start without waiting."""
        self.log.write_bytes(b"")
        super().start()

    def receiving(self) -> bool:
        """Whether it has said that it receives."""
        return b"receiving from" in self.log.read_bytes()


class Follower(Program):
    """``aurora-cluster derive``: makes the tables that pages and exports read from the evidence."""

    def __init__(self, folder: Path, *, data: Path, store: str) -> None:
        words = [sys.executable, "-m", "gateway.cluster.cli", "derive", "--data", str(data), "--store", store]
        super().__init__("follower", folder, words)

    def catch_up(self, timeout_s: float) -> None:
        """End it, and derive what is left."""
        self.kill(signal.SIGTERM)
        try:
            done = subprocess.run(
                [*self.command, "--once"], cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            raise StageError(f"the follower is not done after {timeout_s:.0f} s") from None
        if done.returncode:
            raise StageError(f"the follower ended: {done.stderr[-2000:]}")


class Fleet(Program):
    """The simulator of gateways on a cargo; ``options`` are those of fleet.c."""

    def __init__(self, folder: Path, cargo: Path, **options: object) -> None:
        self.receipts = folder / "receipts.bin"
        self.times = folder / "times.bin"
        given = {"receipts": self.receipts, "times": self.times, **options}
        words = [f"{name}={value}" for name, value in given.items()]
        super().__init__("fleet", folder, [str(program("fleet")), str(cargo), *words])
        self.said = ""

    def start(self) -> None:
        """Start it; what it says is read here."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
            )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End it now."""
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()
        super().kill(number)

    def done(self, wait_s: float = 0.0) -> tuple[int, int]:
        """Batches with a receipt, and all of them, as far as it has told; waits for news for so long."""
        assert self.process is not None
        assert self.process.stdout is not None
        if wait_s:
            select.select([self.process.stdout], [], [], wait_s)
        self.said += (self.process.stdout.read() or b"").decode()
        found = re.findall(r"^done (\d+) of (\d+)$", self.said, re.MULTILINE)
        return (int(found[-1][0]), int(found[-1][1])) if found else (0, 1)

    def finish(self, timeout_s: float) -> dict[str, Any]:
        """Wait for the end; what it counted. Raises `StageError` when it says nothing."""
        assert self.process is not None
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), True)
        try:
            rest, _ = self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise StageError(f"the fleet does not end: {self.said[-200:]}") from None
        self.said += rest.decode()
        self.process = None
        last = self.said.strip().rpartition("\n")[2]
        if not last.startswith("{"):
            raise StageError(f"the fleet said {last!r}; {self.log.read_text()}")
        counted: dict[str, Any] = json.loads(last)
        return counted


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds of each part since some moment."""

    cpu_s: dict[str, float]

    @classmethod
    def of(cls, parts: Mapping[str, int]) -> "Cost":
        """Of processes by name, their children included."""
        return cls({name: measure(pid).cpu_s for name, pid in parts.items()})

    def since(self, before: "Cost") -> dict[str, float]:
        """What each has used between the two."""
        return {name: self.cpu_s[name] - before.cpu_s[name] for name in self.cpu_s}
