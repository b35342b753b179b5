"""What waits in memory: bounded, in order, accounted for."""

from array import array

from buffer_bench import make_layout, scan, slots_of
from hypothesis import given
from hypothesis import strategies as st

from gateway.buffer.backlog import Backlog, fold, weight
from gateway.buffer.border import encodable
from gateway.model import Miss, Quality, Scan


def test_records_are_taken_in_the_order_in_which_they_came():
    backlog = Backlog()
    records = [scan(0, 1), Miss(1, 1, 1, Quality.TIMEOUT), scan(0, 2)]
    for record in records:
        backlog.add(record)
    assert backlog.values == 9
    assert backlog.take() == records
    assert (backlog.values, backlog.take()) == (0, [])


def test_what_is_given_back_stands_before_what_came_since():
    backlog = Backlog()
    backlog.add(scan(0, 1))
    taken = backlog.take()
    backlog.add(scan(0, 2))
    backlog.give_back(taken)
    assert slots_of(backlog.take()) == [(0, 1), (0, 2)]


def test_beyond_the_limit_the_oldest_scans_become_runs_that_were_not_stored():
    backlog = Backlog(limit=400)
    for slot in range(200):
        backlog.add(scan(0, slot))
    assert backlog.values <= 400
    first, *rest = backlog.take()
    assert isinstance(first, Miss)
    assert first.quality == Quality.NOT_STORED
    assert backlog.dropped == first.count * 4
    assert slots_of([first, *rest]) == [(0, slot) for slot in range(200)]
    assert rest[0] == scan(0, first.count)


def test_the_causes_of_misses_survive_the_folding():
    folded = fold([Miss(0, 1, 2, Quality.TIMEOUT), scan(0, 3), scan(0, 4), Miss(0, 5, 1, Quality.BUS_DOWN)])
    assert folded == [
        Miss(0, 1, 2, Quality.TIMEOUT),
        Miss(0, 3, 2, Quality.NOT_STORED),
        Miss(0, 5, 1, Quality.BUS_DOWN),
    ]


def test_causes_that_alternate_for_ever_do_not_take_memory_for_ever():
    causes = (Quality.TIMEOUT, Quality.BUS_DOWN)
    folded = fold(Miss(0, slot, 1, causes[slot % 2]) for slot in range(10_000))
    assert len(folded) == 64
    assert slots_of(folded) == [(0, slot) for slot in range(10_000)]


@given(
    script=st.lists(
        st.tuples(st.integers(0, 2), st.booleans(), st.sampled_from(["add", "add", "fail"])), max_size=300
    ),
    limit=st.integers(1, 60),
)
def test_every_slot_comes_out_exactly_once_whatever_fails(script, limit):
    backlog = Backlog(limit)
    next_slot = [0, 0, 0]
    for device, answered, step in script:
        slot = next_slot[device]
        next_slot[device] += 1
        backlog.add(scan(device, slot) if answered else Miss(device, slot, 1, Quality.TIMEOUT))
        if step == "fail":
            backlog.give_back(backlog.take())
        assert backlog.values == sum(map(weight, backlog.records))
    slots = slots_of(backlog.take())
    assert sorted(slots) == sorted((device, slot) for device in range(3) for slot in range(next_slot[device]))
    for device in range(3):
        assert [slot for of, slot in slots if of == device] == list(range(next_slot[device]))


@given(
    records=st.lists(
        st.one_of(
            st.builds(scan, st.integers(-1, 3), st.integers(-2, 30), columns=st.sampled_from([4, 4, 3])),
            st.builds(
                Miss,
                st.integers(-1, 3),
                st.integers(-2, 30),
                st.integers(-1, 9),
                st.sampled_from([0x81, 0x82, 0, 7]),
            ),
        ),
        max_size=30,
    )
)
def test_what_passes_the_border_accounts_for_each_slot_at_most_once(records):
    kept, refused = encodable(make_layout(), records)
    slots = slots_of(kept)
    assert len(slots) == len(set(slots))
    assert refused == len(records) - sum(record in kept for record in records) or refused > 0
    for record in records:
        sound = 0 <= record.device < 3 and record.slot >= 0 and (isinstance(record, Scan) or record.count > 0)
        if sound:
            assert set(slots_of([record])) <= set(slots)


def test_a_scan_of_the_wrong_shape_becomes_a_missed_slot():
    bad = Scan(0, 5, 5007, array("d", [1.0]), bytes(1))
    assert encodable(make_layout(), [bad]) == ([Miss(0, 5, 1, Quality.NOT_STORED)], 1)
