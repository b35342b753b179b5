"""Time limits of requests, watched together: fifty links that ask in the same instant share one timer."""

import asyncio
from typing import Protocol

__all__ = ["TimeLimits"]

TICK_S = 0.05


class Limited(Protocol):
    """Something with one request under way."""

    deadline: float

    def expire(self) -> None:
        """The deadline has passed."""


class TimeLimits:
    """Calls `Limited.expire` within `TICK_S` after a deadline (loop time, seconds). No timer while nobody waits."""

    def __init__(self) -> None:
        self._waiting: set[Limited] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, who: Limited, loop: asyncio.AbstractEventLoop) -> None:
        """Watch ``who`` until `stop`, or until it has expired."""
        self._waiting.add(who)
        if self._timer is None:
            self._loop = loop
            self._timer = loop.call_later(TICK_S, self._tick)

    def stop(self, who: Limited) -> None:
        """Its request is done."""
        self._waiting.discard(who)

    def _tick(self) -> None:
        self._timer = None
        loop = self._loop
        if not self._waiting or loop is None:
            return
        now = loop.time()
        for who in [who for who in self._waiting if who.deadline <= now]:
            self._waiting.discard(who)
            who.expire()
        if self._waiting:
            self._timer = loop.call_later(TICK_S, self._tick)
