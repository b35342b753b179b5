"""The columns of a channel: nothing is lost in a row of ``day``, and no order of arrival shows in it."""

import zlib
from array import array
from itertools import accumulate

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cluster.derive.segment import DAY_MS, Segment, decode, encode, joined, pieces
from gateway.errors import SealError

NAN = float("nan")
GOODS = st.sampled_from([0x00, 0x41, 0x45])
BADS = st.sampled_from([0x81, 0x84, 0x8A])
DECIMAL = st.integers(-400, 400).map(lambda count: count / 10)
DOUBLE = st.floats(allow_nan=False) | st.just(-0.0)


@st.composite
def segments(draw: st.DrawFn, values: st.SearchStrategy[float] = DECIMAL | DOUBLE) -> Segment:
    steps = draw(st.lists(st.integers(0, 30) | st.just(1000) | st.integers(0, 3 * DAY_MS), max_size=40))
    first = draw(st.integers(0, 2**41))
    times = array("q", accumulate(steps, initial=first)) if draw(st.booleans()) or steps else array("q")
    quality = bytes(draw(st.lists(GOODS | BADS, min_size=len(times), max_size=len(times))))
    numbers = [NAN if mark >= 0x80 else draw(values) for mark in quality]
    return Segment(times, array("d", numbers), quality)


def exactly(segment: Segment) -> tuple[bytes, bytes, bytes]:
    """To the bit, NaN and -0.0 included."""
    return segment.times.tobytes(), segment.values.tobytes(), segment.quality


@given(segments(), st.none() | st.integers(0, 22), st.sampled_from([1, 1000, 10_000]))
def test_nothing_is_lost(segment: Segment, decimals: int | None, period: int) -> None:
    assert exactly(decode(encode(segment, decimals, period))) == exactly(segment)


@given(segments(DECIMAL), st.data())
def test_any_cut_gives_the_same_segment(segment: Segment, data: st.DataObject) -> None:
    whole = joined([segment])
    places = data.draw(st.permutations(range(len(segment.times))))
    cut = data.draw(st.integers(0, len(places)))
    parts = [
        Segment(
            array("q", [segment.times[i] for i in part]),
            array("d", [segment.values[i] for i in part]),
            bytes(segment.quality[i] for i in part),
        )
        for part in (places[:cut], places[cut:])
    ]
    assert exactly(joined(parts)) == exactly(whole)
    assert encode(joined(parts), 1, 1000) == encode(whole, 1, 1000)


@given(segments())
def test_pieces_are_the_whole(segment: Segment) -> None:
    found = list(pieces(segment, DAY_MS))
    assert exactly(joined(part for _, part in found)) == exactly(joined([segment]))
    assert [number for number, _ in found] == sorted({at // DAY_MS for at in segment.times})
    for number, part in found:
        assert all(at // DAY_MS == number for at in part.times)


@given(segments(), st.integers(0, 2**42), st.integers(0, 2**42))
def test_a_part_is_cut_by_time(segment: Segment, start: int, end: int) -> None:
    assert list(segment.between(start, end).times) == [at for at in segment.times if start <= at < end]


def test_a_usual_day_is_small() -> None:
    """Ten seconds, a few milliseconds of jitter, one decimal: about a byte for each value."""
    count = 8640
    times = array("q", [1_795_392_000_000 + 10_000 * i + i * 7919 % 11 for i in range(count)])
    values = array("d", [(40 + (i * 31 // 97) % 12) / 10 for i in range(count)])
    body = encode(Segment(times, values, bytes(count)), 1, 10_000)
    assert len(body) < 1.2 * count
    assert exactly(decode(body)) == exactly(Segment(times, values, bytes(count)))


def test_a_wide_range_of_values() -> None:
    """More distinct values than the fast way knows."""
    values = array("d", [count / 100 for count in range(-700, 700, 3)])
    segment = Segment(array("q", range(len(values))), values, bytes(len(values)))
    assert exactly(decode(encode(segment, 2, 1))) == exactly(segment)


GOOD = Segment(array("q", [10, 20, 31]), array("d", [0.1, NAN, 0.3]), bytes([0, 0x81, 0]))


def packed(**changes: object) -> bytes:
    """A good segment with some of its content replaced."""
    content = cbor2.loads(zlib.decompress(encode(GOOD, 1, 10)[1:]))
    content |= {int(key[1:]): value for key, value in changes.items()}
    return b"\x01" + zlib.compress(cbor2.dumps(content))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x02" + encode(GOOD, 1, 10)[1:],
        encode(GOOD, 1, 10)[:-3],
        encode(GOOD, 1, 10) + b"x",
        b"\x01" + zlib.compress(b"\x01"),
        packed(_1=4),
        packed(_1=2**40),
        packed(_2=23),
        packed(_2=None),
        packed(_3=-1),
        packed(_3=2**62, _4=2**53),
        packed(_4=-10),
        packed(_5=[b"\0\0"]),
        packed(_5=[b"\0\0\0"] * 9),
        packed(_5=[1]),
        packed(_6=b"\0\0"),
        packed(_6=cbor2.CBORTag(64, b"\0\0\0")),
        packed(_7=cbor2.CBORTag(64, b"\1\1")),
        packed(_7=cbor2.CBORTag(64, b"\1\1\1"), _8=b"\0\0"),
        packed(_9="base"),
        packed(_9=2**70),
    ],
)
def test_broken_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(SealError, match="bad-segment"):
        decode(body)


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda data: b"\x01" + zlib.compress(data)))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        segment = decode(body)
    except SealError:
        return
    assert len(segment.times) == len(segment.values) == len(segment.quality)
