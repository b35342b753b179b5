"""People's records over the control socket: each request becomes one event in the signed stream, or a refusal."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from gateway.control import Control
from gateway.logbook.book import Logbook
from gateway.logbook.entry import KINDS
from gateway.model import ClockClaim, Event

__all__ = ["RecordControl"]

SUPERSEDE = "record.supersede"


class RecordControl:
    """Makes records one at a time, so that each is checked against all before it.

    ``store`` puts an event into the journal: true once it is on disk, false while it waits in memory for a disk
    that cannot be written. ``keep`` is given the logbook's memory after each record.
    """

    def __init__(
        self,
        book: Logbook,
        store: Callable[[Event], Awaitable[bool]],
        clock: Callable[[], ClockClaim],
        keep: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        self.book = book
        self._store = store
        self._clock = clock
        self._keep = keep
        self._one_at_a_time = asyncio.Lock()

    def register(self, control: Control) -> None:
        """Answer ``record.calibration``, ``verification``, ``lot``, ``note``, ``corrective``, ``supersede``."""
        for kind in KINDS:
            control.handle(kind, partial(self.record, kind))
        control.handle(SUPERSEDE, partial(self.record, SUPERSEDE))

    async def record(self, kind: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make one record. The answer has its id and data, and whether it is on disk; raises `RecordError`."""
        # What the journal has been given will be stored, whatever becomes of the one who asked: so the book must
        # hear of it too, before the next request is looked at.
        return await asyncio.shield(asyncio.create_task(self._record(kind, request)))

    async def _record(self, kind: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        async with self._one_at_a_time:
            claim = self._clock()
            if kind == SUPERSEDE:
                event = self.book.supersede(request, claim)
            else:
                event = self.book.make(kind, request, claim)
            stored = await self._store(event)
            self.book.take(event, claim.boot, claim.utc_ms)
            self._keep(self.book.memory())
        return {
            "record": event.data["record"],
            "kind": event.kind,
            "utc_ms": claim.utc_ms,
            "stored": stored,
            "data": event.data,
        }
