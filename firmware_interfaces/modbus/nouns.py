"""What a device model says, as checked and frozen nouns. Addresses here are wire addresses (from 0)."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

from firmware_interfaces.quality import Quality

__all__ = [
    "DOUBTED",
    "KINDS",
    "UNIT",
    "Channel",
    "DeviceModel",
    "Fault",
    "Kind",
    "LinkFacts",
    "Order",
    "Span",
    "TestCase",
    "WriteRule",
]

Order = Literal["big", "little"]

FLOAT32_MAX = 3.4028234e38

UNIT = "unit"
"""A mark: the register holds the device's own unit id."""

DOUBTED = Quality.DEVICE_UNCERTAIN
"""Quality of a value that the device itself calls uncertain: it is kept, and marked."""


class Kind(NamedTuple):
    """How a type lies in registers: ``form`` of the number and how many registers it takes."""

    form: Literal["int", "uint", "float", "bcd", "bool", "string"]
    registers: int


KINDS: Mapping[str, Kind] = {
    "bool": Kind("bool", 1),
    "int16": Kind("int", 1),
    "uint16": Kind("uint", 1),
    "int32": Kind("int", 2),
    "uint32": Kind("uint", 2),
    "int64": Kind("int", 4),
    "uint64": Kind("uint", 4),
    "float32": Kind("float", 2),
    "float64": Kind("float", 4),
    "bcd16": Kind("bcd", 1),
    "bcd32": Kind("bcd", 2),
}
"""The types a channel can have; identity and audit registers can also be ``string(n)``, n bytes long."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Registers (functions 3, 4) or bits (functions 1, 2) that must be read together."""

    function: int
    address: int
    count: int

    @property
    def end(self) -> int:
        """First address behind the span."""
        return self.address + self.count


@dataclass(frozen=True, slots=True)
class Fault:
    """Where a device says how far a channel is to be believed: a bit, or a field of a status register.

    The field is ``(register >> shift) & mask``; ``meaning`` gives a quality to its values, ``otherwise`` to all
    values that are not listed.
    """

    span: Span
    shift: int
    mask: int
    meaning: tuple[tuple[int, Quality], ...]
    otherwise: Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRule:
    """What may be written to a channel: from ``low`` to ``high`` in its unit, by function 5, 6, 15 or 16."""

    low: Decimal
    high: Decimal
    function: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One quantity of a device: a measured channel, or an identity or audit register.

    Whole numbers become values exactly: ``(raw * multiplier + addend) / 10**places``, computed in integers and
    rounded once, so that 234 with scale 0.1 is 23.4 and nothing near it. Floats are widened to double and, where
    the model states it, multiplied with ``scale`` and shifted by ``offset``.
    """

    key: str
    title: str
    function: int
    address: int
    count: int
    """Registers or bits."""
    type: str
    unit: str = ""
    decimals: int | None = None
    """Decimal places that the device delivers; None for binary floating point and for whole numbers beyond
    2**53, which a double does not hold exactly."""
    multiplier: int = 1
    addend: int = 0
    places: int = 0
    scale: float = 1.0
    offset: float = 0.0
    shift: int = 0
    mask: int = 0
    """Bit field of a register, ``(register >> shift) & mask``; 0 for the whole register."""
    invalid: tuple[int, ...] = ()
    """Raw values that mean "no value", as unsigned bit patterns of the type's width."""
    low: float | None = None
    high: float | None = None
    """What the sensor can measure, in the channel's unit."""
    faults: tuple[Fault, ...] = ()
    word_order: Order = "big"
    byte_order: Order = "big"
    write: WriteRule | None = None
    """None: it is only read."""
    mark: tuple[float | str, ...] = ()
    """What an identity or audit register of this make holds, one of these; `UNIT` is its own unit id. Documented
    by the maker, so that the make can be told by it."""
    expect: float | str | None = None
    """What an audit register must hold for the model to be right (a unit register: Celsius); see `meets`."""
    is_text: bool = False
    """Whether `text` gives its value: strings, and BCD digits of an identity, whose leading zeros count."""

    @property
    def span(self) -> Span:
        """Where its own value lies."""
        return Span(self.function, self.address, self.count)

    @property
    def spans(self) -> tuple[Span, ...]:
        """All that must be read to judge it: its value and its fault references."""
        return (self.span, *(fault.span for fault in self.faults))

    @property
    def writable(self) -> bool:
        """Whether the model allows it to be written at all."""
        return self.write is not None

    def meets(self, wanted: object, found: object) -> bool:
        """Whether what was found is what was wanted; a float32 is compared as far as it can tell numbers apart."""
        if self.type != "float32" or not isinstance(wanted, float) or not isinstance(found, float):
            return wanted == found
        if max(abs(wanted), abs(found)) > FLOAT32_MAX:
            return False
        return struct.pack(">f", wanted) == struct.pack(">f", found)

    def text(self, block: bytes) -> str | None:
        """Text of a register block that was read for this channel alone; None when it is no text.

        Trailing zeros and spaces are padding. Digits of a BCD number are kept as they are.
        """
        if len(block) != 2 * self.count:
            return None
        words = [block[at : at + 2] for at in range(0, len(block), 2)]
        if self.byte_order == "little":
            words = [word[::-1] for word in words]
        if self.type != "string":
            ordered = words if self.word_order == "big" else words[::-1]
            digits = b"".join(ordered).hex()
            return digits if digits.isdecimal() else None
        plain = b"".join(words).rstrip(b"\0 ")
        if not plain.isascii():
            return None
        text = plain.decode("ascii")
        return text if text.isprintable() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFacts:
    """How a device wants to be asked.

    ``fill_holes`` is the largest run of unneeded registers or bits that a read may pass over, ``min_gap_ms`` the
    least silence before a request; the serial settings are the factory's, None where no source gives them.
    """

    address_base: int
    max_registers: int = 125
    max_bits: int = 2000
    fill_holes: int = 0
    min_gap_ms: int = 0
    word_order: Order = "big"
    byte_order: Order = "big"
    baud: int | None = None
    parity: Literal["N", "E", "O"] | None = None
    stop_bits: Literal[1, 2] | None = None
    timeout_ms: int | None = None


@dataclass(frozen=True, slots=True)
class TestCase:
    """Contents of registers and bits by (function, wire address), and what they must become.

    An expectation is a number, a text, or a `Quality` that is not good.
    """

    __test__ = False

    title: str
    cells: Mapping[tuple[int, int], int]
    expect: Mapping[str, float | str | Quality]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceModel:
    """How one make of device is spoken to."""

    id: str
    title: str
    maker: str
    source: str
    sha256: str
    """Of the file's bytes, in hexadecimal."""
    link: LinkFacts
    channels: Mapping[str, Channel]
    identity: tuple[Channel, ...] = ()
    audit: tuple[Channel, ...] = ()
    tests: tuple[TestCase, ...] = ()
