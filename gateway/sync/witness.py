"""The gateway as a witness of the cluster's log: nobody there can change history without a gateway seeing it.

Each day the cluster hands the gateway its checkpoint. The gateway cosigns it with its signing key if the log goes
on from what the gateway saw last, and if what the log says of the gateway's own streams is what the gateway
recorded. The cosignature travels as an event ``checkpoint.witnessed`` in the signed event stream; what cannot be
cosigned is the event ``checkpoint.refused``, with both checkpoints as proof.

The signing key is used, and no key of its own: it is enrolled already, its changes are on record in the event
stream, and what a cosignature signs begins with words with which no batch begins. What was seen is on disk before
the event is, since both wait for the same journal and the memory is handed over first.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import SealError
from gateway.model import ClockClaim, Event, Stream
from gateway.seal import cbor
from gateway.seal.batch import subject
from gateway.seal.checkpoint import Checkpoint, log_key, read_checkpoint
from gateway.seal.cose import MessageSigner, PublicKey
from gateway.seal.note import cosign_line, read_note
from gateway.seal.offer import Proven, read_offer
from gateway.seal.tree import Frontier
from gateway.seal.witness import Request, Seen, judge, read_request
from gateway.site import Identity
from gateway.sync.lane import LEAVES_AT_ONCE
from gateway.sync.outbox import Outbox

__all__ = ["Memory", "Witness"]

STREAMS: tuple[Stream, Stream] = ("event", "scan")
REFUSED = frozenset({"other-root", "bad-proof", "other-log", "own-stream", "went-back"})
"""Kinds of error that mean: the cluster has signed what does not fit what it, or the gateway, had signed before."""


@dataclass(slots=True)
class Memory:
    """What the witness keeps: the log's name, the newest checkpoint cosigned (its text), its own trees then."""

    origin: str = ""
    seen: Seen = field(default_factory=Seen)
    text: str = ""
    trees: dict[Stream, Frontier] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """For the journal."""
        trees = {stream: frontier.to_bytes() for stream, frontier in self.trees.items()}
        return cbor.dumps([1, self.origin, *self.seen, self.text, trees])

    @classmethod
    def from_bytes(cls, data: bytes) -> "Memory":
        """The inverse; raises `SealError` ``bad-memory``."""
        match cbor.loads(data, "bad-memory"):
            case [1, str(origin), int(size), bytes(root), str(text), dict(trees)] if set(trees) <= set(STREAMS):
                known = {stream: Frontier.from_bytes(tree) for stream, tree in trees.items()}
                return cls(origin, Seen(size, root), text, known)
            case _:
                raise SealError("bad-memory", "not what a witness keeps")


