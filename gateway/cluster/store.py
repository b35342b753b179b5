"""The evidence in the tables: gateways, keys, trees, batches, forks, rejections. SQL for both engines.

A `Store` lives for one transaction. What it gives back of a stream for changing is locked until that ends, so that
any number of receivers leave the same state as one.
"""

from collections.abc import AsyncIterator, Iterable, Sequence

from gateway.cluster.database import Row, Work
from gateway.cluster.nouns import STREAMS, Enrolled, Entry, Fork, KeyTerm, Place, Rejected, StreamState
from gateway.errors import StorageError
from gateway.model import Stream
from gateway.seal.cose import PublicKey
from gateway.seal.tree import Frontier
from gateway.site import Identity

MAX_FORKS = 100
"""Contradicting batches kept of one gateway."""
MAX_REJECTED = 10_000
"""Rows of rejections; more clients than that share the row of client ``*``."""

_GATEWAY = (
    "SELECT gateway.id, gateway.member, member.name, site, gateway.name, enrolled_ms, version, revoked_ms "
    "FROM gateway JOIN member ON member.id = gateway.member"
)
_STATE = (
    "held, hole_ms, announced, counted, volume, duplicates, deleted, unreadable, late, late_max_ms, "
    "clock_state, clock_error_ms, clock_ahead_ms, sealed_ms, received_ms, receipt_ms"
)
_STATE_NAMES = _STATE.split(", ")
_SAVE_STATE = "UPDATE stream SET size = $3, frontier = $4, " + ", ".join(
    f"{name} = ${place}" for place, name in enumerate(_STATE_NAMES, 5)
)
_ENTRY = "SELECT seq, leaf, body, sealed_ms, received_ms FROM batch WHERE gateway = $1 AND stream = $2"


