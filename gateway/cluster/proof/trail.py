"""One stream as it is stored, computed anew from its bodies and compared with what the log said of it each day."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.cluster.database import Work
from gateway.cluster.proof.cosigned import SPEAKS, witnessed
from gateway.cluster.proof.log import NUMBERS, stream_name
from gateway.errors import SealError
from gateway.seal.batch import EVENT_TYPE, NO_PREVIOUS, OpenBatch, open_batch
from gateway.seal.checkpoint import Checkpoint
from gateway.seal.cose import PublicKey
from gateway.seal.events import decode_events
from gateway.seal.tree import Frontier, leaf_hash
from gateway.site import Identity

__all__ = ["Fault", "Kept", "Trail"]

NAMED = 20
"""Rows that are named one by one in a stretch that is not what it was."""


class Fault(NamedTuple):
    """Something that is not as it should be; ``place`` names it in words, a row where it is one."""

    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


class Kept(NamedTuple):
    """A checkpoint to compare the log with, and where it is from."""

    source: str
    checkpoint: Checkpoint


class _Due(NamedTuple):
    """A leaf of the log about this stream."""

    place: int
    size: int
    root: bytes


@dataclass(slots=True)
class Trail:
    """The check of one stream. ``keys`` are those its gateway has had; ``said`` fills with its own statements."""

    work: Work
    gateway: int
    identity: Identity
    number: int
    keys: list[PublicKey]
    said: list[Kept] = field(default_factory=list)
    _agreed: int = 0
    """The largest size at which batches and log agree."""

    @property
    def name(self) -> str:
        """The stream, for people."""
        return f"{self.identity.client} {NUMBERS[self.number]}"

    def row(self, seq: int) -> str:
        """One row, for people."""
        return f"{self.name} batch {seq}"

    async def faults(self) -> AsyncIterator[Fault]:
        """Walk all batches; where log and batches part, name the rows in between."""
        due = {one.size: one for one in await self._due()}
        frontier = Frontier()
        parted = False
        async for seq, leaf, body in self.work.rows(
            "SELECT seq, leaf, body FROM batch WHERE gateway = $1 AND stream = $2 ORDER BY seq",
            *(self.gateway, self.number),
        ):
            if seq < frontier.size:
                yield Fault(self.row(int(seq)), "is there twice")
                continue
            if seq != frontier.size:
                if frontier.size < max(due, default=0):
                    yield Fault(self.row(frontier.size), "is missing")
                break
            before = frontier.newest_leaf() if frontier.size else NO_PREVIOUS
            for what in self._row(int(seq), bytes(leaf), body and bytes(body), before):
                yield Fault(self.row(int(seq)), what)
            frontier.append(leaf_hash(bytes(body)) if body is not None else bytes(leaf))
            one = due.get(frontier.size)
            if one is None or parted:
                continue
            if frontier.root() == one.root:
                self._agreed = one.size
                continue
            parted = True
            async for fault in self._parted(one):
                yield fault
        if frontier.size < max(due, default=0):
            one = due[max(due)]
            yield Fault(
                self.name, f"{one.size} batches are in the log (leaf {one.place}), {frontier.size} are here"
            )

    async def _due(self) -> list[_Due]:
        rows = await self.work.fetch(
            "SELECT place, size, root FROM log_leaf WHERE gateway = $1 AND stream = $2 ORDER BY place",
            *(self.gateway, self.number),
        )
        return [_Due(int(place), int(size), bytes(root)) for place, size, root in rows]

    def _row(self, seq: int, leaf: bytes, body: bytes | None, before: bytes) -> list[str]:
        if body is None:
            return []
        if leaf_hash(body) != leaf:
            return ["the bytes are not those that were received"]
        try:
            batch = open_batch(body)
        except SealError as error:
            return [str(error)]
        words = []
        if (batch.sub, batch.seq) != (stream_name(self.identity, self.number), seq):
            words.append(f"holds batch {batch.seq} of {batch.sub}")
        elif batch.prev != before:
            words.append("does not continue the batch before it")
        if batch.content_type == EVENT_TYPE:
            words += self._listen(batch)
        return words

    def _listen(self, batch: OpenBatch) -> list[str]:
        """Keep what the gateway says of checkpoints, if it was the gateway that said it."""
        try:
            events = [event for event in decode_events(batch.payload) if event.kind.startswith(SPEAKS)]
        except SealError:
            return []
        if not events:
            return []
        if not self._signed(batch):
            return ["speaks of a checkpoint, and is not signed by a key of its gateway"]
        said = [witnessed(event) for event in events]
        self.said += [Kept(f"{self.row(batch.seq)} (its gateway's word)", one) for one in said if one is not None]
        return []

    def _signed(self, batch: OpenBatch) -> bool:
        for key in self.keys:
            if key.kid == batch.kid:
                try:
                    batch.verify(key)
                except SealError:
                    return False
                return True
        return False

    async def _parted(self, one: _Due) -> AsyncIterator[Fault]:
        """Log and batches part between the last size that agreed and this one: name what can be named."""
        rows = f"batches {self._agreed} to {one.size - 1}"
        known = f"up to {self._agreed} they are" if self._agreed else "no earlier size is in the log"
        yield Fault(self.name, f"{rows} are not those whose tree is leaf {one.place} of the log; {known}")
        found = 0
        async for seq, body in self.work.rows(
            "SELECT seq, body FROM batch "
            "WHERE gateway = $1 AND stream = $2 AND seq >= $3 AND seq < $4 ORDER BY seq",
            *(self.gateway, self.number, self._agreed, one.size),
        ):
            if body is None or found >= NAMED:
                continue
            try:
                good = self._signed(open_batch(bytes(body)))
            except SealError:
                good = False
            if not good:
                found += 1
                yield Fault(self.row(int(seq)), "is not signed by a key of its gateway")
