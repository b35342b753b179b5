"""Alarms reach people: takes the events of alarms, queues who is to be told, and has one lane for each output.

An event that was taken is on disk before anybody is told, and is told at least once: after a crash between the
other side's confirmation and the note of it, the same notice goes out once more, with the same key.
"""

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from gateway.errors import AuroraError, StorageError
from gateway.model import Alarm, ClockClaim, Condition, Event, Layout, Miss, Scan
from gateway.notify.cell import Cell
from gateway.notify.desk import Desk
from gateway.notify.facts import KINDS
from gateway.notify.feed import Feed, Memory, infos
from gateway.notify.lane import Lane
from gateway.notify.mark import Mark, Recall
from gateway.notify.stats import NotifyStats
from gateway.notify.store import Row, Store, open_store
from gateway.notify.watch import Watch
from gateway.notify.writer import Office, masked
from gateway.site import Site

__all__ = ["Notifier", "NotifyError"]

log = logging.getLogger(__name__)

INTAKE_MOST = 10_000
"""Events that may wait for the queue; it takes thousands a second, so more means that it does not work."""
RESTART_S = 5.0
VALUES = "values "
"""What the mark of an output is called in the file of the queue, before the output's id."""


class NotifyError(AuroraError):
    """What was asked of the outputs cannot be done."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}; {remedy}")


class Notifier:
    """All outputs of a site. `open`, then `resync` with what stands, then `run` until cancelled.

    ``on_event`` takes ``notify.sent``, ``notify.failed``, ``notify.test`` and ``notify.queue`` for the record,
    ``on_condition`` that an output, or all of them, reach nobody. ``layout`` is of the devices, for outputs that
    take values, ``recall`` reads from the journal what an earlier process did not give them. ``timezone`` is the
    site's: notices tell its time, and rules mean it. ``pace`` overrides times of `Office` (seconds).
    """

    def __init__(
        self,
        site: Site,
        clock: Callable[[], ClockClaim],
        on_event: Callable[[Event], None],
        on_condition: Callable[[Condition], None],
        *,
        layout: Layout | None = None,
        timezone: str = "UTC",
        random: Random | None = None,
        recall: Recall | None = None,
        **pace: float,
    ) -> None:
        self.stats = NotifyStats()
        self.lanes: dict[str, Lane] = {}
        self.feeds: list[Feed] = []
        self._layout = layout or Layout(())
        self._recall = recall
        self._site = site
        self._clock = clock
        self._on_event = on_event
        self._on_condition = on_condition
        self._random = random or Random()  # noqa: S311 - jitter, not a secret
        self._pace = pace
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="notify")
        self._store: Store | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._intake: deque[Event] = deque()
        self._arrived = asyncio.Event()
        zone = ZoneInfo(timezone)
        self._outputs = {spec.id: spec for spec in site.outputs}
        self._desk = Desk(self._outputs, site.notify, zone)
        self._office = Office(
            identity=site.identity,
            names={point.id: point.name for point in site.points},
            zone=zone,
            link=site.notices.link,
            clock=clock,
            db=self._db,
            desk=self._desk,
            event=on_event,
            random=self._random,
            **pace,
        )

    async def open(self) -> None:
        """Open the queue, and the lanes with it. Raises `StorageError` for a file that is not ours to use."""
        loop = self._loop = asyncio.get_running_loop()
        store, trouble = await loop.run_in_executor(self._pool, open_store, self._site.data_dir)
        self._store = store
        if trouble:
            self.stats.durable = store.path is not None
            self._queue_trouble(trouble)
        for spec in self._site.outputs:
            devices = infos(self._layout) if spec.values else ()
            lane = Lane(spec, Cell(spec, self._site.identity, devices=devices), self._office)
            self.lanes[spec.id] = lane
            self.stats.outputs[spec.id] = lane.stats
            if spec.values:
                self.feeds.append(
                    Feed(
                        lane,
                        self._layout,
                        self._site.points,
                        self._clock,
                        rest_s=self._office.rest_s,
                        memory=await self._memory(spec.id),
                    )
                )
        boot = self._clock().boot
        for row in await self._db(_begin, boot, list(self._outputs)):
            log.warning("notice %s is given up: its output %s is no longer in the site file", row.key, row.output)

    async def _memory(self, output: str) -> Memory | None:
        """How far an output was given values, as it stands in the file of the queue."""
        if self._recall is None:
            return None
        name = f"{VALUES}{output}"
        text = await self._db(Store.get, name)
        return Memory(
            None if text is None else Mark.of_text(text), partial(self._db, Store.set, name), self._recall
        )

    async def resync(self, alarms: Iterable[Alarm]) -> None:
        """Compare what stands with what was told, once after the start; whatever was missed is told now."""
        self._intake.clear()  # What came before is in these alarms.
        self._refuse(await self._db(self._desk.resync, list(alarms), self._clock()))
        self._wake()

    # What happens

    def alarm(self, event: Event) -> None:
        """Take an event; those that are of no alarm are left. Never waits: it is queued in a moment."""
        if event.kind not in KINDS:
            return
        if len(self._intake) >= INTAKE_MOST:
            if not self.stats.dropped:
                log.error("alarms come faster than they can be queued for the outputs; %s is not", event.kind)
            self.stats.dropped += 1
            return
        self._intake.append(event)
        self._arrived.set()

    def values(self, record: Scan | Miss) -> None:
        """A judged record, for the outputs that take values. Never waits."""
        for feed in self.feeds:
            feed.put(record)

    async def accept(self, events: Sequence[Event]) -> None:
        """Take events and return once they are queued on disk."""
        self._refuse(await self._db(self._desk.take, list(events), self._clock()))
        self._wake()

    async def run(self) -> None:
        """Until cancelled: queue what happens, and keep every output at work."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._take(), name="notify intake")
                group.create_task(self._watch(), name="notify watch")
                for lane in self.lanes.values():
                    group.create_task(self._keep(lane), name=f"output {lane.spec.id}")
                for feed in self.feeds:
                    group.create_task(self._keep(feed), name=f"values of {feed.spec.id}")
        finally:
            await self.close()

    async def close(self) -> None:
        """Queue what has come, close the outputs and the file."""
        if self._store is None:
            return
        with suppress(StorageError):
            await self._take_waiting()
        await asyncio.gather(*(feed.close() for feed in self.feeds))
        await asyncio.gather(*(_end(lane) for lane in self.lanes.values()))
        store, self._store = self._store, None
        await asyncio.get_running_loop().run_in_executor(self._pool, store.close)
        self._pool.shutdown(wait=False)

    async def _take(self) -> None:
        while True:
            await self._arrived.wait()
            await self._take_waiting()

    async def _take_waiting(self) -> None:
        self._arrived.clear()
        events = list(self._intake)
        if events:
            await self.accept(events)
            for _ in events:
                self._intake.popleft()
            if self.stats.dropped and not self._intake:
                log.warning("alarms are queued again; %d events were not", self.stats.dropped)

    async def _keep(self, lane: "Lane | Feed") -> None:
        """A lane ends only by a defect of ours: said once for each reason, and begun again."""
        told = ""
        while True:
            try:
                await lane.run()
            except Exception as error:
                if repr(error) != told:
                    log.exception("output %s stopped", lane.spec.id)
                told = repr(error)
            await asyncio.sleep(RESTART_S)

    def _wake(self) -> None:
        for lane in self.lanes.values():
            lane.wake()

    def _refuse(self, rows: Sequence[Row]) -> None:
        for row in rows:
            lane = self.lanes[row.output]
            lane.stats.given_up += 1
            lane.refused(row, row.error, "see why this output does not deliver")

    async def _watch(self) -> None:
        watch = Watch(self._site.notices.unreachable_s)
        while True:
            reaches = {name: lane.reach for name, lane in self.lanes.items() if lane.spec.tells}
            now_s = asyncio.get_running_loop().time()
            for condition in watch.look(reaches, now_s, self._clock().boot_ms):
                self._on_condition(condition)
            self.stats.unreachable = watch.nobody
            await asyncio.sleep(self._pace.get("idle_s", 60.0) / 12)

    # The queue's thread

    async def _db(self, work: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._in_thread, work, args)

    def _in_thread(self, work: Callable[..., Any], args: Sequence[Any]) -> Any:
        """Work on the store; where the disk takes nothing any more, on a copy of it in memory."""
        store = self._store
        if store is None:
            raise StorageError("the queue of the outputs is closed", "start the gateway again")
        try:
            return work(store, *args)
        except (StorageError, sqlite3.Error) as error:
            if store.path is None:
                raise
            trouble = f"{error}: notices are queued in memory only, and would be lost at a restart"
        memory = Store(None)
        with suppress(StorageError):
            store.copy_into(memory)
        self._store, self.stats.durable = memory, False
        with suppress(sqlite3.Error):
            store.close()
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._queue_trouble, trouble)
        return work(memory, *args)

    def _queue_trouble(self, trouble: str) -> None:
        log.error("queue of the outputs: %s", trouble)
        self._on_event(
            Event("notify.queue", self._clock().boot_ms, {"what": trouble, "durable": self.stats.durable})
        )

    # What people ask

    async def test(self, output: str, to: Sequence[str] = (), person: str = "") -> list[str]:
        """Send a test notice now; returns to whom. Raises `NotifyError` or `OutputError`."""
        lane = self.lanes.get(output)
        if lane is None:
            known = ", ".join(sorted(self.lanes)) or "none"
            raise NotifyError(f"there is no output {output[:100]!r}", f"the site file has: {known}")
        allowed = set(lane.spec.to).union(*(rule.to for rule in self._site.notify if rule.output == output))
        for recipient in to:
            if recipient not in allowed:
                raise NotifyError(
                    f"{recipient[:100]!r} is no recipient of {output!r}",
                    "a test goes to those of the site file only",
                )
        return await lane.test(to, person)

    def listing(self) -> dict[str, Any]:
        """How every output is doing."""
        found = self.stats.plain()
        for spec in self._site.outputs:
            found["outputs"][spec.id] |= {
                "to": [masked(recipient) for recipient in spec.to],
                "rules": sum(rule.output == spec.id for rule in self._site.notify),
                "blocked": self.lanes[spec.id].cell.blocked,
            }
        return found

    def plugins(self) -> dict[str, Any]:
        """What each output did that it should not have, and whether it works."""
        return {
            name: {
                "type": lane.spec.type,
                "state": "blocked" if lane.cell.blocked else "failing" if lane.stats.failing else "ok",
                "raised": lane.cell.faults.raised,
                "late": lane.cell.faults.late,
                "blocked": lane.cell.faults.blocked,
                "silenced": lane.cell.faults.silenced,
                "last_error": lane.stats.last_error if lane.stats.failing else lane.cell.faults.last,
            }
            for name, lane in self.lanes.items()
        }

    def handlers(self) -> Mapping[str, Callable[[Mapping[str, Any]], Any]]:
        """What the control socket asks for: ``notify.test`` and ``notify.list``."""
        return {"notify.test": self._asked_test, "notify.list": self._asked_list}

    async def _asked_test(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        output, to, person = request.get("output"), request.get("to", []), request.get("person", "")
        if not isinstance(output, str) or not isinstance(person, str):
            raise NotifyError("it is not said which output to test", 'send "output": its id in the site file')
        if not isinstance(to, list) or not all(isinstance(one, str) for one in to):
            raise NotifyError("to is no list of recipients", 'send "to": ["..."], or leave it out')
        return {"told": await self.test(output, to, person[:100])}

    async def _asked_list(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.listing()


async def _end(lane: Lane) -> None:
    await lane.settle()
    await lane.cell.close()


def _begin(store: Store, boot: bytes, outputs: Sequence[str]) -> list[Row]:
    with store.change():
        store.begin_boot(boot)
        # An output that comes back some day is not given what happened meanwhile.
        store.forget(VALUES, [f"{VALUES}{output}" for output in outputs])
        return store.withdraw_unknown(outputs)
