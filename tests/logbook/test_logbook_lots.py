"""Where lots have been, from records of what came and what went."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from logbook_tools import MORNING, Desk

from gateway.errors import RecordError

SLOW_MACHINE = [HealthCheck.too_slow]
"""Other jobs on the machine are no fault of a test."""


def shown(desk: Desk, lot: str | None = None) -> list[tuple[str, str, int, int | None]]:
    """Lot, zone, minutes after the first record at which it came and left."""
    found = []
    for stretch in desk.book.stretches(lot):
        left = None if stretch.left is None else ((stretch.left.utc_ms or 0) - MORNING) // 60_000
        found.append((stretch.lot, stretch.point, ((stretch.came.utc_ms or 0) - MORNING) // 60_000, left))
    return found


class TestStretches:
    def test_in_and_out(self) -> None:
        desk = Desk()
        desk.lot("in")
        assert shown(desk) == [("L1", "room", 0, None)]
        desk.lot("out")
        desk.lot("in", point="dock")
        assert shown(desk) == [("L1", "room", 0, 1), ("L1", "dock", 2, None)]
        assert [stretch.point for stretch in desk.book.open_lots()] == ["dock"]

    def test_quantities(self) -> None:
        desk = Desk()
        desk.lot("in", quantity=0.3, unit="KGM")
        desk.lot("in", quantity=0.3, unit="KGM")
        desk.lot("out", quantity=0.1, unit="KGM")
        assert shown(desk) == [("L1", "room", 0, None)]
        desk.lot("out", quantity=0.5, unit="KGM")
        assert shown(desk) == [("L1", "room", 0, 3)]
        (stretch,) = desk.book.stretches()
        assert (stretch.quantity, stretch.unit, len(stretch.records)) == (0.6, "KGM", 4)

    def test_lots_of_two_products_are_two_lots(self) -> None:
        desk = Desk()
        desk.lot("in")
        desk.lot("in", gtin="09506000134352")
        desk.lot("in", lot=None, sscc="376104250021234569")
        desk.lot("in", lot=None, gtin="9506000134352", serial="7")
        assert [lot for lot, *_ in shown(desk)] == [
            "L1", "(01)09506000134352(10)L1", "(00)376104250021234569", "(01)09506000134352(21)7",
        ]  # fmt: skip
        assert len(shown(desk, "L1")) == 2, "a lot number finds the lot of either product"
        assert len(shown(desk, "(01)09506000134352(10)L1")) == 1

    @pytest.mark.parametrize(
        ("earlier", "fields", "words"),
        [
            ([], {"direction": "out"}, "lot L1 is not in room"),
            ([{"direction": "in"}], {"direction": "in"}, "is in room already"),
            ([{"direction": "in"}], {"direction": "in", "quantity": 1, "unit": "KGM"}, "is in room already"),
            ([{"direction": "in"}], {"direction": "out", "point": "dock"}, "is not in dock"),
            ([{"direction": "in"}], {"direction": "out", "done": "2026-11-24T05:00Z"}, "before it came"),
            (
                [{"direction": "in", "quantity": 5, "unit": "KGM"}],
                {"direction": "out", "quantity": 5, "unit": "boxes"},
                "came in by KGM, not by boxes",
            ),
            (
                [{"direction": "in", "quantity": 5, "unit": "KGM"}],
                {"direction": "out", "quantity": 5.1, "unit": "KGM"},
                "5.1 KGM of lot L1 would leave room, which holds 5",
            ),
        ],
    )
    def test_what_contradicts_the_record(self, earlier, fields, words) -> None:
        desk = Desk()
        for entry in earlier:
            desk.lot(**entry)
        with pytest.raises(RecordError, match=words):
            desk.lot(**fields)


class TestRestart:
    def test_a_corrected_beginning_keeps_its_place_when_retention_took_the_first_version(self) -> None:
        desk = Desk()
        wrong = desk.lot("in", point="dock", quantity=5, unit="KGM")
        desk.supersede(wrong.id, point="room")
        desk.lot("out", quantity=2, unit="KGM")
        right = desk.supersede(desk.book.newest(wrong.id).id, quantity=6)
        memory = desk.book.memory()
        del desk.stream[:2]
        book = desk.again(memory)
        (stretch,) = book.open_lots()
        assert (stretch.quantity, stretch.records[0]) == (6, right.id)
        assert book.stretches() == desk.book.stretches()


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["in", "out", "change", "withdraw"]),
        st.sampled_from(["room", "dock"]),
        st.sampled_from(["L1", "L2"]),
        st.integers(0, 9),
    ),
    max_size=14,
)


@settings(deadline=None, max_examples=60, suppress_health_check=SLOW_MACHINE)
@given(CHANGES)
def test_what_is_reckoned_on_the_way_is_what_the_whole_stream_says(changes) -> None:
    desk = Desk()
    for what, point, lot, which in changes:
        entries = desk.book.entries()
        try:
            if what in {"in", "out"}:
                desk.lot(what, point, lot, quantity=which + 1, unit="KGM")
            elif entries:
                entry = desk.book.newest(entries[which % len(entries)].id)
                desk.supersede(
                    entry.id, **({"withdraw": True} if what == "withdraw" else {"point": point, "lot": lot})
                )
        except RecordError:
            continue
        assert desk.book.stretches() == desk.again().stretches()
        assert desk.book.open_lots() == desk.again(desk.book.memory()).open_lots()


class TestCorrections:
    def test_a_wrong_zone_is_put_right_at_its_place(self) -> None:
        desk = Desk()
        wrong = desk.lot("in", point="dock")
        desk.lot("in", lot="L2")
        desk.supersede(wrong.id, point="room")
        desk.lot("out")
        assert shown(desk, "L1") == [("L1", "room", 0, 3)]

    def test_a_correction_that_would_leave_a_lot_without_a_beginning(self) -> None:
        desk = Desk()
        came = desk.lot("in")
        desk.lot("out")
        with pytest.raises(RecordError, match="not in room"):
            desk.supersede(came.id, withdraw=True)
        with pytest.raises(RecordError, match="not in room"):
            desk.supersede(came.id, lot="L2")
        assert shown(desk) == [("L1", "room", 0, 1)]

    def test_another_lot_brings_its_own_keys(self) -> None:
        desk = Desk()
        wrong = desk.lot("in", gtin="09506000134352")
        right = desk.supersede(wrong.id, lot="L2")
        assert (right.data["lot"], right.data["gtin"]) == ("L2", None)

    def test_a_lot_whose_beginning_retention_took_can_still_be_recorded(self) -> None:
        desk = Desk()
        desk.lot("in")
        desk.lot("out")
        del desk.stream[0]
        later = Desk()
        for item in desk.stream:
            later.book.take(*item)
        later.lot("in")
        assert [stretch.left for stretch in later.book.stretches()] == [None]


MOVES = st.lists(
    st.tuples(st.sampled_from(["in", "out"]), st.sampled_from(["room", "dock"]), st.sampled_from([None, 1, 2, 5])),
    max_size=12,
)


@settings(deadline=None, max_examples=60, suppress_health_check=SLOW_MACHINE)
@given(MOVES)
def test_what_is_accepted_is_a_way_that_a_lot_can_go(moves) -> None:
    """Against a plain model: quantities never below nothing, no zone left that was not entered."""
    desk = Desk()
    held: dict[str, float | None] = {}
    for direction, point, quantity in moves:
        fields = {} if quantity is None else {"quantity": quantity, "unit": "KGM"}
        there = point in held
        if direction == "in":
            fits = not there or (quantity is not None and held[point] is not None)
        else:
            fits = there and (quantity is None or held[point] is None or quantity <= held[point])
        if not fits:
            with pytest.raises(RecordError):
                desk.lot(direction, point, **fields)
            continue
        desk.lot(direction, point, **fields)
        if direction == "in":
            held[point] = quantity if not there else held[point] + quantity
        elif quantity is None or (held[point] is not None and held[point] == quantity):
            del held[point]
        elif held[point] is not None:
            held[point] -= quantity
        assert {stretch.point for stretch in desk.book.open_lots()} == held.keys()
