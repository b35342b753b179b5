"""What is measured: how each peer is started on a stage, and how its deliveries are read.

A peer of your own needs a `Command` only; see docs/performance.md.
"""

import json
import shlex
import sqlite3
import sys
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, ClassVar, NamedTuple

from bench.build import program
from bench.stage import Message, Process, Stage


class Poll(NamedTuple):
    """One delivered poll: which unit, and which of its reads (registers 0 and 1)."""

    unit: int
    number: int


class Arrival(NamedTuple):
    """What one message brought: when, and how many polls."""

    at_ns: int
    polls: list[Poll]


class Peer(ABC):
    """One gateway on one stage.

    ``stores`` tells whether it has a store that `backlog` can fill, ``serial`` whether it can read a serial line,
    ``compared`` whether it takes part in more than `base` (a variant of another peer does not).
    """

    name: ClassVar[str]
    topic: ClassVar[str] = "bench/#"
    stores: ClassVar[bool] = True
    serial: ClassVar[bool] = True
    compared: ClassVar[bool] = True

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    @classmethod
    def tls(cls, _work: Path) -> tuple[Path, Path, Path] | None:
        """Authority, certificate and key of a broker that asks for client certificates; None for plain TCP."""
        return None

    @abstractmethod
    def command(self) -> list[str]:
        """The command line that starts it."""

    @abstractmethod
    def polls(self, message: Message) -> list[Poll]:
        """The polls in one message."""

    def helpers(self) -> list[Process]:
        """Start what the peer needs besides the stage, and return it to be ended with it."""
        return []

    def start(self) -> Process:
        """Start the gateway itself."""
        return Process(self.command(), self.stage.work / "gateway.log")

    def first_stored(self, started_ns: int, patience_s: float = 30.0) -> float:
        """Seconds from start to the first stored value; for a peer with no store to look into, to the first
        message at the sink, which follows by milliseconds. RuntimeError when nothing comes."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if (found := self.stored_ns(started_ns)) is not None:
                return (found - started_ns) / 1e9
            time.sleep(0.005)
        raise RuntimeError(f"{self.name}: no value after {patience_s:g} s")

    def stored_ns(self, started_ns: int) -> int | None:
        """When the first value since ``started_ns`` was stored, None while there is none."""
        return next((m.at_ns for m in self.stage.messages() if m.at_ns >= started_ns and self.polls(m)), None)

    def arrivals(self) -> Iterator[Arrival]:
        """All messages with polls in them, in the order in which they came."""
        for message in self.stage.messages():
            if polls := self.polls(message):
                yield Arrival(message.at_ns, polls)

    def delivered(self) -> Counter[Poll]:
        """How often each poll was delivered."""
        return Counter(poll for arrival in self.arrivals() for poll in arrival.polls)

    def backlog(self, values: int) -> None:
        """Fill the store with so many undelivered values; NotImplementedError for a peer without one."""
        raise NotImplementedError(values)

    def backlog_left(self) -> int:
        """How many values of that backlog are still undelivered."""
        raise NotImplementedError


def json_polls(message: Message) -> list[Poll]:
    """Polls as the anchors write them: ``{"d": unit, "ts": ms, "v": [registers]}`` or a list of these."""
    document = json.loads(message.payload)
    entries: list[dict[str, Any]] = document if isinstance(document, list) else [document]
    return [Poll(entry["d"], entry["v"][0] | entry["v"][1] << 16) for entry in entries]


class Loop(Peer):
    """The C loop without storage."""

    name = "loop"
    stores = False
    serial = False

    def command(self) -> list[str]:
        job, stage = self.stage.job, self.stage
        where = "shared" if job.shared else "separate"
        numbers = [job.units, job.registers]
        ports = [stage.modbus_port, stage.uplink_port]
        return [str(program("anchor_loop")), str(job.period_ms), *map(str, numbers), where, *map(str, ports)]

    def polls(self, message: Message) -> list[Poll]:
        return json_polls(message)


class Script(Peer):
    """The asyncio script with SQLite."""

    name = "script"

    def settings(self) -> dict[str, Any]:
        """What the script is told, also given to a `Command`."""
        job, stage = self.stage.job, self.stage
        return {
            "period_s": job.period_ms / 1000,
            "units": job.units,
            "registers": job.registers,
            "shared": job.shared,
            "modbus_port": stage.modbus_port,
            "broker_port": stage.uplink_port,
            "database": str(stage.work / "script.db"),
            "tty": str(stage.tty) if job.baud else "",
            "baud": job.baud,
        }

    def command(self) -> list[str]:
        return [sys.executable, str(Path(__file__).parent / "anchor_script.py"), json.dumps(self.settings())]

    def polls(self, message: Message) -> list[Poll]:
        return json_polls(message)

    def backlog(self, values: int) -> None:
        job = self.stage.job
        random = Random(1)
        registers = [[random.randrange(10000) for _ in range(job.registers)] for _ in range(997)]
        polls = values // job.registers
        database = sqlite3.connect(self.stage.work / "script.db", isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE outbox (id INTEGER PRIMARY KEY, unit INT, ts INT, v TEXT)")
        database.execute("BEGIN")
        database.executemany(
            "INSERT INTO outbox (unit, ts, v) VALUES (?, ?, ?)",
            (
                (BACKLOG_UNIT, BACKLOG_MS + i, compact([i & 0xFFFF, i >> 16, *registers[i % 997][2:]]))
                for i in range(polls)
            ),
        )
        database.execute("COMMIT")
        database.close()
        self.backlog_polls = polls

    def backlog_left(self) -> int:
        database = sqlite3.connect(f"file:{self.stage.work / 'script.db'}?mode=ro", uri=True)
        (first,) = database.execute("SELECT min(id) FROM outbox").fetchone()
        database.close()
        left = 0 if first is None else self.backlog_polls - first + 1
        return max(0, left) * self.stage.job.registers


BACKLOG_UNIT = 0
"""Unit of polls that no simulator has answered: those of a made backlog."""
BACKLOG_MS = 1_790_000_000_000


def compact(values: list[int]) -> str:
    """JSON without spaces."""
    return json.dumps(values, separators=(",", ":"))


class Command(Script):
    """Any other gateway: a shell command that finds the settings of the script, as JSON, in BENCH_SETTINGS.

    It publishes to a topic below ``bench/`` what the anchors publish.
    """

    name = "command"
    stores = False
    line: ClassVar[str] = ""

    def command(self) -> list[str]:
        settings = shlex.quote(json.dumps(self.settings()))
        return ["/bin/sh", "-c", f"export BENCH_SETTINGS={settings}; exec {self.line}"]
