"""What a sensor's memory still owes, as bytes that outlive the process: slots that were missed and not yet read.

Kept with the journal, each time in the transaction of the record that changed it: the first miss of a gap, the
value that ended it, the events that settled it. So while a gap is open, it reaches to the newest slot on record.
"""

from collections.abc import Iterable
from typing import NamedTuple

from gateway.errors import SealError
from gateway.seal import cbor
from gateway.site import DeviceSpec

__all__ = ["Owed", "name_of", "pack", "unpack"]

VERSION = 1
_KIND = "bad-memory"


class Owed(NamedTuple):
    """Runs of missed slots of one boot, oldest first: each its first slot and the one after its last."""

    boot: bytes
    runs: tuple[tuple[int, int], ...]
    open: bool
    """Whether the last run had not ended: it goes on to the newest slot on record."""

    @property
    def slots(self) -> int:
        """How many there are; those of a run that had not ended are not counted to its end."""
        return sum(stop - start for start, stop in self.runs)

    def up_to(self, newest: int) -> "Owed":
        """The same as the record has it, whose newest slot is ``newest``."""
        ends = [stop for _, stop in self.runs]
        if self.open and ends:
            ends[-1] = newest + 1
        runs = ((start, min(end, newest + 1)) for (start, _), end in zip(self.runs, ends, strict=True))
        kept = tuple(run for run in runs if run[0] < run[1])
        return Owed(self.boot, kept, self.open and bool(kept) and kept[-1][1] == newest + 1)


def name_of(device: str) -> str:
    """The name under which it is kept."""
    return f"backfill/{device}"


def pack(spec: DeviceSpec, owed: Owed) -> bytes:
    """Bytes of what a sensor owes; whose it is, and by which grid the slots are numbered, stands with it."""
    return cbor.dumps([VERSION, _whose(spec), owed.boot, [list(run) for run in owed.runs], owed.open])


def unpack(spec: DeviceSpec, memory: bytes) -> Owed | None:
    """The inverse; None where it is of another sensor or grid. Raises `SealError` for anything else."""
    match cbor.loads(memory, _KIND):
        case [int(version), list(whose), bytes(boot), list(runs), bool(open_)] if version == VERSION:
            owed = Owed(boot, tuple(_runs(runs)), open_)
        case _:
            raise SealError(_KIND, "not version, sensor, boot, runs and whether the last is open")
    return owed if whose == _whose(spec) else None


def _whose(spec: DeviceSpec) -> list[object]:
    return [spec.address, spec.model, spec.period_ms, spec.phase_ms]


def _runs(items: Iterable[object]) -> Iterable[tuple[int, int]]:
    end = 0
    for item in items:
        match item:
            case [int(start), int(stop)] if end <= start < stop:
                yield start, stop
                end = stop
            case _:
                raise SealError(_KIND, "runs of slots that are not in order")
