"""The live stream: one look a second for everyone who listens, none while nobody does."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

__all__ = ["Feed", "Stream", "event"]

log = logging.getLogger(__name__)

PERIOD_S = 1.0
LISTENERS = 60
"""More streams than this at a time are refused; a phone that left without a word is noticed by its full socket."""


class Feed(Protocol):
    """What one kind of page listens to, in one language. All its listeners share it."""

    def changes(self) -> str:
        """Look at the gateway now, and give the events that bring a page from the last look to this one."""

    def full(self) -> str:
        """The events that make any page what the last look saw."""


class Stream:
    """Server-sent events. ``feed`` makes the feed of a key (a page in a language); whoever comes first, or has
    missed something, is given all of it, and then what changes.
    """

    def __init__(self, feed: Callable[[str], Feed]) -> None:
        self.stopping = asyncio.Event()
        self._feed = feed
        self._feeds: dict[str, Feed] = {}
        self._listeners: dict[str, int] = {}
        self._fresh = asyncio.Condition()
        self._words: dict[str, str] = {}
        self._number = 0
        """Of the last look."""
        self._renderer: asyncio.Task[None] | None = None
        self._broken = False

    @property
    def full(self) -> bool:
        """Whether no more can listen."""
        return sum(self._listeners.values()) >= LISTENERS

    async def listen(self, key: str, allowed: Callable[[], bool] = lambda: True) -> AsyncIterator[str]:
        """The events for one client, until it leaves, is not ``allowed`` any more, or the renderer ends."""
        self._listeners[key] = self._listeners.get(key, 0) + 1
        if self._renderer is None:
            self._renderer = asyncio.create_task(self._run(), name="page renderer")
        renderer, seen = self._renderer, -1
        try:
            while self._renderer is renderer and allowed():
                async with self._fresh:
                    await self._fresh.wait()
                # The last word of a renderer that has ended is an old one, not to be sent as if it were new.
                if self._renderer is renderer and key in self._words:
                    follows, seen = seen == self._number - 1, self._number
                    yield self._words[key] if follows else self._feeds[key].full()
        finally:
            self._listeners[key] -= 1
            if not self._listeners[key]:
                del self._listeners[key]
                self._words.pop(key, None)
                self._feeds.pop(key, None)

    async def _run(self) -> None:
        """Render for the listeners; when this ends, so do their streams, and the phones connect again."""
        try:
            while self._listeners and not self.stopping.is_set():
                self._number += 1
                self._words = {key: self._look(key) for key in self._listeners}
                if self._broken:
                    self._broken = False
                    log.info("the status page can be rendered again")
                await self._tell()
                await _first(asyncio.sleep(PERIOD_S), self.stopping.wait())
        except Exception:
            # Each phone that connects again would bring the same trace: once is enough.
            if not self._broken:
                self._broken = True
                log.exception("the status page cannot be rendered")
        finally:
            self._renderer = None
            self._words = {}
            self._feeds = {}
            await self._tell()

    def _look(self, key: str) -> str:
        if key not in self._feeds:
            self._feeds[key] = self._feed(key)
        return self._feeds[key].changes()

    async def _tell(self) -> None:
        async with self._fresh:
            self._fresh.notify_all()


def event(kind: str, body: str) -> str:
    """One event; a line break in the body is one of the stream's own, whatever its form."""
    lines = "\n".join(f"data: {line}" for line in body.splitlines())
    return f"event: {kind}\n{lines or 'data:'}\n\n"


async def _first(*waits: Awaitable[object]) -> None:
    """Return when one of them is done; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
