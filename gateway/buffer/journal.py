"""The journal on the event loop: takes records without waiting, commits them in groups, drops none in silence."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Self, TypeVar

from gateway.buffer.backlog import LIMIT, Backlog
from gateway.buffer.faults import StoreError
from gateway.buffer.ledger import NOTHING_DELIVERED, Acknowledgement, Book, Delivered
from gateway.buffer.messages import Done, Oldest, Request
from gateway.buffer.reader import Finding, Previous, Reader
from gateway.buffer.schema import STREAMS
from gateway.buffer.slots import index_moves, on_grid
from gateway.buffer.stats import JournalStats, backlog
from gateway.buffer.worker import Worker
from gateway.buffer.writer import Writer
from gateway.errors import SealError, StorageError
from gateway.model import ClockClaim, Event, Head, Layout, Miss, Scan, StoredBatch, Stream
from gateway.seal.columns import encode_events, layout_id
from gateway.seal.keys import Signer
from gateway.site import BufferSpec

log = logging.getLogger(__name__)

_T = TypeVar("_T")

EVENT_LIMIT: Final = 10_000
"""Events that wait in memory at most while the store fails."""
ACKNOWLEDGE_S: Final = 10.0
"""How long a receipt may wait for a commit that is made anyway."""
EXPIRE_S: Final = 3600.0
"""How often old bodies are looked for."""


class Journal:
    """The durable store of a gateway, on the event loop that opened it.

    ``changed`` is set whenever a batch was committed. While the store fails (disk full, read-only, input/output
    errors) records and events wait in memory, and every window it is tried again; see docs/journal.md.
    """

    def __init__(self, path: Path, book: Book, clock: Callable[[], ClockClaim], *, memory: int = LIMIT) -> None:
        self.changed = asyncio.Event()
        self._path = path
        self._spec = book.spec
        self._layout = book.layout
        self._clock = clock
        self._writer = Writer(path, book)
        self._reader = Reader(path)
        self._loop = asyncio.get_running_loop()
        self._write_thread = Worker("journal-write", self._loop)
        self._read_thread = Worker("journal-read", self._loop)
        self._backlog = Backlog(memory)
        self._in_flight = 0
        self._events: list[Event] = []
        self._receipts: dict[Stream, Acknowledgement] = {}
        self._memories: dict[str, bytes] = {}
        self._signer: Signer | None = None
        self._ticket: asyncio.Future[bool] = self._loop.create_future()
        self._wake = asyncio.Event()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._committing = asyncio.Lock()
        self._closed = False
        self._heads: dict[Stream, Head | None] = dict.fromkeys(STREAMS)
        self._delivered = dict.fromkeys(STREAMS, NOTHING_DELIVERED)
        self._stats = JournalStats()
        self._since: int | None = None
        self._oldest: dict[Stream, Oldest | None] = {}
        self._expire_at = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._events_dropped = 0

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        signer: Signer,
        iss: str,
        layout: Layout,
        spec: BufferSpec,
        clock: Callable[[], ClockClaim],
        registration: bytes,
        memory: int = LIMIT,
    ) -> Self:
        """Open or make the journal, seal what the previous run left, record the layout if it is new.

        A damaged file is set aside and salvaged. A store that cannot be used now does not stop the start: the
        journal is then in one of the states of `faults.State` and goes on trying. Raises `StorageError` when the
        file belongs to another gateway, another program or a newer version, or is in use by another process.
        """
        book = Book(iss, signer, layout, layout_id(layout), spec, registration)
        journal = cls(path, book, clock, memory=memory)
        try:
            await journal._start()
        except (StorageError, SealError):
            await journal._write_thread.run(journal._writer.close)
            journal._shut()
            raise
        return journal

    def put(self, record: Scan | Miss) -> None:
        """Take a record; it is on disk within the loss window. Never waits, never fails."""
        if "commit" not in self._timers:
            self._after("commit", self._window_s())
        self._backlog.add(record)

    async def put_event(self, event: Event) -> bool:
        """Commit an event at once, with everything that waits.

        True once it is on disk. False when the store fails: the event then waits in memory (with at most
        `EVENT_LIMIT` others) and is committed when the store is back. Raises `SealError` for an event that cannot
        be encoded, `StorageError` when the journal is closed.
        """
        return await asyncio.shield(self.offer(event))

    def offer(self, event: Event) -> "asyncio.Future[bool]":
        """As `put_event`, but the event is taken before this returns: what is kept or offered without waiting in
        between stands in one transaction. The future is shared; shield it.
        """
        encode_events([event])
        if self._closed:
            raise StorageError("the journal is closed")
        if len(self._events) >= EVENT_LIMIT:
            del self._events[0]
            self._events_dropped += 1
        self._events.append(event)
        self._wake.set()
        return self._ticket

    def keep(self, name: str, body: bytes) -> None:
        """Have a station's memory on disk with the next commit, in place of the one kept under this name.

        Asked for together with `offer`, it is in the transaction of that event. It asks for no commit itself.
        """
        self._memories[name] = body

    def kept(self) -> Mapping[str, bytes]:
        """What stations had kept when the journal was opened, by name; empty until it could be opened."""
        return self._writer.memories

    async def rotate(self, signer: Signer, event: Event) -> bool:
        """Commit the event ``key.rotated`` under the present key, and sign everything after it with ``signer``."""
        self._signer = signer
        return await self.put_event(event)

    async def run(self) -> None:
        """Commit, until closed or cancelled."""
        self._after("commit", 0.0)
        while not self._closed:
            await self._wake.wait()
            self._wake.clear()
            if not self._closed:
                await self._commit()
                await self._expire()

    async def flush(self, *, seal: bool = False) -> bool:
        """Commit what waits now, and close the open batch where ``seal`` asks for it; True once it is on disk.

        Raises `StorageError` when the journal is closed.
        """
        if self._closed:
            raise StorageError("the journal is closed")
        await self._commit(close=seal)
        return self._stats.state == "ok"

    async def relayout(self, layout: Layout, spec: BufferSpec, switch: Callable[[Mapping[str, int]], None]) -> None:
        """Close the open batch, and store by another layout from then on.

        ``switch`` is called without a pause between the last record of the old layout and the first of the new one:
        in it the caller changes the indices by which it puts records, and begins devices anew. It is given, by
        device id, the newest slot on record of the device's present grid. What was put meanwhile must be of devices
        that are in both layouts alike. When it raises, or the store fails, all is as it was and the error is
        raised.
        """
        async with self._committing:
            await self._commit_locked(close=True)
            if self._stats.state != "ok":
                raise StorageError(f"the journal cannot be written ({self._stats.fault})", "try again when it can")
            before, rules, book = self._layout, self._spec, self._writer.book
            done, newest = await self._write(self._writer.relayout, layout, spec, self._clock())
            waiting, moves = list(self._backlog.records), index_moves(before, layout)
            self._layout, self._spec = layout, spec
            try:
                if not all(record.device in moves for record in waiting):
                    raise StorageError("a device that is changed still brings records", "report this defect")
                switch(newest)
            except BaseException:
                self._backlog.cut(len(waiting))
                self._layout, self._spec = before, rules
                await self._write(self._writer.write_by, book, self._clock())
                raise
            for record in waiting:
                record.device = moves[record.device]
            self._adopt(done)

    async def close(self) -> None:
        """Commit what waits, seal the open batch, copy the log into the file, and close.

        What cannot be stored then is lost, and said so in the log.
        """
        if self._closed:
            return
        self._closed = True
        await self._commit(close=True)
        self._wake.set()
        left = self._backlog.values
        if left or self._events:
            log.error("%d values and %d events could not be stored before the end", left, len(self._events))
        await self._read_thread.run(self._reader.close)
        await self._write_thread.run(self._writer.close)
        self._shut()

    async def pending(self, stream: Stream, from_seq: int, limit: int) -> list[StoredBatch]:
        """Batches from a sequence on, in order; fewer than ``limit`` when they are large.

        Raises `StorageError` while the file cannot be read; damage found here starts the salvage.
        """
        return await self._read(self._reader.batches, stream, from_seq, limit)

    async def leaves(self, stream: Stream, from_seq: int, to_seq: int) -> list[bytes]:
        """Leaf hashes of sequences ``from_seq`` to ``to_seq`` - 1; raises `StorageError` when one is lost."""
        return await self._read(self._reader.leaves, stream, from_seq, to_seq)

    def head(self, stream: Stream) -> Head | None:
        """The newest committed batch of a stream."""
        return self._heads[stream]

    def delivered(self, stream: Stream) -> Delivered:
        """Tree size that has a receipt, and the serialised frontier of that tree."""
        return self._delivered[stream]

    async def acknowledge(self, stream: Stream, size: int, frontier: bytes, receipt: bytes) -> None:
        """Note a receipt that holds for the first ``size`` batches.

        It goes to disk with a commit of the next ten seconds; lost in a power cut, it is asked for again. Raises
        ValueError for a size beyond the head; one that is not larger than what is known changes nothing.
        """
        head = self._heads[stream]
        if head is None or size > head.seq + 1:
            message = f"a receipt for {size} batches of stream {stream}, which has fewer"
            raise ValueError(message)
        if size <= self._delivered[stream].size:
            return
        self._delivered[stream] = Delivered(size, frontier)
        self._receipts[stream] = Acknowledgement(size, frontier, receipt)
        if "receipts" not in self._timers:
            self._after("receipts", ACKNOWLEDGE_S)

    def last_slots(self) -> Mapping[str, tuple[bytes, int]]:
        """By device id, the boot and the newest slot on record when the journal was opened, where the device's
        grid is still the same.

        What lies between that and the first slot of this run was missed because the gateway was down. Records that
        leave this out, because the journal could be opened only later, are completed when they are stored.
        """
        grids = {on_grid(device): device.id for device in self._layout.devices}
        return {
            device: (newest.boot, newest.slot)
            for place, newest in self._writer.slots.items()
            if (device := grids.get(place)) is not None
        }

    def previous(self) -> Previous | None:
        """How the record ended when the journal was opened, None for a new one."""
        return self._writer.previous

    async def check(self) -> list[Finding]:
        """Read all of the file and say what is wrong with it; takes seconds for each 100 MB."""
        return await self._read(self._reader.check)

    async def repair(self, why: str) -> None:
        """Set the file aside and go on with what can be read of it; raises `StorageError` when that fails.

        Damage that SQLite meets is repaired without being asked; this is for what `check` has found.
        """
        async with self._committing:
            self._adopt(await self._write(self._writer.repair, self._clock(), why))

    @property
    def stats(self) -> JournalStats:
        """The figures at this moment; a copy."""
        now = self._clock()
        stats = self._stats.copy()
        stats.dropped["memory"] += self._backlog.dropped
        stats.dropped["memory-events"] += self._events_dropped
        stats.set_aside = list(self._writer.aside)
        stats.pending_records = len(self._backlog.records)
        stats.pending_values = self._backlog.values + self._in_flight
        stats.pending_events = len(self._events)
        stats.backlog = backlog(self._heads, self._delivered)
        for stream, oldest in self._oldest.items():
            stats.oldest_undelivered_s[stream] = oldest.age_s(now) if oldest and stats.backlog[stream] else None
        return stats

    @property
    def state(self) -> str:
        """``ok``, or what is wrong with the store (`faults.State`)."""
        return self._stats.state

    async def _start(self) -> None:
        clock = self._clock()
        try:
            done = await self._write_thread.run(self._writer.open, clock)
        except StoreError as fault:
            if fault.state == "locked":
                raise
            self._failed(fault, clock)
            self._after("commit", self._window_s())
        else:
            self._adopt(done)

    async def _commit(self, *, close: bool = False) -> None:
        # A commit is never cut off: its records are in nobody else's hands.
        task = self._loop.create_task(self._commit_group(close=close))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.shield(task)

    async def _commit_group(self, *, close: bool) -> None:
        async with self._committing:
            await self._commit_locked(close=close)

    async def _commit_locked(self, *, close: bool) -> None:
        self._cancel_timers()
        clock = self._clock()
        values, records = self._backlog.values, self._backlog.take()
        events, self._events = self._events, []
        receipts, self._receipts = self._receipts, {}
        memories, self._memories = self._memories, {}
        ticket, self._ticket = self._ticket, self._loop.create_future()
        signer = self._signer
        dropped, events_dropped = self._backlog.dropped, self._events_dropped
        request = Request(clock, records, [*self._outage(clock), *events], receipts, close, signer, memories)
        self._in_flight = values
        done: Done | None = None
        try:
            done = await self._write(self._writer.commit, request)
        except (StorageError, SealError) as error:
            self._failed(error, clock)
            if not self._closed:
                self._after("commit", self._window_s())
        finally:
            self._in_flight = 0
            if done is None:
                self._backlog.give_back(records)
                self._events = events + self._events
                self._receipts = receipts | self._receipts
                self._memories = memories | self._memories
            ticket.set_result(done is not None)
        if done is not None:
            if self._signer is signer:
                self._signer = None
            self._restored(dropped, events_dropped)
            self._adopt(done)

    async def _write(self, work: Callable[..., _T], *args: object) -> _T:
        """Run on the writer's thread; the reader looks at the new file if that one was replaced."""
        files = len(self._writer.aside)
        try:
            return await self._write_thread.run(work, *args)
        finally:
            if len(self._writer.aside) != files:
                await self._read_thread.run(self._reader.close)

    async def _read(self, work: Callable[..., _T], *args: object) -> _T:
        files = len(self._writer.aside)
        try:
            return await self._read_thread.run(work, *args)
        except StoreError as fault:
            if fault.state == "corrupt":
                async with self._committing:
                    if len(self._writer.aside) == files and not self._closed:
                        self._adopt(await self._write(self._writer.repair, self._clock(), fault.what))
            raise

    async def _expire(self) -> None:
        """Strip old bodies, a few at a time, as long as no commit waits."""
        if self._loop.time() < self._expire_at or self._stats.state != "ok":
            return
        gone = 1
        while gone and not self._wake.is_set() and not self._closed:
            clock = self._clock()
            async with self._committing:
                try:
                    gone = await self._write(self._writer.expire, clock)
                except StorageError as error:
                    self._failed(error, clock)
                    self._after("commit", self._window_s())
                    return
            self._stats.stripped["age"] += gone
        if not gone:
            self._expire_at = self._loop.time() + EXPIRE_S

    def _outage(self, clock: ClockClaim) -> list[Event]:
        """What to record of a time in which nothing could be stored."""
        if self._since is None and not self._backlog.dropped:
            return []
        data = {
            "state": "slow" if self._since is None else self._stats.state,
            "from_ms": clock.boot_ms if self._since is None else self._since,
            "values": self._backlog.dropped,
            "events": self._events_dropped,
        }
        return [Event("storage.outage", clock.boot_ms, data)]

    def _failed(self, error: StorageError | SealError, clock: ClockClaim) -> None:
        stats = self._stats
        stats.failed_commits += 1
        stats.failed_seals += isinstance(error, SealError)
        stats.state = error.state if isinstance(error, StoreError) else "failing"
        stats.fault = str(error)
        if self._since is None:
            self._since = clock.boot_ms
            log.error("the journal cannot be written, records wait in memory: %s", error)

    def _restored(self, dropped: int, events_dropped: int) -> None:
        """Note that the store works, and that so many lost values and events are on record."""
        stats = self._stats
        if self._since is not None:
            log.warning("the journal is written again after being %s; %d values were lost", stats.state, dropped)
        self._since, stats.state, stats.fault = None, "ok", ""
        stats.dropped["memory"] += dropped
        stats.dropped["memory-events"] += events_dropped
        self._backlog.dropped -= dropped
        self._events_dropped -= events_dropped

    def _adopt(self, done: Done) -> None:
        changed = done.heads != self._heads
        self._heads = done.heads
        self._oldest = done.oldest
        for stream in STREAMS:
            # A receipt that came since this commit began is newer than what the commit knows.
            self._delivered[stream] = max(self._delivered[stream], done.delivered[stream])
        self._stats.add(done)
        if done.tally.forced_batches:
            log.error("byte cap: %d batches were deleted before delivery", done.tally.forced_batches)
        if done.due_ms is not None and not self._closed:
            # A window later, so that while records come the batch is closed by a commit that is made anyway.
            self._after("due", (done.due_ms + self._spec.loss_window_ms) / 1000)
        if changed:
            self.changed.set()

    def _window_s(self) -> float:
        """How long to gather: the loss window, less what the commit itself takes."""
        window = self._spec.loss_window_ms / 1000
        return max(window / 2, window - self._stats.last_commit_seconds)

    def _after(self, name: str, delay_s: float) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
        self._timers[name] = self._loop.call_later(delay_s, self._wake.set)

    def _cancel_timers(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _shut(self) -> None:
        self._cancel_timers()
        self._write_thread.end()
        self._read_thread.end()
