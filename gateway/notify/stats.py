"""What is known of the outputs, for metrics, the page and `aurora-gateway notify`."""

from dataclasses import asdict, dataclass, field
from typing import Any

from gateway.notify.cell import Faults

__all__ = ["FeedStats", "NotifyStats", "OutputStats"]


@dataclass(slots=True)
class FeedStats:
    """Readings for one output since the start of the program; ``queued`` as of now."""

    taken: int = 0
    queued: int = 0
    dropped: int = 0
    """The oldest of a full queue."""
    refused: int = 0
    """Those that the output will never take."""


@dataclass(slots=True)
class OutputStats:
    """One output since the start of the program; ``queued`` and ``held`` as of now."""

    type: str
    sent: int = 0
    """Notices confirmed by the other side; those told in a digest count each."""
    digests: int = 0
    failures: int = 0
    """Attempts that failed."""
    given_up: int = 0
    """Notices that were never delivered: refused for good, too old, or no room for them."""
    queued: int = 0
    held: int = 0
    oldest_s: float = 0.0
    """Age of the oldest notice that waits."""
    failing: bool = False
    """Whether the last attempt failed."""
    last_error: str = ""
    last_sent_ms: int | None = None
    """Boot time of the last success."""
    faults: Faults = field(default_factory=Faults)
    values: "FeedStats | None" = None
    """Of an output that takes values."""


@dataclass(slots=True)
class NotifyStats:
    """All of them."""

    outputs: dict[str, OutputStats] = field(default_factory=dict)
    unreachable: bool = False
    """Whether nobody can be reached, for longer than the site file allows."""
    durable: bool = True
    """False while the queue lives in memory, because the disk takes none."""
    dropped: int = 0
    """Events that came faster than they could be queued; a restart tells what still stands."""

    def plain(self) -> dict[str, Any]:
        """All of it as plain data."""
        return asdict(self)
