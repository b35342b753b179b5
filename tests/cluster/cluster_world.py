"""What these tests are made of: a gateway that keeps its batches in memory, a broker, a receiver, a bad network."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from gateway.cluster.database import Database, open_database
from gateway.cluster.enrolment import Enrolment, enrol
from gateway.cluster.reading import evidence
from gateway.cluster.receiver import Receiver
from gateway.cluster.register import Register
from gateway.demo.pki import Authority, Certificate
from gateway.model import (
    Batch,
    ClockClaim,
    ClockState,
    Column,
    DeviceLayout,
    Event,
    Head,
    Layout,
    Scan,
    StoredBatch,
)
from gateway.mqtt import Endpoint
from gateway.seal.batch import (
    EVENT_TYPE,
    NO_PREVIOUS,
    REGISTRATION_TYPE,
    SCAN_TYPE,
    registration_payload,
    seal_batch,
)
from gateway.seal.columns import decode_scans, encode_scans
from gateway.seal.events import encode_events
from gateway.seal.keys import FileSigner, begin_rotation, finish_rotation
from gateway.seal.tree import Frontier
from gateway.site import ClusterSpec, Identity
from gateway.sync.uplink import Uplink

ROOT = Path(__file__).parents[2]
BOOT = bytes(range(16))
NOW_MS = 1_795_360_000_000
RECEIVER = "aurora-receiver"
CLUSTER = "urn:aurora:cluster:test"
IDENTITY = Identity(member="dairy", site="north", gateway="gw-1")
OTHER = Identity(member="bakery", site="south", gateway="gw-9")
LAYOUT = Layout(
    (
        DeviceLayout(
            "room", "line", "probe", "0" * 16, 1000, 0, tuple(Column(f"t{n}", "degC", 1) for n in range(10))
        ),
    )
)


async def until(condition: Callable[[], Any], timeout: float = 60.0, what: str = "") -> None:
    """Wait for a condition; looks every few milliseconds."""
    try:
        async with asyncio.timeout(timeout):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"not within {timeout} s: {what or condition}") from None


class Plant:
    """A gateway: signs real batches and keeps them in memory, as the uplink's outbox and as the truth."""

    def __init__(self, folder: Path, identity: Identity = IDENTITY) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.identity = identity
        self.signer = FileSigner.create(folder / "gateway.key")
        self.changed = asyncio.Event()
        self.batches: dict[str, list[Batch]] = {"event": [], "scan": []}
        self.gone: set[tuple[str, int]] = set()
        self.acknowledged: dict[str, tuple[int, bytes]] = {"event": (0, b""), "scan": (0, b"")}
        self.receipts: list[bytes] = []
        self.events: list[Event] = []
        self.now_ms = NOW_MS
        self.slots = 0
        registration = registration_payload(
            self.signer.public,
            identity,
            config_digest=sha256(b"site").digest(),
            storage="file",
            software="test",
        )
        for stream in ("event", "scan"):
            self.seal(stream, registration, REGISTRATION_TYPE)

    def seal(self, stream: str, payload: bytes, content_type: str) -> Batch:
        done, beside = self.batches[stream], self.batches["scan" if stream == "event" else "event"]
        batch = seal_batch(
            self.signer,
            iss=self.identity.urn,
            stream=stream,
            seq=len(done),
            prev=done[-1].leaf if done else NO_PREVIOUS,
            other=Head(beside[-1].seq, beside[-1].leaf) if beside else None,
            clock=self.clock(),
            payload=payload,
            content_type=content_type,
        )
        done.append(batch)
        self.changed.set()
        return batch

    def clock(self) -> ClockClaim:
        return ClockClaim(BOOT, self.now_ms - NOW_MS + 1000, self.now_ms, 12, ClockState.TRUSTED)

    def scans(self, batches: int, rows: int = 5) -> list[Batch]:
        """Seal scan batches of ``rows`` scans with ten values each; every slot occurs once."""
        return [self.seal("scan", encode_scans(LAYOUT, self._rows(rows)), SCAN_TYPE) for _ in range(batches)]

    def _rows(self, rows: int) -> list[Scan]:
        first, self.slots = self.slots, self.slots + rows
        return [
            Scan(0, slot, slot * 1000 + 7, array("d", [slot % 977 / 10 + n for n in range(10)]), bytes(10))
            for slot in range(first, self.slots)
        ]

    def event(self, kind: str, **data: Any) -> Batch:
        return self.seal("event", encode_events([Event(kind, self.clock().boot_ms, data)]), EVENT_TYPE)

    def rotate(self) -> None:
        rotation = begin_rotation(self.signer)
        self.event("key.rotated", **rotation.data)
        self.signer = finish_rotation(rotation)

    def delete(self, stream: str, first: int, last: int) -> None:
        """Give up bodies that have no receipt, and sign their leaves."""
        leaves = [batch.leaf for batch in self.batches[stream][first : last + 1]]
        self.gone |= {(stream, seq) for seq in range(first, last + 1)}
        self.event("deleted", stream=stream, first=first, last=last, leaves=leaves, reason="full")

    async def record(self, event: Event) -> None:
        """Where the uplink's events go: into the record, as in the gateway."""
        self.events.append(event)
        self.event(event.kind, **event.data)

    # The outbox

    async def pending(self, stream: str, from_seq: int, limit: int) -> list[StoredBatch]:
        return [
            StoredBatch(stream, b.seq, b.leaf, None if (stream, b.seq) in self.gone else b.body, 0, 0, 0)
            for b in self.batches[stream][from_seq : from_seq + limit]
        ]

    async def leaves(self, stream: str, from_seq: int, to_seq: int) -> list[bytes]:
        return [batch.leaf for batch in self.batches[stream][from_seq:to_seq]]

    def head(self, stream: str) -> Head | None:
        done = self.batches[stream]
        return Head(done[-1].seq, done[-1].leaf) if done else None

    def delivered(self, stream: str) -> tuple[int, bytes]:
        return self.acknowledged[stream]

    async def acknowledge(self, stream: str, size: int, frontier: bytes, receipt: bytes) -> None:
        self.acknowledged[stream] = (size, frontier)
        self.receipts.append(receipt)

    # What the tests ask

    def done(self, *streams: str) -> bool:
        """Whether everything sealed so far has a receipt."""
        chosen = streams or ("event", "scan")
        return all(self.acknowledged[stream][0] == len(self.batches[stream]) for stream in chosen)

    def root(self, stream: str) -> bytes:
        return Frontier.of(batch.leaf for batch in self.batches[stream]).root()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Pki:
    """One CA for a whole run of tests."""

    authority: Authority
    broker: Certificate
    clients: dict[str, Certificate] = field(default_factory=dict)

    def client(self, name: str) -> Certificate:
        if name not in self.clients:
            self.clients[name] = self.authority.client(name)
        return self.clients[name]


