"""Where a lot has been: stretches in zones, from the records of lots that came and went."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from gateway.errors import RecordError
from gateway.logbook.entry import Entry, Moment
from gateway.logbook.forms import lot_key

__all__ = ["Move", "Stretch", "contradictions", "replay"]

ROUNDING = 1e-6
"""Share of a quantity that sums of decimal quantities may be off."""


class Move(NamedTuple):
    """One lot record that holds, with the moment it is about."""

    entry: Entry
    when: Moment


@dataclass(frozen=True, slots=True)
class Stretch:
    """A lot in a zone: since ``came``, until ``left`` (None: still there).

    ``quantity`` is what came in altogether, in ``unit``; None where it was not said. ``records`` are the ids of the
    records that say so.
    """

    lot: str
    point: str
    came: Moment
    left: Moment | None
    quantity: float | None
    unit: str | None
    records: tuple[str, ...]


@dataclass(slots=True)
class _Open:
    lot: str
    point: str
    came: Moment
    quantity: float | None
    unit: str | None
    taken: float
    records: list[str]

    def closed(self, left: Moment | None) -> Stretch:
        return Stretch(self.lot, self.point, self.came, left, self.quantity, self.unit, tuple(self.records))


def replay(moves: Iterable[Move]) -> list[Stretch]:
    """The stretches that records of lots amount to, in the order in which they ended; open ones last.

    A lot is in a zone until it goes out without a quantity, or until as much has gone out as came in. A record that
    contradicts those before it begins and ends nothing (see `contradictions`).
    """
    return _walk(moves)[0]


def contradictions(moves: Iterable[Move]) -> dict[str, RecordError]:
    """By record id, the records that do not fit those before them, with what is wrong."""
    return _walk(moves)[1]


def _walk(moves: Iterable[Move]) -> tuple[list[Stretch], dict[str, RecordError]]:
    found: list[Stretch] = []
    wrong: dict[str, RecordError] = {}
    present: dict[tuple[str, str], _Open] = {}
    for move in moves:
        try:
            _step(move, present, found)
        except RecordError as error:
            wrong[move.entry.id] = error
    return found + [stay.closed(None) for stay in present.values()], wrong


def _step(move: Move, present: dict[tuple[str, str], _Open], found: list[Stretch]) -> None:
    data = move.entry.data
    lot, point = lot_key(data), str(data["point"])
    quantity, unit = data.get("quantity"), data.get("unit")
    stay = present.get((lot, point))
    if data["direction"] == "in":
        if stay is None:
            present[lot, point] = _Open(lot, point, move.when, quantity, unit, 0.0, [move.entry.id])
        else:
            _add(stay, move, quantity, unit)
        return
    if stay is None:
        raise RecordError(
            f"lot {lot} is not in {point}", "record that it came in first; say with 'done' when that was"
        )
    if move.when.before(stay.came):
        raise RecordError(
            f"lot {lot} would leave {point} before it came", "see 'done' of both records; supersede the wrong one"
        )
    if quantity is not None and stay.quantity is not None:
        if unit != stay.unit:
            raise RecordError(
                f"lot {lot} came in by {stay.unit}, not by {unit}", "use the same unit, or no quantity"
            )
        if stay.taken + quantity > stay.quantity * (1 + ROUNDING):
            left = stay.quantity - stay.taken
            raise RecordError(
                f"{quantity:g} {unit} of lot {lot} would leave {point}, which holds {left:g}",
                "see the quantities; supersede the wrong record",
            )
        stay.taken += quantity
    stay.records.append(move.entry.id)
    if quantity is None or (stay.quantity is not None and stay.taken >= stay.quantity * (1 - ROUNDING)):
        found.append(stay.closed(move.when))
        del present[lot, point]


def _add(stay: _Open, move: Move, quantity: float | None, unit: str | None) -> None:
    """More of a lot that is there already: only as a further quantity."""
    if quantity is None or stay.quantity is None or unit != stay.unit:
        raise RecordError(
            f"lot {stay.lot} is in {stay.point} already ({stay.records[0]})",
            "record that it went out first; more of the same lot needs a quantity in the same unit in both records",
        )
    stay.quantity += quantity
    stay.records.append(move.entry.id)
