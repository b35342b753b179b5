"""Whether a channel's record is complete for a period: every slot that was due, and what became of it.

Computed from batches alone, so that whoever is handed the batches can compute it again and compare. A slot is due
at a boot time; the wall clock of its boot, or a later signed correction, says when that was. A slot of a boot
without either is counted apart: nothing says in which period it belongs.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from firmware_interfaces.quality import BAD, UNCERTAIN
from gateway.errors import SealError
from gateway.model import ClockClaim, DeviceLayout, Layout, Miss, Quality
from gateway.seal.backfill import BACKFILL, read_backfill
from gateway.seal.batch import EVENT_TYPE, SCAN_TYPE, OpenBatch
from gateway.seal.columns import decode_scans, peek_scans
from gateway.seal.events import decode_events
from gateway.seal.layout import layout_from_cbor
from gateway.seal.tree import HASH_BYTES

__all__ = ["Completeness", "Gap", "account"]

NO_RECORD = "no record"
NOT_RUNNING = "gateway not running"
NEW_SCHEDULE = "schedule changed"
NOWHERE = "recorded nowhere"
DELETED = "batches deleted on the gateway, with proof"
ABSENT = "batches not here"
_KIND = "incomplete-evidence"


class Gap(NamedTuple):
    """A stretch without good or uncertain values: Unix ms, its slots (None: there is no schedule), and why."""

    from_ms: int
    to_ms: int
    slots: int | None
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """What became of the slots of one channel that were due from ``from_ms`` to before ``to_ms`` (Unix ms).

    ``due`` is good + uncertain + bad + missed. ``reasons`` counts the qualities that are not good.
    """

    device: str
    channel: str
    from_ms: int
    to_ms: int
    due: int
    good: int
    uncertain: int
    bad: int
    missed: int
    backfilled: int
    """Missed slots for which the sensor's own memory has a value."""
    untimed: int
    """Slots in these batches of which nobody knows when they were; in no other figure."""
    twice: int
    """Slots that are recorded twice, which must not be; counted once."""
    reasons: dict[str, int]
    gaps: tuple[Gap, ...]
    deleted: tuple[tuple[int, int], ...]
    """First and last of scan batches that are gone, each stretch with a signed event that holds their leaves."""
    absent: tuple[tuple[int, int], ...]
    """The same for batches of which nothing says why they are not here."""
    clock_error_ms: int | None
    """Largest bound of the error of a time that was used; None where none was."""
    clock_states: dict[str, int]
    """Batches by what the gateway said of its clock, and ``corrected`` for those that a later event gave a time."""
    scans: tuple[int, int] | None
    """First and last scan batch that was read."""

    def to_plain(self) -> dict[str, Any]:
        """As CBOR and JSON can carry it."""
        plain = asdict(self)
        return plain | {
            "gaps": [list(gap) for gap in self.gaps],
            "deleted": [list(run) for run in self.deleted],
            "absent": [list(run) for run in self.absent],
            "scans": None if self.scans is None else list(self.scans),
        }


class _Schedule(NamedTuple):
    """What gives slots their numbers, and the wall clock of its boot (``offset_ms`` to boot time)."""

    boot: bytes
    period_ms: int
    phase_ms: int

    def due_ms(self, slot: int) -> int:
        return slot * self.period_ms + self.phase_ms


class _Run(NamedTuple):
    """Slots ``start`` to ``stop`` - 1 with one quality; ``utc_ms`` is when the first was due."""

    start: int
    stop: int
    quality: int
    missed: bool
    utc_ms: int
    seq: int


@dataclass(slots=True)
class _Told:
    """What the event stream says that is needed to read scans."""

    layouts: dict[bytes, Layout] = field(default_factory=dict)
    corrections: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    deleted: set[int] = field(default_factory=set)
    filled: dict[_Schedule, set[int]] = field(default_factory=dict)

    def read(self, batches: Iterable[OpenBatch], device: str, channel: str) -> None:
        for batch in batches:
            if batch.content_type != EVENT_TYPE:
                continue
            for event in decode_events(batch.payload):
                data = event.data
                try:
                    if event.kind == "layout":
                        self.layouts[bytes(data["id"])] = layout_from_cbor(bytes(data["layout"]))
                    elif event.kind == "clock.correction":
                        # The first one counts, as in the cluster's tables.
                        correction = int(data["offset_ms"]), int(data["error_ms"])
                        self.corrections.setdefault(bytes(data["boot"]), correction)
                    elif event.kind == "deleted" and data["stream"] == "scan":
                        self._delete(data)
                    elif event.kind == BACKFILL and data["device"] == device:
                        self._fill(batch.clock.boot, data, channel)
                except (KeyError, TypeError, ValueError, OverflowError) as error:
                    raise SealError(_KIND, f"event {event.kind} in batch {batch.seq} ({error})") from error

    def _delete(self, data: dict[str, Any]) -> None:
        leaves = data["leaves"]
        count = len(leaves) // HASH_BYTES if isinstance(leaves, bytes) else len(leaves)
        if count != int(data["last"]) - int(data["first"]) + 1:
            raise ValueError("not one leaf for each batch")
        self.deleted |= set(range(int(data["first"]), int(data["last"]) + 1))

    def _fill(self, boot: bytes, data: dict[str, Any], channel: str) -> None:
        backfill = read_backfill(data)
        schedule = _Schedule(boot, backfill.period_ms, backfill.phase_ms)
        slots = {row.slot for row, column, _ in backfill.series() if column.channel == channel}
        self.filled.setdefault(schedule, set()).update(slots)

    def claim(self, clock: ClockClaim) -> ClockClaim:
        if clock.utc_ms is None and (known := self.corrections.get(clock.boot)) is not None:
            return clock._replace(utc_ms=clock.boot_ms + known[0], error_ms=known[1])
        return clock


