"""The compiled table and its readable twin return the same bits for the same bytes."""

import math
import struct

import pytest
from gateway_core import PURE, REQUIRED, compiled, registers
from gateway_core.registers import BCD, BIT, FLOAT, SIGNED, UNSIGNED, Guard, PureTable, Row, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_interfaces.quality import Quality

TWINS = [PureTable] if Table is PureTable else [PureTable, Table]
"""Without the compiled core the twin is tested alone; GATEWAY_REQUIRE_CORE=1 makes that an error at import."""

SIZE = 16


def test_the_compiled_core_is_used_where_there_is_one() -> None:
    assert (Table is not PureTable) == (compiled("_registers") is not None)
    assert not REQUIRED or PURE or Table is not PureTable


def bits(value: float) -> bytes:
    """A double as it is in memory, all NaN alike."""
    return b"nan" if math.isnan(value) else struct.pack(">d", value)


def orders(size: int) -> st.SearchStrategy[tuple[int, ...]]:
    words = range(size // 2)
    wire = tuple(2 * word + byte for word in words for byte in (0, 1))
    swapped = tuple(2 * word + byte for word in words for byte in (1, 0))
    low_first = tuple(2 * word + byte for word in reversed(words) for byte in (0, 1))
    return st.sampled_from([wire, swapped, low_first])


decimals = st.integers(-(10**12), 10**12) | st.sampled_from([1, -1, 10, 5])
reals = st.floats(-1e9, 1e9)


@st.composite
def guards(draw: st.DrawFn) -> Guard:
    register = draw(st.booleans())
    return Guard(
        block=draw(st.integers(0, 1)),
        at=draw(st.integers(0, SIZE - 2 if register else 8 * SIZE - 1)),
        order=draw(st.sampled_from([(0, 1), (1, 0)])) if register else (),
        shift=draw(st.integers(0, 15)) if register else 0,
        mask=draw(st.sampled_from([1, 3, 0xFF, 0xFFFF])),
        states=draw(
            st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0, 0x41, 0x85])), max_size=4).map(tuple)
        ),
        otherwise=draw(st.sampled_from([0, 0x85])),
    )


@st.composite
def rows(draw: st.DrawFn) -> Row:
    kind = draw(st.sampled_from([BIT, UNSIGNED, SIGNED, FLOAT, BCD]))
    size = draw(st.sampled_from([4, 8] if kind == FLOAT else [2, 4] if kind == BCD else [2, 4, 8]))
    field = kind == UNSIGNED and size == 2 and draw(st.booleans())
    limits = sorted(draw(st.tuples(reals, reals))) if draw(st.booleans()) else (-math.inf, math.inf)
    return Row(
        block=draw(st.integers(0, 1)),
        at=draw(st.integers(0, 8 * SIZE - 1 if kind == BIT else SIZE - size)),
        kind=kind,
        order=() if kind == BIT else draw(orders(size)),
        shift=draw(st.integers(0, 15)) if field else 0,
        mask=draw(st.sampled_from([1, 0xF, 0xFF])) if field else 0,
        multiplier=draw(decimals.filter(bool)),
        addend=draw(decimals),
        places=draw(st.integers(0, 24)),
        scale=draw(reals),
        offset=draw(reals),
        invalid=draw(st.lists(st.integers(0, 1) | st.integers(0, 2**16 - 1), max_size=3).map(tuple)),
        low=limits[0],
        high=limits[1],
        guards=draw(st.lists(guards(), max_size=2).map(tuple)),
    )


patterns = st.sampled_from(
    [
        bytes(SIZE),
        b"\xff" * SIZE,
        b"\x80" + bytes(SIZE - 1),
        b"\x7f\xff" * (SIZE // 2),
        b"\x7f\xa0\x00\x00" * (SIZE // 4),
        b"\x12\x34\x56\x78" * (SIZE // 4),
    ]
)
blocks = st.none() | st.binary(min_size=SIZE, max_size=SIZE) | patterns | st.binary(max_size=SIZE + 1)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(rows(), min_size=1, max_size=6),
    st.tuples(blocks, blocks),
    st.tuples(st.integers(0, 255), st.integers(0, 255)),
)
def test_twins_agree(table: list[Row], data: tuple[bytes | None, bytes | None], causes: tuple[int, int]) -> None:
    results = []
    for twin in TWINS:
        values, quality = twin([SIZE, SIZE], table).decode(list(data), list(causes))
        assert values.typecode == "d"
        for value, mark in zip(values, quality, strict=True):
            assert math.isnan(value) == (mark >= 0x80)
        results.append(([bits(value) for value in values], quality))
    assert all(result == results[0] for result in results)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**64 - 1), decimals.filter(bool), decimals, st.integers(0, 24), st.booleans())
