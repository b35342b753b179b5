"""Puts the logbook to work in a running gateway: rebuilt at start, open to requests, the site file compared.

The composition root gives it the journal's `put_event` and a place to keep memories, and opens it once the journal
runs; see docs/records.md.
"""

import asyncio
import logging
import pwd
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from gateway.control import Control
from gateway.errors import RecordError, StorageError
from gateway.logbook.book import Logbook
from gateway.logbook.forms import Place
from gateway.logbook.settings import AT_START, WHEN_APPLIED, SettingsWatch
from gateway.model import ClockClaim, Event, Layout
from gateway.recordkeeping.events import open_logbook
from gateway.recordkeeping.requests import RecordControl
from gateway.site import Site

__all__ = ["LOGBOOK", "SETTINGS", "RecordKeeping", "owner_of"]

log = logging.getLogger(__name__)

LOGBOOK: Final = "logbook"
SETTINGS: Final = "settings"
"""Names of the two memories that are kept."""


class RecordKeeping:
    """The logbook of one gateway, and the watch over its settings.

    ``store`` commits an event (true: on disk). ``keep`` takes a memory under its name, to be on disk with the next
    commit, so that one asked for just before an event is in the event's transaction. Before `open` has returned,
    requests to record are not known to the control socket.
    """

    def __init__(
        self,
        site: Site,
        layout: Layout,
        *,
        store: Callable[[Event], Awaitable[bool]],
        clock: Callable[[], ClockClaim],
        keep: Callable[[str, bytes], None],
    ) -> None:
        self.book: Logbook | None = None
        self.requests: RecordControl | None = None
        """Makes records, once they can be made."""
        self._site = site
        self._layout = layout
        self._put = store
        self._stopped = False
        self._latest: tuple[str | None, str | None, str] | None = None
        """Who changed the site last while this runs, and why."""
        self._clock = clock
        self._keep = keep
        self._watch: SettingsWatch | None = None

    async def open(
        self,
        control: Control,
        kept: Mapping[str, bytes],
        *,
        person: str | None = None,
        reason: str | None = None,
        stated: str = AT_START,
    ) -> None:
        """Rebuild the logbook, record what changed in the site file, and take requests.

        ``kept`` are the memories by name; one that cannot be read is left aside, with a line in the log. Raises
        `StorageError` while the journal cannot be read.
        """
        watch = _watch(kept.get(SETTINGS))
        path = self._site.data_dir / "journal.db"
        try:
            book = await asyncio.to_thread(open_logbook, self._site, self._layout, path, kept.get(LOGBOOK), watch)
        except StorageError as error:
            if kept.get(LOGBOOK) is None:
                raise
            log.warning("%s", error)
            watch = _watch(kept.get(SETTINGS))
            book = await asyncio.to_thread(open_logbook, self._site, self._layout, path, None, watch)
        if book.unreadable:
            log.warning("%d records in the journal are of a form that is not known here", book.unreadable)
        site = None
        while site is not self._site:
            # The site may have become another one since the reading, or the comparing, began.
            site = self._site
            book.place = Place.of(site, self._layout)
            person, reason, stated = self._latest or (person, reason, stated)
            await self._compare(watch, person, reason, stated)
        self.book, self._watch = book, watch
        keep = self._keep
        self.requests = RecordControl(book, self._store, self._clock, lambda memory: keep(LOGBOOK, memory))
        self.requests.register(control)

    def stop(self) -> None:
        """The gateway ends: nothing is recorded behind its last event."""
        self._stopped = True

    async def _store(self, event: Event) -> bool:
        if self._stopped:
            raise StorageError("the gateway is stopping", "record it when it runs again")
        return await self._put(event)

    async def adopt(self, site: Site, layout: Layout, person: str | None, reason: str | None) -> None:
        """Go by another site from now on, and record what changed. Before `open` has returned, that records it."""
        self._site, self._layout = site, layout
        self._latest = person, reason, WHEN_APPLIED
        if self.book is not None and self._watch is not None:
            self.book.place = Place.of(site, layout)
            await self._compare(self._watch, person, reason, WHEN_APPLIED)

    async def _compare(self, watch: SettingsWatch, person: str | None, reason: str | None, stated: str) -> None:
        """Record the settings that differ from those on record, and keep them together with the last such event."""
        claim, owner = self._clock(), owner_of(Path(self._site.source))
        compare = partial(watch.compare, self._site, claim, owner=owner)
        try:
            # A second for a site of a thousand devices, which the loop must not wait for.
            events = await asyncio.to_thread(compare, person=person, reason=reason, stated=stated)
        except RecordError as error:
            log.warning("who changed the site file is not recorded: %s", error)
            events = await asyncio.to_thread(compare)
        for number, event in enumerate(events, 1):
            if number == len(events):
                # Nothing comes between this and the event: both are in one transaction of the journal.
                self._keep(SETTINGS, watch.memory())
            await self._store(event)

    def hear(self, event: Event, claim: ClockClaim) -> None:
        """Take notice of the gateway's own events: a clock correction dates records that were made without time."""
        if self.book is not None and event.kind == "clock.correction":
            self.book.take(event, claim.boot, claim.utc_ms)


def _watch(memory: bytes | None) -> SettingsWatch:
    try:
        return SettingsWatch(memory)
    except StorageError as error:
        log.warning("%s", error)
        return SettingsWatch()


def owner_of(path: Path) -> str | None:
    """User name of a file's owner, its number where it has no name, None where there is no such file."""
    try:
        uid = path.stat().st_uid
    except OSError:
        return None
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
