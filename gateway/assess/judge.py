"""What looks at every scan and says what follows from it: limits, process calculations, detectors.

A judge never changes a value and keeps no clock of its own. The same judges run live and over past data (replay).
"""

from collections.abc import Sequence
from typing import Protocol

from gateway.model import ClockClaim, Condition, Event, Miss, Scan

__all__ = ["Finding", "Judge"]

Finding = Event | Condition
"""An event is for the record as it is; a condition goes to the alarm engine, which makes events of it."""


class Judge(Protocol):
    """Fed with the records of all devices in the order in which they came. Times are boot milliseconds."""

    name: str
    """Under this name its memory is kept."""

    def scan(self, scan: Scan) -> Sequence[Finding]:
        """One answered poll, its quality already settled."""

    def miss(self, miss: Miss, now_ms: int) -> Sequence[Finding]:
        """Slots that brought no answer."""

    def tick(self, claim: ClockClaim) -> Sequence[Finding]:
        """About once a second: what follows from time passing, and from the date where the clock is known."""

    def memory(self) -> bytes | None:
        """What a restart needs to go on as if nothing had been: versioned and checked bytes, None for nothing.

        It is kept in the transaction that holds the events which came with it, and else once a minute, or every
        ``keep_every_ms`` (an attribute) where a judge has that. A judge takes it back in its
        constructor; bytes that it does not know are refused with a `StorageError`, and it begins anew.
        """
