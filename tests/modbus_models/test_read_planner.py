"""Reads are few, within the device's limits, and never tear a value; a rejected block falls into its values."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_interfaces.modbus.model import Channel, DeviceModel, LinkFacts, Span, load_model
from firmware_interfaces.modbus.nouns import Fault
from firmware_interfaces.modbus.planner import Read, plan_reads, split, supplier
from firmware_interfaces.quality import Quality

BASE = load_model("generic-registers-20")


def device(**link: int) -> DeviceModel:
    return replace(BASE, link=LinkFacts(address_base=0, **link))


def channel(address: int, count: int = 1, function: int = 3, faults: Sequence[Span] = ()) -> Channel:
    kind = {1: "uint16", 2: "uint32", 4: "uint64"}[count] if function in {3, 4} else "bool"
    return Channel(
        key=f"c{function}_{address}_{count}",
        title="",
        function=function,
        address=address,
        count=count,
        type=kind,
        faults=tuple(Fault(span, 0, 1, ((1, Quality.SENSOR_FAULT),), Quality.GOOD) for span in faults),
    )


def needed(channels: Sequence[Channel]) -> set[Span]:
    return {span for each in channels for span in each.spans}


spans = st.builds(
    lambda function, address, count: (function, address, 1 if function in {1, 2} else count),
    st.integers(1, 4),
    st.integers(0, 60),
    st.sampled_from([1, 1, 1, 2, 4]),
)
channel_sets = st.lists(
    st.builds(
        lambda own, faults: channel(own[1], own[2], own[0], [Span(f, a, 1) for f, a, _ in faults]),
        spans,
        st.lists(spans, max_size=2),
    ),
    min_size=1,
    max_size=25,
)
devices = st.builds(
    lambda registers, bits, holes: device(max_registers=registers, max_bits=bits, fill_holes=holes),
    st.integers(4, 40),
    st.integers(1, 40),
    st.integers(0, 12),
)


def test_twenty_registers_are_one_read() -> None:
    assert plan_reads(BASE, BASE.channels.values()) == (Read(3, 0, 20),)


def test_holes_are_passed_over_only_where_the_model_says_so() -> None:
    channels = [channel(0), channel(3), channel(10)]
    assert plan_reads(device(), channels) == (Read(3, 0, 1), Read(3, 3, 1), Read(3, 10, 1))
    assert plan_reads(device(fill_holes=2), channels) == (Read(3, 0, 4), Read(3, 10, 1))
    assert plan_reads(device(fill_holes=6), channels) == (Read(3, 0, 11),)


def test_a_value_goes_whole_into_the_next_read() -> None:
    channels = [channel(0), channel(1), channel(2, 4)]
    assert plan_reads(device(max_registers=5), channels) == (Read(3, 0, 2), Read(3, 2, 4))


def test_fault_references_are_read_too() -> None:
    channels = [channel(100, faults=[Span(2, 7, 1), Span(3, 101, 1)])]
    assert set(plan_reads(device(), channels)) == {Read(3, 100, 2), Read(2, 7, 1)}


def test_the_first_read_holds_the_first_channel() -> None:
    channels = [channel(500), channel(3, function=1), channel(0)]
    assert plan_reads(device(), channels)[0] == Read(3, 500, 1)


def test_functions_are_never_mixed() -> None:
    channels = [channel(0), channel(1, function=4), channel(2, function=1), channel(3, function=2)]
    assert {read.function for read in plan_reads(device(fill_holes=50), channels)} == {1, 2, 3, 4}


def test_nothing_needs_no_read() -> None:
    assert plan_reads(BASE, ()) == ()


@given(devices, channel_sets)
def test_every_span_lies_whole_in_a_read_within_limits(model: DeviceModel, channels: list[Channel]) -> None:
    reads = plan_reads(model, channels)
    assert len(set(reads)) == len(reads)
    for span in needed(channels):
        assert any(read.covers(span) for read in reads)
    for read in reads:
        limit = model.link.max_bits if read.function in {1, 2} else model.link.max_registers
        assert 1 <= read.count <= limit


@given(devices, channel_sets)
def test_holes_are_no_longer_than_allowed(model: DeviceModel, channels: list[Channel]) -> None:
    for read in plan_reads(model, channels):
        used = {(span.function, span.address + offset) for span in needed(channels) for offset in range(span.count)}
        hole = 0
        for address in range(read.address, read.address + read.count):
            hole = 0 if (read.function, address) in used else hole + 1
            assert hole <= model.link.fill_holes
        assert (read.function, read.address) in used
        assert hole == 0


@given(st.sets(st.integers(0, 14), min_size=1), st.integers(1, 6), st.integers(0, 4))
def test_no_plan_has_fewer_reads(addresses: set[int], longest: int, holes: int) -> None:
    """Against every way to cut the sorted registers into runs that a read may hold."""
    ordered = sorted(addresses)
    fewest = [0] + [len(ordered)] * len(ordered)
    for end in range(1, len(ordered) + 1):
        for start in range(end):
            run = ordered[start:end]
            gaps = all(b - a - 1 <= holes for a, b in pairwise(run))
            if gaps and run[-1] - run[0] < longest:
                fewest[end] = min(fewest[end], fewest[start] + 1)
    model = device(max_registers=longest, fill_holes=holes)
    assert len(plan_reads(model, [channel(address) for address in ordered])) == fewest[-1]


def test_a_rejected_block_is_first_cut_at_its_holes() -> None:
    model = device(fill_holes=5)
    channels = [channel(0), channel(1), channel(4), channel(9)]
    reads = plan_reads(model, channels)
    assert split(reads, reads[0], channels, model) == (Read(3, 0, 2), Read(3, 4, 1), Read(3, 9, 1))


def test_a_rejected_block_without_holes_is_halved() -> None:
    channels = [channel(address) for address in range(5)]
    reads = (Read(4, 7, 1), Read(3, 0, 5))
    split_reads = split(reads, reads[1], [*channels, channel(7, function=4)], BASE)
    assert split_reads == (Read(4, 7, 1), Read(3, 0, 2), Read(3, 2, 3))


def test_a_block_with_one_value_stays() -> None:
    channels = [channel(10, 4)]
    reads = plan_reads(BASE, channels)
    assert split(reads, reads[0], channels, BASE) == reads


def test_values_that_share_registers_are_told_apart() -> None:
    """A register and a pair that begins with it: if the second register does not exist, the first still reads."""
    channels = [channel(10), channel(10, 2)]
    reads = plan_reads(BASE, channels)
    assert reads == (Read(3, 10, 2),)
    apart = split(reads, reads[0], channels, BASE)
    assert set(apart) == {Read(3, 10, 1), Read(3, 10, 2)}
    assert apart[supplier(apart, channels[0].span) or 0] == Read(3, 10, 1)
    assert split(apart, Read(3, 10, 2), channels, BASE) == apart


@given(devices, channel_sets, st.sets(st.tuples(st.integers(1, 4), st.integers(0, 63))))
def test_splitting_ends_with_all_that_the_device_has(
    model: DeviceModel, channels: list[Channel], missing: set[tuple[int, int]]
) -> None:
    """Play the device: it rejects every read that touches an address it does not have."""

    def rejects(read: Read | Span) -> bool:
        return any((read.function, read.address + offset) in missing for offset in range(read.count))

    reads = plan_reads(model, channels)
    given_up: set[Read] = set()
    rounds = 0
    while rejected := [read for read in reads if read not in given_up and rejects(read)]:
        rounds += 1
        assert rounds <= 4 * len(needed(channels))
        after = split(reads, rejected[0], channels, model)
        if after == reads:
            given_up.add(rejected[0])
        for span in needed(channels):
            assert supplier(after, span) is not None
        for read in after:
            limit = model.link.max_bits if read.function in {1, 2} else model.link.max_registers
            assert read.count <= limit
        reads = after
    for span in needed(channels):
        index = supplier(reads, span)
        assert index is not None
        assert (reads[index] in given_up) == rejects(span)


@pytest.mark.parametrize("name", ["danfoss-ekc202d", "eliwell-idplus", "pzem-016", "eastron-sdm230"])
def test_shipped_models_keep_their_limits(name: str) -> None:
    model = load_model(name)
    for read in plan_reads(model, model.channels.values()):
        assert read.count <= model.link.max_registers
