"""Was everything kept, and nothing else? The database against what was signed, each answer against its tree."""

import asyncio
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.fleet.cargo import STREAMS, Gateway
from gateway.cluster.database import Work, open_database
from gateway.cluster.enrolment import enrol
from gateway.errors import SealError
from gateway.seal.cose import PublicKey
from gateway.seal.receipt import Refusal, check_receipt, parse_answer
from gateway.seal.tree import Frontier

EVENT, SCAN = range(2)


async def enrol_all(where: str, fleet: Iterable[Gateway], now_ms: int) -> None:
    """An empty store with the fleet in it; raises `StorageError`."""
    database = await open_database(where)
    try:
        await database.prepare(now_ms)
        for some in batched(fleet, 8):
            # Some at a time: each is durable on its own.
            await asyncio.gather(*(enrol(database, gateway.enrolment(), now_ms) for gateway in some))
    finally:
        await database.close()


def batched(items: Iterable[Gateway], size: int) -> Iterator[list[Gateway]]:
    """Lists of at most ``size``."""
    everything = list(items)
    for at in range(0, len(everything), size):
        yield everything[at : at + size]


@dataclass(slots=True)
class Kept:
    """What the database holds."""

    findings: list[str] = field(default_factory=list)
    """Every difference from what was signed; empty is right."""
    batches: int = 0
    duplicates: int = 0
    """Batches that came once more."""
    forks: dict[tuple[str, str, int], str] = field(default_factory=dict)
    """Client, stream and sequence of evidence of a second history, and why it is one."""
    fork_bodies: set[bytes] = field(default_factory=set)
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Messages that were refused, by client and reason."""


async def look(where: str, fleet: Sequence[Gateway]) -> Kept:
    """Compare a store with what was signed: every byte, every leaf, every tree."""
    database = await open_database(where, read_only=True)
    try:
        async with database.transaction(write=False) as work:
            return await _look(work, fleet)
    finally:
        await database.close()


async def _look(work: Work, fleet: Sequence[Gateway]) -> Kept:
    kept = Kept()
    numbers = {client: number for number, client in await work.fetch("SELECT id, client FROM gateway")}
    clients = {number: client for client, number in numbers.items()}
    for client in numbers.keys() ^ {gateway.client for gateway in fleet}:
        kept.findings.append(f"{client} is only on one side")
    for gateway in fleet:
        for place, stream in enumerate(STREAMS):
            await _compare(work, kept, gateway, numbers.get(gateway.client, -1), place, stream)
    for number, place, seq, why, body in await work.fetch("SELECT gateway, stream, seq, why, body FROM fork"):
        kept.forks[clients[number], STREAMS[place], seq] = why
        kept.fork_bodies.add(bytes(body))
    for client, reason, times in await work.fetch("SELECT client, reason, times FROM rejected"):
        kept.rejected[client, reason] += times
    return kept


async def _compare(work: Work, kept: Kept, gateway: Gateway, number: int, place: int, stream: str) -> None:
    where = f"{gateway.client} {stream}"
    query = "SELECT seq, leaf, body FROM batch WHERE gateway = $1 AND stream = $2 ORDER BY seq"
    rows = await work.fetch(query, number, place)
    kept.batches += len(rows)
    times = Counter(seq for seq, _, _ in rows)
    kept.findings += [f"{where}: batch {seq} is there {n} times" for seq, n in times.items() if n > 1]
    stored = {seq: (bytes(leaf), bytes(body or b"")) for seq, leaf, body in rows}
    signed = dict(enumerate(zip(gateway.leaves[stream], gateway.bodies[stream], strict=True)))
    kept.findings += [f"{where}: batch {seq} is lost" for seq in sorted(signed.keys() - stored.keys())]
    kept.findings += [f"{where}: batch {seq} was never signed" for seq in sorted(stored.keys() - signed.keys())]
    both = sorted(signed.keys() & stored.keys())
    kept.findings += [f"{where}: batch {seq} is another one" for seq in both if signed[seq] != stored[seq]]
    query = "SELECT size, held, frontier, duplicates FROM stream WHERE gateway = $1 AND stream = $2"
    for size, held, frontier, duplicates in await work.fetch(query, number, place):
        kept.duplicates += duplicates
        if (size, held) != (len(signed), 0):
            kept.findings.append(f"{where}: the tree has {size} batches of {len(signed)}, {held} wait")
        elif Frontier.from_bytes(bytes(frontier)).root() != gateway.root(stream):
            kept.findings.append(f"{where}: the tree has another root")


@dataclass(slots=True)
class Answers:
    """What came back to the gateways."""

    findings: list[str] = field(default_factory=list)
    receipts: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    sizes: dict[tuple[str, str], int] = field(default_factory=dict)
    """The largest tree vouched for, by client and stream."""


def check_answers(path: Path, fleet: Sequence[Gateway], key: PublicKey) -> Answers:
    """Check the signature of each receipt, and its root against the gateway's own tree of that size."""
    answers = Answers()
    roots = {
        (gateway.client, stream): list(_roots(gateway.leaves[stream])) for gateway in fleet for stream in STREAMS
    }
    seen: set[bytes] = set()
    for number, body in _records(path):
        gateway = fleet[number]
        try:
            answer = parse_answer(body)
            if isinstance(answer, Refusal):
                answers.refusals[answer.reason] += 1
                continue
            answers.receipts += 1
            if body in seen:
                continue
            seen.add(body)
            stream = "event" if answer.sub == f"{gateway.identity.urn}:event" else "scan"
            if answer.sub != f"{gateway.identity.urn}:{stream}":
                raise SealError("foreign-answer", answer.sub)
            if answer.tree_size > len(gateway.leaves[stream]):
                raise SealError("ahead", f"a tree of {answer.tree_size}")
            leaf = gateway.leaves[stream][answer.leaf_index]
            check_receipt(answer, key, leaf, roots[gateway.client, stream][answer.tree_size])
            place = (gateway.client, stream)
            answers.sizes[place] = max(answers.sizes.get(place, 0), answer.tree_size)
        except SealError as error:
            answers.findings.append(f"{gateway.client}: {error}")
    return answers


