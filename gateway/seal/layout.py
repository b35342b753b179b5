"""The layout of a gateway as bytes: what makes the numbers of its scan batches readable.

Format, for outsiders: docs/payload-format.md.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Literal

from gateway.errors import SealError
from gateway.model import Column, DeviceLayout, Layout
from gateway.seal import cbor
from gateway.seal.payload import MAX_PACKED, check_items, plain

VERSION = 1
MAX_DECIMALS = 22
"""10**22 is the largest power of ten that a double holds exactly."""

MAX_PERIOD_MS = 2**40
MAX_DEVICES = 4096
MAX_COLUMNS = 4096
_KIND = "bad-layout"
_ROLES: tuple[Literal["value"], Literal["indicated"]] = ("value", "indicated")


def layout_id(layout: Layout) -> bytes:
    """Name of a layout in the batches that need it: the first 8 bytes of the SHA-256 of its CBOR."""
    return sha256(layout_cbor(layout)).digest()[:8]


def layout_cbor(layout: Layout) -> bytes:
    """Deterministic CBOR of a layout.

    Raises `SealError` ``bad-layout`` for what could not be read back: a period or phase out of range, too many
    decimals, a calibration that is not made of plain values (dates are written as ISO 8601 texts).
    """
    check_layout(layout)
    data = cbor.dumps({1: VERSION, 2: [_write_device(device) for device in layout.devices]})
    _check_size(data)
    return data


def layout_from_cbor(data: bytes) -> Layout:
    """The layout that `layout_cbor` wrote; raises `SealError` ``bad-layout`` for anything else.

    A second way to write the same layout is refused too: its name, the hash, would be another.
    """
    _check_size(data)
    match cbor.loads(data, _KIND):
        case {1: 1, 2: list(devices), **rest} if not rest:
            layout = Layout(tuple(_read_device(device) for device in devices))
        case _:
            raise SealError(_KIND, "not a map of version 1 and devices")
    if layout_cbor(layout) != data:
        raise SealError(_KIND, "not the deterministic form")
    return layout


def check_layout(layout: Layout) -> None:
    """Raise `SealError` ``bad-layout`` for a layout by which scans cannot be coded."""
    if len(layout.devices) > MAX_DEVICES:
        raise SealError(_KIND, f"more than {MAX_DEVICES} devices")
    for device in layout.devices:
        if not 1 <= device.period_ms <= MAX_PERIOD_MS or not 0 <= device.phase_ms <= MAX_PERIOD_MS:
            raise SealError(_KIND, f"{device.id}: period or phase out of range")
        if len(device.columns) > MAX_COLUMNS:
            raise SealError(_KIND, f"{device.id}: more than {MAX_COLUMNS} columns")
        for column in device.columns:
            if column.decimals is not None and not 0 <= column.decimals <= MAX_DECIMALS:
                raise SealError(_KIND, f"{device.id}, {column.channel}: {column.decimals} decimals")


def _check_size(data: bytes) -> None:
    if len(data) > MAX_PACKED:
        raise SealError("too-large", f"a layout of {len(data)} bytes")
    check_items(data, _KIND)


def _write_device(device: DeviceLayout) -> list[object]:
    columns = [
        [column.channel, column.unit, column.decimals, _ROLES.index(column.role)] for column in device.columns
    ]
    return [
        device.id,
        device.bus,
        device.model,
        device.model_hash,
        device.period_ms,
        device.phase_ms,
        columns,
        plain(device.calibration, _KIND),
    ]


def _read_device(item: Any) -> DeviceLayout:
    match item:
        case [str(name), str(bus), str(model), str(digest), period, phase, list(columns), dict(calibration)]:
            return DeviceLayout(
                name,
                bus,
                model,
                digest,
                _integer(period),
                _integer(phase),
                tuple(_read_column(column) for column in columns),
                {_text(channel): _details(details) for channel, details in calibration.items()},
            )
        case _:
            raise SealError(_KIND, "a device is not made of names, period, phase, columns and calibration")


def _read_column(item: Any) -> Column:
    match item:
        case [str(channel), str(unit), decimals, (0 | 1) as role] if not isinstance(role, bool):
            return Column(channel, unit, None if decimals is None else _integer(decimals), _ROLES[role])
        case _:
            raise SealError(_KIND, "a column is not made of channel, unit, decimals and role")


def _integer(item: object) -> int:
    if not isinstance(item, int) or isinstance(item, bool):
        raise SealError(_KIND, "a number is not an integer")
    return item


def _text(item: object) -> str:
    if not isinstance(item, str):
        raise SealError(_KIND, "a name is not text")
    return item


def _details(item: object) -> Mapping[str, Any]:
    if not isinstance(item, dict) or not all(isinstance(key, str) for key in item):
        raise SealError(_KIND, "a calibration is not a map of names")
    plain(item, _KIND)
    return item