class Broker:
    """Mosquitto with the configuration that docs/mosquitto ships, on a port of its own."""

    def __init__(self, folder: Path, pki: Pki, acl: str = "") -> None:
        self.pki = pki
        self.port = free_port()
        self.log = folder / "broker.log"
        shipped = (ROOT / "docs/mosquitto/aurora.conf").read_text(encoding="utf-8")
        rules = (ROOT / "docs/mosquitto/aurora.acl").read_text(encoding="utf-8")
        (folder / "aurora.acl").write_text(acl or rules)
        replaced = {
            "listener": f"{self.port} 127.0.0.1",
            "cafile": pki.broker.ca,
            "certfile": pki.broker.certificate,
            "keyfile": pki.broker.key,
            "acl_file": folder / "aurora.acl",
        }
        for name, value in replaced.items():
            shipped, count = re.subn(rf"(?m)^{name} .*$", f"{name} {value}", shipped)
            assert count == 1, name
        self.config = folder / "broker.conf"
        self.config.write_text(shipped + "\nuser root\n")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            program = "/usr/sbin/mosquitto"
            self.process = subprocess.Popen([program, "-c", str(self.config)], stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.01)
        raise AssertionError(f"mosquitto does not start: {self.log.read_text()}")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def settings(
        self, tmp: Path, identity: Identity = IDENTITY, port: int | None = None, window: int = 8
    ) -> ClusterSpec:
        certificate = self.pki.client(identity.client)
        return ClusterSpec(
            host="127.0.0.1",
            port=port or self.port,
            receipt_key=tmp / "unused",
            ca=certificate.ca,
            certificate=certificate.certificate,
            key=certificate.key,
            in_flight=window,
        )

    def endpoint(self, client: str) -> Endpoint:
        certificate = self.pki.client(client)
        return Endpoint(
            host="127.0.0.1",
            port=self.port,
            client=client,
            ca=certificate.ca,
            certificate=certificate.certificate,
            key=certificate.key,
        )


class Clock:
    """Unix milliseconds for the cluster, moved by hand."""

    def __init__(self) -> None:
        self.ms = NOW_MS

    def __call__(self) -> int:
        return self.ms


T = TypeVar("T")


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Run something to its end in a loop of its own, beside the test's."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