def test_division_is_rounded_once(raw: int, multiplier: int, addend: int, places: int, signed: bool) -> None:
    """The nearest double to the exact fraction, also beyond 2**53 where machine numbers would round twice."""
    row = Row(
        0, 0, SIGNED if signed else UNSIGNED, tuple(range(8)), multiplier=multiplier, addend=addend, places=places
    )
    whole = raw - 2**64 if signed and raw >= 2**63 else raw
    for twin in TWINS:
        values, _ = twin([8], [row]).decode([raw.to_bytes(8, "big")], [0])
        assert values[0] == (whole * multiplier + addend) / 10**places


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("places", range(23))
def test_all_powers_of_ten_are_exact(twin: type[PureTable], places: int) -> None:
    row = Row(0, 0, UNSIGNED, (0, 1, 2, 3), places=places)
    for raw in (1, 3, 7, 4294967295):
        values, _ = twin([4], [row]).decode([raw.to_bytes(4, "big")], [0])
        assert values[0] == float(f"{raw}e-{places}")


@pytest.mark.parametrize("twin", TWINS)
def test_a_guard_may_doubt_without_withholding(twin: type[PureTable]) -> None:
    """A state below the bad ones keeps the value and gives it its quality; the worst of several counts."""
    guard = Guard(0, 2, (0, 1), 0, 0xFFFF, ((1, 0x41), (2, 0x85)), 0)
    row = Row(0, 0, UNSIGNED, (0, 1), guards=(guard, guard))
    table = twin([4], [row])
    values, quality = table.decode([b"\0\x07\0\x01"], [0])
    assert (values[0], quality) == (7, b"\x41")
    values, quality = table.decode([b"\0\x07\0\x02"], [0])
    assert (math.isnan(values[0]), quality) == (True, b"\x85")


@pytest.mark.parametrize("twin", TWINS)
def test_a_sentinel_beats_a_doubt(twin: type[PureTable]) -> None:
    guard = Guard(0, 2, (0, 1), 0, 0xFFFF, (), 0x41)
    row = Row(0, 0, UNSIGNED, (0, 1), invalid=(7,), guards=(guard,))
    assert twin([4], [row]).decode([b"\0\x07\0\x01"], [0])[1] == bytes([Quality.SENSOR_FAULT])


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize(
    "row",
    [
        Row(1, 0, UNSIGNED, (0, 1)),
        Row(-1, 0, UNSIGNED, (0, 1)),
        Row(0, 3, UNSIGNED, (0, 1)),
        Row(0, -1, UNSIGNED, (0, 1)),
        Row(0, 0, UNSIGNED, (0, -1)),
        Row(0, 32, BIT),
        Row(0, 0, UNSIGNED, (0, 1), guards=(Guard(0, 4, (0, 1), 0, 1, (), 0),)),
        Row(0, 0, UNSIGNED, (0, 1), guards=(Guard(2, 0, (), 0, 1, (), 0),)),
    ],
)
def test_a_row_outside_its_block_is_refused_at_once(twin: type[PureTable], row: Row) -> None:
    with pytest.raises(ValueError, match=r"outside block|there is no block"):
        twin([4], [row])


@pytest.mark.parametrize("twin", TWINS)
def test_the_number_of_blocks_must_be_right(twin: type[PureTable]) -> None:
    table = twin([4], [Row(0, 0, UNSIGNED, (0, 1))])
    for wrong in ([], [b"1234", b"1234"]):
        with pytest.raises(ValueError, match="1 blocks and qualities are needed"):
            table.decode(wrong, [0] * len(wrong))
    with pytest.raises(ValueError, match="1 blocks and qualities are needed"):
        table.decode([b"1234"], [])


@pytest.mark.parametrize("twin", TWINS)
def test_no_rows_are_no_values(twin: type[PureTable]) -> None:
    values, quality = twin([], []).decode((), ())
    assert (len(values), quality) == (0, b"")


def test_the_twin_stays_reachable_beside_the_compiled_table() -> None:
    assert registers.PureTable is PureTable
