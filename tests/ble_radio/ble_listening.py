"""A scanner that a test can wait for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from firmware_interfaces.ble.bluez import Report
from firmware_interfaces.ble.ladder import Ladder, Step
from firmware_interfaces.ble.scanner import RadioState, Scanner

LIMIT_S = 60.0


@dataclass
class Listener:
    """A running scanner and everything that it said."""

    scanner: Scanner
    reports: list[Report] = field(default_factory=list)
    states: list[RadioState] = field(default_factory=list)
    steps: list[tuple[Step, str]] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def stir(self) -> None:
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what the scanner says to make the condition true."""
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def until_state(self, state: RadioState) -> None:
        await self.until(lambda: self.scanner.state is state)


def listener(**options: object) -> Listener:
    """A scanner that is quick to try again; nothing runs yet."""
    heard: Listener

    def report(report: Report, _: float) -> None:
        heard.reports.append(report)
        heard.stir()

    def state(state: RadioState, _: str) -> None:
        heard.states.append(state)
        heard.stir()

    def step(step: Step, words: str) -> None:
        heard.steps.append((step, words))
        heard.stir()

    settings = {"ladder": Ladder(silence_s=30.0), "first_pause_s": 0.02, "power_off_s": 0.0} | options
    heard = Listener(Scanner(report, on_state=state, on_step=step, **settings))  # type: ignore[arg-type]
    return heard


@contextlib.asynccontextmanager
async def running(heard: Listener) -> AsyncIterator[Listener]:
    task = asyncio.create_task(heard.scanner.run())
    try:
        yield heard
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
