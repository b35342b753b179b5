"""What the scenarios count: losses, duplicates and periods from the simulator's dump and the sink's file."""

import json
import struct
from collections import Counter

import pytest

from bench.peers import Poll, json_polls
from bench.scenarios import account, intervals_ms, percentile, spread
from bench.stage import Job, Message, Read, read_messages, read_records

MS = 1_000_000


def record(at_ns: int, topic: bytes, payload: bytes) -> bytes:
    return struct.pack("=QII", at_ns, len(topic), len(payload)) + topic + payload


def test_what_was_read_and_never_came_is_lost_and_what_came_twice_is_duplicated() -> None:
    reads = [Read(1, 1, 10), Read(2, 1, 20), Read(1, 2, 30)]
    found = account(reads, Counter([Poll(1, 1), Poll(1, 1), Poll(1, 1), Poll(2, 1), Poll(9, 9)]))
    assert (found.polls, found.lost, found.duplicated) == (3, [Read(1, 2, 30)], 2)


def test_periods_are_those_of_each_unit_inside_the_window() -> None:
    reads = [Read(u, n, (1000 * n + 10 * u) * MS) for n in range(5) for u in (1, 2, 7)]
    assert intervals_ms(reads, 1000 * MS, 4000 * MS, without=7) == [1000.0] * 4
    assert spread([]) == {"mean_ms": None, "p99_ms": None, "max_ms": None}
    assert spread([1.0, 3.0]) == {"mean_ms": 2.0, "p99_ms": 3.0, "max_ms": 3.0}


def test_percentiles() -> None:
    assert percentile(range(100), 0.99) == 99
    assert percentile(range(1000), 0.5) == 500
    assert percentile([], 0.5) is None


def test_an_unfinished_record_of_the_sink_waits_for_its_rest() -> None:
    whole = record(1, b"bench/x", b"{}") + record(2, b"t", b"")
    assert list(read_messages(whole)) == [Message(1, "bench/x", b"{}"), Message(2, "t", b"")]
    for size in range(len(whole) - 1, 0, -1):
        assert list(read_messages(whole[:size])) == [Message(1, "bench/x", b"{}")][: size >= 25]


def test_the_simulators_dump() -> None:
    assert read_records(struct.pack("=IIQIIQ", 1, 70000, 5, 2, 1, 6)) == [Read(1, 70000, 5), Read(2, 1, 6)]
    with pytest.raises(struct.error):
        read_records(b"torn")


def test_messages_of_the_anchors_carry_the_number_in_two_registers() -> None:
    poll = {"d": 3, "ts": 0, "v": [1, 2, 99]}
    for document in (poll, [poll]):
        assert json_polls(Message(0, "bench/script", json.dumps(document).encode())) == [Poll(3, 1 + 2 * 65536)]


def test_a_job_knows_its_rate() -> None:
    assert Job().values_per_s == 1000
    assert Job(period_ms=20).values_per_s == 50_000
