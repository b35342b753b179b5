"""The single writer: one connection, used by one thread, and one transaction for each commit."""

import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from gateway.buffer import memory, retention, schema, tail
from gateway.buffer.border import encodable, mark_recovered
from gateway.buffer.faults import STORE_ERRORS, StoreError, fault_of
from gateway.buffer.ledger import Book, Ledger, load
from gateway.buffer.messages import Done, Oldest, Request
from gateway.buffer.reader import Previous, decoded, layouts, meta, newest_issuer, newest_record, slots_since
from gateway.buffer.salvage import Damaged, finish, salvage
from gateway.buffer.schema import ISSUER, KEY, SALVAGED, STREAMS, on
from gateway.buffer.slots import MEMORY, Join, Newest, OnGrid, from_bytes, goes_on
from gateway.buffer.transaction import Tally, Transaction, due_ms
from gateway.errors import SealError, StorageError
from gateway.model import ClockClaim, Event, Layout, Miss, Quality, Scan, Stream
from gateway.seal.columns import decode_events, layout_id
from gateway.site import BufferSpec

log = logging.getLogger(__name__)

DAY_MS: Final = 86_400_000
SALVAGE_PAUSE_MS: Final = 60_000
RENEW: Final = 5_000
"""Transactions after which the connection is exchanged for a new one."""


