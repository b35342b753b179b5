"""How far the record of each device has come: its newest slot on each grid that it has had in this boot.

A device can come back to an earlier grid (a change of the site file that is rolled back): there its record goes on
after the newest slot of that grid.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from gateway.model import DeviceLayout, Layout, Miss, Scan
from gateway.seal import cbor

MEMORY: Final = "slots"
"""Under this name they are kept with the batches."""

OnGrid: TypeAlias = tuple[str, int, int]
"""A device with the period and phase of one of its grids."""


class Newest(NamedTuple):
    """The newest slot of a device on record. It is a number of the grid of that boot, period and phase alone."""

    boot: bytes
    period_ms: int
    phase_ms: int
    slot: int


def on_grid(device: DeviceLayout) -> OnGrid:
    """The device on its present grid."""
    return device.id, device.period_ms, device.phase_ms


def end_of(record: Scan | Miss) -> int:
    """The last slot that a record accounts for."""
    return record.slot if isinstance(record, Scan) else record.slot + record.count - 1


def advance(known: dict[OnGrid, Newest], layout: Layout, boot: bytes, records: Iterable[Scan | Miss]) -> None:
    """Note the records of one boot and layout, those of each device in order."""
    for index, record in {record.device: record for record in records}.items():
        device, slot = layout.devices[index], end_of(record)
        before = known.get(place := on_grid(device))
        if before is None or before.boot != boot or before.slot < slot:
            known[place] = Newest(boot, device.period_ms, device.phase_ms, slot)


def to_bytes(known: Mapping[OnGrid, Newest], boot: bytes, seq: int) -> bytes:
    """Those of one boot, because the slots of an earlier one are of no more use; in few bytes, for they are written
    with every batch. ``seq`` is the newest scan batch that they include.
    """
    grids: dict[tuple[int, int], tuple[list[str], list[int]]] = {}
    for (device, _, _), newest in known.items():
        if newest.boot == boot:
            ids, slots = grids.setdefault((newest.period_ms, newest.phase_ms), ([], []))
            ids.append(device)
            slots.append(newest.slot)
    rows = [[*grid, ids, slots] for grid, (ids, slots) in grids.items()]
    return zlib.compress(cbor.dumps([seq, boot, rows]), 1)


def from_bytes(body: bytes) -> tuple[dict[OnGrid, Newest], int]:
    """The inverse; raises `SealError`, ValueError or TypeError for anything else."""
    try:
        seq, boot, rows = cbor.loads(zlib.decompress(body), "bad-memory")
    except zlib.error as error:
        raise ValueError(str(error)) from error
    known = {
        (device, period_ms, phase_ms): Newest(boot, period_ms, phase_ms, slot)
        for period_ms, phase_ms, ids, slots in rows
        for device, slot in zip(ids, slots, strict=True)
    }
    return known, seq


def goes_on(known: Mapping[OnGrid, Newest], layout: Layout, boot: bytes) -> dict[str, int]:
    """By device id, the newest slot on record of its present grid in this boot."""
    found = ((device.id, known.get(on_grid(device))) for device in layout.devices)
    return {device: newest.slot for device, newest in found if newest is not None and newest.boot == boot}


def index_moves(before: Layout, after: Layout) -> dict[int, int]:
    """From the index of a device in one layout to that in another, for the devices that are in both alike."""
    places = {device.id: index for index, device in enumerate(after.devices)}
    found = ((index, device, places.get(device.id)) for index, device in enumerate(before.devices))
    return {old: new for old, device, new in found if new is not None and after.devices[new] == device}


class Join:
    """Joins the first records of a run to what stands on record, device by device.

    The acquire station does that itself where it knew the record at its start. A store that could be opened only
    later has told it nothing: then slots between the two runs are missing, or one stands on record already.
    """

    def __init__(self, known: Mapping[OnGrid, Newest], layout: Layout, boot: bytes, cause: int) -> None:
        self._cause = cause
        self._boot = boot
        self._open = {
            index: newest.slot
            for index, device in enumerate(layout.devices)
            if (newest := known.get(on_grid(device))) is not None and newest.boot == boot
        }

    @property
    def done(self) -> bool:
        """Every device has been joined."""
        return not self._open

    def join(self, records: list[Scan | Miss], boot: bytes) -> tuple[list[Scan | Miss], int]:
        """Records with what is missing before them as a miss, and without what stands on record already; and how
        many were left out for that.
        """
        if boot != self._boot:
            return records, 0
        newest = dict(self._open)
        doubled = sum(end_of(record) <= newest.get(record.device, -1) for record in records)
        return [part for record in records for part in self._parts(record, newest)], doubled

    def joined(self, records: Iterable[Scan | Miss]) -> None:
        """These records are on the disk."""
        for record in records:
            newest = self._open.get(record.device)
            if newest is not None and end_of(record) > newest:
                del self._open[record.device]

    def _parts(self, record: Scan | Miss, newest: dict[int, int]) -> Iterator[Scan | Miss]:
        last = newest.get(record.device)
        if last is None:
            yield record
            return
        if end_of(record) <= last:
            return
        del newest[record.device]
        if record.slot > last + 1:
            yield Miss(record.device, last + 1, record.slot - last - 1, self._cause)
        if isinstance(record, Miss) and record.slot <= last:
            yield Miss(record.device, last + 1, end_of(record) - last, record.quality, record.raw)
        else:
            yield record
