"""Aurora Gateway as a peer: its site file, its cluster receiver, and its deliveries as the receiver holds them.

A poll counts as delivered when its batch is in the receiver's tree, since only then is there a receipt for it.
"""

import asyncio
import subprocess
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from random import Random

from bench.peers import Arrival, Peer, Poll
from bench.stage import HOST, ROOT, Message, Process, Stage, free_port
from firmware_interfaces.modbus.model import load_model
from gateway.acquire.poller import device_layout
from gateway.buffer.ledger import Book
from gateway.buffer.messages import Request
from gateway.buffer.reader import Reader
from gateway.buffer.writer import Writer
from gateway.cluster.reading import evidence
from gateway.cluster.store import Store
from gateway.config import load_site
from gateway.demo.pki import Authority
from gateway.errors import AuroraError
from gateway.identity import open_identity
from gateway.model import ClockClaim, ClockState, Layout, Scan, Stream
from gateway.records import Archive
from gateway.seal.columns import layout_id

CLIENT = "bench.gw"
GATEWAY_CLI = [sys.executable, "-m", "gateway.cli"]
CLUSTER_CLI = [sys.executable, "-m", "gateway.cluster.cli"]

BACKLOG_BOOT = bytes(16)
BACKLOG_DEVICES = 5
BACKLOG_BATCH = 25
"""Scans in a batch: at 100 values a second a batch is full after 5 s."""


class Gateway(Peer):
    """The gateway with plain TCP to the broker, as the anchors have it."""

    name = "gateway"
    topic = "aurora/#"
    scheme = "mqtt"

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.site = stage.work / "site.toml"
        self.data = stage.work / "data"
        self.cluster = stage.work / "cluster"
        self.backlog_size = 0
        self._archive = Archive()
        self._counted: Counter[Poll] = Counter()
        self._read_to: dict[Stream, int] = {"event": 0, "scan": 0}

    def helpers(self) -> list[Process]:
        """Settings, keys and enrolment; then the receiver, which talks to the broker without the proxy."""
        receipt_key = self.stage.work / "receipts.pem"
        receipt_key.write_text(said([*CLUSTER_CLI, "keys", "--data", str(self.cluster)]))
        self.site.write_text(self.settings(receipt_key))
        enrolment = self.stage.work / "enrolment.json"
        enrolment.write_text(said([*GATEWAY_CLI, "keys", str(self.site), "export"]))
        said([*CLUSTER_CLI, "enrol", "--data", str(self.cluster), str(enrolment)])
        serve = [*CLUSTER_CLI, "serve", "--data", str(self.cluster), "--host", HOST]
        return [Process([*serve, "--port", str(self.stage.broker_port)], self.stage.work / "cluster.log")]

    def command(self) -> list[str]:
        return [*GATEWAY_CLI, "run", str(self.site)]

    def settings(self, receipt_key: Path) -> str:
        """The site file."""
        broker = f'broker = "{self.scheme}://{HOST}:{self.stage.uplink_port}"\nreceipt_key = "{receipt_key}"\n'
        blocks = [
            f'[gateway]\nmember = "bench"\nsite = "bench"\nid = "gw"\ndata_dir = "{self.data}"\n',
            f"[cluster]\n{broker}{self.tls_settings()}",
            f'[web]\nlisten = "{HOST}:{free_port()}"\n',
            "[buffer]\nbatch_max_age_s = 15.0\n",
        ]
        return "\n".join(blocks + list(self.buses()))

    def tls_settings(self) -> str:
        """Lines for the table ``cluster``; none without TLS."""
        return ""

    def buses(self) -> Iterator[str]:
        """Buses and devices of the job."""
        job, stage = self.stage.job, self.stage
        units = range(1, job.units + 1)
        if job.baud:
            yield f'[[bus]]\nid = "line"\ntype = "modbus-rtu"\ndevice = "{stage.tty}"\nbaud = {job.baud}\n'
        elif job.shared:
            yield f'[[bus]]\nid = "line"\ntype = "modbus-tcp"\nhost = "{HOST}"\nport = {stage.modbus_port}\n'
        else:
            for unit in units:
                port = stage.modbus_port
                yield f'[[bus]]\nid = "bus-{unit}"\ntype = "modbus-tcp"\nhost = "127.0.1.{unit}"\nport = {port}\n'
        for unit in units:
            bus = "line" if job.baud or job.shared else f"bus-{unit}"
            yield (
                f'[[device]]\nid = "unit-{unit}"\nbus = "{bus}"\nmodel = "generic-registers-20"\n'
                f"unit = {unit}\nperiod_s = {job.period_ms / 1000}\n"
            )

    def stored_ns(self, _started_ns: int) -> int | None:
        """When the first value is on disk, in a commit group or a batch; looked at from outside, every few ms."""
        path = self.data / "journal.db"
        if not path.with_name("journal.db-wal").exists():
            return None
        reader = Reader(path)
        try:
            groups = reader.tail()
            batches = reader.batches("scan", 1, 1)
        except (AuroraError, KeyError):
            return None  # the file is just being made
        finally:
            reader.close()
        in_groups = any(isinstance(record, Scan) for _, _, records in groups for record in records or ())
        return time.monotonic_ns() if in_groups or any(batch.values for batch in batches) else None

    def polls(self, message: Message) -> list[Poll]:
        return self._polls_of(message.payload) if message.topic.endswith("/scan") else []

    def arrivals(self) -> Iterator[Arrival]:
        """As the sink saw them; what the scans mean is in the event stream, so that is read first."""
        events = [message.payload for message in self.stage.messages() if message.topic.endswith("/event")]
        self._learn(events)
        return super().arrivals()

    def delivered(self) -> Counter[Poll]:
        """What the receiver has in its trees; only batches that are new since the last call are read."""
        asyncio.run(self._count())
        return self._counted

    async def _count(self) -> None:
        async with evidence(self.cluster / "cluster.db") as store:
            gateway = await store.gateway(CLIENT)
            if gateway is None:
                return
            self._learn(await self._new_bodies(store, gateway.id, "event"))
            for body in await self._new_bodies(store, gateway.id, "scan"):
                self._counted.update(self._polls_of(body))

    async def _new_bodies(self, store: Store, gateway: int, stream: Stream) -> list[bytes]:
        first, size = self._read_to[stream], (await store.state(gateway, stream)).size
        self._read_to[stream] = size
        entries = [entry async for entry in store.entries(gateway, stream, first)]
        return [entry.body for entry in entries if entry.seq < size and entry.body]

    def _learn(self, bodies: Iterable[bytes]) -> None:
        for _ in self._archive.add_events(bodies):
            pass

    def _polls_of(self, body: bytes) -> list[Poll]:
        """The polls in a scan batch: registers 0 and 1 of each scan."""
        _, layout, records = self._archive.scans(body)
        units = [int(device.id.removeprefix("unit-")) for device in layout.devices]
        return [
            Poll(units[record.device], int(record.values[0]) | int(record.values[1]) << 16)
            for record in records
            if isinstance(record, Scan)
        ]

    def backlog(self, values: int) -> None:
        """Let the journal's own writer seal what a day before this boot would have left."""
        site = load_site(self.site)
        models = {name: load_model(name) for name in {device.model for device in site.devices}}
        layout = Layout(tuple(device_layout(device, models[device.model]) for device in site.devices))
        identity = open_identity(site)
        book = Book(
            site.identity.urn, identity.signer, layout, layout_id(layout), site.buffer, identity.registration
        )
        scans = values // self.stage.job.registers
        start_ms = int(datetime.now(UTC).timestamp() * 1000) - scans // BACKLOG_DEVICES * 1000
        writer = Writer(self.data / "journal.db", book)
        writer.open(past(0, start_ms))
        source = made_scans(scans, self.stage.job.registers)
        while part := list(islice(source, BACKLOG_BATCH)):
            head = writer.commit(Request(past(part[-1].at_ms, start_ms), [*part], close=True)).heads["scan"]
            self.backlog_size = head.seq + 1 if head else 0
        writer.close()

    def backlog_left(self) -> int:
        size = asyncio.run(self._delivered_size())
        return max(0, self.backlog_size - size) * BACKLOG_BATCH * self.stage.job.registers

    async def _delivered_size(self) -> int:
        async with evidence(self.cluster / "cluster.db") as store:
            gateway = await store.gateway(CLIENT)
            return (await store.state(gateway.id, "scan")).size if gateway else 0


