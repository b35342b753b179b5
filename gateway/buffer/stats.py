"""The journal's figures, for metrics and the status page."""

from dataclasses import dataclass, field, replace

from gateway.buffer.faults import State
from gateway.buffer.ledger import Delivered
from gateway.buffer.messages import Done
from gateway.buffer.schema import STREAMS
from gateway.model import Head, Stream


@dataclass(slots=True)
class JournalStats:
    """Counters since the start, and the present state. Times in seconds or milliseconds as named."""

    state: State = "ok"
    fault: str = ""
    """What the store said when it last failed, empty while it works."""
    commits: int = 0
    failed_commits: int = 0
    failed_seals: int = 0
    """Commits that failed because a batch could not be encoded or signed."""
    commit_seconds: float = 0.0
    """Sum over all commits, sealing and fsync included."""
    last_commit_seconds: float = 0.0
    max_commit_seconds: float = 0.0
    file_bytes: int = 0
    wal_bytes: int = 0
    pending_records: int = 0
    """Records in memory that are not on disk."""
    pending_values: int = 0
    pending_events: int = 0
    open_values: int = 0
    """Values on disk that are not yet in a batch."""
    batches_sealed: int = 0
    values_sealed: int = 0
    events_sealed: int = 0
    dropped: dict[str, int] = field(
        default_factory=lambda: {"memory": 0, "unencodable": 0, "byte-cap": 0, "memory-events": 0}
    )
    """Values by the reason of their loss (``byte-cap``: deleted before delivery); events as ``memory-events``."""
    stripped: dict[str, int] = field(default_factory=lambda: {"age": 0, "byte-cap": 0})
    """Delivered batches that lost their body, by reason."""
    set_aside: list[str] = field(default_factory=list)
    """Names of damaged files set aside since the start."""
    backlog: dict[Stream, int] = field(default_factory=lambda: dict.fromkeys(STREAMS, 0))
    """Batches without a receipt."""
    oldest_undelivered_s: dict[Stream, float | None] = field(default_factory=lambda: dict.fromkeys(STREAMS))
    """Age of the oldest of them since its last record; None when there is none, or no clock to tell."""

    def copy(self) -> "JournalStats":
        """The same figures, of their own."""
        return replace(
            self,
            dropped=dict(self.dropped),
            stripped=dict(self.stripped),
            set_aside=list(self.set_aside),
            backlog=dict(self.backlog),
            oldest_undelivered_s=dict(self.oldest_undelivered_s),
        )

    def add(self, done: Done) -> None:
        """Count one commit."""
        self.commits += 1
        self.commit_seconds += done.seconds
        self.last_commit_seconds = done.seconds
        self.max_commit_seconds = max(self.max_commit_seconds, done.seconds)
        self.file_bytes, self.wal_bytes = done.file_bytes, done.wal_bytes
        self.open_values = done.open_values
        self.batches_sealed += done.tally.batches
        self.values_sealed += done.tally.values
        self.events_sealed += done.tally.events
        self.dropped["unencodable"] += done.unencodable
        self.dropped["byte-cap"] += done.tally.forced_values
        self.stripped["byte-cap"] += done.tally.gone


def backlog(heads: dict[Stream, Head | None], delivered: dict[Stream, Delivered]) -> dict[Stream, int]:
    """Batches of each stream that have no receipt."""
    return {
        stream: (0 if (head := heads[stream]) is None else head.seq + 1) - delivered[stream].size
        for stream in STREAMS
    }
