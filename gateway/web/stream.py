"""The live stream: one rendering a second for everyone who listens, none while nobody does."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["Stream"]

log = logging.getLogger(__name__)

PERIOD_S = 1.0
LISTENERS = 60
"""More streams than this at a time are refused; a phone that left without a word is noticed by its full socket."""


class Stream:
    """Server-sent events. ``render`` gives the events of one moment for a key (a page in a language), as text."""

    def __init__(self, render: Callable[[str], str]) -> None:
        self.stopping = asyncio.Event()
        self._render = render
        self._listeners: dict[str, int] = {}
        self._fresh = asyncio.Condition()
        self._words: dict[str, str] = {}
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
        renderer = self._renderer
        try:
            while self._renderer is renderer and allowed():
                async with self._fresh:
                    await self._fresh.wait()
                # The last word of a renderer that has ended is an old one, not to be sent as if it were new.
                if self._renderer is renderer and key in self._words:
                    yield self._words[key]
        finally:
            self._listeners[key] -= 1
            if not self._listeners[key]:
                del self._listeners[key]
                self._words.pop(key, None)

    async def _run(self) -> None:
        """Render for the listeners; when this ends, so do their streams, and the phones connect again."""
        try:
            while self._listeners and not self.stopping.is_set():
                self._words = {key: self._render(key) for key in self._listeners}
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
            await self._tell()

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
