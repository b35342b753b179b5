"""M-Bus records of the application layer (EN 13757-3): header of the meter and its values with their units.

A record that is not understood whole is no value: an unknown unit, an extension that changes its meaning, digits
that are none.
"""

import struct
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from firmware_interfaces.quality import Quality

__all__ = ["Header", "Record", "Telegram", "maker", "parse_telegram"]

VARIABLE = 0x72
"""Control information of an answer with variable structure, lowest byte first, with the long header."""
HEADER = 12
MEDIA = {
    0x02: "electricity",
    0x03: "gas",
    0x04: "heat (outlet)",
    0x06: "warm water",
    0x07: "water",
    0x0A: "cooling (outlet)",
    0x0B: "cooling (inlet)",
    0x0C: "heat (inlet)",
    0x0D: "heat and cooling",
    0x15: "hot water",
    0x16: "cold water",
    0x1B: "room sensor",
}
SIZES = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 4, 6: 6, 7: 8, 9: 1, 0xA: 2, 0xB: 3, 0xC: 4, 0xE: 6}
"""Bytes of a value by the data field of its DIF; 8 (selection) and D (variable) are no numbers."""
REAL, VARIABLE_LENGTH = 5, 0xD
BCD = frozenset({9, 0xA, 0xB, 0xC, 0xE})
MAKER_DATA, MORE_FOLLOWS, FILLER = 0x0F, 0x1F, 0x2F
INSTANTANEOUS, ERROR = 0, 3
J_PER_KWH = Decimal(3_600_000)

QUANTITIES: tuple[tuple[int, int, str, str, Decimal], ...] = (
    # first VIF, last VIF, quantity, unit, factor of the lowest step
    (0x00, 0x07, "energy", "kWh", Decimal("0.000001")),
    (0x08, 0x0F, "energy", "kWh", 1 / J_PER_KWH),
    (0x10, 0x17, "volume", "m3", Decimal("0.000001")),
    (0x18, 0x1F, "mass", "kg", Decimal("0.001")),
    (0x28, 0x2F, "power", "kW", Decimal("0.000001")),
    (0x30, 0x37, "power", "kW", 1 / J_PER_KWH),
    (0x38, 0x3F, "volume_flow", "m3/h", Decimal("0.000001")),
    (0x40, 0x47, "volume_flow", "m3/h", Decimal("0.000006")),
    (0x48, 0x4F, "volume_flow", "m3/h", Decimal("0.0000036")),
    (0x50, 0x57, "mass_flow", "kg/h", Decimal("0.001")),
    (0x58, 0x5B, "flow_temperature", "degC", Decimal("0.001")),
    (0x5C, 0x5F, "return_temperature", "degC", Decimal("0.001")),
    (0x60, 0x63, "temperature_difference", "K", Decimal("0.001")),
    (0x64, 0x67, "external_temperature", "degC", Decimal("0.001")),
    (0x68, 0x6B, "pressure", "bar", Decimal("0.001")),
)
EXTENDED: dict[int, tuple[tuple[int, int, str, str, Decimal], ...]] = {
    0xFB: (
        (0x00, 0x01, "energy", "kWh", Decimal(100)),
        (0x08, 0x09, "energy", "kWh", Decimal(100_000_000) / J_PER_KWH),
        (0x10, 0x11, "volume", "m3", Decimal(100)),
        (0x28, 0x29, "power", "kW", Decimal(100)),
        (0x1A, 0x1B, "humidity", "%RH", Decimal("0.1")),
    ),
    0xFD: (
        (0x40, 0x4F, "voltage", "V", Decimal("0.000000001")),
        (0x50, 0x5F, "current", "A", Decimal("0.000000000001")),
    ),
}


class Header(NamedTuple):
    """Who answers. ``serial`` is the identification number in digits, ``maker`` three letters."""

    serial: str
    maker: str
    version: int
    medium: int
    access: int
    status: int
    signature: int
    identification: bytes
    """The eight bytes of the secondary address."""

    @property
    def medium_words(self) -> str:
        """What is metered."""
        return MEDIA.get(self.medium, f"medium {self.medium}")

    @property
    def quality(self) -> Quality:
        """What the status says of the values: a permanent or temporary error makes them doubtful."""
        return Quality.DEVICE_UNCERTAIN if self.status & 0x18 or self.status & 0x03 == 2 else Quality.GOOD


class Record(NamedTuple):
    """One value in the unit of its quantity; None, with a quality that says why, where there is none."""

    quantity: str
    unit: str
    value: Decimal | float | None
    quality: Quality
    storage: int
    tariff: int
    subunit: int
    function: int

    @property
    def is_present(self) -> bool:
        """Whether it is the value of now, not a maximum, a past one or that of a tariff."""
        return not (self.storage or self.tariff or self.subunit) and self.function in {INSTANTANEOUS, ERROR}


class Telegram(NamedTuple):
    """What one answer holds. ``more`` tells that further records follow in another telegram."""

    header: Header
    records: tuple[Record, ...]
    more: bool
    encrypted: bool


def maker(code: int) -> str:
    """Three letters of a maker's number (EN 62056-21: five bits each, A is 1)."""
    letters = [(code >> shift) & 0x1F for shift in (10, 5, 0)]
    return "".join(chr(64 + letter) for letter in letters) if all(1 <= x <= 26 for x in letters) else f"{code:#06x}"


