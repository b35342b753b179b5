"""One run: a fleet, a broker, receivers and a database beside each other, and what each part has used."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.build import BUILD
from bench.fleet.cargo import VALUES, kept_fleet
from bench.fleet.check import check_answers, enrol_all, look, read_times
from bench.fleet.stage import GROUP, ROOT, SHIPPED, Broker, Cost, Fleet, Follower, Receiver, StageError
from gateway.seal.keys import FileSigner

sys.path.append(str(ROOT / "tests/cluster"))
from postgres_server import Server  # the same server as in the tests

POSTGRES = ("shared_buffers = 512MB", "max_wal_size = 4GB", "checkpoint_timeout = 30min")
"""As a database server of 2 GB would be set; fsync and synchronous_commit stay on."""
TABLES = ("batch", "stream", "gateway", "term", "fork", "rejected", "member", "roll", "day", "event", "channel")


@dataclass(frozen=True, slots=True)
class Run:
    """What to run; ``options`` are those of fleet.c."""

    name: str
    gateways: int
    batches: int
    """Of scans, 500 values each, for each gateway."""
    receivers: int = 1
    engine: str = "postgresql"
    broker: Mapping[str, str] = field(default_factory=lambda: SHIPPED)
    options: Mapping[str, int] = field(default_factory=dict)
    opener: bool = False
    """Check signatures in a process beside each receiver."""
    follower: bool = False
    """Derive what pages read beside it; then the bytes stored are those of evidence and derived tables."""
    profile: bool = False
    """Run the receivers under cProfile; the figures are worth nothing then."""


@contextmanager
def store(engine: str, folder: Path) -> Iterator[tuple[str, Server | None]]:
    """An empty store, and the server it is on."""
    if engine == "sqlite":
        yield str(folder / "cluster.db"), None
        return
    server = Server(*POSTGRES, on_disk=True)
    try:
        server.start()
        yield server.new_database(), server
    finally:
        server.remove()


def play(run: Run, *, now_ms: int, timeout_s: float = 900) -> dict[str, Any]:
    """The figures of a run; raises `StageError` when a part fails or when the store is not what was signed."""
    cargo, fleet = kept_fleet(BUILD / "cargo", run.gateways, run.batches, now_ms=now_ms)
    folder = Path(tempfile.mkdtemp(prefix="aurora-fleet-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        where, server = stack.enter_context(store(run.engine, folder))
        asyncio.run(enrol_all(where, fleet, now_ms))
        signer = FileSigner.create(folder / "cluster.key")
        broker = Broker(folder, run.broker)
        stack.callback(broker.kill)
        broker.start()
        group = GROUP if run.receivers > 1 else ""
        receivers = [
            Receiver(
                folder,
                number,
                port=broker.port,
                data=folder,
                store=where,
                group=group,
                opener=run.opener,
                profile=run.profile,
            )
            for number in range(run.receivers)
        ]
        for receiver in receivers:
            stack.callback(receiver.kill)
            receiver.start()
        follower = Follower(folder, data=folder, store=where)
        stack.callback(follower.kill)
        parts = {"broker": broker.pid} | {receiver.name: receiver.pid for receiver in receivers}
        if server is not None:
            parts["database"] = int((server.data / "postmaster.pid").read_text().split()[0])
        if run.follower:
            follower.start()
            parts["follower"] = follower.pid
        before = Cost.of(parts)
        simulator = Fleet(folder, cargo, port=broker.port, **run.options)
        stack.callback(simulator.kill)
        simulator.start()
        counted = simulator.finish(timeout_s)
        spent = Cost.of(parts).since(before)
        memory = {name: round(_resident(pid) / 2**20, 1) for name, pid in parts.items()}
        if run.follower:
            follower.alive()
            follower.catch_up(timeout_s)
        for receiver in receivers:
            receiver.alive()
            receiver.kill(15)
            if run.profile:
                shutil.copy(folder / f"{receiver.name}.prof", BUILD / f"{receiver.name}.prof")
        answers = check_answers(simulator.receipts, fleet, signer.public)
        kept = asyncio.run(look(where, fleet))
        if counted["batches"] != counted["due"] or answers.findings or kept.findings:
            raise StageError(f"{run.name}: {counted}, {answers.findings[:3]}, {kept.findings[:3]}")
        times = read_times(simulator.times)
        figures = _figures(run, counted, spent, memory)
        figures |= {
            "receipt_ms": {
                name: round(times.wait_ms(at), 1) for name, at in (("p50", 0.5), ("p99", 0.99), ("max", 1))
            },
            "values_s": round(times.rate() * VALUES),
            "last_gateway_s": {"first": round(times.last_s[0], 2), "last": round(times.last_s[-1], 2)},
            "bytes_per_value": _sizes(server, where, folder, run.gateways * run.batches * VALUES),
        }
        return figures


def _resident(pid: int) -> int:
    pages = (Path("/proc") / str(pid) / "statm").read_text().split()[1]
    return int(pages) * 4096


def _figures(
    run: Run, counted: Mapping[str, Any], spent: Mapping[str, float], memory: Mapping[str, float]
) -> dict[str, Any]:
    batches = counted["batches"]
    return {
        "run": run.name,
        "batches": batches,
        "seconds": counted["seconds"],
        "whole_values_s": round(batches * VALUES / counted["seconds"]),
        "us_per_batch": {name: round(cpu / batches * 1e6) for name, cpu in spent.items()}
        | {"fleet": round(counted["cpu_s"] / batches * 1e6)},
        "resident_mb": memory,
        "resent": counted["sent"] - batches,
        "receipts": counted["receipts"],
        "gaps": counted["gaps"],
        "timeouts": counted["timeouts"],
        "pubacks": counted["pubacks"],
    }


def _sizes(server: Server | None, where: str, folder: Path, values: int) -> dict[str, float]:
    """Bytes on disk for each value, by table with its indexes; the whole SQLite file under its name."""
    if server is None:
        return {"cluster.db": round((folder / "cluster.db").stat().st_size / values, 2)}
    query = (
        "SELECT relname, pg_total_relation_size(oid) FROM pg_class "
        "WHERE relkind = 'r' AND relnamespace = 'aurora'::regnamespace"
    )
    database = urlsplit(where).path[1:]
    sizes = dict(line.split("|") for line in server.sql(query, database).splitlines())
    found = {
        name: sum(int(size) for table, size in sizes.items() if table == name or table.startswith(f"{name}_"))
        for name in TABLES
    }
    found["everything"] = sum(map(int, sizes.values()))
    return {name: round(size / values, 3) for name, size in found.items() if size / values >= 0.001}
