"""The payload of a scan batch, and the tail: scans and misses as columns of small integers in CBOR, zlib around it.

Format, for outsiders: docs/payload-format.md. The work per value is done by `gateway_core` (compiled, or its
twin in Python: the same bytes).
"""

import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from operator import attrgetter
from types import ModuleType
from typing import Any, NamedTuple

import cbor2
from cbor2 import CBORTag
from gateway_core import columns as twin
from gateway_core import compiled
from gateway_core.series import BAD, LIMIT, Packed, Series

from gateway.errors import SealError
from gateway.model import Layout, Miss, Scan
from gateway.seal.body import TAGS, Body, Key, ScanSummary
from gateway.seal.events import decode_events, encode_events
from gateway.seal.layout import check_layout, layout_cbor, layout_from_cbor, layout_id
from gateway.seal.payload import Effort, deflate, read, typed

__all__ = [
    "ScanSummary",
    "decode_events",
    "decode_scans",
    "decode_tail",
    "encode_events",
    "encode_scans",
    "encode_summed",
    "encode_tail",
    "layout_cbor",
    "layout_from_cbor",
    "layout_id",
    "peek_scans",
]

MAX_ROWS = 2**17
"""Scans in one payload, and runs of misses."""

MAX_CELLS = 2**21
"""Values, with those of bad quality, in one payload."""

MIN_PART = 64
"""Bytes that pay for a deflate block of their own."""

_BATCH_EFFORT = Effort(6, 15, 8, zlib.Z_FILTERED)
_TAIL_EFFORT = Effort(1, 12, 6, zlib.Z_RLE)
_RECORD, _PAYLOAD, _TAIL = "bad-record", "bad-payload", "bad-tail"
_core: ModuleType = compiled("_columns") or twin
_place = attrgetter("device", "slot")

Record = Scan | Miss


def encode_scans(layout: Layout, records: Iterable[Record]) -> bytes:
    """Records of one boot as the payload of a batch; their order does not matter.

    Adjacent misses of equal quality without raw bytes become one, and -0.0 becomes 0.0 in columns with
    decimals; all else is kept to the bit. Raises `SealError` ``bad-record`` for records that contradict the
    layout, themselves or each other (a slot is accounted for once), ``too-large``, ``bad-layout``.
    """
    return encode_summed(layout, records)[0]


def encode_summed(layout: Layout, records: Iterable[Record]) -> tuple[bytes, ScanSummary]:
    """What `encode_scans` gives, and what `peek_scans` would say of it."""
    body, summary = _encode(layout, records, None)
    return deflate(_parts(body), _BATCH_EFFORT), summary


def decode_scans(layout: Layout, payload: bytes) -> list[Record]:
    """The records of a payload by device and slot.

    Raises `SealError`: ``wrong-layout``, ``too-large``, or ``bad-payload`` for anything malformed.
    """
    return _decode(layout, Body(read(payload, _PAYLOAD), _PAYLOAD, tail=False), None)


def peek_scans(payload: bytes) -> ScanSummary:
    """What a payload says of itself, to which `decode_scans` holds it; needs no layout."""
    return Body(read(payload, _PAYLOAD), _PAYLOAD, tail=False).summary()


def encode_tail(layout: Layout, records: Iterable[Record], previous: Mapping[int, Scan] | None = None) -> bytes:
    """One commit group that is not yet in a batch, in a private form: cheap to write, and small.

    ``previous`` holds an earlier scan of any devices, from which their values go on; `decode_tail` needs the
    same ones and notices when it gets others. Errors as for `encode_scans`.
    """
    body, _ = _encode(layout, records, previous or {})
    return deflate(_parts(body), _TAIL_EFFORT)


def decode_tail(layout: Layout, data: bytes, previous: Mapping[int, Scan] | None = None) -> list[Record]:
    """The records of a commit group; raises `SealError` ``bad-tail`` for damage and for another ``previous``."""
    return _decode(layout, Body(read(data, _TAIL), _TAIL, tail=True), previous or {})


