"""What a verification has to say."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "note"]


class Finding(NamedTuple):
    """One thing that is not as it should be.

    ``error``: the record cannot be relied on there. ``warning``: something could not be checked, or is unusual.
    ``note``: harmless. ``kind`` is a short stable name; ``stream`` the full name of the stream (``sub``), empty
    where unknown; ``seq`` the batch, None where there is none; ``file`` where it was found.
    """

    severity: Severity
    kind: str
    stream: str
    seq: int | None
    file: str
    what: str

    def __str__(self) -> str:
        batch = "" if self.seq is None else f" batch {self.seq}"
        place = ": ".join(part for part in (self.file, f"{self.stream}{batch}".strip()) if part)
        return f"{self.severity} {self.kind}: {place}: {self.what}"


@dataclass(slots=True)
class StreamSummary:
    """What is there of one stream: sequence numbers, counts, and how far the cluster's receipts reach."""

    iss: str
    stream: str
    first: int
    last: int
    count: int
    """Batches with a good signature, copies and forks not counted."""
    values: int
    """Values (scan) or events (event) in them."""
    covered: int | None
    """The last sequence number that a checked receipt covers, None without one."""
    keys: tuple[str, ...]
    """Thumbprints of the keys that signed, in hexadecimal."""
    backfilled: int = 0
    """Missed slots of a scan stream for which the event stream has what the sensor itself kept."""


@dataclass(slots=True)
class Report:
    """The result of a verification."""

    findings: list[Finding] = field(default_factory=list)
    streams: list[StreamSummary] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether there is something and no error in it."""
        return bool(self.streams) and not any(finding.severity == "error" for finding in self.findings)
