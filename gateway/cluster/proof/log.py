"""The cluster's one log: a leaf for each stream that has grown, and a signed checkpoint over all leaves.

Any process may ask for the day's checkpoint: the row of ``log_state`` is locked while one is made, and the next one
finds it there. Nodes of the tree are stored as they become complete, so that a proof reads a few rows, however long
the log is.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gateway.cluster.database import Database, Row, Work
from gateway.errors import SealError, StorageError
from gateway.model import Stream
from gateway.seal.batch import subject
from gateway.seal.checkpoint import Checkpoint, StreamHead, sign_checkpoint
from gateway.seal.cose import MessageSigner
from gateway.seal.nodes import Cover, Node, consistency_cover, cover, fold, inclusion_cover, newly_complete
from gateway.seal.tree import Frontier
from gateway.site import Identity

__all__ = [
    "NUMBERS",
    "Stored",
    "checkpoint",
    "checkpoint_of",
    "consistency",
    "daily",
    "inclusion",
    "name_of",
    "newest",
    "stream_name",
]

DAY_MS = 86_400_000
NUMBERS: tuple[Stream, Stream] = ("event", "scan")
"""The streams by their numbers in the store."""

_GROWN = """
SELECT stream.gateway, stream.stream, stream.size, stream.frontier, member.name, gateway.site, gateway.name
FROM stream JOIN gateway ON gateway.id = stream.gateway JOIN member ON member.id = gateway.member
WHERE stream.size > coalesce((SELECT max(log_leaf.size) FROM log_leaf
    WHERE log_leaf.gateway = stream.gateway AND log_leaf.stream = stream.stream), 0)
ORDER BY stream.gateway, stream.stream"""


class Stored(NamedTuple):
    """A checkpoint of the log as it is stored; ``note`` is its signed text without the lines of witnesses."""

    size: int
    root: bytes
    note: str
    at_ms: int
    leaves: int
    """How many leaves were new."""


async def daily(database: Database, signer: MessageSigner, now_ms: int, *, origin: str) -> Stored | None:
    """The checkpoint of this day (UTC), made unless there is one; None while no gateway has delivered anything."""
    async with database.transaction(write=False) as work:
        found = await newest(work)
    if found is not None and found.at_ms // DAY_MS >= now_ms // DAY_MS:
        return found
    return await checkpoint(database, signer, now_ms, origin=origin, once_a_day=True)


async def checkpoint(
    database: Database, signer: MessageSigner, now_ms: int, *, origin: str, once_a_day: bool = False
) -> Stored | None:
    """A checkpoint of everything that is in the trees now; the newest one where nothing has come since.

    ``origin`` names the log and never changes. Raises `SealError` ``wrong-log`` for another name than before, and
    what `sign_checkpoint` raises.
    """
    async with database.transaction() as work:
        await _take_turn(work, origin)
        before = await newest(work)
        if once_a_day and before is not None and before.at_ms // DAY_MS >= now_ms // DAY_MS:
            return before
        heads = [(int(row[0]), int(row[1]), _head(row)) for row in await work.fetch(_GROWN)]
        if not heads:
            return before
        frontier = await _frontier(work, 0 if before is None else before.size)
        nodes: list[tuple[int, int, bytes]] = []
        leaves: list[tuple[int, int, int, int, bytes, bytes]] = []
        for gateway, stream, head in heads:
            leaves.append((frontier.size, gateway, stream, head.size, head.root, head.leaf))
            frontier.append(head.leaf)
            nodes += ((*node, value) for node, value in newly_complete(frontier))
        note = sign_checkpoint(Checkpoint(origin, frontier.size, frontier.root()), signer)
        stored = Stored(frontier.size, frontier.root(), str(note), now_ms, len(leaves))
        await work.execute_each("INSERT INTO log_leaf VALUES ($1, $2, $3, $4, $5, $6)", leaves)
        await work.execute_each("INSERT INTO log_node VALUES ($1, $2, $3)", nodes)
        await work.execute("INSERT INTO checkpoint VALUES ($1, $2, $3, $4, $5)", *stored)
        return stored


async def newest(work: Work) -> Stored | None:
    """The newest checkpoint."""
    found = await work.fetch("SELECT size, root, note, at_ms, leaves FROM checkpoint ORDER BY size DESC LIMIT 1")
    return _stored(found[0]) if found else None


async def checkpoint_of(work: Work, size: int) -> Stored | None:
    """The checkpoint of a size."""
    found = await work.fetch("SELECT size, root, note, at_ms, leaves FROM checkpoint WHERE size = $1", size)
    return _stored(found[0]) if found else None


async def consistency(work: Work, first: int, second: int) -> list[bytes]:
    """The proof that the log of ``first`` leaves is the beginning of that of ``second``; empty from nothing on."""
    return await _path(work, consistency_cover(first, second)) if first else []


async def inclusion(work: Work, index: int, size: int) -> list[bytes]:
    """The path of a leaf in the log of ``size`` leaves."""
    return await _path(work, inclusion_cover(index, size))


def name_of(member: str, site: str, gateway: str) -> Identity:
    """The gateway of these three names."""
    return Identity(member=member, site=site, gateway=gateway)


def stream_name(identity: Identity, stream: int) -> str:
    """The full name (``sub``) of a gateway's stream by its number."""
    return subject(identity.urn, NUMBERS[stream])