class TlsGateway(Gateway):
    """The gateway with mutual TLS."""

    name = "gateway-tls"
    scheme = "mqtts"
    compared = False

    @classmethod
    def tls(cls, work: Path) -> tuple[Path, Path, Path]:
        authority = Authority(work / "pki", datetime.now(UTC))
        authority.client(CLIENT)
        broker = authority.server("broker")
        return broker.ca, broker.certificate, broker.key

    def tls_settings(self) -> str:
        folder = self.stage.work / "pki"
        files = {"ca": "ca.pem", "certificate": f"{CLIENT}.pem", "key": f"{CLIENT}.key"}
        return "".join(f'{name} = "{folder / file}"\n' for name, file in files.items())


def said(command: list[str]) -> str:
    """Standard output of a command; RuntimeError with what it complained of."""
    outcome = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=60)
    if outcome.returncode:
        raise RuntimeError(f"{' '.join(command[1:5])}: {outcome.stderr.strip()[-500:]}")
    return outcome.stdout


def past(boot_ms: int, start_ms: int) -> ClockClaim:
    """A trusted clock of the boot before this one."""
    return ClockClaim(BACKLOG_BOOT, boot_ms, start_ms + boot_ms, 10, ClockState.TRUSTED)


def made_scans(count: int, registers: int) -> Iterator[Scan]:
    """Scans of a few devices, one a second each, in order; random walks like those of the simulator."""
    random = Random(1)
    good = bytes(registers)
    values = [[5000.0] * registers for _ in range(BACKLOG_DEVICES)]
    for number in range(count):
        slot, device = divmod(number, BACKLOG_DEVICES)
        walk = values[device]
        for register in range(registers):
            largest = 1 << register % 5
            walk[register] = abs(walk[register] + random.randint(-largest, largest))
        yield Scan(device, slot, slot * 1000 + device, array("d", walk), good)