class Witness:
    """Judges the checkpoints of one cluster for one gateway.

    ``recall`` is what was kept at the last `keep`, None at first; ``on_event`` takes the events for the record.
    """

    def __init__(
        self,
        identity: Identity,
        signer: Callable[[], MessageSigner],
        outbox: Outbox,
        receipt_key: PublicKey,
        *,
        clock: Callable[[], ClockClaim],
        on_event: Callable[[Event], Awaitable[object]],
        recall: bytes | None,
        keep: Callable[[bytes], object],
    ) -> None:
        self.memory = Memory() if recall is None else Memory.from_bytes(recall)
        self.refused = 0
        self._identity = identity
        self._signer = signer
        self._outbox = outbox
        self._key = receipt_key
        self._clock = clock
        self._on_event = on_event
        self._keep = keep
        self._told: set[tuple[object, ...]] = set()
        self._streams = {subject(identity.urn, stream): stream for stream in STREAMS}

    async def take(self, payload: bytes) -> str:
        """Judge what the cluster published; returns what became of it: ``witnessed``, ``known``, ``awaited``.

        Raises `SealError`: a kind of `REFUSED` once the refusal is on record, others for what the cluster has not
        signed or what cannot be read, from which nothing follows.
        """
        offer = read_offer(payload)
        request = read_request(offer.request)
        said = read_checkpoint(read_note(request.note).text)
        seen = self.memory.seen
        if seen.size and self.memory.origin == said.origin and said.size <= seen.size and said.root == seen.root:
            return "known"
        try:
            return await self._judge(request, offer.heads, said)
        except SealError as error:
            if error.kind == "conflict":
                return await self._await(said)
            if error.kind in REFUSED:
                await self._refuse(request, said, error)
            raise

    async def _judge(self, request: Request, heads: tuple[Proven, ...], said: Checkpoint) -> str:
        seen = self.memory.seen
        if not seen.size:
            # Nothing was seen before: there is nothing to be consistent with, only what is one's own.
            request = request._replace(old=0, proof=())
        elif said.size == seen.size:
            request = request._replace(old=seen.size, proof=())
        elif said.size < seen.size:
            # An older one, late: it says nothing new.
            judge(request._replace(old=0, proof=()), Seen(), [log_key(said.origin, self._key)])
            return "known"
        checkpoint, note = judge(request, seen, [log_key(said.origin, self._key)])
        if self.memory.origin not in {"", said.origin}:
            raise SealError("other-log", f"the cluster's log was {self.memory.origin}, this is {said.origin}")
        trees = await self._own(heads, checkpoint)
        self.memory = Memory(said.origin, Seen(checkpoint.size, checkpoint.root), note.text, trees)
        self._keep(self.memory.to_bytes())
        data = self._statement(checkpoint, note.text, heads) | {"from": seen.size}
        await self._tell("checkpoint.witnessed", data)
        return "witnessed"

    def _statement(self, checkpoint: Checkpoint, text: str, heads: tuple[Proven, ...]) -> dict[str, Any]:
        utc_ms = self._clock().utc_ms
        line = None
        if utc_ms is not None:
            # A cosignature says when; without a trusted clock the signed event alone has to do.
            line = str(cosign_line(text, self._identity.urn, self._signer(), utc_ms // 1000))[:-1]
        return {
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "root": checkpoint.root,
            "line": line,
            "heads": [[self._streams[one.head.sub], one.head.size, one.place] for one in heads],
            "words": f"the cluster's log of {checkpoint.size} leaves continues what was seen, and has ours right",
        }

    async def _own(self, heads: tuple[Proven, ...], checkpoint: Checkpoint) -> dict[Stream, Frontier]:
        """Compare what the log says of this gateway with its own record; the trees at those sizes."""
        trees = dict(self.memory.trees)
        for proven in heads:
            stream = self._streams.get(proven.head.sub)
            if stream is None:
                raise SealError("bad-offer", f"a leaf of {proven.head.sub}, which is not ours")
            proven.check(checkpoint)
            trees[stream] = await self._tree(stream, proven, trees.get(stream, Frontier()))
        missing = [
            stream for stream in self.memory.trees if all(self._streams[p.head.sub] != stream for p in heads)
        ]
        if missing:
            raise SealError("went-back", f"the log no longer names stream {missing[0]}")
        return trees

    async def _tree(self, stream: Stream, proven: Proven, known: Frontier) -> Frontier:
        size, head = proven.head.size, self._outbox.head(stream)
        if size < known.size:
            raise SealError("went-back", f"stream {stream} had {known.size} batches in the log, and now {size}")
        if head is None or size > head.seq + 1:
            raise SealError(
                "own-stream", f"the log has {size} batches of stream {stream}, more than were made here"
            )
        tree = known.copy()
        while tree.size < size:
            upto = min(size, tree.size + LEAVES_AT_ONCE)
            for leaf in await self._outbox.leaves(stream, tree.size, upto):
                tree.append(leaf)
        if tree.root() != proven.head.root:
            raise SealError("own-stream", f"the log has another history of the {size} batches of stream {stream}")
        return tree

    async def _await(self, said: Checkpoint) -> str:
        """The proof does not begin where this gateway stands: say where that is, once."""
        size = self.memory.seen.size
        if ("awaited", size, said.size) not in self._told:
            self._told.add(("awaited", size, said.size))
            words = f"the proof for {said.size} leaves has to begin at {size}"
            await self._tell("checkpoint.awaited", {"origin": said.origin, "size": size, "words": words})
        return "awaited"

    async def _refuse(self, request: Request, said: Checkpoint, error: SealError) -> None:
        key = ("refused", error.kind, *said)
        if key in self._told:
            return
        self._told.add(key)
        self.refused += 1
        data = {
            "origin": said.origin,
            "size": said.size,
            "root": said.root,
            "reason": error.kind,
            "note": request.note.decode(),
            "proof": list(request.proof),
            "had": self.memory.text,
            "words": f"the cluster's checkpoint is not cosigned: {error.what}",
        }
        await self._tell("checkpoint.refused", data)

    async def _tell(self, kind: str, data: Mapping[str, Any]) -> None:
        await self._on_event(Event(kind, self._clock().boot_ms, dict(data)))
