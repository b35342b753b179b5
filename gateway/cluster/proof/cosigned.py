"""What the gateways say as witnesses: their events about checkpoints, out of the batches that they have signed.

The table of events says which batches to look into; what counts is read from the batches themselves.
"""

import logging
from collections.abc import Iterable
from typing import NamedTuple

from gateway.cluster.database import Database, Work
from gateway.cluster.proof.log import checkpoint_of, name_of
from gateway.errors import SealError, UnfitError
from gateway.model import Event
from gateway.seal.batch import EVENT_TYPE, open_batch
from gateway.seal.checkpoint import Checkpoint
from gateway.seal.cose import PublicKey
from gateway.seal.events import decode_events
from gateway.seal.note import Line, NoteKey, cosignature_kind, read_line

__all__ = [
    "SPEAKS",
    "collect",
    "cosign_time_ms",
    "gateway_keys",
    "keep_line",
    "lines_of",
    "witness_key",
    "witnessed",
]

log = logging.getLogger(__name__)

SPEAKS = "checkpoint."
WITNESSED, AWAITED, REFUSED = "checkpoint.witnessed", "checkpoint.awaited", "checkpoint.refused"
AT_ONCE = 500

_NEW = f"""
SELECT DISTINCT event.gateway, event.seq FROM event LEFT JOIN heard ON heard.gateway = event.gateway
WHERE event.kind LIKE 'checkpoint.%' AND event.seq >= coalesce(heard.event_next, 0)
ORDER BY event.gateway, event.seq LIMIT {AT_ONCE}"""  # a number of our own
_KEEP = """
INSERT INTO heard (gateway, event_next, size, refused) VALUES ($1, $2, $3, $4)
ON CONFLICT (gateway) DO UPDATE SET event_next = excluded.event_next, size = excluded.size,
    refused = heard.refused + excluded.refused
WHERE heard.event_next < excluded.event_next"""

MOST_SIZE = 2**62
LAST_S = 2**43
"""A larger number of a witness is no time."""


class _Heard(NamedTuple):
    """What one event batch says: the size that the gateway has seen (None: nothing), cosignatures, refusals."""

    size: int | None
    lines: list[tuple[int, Line]]
    refused: int


async def collect(database: Database) -> int:
    """Take over what the gateways have said since the last time; returns how many cosignatures were new.

    Any process may do so at any time: what was taken over is not taken over again.
    """
    total = 0
    while True:
        async with database.transaction(write=False) as work:
            found = [(int(row[0]), int(row[1])) for row in await work.fetch(_NEW)]
        for gateway, seq in found:
            try:
                async with database.transaction() as work:
                    total += await _take(work, gateway, seq)
            except (UnfitError, SealError) as error:
                # What one gateway says must not keep the others from being heard: it counts as nothing said.
                log.warning("batch %d of gateway %d is no word of a witness: %s", seq, gateway, error)
                async with database.transaction() as work:
                    await work.execute(_KEEP, gateway, seq + 1, await _size(work, gateway), 0)
        if len(found) < AT_ONCE:
            return total


async def _size(work: Work, gateway: int) -> int:
    """The size that a gateway is known to have seen."""
    known = await work.fetch("SELECT size FROM heard WHERE gateway = $1", gateway)
    return int(known[0][0]) if known else 0


async def _take(work: Work, gateway: int, seq: int) -> int:
    bodies = await work.fetch(
        "SELECT body FROM batch WHERE gateway = $1 AND stream = 0 AND seq = $2 AND body IS NOT NULL", gateway, seq
    )
    heard = _read(bytes(bodies[0][0])) if bodies else _Heard(None, [], 0)
    size = await _size(work, gateway) if heard.size is None else heard.size
    new = 0
    keys = await gateway_keys(work, gateway)
    for place, line in heard.lines:
        stored = await checkpoint_of(work, place)
        if stored is not None and _holds(line, stored.note.split("\n\n")[0] + "\n", keys):
            await keep_line(work, place, line)
            new += 1
    await work.execute(_KEEP, gateway, seq + 1, size, heard.refused)
    return new


async def keep_line(work: Work, size: int, line: Line) -> None:
    """Store the line of a witness, which has been checked, for the checkpoint of ``size``."""
    await work.execute(
        "INSERT INTO cosignature (size, witness, line, at_ms) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        *(size, line.name, str(line), cosign_time_ms(line)),
    )


async def lines_of(work: Work, size: int) -> list[Line]:
    """The lines of all witnesses of a checkpoint, by name."""
    found = await work.fetch("SELECT line FROM cosignature WHERE size = $1 ORDER BY witness", size)
    return [read_line(str(row[0]).removesuffix("\n")) for row in found]


async def gateway_keys(work: Work, gateway: int) -> list[NoteKey]:
    """The keys that a gateway has had, as a witness would use them."""
    names = await work.fetch(
        "SELECT member.name, gateway.site, gateway.name FROM gateway JOIN member ON member.id = gateway.member "
        "WHERE gateway.id = $1",
        gateway,
    )
    urn = name_of(*names[0]).urn
    terms = await work.fetch("SELECT public FROM term WHERE gateway = $1 ORDER BY place", gateway)
    return [witness_key(urn, PublicKey.from_pem(str(row[0]).encode())) for row in terms]


def witness_key(name: str, public: PublicKey) -> NoteKey:
    """The key of a witness that signs with this public key."""
    return NoteKey(name, cosignature_kind(public), public)


def cosign_time_ms(line: Line) -> int:
    """When a witness cosigned, by its own clock (Unix milliseconds)."""
    return min(int.from_bytes(line.signature[:8], "big"), LAST_S) * 1000


def _read(body: bytes) -> _Heard:
    try:
        batch = open_batch(body)
        events = decode_events(batch.payload) if batch.content_type == EVENT_TYPE else []
    except SealError:
        # It is in the tree, readable or not, and the register has counted it as unreadable.
        return _Heard(None, [], 0)
    size, lines = None, []
    for event in events:
        said = event.data.get("size")
        if type(said) is not int or not 0 <= said <= MOST_SIZE or event.kind not in (WITNESSED, AWAITED):
            continue
        size = said
        if event.kind == WITNESSED:
            lines += [(said, line) for line in cosignature(event)]
    return _Heard(size, lines, sum(event.kind == REFUSED for event in events))


def cosignature(event: Event) -> list[Line]:
    """The line of a ``checkpoint.witnessed`` event; none where there is none, or no good one."""
    text = event.data.get("line")
    if not isinstance(text, str):
        return []
    try:
        return [read_line(text)]
    except SealError:
        return []


def witnessed(event: Event) -> Checkpoint | None:
    """The checkpoint that a ``checkpoint.witnessed`` event vouches for."""
    match event.data:
        case {"origin": str(origin), "size": int(size), "root": bytes(root)} if event.kind == WITNESSED:
            return Checkpoint(origin, size, root)
        case _:
            return None


def _holds(line: Line, text: str, keys: Iterable[NoteKey]) -> bool:
    for key in keys:
        if (key.name, key.id) == (line.name, line.id):
            try:
                key.verify(line.signature, text)
            except SealError:
                return False
            return True
    return False