def parse_telegram(data: bytes) -> Telegram | None:
    """The data behind control information 0x72; None where it is shorter than its header."""
    if len(data) < HEADER:
        return None
    code, version, medium, access, status, signature = struct.unpack_from("<HBBBBH", data, 4)
    header = Header(data[3::-1].hex(), maker(code), version, medium, access, status, signature, data[:8])
    encrypted = bool(signature & 0x1F00)
    if encrypted:
        return Telegram(header, (), more=False, encrypted=True)
    body = data[HEADER:]
    return Telegram(header, tuple(_records(body)), more=_more(body), encrypted=False)


class _Block(NamedTuple):
    """A record's parts: its kind of data, its place, its VIF with extensions, its bytes."""

    field: int
    function: int
    storage: int
    tariff: int
    subunit: int
    vifs: tuple[int, ...]
    raw: bytes


def _more(body: bytes) -> bool:
    """Whether the telegram ends with "more records follow"."""
    end = list(_walk(body))
    return bool(end) and end[-1] == MORE_FOLLOWS


def _records(body: bytes) -> Iterator[Record]:
    for block in _walk(body):
        if isinstance(block, _Block) and (record := _record(block)) is not None:
            yield record


def _walk(body: bytes) -> Iterator[_Block | int]:
    """The blocks of a telegram; a block that is cut off, or of unknown length, ends it."""
    at = 0
    while at < len(body):
        dif = body[at]
        at += 1
        if dif == FILLER:
            continue
        if dif in {MAKER_DATA, MORE_FOLLOWS}:
            yield dif
            return
        storage, tariff, subunit, shift = (dif >> 6) & 1, 0, 0, 0
        extended = dif & 0x80
        while extended:
            if at >= len(body) or shift >= 10:
                return
            dife = body[at]
            at += 1
            storage |= (dife & 0x0F) << (1 + 4 * shift)
            tariff |= ((dife >> 4) & 3) << (2 * shift)
            subunit |= ((dife >> 6) & 1) << shift
            shift += 1
            extended = dife & 0x80
        vifs: list[int] = []
        while not vifs or vifs[-1] & 0x80:
            if at >= len(body) or len(vifs) > 10:
                return
            vifs.append(body[at])
            at += 1
            if vifs[0] & 0x7F == 0x7C and len(vifs) == 1:
                # A unit in plain text lies before the value: its length, then its letters.
                if at >= len(body):
                    return
                at += 1 + body[at]
        size = _size(dif & 0x0F, body, at)
        if size is None or at + size > len(body):
            return
        yield _Block(dif & 0x0F, (dif >> 4) & 3, storage, tariff, subunit, tuple(vifs), body[at : at + size])
        at += size


def _size(field: int, body: bytes, at: int) -> int | None:
    if field != VARIABLE_LENGTH:
        return SIZES.get(field)
    if at >= len(body) or body[at] >= 0xC0:
        return None
    return 1 + body[at]


def _record(block: _Block) -> Record | None:
    """The record in its unit; None where its quantity is none of ours, or an extension changes its meaning."""
    first, *rest = block.vifs
    if first in EXTENDED:
        if not rest:
            return None
        found = _quantity(EXTENDED[first], rest[0] & 0x7F)
        rest = rest[1:]
    else:
        found = _quantity(QUANTITIES, first & 0x7F)
    if found is None:
        return None
    quantity, unit, factor = found
    quality = Quality.GOOD
    for extension in (vife & 0x7F for vife in rest):
        if 0x70 <= extension <= 0x77:
            factor *= Decimal(10) ** ((extension & 7) - 6)
        elif extension == 0x7D:
            factor *= 1000
        elif 0x01 <= extension <= 0x1F:
            quality = Quality.SENSOR_FAULT
        elif extension:
            return None
    number = _number(block)
    if number is None or block.function == ERROR:
        quality = Quality.SENSOR_FAULT
    value = None if number is None or quality != Quality.GOOD else _scaled(number, factor)
    place = (block.storage, block.tariff, block.subunit, block.function)
    return Record(quantity, unit, value, quality, *place)


def _quantity(table: tuple[tuple[int, int, str, str, Decimal], ...], vif: int) -> tuple[str, str, Decimal] | None:
    for low, high, quantity, unit, factor in table:
        if low <= vif <= high:
            return quantity, unit, factor * Decimal(10) ** (vif - low)
    return None


def _scaled(number: Decimal | float, factor: Decimal) -> Decimal | float:
    return number * float(factor) if isinstance(number, float) else number * factor


def _number(block: _Block) -> Decimal | float | None:
    """A number; None for digits that are none, a float that is none, and the integer that means "invalid"."""
    raw = block.raw
    if block.field in BCD:
        digits = raw[::-1].hex()
        negative = digits[0] == "f"
        digits = digits[1:] if negative else digits
        return Decimal(-int(digits) if negative else int(digits)) if digits.isdecimal() else None
    if block.field == REAL:
        value: float = struct.unpack("<f", raw)[0]
        return value if abs(value) < float("inf") else None
    if not raw or block.field == VARIABLE_LENGTH:
        return None
    number = int.from_bytes(raw, "little", signed=True)
    return None if number == -(1 << (8 * len(raw) - 1)) else Decimal(number)
