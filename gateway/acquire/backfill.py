"""After a gap: what a sensor kept meanwhile is read from its memory, and goes into the record beside the misses.

The missed slots have left acquire already, each once, and stay what they are. What is read later leaves as events
(`gateway.seal.backfill`), never as scans: no value from a memory is ever taken for one of now.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from firmware_interfaces.ble.gatt.central import Central
from firmware_interfaces.ble.logs.nouns import Download, Kept, LogReader
from firmware_interfaces.errors import BusError
from gateway.acquire import owed
from gateway.acquire.airpoller import AirPoller
from gateway.acquire.owed import Owed
from gateway.acquire.poller import Sink
from gateway.errors import SealError
from gateway.model import Column, Event
from gateway.seal.backfill import BACKFILL, MOST_ROWS, Backfill, Row, backfill_data
from gateway.site import BusSpec

__all__ = ["BackfillDesk", "rows_of"]

log = logging.getLogger(__name__)

PAUSES_S = (60.0, 300.0, 900.0, 3600.0, 4 * 3600.0)
"""After a download that failed; after the last of them what is missing stays missing, and the record says so."""
CONNECT_S = 20.0
WAIT_S = 600.0
DOWNLOAD_S = 1200.0
MOST_RUNS = 1000
MARGIN_S = 600.0
"""So much more than the gap is asked for: the sensor's clock is not the gateway's."""


@dataclass(slots=True)
class _Debt:
    """What is missing of one sensor."""

    poller: AirPoller
    reader: LogReader
    runs: list[list[int]] = field(default_factory=list)
    """First slot, and the one after the last."""
    open: bool = False
    """Whether the last run may grow."""
    away: bool = False
    """Owed since before the start, and the sensor was not heard since: nobody calls it yet."""
    settled: list[tuple[int, int]] = field(default_factory=list)
    """Runs that events on their way to the record have settled; kept until those are there."""
    telling: bool = False
    """Whether what is kept has to change together with those events."""
    failures: int = 0
    next_try: float = 0.0
    best: Download | None = None


class BackfillDesk:
    """Downloads for the sensors of one bus, one after the other."""

    def __init__(
        self,
        bus: BusSpec,
        pollers: Iterable[AirPoller],
        *,
        sink: Sink,
        now_ms: Callable[[], int],
        central: Central,
        pauses_s: Sequence[float] = PAUSES_S,
        keep: Callable[[str, bytes], None] | None = None,
        boot: bytes = b"",
    ) -> None:
        """``keep`` has bytes on disk with the record that is handed over in the same step of the loop (without it,
        what is owed ends with the process); ``boot`` is the id of the machine's present boot."""
        self.done = 0
        self.failed = 0
        self.filled: dict[str, int] = {}
        """Slots by device."""
        self._bus = bus
        self._sink = sink
        self._now_ms = now_ms
        self._central = central
        self._pauses_s = tuple(pauses_s)
        self._keep = keep
        self._boot = boot
        self._debts = {
            poller.spec.id: _Debt(poller, poller.model.log())
            for poller in pollers
            if poller.model.log is not None and poller.spec.backfill
        }
        self._stirred = asyncio.Event()

    def follow(self, old: "BackfillDesk") -> None:
        """Take over what is owed for each sensor that is as it was."""
        for name, debt in self._debts.items():
            was = old._debts.get(name)
            if was is not None and was.poller.spec == debt.poller.spec:
                debt.runs, debt.open, debt.best = was.runs, was.open, was.best
                debt.failures, debt.next_try = was.failures, was.next_try
                debt.away, debt.settled, debt.telling = was.away, was.settled, was.telling
        self.done, self.failed, self.filled = old.done, old.failed, old.filled
        self._stirred.set()

    # what the worker says

    def missed(self, poller: AirPoller, slot: int, count: int) -> None:
        """Slots went by without a value."""
        debt = self._debts.get(poller.spec.id)
        if debt is None:
            return
        if debt.open and debt.runs[-1][1] == slot:
            debt.runs[-1][1] += count
            return
        self._close(debt)
        debt.runs.append([slot, slot + count])
        del debt.runs[:-MOST_RUNS]
        debt.open = True
        self._store(debt)

    def answered(self, poller: AirPoller) -> None:
        """A value came: the gap, if there was one, is over, and the sensor is in the air."""
        debt = self._debts.get(poller.spec.id)
        if debt is None or not (debt.open or debt.away):
            return
        debt.away = False
        if debt.open:
            self._close(debt)
            self._store(debt)
        if debt.runs:
            self._stirred.set()

    @staticmethod
    def _close(debt: _Debt) -> None:
        """A gap shorter than the sensor's own interval has nothing that could fill it."""
        if debt.open:
            debt.open = False
            start, stop = debt.runs[-1]
            if (stop - start) * debt.poller.spec.period_ms < debt.reader.interval_s * 1000:
                debt.runs.pop()

    # what outlives the process

    def recall(self, kept: Mapping[str, bytes], newest: Mapping[str, int]) -> None:
        """Go on with what an earlier process kept. ``newest`` is the newest slot on record by device, in this boot.

        What is owed of an earlier boot cannot be read any more, for its slots are of another clock: that is said.
        """
        for name, debt in self._debts.items():
            memory = kept.get(owed.name_of(name))
            if memory is None:
                continue
            try:
                found = owed.unpack(debt.poller.spec, memory)
            except SealError as error:
                log.warning("%s: what its memory owes is not known any more: %s", name, error)
                continue
            if found is None or not found.runs:
                continue
            if found.boot != self._boot:
                self._given_up(debt, found)
            elif name in newest:
                found = found.up_to(newest[name])
                debt.runs, debt.open = [list(run) for run in found.runs], found.open
                debt.away = bool(found.runs)

    def _given_up(self, debt: _Debt, found: Owed) -> None:
        """The machine was started anew before a gap was filled."""
        device = debt.poller.spec.id
        why = "the machine was started anew before it was read"
        data = {
            "device": device,
            "boot": found.boot,
            "runs": [[start, stop - start] for start, stop in found.runs],
            "slots": found.slots,
            "filled": 0,
            "why": why,
            "words": f"missed slots of {device} stay empty: {why}",
        }
        log.warning("%s: its memory is not read for a gap of before: %s", device, why)
        self.failed += 1
        debt.telling = True
        self._sink.event(Event("backfill.failed", self._now_ms(), data))

    def told(self) -> dict[str, bytes]:
        """What must be kept in the transaction of all events that were handed over up to now, by name."""
        found = {}
        for name, debt in self._debts.items():
            if debt.telling:
                debt.telling = False
                debt.settled.clear()
                found[owed.name_of(name)] = self._packed(debt)
        return found

    def _store(self, debt: _Debt) -> None:
        if self._keep is not None:
            self._keep(owed.name_of(debt.poller.spec.id), self._packed(debt))

    def _packed(self, debt: _Debt) -> bytes:
        runs = sorted([*debt.settled, *((start, stop) for start, stop in debt.runs)])
        return owed.pack(debt.poller.spec, Owed(self._boot, tuple(runs), debt.open))

    # the downloads

    async def run(self) -> None:
        """Read what is owed, for ever. Cancel to stop."""
        if not self._debts:
            return
        loop = asyncio.get_running_loop()
        while True:
            waiting = [debt for debt in self._debts.values() if debt.runs and not debt.open and not debt.away]
            due = min((debt.next_try for debt in waiting), default=None)
            if due is None or due > loop.time():
                try:
                    async with asyncio.timeout_at(due):
                        await self._stirred.wait()
                except TimeoutError:
                    pass
                self._stirred.clear()
                continue
            await self._settle(next(debt for debt in waiting if debt.next_try == due), loop)

    async def _settle(self, debt: _Debt, loop: asyncio.AbstractEventLoop) -> None:
        """One attempt for one sensor."""
        why = ""
        runs = [(start, stop) for start, stop in debt.runs]
        try:
            download = await self._download(debt)
        except (BusError, TimeoutError) as error:
            why = str(error) or "not done in time"
        except Exception as error:
            log.exception("%s: a defect ended the download", debt.poller.spec.id)
            why = repr(error)
        else:
            if debt.best is None or len(download.kept) > len(debt.best.kept):
                debt.best = download
            why = "" if download.whole else "the sensor broke off"
        last = debt.failures >= len(self._pauses_s)
        if why and not last:
            debt.next_try = loop.time() + self._pauses_s[debt.failures]
            debt.failures += 1
            log.info("%s: its memory could not be read (%s); it is tried again", debt.poller.spec.id, why)
            return
        self._enter(debt, runs, why)

    async def _download(self, debt: _Debt) -> Download:
        poller = debt.poller
        oldest_ms = poller.grid.due_ms(debt.runs[0][0]) - poller.spec.period_ms
        async with (
            self._central.linked(
                poller.spec.address, self._bus.adapters, wait_s=WAIT_S, connect_s=CONNECT_S
            ) as link,
            asyncio.timeout(DOWNLOAD_S),
        ):
            oldest_s = (self._now_ms() - oldest_ms) / 1000 + MARGIN_S
            return await debt.reader.read(link, oldest_s, lambda: self._now_ms() / 1000)

    def _enter(self, debt: _Debt, runs: list[tuple[int, int]], why: str) -> None:
        """What came goes into the record; so does that nothing came."""
        poller, download = debt.poller, debt.best
        slots = sum(stop - start for start, stop in runs)
        filled: set[int] = set()
        if download is not None:
            columns, rows = rows_of(
                poller, download, lambda slot: any(start <= slot < stop for start, stop in runs)
            )
            filled = {row.slot for row in rows}
            for event in self._events(poller, download, columns, rows):
                self._sink.event(event)
        device = poller.spec.id
        data: dict[str, object] = {
            "device": device,
            "runs": [[start, stop - start] for start, stop in runs],
            "slots": slots,
            "filled": len(filled),
            "why": why,
            "words": f"{len(filled)} of {slots} missed slots of {device} were read later from its own memory",
        }
        if download is not None:
            data |= {
                "source": download.source,
                "whole": download.whole,
                "frames": download.frames,
                "dropped": dict(download.dropped),
                "sha256": download.sha256,
            }
        if why:
            self.failed += 1
            log.warning("%s: its memory could not be read: %s", device, why)
        else:
            self.done += 1
        self.filled[device] = self.filled.get(device, 0) + len(filled)
        self._sink.event(Event("backfill.failed" if why else "backfill.done", self._now_ms(), data))
        # Runs that were added meanwhile have a download of their own.
        debt.runs = [run for run in debt.runs if (run[0], run[1]) not in runs]
        debt.settled += runs
        debt.telling = True
        debt.failures, debt.next_try, debt.best = 0, 0.0, None

    def _events(
        self, poller: AirPoller, download: Download, columns: tuple[Column, ...], rows: list[Row]
    ) -> Iterator[Event]:
        parts = [rows[at : at + MOST_ROWS] for at in range(0, len(rows), MOST_ROWS)]
        for number, part in enumerate(parts, 1):
            backfill = Backfill(
                device=poller.spec.id,
                source=download.source,
                period_ms=poller.grid.period_ms,
                phase_ms=poller.grid.phase_ms,
                columns=columns,
                rows=tuple(part),
                sha256=download.sha256,
                part=number,
                parts=len(parts),
            )
            yield Event(BACKFILL, self._now_ms(), backfill_data(backfill))


def rows_of(
    poller: AirPoller, download: Download, owes: Callable[[int], bool]
) -> tuple[tuple[Column, ...], list[Row]]:
    """The measurements of a download that belong to missed slots, as columns of the sensor's layout.

    A measurement belongs to the slot that is due next after it, as one that is heard does. Calibration is applied
    as to live values: corrected and indicated stand side by side.
    """
    kept = {field.key for field in download.fields}
    columns = tuple(column for column in poller.layout.columns if column.channel in kept)
    rows = []
    for one in download.kept if columns else ():
        at_ms = round(download.asked_at * 1000) - one.age_ms
        slot = poller.grid.slot_at(at_ms - 1) + 1
        if at_ms < 0 or not owes(slot):
            continue
        values = tuple(_value(poller, column, one) for column in columns)
        if any(value is not None for value in values):
            rows.append(Row(slot, at_ms, one.error_ms, values, one.raw))
    return columns, rows


def _value(poller: AirPoller, column: Column, kept: Kept) -> float | None:
    value = kept.values.get(column.channel)
    if value is None or column.role == "indicated":
        return value
    correction = poller.correction(column.channel)
    return value if correction is None else correction(value)
