"""What these tests are made of: a store on each engine, filled with really signed batches of gateways in memory."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cluster_world import NOW_MS, Plant

from gateway.cluster.database import Database
from gateway.seal.batch import open_batch, subject
from gateway.seal.checkpoint import log_key
from gateway.seal.events import decode_events
from gateway.seal.keys import FileSigner
from gateway.seal.note import NoteKey
from gateway.seal.receipt import issue_receipt
from gateway.seal.tree import Frontier
from gateway.site import Identity

ORIGIN = "urn:aurora:cluster:test"
DAY_MS = 86_400_000
NORTH = Identity(member="dairy", site="north", gateway="gw-1")
SOUTH = Identity(member="dairy", site="south", gateway="gw-2")
OTHER = Identity(member="bakery", site="east", gateway="gw-9")
NUMBER = {"event": 0, "scan": 1}


@dataclass
class Store:
    """A cluster's store and key, and the gateways that have delivered to it."""

    database: Database
    signer: FileSigner
    folder: Path
    gateways: dict[str, int] = field(default_factory=dict)
    sent: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def log_key(self) -> NoteKey:
        return log_key(ORIGIN, self.signer.public)

    def plant(self, identity: Identity = NORTH) -> Plant:
        return Plant(self.folder / identity.client, identity)

    async def enrol(self, plant: Plant) -> int:
        who = plant.identity
        async with self.database.transaction() as work:
            await work.execute("INSERT INTO member (name) VALUES ($1) ON CONFLICT DO NOTHING", who.member)
            (member,) = (await work.fetch("SELECT id FROM member WHERE name = $1", who.member))[0]
            await work.execute(
                "INSERT INTO gateway (member, site, name, client, enrolled_ms) VALUES ($1, $2, $3, $4, $5)",
                *(member, who.site, who.gateway, who.client, NOW_MS),
            )
            (gateway,) = (await work.fetch("SELECT id FROM gateway WHERE client = $1", who.client))[0]
            await work.execute(
                "INSERT INTO term VALUES ($1, 0, $2, 'enrolled', $3, 0, NULL, 0, NULL)",
                *(gateway, plant.signer.public.pem().decode(), NOW_MS),
            )
            for stream in (0, 1):
                await work.execute("INSERT INTO stream (gateway, stream) VALUES ($1, $2)", gateway, stream)
        self.gateways[who.client] = gateway
        return int(gateway)

    async def deliver(self, *plants: Plant, limit: int | None = None) -> None:
        """What the receiver would store: batches, trees, receipts, and the index of events about checkpoints."""
        for plant in plants:
            client = plant.identity.client
            gateway = self.gateways[client] if client in self.gateways else await self.enrol(plant)
            for stream in ("event", "scan"):
                await self._deliver(plant, gateway, stream, limit)

    async def _deliver(self, plant: Plant, gateway: int, stream: str, limit: int | None) -> None:
        done = self.sent.get((plant.identity.client, stream), 0)
        batches = plant.batches[stream][: limit or len(plant.batches[stream])]
        number = NUMBER[stream]
        frontier = Frontier.of(batch.leaf for batch in batches)
        receipt = issue_receipt(
            self.signer, iss=ORIGIN, sub=subject(plant.identity.urn, stream), frontier=frontier, iat=NOW_MS // 1000
        )
        async with self.database.transaction() as work:
            (member,) = (await work.fetch("SELECT member FROM gateway WHERE id = $1", gateway))[0]
            for batch in batches[done:]:
                body = None if (stream, batch.seq) in plant.gone else batch.body
                opened = open_batch(batch.body)
                await work.execute(
                    "INSERT INTO batch (gateway, stream, seq, member, leaf, sealed_ms, received_ms, body) "
                    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                    *(gateway, number, batch.seq, member, batch.leaf, opened.clock.utc_ms, NOW_MS, body),
                )
                if stream == "event" and batch.seq:
                    for place, event in enumerate(decode_events(opened.payload)):
                        await work.execute(
                            "INSERT INTO event (member, gateway, seq, place, boot, boot_ms, kind, data) "
                            "VALUES ($1, $2, $3, $4, $5, $6, $7, '{}')",
                            *(member, gateway, batch.seq, place, opened.clock.boot, event.at_ms, event.kind),
                        )
            await work.execute(
                "UPDATE stream SET size = $1, frontier = $2, receipt = $3, receipt_ms = $4 "
                "WHERE gateway = $5 AND stream = $6",
                *(frontier.size, frontier.to_bytes(), receipt, NOW_MS, gateway, number),
            )
        self.sent[plant.identity.client, stream] = len(batches)

    async def sql(self, *statements: tuple[object, ...]) -> None:
        """What an administrator does to the store, past every program of ours."""
        async with self.database.transaction() as work:
            for sql, *values in statements:
                await work.execute(str(sql), *values)

    async def rows(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        async with self.database.transaction(write=False) as work:
            return [tuple(row) for row in await work.fetch(sql, *values)]


def leaves_of(plant: Plant, stream: str) -> Iterable[bytes]:
    return (batch.leaf for batch in plant.batches[stream])
