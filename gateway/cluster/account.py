"""An enrolled gateway in memory, and what its verified batches say about it."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from gateway.cluster.nouns import STREAMS, Enrolled, KeyTerm, StreamState
from gateway.errors import SealError
from gateway.model import Event, Stream
from gateway.seal.batch import EVENT_TYPE, SCAN_TYPE, OpenBatch
from gateway.seal.columns import peek_scans
from gateway.seal.cose import PublicKey
from gateway.seal.events import decode_events
from gateway.seal.keys import rotated_key
from gateway.seal.tree import HASH_BYTES

LATE_MS = 3_600_000
"""A batch that arrives longer than this after it was sealed is counted as late."""
MAX_ANNOUNCED = 2**44
"""More batches than a gateway can ever make; sums over thousands of gateways stay within 64 bits."""


@dataclass(slots=True)
class Account:
    """A gateway's keys and both of its streams, as the store has them or will have them."""

    gateway: Enrolled
    terms: list[KeyTerm]
    states: dict[Stream, StreamState]

    @property
    def client(self) -> str:
        """Its MQTT client."""
        return self.gateway.identity.client

    def key(self, batch: OpenBatch) -> PublicKey:
        """The key in force for a batch; raises `SealError` ``unknown-key``, ``superseded-key`` or ``revoked``."""
        if self.gateway.revoked_ms is not None:
            raise SealError("revoked", "this gateway was shut out")
        known = [term for term in self.terms if term.public.kid == batch.kid]
        for term in known:
            if term.covers(batch.stream, batch.seq):
                return term.public
        if known:
            raise SealError("superseded-key", f"key {batch.kid.hex()} does not sign batch {batch.seq}")
        raise SealError("unknown-key", f"key {batch.kid.hex()} is not known")

    def note(self, batch: OpenBatch, volume: int, now_ms: int) -> None:
        """Keep for the ledger what the header of a new batch of ``volume`` bytes tells."""
        state, clock = self.states[batch.stream], batch.clock
        state.volume += volume
        state.received_ms = now_ms
        state.announced = max(state.announced, batch.seq + 1)
        if batch.other is not None:
            beside = self.states["scan" if batch.stream == "event" else "event"]
            beside.announced = max(beside.announced, min(batch.other.seq + 1, MAX_ANNOUNCED))
        state.clock_state, state.clock_error_ms = int(clock.state), clock.error_ms
        state.sealed_ms = clock.utc_ms
        if clock.utc_ms is None:
            return
        state.clock_ahead_ms = max(0, clock.utc_ms - (clock.error_ms or 0) - now_ms)
        waited = now_ms - clock.utc_ms
        if waited > LATE_MS:
            state.late += 1
            state.late_max_ms = max(state.late_max_ms, waited)

    def read(self, batch: OpenBatch, values: int | None = None) -> list[Event]:
        """Count the values of a new scan batch, if nobody has yet, or return the events of an event batch."""
        state = self.states[batch.stream]
        try:
            if batch.content_type == SCAN_TYPE:
                state.values += peek_scans(batch.payload).values if values is None else values
                return []
            return events_of(batch)
        except SealError:
            # It is signed, so it has its place in the tree, readable or not.
            state.unreadable += 1
            return []

    def rotate(self, batch: OpenBatch, event: Event, now_ms: int) -> bool:
        """Let the key that a ``key.rotated`` event names sign from the next batch of both streams on.

        Only the key in force can name its successor; whether it did.
        """
        try:
            new = rotated_key(event.data)
            if event.data.get("old") != self.key(batch).thumbprint:
                raise SealError("bad-key", "the event is not about the key that signed it")
        except SealError:
            self.states["event"].unreadable += 1
            return False
        scan = 0 if batch.other is None else min(batch.other.seq + 1, MAX_ANNOUNCED)
        first: dict[Stream, int] = {"event": batch.seq + 1, "scan": scan}
        # Not changed in place: others remember the terms, and the transaction may yet fail.
        self.terms[-1] = replace(self.terms[-1], end=dict(first))
        self.terms.append(KeyTerm(new, "rotated", now_ms, first, {"event": None, "scan": None}))
        return True


class Deletion(NamedTuple):
    """What a ``deleted`` event signs for: the leaves of batches that the gateway no longer has."""

    stream: Stream
    first: int
    leaves: list[bytes]


def events_of(batch: OpenBatch) -> list[Event]:
    """The events of a batch of the event stream, none of its registration; raises `SealError`."""
    return decode_events(batch.payload) if batch.content_type == EVENT_TYPE else []


def deletion(data: dict[str, Any]) -> Deletion:
    """Read the data of a ``deleted`` event; raises `SealError` ``bad-event``."""
    stream, first, last, leaves = (data.get(name) for name in ("stream", "first", "last", "leaves"))
    if isinstance(leaves, bytes):
        leaves = [leaves[at : at + HASH_BYTES] for at in range(0, len(leaves), HASH_BYTES)]
    if stream not in STREAMS or type(first) is not int or type(last) is not int:
        raise SealError("bad-event", "not a deletion")
    if not 0 <= first <= last <= MAX_ANNOUNCED:
        raise SealError("bad-event", f"no batches {first} to {last}")
    if not isinstance(leaves, list) or len(leaves) != last - first + 1:
        raise SealError("bad-event", "as many leaves as batches are due")
    if not all(isinstance(leaf, bytes) and len(leaf) == HASH_BYTES for leaf in leaves):
        raise SealError("bad-event", f"a leaf is not {HASH_BYTES} bytes")
    return Deletion(stream, first, leaves)
