"""The composition root: builds the stations from a site, connects them, and keeps them running.

What the hot path needs is loaded first; the uplink and the web page, which take longer to import, follow when the
first scan has been stored.
"""

import asyncio
import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gateway import __version__
from gateway.acquire.poller import device_layout
from gateway.acquire.station import Acquire, models_of
from gateway.assess.station import Assess
from gateway.beside import Beside
from gateway.buffer.journal import Journal
from gateway.clock import Clock
from gateway.garbage import settle
from gateway.identity import open_identity
from gateway.logring import start_keeping
from gateway.model import Event, Layout, Miss, Scan, Stream
from gateway.operations.logs import set_up_logs
from gateway.sdnotify import Systemd
from gateway.site import Site
from gateway.supervision import supervised
from gateway.turning import Turning

__all__ = ["Gateway", "run_site"]

log = logging.getLogger(__name__)

CLOCK_PERIOD_S = 5.0
CLOCK_SAVE_S = 600.0
"""How often what a restart needs to hold over the clock is written, besides at each of its events."""
SLEPT_MS = 500
"""By so much boot time must have run ahead of the timers before the machine counts as having slept."""
TICK_S = 1.0
EVENT_QUEUE = 1000
SETTLE_S = 5.0
"""How long a stopping gateway lets its last events reach a journal that does not take them."""
STREAMS: tuple[Stream, ...] = ("scan", "event")
FIRST_SCAN_WAIT_S = 2.0
LINGER_S = 2.0
"""How long a stopping gateway waits for the receipts of its last batches."""


@dataclass(slots=True)
class Counters:
    """What belongs to no single station."""

    started_ms: int
    restarts: dict[str, int] = field(default_factory=dict)
    """Unexpected ends of a station's task, by station."""
    events_dropped: int = 0
    last_restart: str = ""


