"""Stations that can be begun anew on purpose, which is no failure of theirs."""

import asyncio
from collections.abc import Awaitable, Callable

__all__ = ["Renewal"]


class Renewal:
    """Runs stations by name; `renew` ends one in order and begins it again at once."""

    def __init__(self) -> None:
        self._asked: dict[str, asyncio.Event] = {}

    async def run(self, name: str, station: Callable[[], Awaitable[None]]) -> None:
        """Run a station until it ends by itself, with what it returns or raises."""
        while True:
            asked = self._asked[name] = asyncio.Event()
            waiting = asyncio.ensure_future(asked.wait())
            working = asyncio.ensure_future(station())
            try:
                await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    working.result()
                    return
            finally:
                waiting.cancel()
                if not working.done():
                    working.cancel()
                    await asyncio.wait((working,))
            if not working.cancelled() and (error := working.exception()) is not None:
                raise error

    def renew(self, name: str) -> None:
        """Have a station begin anew soon; one that does not run yet begins by what holds then anyway."""
        if (asked := self._asked.get(name)) is not None:
            asked.set()
