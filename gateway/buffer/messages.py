"""What passes between the event loop and the writer's thread."""

from dataclasses import dataclass, field

from gateway.buffer.ledger import Acknowledgement, Delivered
from gateway.buffer.transaction import Tally
from gateway.model import ClockClaim, Event, Head, Miss, Scan, Stream
from gateway.seal.keys import Signer


@dataclass(frozen=True, slots=True)
class Request:
    """What one commit is to write. ``close`` seals the open batch; ``signer`` signs everything after it."""

    clock: ClockClaim
    records: list[Scan | Miss] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    receipts: dict[Stream, Acknowledgement] = field(default_factory=dict)
    close: bool = False
    signer: Signer | None = None
    memories: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Oldest:
    """The oldest batch without a receipt: when it was sealed, and its last boot time if it is of this run."""

    sealed_utc_ms: int | None
    boot_ms: int | None

    def age_s(self, now: ClockClaim) -> float | None:
        """Seconds since; None when no clock can tell."""
        if self.boot_ms is not None:
            return (now.boot_ms - self.boot_ms) / 1000
        if self.sealed_utc_ms is None or now.utc_ms is None:
            return None
        return (now.utc_ms - self.sealed_utc_ms) / 1000


@dataclass(frozen=True, slots=True)
class Done:
    """What a commit did. ``due_ms`` is when (from now) the open batch is due, None when none is open."""

    heads: dict[Stream, Head | None]
    delivered: dict[Stream, Delivered]
    oldest: dict[Stream, Oldest | None]
    tally: Tally
    unencodable: int
    seconds: float
    open_values: int
    due_ms: int | None
    file_bytes: int
    wal_bytes: int
