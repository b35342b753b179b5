"""What the cluster keeps, as nouns, and the narrow interface behind which a database keeps it.

SQLite (`sqlite_store`) serves one receiver. A store for several receivers has to give the same promise: what a
transaction has committed survives a power cut, because a receipt is sent for it.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from gateway.model import Stream
from gateway.seal.cose import PublicKey
from gateway.seal.tree import Frontier
from gateway.site import Identity

STREAMS: tuple[Stream, Stream] = ("event", "scan")

Origin = Literal["enrolled", "rotated"]


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
class Member:
    """An enrolled gateway. Times are Unix milliseconds by the cluster's clock."""

    id: int
    identity: Identity
    enrolled_ms: int


@dataclass(slots=True)
class StreamState:
    """One stream of one gateway: its tree, and what the ledger tells of it.

    ``size`` batches without a hole are in the tree; ``held`` more wait behind a hole. ``announced`` is how many
    the gateway has said there are (by the heads in the other stream). Times are Unix milliseconds.
    """

    frontier: Frontier = field(default_factory=Frontier)
    held: int = 0
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
    receipt: bytes | None = None
    receipt_ms: int | None = None

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


class Fork(NamedTuple):
    """A batch that contradicts the one in the tree; both bodies are evidence."""

    member: int
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


class Store(Protocol):
    """Durable memory of the cluster. Every method may raise `StorageError`; writing needs a `transaction`."""

    def transaction(self) -> AbstractContextManager[bool]:
        """All or nothing, durable at the end. Gives whether another process has written since the last one."""

    def member(self, client: str) -> Member | None:
        """The gateway enrolled for this MQTT client."""

    def members(self) -> list[Member]:
        """All enrolled gateways."""

    def enrol(self, identity: Identity, at_ms: int) -> Member:
        """Add a gateway; an identity that is there keeps its row."""

    def terms(self, member: int) -> list[KeyTerm]:
        """The keys of a gateway in the order in which they came."""

    def save_terms(self, member: int, terms: list[KeyTerm]) -> None:
        """Write the keys of a gateway."""

    def state(self, member: int, stream: Stream) -> StreamState:
        """The state of a stream; empty when nothing has come."""

    def save_state(self, member: int, stream: Stream, state: StreamState) -> None:
        """Write the state of a stream."""

    def add(self, member: int, stream: Stream, entry: Entry) -> None:
        """Store a batch that is not there."""

    def find(self, member: int, stream: Stream, seq: int) -> Entry | None:
        """One batch."""

    def fill(self, member: int, stream: Stream, entry: Entry) -> None:
        """Give a hole its body after all."""

    def drop(self, member: int, stream: Stream, seq: int) -> None:
        """Take out a batch that waits behind a hole."""

    def entries(self, member: int, stream: Stream, first: int = 0) -> Iterator[Entry]:
        """The batches from ``first`` on in order of their sequence, those behind a hole included."""

    def held(self, member: int, stream: Stream, size: int) -> list[int]:
        """The sequences stored from ``size`` on."""

    def add_fork(self, fork: Fork) -> bool:
        """Keep evidence of a fork, within bounds; whether it was new."""

    def forks(self, member: int) -> list[Fork]:
        """The evidence kept."""

    def reject(self, one: Rejected) -> None:
        """Count a message that was not taken, within bounds."""

    def rejected(self) -> list[Rejected]:
        """What was not taken."""