def _head(row: Row) -> StreamHead:
    _, stream, size, data, member, site, gateway = row
    frontier = Frontier.from_bytes(bytes(data))
    identity = name_of(member, site, gateway)
    if frontier.size != size:
        raise StorageError(
            f"{identity.client} {NUMBERS[stream]}: size {size}, but a tree of {frontier.size}",
            "run `aurora-cluster verify`",
        )
    return StreamHead(stream_name(identity, stream), frontier.size, frontier.root())


async def _take_turn(work: Work, origin: str) -> None:
    """Wait for whoever else makes a checkpoint, and see to it that the log keeps its name."""
    await work.execute("UPDATE log_state SET origin = $1 WHERE id = 1 AND origin = ''", origin)
    found = await work.fetch(f"SELECT origin FROM log_state WHERE id = 1{work.dialect.lock}")
    if not found or found[0][0] != origin:
        known = found[0][0] if found else ""
        raise SealError("wrong-log", f"the log is that of {known!r}, not of {origin!r}: its name never changes")


async def _frontier(work: Work, size: int) -> Frontier:
    """The right edge of the tree of ``size`` leaves."""
    if not size:
        return Frontier()
    paths = await _path(work, [[(0, size - 1)], *inclusion_cover(size - 1, size)])
    return Frontier(size, paths)


async def _path(work: Work, covers: Sequence[Cover]) -> list[bytes]:
    hashes = await _hashes(work, {node for nodes in covers for node in nodes})
    return [fold(nodes, hashes) for nodes in covers]


async def _hashes(work: Work, nodes: Iterable[Node]) -> dict[Node, bytes]:
    """The stored hashes of nodes: leaves from the leaves, the others from ``log_node``."""
    wanted = sorted(nodes)
    leaves = await work.fetch_each(
        "SELECT 0, place, leaf FROM log_leaf WHERE place = $1", [(place,) for level, place in wanted if not level]
    )
    above = await work.fetch_each(
        "SELECT level, place, hash FROM log_node WHERE level = $1 AND place = $2",
        [node for node in wanted if node[0]],
    )
    return {(int(level), int(place)): bytes(value) for level, place, value in (*leaves, *above)}


async def root_of(work: Work, size: int) -> bytes:
    """The root of the first ``size`` leaves, from the stored nodes."""
    (root,) = await _path(work, [cover(0, size)])
    return root


def _stored(row: Row) -> Stored:
    size, root, note, at_ms, leaves = row
    return Stored(int(size), bytes(root), str(note), int(at_ms), int(leaves))
