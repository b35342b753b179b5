"""The door by which a running gateway takes another site file. What does the work is loaded on request."""

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.control import Handler
from gateway.logbook.settings import AT_START, WHEN_APPLIED

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.change.changes import Changes

__all__ = ["ORDERS", "Turning"]

log = logging.getLogger(__name__)

ORDERS = ("site.show", "site.propose", "site.apply", "site.reload", "site.versions", "site.rollback")
"""What may be asked of a gateway about its site file: plain data in, plain data out (docs/changing.md)."""


class Turning:
    """Belongs to one gateway. ``lock`` is held while it turns from one site to another."""

    def __init__(self, gateway: "Gateway") -> None:
        self.lock = asyncio.Lock()
        self.counts = {"applied": 0, "refused": 0}
        """Changes of the site file since the start, by what became of them."""
        self.ended = False
        """The gateway stops: nothing is changed any more."""
        self._gateway = gateway
        self._changes: Changes | None = None
        self._failure: asyncio.Future[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def changes(self) -> "Changes":
        """What does the work."""
        if self._changes is None:
            from gateway.change.changes import Changes

            self._changes = Changes(self._gateway)
        return self._changes

    def orders(self) -> dict[str, Handler]:
        """By the name of the request."""
        return {name: partial(self._order, name) for name in ORDERS}

    async def _order(self, name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return await self.changes.handlers()[name](request)

    def hang_up(self) -> None:
        """SIGHUP: read the site file again."""
        task = asyncio.get_running_loop().create_task(self._reread(), name="reload")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reread(self) -> None:
        try:
            await self.changes.reread()
        except Exception:
            log.exception("the site file could not be read again")

    async def stated(self, person: str | None, reason: str | None) -> dict[str, Any]:
        """Who changed the site file, and why, where that was stated; the file that runs is kept in passing.

        A change that was applied just before the gateway was killed names them in the kept version.
        """
        site = self._gateway.site
        from gateway.change.history import History

        history = History(site.data_dir)
        try:
            newest = await asyncio.to_thread(history.newest)
            utc_ms = self._gateway.clock.claim().utc_ms
            await asyncio.to_thread(history.keep_running, Path(site.source), site.digest, utc_ms)
        except OSError as error:
            if site.source:
                log.warning("the site file cannot be kept for a later return to it: %s", error)
            newest = None
        if person is None and newest is not None and newest.digest == site.digest and newest.person is not None:
            return {"person": newest.person, "reason": newest.reason, "stated": WHEN_APPLIED}
        return {"person": person, "reason": reason, "stated": AT_START}

    async def broken(self) -> None:
        """Waits for ever, or raises what `fail` was given."""
        self._failure = asyncio.get_running_loop().create_future()
        await self._failure

    def fail(self, error: BaseException) -> None:
        """The gateway is neither at the old site nor at the new one: it must end, and begin anew by its file."""
        if self._failure is not None and not self._failure.done():
            self._failure.set_exception(error)

    async def end(self) -> None:
        """The gateway stops: wait for a change that is being made, and refuse all others."""
        async with self.lock:
            self.ended = True
        for task in self._tasks:
            task.cancel()
