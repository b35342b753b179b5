"""One timer for all who wait for the same instant: fifty devices with one period cost one wake-up, not fifty."""

import asyncio

__all__ = ["Metronome"]


class Metronome:
    """Wakes waiters at a due time. They name it (boot time, ms) so that equal times share a timer."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[int, list[asyncio.Future[None]]] = {}

    async def until(self, due_ms: int, wait_s: float) -> None:
        """Return at ``due_ms``, which is ``wait_s`` from now."""
        # Kept, because asking for the running loop costs a system call (getpid) in Python 3.11.
        loop = self._loop = self._loop or asyncio.get_running_loop()
        waiter = loop.create_future()
        others = self._waiting.get(due_ms)
        if others is None:
            self._waiting[due_ms] = [waiter]
            loop.call_later(wait_s, self.ring, due_ms)
        else:
            others.append(waiter)
        await waiter

    def ring_all(self) -> None:
        """Wake everybody now. The machine slept: timers stood still, and boot time went on."""
        for due_ms in list(self._waiting):
            self.ring(due_ms)

    def ring(self, due_ms: int) -> None:
        """Wake those who wait for this instant, whether it has come or not."""
        for waiter in self._waiting.pop(due_ms, ()):
            if not waiter.done():
                waiter.set_result(None)
