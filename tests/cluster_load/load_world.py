"""A whole cluster as processes, with a fleet before it, and the hand that kills them."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from postgres_server import Server

from bench.fleet.cargo import STREAMS, Gateway, write_cargo
from bench.fleet.check import Answers, Kept, check_answers, enrol_all, look
from bench.fleet.disturb import Disturbance
from bench.fleet.stage import GROUP, SHIPPED, Broker, Fleet, Receiver
from bench.meter import tree
from gateway.seal.keys import FileSigner

NOW_MS = int(time.time() * 1000)
"""Partitions are made for the months of the machine's clock, by which the receivers go."""


def until(condition: Callable[[], Any], timeout_s: float = 60.0, what: str = "") -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what or condition}"
        time.sleep(0.02)


class World:
    """Broker, database, receivers and fleet of one test."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.server = server
        self.where = server.new_database()
        self.signer = FileSigner.create(folder / "cluster.key")
        self.fleet: Sequence[Gateway] = ()
        self.broker: Broker | None = None
        self.receivers: list[Receiver] = []
        self.simulator: Fleet | None = None

    def begin(
        self,
        fleet: Sequence[Gateway],
        *,
        receivers: int = 1,
        openers: Collection[int] = (),
        settings: Mapping[str, str] = SHIPPED,
        disturbance: Disturbance | None = None,
        **options: object,
    ) -> Fleet:
        """Enrol a fleet and let it loose; ``options`` are those of fleet.c.

        The receivers with the numbers of ``openers`` have signatures checked in a process beside them.
        """
        self.fleet = fleet
        asyncio.run(enrol_all(self.where, fleet, NOW_MS))
        self.broker = Broker(self.folder, settings)
        self.broker.start()
        port = self.broker.port
        group = GROUP if receivers > 1 else ""
        for number in range(receivers):
            one = Receiver(
                self.folder,
                number,
                port=port,
                data=self.folder,
                store=self.where,
                group=group,
                opener=number in openers,
            )
            self.receivers.append(one)
            one.begin()
        for one in self.receivers:
            until(one.receiving, what=one.name)
        cargo = self.folder / "fleet.cargo"
        write_cargo(cargo, fleet, disturbance.clients if disturbance is not None else ())
        self.simulator = Fleet(self.folder, cargo, port=port, **options)
        self.simulator.start()
        return self.simulator

    def kill_receiver(self, number: int) -> None:
        """Kill it and start it again."""
        self.receivers[number].kill()
        self.receivers[number].begin()

    def kill_broker(self) -> None:
        """Kill it with all that it had queued, and start it again."""
        assert self.broker is not None
        self.broker.kill()
        self.broker.start()

    def kill_database(self) -> None:
        """Kill the server as a power cut would, and start it again."""
        # Stopped first, so that no process is born while they are counted.
        os.kill(self.postmaster(), signal.SIGSTOP)
        processes = tree(self.postmaster())
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        until(lambda: not any(map(_runs, processes)), what="the server's processes are gone")
        # Where nobody reaps the dead, their number seems to be in use still; after a power cut it would not.
        for lock in (self.server.data / "postmaster.pid", self.server.folder / ".s.PGSQL.5432.lock"):
            lock.unlink()
        self.server.start()

    def kill_backend(self) -> None:
        """Kill one process that serves a receiver; the server then ends all others and recovers by itself."""
        for process in self.backends()[:1]:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def postmaster(self) -> int:
        """Process id of the server."""
        return int((self.server.data / "postmaster.pid").read_text().split()[0])

    def backends(self) -> list[int]:
        """The server's processes that serve receivers."""
        found = []
        for process in tree(self.postmaster())[1:]:
            with suppress(OSError):
                title = (Path("/proc") / str(process) / "cmdline").read_bytes()
                if title.startswith(b"postgres: aurora"):
                    found.append(process)
        return found

    def kept(self) -> Kept:
        """The store beside what was signed."""
        return asyncio.run(look(self.where, self.fleet))

    def answers(self) -> Answers:
        """What came back to the gateways, once the simulator has ended."""
        assert self.simulator is not None
        return check_answers(self.simulator.receipts, self.fleet, self.signer.public)

    def finish(self, timeout_s: float = 60) -> dict[str, Any]:
        """Wait until the fleet has all receipts; what it counted."""
        assert self.simulator is not None
        return self.simulator.finish(timeout_s)

    def end_fleet(self) -> dict[str, Any]:
        """End a fleet that goes on for ever; what it counted."""
        assert self.simulator is not None
        os.kill(self.simulator.pid, signal.SIGTERM)
        return self.simulator.finish(20)

    def everything_is_there(self) -> Kept:
        """Assert that the store is exactly what was signed and that every receipt vouches for just that."""
        for one in self.receivers:
            one.alive()
            one.kill(signal.SIGTERM)
        kept, answers = self.kept(), self.answers()
        assert not kept.findings, kept.findings[:10]
        assert not answers.findings, answers.findings[:10]
        due = {
            (gateway.client, stream): len(gateway.bodies[stream]) for gateway in self.fleet for stream in STREAMS
        }
        assert answers.sizes == due
        return kept

    def close(self) -> None:
        """Stop what runs."""
        for part in (self.simulator, *self.receivers, self.broker):
            if part is not None:
                part.kill()


def _runs(process: int) -> bool:
    try:
        return (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
