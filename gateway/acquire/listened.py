"""A serial line that is listened to: a scale that repeats its weight, a receiver of position."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from firmware_interfaces.errors import NotConnected
from firmware_interfaces.serial.framing import Framer
from firmware_interfaces.serial.instrument import HeardText
from firmware_interfaces.serial.line import SerialLine
from firmware_interfaces.serial.models import SerialModel
from firmware_interfaces.serial.nouns import TextModel
from firmware_interfaces.serial.receiver import HeardReceiver
from gateway.acquire.families import Common
from gateway.acquire.heard import HeardPoller, HeardWorker
from gateway.acquire.keeper import BusStats
from gateway.model import Event
from gateway.site import BusSpec, DeviceSpec

__all__ = ["Heard", "ListenedPoller", "ListenedWorker", "listened_worker"]

log = logging.getLogger(__name__)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_RETRY_S = 0.2
QUIET_S = 10.0
"""An instrument that was told to speak and is silent for so long is told again: it may have been switched off."""


class Heard(Protocol):
    """What an instrument that speaks unasked says, by its model."""

    @property
    def start(self) -> bytes:
        """What makes it speak; empty where it always does."""
        ...

    def framer(self) -> Framer:
        """Cuts what it sends."""
        ...

    def hear(self, frame: bytes) -> dict[str, tuple[float, int]] | str | None:
        """Value and quality by channel; words for what is damaged; None for what means nothing."""
        ...


class ListenedPoller(HeardPoller):
    """One device of a line that is listened to."""

    def __init__(self, index: int, spec: DeviceSpec, model: SerialModel, heard: Heard) -> None:
        super().__init__(index, spec, model)
        self.heard = heard


class ListenedWorker(HeardWorker[ListenedPoller]):
    """Holds the port open, and hands what is heard to the devices of the bus."""

    def __init__(self, bus: BusSpec, link: SerialLine, pollers: Sequence[ListenedPoller], common: Common) -> None:
        super().__init__(
            BusStats(bus.id, bus.kind),
            pollers,
            sink=common.sink,
            now_ms=common.now_ms,
            metronome=common.metronome,
        )
        self.link = link
        self.defects = 0
        """Frames that a defect of the gateway kept from being read."""
        self._down = False
        self._lost = asyncio.Event()
        link.listen(pollers[0].heard.framer(), self._heard)
        link.on_lost = self._lost.set

    async def run(self) -> None:
        """Listen for ever. Cancel to stop."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hold(), name=f"port of {self.stats.id}")
            group.create_task(self._serve_slots(), name=f"slots of {self.stats.id}")

    def close(self) -> None:
        """Give the port back."""
        self.link.on_lost = None
        self.link.close()
        self.link.on_lost = self._lost.set
        self.stats.connected = False

    async def _hold(self) -> None:
        """Open the port, tell the instrument to speak, open it again whenever it was lost."""
        retry_s = FIRST_RETRY_S
        while True:
            try:
                await self.link.open(0.0)
            except NotConnected as error:
                if not self._down:
                    self._down = True
                    self._went_down(str(error))
            else:
                retry_s = FIRST_RETRY_S
                self._opened()
                await self._until_lost()
                self.stats.connected = False
                self._down = True
                self._went_down(f"{self.link} was unplugged")
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, self.link.longest_retry_s)

    def _opened(self) -> None:
        self._lost.clear()
        self.stats.connected = True
        self.stats.connects += 1
        log.info("bus %s: listening to %s", self.stats.id, self.link)
        if self._down:
            self._down = False
            self._came_back()

    async def _until_lost(self) -> None:
        start = self.pollers[0].heard.start
        self.link.say(start)
        while True:
            heard = self.link.stats.bytes_received
            try:
                async with asyncio.timeout(QUIET_S if start else None):
                    await self._lost.wait()
                    return
            except TimeoutError:
                if self.link.stats.bytes_received == heard:
                    self.link.say(start)

    def _heard(self, frame: bytes) -> None:
        now = self._now_ms()
        understood, damaged = False, False
        for poller in self.pollers:
            try:
                said = poller.heard.hear(frame)
            except Exception as error:
                if not self.defects:
                    log.error("bus %s: a defect over what was heard", self.stats.id, exc_info=error)
                    data = {"bus": self.stats.id, "why": f"{frame!r}: {error!r}"}
                    self._sink.event(Event("bus.fault", now, data))
                self.defects += 1
                continue
            if isinstance(said, str):
                damaged = True
                poller.keep_fault(said, frame, now)
            elif said is not None:
                understood = True
                poller.keep(said, frame, now)
        stats = self.link.stats
        stats.answers += understood
        stats.bad_frames += damaged
        stats.stray_frames += not (understood or damaged)


def _teller(common: Common) -> Callable[[datetime], None] | None:
    """Tells the clock, by the boot time of the sentence. Of several devices on one receiver the first does it."""
    on_time = common.on_time
    if on_time is None:
        return None

    def tell(utc: datetime) -> None:
        on_time((utc - EPOCH) // timedelta(microseconds=1) * 1000, common.now_ms() * 1_000_000)

    return tell


def listened_worker(
    bus: BusSpec,
    line: SerialLine,
    mine: Mapping[int, DeviceSpec],
    models: Mapping[int, SerialModel],
    common: Common,
) -> ListenedWorker:
    """The worker of a line whose instrument speaks unasked."""
    pollers: list[ListenedPoller] = []
    for index, spec in mine.items():
        model = models[index]
        heard: Heard = (
            HeardText(model, spec.channels)
            if isinstance(model, TextModel)
            else HeardReceiver(spec.channels, None if pollers else _teller(common))
        )
        pollers.append(ListenedPoller(index, spec, model, heard))
    return ListenedWorker(bus, line, pollers, common)