class _Device(NamedTuple):
    """What coding needs of a device; ``plan`` is the same for the core."""

    plan: Any
    period: int
    phase: int
    columns: int

    def base(self, first_ms: int) -> int:
        """The slot from which a payload that begins at ``first_ms`` counts."""
        return (first_ms - self.phase) // self.period

    def due(self, slot: int) -> int:
        """Boot time in ms at which a slot is due."""
        return slot * self.period + self.phase


class _Same:
    """A layout as key of a cache: the object itself, since its calibration cannot be hashed."""

    __slots__ = ("layout",)

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.layout is self.layout

    def __hash__(self) -> int:
        return id(self.layout)


class _Prepared(NamedTuple):
    """A layout made ready: its name, its devices, and their plans for the core."""

    name: bytes
    devices: tuple[_Device, ...]
    plans: tuple[Any, ...]


@lru_cache(maxsize=64)
def _prepared(same: _Same, core: ModuleType) -> _Prepared:
    check_layout(same.layout)
    devices = []
    for device in same.layout.devices:
        scales = array("d", [0 if column.decimals is None else 10**column.decimals for column in device.columns])
        plan = core.Plan(scales, device.period_ms, device.phase_ms)
        devices.append(_Device(plan, device.period_ms, device.phase_ms, len(scales)))
    return _Prepared(layout_id(same.layout), tuple(devices), tuple(device.plan for device in devices))


def _encode(
    layout: Layout, records: Iterable[Record], previous: Mapping[int, Scan] | None
) -> tuple[dict[int, object], ScanSummary]:
    """The map of a payload, or, with ``previous``, of a tail; and its summary."""
    name, devices, plans = _prepared(_Same(layout), _core)
    everything = list(records)
    scans = [record for record in everything if isinstance(record, Scan)]
    misses: list[Miss] = []
    if len(scans) != len(everything):
        misses = _merged([record for record in everything if not isinstance(record, Scan)])
        touched = {miss.device for miss in misses}
        _check_misses(misses, devices, _RECORD)
        _check_apart([*misses, *(scan for scan in scans if scan.device in touched)], _RECORD)
    _check_rows(len(scans), len(misses), _RECORD)
    begins = [devices[miss.device].due(miss.slot) for miss in misses]
    ends = [devices[miss.device].due(miss.slot + miss.count - 1) for miss in misses]
    try:
        packed: Packed = _core.pack(plans, scans, previous or {}, min(begins, default=LIMIT))
    except (ValueError, OverflowError) as error:
        raise SealError(_RECORD, str(error)) from error
    _check_cells(packed.cells)
    last_ms, missed = max([packed.last_ms, *ends]), sum(miss.count for miss in misses)
    body: dict[int, object] = {} if previous is None else {Key.CONTEXT: zlib.crc32(packed.context)}
    body |= {
        Key.LAYOUT: name,
        Key.FIRST_MS: packed.first_ms,
        Key.LAST_MS: last_ms,
        Key.ROWS: len(scans),
        Key.VALUES: packed.values,
        Key.MISSED: missed,
    }
    if scans:
        _put_scans(body, packed)
    if misses:
        _put_misses(body, misses, [devices[miss.device].base(packed.first_ms) for miss in misses])
    return body, ScanSummary(name, packed.first_ms, last_ms, packed.values, len(scans), missed)


def _put_scans(body: dict[int, object], packed: Packed) -> None:
    body[Key.DEVICES] = CBORTag(*packed.devices)
    body[Key.BLOCK_ROWS] = CBORTag(*packed.rows)
    body[Key.SLOTS] = CBORTag(*packed.slots)
    if packed.steps[1]:
        body[Key.STEPS] = CBORTag(*packed.steps)
    if packed.run_qualities:
        body[Key.RUN_LENGTHS] = CBORTag(*packed.run_lengths)
        body[Key.RUN_QUALITIES] = packed.run_qualities
    body[Key.KINDS] = packed.kinds
    body[Key.FIRSTS] = [CBORTag(TAGS[code], data) for code, data in packed.firsts.items()]
    body[Key.RESTS] = [CBORTag(TAGS[code], data) for code, data in packed.rests.items()]
    if packed.raws:
        body[Key.RAWS] = packed.raws


