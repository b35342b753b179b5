"""The accounting identity, checked on batches: every slot of a device is a scan or lies in a recorded miss.

What was read later from a sensor's own memory fills misses, and nothing but misses.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from gateway.model import Layout, Miss, Scan
from gateway.seal.backfill import Backfill
from gateway.seal.findings import Finding


class Schedule(NamedTuple):
    """What gives slots their numbers: a boot, a device, and its period and phase in milliseconds."""

    boot: bytes
    device: str
    period_ms: int
    phase_ms: int


@dataclass(slots=True)
class Run:
    """Slots ``start`` to ``stop`` - 1, found in the batches ``first`` to ``last``."""

    start: int
    stop: int
    first: int
    last: int


@dataclass(slots=True)
class SlotLedger:
    """The slots of one stream, as runs without holes."""

    stream: str
    runs: dict[Schedule, list[Run]] = field(default_factory=dict)
    missed: dict[Schedule, list[tuple[int, int]]] = field(default_factory=dict)
    """First slot, and the one after the last, of each recorded miss."""
    filled: dict[Schedule, set[int]] = field(default_factory=dict)
    """Slots that a backfill has something for."""
    findings: list[Finding] = field(default_factory=list)

    def fill(self, boot: bytes, backfill: Backfill) -> None:
        """Enter what was read later."""
        schedule = Schedule(boot, backfill.device, backfill.period_ms, backfill.phase_ms)
        self.filled.setdefault(schedule, set()).update(backfill.slots)

    def add(self, seq: int, boot: bytes, layout: Layout, records: Iterable[Scan | Miss]) -> None:
        """Enter the records of batch ``seq``, which were decoded with this layout."""
        for record in records:
            device = layout.devices[record.device]
            count = record.count if isinstance(record, Miss) else 1
            schedule = Schedule(boot, device.id, device.period_ms, device.phase_ms)
            if isinstance(record, Miss):
                self.missed.setdefault(schedule, []).append((record.slot, record.slot + count))
            runs = self.runs.setdefault(schedule, [])
            if runs and runs[-1].stop == record.slot:
                runs[-1].stop += count
                runs[-1].last = seq
            else:
                runs.append(Run(record.slot, record.slot + count, seq, seq))

    def check(self, whole: Iterable[range]) -> None:
        """Find slots that are nowhere or twice; holes across absent batches are left to those.

        ``whole`` are the stretches of sequence numbers without an absent batch.
        """
        self._check_filled()
        stretches = list(whole)
        for schedule, runs in self.runs.items():
            for before, after in pairwise(sorted(runs, key=lambda run: (run.start, run.stop))):
                if after.start < before.stop:
                    what = f"{schedule.device}: slot {after.start} is recorded twice (also in batch {before.last})"
                elif after.start > before.stop and any(
                    before.last in stretch and after.first in stretch for stretch in stretches
                ):
                    count = after.start - before.stop
                    what = f"{schedule.device}: {count} slots from {before.stop} on are recorded nowhere"
                else:
                    continue
                self.findings.append(Finding("error", "unaccounted", self.stream, after.first, "", what))

    def _check_filled(self) -> None:
        """Find backfilled slots that have a scan of their own."""
        for schedule, slots in self.filled.items():
            missed = sorted(self.missed.get(schedule, ()))
            recorded = sorted((run.start, run.stop, run.first) for run in self.runs.get(schedule, ()))
            for slot in sorted(slots):
                place = bisect_right(missed, (slot, float("inf"))) - 1
                if place >= 0 and slot < missed[place][1]:
                    continue
                place = bisect_right(recorded, (slot, float("inf"), 0)) - 1
                if place < 0 or slot >= recorded[place][1]:
                    continue  # of a batch that is not here: that is another finding
                what = f"{schedule.device}: slot {slot} was recorded when it was due, and is backfilled as well"
                self.findings.append(
                    Finding("error", "backfill-overlap", self.stream, recorded[place][2], "", what)
                )
                break