class Writer:
    """Owns the file. All methods are called by one thread; what fails raises `StorageError`, and is tried again.

    ``aside`` names the files that were set aside as damaged since the start; ``slots``, ``memories`` and
    ``previous`` are what was on record when the journal was opened: the newest slot of each device, what stations
    had kept, and the end of the newest batch.
    """

    def __init__(self, path: Path, book: Book) -> None:
        self.path = path
        self.book = book
        self.ledger: Ledger | None = None
        self.aside: list[str] = []
        self.slots: dict[OnGrid, Newest] = {}
        self.memories: dict[str, bytes] = {}
        self.previous: Previous | None = None
        self._connection: sqlite3.Connection | None = None
        self._used = 0
        self._lock: int | None = None
        self._tally = Tally()
        self._sizes = (0, 0)
        self._join: Join | None = None
        self._refusing = False
        self._salvage_failed_ms: int | None = None
        self._oldest: dict[Stream, Oldest | None] = {}
        self._run_began: dict[Stream, int] = dict.fromkeys(STREAMS, 0)

    def open(self, clock: ClockClaim) -> Done:
        """Open the file, or make it; salvage a damaged one; seal what the previous run left in the tail."""
        started = time.perf_counter()
        self._ready(clock)
        return self._done(clock, started)

    def commit(self, request: Request) -> Done:
        """Write everything in one transaction that is on the disk when this returns. All of it, or nothing."""
        started = time.perf_counter()
        self._ready(request.clock)
        try:
            unencodable = self._write(request)
        except StoreError as fault:
            if fault.state != "corrupt":
                raise
            self._set_aside(request.clock, fault)
            self._ready(request.clock)
            unencodable = self._write(request)
        return self._done(request.clock, started, unencodable)

    def relayout(self, layout: Layout, spec: BufferSpec, clock: ClockClaim) -> tuple[Done, dict[str, int]]:
        """Write by another layout and other rules from now on; there must be no open batch. All of it, or nothing.

        Returns also, by device id, the newest slot on record of its grid in this boot.
        """
        started = time.perf_counter()
        self._ready(clock)
        assert self.ledger is not None
        if self.ledger.filling.records:
            raise StorageError("a batch of the old layout is still open", "try again")
        before = self.book
        self.book = replace(before, layout=layout, layout_id=layout_id(layout), spec=spec)
        try:
            with self._transaction(clock) as transaction:
                event = transaction.know_layout()
                transaction.add_events([] if event is None else [event])
        except BaseException:
            self.book = before
            raise
        self.write_by(self.book, clock)
        return self._done(clock, started), goes_on(self.ledger.slots, layout, clock.boot)

    def write_by(self, book: Book, clock: ClockClaim) -> None:
        """Go by a book whose layout the file knows."""
        self.book = book
        if self.ledger is not None:
            self._join = Join(self.ledger.slots, book.layout, clock.boot, Quality.NOT_STARTED)

    def expire(self, clock: ClockClaim) -> int:
        """Strip a part of what is older than ``keep_days``; returns how many bodies went, 0 when all is done."""
        if clock.utc_ms is None or self._connection is None:
            return 0
        before = clock.utc_ms - self.book.spec.keep_days * DAY_MS
        with self._transaction(clock) as transaction:
            return sum(retention.expire(transaction.connection, transaction.draft, s, before) for s in STREAMS)

    def repair(self, clock: ClockClaim, what: str) -> Done:
        """Salvage a file that a reader has found damaged (``what``)."""
        started = time.perf_counter()
        log.error("the journal is damaged (%s); it is set aside and salvaged", what)
        self._salvage(clock)
        self._ready(clock)
        return self._done(clock, started)

    def close(self) -> None:
        """Copy the write-ahead log into the file and close it."""
        try:
            if self._connection is not None:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            # The log stays beside the file, and the next start goes on from it.
            log.warning("the journal's write-ahead log was not copied back: %s", error)
        finally:
            self._drop()
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _ready(self, clock: ClockClaim) -> None:
        """Have the file open."""
        if self._connection is not None:
            self._renew()
            return
        self._take_lock()
        try:
            try:
                self._load(clock)
            except StoreError as fault:
                if fault.state != "corrupt":
                    raise
                self._set_aside(clock, fault)
                self._load(clock)
        except BaseException:
            self._drop()
            raise

    def _renew(self) -> None:
        """Exchange a connection that has served long.

        CPython keeps a weak reference (some 90 bytes) to each blob that a connection has ever opened, until that is
        closed (Modules/_sqlite/blob.c, 3.11): at a commit a second that is 8 MB a day.
        """
        self._used += 1
        if self._used < RENEW or self._connection is None:
            return
        self._used = 0
        try:
            # The new one first: closing the last one of a file would copy the log back.
            fresh = schema.connect(self.path, max_bytes=self.book.spec.max_bytes)
        except (*STORE_ERRORS, StorageError):
            return  # The old one serves on; what ails the file is seen by what is written.
        self._connection.close()
        self._connection = fresh

    def _take_lock(self) -> None:
        """Only one process may append to a chain; the lock goes with the process."""
        if self._lock is not None:
            return
        path = self.path.with_name(f"{self.path.name}.lock")
        with _faults():
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise StoreError("locked", f"another process writes {self.path}") from error
        self._lock = descriptor

    def _load(self, clock: ClockClaim) -> None:
        with _faults():
            finish(self.path)
            self._connection = connection = schema.connect(self.path, max_bytes=self.book.spec.max_bytes)
            if schema.version(connection) > 1:
                self._check_owner(connection)
            found = schema.prepare(connection)
            if found not in {0, schema.VERSION}:
                log.info("journal brought from version %d to %d", found, schema.VERSION)
            known, self.ledger = self.ledger, load(connection)
            memories, damaged = memory.kept(connection)
        try:
            if known is not None:
                self._go_on_from(known)
            else:
                with _faults():
                    self.ledger.slots = _slots_on_record(connection, memories)
            with self._transaction(clock) as transaction:
                self._begin(transaction, recover=known is None, damaged=damaged)
        except BaseException:
            self.ledger = known
            raise
        with _faults():
            retention.shrink(connection, schema.page_limit(self.book.spec.max_bytes))
        if self._join is None:
            self.slots = dict(self.ledger.slots)
            self.memories = memories
            self._join = Join(self.slots, self.book.layout, clock.boot, Quality.GATEWAY_DOWN)

    def _go_on_from(self, known: Ledger) -> None:
        """Take what memory knows of a file that was opened again: its records are not (all) in the file's tail."""
        assert self.ledger is not None
        if self.ledger.heads != known.heads:
            raise StoreError("corrupt", "the newest batches are not in the file")
        self.ledger.filling = known.filling
        self.ledger.slots = known.slots
        self.ledger.unwritten()

    def _check_owner(self, connection: sqlite3.Connection) -> None:
        owner = meta(connection, ISSUER)
        if owner is None or owner == self.book.iss.encode():
            return
        for stream in STREAMS:
            if newest_issuer(connection, stream) == self.book.iss:
                raise StoreError("corrupt", "the name of the owner is damaged")
        raise StorageError(
            f"{self.path} is the journal of {owner!r}", "name another data directory for this gateway"
        )

    def _begin(self, transaction: Transaction, *, recover: bool, damaged: list[str]) -> None:
        """What comes before anything new: leaf 0, what the previous run left, and what happened to the file."""
        connection = transaction.connection
        transaction.make_room(0)
        events: list[Event] = []
        if meta(connection, ISSUER) is None or None in transaction.draft.heads.values():
            transaction.register()
        salvaged = meta(connection, SALVAGED)
        if salvaged is not None:
            events += decode_events(salvaged)
            connection.execute("DELETE FROM meta WHERE name = ?", (SALVAGED,))
        if damaged:
            events.append(Event("storage.memory_lost", transaction.clock.boot_ms, {"names": damaged}))
            connection.executemany("DELETE FROM memory WHERE name = ?", ((name,) for name in damaged))
        if recover:
            events += self._recover(transaction, salvaged=salvaged is not None)
            self.previous = newest_record(connection)
            self._run_began = {stream: transaction.draft.next_seq(stream) for stream in STREAMS}
        # Whatever is in the tail is history by now, or will be written again from memory.
        connection.execute("DELETE FROM tail")
        layout = transaction.know_layout()
        if layout is not None:
            events.append(layout)
        transaction.keep({})
        transaction.add_events(events)

    def _recover(self, transaction: Transaction, *, salvaged: bool) -> list[Event]:
        """Seal the tail of the previous run under its own boot, clock and layout."""
        connection = transaction.connection
        known = layouts(connection)
        lost = 0
        parts: list[tuple[tail.Group, list[Scan | Miss]]] = []
        for group, records in decoded(tail.read(connection, transaction.draft.next_seq("scan")), known):
            if records is None:
                lost += 1
            elif parts and (parts[-1][0].layout, parts[-1][0].clock.boot) == (group.layout, group.clock.boot):
                parts[-1] = (group, parts[-1][1] + records)
            else:
                parts.append((group, records))
        for group, records in parts:
            if salvaged:
                mark_recovered(records)
            layout = known[group.layout]
            try:
                transaction.seal_scans(layout, records, group.clock)
            except SealError:
                transaction.seal_scans(layout, encodable(layout, records)[0], group.clock)
        return [Event("storage.tail_lost", transaction.clock.boot_ms, {"groups": lost})] if lost else []

    def _write(self, request: Request) -> int:
        """Write a request; returns how many records could not be taken as they were."""
        join = self._join
        assert join is not None
        doubled = 0
        if not join.done:
            records, doubled = join.join(request.records, request.clock.boot)
            request = replace(request, records=records)
        unencodable = self._write_joined(request) + doubled
        if not join.done:
            join.joined(request.records)
        return unencodable

    def _write_joined(self, request: Request) -> int:
        try:
            self._apply(request)
        except SealError as error:
            assert self.ledger is not None
            filling = self.ledger.filling
            everything, refused = encodable(self.book.layout, filling.records + request.records)
            if not refused:
                raise
            if not self._refusing:
                log.error("%d records cannot be encoded and count as not stored: %s", refused, error)
            self._refusing = True
            # All of them go into a batch now, because the tail in the file is not what it should be.
            self.ledger.filling = replace(filling, records=[], values=0)
            try:
                self._apply(replace(request, records=everything, close=True))
            except BaseException:
                self.ledger.filling = filling
                raise
            return refused
        self._refusing = False
        return 0

    def _apply(self, request: Request) -> None:
        with self._transaction(request.clock) as transaction:
            transaction.acknowledge(request.receipts)
            transaction.add_scans(request.records, close=request.close)
            transaction.keep(request.memories)
            transaction.add_events(request.events)
            if request.signer is not None:
                transaction.set_meta(KEY, request.signer.thumbprint)
        if request.signer is not None:
            self.book = replace(self.book, signer=request.signer)

    @contextmanager
    def _transaction(self, clock: ClockClaim) -> Iterator[Transaction]:
        """BEGIN, work on a draft, COMMIT; the draft counts only once it is on the disk."""
        connection, ledger = self._connection, self.ledger
        assert connection is not None
        assert ledger is not None
        transaction = Transaction(connection, ledger.copy(), self.book, clock)
        with _faults():
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield transaction
                connection.execute("COMMIT")
            except BaseException:
                # SQLite has rolled back by itself after the graver errors.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        self.ledger = transaction.draft
        self._tally.add(transaction.tally)

    def _set_aside(self, clock: ClockClaim, fault: StoreError) -> None:
        """Salvage; after an attempt that failed, no other for a minute, because each reads the whole file."""
        if self._salvage_failed_ms is None:
            log.error("the journal is damaged (%s); it is set aside and salvaged", fault.what)
        elif clock.boot_ms - self._salvage_failed_ms < SALVAGE_PAUSE_MS:
            raise fault
        self._salvage(clock)

    def _salvage(self, clock: ClockClaim) -> None:
        self._drop()
        try:
            name = salvage(Damaged(self.path, self.book.iss, clock, self.ledger, self.book.spec.max_bytes))
        except StoreError:
            self._salvage_failed_ms = clock.boot_ms
            raise
        self._salvage_failed_ms = None
        self.aside.append(name)
        log.warning("the journal goes on with what was readable; the damaged file is %s", name)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _done(self, clock: ClockClaim, started: float, unencodable: int = 0) -> Done:
        ledger = self.ledger
        assert ledger is not None
        tally, self._tally = self._tally, Tally()
        if tally.batches or tally.receipts or not self._oldest:
            self._oldest = {stream: self._oldest_undelivered(stream) for stream in STREAMS}
            self._sizes = (_size(self.path), _size(self.path.with_name(f"{self.path.name}-wal")))
        return Done(
            heads=dict(ledger.heads),
            delivered=dict(ledger.delivered),
            oldest=self._oldest,
            tally=tally,
            unencodable=unencodable,
            open_values=ledger.filling.values,
            due_ms=due_ms(ledger.filling, self.book.spec, clock),
            file_bytes=self._sizes[0],
            wal_bytes=self._sizes[1],
            seconds=time.perf_counter() - started,
        )

    def _oldest_undelivered(self, stream: Stream) -> Oldest | None:
        assert self._connection is not None
        assert self.ledger is not None
        seq = self.ledger.delivered[stream].size
        with _faults():
            row = self._connection.execute(
                on(stream, "SELECT sealed_utc_ms, last_ms FROM BATCH WHERE seq = ?"), (seq,)
            ).fetchone()
        if row is None:
            return None
        return Oldest(row[0], row[1] if seq >= self._run_began[stream] else None)


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except STORE_ERRORS as error:
        raise fault_of(error) from error


def _slots_on_record(connection: sqlite3.Connection, memories: dict[str, bytes]) -> dict[OnGrid, Newest]:
    """The newest slot of each device in the batches: as kept, and by reading those that came after."""
    known: dict[OnGrid, Newest] = {}
    seq = 0
    try:
        if MEMORY in memories:
            known, seq = from_bytes(memories[MEMORY])
    except (SealError, TypeError, ValueError) as error:
        log.warning("how far the record of the devices has come is read from the batches again (%s)", error)
    return slots_since(connection, seq, known)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