def _put_misses(body: dict[int, object], misses: list[Miss], bases: list[int]) -> None:
    body[Key.MISSES] = [
        typed([miss.device for miss in misses]),
        typed([miss.slot - base for miss, base in zip(misses, bases, strict=True)]),
        typed([miss.count for miss in misses]),
        bytes(miss.quality for miss in misses),
    ]
    raws = [item for place, miss in enumerate(misses) if miss.raw is not None for item in (place, miss.raw)]
    if raws:
        body[Key.MISS_RAWS] = raws


def _parts(body: dict[int, object]) -> list[bytes]:
    """The map as deterministic CBOR, cut where the bytes change their character and enough of them follow."""
    maps: list[dict[int, object]] = [{}]
    for key in sorted(body):
        value = body[key]
        if key == Key.RAWS or (key in {Key.FIRSTS, Key.RESTS} and _weight(value) >= MIN_PART):
            maps.append({})
        maps[-1][key] = value
    # With sorted keys, no floats and no inner maps, plain encoding is the deterministic one at half the cost.
    encoded = [cbor2.dumps(items)[1:] for items in maps]
    return [bytes([0xA0 + len(body)]) + encoded[0], *encoded[1:]]


def _weight(streams: Any) -> int:
    return sum(len(stream.value) for stream in streams)


def _decode(layout: Layout, body: Body, previous: Mapping[int, Scan] | None) -> list[Record]:
    """The records of a payload, or, with ``previous``, of a tail."""
    name, devices, _ = _prepared(_Same(layout), _core)
    summary = body.summary()
    if summary.layout_id != name:
        raise SealError("wrong-layout", f"made by layout {summary.layout_id.hex()}, not {name.hex()}")
    misses = _read_misses(body, devices, summary.first_ms)
    scans = _read_scans(body, devices, summary.first_ms, misses, previous)
    records: list[Record] = [*scans, *misses]
    if misses:
        _check_apart(records, body.kind)
        records.sort(key=_place)
    times = [scan.at_ms for scan in scans]
    for miss in misses:
        times += [devices[miss.device].due(miss.slot), devices[miss.device].due(miss.slot + miss.count - 1)]
    missed = sum(miss.count for miss in misses)
    if not times or (min(times), max(times), len(scans), missed) != (
        summary.first_ms,
        summary.last_ms,
        summary.rows,
        summary.misses,
    ):
        raise body.error("the summary is not that of the records")
    return records


def _read_scans(
    body: Body,
    devices: Sequence[_Device],
    first_ms: int,
    misses: list[Miss],
    previous: Mapping[int, Scan] | None,
) -> list[Scan]:
    skips, rows, slots = (body.integers(key) for key in (Key.DEVICES, Key.BLOCK_ROWS, Key.SLOTS))
    if not len(skips) == len(rows) == len(slots) or min(skips, default=0) < 0 or min(rows, default=1) < 1:
        raise body.error("blocks without device, rows or slot")
    indices = []
    index = -1
    for skip in skips:
        index += skip + 1
        indices.append(index)
    if index >= len(devices):
        raise body.error(f"device {index} is not in the layout")
    _check_rows(sum(rows), len(misses), body.kind)
    cells = sum(count * devices[index].columns for index, count in zip(indices, rows, strict=True))
    _check_cells(cells)
    earlier = [None] * len(indices) if previous is None else [previous.get(index) for index in indices]
    if previous is not None and body.number(Key.CONTEXT) != _context(earlier):
        raise body.error("goes on from other scans than those given")
    shapes = [
        (index, devices[index].plan, count, slot, scan)
        for index, count, slot, scan in zip(indices, rows, slots, earlier, strict=True)
    ]
    qualities = _written_out(body, cells)
    kinds, firsts, rests = body.octets(Key.KINDS), body.streams(Key.FIRSTS), body.streams(Key.RESTS)
    try:
        series = Series(first_ms, array("q", body.integers(Key.STEPS)), qualities, kinds, firsts, rests)
        scans: list[Scan] = _core.unpack(shapes, series, Scan)
    except (ValueError, OverflowError) as error:
        raise body.error(str(error)) from error
    for row, raw in body.raws(Key.RAWS, len(scans)).items():
        scans[row].raw = raw
    return scans


