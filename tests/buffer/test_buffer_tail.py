"""The tail: groups in segments that are overwritten in place."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.buffer import tail
from gateway.buffer.tail import BEGINNING, Group, Place
from gateway.model import ClockClaim, ClockState

CLAIM = ClockClaim(bytes(range(16)), 123_456, 1_795_360_000_000, 20, ClockState.HOLDOVER)


def group(records: bytes, clock: ClockClaim = CLAIM) -> Group:
    return Group(clock, b"layout-1", records)


@pytest.fixture
def connection():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("PRAGMA page_size=512")
    connection.execute("CREATE TABLE tail(id INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
    yield connection
    connection.close()


@pytest.mark.parametrize(
    "clock", [CLAIM, ClockClaim(bytes(16), 0, None, None, ClockState.UNTRUSTED), CLAIM._replace(boot_ms=2**50)]
)
def test_a_group_comes_back_with_its_clock_and_layout(clock):
    assert Group.from_bytes(group(b"records", clock).to_bytes()) == group(b"records", clock)


@given(sizes=st.lists(st.lists(st.integers(0, 20_000), max_size=6), max_size=5))
def test_what_was_appended_for_a_batch_is_read_for_it_and_what_is_older_is_history(sizes):
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE tail(id INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
    for seq, of_batch in enumerate(sizes, 1):
        written, place = [], BEGINNING
        for number, size in enumerate(of_batch):
            written.append(group(bytes([seq, number]) * (size // 2)))
            place = tail.append(connection, place, seq, written[-1])
        assert tail.read(connection, seq) == written
        assert tail.read(connection, seq + 1) == []
    connection.close()


def test_a_segment_is_allocated_once_and_then_overwritten(connection):
    for seq in range(1, 50):
        place = BEGINNING
        for _ in range(10):
            place = tail.append(connection, place, seq, group(bytes(2000)))
    assert [row[0] for row in connection.execute("SELECT length(blob) FROM tail")] == [tail.SEGMENT] * 4


def test_a_group_larger_than_a_segment_gets_one_of_its_own(connection):
    place = tail.append(connection, BEGINNING, 1, group(b"small"))
    place = tail.append(connection, place, 1, group(bytes(50_000)))
    place = tail.append(connection, place, 1, group(b"after"))
    assert place.segment == 3
    assert [len(found.records) for found in tail.read(connection, 1)] == [5, 50_000, 5]


@given(data=st.data())
def test_damage_ends_the_groups_of_a_segment_and_never_alters_one(data):
    groups = [group(bytes([number]) * 40) for number in range(5)]
    segment = bytearray(tail.START) + b"".join(tail.frame(7, item.to_bytes()) for item in groups) + bytes(100)
    at = data.draw(st.integers(tail.START, len(segment) - 101))
    segment[at] ^= data.draw(st.integers(1, 255))
    found = list(tail.groups_of(bytes(segment), 7))
    assert found == groups[: len(found)]
    assert len(found) == (at - tail.START) // len(tail.frame(7, groups[0].to_bytes()))


@given(segment=st.binary(max_size=300))
def test_noise_holds_no_group(segment):
    assert list(tail.groups_of(bytes(tail.START) + segment, 7)) == []
    assert tail.owner(segment) == 0


def test_an_error_of_the_store_is_not_taken_for_a_missing_segment(connection):
    connection.execute("DROP TABLE tail")
    with pytest.raises(sqlite3.OperationalError):
        tail.append(connection, Place(), 1, group(b"x"))
