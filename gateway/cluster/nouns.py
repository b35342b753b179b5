"""What the cluster keeps as evidence, as nouns."""

from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from gateway.model import Stream
from gateway.seal.cose import PublicKey
from gateway.seal.tree import Frontier
from gateway.site import Identity

STREAMS: tuple[Stream, Stream] = ("event", "scan")
"""In the order of their numbers in the tables: 0 and 1."""

Origin = Literal["enrolled", "rotated", "replaced"]
"""How a key came: admitted by staff, named by the key before it, admitted by staff in place of a lost one."""


@dataclass(slots=True)
class KeyTerm:
    """A gateway's key and the batches it signs: per stream the first, and the first that it no longer signs."""

    public: PublicKey
    origin: Origin
    since_ms: int
    first: dict[Stream, int]
    end: dict[Stream, int | None]

    def covers(self, stream: Stream, seq: int) -> bool:
        """Whether this key is the one that signs batch ``seq``."""
        end = self.end[stream]
        return self.first[stream] <= seq and (end is None or seq < end)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A gateway that the cluster knows. Times are Unix milliseconds by the cluster's clock.

    ``member`` is the number of the company it belongs to; ``version`` grows with every change of its keys or
    rights, so that a receiver sees when what it remembers is old.
    """

    id: int
    member: int
    identity: Identity
    enrolled_ms: int
    version: int
    revoked_ms: int | None

    def at(self, version: int, revoked_ms: int | None) -> "Enrolled":
        """The same gateway with the rights it has now."""
        return self if version == self.version else replace(self, version=version, revoked_ms=revoked_ms)


@dataclass(slots=True)
class StreamState:
    """One stream of one gateway: its tree, and what the ledger tells of it.

    ``size`` batches without a hole are in the tree; ``held`` more wait behind a hole, which opened at
    ``hole_ms``. ``announced`` is how many the gateway has said there are (by the heads in the other stream).
    Times are Unix milliseconds.
    """

    frontier: Frontier = field(default_factory=Frontier)
    held: int = 0
    hole_ms: int | None = None
    announced: int = 0
    values: int = 0
    volume: int = 0
    """Bytes of the bodies."""
    duplicates: int = 0
    deleted: int = 0
    """Leaves without a body: the gateway said in a signed event that it deleted the batch."""
    unreadable: int = 0
    """Batches whose signature is good and whose payload cannot be read."""
    late: int = 0
    """Batches received more than an hour after they were sealed."""
    late_max_ms: int = 0
    clock_state: int | None = None
    clock_error_ms: int | None = None
    clock_ahead_ms: int = 0
    """Largest lead of the gateway's clock over the cluster's beyond its claimed error, of the newest batch."""
    sealed_ms: int | None = None
    received_ms: int | None = None
    receipt_ms: int | None = None
    """As of when the newest receipt vouches for the tree."""

    @property
    def size(self) -> int:
        """Batches in the tree."""
        return self.frontier.size


class Entry(NamedTuple):
    """One batch as the cluster holds it; ``body`` is None for a proven hole (a `deleted` event names its leaf)."""

    seq: int
    leaf: bytes
    body: bytes | None
    sealed_ms: int | None
    received_ms: int


class Place(NamedTuple):
    """Where a batch lies; ``gateway`` is its number."""

    gateway: int
    stream: Stream
    seq: int


class Fork(NamedTuple):
    """A batch that contradicts the one in the tree; both bodies are evidence."""

    gateway: int
    stream: Stream
    seq: int
    leaf: bytes
    why: str
    received_ms: int
    body: bytes


class Rejected(NamedTuple):
    """Messages that were not taken, by client, stream and reason; ``what`` and ``seq`` are those of the last."""

    client: str
    stream: str
    reason: str
    times: int
    first_ms: int
    last_ms: int
    seq: int | None
    what: str
