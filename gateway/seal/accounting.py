"""The accounting identity, checked on batches: every slot of a device is a scan or lies in a recorded miss."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from gateway.model import Layout, Miss, Scan
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
    findings: list[Finding] = field(default_factory=list)

    def add(self, seq: int, boot: bytes, layout: Layout, records: Iterable[Scan | Miss]) -> None:
        """Enter the records of batch ``seq``, which were decoded with this layout."""
        for record in records:
            device = layout.devices[record.device]
            count = record.count if isinstance(record, Miss) else 1
            runs = self.runs.setdefault(Schedule(boot, device.id, device.period_ms, device.phase_ms), [])
            if runs and runs[-1].stop == record.slot:
                runs[-1].stop += count
                runs[-1].last = seq
            else:
                runs.append(Run(record.slot, record.slot + count, seq, seq))

    def check(self, whole: Iterable[range]) -> None:
        """Find slots that are nowhere or twice; holes across absent batches are left to those.

        ``whole`` are the stretches of sequence numbers without an absent batch.
        """
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