def _read_misses(body: Body, devices: Sequence[_Device], first_ms: int) -> list[Miss]:
    misses = []
    for index, slot, count, quality in body.misses():
        if not 0 <= index < len(devices):
            raise body.error(f"device {index} is not in the layout")
        misses.append(Miss(index, slot + devices[index].base(first_ms), count, quality))
    _check_misses(misses, devices, body.kind)
    for place, raw in body.raws(Key.MISS_RAWS, len(misses)).items():
        misses[place].raw = raw
    return misses


def _written_out(body: Body, cells: int) -> bytes:
    """The quality of each cell, from runs whose sum is known before anything is made of them."""
    values = body.number(Key.VALUES)
    lengths, qualities = body.integers(Key.RUN_LENGTHS), body.octets(Key.RUN_QUALITIES)
    if len(lengths) != len(qualities) or min(lengths, default=1) < 1 or sum(lengths) != cells:
        raise body.error("the runs of quality do not cover the values")
    if sum(length for quality, length in zip(qualities, lengths, strict=True) if quality < BAD) != values:
        raise body.error("the summary is not that of the values")
    return b"".join([bytes((quality,)) * length for quality, length in zip(qualities, lengths, strict=True)])


def _context(earlier: Iterable[Scan | None]) -> int:
    """A checksum of the scans that a tail goes on from; slots name them, since a slot has one scan."""
    return zlib.crc32(array("q", [-1 if scan is None else scan.slot for scan in earlier]))


def _merged(misses: list[Miss]) -> list[Miss]:
    """Runs of misses in order; those that touch and are of one cause become one."""
    merged: list[Miss] = []
    for miss in sorted(misses, key=_place):
        if merged and _touch(merged[-1], miss):
            last = merged[-1]
            merged[-1] = Miss(last.device, last.slot, last.count + miss.count, last.quality)
        else:
            merged.append(miss)
    return merged


def _touch(last: Miss, miss: Miss) -> bool:
    """Whether two runs are one; raw bytes belong to the run that they came with."""
    end = (last.device, last.slot + last.count, last.quality)
    return last.raw is None and miss.raw is None and end == (miss.device, miss.slot, miss.quality)


def _check_misses(misses: list[Miss], devices: Sequence[_Device], kind: str) -> None:
    for miss in misses:
        if not 0 <= miss.device < len(devices):
            raise SealError(kind, f"device {miss.device} is not in the layout")
        if not BAD <= miss.quality <= 0xFF:
            raise SealError(kind, f"a miss of quality {miss.quality}, which is not bad")
        if miss.count < 1 or miss.slot < 0 or devices[miss.device].due(miss.slot + miss.count - 1) > LIMIT:
            raise SealError(kind, f"a miss of {miss.count} slots from slot {miss.slot}")


def _check_apart(records: Iterable[Record], kind: str) -> None:
    """Refuse records that account for a slot twice."""
    for earlier, later in pairwise(sorted(records, key=_place)):
        end = earlier.slot + (earlier.count if isinstance(earlier, Miss) else 1)
        if earlier.device == later.device and later.slot < end:
            raise SealError(kind, f"device {later.device}: slot {later.slot} is accounted for twice")


def _check_rows(scans: int, misses: int, kind: str) -> None:
    if not scans and not misses:
        raise SealError(kind, "there is no record")
    if scans > MAX_ROWS or misses > MAX_ROWS:
        raise SealError("too-large", f"{scans} scans, {misses} runs of misses")


def _check_cells(cells: int) -> None:
    if cells > MAX_CELLS:
        raise SealError("too-large", f"{cells} values")