def account(
    events: Iterable[OpenBatch],
    scans: Iterable[OpenBatch],
    *,
    device: str,
    channel: str,
    from_ms: int,
    to_ms: int,
) -> Completeness:
    """Account for a channel in a period.

    ``events`` are the event batches that name layouts, corrections, deletions and backfills; ``scans`` scan batches
    in their order, from before the period to after it, as far as there are any. Signatures and chains are checked
    elsewhere. Raises `SealError` for batches that cannot be read, ``incomplete-evidence`` without their layout.
    """
    if not from_ms < to_ms:
        raise SealError(_KIND, "the period has no length")
    told = _Told()
    told.read(events, device, channel)
    count = _Count(told, device, channel, from_ms, to_ms)
    for batch in scans:
        count.read(batch)
    return count.close()


@dataclass(slots=True)
class _Count:
    """The runs of one channel, gathered."""

    told: _Told
    device: str
    channel: str
    from_ms: int
    to_ms: int
    runs: dict[_Schedule, list[_Run]] = field(default_factory=dict)
    seqs: list[int] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    error_ms: int | None = None
    untimed: int = 0
    twice: int = 0

    def read(self, batch: OpenBatch) -> None:
        if batch.content_type != SCAN_TYPE:
            return
        self.seqs.append(batch.seq)
        name = peek_scans(batch.payload).layout_id
        layout = self.told.layouts.get(name)
        if layout is None:
            raise SealError(
                _KIND, f"layout {name.hex()} of scan batch {batch.seq} is in no event batch that is here"
            )
        wanted = {
            place: column for place, one in enumerate(layout.devices) if (column := self._column(one)) is not None
        }
        claim = self.told.claim(batch.clock)
        self.states["corrected" if claim is not batch.clock else batch.clock.state.name.lower()] += 1
        for record in decode_scans(layout, batch.payload):
            column = wanted.get(record.device)
            if column is None:
                continue
            one = layout.devices[record.device]
            schedule = _Schedule(batch.clock.boot, one.period_ms, one.phase_ms)
            missed = isinstance(record, Miss)
            slots = record.count if isinstance(record, Miss) else 1
            quality = record.quality if isinstance(record, Miss) else record.quality[column]
            utc_ms = claim.utc_at(schedule.due_ms(record.slot))
            if utc_ms is None:
                self.untimed += slots
                continue
            run = _Run(record.slot, record.slot + slots, quality, missed, utc_ms, batch.seq)
            self.runs.setdefault(schedule, []).append(run)
            if utc_ms < self.to_ms and utc_ms + slots * one.period_ms > self.from_ms:
                self.error_ms = max(self.error_ms or 0, claim.error_ms or 0)

    def _column(self, device: DeviceLayout) -> int | None:
        if device.id != self.device:
            return None
        for place, column in enumerate(device.columns):
            if column.channel == self.channel and column.role == "value":
                return place
        return None

    def close(self) -> Completeness:
        tally: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        gaps: list[Gap] = []
        ends: list[tuple[int, int, _Schedule, _Run, _Run]] = []
        for schedule, runs in self.runs.items():
            whole = list(self._distinct(runs, schedule.period_ms))
            self.runs[schedule] = whole
            ends.append((whole[0].utc_ms, self._end(schedule, whole[-1]), schedule, whole[0], whole[-1]))
            for run in whole:
                self._tally(schedule, run, tally, reasons, gaps)
            for before, after in pairwise(whole):
                begins = self._end(schedule, before)
                skip, slots = self._inside(begins, after.start - before.stop, schedule.period_ms)
                if slots > 0:
                    begins += skip * schedule.period_ms
                    ended = begins + slots * schedule.period_ms
                    gaps.append(Gap(begins, ended, slots, self._why(before.seq, after.seq)))
        gaps += self._between(sorted(ends, key=lambda end: end[:2]))
        seqs = sorted(set(self.seqs))
        holes = [seq for a, b in pairwise(seqs) for seq in range(a + 1, b)]
        return Completeness(
            device=self.device,
            channel=self.channel,
            from_ms=self.from_ms,
            to_ms=self.to_ms,
            due=sum(tally[name] for name in ("good", "uncertain", "bad", "missed")),
            good=tally["good"],
            uncertain=tally["uncertain"],
            bad=tally["bad"],
            missed=tally["missed"],
            backfilled=tally["backfilled"],
            untimed=self.untimed,
            twice=self.twice,
            reasons=dict(sorted(reasons.items())),
            gaps=tuple(_merged(self._clipped(gaps))),
            deleted=tuple(_runs(seq for seq in holes if seq in self.told.deleted)),
            absent=tuple(_runs(seq for seq in holes if seq not in self.told.deleted)),
            clock_error_ms=self.error_ms,
            clock_states=dict(sorted(self.states.items())),
            scans=(seqs[0], seqs[-1]) if seqs else None,
        )

    def _distinct(self, runs: list[_Run], period_ms: int) -> Iterator[_Run]:
        """In the order of slots, none twice."""
        stop = -1
        for run in sorted(runs):
            if run.start < stop:
                self.twice += min(run.stop, stop) - run.start
                if run.stop <= stop:
                    continue
                moved = run.utc_ms + (stop - run.start) * period_ms
                run = run._replace(start=stop, utc_ms=moved)  # noqa: PLW2901  # what is left of it
            stop = run.stop
            yield run

    def _inside(self, utc_ms: int, slots: int, period_ms: int) -> tuple[int, int]:
        """Of so many slots, the first due at ``utc_ms``: how many are before the period, and how many in it."""
        skip = max(0, -(-(self.from_ms - utc_ms) // period_ms))
        return skip, min(slots, max(0, -(-(self.to_ms - utc_ms) // period_ms))) - skip

    def _end(self, schedule: _Schedule, run: _Run) -> int:
        return run.utc_ms + (run.stop - run.start) * schedule.period_ms

    def _tally(
        self, schedule: _Schedule, run: _Run, tally: Counter[str], reasons: Counter[str], gaps: list[Gap]
    ) -> None:
        """Count the slots of a run that are due within the period."""
        period = schedule.period_ms
        skip, slots = self._inside(run.utc_ms, run.stop - run.start, period)
        if slots <= 0:
            return
        name = "missed" if run.missed else _severity(run.quality)
        tally[name] += slots
        if run.quality:
            reasons[_reason(run.quality)] += slots
        if run.missed:
            first = run.start + skip
            filled = self.told.filled.get(schedule, set())
            tally["backfilled"] += sum(first <= slot < first + slots for slot in filled)
        if run.quality >= BAD:
            begins = run.utc_ms + skip * period
            gaps.append(Gap(begins, begins + slots * period, slots, _reason(run.quality)))

    def _why(self, before: int, after: int) -> str:
        """Why slots between two batches are in none."""
        between = set(range(before + 1, after)) - set(self.seqs)
        if not between:
            return NOWHERE
        return DELETED if between <= self.told.deleted else ABSENT

    def _between(self, ends: list[tuple[int, int, _Schedule, _Run, _Run]]) -> Iterator[Gap]:
        """Stretches without a schedule: before the first, between two, after the last."""
        if not ends:
            yield Gap(self.from_ms, self.to_ms, None, NO_RECORD)
            return
        yield Gap(self.from_ms, ends[0][0], None, NO_RECORD)
        for before, after in pairwise(ends):
            cause = self._why(before[4].seq, after[3].seq)
            if cause == NOWHERE:
                cause = NEW_SCHEDULE if before[2].boot == after[2].boot else NOT_RUNNING
            if after[0] - before[1] > 0:
                yield Gap(before[1], after[0], None, cause)
        yield Gap(max(end[1] for end in ends), self.to_ms, None, NO_RECORD)

    def _clipped(self, gaps: Iterable[Gap]) -> Iterator[Gap]:
        for gap in gaps:
            begins, ends = max(gap.from_ms, self.from_ms), min(gap.to_ms, self.to_ms)
            if gap.slots is not None and ends <= gap.from_ms:
                continue
            if begins < ends:
                yield gap._replace(from_ms=begins, to_ms=ends)


def _severity(quality: int) -> str:
    return "bad" if quality >= BAD else "uncertain" if quality >= UNCERTAIN else "good"


def _reason(quality: int) -> str:
    try:
        return Quality(quality).name.lower()
    except ValueError:
        return f"quality 0x{quality:02x}"


def _merged(gaps: Iterable[Gap]) -> Iterator[Gap]:
    """In order of time; those that touch and have one cause are one."""
    last: Gap | None = None
    for gap in sorted(gaps, key=lambda gap: gap[:2]):
        if last is not None and gap.from_ms <= last.to_ms and gap.cause == last.cause:
            slots = None if last.slots is None or gap.slots is None else last.slots + gap.slots
            last = Gap(last.from_ms, max(gap.to_ms, last.to_ms), slots, last.cause)
            continue
        if last is not None:
            yield last
        last = gap
    if last is not None:
        yield last


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    first = last = None
    for number in numbers:
        if first is None or last is None:
            first = last = number
        elif number == last + 1:
            last = number
        else:
            yield first, last
            first = last = number
    if first is not None and last is not None:
        yield first, last
