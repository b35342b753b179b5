"""A frame as a table, one row a quantity, decoded by the compiled core; and frames that the sender lays out."""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from gateway_core.registers import SIGNED, UNSIGNED, Guard, Row, Table

from firmware_interfaces.ble.decoders.nouns import AdvertFault, Decoded, Fault, Field, unique

__all__ = ["ABSOLUTE_ZERO", "FIXED_8_8", "Frame", "Layouts", "Quantity", "Sequence_", "State", "number"]

ABSOLUTE_ZERO = -273.15

READ = (0,)
"""The table's cause of a block that was read."""

_new = tuple.__new__

Order = Literal["big", "little"]
Derived = Callable[[bytes], tuple[float, int]]
Layout = TypeVar("Layout", bound=Hashable)


class State(NamedTuple):
    """A field of one byte that decides whether a quantity is to be believed: `Quality` by its value."""

    at: int
    shift: int
    mask: int
    meaning: tuple[tuple[int, int], ...]
    otherwise: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """One number of a frame: ``(raw * multiplier + addend) / 10**places``, computed in integers, rounded once.

    ``at`` counts bytes from the first of the frame, ``size`` is in bytes. ``places_of_bytes`` gives the bytes from
    the most significant on where they do not lie together. ``invalid`` are the raw bit patterns that mean "no
    value"; ``low`` and ``high`` what the sensor can measure, in ``unit``. What no row can say (a logarithm, a
    sign bit) is said by ``derive``: the whole frame in, value and quality out.
    """

    key: str
    unit: str = ""
    at: int = 0
    size: int = 1
    signed: bool = False
    order: Order | None = None
    bytes_at: tuple[int, ...] = ()
    shift: int = 0
    mask: int = 0
    multiplier: int = 1
    addend: int = 0
    places: int = 0
    invalid: tuple[int, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    states: tuple[State, ...] = ()
    derive: Derived | None = None

    @property
    def field(self) -> Field:
        """What the value of this row means."""
        return Field(self.key, self.unit, self.places)

    def row(self, order: Order) -> Row:
        """The row of the compiled table."""
        places = tuple(range(self.size))
        at = self.at
        if self.bytes_at:
            at = min(self.bytes_at)
            places = tuple(place - at for place in self.bytes_at)
        elif (self.order or order) == "little":
            places = places[::-1]
        return Row(
            0,
            at,
            SIGNED if self.signed else UNSIGNED,
            places,
            self.shift,
            self.mask,
            self.multiplier,
            self.addend,
            self.places,
            invalid=self.invalid,
            low=self.low,
            high=self.high,
            guards=tuple(
                Guard(0, state.at, (0,), state.shift, state.mask, state.meaning, state.otherwise)
                for state in self.states
            ),
        )


FIXED_8_8: dict[str, Any] = {"size": 2, "signed": True, "multiplier": 390625, "places": 8}
"""Signed 8.8 fixed point: a 256th is 0.00390625 exactly."""


class Sequence_(NamedTuple):  # noqa: N801 - `Sequence` is taken by the abstract base class
    """Where a frame counts its measurements; ``invalid`` is the number that means "not counted"."""

    at: int
    size: int
    order: Order
    invalid: int | None = None


def number(data: bytes, at: int, size: int, order: Order) -> int:
    """Unsigned whole number of ``size`` bytes."""
    return int.from_bytes(data[at : at + size], order)


class Frame:
    """A frame of one length whose every byte has its place. Holds nothing from one call to the next.

    ``note`` goes with every decoded frame of the layout: what is left out of it, and why.
    """

    def __init__(
        self,
        format_: str,
        size: int,
        order: Order,
        quantities: Sequence[Quantity],
        sequence: Sequence_ | None = None,
        *,
        note: str = "",
    ) -> None:
        self.format = format_
        self.size = size
        self.quantities = tuple(quantities)
        self.fields = tuple(quantity.field for quantity in quantities)
        self.sequence = sequence
        self.note = note
        at, length, counting, invalid = sequence or (0, 0, order, None)
        self._counted = (at, at + length, counting, invalid)
        self._derived = tuple(
            (index, quantity.derive) for index, quantity in enumerate(quantities) if quantity.derive is not None
        )
        rows = [quantity.row(order) for quantity in quantities]
        self._table = Table([size], rows).decode

    def decode(self, data: bytes) -> Decoded:
        """Readings of one frame; raises `AdvertFault` for any other length."""
        if len(data) != self.size:
            fault = Fault.TRUNCATED if len(data) < self.size else Fault.WRONG_LENGTH
            raise AdvertFault(self.format, fault, f"{len(data)} bytes, not {self.size}")
        values, quality = self._table((data,), READ)
        if self._derived:
            marks = bytearray(quality)
            for index, derive in self._derived:
                values[index], marks[index] = derive(data)
            quality = bytes(marks)
        sequence: int | None = None
        if self.sequence is not None:
            at, end, order, invalid = self._counted
            sequence = int.from_bytes(data[at:end], order)
            if sequence == invalid:
                sequence = None
        # Past the constructor of the named tuple: it would cost as much as all of the above.
        return _new(Decoded, (self.format, self.fields, values, quality, sequence, None, "", self.note))


class Layouts(Generic[Layout]):
    """Frames whose layout the sender states in the frame itself (which objects, in which order).

    The table of a layout is made when it is first seen. How many are kept is bounded: whoever sends ever new
    layouts costs time, not memory.
    """

    MOST = 512

    def __init__(self, build: Callable[[Layout], Frame]) -> None:
        self._build = build
        self._frames: dict[Layout, Frame] = {}

    def frame(self, layout: Layout) -> Frame:
        """The table of a layout."""
        found = self._frames.get(layout)
        if found is None:
            if len(self._frames) >= self.MOST:
                self._frames.clear()
            found = self._frames[layout] = self._build(layout)
        return found


def placed(quantities: Sequence[tuple[Quantity, int]]) -> list[Quantity]:
    """Quantities put where the sender has them (bytes from the start), each with a name of its own."""
    names = unique([quantity.key for quantity, _ in quantities])
    return [replace(quantity, key=name, at=at) for (quantity, at), name in zip(quantities, names, strict=True)]
