"""What the uplink counts, for metrics and the status page."""

from collections import Counter
from dataclasses import dataclass, field

from gateway.model import Stream


@dataclass(slots=True)
class UplinkStats:
    """Counters since the start of the process. Times are milliseconds of the boot clock."""

    connected: bool = False
    since_ms: int | None = None
    """When the connection was made, or lost; None before the first."""
    offline_since_ms: int | None = None
    """Since when there is no connection; None while there is one, or before the uplink was begun."""
    offline_ms: int = 0
    """How long there was none, over all times that have ended."""
    connects: int = 0
    published: Counter[Stream] = field(default_factory=Counter)
    """Batches handed to the broker, repeats included."""
    published_bytes: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """By reason: what the broker (``puback 135``) or the cluster (``bad-signature``) did not take."""
    receipts: Counter[Stream] = field(default_factory=Counter)
    """Receipts that verified and vouched for more than was known."""
    receipt_ms: dict[Stream, int] = field(default_factory=dict)
    """When the newest of them came: what tells life from mere connection."""
    bad_answers: Counter[str] = field(default_factory=Counter)
    """Answers that are no receipt and no refusal, or a receipt that does not verify, by kind of fault."""
    in_flight: int = 0
    """Batches sent on this connection and without a receipt."""
    timeouts: int = 0
    """How often batches had to be sent again because no receipt came in time."""
    forks: int = 0
    witnessed: int = 0
    """Leaves of the cluster's log at the newest checkpoint that was cosigned."""
    rewinds: int = 0
    """How often the cluster proved that it has lost what it had vouched for."""
    last_error: str = ""
