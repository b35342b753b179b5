"""The account of a demonstration: every scheduled sample, as it lies verified at the cluster."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from firmware_interfaces.quality import BAD
from gateway.acquire.schedule import Grid
from gateway.cluster.reading import evidence
from gateway.errors import SealError
from gateway.model import Event, Layout, Miss, Quality, Scan
from gateway.records import Archive

__all__ = ["Account", "account"]


@dataclass(slots=True)
class Account:
    """What became of the samples that were due while the gateway ran. ``faults`` is empty when all is well."""

    scheduled: int = 0
    scans: int = 0
    missed: Counter[Quality] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)
    """Values by severity."""
    events: Counter[str] = field(default_factory=Counter)
    batches: int = 0
    bytes: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether every scheduled sample is accounted for."""
        return not self.faults and self.scheduled > 0 and self.scheduled == self.scans + self.missed.total()


@dataclass(slots=True)
class _Life:
    """One run of the gateway: from its power-up to its orderly end, in boot time."""

    up_ms: int
    down_ms: int | None = None


async def account(database: Path, client: str) -> Account:
    """Read the cluster's store and hold it against the schedule, from the gateway's first start to its last end."""
    result = Account()
    async with evidence(database) as store:
        gateway = await store.gateway(client)
        if gateway is None:
            result.faults.append(f"the cluster does not know {client}")
            return result
        archive = Archive()
        bodies = [entry.body async for entry in store.entries(gateway.id, "event") if entry.body]
        events = [stored.event for stored in archive.add_events(bodies)]
        result.events.update(event.kind for event in events)
        result.batches, result.bytes = len(bodies), sum(map(len, bodies))
        scans = [entry.body async for entry in store.entries(gateway.id, "scan") if entry.body]
        _slots(result, archive, iter(scans), _life(events))
    return result


def _life(events: Iterable[Event]) -> _Life | None:
    """From the first power-up to the last orderly end."""
    life: _Life | None = None
    for event in events:
        if event.kind == "power_up" and life is None:
            life = _Life(event.at_ms)
        elif event.kind == "power_down" and life is not None:
            life.down_ms = event.at_ms
    return life


def _slots(result: Account, archive: Archive, bodies: Iterator[bytes], life: _Life | None) -> None:
    if life is None or life.down_ms is None:
        result.faults.append("the record has no power-up and orderly end")
        return
    runs: dict[str, list[tuple[int, int]]] = {}
    layouts: dict[str, Layout] = {}
    for body in bodies:
        result.batches += 1
        result.bytes += len(body)
        try:
            _, layout, records = archive.scans(body)
        except SealError as error:
            result.faults.append(str(error))
            continue
        for record in records:
            device = layout.devices[record.device]
            layouts[device.id] = layout
            runs.setdefault(device.id, []).append(_enter(result, record))
    for layout in archive.layouts.values():
        for device in layout.devices:
            grid = Grid(device.period_ms, device.phase_ms)
            due = range(grid.slot_at(life.up_ms), grid.slot_at(life.down_ms) + 1)
            result.scheduled += len(due)
            result.faults += _compare(device.id, due, sorted(runs.get(device.id, [])))


def _enter(result: Account, record: Scan | Miss) -> tuple[int, int]:
    if isinstance(record, Miss):
        result.missed[Quality(record.quality)] += record.count
        return record.slot, record.slot + record.count
    result.scans += 1
    for quality in record.quality:
        result.values["without value" if quality >= BAD else Quality(quality).severity] += 1
    return record.slot, record.slot + 1


def _compare(device: str, due: range, runs: list[tuple[int, int]]) -> Iterator[str]:
    """Faults of one device: slots that are nowhere, and slots that are there twice."""
    if not runs:
        yield f"{device}: nothing on record, {len(due)} samples were due"
        return
    for (_, stop), (start, _) in pairwise(runs):
        if start > stop:
            yield f"{device}: {start - stop} samples from slot {stop} on are nowhere"
        elif start < stop:
            yield f"{device}: slot {start} is recorded twice"
    if runs[0][0] > due.start:
        yield f"{device}: the first {runs[0][0] - due.start} samples are nowhere"
    if runs[-1][1] < due.stop:
        yield f"{device}: the last {due.stop - runs[-1][1]} samples are nowhere"