class Gateway:
    """One running gateway. `run` returns after ``stop`` is set and everything stored is sealed."""

    def __init__(
        self,
        site: Site,
        clock: Clock,
        *,
        linger_s: float = LINGER_S,
        person: str | None = None,
        reason: str | None = None,
    ) -> None:
        self.site = site
        self.clock = clock
        self.counters = Counters(clock.now_ms())
        self.models = models_of(site)
        self.layout = Layout(tuple(device_layout(device, self.models[device.model]) for device in site.devices))
        self.latest: list[Scan | None] = [None] * len(site.devices)
        self.assess = Assess(site, self.layout, self._store, self._event, clock.now_ms)
        self.acquire = Acquire(
            site, self.models, self.assess, clock.now_ms, clock.hear_gnss, keep=self._keep, boot=clock.boot
        )
        self.journal: Journal
        self.uplink: Any = None
        self.people: Any = None
        self.register: Any = None
        """Who may sign in at the page, once there is one."""
        self.device_orders: Any = None
        """Writes to devices by order of a person, once somebody can give one."""
        self.board: Any = None
        self.vitals: Any = None
        self.rulebook: Any = None
        self.feeds: dict[str, Callable[[Scan | Miss], None]] = {}
        """Who is given every judged record beside the journal: outputs that take values, rules of plugins."""
        self.trends: Any = None
        """What the overview draws of the last hours, once there is a page."""
        self.box: Any = None
        """The checks of the machine (`gateway.doctor.watch.Watch`), once they run."""
        self.page_address: str | None = None
        self._linger_s = linger_s
        self.started_by = {"person": person, "reason": reason}
        """Who changed the site file that runs, and why, as far as it was said."""
        self.turning = Turning(self)
        self.beside = Beside(self)
        self._events: asyncio.Queue[Event] = asyncio.Queue(EVENT_QUEUE)
        self._overflow = 0
        self._first_scan = asyncio.Event()

    # the path

    def _store(self, record: Scan | Miss) -> None:
        if isinstance(record, Scan):
            self.latest[record.device] = record
            if not self._first_scan.is_set():
                self._first_scan.set()
        self.journal.put(record)
        for feed in self.feeds.values():
            feed(record)

    def _keep(self, name: str, body: bytes) -> None:
        self.journal.keep(name, body)

    def record(self, event: Event) -> None:
        """Put an event on its way to the journal and to whoever is told of it."""
        self._event(event)

    def _event(self, event: Event) -> None:
        if self.people is not None:
            self.people.hear(event)
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            self.counters.events_dropped += 1
            if not self._overflow:
                log.error("events come faster than they can be stored; the first that is lost is %s", event.kind)
            self._overflow += 1

    async def run(self, stop: asyncio.Event, ready: Callable[[], None] | None = None) -> None:
        """Run until ``stop``. ``ready`` is called when the first scan has come, or cannot come."""
        first_look = await self.clock.update()
        self.assess.update(self.clock.claim())
        identity = open_identity(self.site)
        self.journal = await Journal.open(
            self.site.data_dir / "journal.db",
            signer=identity.signer,
            iss=self.site.identity.urn,
            layout=self.layout,
            spec=self.site.buffer,
            clock=self.clock.claim,
            registration=identity.registration,
        )
        resume = self._resume()
        self.assess.recall(self.journal.kept(), self.clock.claim())
        self.acquire.recall(self.journal.kept(), resume)
        tasks = [
            asyncio.create_task(self.journal.run(), name="journal"),
            asyncio.create_task(self._record_events(), name="events"),
        ]
        for event in first_look:
            self._event(event)
        started_ms = self.clock.now_ms()
        self._announce(resume, started_ms)
        acquiring = asyncio.create_task(self.acquire.run(resume, started_ms), name="acquire")
        later = [
            asyncio.create_task(self.beside.keep("assess", self._tick), name="assess"),
            asyncio.create_task(self.beside.keep("clock", self._follow_clock), name="clock"),
            asyncio.create_task(self._after_first_scan(ready), name="late start"),
        ]
        stopping = asyncio.create_task(stop.wait())
        broken = asyncio.create_task(self.turning.broken())
        try:
            await asyncio.wait([stopping, acquiring, broken, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in (acquiring, broken, *tasks):
                if task.done() and not task.cancelled():
                    task.result()
        finally:
            await self._stop(acquiring, tasks, [*later, stopping, broken])

    async def _stop(
        self, acquiring: "asyncio.Task[None]", tasks: "list[asyncio.Task[None]]", later: "list[asyncio.Task[Any]]"
    ) -> None:
        """Polling ends first, then judging (the first of ``later``), then everything is sealed, then the uplink may
        deliver a little longer.
        """
        await self.turning.end()
        if self.device_orders is not None:
            await self.device_orders.close()
        await _cancel(acquiring)
        await _cancel(later[0])
        self.assess.stopping()
        if self.people is not None:
            self.people.records.stop()
        self._event(Event("power_down", self.acquire.ended_ms, {"orderly": True}))
        try:
            async with asyncio.timeout(SETTLE_S):
                await self._events.join()
        except TimeoutError:
            log.error("the journal does not take the last events")
        self._remember(final=True)
        await self.journal.flush(seal=True)
        if self.uplink is not None and self.uplink.stats.connected:
            await self._deliver_rest()
        for task in (*later[1:], *tasks):
            await _cancel(task)
        await self.journal.close()

    async def _deliver_rest(self) -> None:
        try:
            async with asyncio.timeout(self._linger_s):
                while self.backlog():  # noqa: ASYNC110 - a receipt makes no event of its own
                    await asyncio.sleep(0.02)
        except TimeoutError:
            log.info("stopping with %d batches not yet receipted; they go out after the next start", self.backlog())

    def backlog(self) -> int:
        """Sealed batches that no receipt vouches for yet."""
        waiting = 0
        for stream in STREAMS:
            if (head := self.journal.head(stream)) is not None:
                waiting += head.seq + 1 - self.journal.delivered(stream).size
        return waiting

    # start

    def _resume(self) -> dict[str, int]:
        """The newest slot on record for each device whose grid still runs: same boot, same period."""
        boot = self.clock.boot
        return {device: slot for device, (of_boot, slot) in self.journal.last_slots().items() if of_boot == boot}

    def _announce(self, resume: dict[str, int], now: int) -> None:
        data: dict[str, Any] = {
            "version": __version__,
            "boot": self.clock.boot,
            "resumed": bool(resume),
            "config": self.site.digest,
            "previous": self._previous(now),
        }
        self._event(Event("power_up", now, data))

    def _previous(self, now: int) -> dict[str, Any] | None:
        """How the last run ended on record, and how long ago as far as a clock can tell: both ends of a silence."""
        previous = self.journal.previous()
        if previous is None:
            return None
        was, claim = previous.clock, self.clock.claim()
        last_utc_ms, utc_ms = was.utc_at(previous.last_ms), claim.utc_at(now)
        down_ms = None
        if was.boot == claim.boot:
            down_ms = now - previous.last_ms
        elif last_utc_ms is not None and utc_ms is not None:
            down_ms = utc_ms - last_utc_ms
        return {
            "boot": was.boot,
            "last_ms": previous.last_ms,
            "utc_ms": last_utc_ms,
            "error_ms": was.error_ms,
            "orderly": previous.orderly,
            "down_ms": down_ms,
        }

    async def _after_first_scan(self, ready: Callable[[], None] | None) -> None:
        try:
            async with asyncio.timeout(FIRST_SCAN_WAIT_S):
                await self._first_scan.wait()
            # Ready means that a value is on disk, not that it will be within the loss window.
            await self.journal.flush()
        except TimeoutError:
            log.info("no scan has come yet; starting the uplink and the status page all the same")
        if ready is not None:
            ready()
        await self.beside.run()

    # standing tasks

    async def _record_events(self) -> None:
        """Everything that waits goes into one commit; what the disk refuses stays in the journal's memory."""
        while True:
            batch = [await self._events.get()]
            while not self._events.empty():
                batch.append(self._events.get_nowait())
            if self._overflow:
                lost, self._overflow = self._overflow, 0
                log.warning("events are stored again; %d were lost", lost)
                self._event(Event("events.lost", self.clock.now_ms(), {"count": lost}))
            # Without a pause up to the wait: the memories hold exactly what these events have told.
            self._remember()
            for name, body in self.acquire.told().items():
                self.journal.keep(name, body)
            ticket: asyncio.Future[bool] | None = None
            for event in batch:
                try:
                    ticket = self.journal.offer(event)
                except Exception as error:  # noqa: BLE001 - one event must never end the record of the others
                    self.counters.events_dropped += 1
                    log.error("event %s was not stored: %s", event.kind, error)
            if ticket is not None:
                await asyncio.shield(ticket)
            for _ in batch:
                self._events.task_done()

    def _remember(self, *, final: bool = False) -> None:
        """Hand what the judges need after a restart to the next commit."""
        for name, body in self.assess.memories(final=final).items():
            self.journal.keep(name, body)

    async def _tick(self) -> None:
        """What follows from time passing: delays, escalations, silence, the end of shelving."""
        while True:
            await asyncio.sleep(TICK_S)
            self.assess.tick(self.clock.claim())
            self._remember()

    async def _follow_clock(self) -> None:
        loop = asyncio.get_running_loop()
        saved = -CLOCK_SAVE_S
        ahead_ms = self._boot_ahead_ms(loop)
        while True:
            events = await self.clock.update()
            # Timers stand still while the machine sleeps, boot time does not.
            ahead_ms, before_ms = self._boot_ahead_ms(loop), ahead_ms
            if ahead_ms - before_ms > SLEPT_MS:
                self.acquire.awake()
            for event in events:
                self._event(event)
            self.assess.update(self.clock.claim())
            if events or loop.time() - saved >= CLOCK_SAVE_S:
                saved = loop.time()
                await loop.run_in_executor(None, _save_memory, self.site, self.clock.memory())
            await asyncio.sleep(CLOCK_PERIOD_S)

    def _boot_ahead_ms(self, loop: asyncio.AbstractEventLoop) -> float:
        return self.clock.now_ms() - loop.time() * 1000


async def _cancel(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s ended with: %s", task.get_name(), error)


def run_site(site: Site, level: str, *, person: str | None = None, reason: str | None = None) -> int:
    """Run a gateway until SIGTERM or SIGINT; exit status 0 after an orderly stop."""
    import uvloop

    set_up_logs(level)
    log.info(
        "aurora-gateway %s: site %s, %d devices on %d buses",
        __version__,
        site.identity.urn,
        len(site.devices),
        len(site.buses),
    )
    start_keeping()

    async def main() -> None:
        settle()
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        clock = Clock(site.clock, memory=_read_memory(site))
        gateway = Gateway(site, clock, person=person, reason=reason)
        loop.add_signal_handler(signal.SIGHUP, gateway.turning.hang_up)
        async with supervised(gateway, stop, Systemd.of()) as ready:
            await gateway.run(stop, ready)

    uvloop.run(main())
    log.info("stopped in order")
    return 0


CLOCK_FILE = "clock.json"


def _read_memory(site: Site) -> bytes | None:
    try:
        return (site.data_dir / CLOCK_FILE).read_bytes()
    except OSError:
        return None


def _save_memory(site: Site, memory: bytes | None) -> None:
    """Best effort: without it a restart begins with an untrusted clock, and says so."""
    if memory is None:
        return
    draft = site.data_dir / f"{CLOCK_FILE}.draft"
    try:
        draft.write_bytes(memory)
        draft.replace(site.data_dir / CLOCK_FILE)
    except OSError as error:
        log.warning("the clock's state cannot be saved (%s)", error.strerror)
