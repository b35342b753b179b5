"""Listening with an adapter that no bus of the site uses, for as long as somebody looks."""

import asyncio
import contextlib

from firmware_interfaces.ble.scanner import RadioState, Scanner
from gateway.acquire.ear import Ear

__all__ = ["Lookout"]

LOOK_AGAIN_S = 5.0


class Lookout:
    """Begins to listen at once, and ends by itself when nobody has looked for `gateway.acquire.ear.LOOK_S`."""

    def __init__(self) -> None:
        self.ear = Ear()
        self._words = ""
        self._scanner = Scanner(self.ear.report, on_state=self._stated)
        self._task = asyncio.create_task(self._listen(), name="lookout")

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._task.done()

    @property
    def words(self) -> str:
        """What the adapter does, or why it does not."""
        state = self._scanner.state
        if state is RadioState.SCANNING:
            return f"listening with {self._scanner.scanning_with}"
        return f"{state.words} ({self._words})" if self._words else state.words

    async def close(self) -> None:
        """End now."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def _stated(self, _: RadioState, words: str) -> None:
        self._words = words

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self.ear.look(loop.time())
        listening = asyncio.create_task(self._scanner.run(), name="lookout's adapter")
        try:
            while not listening.done() and not self.ear.over(loop.time()):
                await asyncio.wait([listening], timeout=LOOK_AGAIN_S)
        finally:
            listening.cancel()
            await asyncio.wait([listening])