@asynccontextmanager
async def opened(where: str | Path) -> AsyncIterator[Database]:
    database = await open_database(where)
    try:
        await database.prepare(NOW_MS)
        yield database
    finally:
        await database.close()


class Asked:
    """A store whose every method can be called without a loop: each call sees what is committed then."""

    def __init__(self, where: str | Path) -> None:
        self._where = where

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def ask(*values: object) -> Any:
            async with evidence(self._where) as store:
                found = getattr(store, name)(*values)
                return [one async for one in found] if hasattr(found, "__aiter__") else await found

        return lambda *values: at_once(ask(*values))


class Cluster:
    """A receiver in this process, over a store in a file or on a server."""

    def __init__(self, folder: Path, broker: Broker, where: str | Path | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.broker = broker
        self.clock = Clock()
        self.signer = FileSigner.create(folder / "cluster.key")
        self.path = folder / "cluster.db"
        self.where = where or self.path
        self.store = Asked(self.where)
        self.receiver: Receiver | None = None
        self.prepare()

    def prepare(self) -> None:
        async def prepare() -> None:
            async with opened(self.where):
                pass

        at_once(prepare())

    def enrol(self, plant: Plant) -> None:
        async def add() -> None:
            async with opened(self.where) as database:
                await enrol(database, Enrolment(plant.identity, plant.signer.public), NOW_MS)

        at_once(add())

    @asynccontextmanager
    async def serving(self, group: str = "") -> AsyncIterator[Receiver]:
        async with opened(self.where) as database:
            register = Register(database, self.signer, iss=CLUSTER)
            receiver = Receiver(self.broker.endpoint(RECEIVER), register, utc_ms=self.clock, group=group)
            async with running(receiver.run()):
                await until(lambda: receiver.stats.connected, what="receiver connected")
                yield receiver

    def size(self, plant: Plant, stream: str) -> int:
        gateway = self.store.gateway(plant.identity.client)
        return self.store.state(gateway.id, stream).size if gateway else 0

    def bodies(self, plant: Plant, stream: str) -> list[bytes | None]:
        gateway = self.store.gateway(plant.identity.client)
        assert gateway is not None
        return [entry.body for entry in self.store.entries(gateway.id, stream)]

    def slots(self, plant: Plant) -> list[int]:
        """The slots in all scan batches stored, in order."""
        from gateway.seal.batch import open_batch

        bodies = self.bodies(plant, "scan")[1:]
        payloads = [open_batch(body).payload for body in bodies if body is not None]
        return [scan.slot for payload in payloads for scan in decode_scans(LAYOUT, payload)]

    def refusals(self) -> dict[tuple[str, str], int]:
        return {(row.client, row.reason): row.times for row in self.store.rejected()}


def uplink(plant: Plant, cluster: Cluster, tmp: Path, **options: Any) -> Uplink:
    settings = cluster.broker.settings(tmp, plant.identity, options.pop("port", None), options.pop("window", 8))
    return Uplink(
        settings,
        plant.identity,
        plant,
        options.pop("key", cluster.signer.public),
        clock=plant.clock,
        on_event=plant.record,
        receipt_timeout_s=options.pop("timeout", 0.8),
        **options,
    )


@asynccontextmanager
async def running(*work: Awaitable[Any]) -> AsyncIterator[None]:
    """Run things beside the test; they are stopped at its end, and must not have failed before."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        yield
    finally:
        failed = [task.exception() for task in tasks if task.done() and not task.cancelled()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not failed, failed


class Proxy:
    """A TCP line between gateway and broker that can be made to swallow everything."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.silent = False
        self.port = 0
        self.carried = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Proxy"]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there = None
        try:
            back, there = await asyncio.open_connection("127.0.0.1", self.target)
            await asyncio.gather(self._copy(reader, there), self._copy(back, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for one in (writer, there):
                if one is not None:
                    one.close()

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            if not self.silent:
                self.carried += len(data)
                sink.write(data)
                await sink.drain()
        sink.close()


class Process:
    """``aurora-cluster serve`` as an operator runs it."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        self.folder = folder
        self.broker = broker
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "gateway.cluster.cli", *words, "--data", str(self.folder)]

    def start(self) -> None:
        certificate = self.broker.pki.client(RECEIVER)
        broker = ["--host", "127.0.0.1", "--port", str(self.broker.port), "--client", RECEIVER]
        broker += ["--ca", str(certificate.ca), "--certificate", str(certificate.certificate)]
        broker += ["--key", str(certificate.key)]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'ext'}"}
        self.process = subprocess.Popen(self.command("serve", *broker), env=environment, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(20)
        self.process = None
        return status