class Store:
    """The evidence tables within one transaction. Every method may raise `StorageError`."""

    def __init__(self, work: Work) -> None:
        self._work = work

    # Gateways and their keys

    async def gateway(self, client: str) -> Enrolled | None:
        """The gateway enrolled for this MQTT client."""
        return (await self.gateways_of([client])).get(client)

    async def gateways_of(self, clients: Iterable[str]) -> dict[str, Enrolled]:
        """The gateways enrolled for these MQTT clients, by client."""
        wanted = self._work.dialect.among("client", 1, "text")
        rows = await self._work.fetch(f"{_GATEWAY} WHERE {wanted}", self._work.several(clients))
        return {found.identity.client: found for found in map(_gateway, rows)}

    async def gateways(self) -> list[Enrolled]:
        """All enrolled gateways, by member and name."""
        return [_gateway(row) for row in await self._work.fetch(f"{_GATEWAY} ORDER BY member.name, gateway.name")]

    async def enrol(self, identity: Identity, at_ms: int) -> Enrolled:
        """Add a gateway; one that is there keeps its row, and gets the site."""
        work = self._work
        await work.execute("INSERT INTO member (name) VALUES ($1) ON CONFLICT (name) DO NOTHING", identity.member)
        await work.execute(
            "INSERT INTO gateway (member, site, name, client, enrolled_ms) "
            "SELECT id, $2, $3, $4, CAST($5 AS bigint) FROM member WHERE name = $1 "
            "ON CONFLICT (client) DO UPDATE SET site = excluded.site",
            identity.member,
            identity.site,
            identity.gateway,
            identity.client,
            at_ms,
        )
        found = await self.gateway(identity.client)
        if found is None or found.identity.urn != identity.urn:
            raise StorageError(f"{identity.client} is the MQTT client of another gateway", "choose another name")
        for number in range(len(STREAMS)):
            add = "INSERT INTO stream (gateway, stream) VALUES ($1, $2) ON CONFLICT (gateway, stream) DO NOTHING"
            await work.execute(add, found.id, number)
        await work.execute("INSERT INTO progress (gateway) VALUES ($1) ON CONFLICT (gateway) DO NOTHING", found.id)
        return found

    async def terms(self, gateway: int) -> list[KeyTerm]:
        """The keys of a gateway in the order in which they came."""
        return (await self.terms_of([gateway])).get(gateway, [])

    async def terms_of(self, gateways: Iterable[int]) -> dict[int, list[KeyTerm]]:
        """The keys of gateways, each in the order in which they came."""
        wanted = self._work.dialect.among("gateway", 1, "bigint")
        query = (
            "SELECT gateway, public, origin, since_ms, event_first, event_end, scan_first, scan_end "
            f"FROM term WHERE {wanted} ORDER BY gateway, place"
        )
        found: dict[int, list[KeyTerm]] = {}
        for gateway, public, origin, since_ms, *seqs in await self._work.fetch(query, self._work.several(gateways)):
            event_first, event_end, scan_first, scan_end = seqs
            first: dict[Stream, int] = {"event": event_first, "scan": scan_first}
            end: dict[Stream, int | None] = {"event": event_end, "scan": scan_end}
            key = PublicKey.from_pem(public.encode())
            found.setdefault(gateway, []).append(KeyTerm(key, origin, since_ms, first, end))
        return found

    async def save_terms(self, gateway: int, terms: Sequence[KeyTerm]) -> None:
        """Write the keys of a gateway; every receiver sees by the gateway's version that they have changed."""
        await self._work.execute("DELETE FROM term WHERE gateway = $1", gateway)
        rows = [
            (
                gateway,
                place,
                term.public.pem().decode(),
                term.origin,
                term.since_ms,
                term.first["event"],
                term.end["event"],
                term.first["scan"],
                term.end["scan"],
            )
            for place, term in enumerate(terms)
        ]
        add = (
            "INSERT INTO term "
            "(gateway, place, public, origin, since_ms, event_first, event_end, scan_first, scan_end) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
        )
        await self._work.execute_each(add, rows)
        await self._work.execute("UPDATE gateway SET version = version + 1 WHERE id = $1", gateway)

    # Streams

    async def lock(self, gateways: Iterable[int]) -> dict[int, tuple[int, int | None]]:
        """Lock both streams of these gateways, always in the same order; gives their version and revocation now."""
        wanted = self._work.dialect.among("gateway", 1, "bigint")
        numbers = self._work.several(gateways)
        if self._work.dialect.lock:
            query = f"SELECT 1 FROM stream WHERE {wanted} ORDER BY gateway, stream{self._work.dialect.lock}"
            await self._work.fetch(query, numbers)
        # After the locks: whoever changes keys or rights of a gateway holds them, too.
        wanted = self._work.dialect.among("id", 1, "bigint")
        rows = await self._work.fetch(f"SELECT id, version, revoked_ms FROM gateway WHERE {wanted}", numbers)
        return {number: (version, revoked_ms) for number, version, revoked_ms in rows}

    async def states(self, gateways: Iterable[int]) -> dict[int, dict[Stream, StreamState]]:
        """Both streams of these gateways."""
        wanted = self._work.dialect.among("gateway", 1, "bigint")
        query = f"SELECT gateway, stream, frontier, {_STATE} FROM stream WHERE {wanted}"
        found: dict[int, dict[Stream, StreamState]] = {}
        for gateway, stream, frontier, *rest in await self._work.fetch(query, self._work.several(gateways)):
            state = StreamState(Frontier.from_bytes(bytes(frontier)), *rest)
            found.setdefault(gateway, {})[STREAMS[stream]] = state
        return found

    async def state(self, gateway: int, stream: Stream) -> StreamState:
        """One stream."""
        return (await self.states([gateway]))[gateway][stream]

    async def save_states(self, states: Iterable[tuple[int, Stream, StreamState]]) -> None:
        """Write streams."""
        rows = [
            (gateway, STREAMS.index(stream), state.size, state.frontier.to_bytes(), *_numbers(state))
            for gateway, stream, state in states
        ]
        await self._work.execute_each(f"{_SAVE_STATE} WHERE gateway = $1 AND stream = $2", rows)

    # Batches

    async def add(self, entries: Iterable[tuple[int, int, Stream, Entry]]) -> None:
        """Store batches that are not there, each with the numbers of its member and its gateway."""
        rows = [
            (
                gateway,
                STREAMS.index(stream),
                entry.seq,
                member,
                entry.leaf,
                entry.sealed_ms,
                entry.received_ms,
                entry.body,
            )
            for member, gateway, stream, entry in entries
        ]
        add = (
            "INSERT INTO batch (gateway, stream, seq, member, leaf, sealed_ms, received_ms, body) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
        )
        await self._work.execute_each(add, rows)

    async def find(self, places: Iterable[Place]) -> dict[Place, Entry]:
        """Those of the batches that are there."""
        query = (
            "SELECT gateway, stream, seq, leaf, body, sealed_ms, received_ms FROM batch "
            "WHERE gateway = $1 AND stream = $2 AND seq = $3"
        )
        rows = [(gateway, STREAMS.index(stream), seq) for gateway, stream, seq in places]
        return {
            Place(gateway, STREAMS[stream], entry[0]): Entry(*entry)
            for gateway, stream, *entry in (await self._work.fetch_each(query, rows) if rows else ())
        }

    async def fill(self, gateway: int, stream: Stream, entry: Entry) -> None:
        """Give a hole its body after all."""
        await self._work.execute(
            "UPDATE batch SET body = $1, sealed_ms = $2 "
            "WHERE gateway = $3 AND stream = $4 AND seq = $5 AND leaf = $6 AND body IS NULL",
            entry.body,
            entry.sealed_ms,
            gateway,
            STREAMS.index(stream),
            entry.seq,
            entry.leaf,
        )

    async def erased(self, place: Place) -> bool:
        """Whether retention took the body of a batch."""
        query = "SELECT 1 FROM erased WHERE gateway = $1 AND stream = $2 AND first <= $3 AND last >= $3 LIMIT 1"
        return bool(await self._work.fetch(query, place.gateway, STREAMS.index(place.stream), place.seq))

    async def drop(self, gateway: int, stream: Stream, seq: int) -> None:
        """Take out a batch that waits behind a hole."""
        drop = "DELETE FROM batch WHERE gateway = $1 AND stream = $2 AND seq = $3"
        await self._work.execute(drop, gateway, STREAMS.index(stream), seq)

    async def entries(self, gateway: int, stream: Stream, first: int = 0) -> AsyncIterator[Entry]:
        """The batches from ``first`` on in order of their sequence, those behind a hole included."""
        query = f"{_ENTRY} AND seq >= $3 ORDER BY seq"
        async for row in self._work.rows(query, gateway, STREAMS.index(stream), first):
            yield Entry(*row)

    async def held(self, gateway: int, stream: Stream, size: int) -> list[int]:
        """The sequences stored from ``size`` on."""
        query = "SELECT seq FROM batch WHERE gateway = $1 AND stream = $2 AND seq >= $3 ORDER BY seq"
        return [seq for (seq,) in await self._work.fetch(query, gateway, STREAMS.index(stream), size)]

    # What was not taken

    async def add_fork(self, fork: Fork) -> None:
        """Keep evidence of a fork, within bounds."""
        await self._work.execute(
            "INSERT INTO fork (gateway, stream, seq, leaf, why, received_ms, body) "
            "SELECT $1, $2, $3, $4, $5, CAST($6 AS bigint), $7 "
            "WHERE (SELECT count(*) FROM fork WHERE gateway = $1) < $8 "
            "ON CONFLICT (gateway, stream, seq, leaf) DO NOTHING",
            fork.gateway,
            STREAMS.index(fork.stream),
            fork.seq,
            fork.leaf,
            fork.why,
            fork.received_ms,
            fork.body,
            MAX_FORKS,
        )

    async def forks(self, gateway: int) -> list[Fork]:
        """The evidence kept."""
        query = (
            "SELECT gateway, stream, seq, leaf, why, received_ms, body FROM fork "
            "WHERE gateway = $1 ORDER BY stream, seq, received_ms"
        )
        rows = await self._work.fetch(query, gateway)
        return [Fork(number, STREAMS[stream], *rest) for number, stream, *rest in rows]

    async def forked(self) -> set[int]:
        """The gateways of which there is evidence of a fork."""
        return {gateway for (gateway,) in await self._work.fetch("SELECT DISTINCT gateway FROM fork")}

    async def reject(self, found: Iterable[Rejected]) -> None:
        """Count messages that were not taken, within bounds."""
        counts = (
            "SELECT (SELECT count(*) FROM rejected), "
            "(SELECT count(*) FROM rejected WHERE client = $1 AND stream = $2 AND reason = $3)"
        )
        bounded: list[Rejected] = []
        for one in _gathered(found):
            rows, known = (await self._work.fetch(counts, *one[:3]))[0]
            full = rows + len(bounded) >= MAX_REJECTED and not known
            bounded.append(one._replace(client="*", stream="*") if full else one)
        await self._work.execute_each(
            "INSERT INTO rejected (client, stream, reason, times, first_ms, last_ms, seq, what) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (client, stream, reason) DO UPDATE SET "
            "times = rejected.times + excluded.times, last_ms = excluded.last_ms, "
            "seq = excluded.seq, what = excluded.what",
            _gathered(bounded),
        )

    async def rejected(self) -> list[Rejected]:
        """What was not taken."""
        query = (
            "SELECT client, stream, reason, times, first_ms, last_ms, seq, what FROM rejected "
            "ORDER BY client, stream, reason"
        )
        return [Rejected(*row) for row in await self._work.fetch(query)]


def _gathered(found: Iterable[Rejected]) -> list[Rejected]:
    """One row for each client, stream and reason, in the order of these, in which every receiver locks them."""
    kinds: dict[tuple[str, str, str], Rejected] = {}
    for one in found:
        before = kinds.get(one[:3])
        kinds[one[:3]] = (
            one if before is None else one._replace(times=before.times + one.times, first_ms=before.first_ms)
        )
    return [kinds[kind] for kind in sorted(kinds)]


def _numbers(state: StreamState) -> list[int | None]:
    return [getattr(state, "values" if name == "counted" else name) for name in _STATE_NAMES]


def _gateway(row: Row) -> Enrolled:
    number, member, name, site, gateway, enrolled_ms, version, revoked_ms = row
    identity = Identity(member=name, site=site, gateway=gateway)
    return Enrolled(number, member, identity, enrolled_ms, version, revoked_ms)
