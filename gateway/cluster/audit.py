"""``aurora-cluster verify``: everything that is stored is verified again, from the bytes alone."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import NamedTuple

from gateway.cluster.account import Account, deletion, events_of
from gateway.cluster.database import Database
from gateway.cluster.nouns import STREAMS, Enrolled, Entry
from gateway.cluster.store import Store
from gateway.errors import SealError
from gateway.model import Head, Stream
from gateway.seal.batch import NO_PREVIOUS, OpenBatch, open_batch
from gateway.seal.tree import Frontier, leaf_hash


class Finding(NamedTuple):
    """Something that is not as it should be. ``seq`` is None where it is about the whole stream."""

    client: str
    stream: str
    seq: int | None
    what: str

    def __str__(self) -> str:
        place = f"{self.client} {self.stream}"
        return f"{place}: {self.what}" if self.seq is None else f"{place} {self.seq}: {self.what}"


class Audited(NamedTuple):
    """What one stream turned out to be."""

    client: str
    stream: Stream
    size: int
    root: bytes
    bodies: int


async def audit(database: Database) -> AsyncIterator[Finding | Audited]:
    """Check signatures, chains and trees of every gateway.

    Gives one `Audited` per stream and a `Finding` for everything that is wrong.
    """
    async with database.transaction(write=False) as work:
        gateways = await Store(work).gateways()
    for gateway in gateways:
        # A view of its own for each gateway: one that stays open for hours would keep what others delete.
        async with database.transaction(write=False) as work:
            store = Store(work)
            try:
                states = (await store.states([gateway.id]))[gateway.id]
            except SealError as error:
                yield Finding(gateway.identity.client, "both streams", None, f"the tree cannot be read ({error})")
                continue
            # A gateway that was shut out stays in the record.
            account = Account(replace(gateway, revoked_ms=None), await store.terms(gateway.id), states)
            check = _Check(store, account)
            rows = await work.fetch("SELECT stream, first, last FROM erased WHERE gateway = $1", gateway.id)
            check.erased |= {
                (STREAMS[stream], seq) for stream, first, last in rows for seq in range(first, last + 1)
            }
            for stream in STREAMS:
                async for found in check.stream(stream):
                    yield found
            for finding in check.across():
                yield finding


class _Check:
    def __init__(self, store: Store, account: Account) -> None:
        self._store = store
        self._gateway: Enrolled = account.gateway
        self._account = account
        self._leaves: dict[Stream, list[bytes]] = {stream: [] for stream in STREAMS}
        self._holes: list[tuple[Stream, int]] = []
        self._gone: dict[tuple[Stream, int], bytes] = {}
        """What signed events say was deleted."""
        self.erased: set[tuple[Stream, int]] = set()
        """What the cluster says that its retention took."""
        self._heads: list[tuple[Stream, int, Head]] = []

    async def stream(self, stream: Stream) -> AsyncIterator[Finding | Audited]:
        """Walk one stream from its first batch to the end of its tree."""
        state = self._account.states[stream]
        frontier = Frontier()
        bodies = 0
        async for entry in self._store.entries(self._gateway.id, stream):
            if entry.seq >= state.size:
                break
            if entry.seq != frontier.size:
                what = "is missing" if entry.seq > frontier.size else "is there twice"
                yield self._finding(stream, min(entry.seq, frontier.size), what)
                return
            before = frontier.newest_leaf() if frontier.size else NO_PREVIOUS
            for what in self._entry(stream, entry, before):
                yield self._finding(stream, entry.seq, what)
            bodies += entry.body is not None
            self._leaves[stream].append(entry.leaf)
            frontier.append(entry.leaf)
        if frontier != state.frontier:
            what = f"the tree of {state.size} batches has another root than the {frontier.size} batches stored"
            yield self._finding(stream, None, what)
        for fork in await self._store.forks(self._gateway.id):
            if fork.stream == stream:
                yield self._finding(stream, fork.seq, f"fork: {fork.why}")
        yield Audited(self._account.client, stream, frontier.size, frontier.root(), bodies)

    def across(self) -> Iterator[Finding]:
        """What one stream says about the other: heads, and leaves of deleted batches."""
        for stream, seq, head in self._heads:
            other: Stream = "scan" if stream == "event" else "event"
            leaves = self._leaves[other]
            if head.seq < len(leaves) and leaves[head.seq] != head.leaf:
                yield self._finding(stream, seq, f"names another batch {head.seq} of stream {other} than is stored")
        for stream, seq in self._holes:
            if (stream, seq) not in self._gone and (stream, seq) not in self.erased:
                yield self._finding(stream, seq, "has no body, and no signed event says that it was deleted")
        for (stream, seq), leaf in self._gone.items():
            leaves = self._leaves[stream]
            if seq < len(leaves) and leaves[seq] != leaf:
                yield self._finding(stream, seq, "was another batch, says the event of its deletion")

    def _entry(self, stream: Stream, entry: Entry, before: bytes) -> Iterator[str]:
        if entry.body is None:
            self._holes.append((stream, entry.seq))
            return
        if leaf_hash(entry.body) != entry.leaf:
            yield "the bytes have been altered"
            return
        try:
            batch = open_batch(entry.body)
            batch.verify(self._account.key(batch))
        except SealError as error:
            yield str(error)
            return
        if (batch.iss, batch.stream, batch.seq) != (self._gateway.identity.urn, stream, entry.seq):
            yield "is another batch than its place says"
        if batch.prev != before:
            yield "does not continue the batch before it"
        if batch.other is not None:
            self._heads.append((stream, entry.seq, batch.other))
        self._remember_deletions(batch)

    def _remember_deletions(self, batch: OpenBatch) -> None:
        try:
            gone = [deletion(event.data) for event in events_of(batch) if event.kind == "deleted"]
        except SealError:
            return
        for one in gone:
            self._gone |= {(one.stream, seq): leaf for seq, leaf in enumerate(one.leaves, one.first)}

    def _finding(self, stream: Stream, seq: int | None, what: str) -> Finding:
        return Finding(self._account.client, stream, seq, what)