def _roots(leaves: Iterable[bytes]) -> Iterator[bytes]:
    """The root of the tree of each size, from the empty one on."""
    frontier = Frontier()
    yield frontier.root()
    for leaf in leaves:
        frontier.append(leaf)
        yield frontier.root()


def _records(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number of the gateway and the answer, as fleet_gateway.c wrote them."""
    data = path.read_bytes()
    at = 0
    while at < len(data):
        number, length = struct.unpack_from("<II", data, at)
        yield number, data[at + 8 : at + 8 + length]
        at += 8 + length


@dataclass(frozen=True, slots=True)
class Times:
    """When batches were to be sent and were vouched for, in seconds from the first."""

    waits_s: list[float]
    """From the first moment to the receipt, for each batch, rising."""
    ends_s: list[float]
    """Of each receipt, rising."""
    last_s: list[float]
    """When each gateway had its last receipt, rising."""

    def wait_ms(self, share: float) -> float:
        """The wait that this share of the batches did not exceed, in ms."""
        return self.waits_s[min(len(self.waits_s) - 1, int(share * len(self.waits_s)))] * 1000

    def rate(self) -> float:
        """Batches each second between the first and the last tenth: without the start and the stragglers."""
        low, high = len(self.ends_s) // 10, len(self.ends_s) * 9 // 10
        taken = self.ends_s[high] - self.ends_s[low]
        return (high - low) / taken if taken > 0 else 0.0


def read_times(path: Path) -> Times:
    """What fleet.c wrote; batches without a receipt are left out."""
    rows = list(struct.iter_unpack("<4Q", path.read_bytes()))
    first = min((ready for _, _, ready, _ in rows if ready), default=0)
    waits, ends = [], []
    last: dict[int, int] = {}
    for number, _, ready, receipt in rows:
        if receipt:
            waits.append((receipt - ready) / 1e9)
            ends.append((receipt - first) / 1e9)
            last[number] = max(last.get(number, 0), receipt)
    return Times(sorted(waits), sorted(ends), sorted((at - first) / 1e9 for at in last.values()))
