"""What the uplink asks of the journal."""

import asyncio
from typing import Protocol

from gateway.model import Head, StoredBatch, Stream


class Outbox(Protocol):
    """Sealed batches, and how far the cluster vouches for them. The methods may raise `StorageError`."""

    changed: asyncio.Event
    """Set whenever a batch was committed; the uplink clears it."""

    async def pending(self, stream: Stream, from_seq: int, limit: int) -> list[StoredBatch]:
        """At most ``limit`` batches from ``from_seq`` on, in order, those without a body included."""

    async def leaves(self, stream: Stream, from_seq: int, to_seq: int) -> list[bytes]:
        """The leaf hashes of the batches ``from_seq`` (included) to ``to_seq`` (excluded)."""

    def head(self, stream: Stream) -> Head | None:
        """The newest batch."""

    def delivered(self, stream: Stream) -> tuple[int, bytes]:
        """How many batches have been acknowledged, and the frontier (`Frontier.to_bytes`) of their tree."""

    async def acknowledge(self, stream: Stream, size: int, frontier: bytes, receipt: bytes) -> None:
        """Note that a checked receipt vouches for the first ``size`` batches, whose tree has this frontier."""
