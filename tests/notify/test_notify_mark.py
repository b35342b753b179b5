"""How far an output came outlives the process: kept, read again, never twice where the end was orderly."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notify_tools import AWAY, HandClock, notifying, output, site_of, until
from test_notify_feed import LAYOUT, POINTS, Taker, scan, taker  # noqa: F401 - the fixture

from gateway.errors import StorageError
from gateway.model import Layout, Miss, Quality, Scan
from gateway.notify.mark import Mark, Recalled

BOOTS = st.binary(min_size=16, max_size=16)
SLOTS = st.integers(0, 2**50)


class Journal:
    """Every record that was put, as the journal has it: what a mark does not cover, the newest so many."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.kept: list[Recalled] = []
        self.broken = False

    def put(self, record: Scan | Miss, layout: Layout = LAYOUT) -> None:
        self.kept.append(Recalled(self.clock(), layout.devices[record.device], record))

    async def __call__(self, mark: Mark, most: int) -> tuple[list[Recalled], bool]:
        if self.broken:
            raise StorageError("the journal is damaged")
        found = [
            one
            for one in self.kept
            if not mark.covers(one.clock.boot, one.device.id, one.record.slot, getattr(one.record, "at_ms", 0))
        ]
        return found[-most:], len(found) <= most


@pytest.fixture
def world(tmp_path: Path) -> tuple[Journal, Callable[..., Any]]:
    """A journal, and how to begin a notifier over it."""
    clock = HandClock()
    journal = Journal(clock)
    spec = output("feed", type="taker", to=(), sends=False, values=True)
    site = site_of(tmp_path, [spec], [], points=POINTS)

    def begin(layout: Layout = LAYOUT) -> Any:
        return notifying(site, clock, layout=layout, recall=journal)

    return journal, begin


def slots() -> list[int]:
    return [reading.slot for reading in Taker.given]


World = tuple[Journal, Callable[..., Any]]


async def give(found: Any, journal: Journal, *numbers: int) -> None:
    for number in numbers:
        record = replace(scan(number), at_ms=journal.clock().boot_ms - 50)  # It was answered a moment ago.
        journal.put(record)
        found.notifier.values(record)


async def taken(count: int) -> None:
    await until(lambda: len(Taker.given) >= count)


async def test_what_was_taken_is_not_given_again_and_what_came_meanwhile_is_given_first(world: World) -> None:
    journal, begin = world
    async with begin() as found:
        await give(found, journal, 1, 2)
        await taken(2)
    for number in (3, 4):
        journal.put(scan(number))  # Recorded while nobody gave anything.
    async with begin() as found:
        await give(found, journal, 5, 6)
        await taken(6)
    assert slots() == [1, 2, 3, 4, 5, 6]
    assert [reading.stored for reading in Taker.given] == [False, False, True, True, False, False]


async def test_what_an_output_refused_to_the_end_is_given_by_the_next_process(world: World) -> None:
    journal, begin = world
    async with begin() as found:
        Taker.failures.extend([AWAY] * 1000)
        await give(found, journal, 1, 2, 3)
        await until(lambda: len(Taker.failures) < 1000)
    Taker.failures.clear()
    async with begin():
        await taken(3)
    assert slots() == [1, 2, 3]
    assert all(reading.stored for reading in Taker.given)


async def test_over_a_reboot_each_record_has_the_time_of_its_own_boot(world: World) -> None:
    journal, begin = world
    async with begin() as found:
        await give(found, journal, 1)
        await taken(1)
    journal.put(scan(2))
    was = journal.clock().utc_at(90_002)
    journal.clock.reboot(off_s=3600)
    journal.put(scan(0))
    async with begin():
        await taken(3)
    assert slots() == [1, 2, 0]
    assert abs((Taker.given[1].utc_ms or 0) - (was or 0)) < 2000
    assert (Taker.given[2].utc_ms or 0) > (was or 0)


async def test_a_device_that_has_other_channels_now_is_left_out(world: World) -> None:
    journal, begin = world
    async with begin() as found:
        await give(found, journal, 1)
        await taken(1)
    journal.put(scan(2))
    other = Layout((replace(LAYOUT.devices[0], model_hash="other"),))
    async with begin(other) as found:
        journal.put(scan(3), other)
        found.notifier.values(scan(3))
        await taken(2)
    assert slots() == [1, 3]


async def test_of_more_than_the_queue_holds_the_newest_are_given(world: World) -> None:
    journal, begin = world
    async with begin() as found:
        await give(found, journal, 1)
        await taken(1)
    for number in range(2, 20):
        journal.put(scan(number))
    async with begin() as found:
        found.notifier.feeds[0]._most = 5
        await until(lambda: 19 in slots())
    assert slots() == [1, 15, 16, 17, 18, 19]


async def test_without_a_readable_journal_new_values_are_given_all_the_same(world: World) -> None:
    journal, begin = world
    async with begin() as found:
        await give(found, journal, 1)
        await taken(1)
    journal.broken = True
    async with begin() as found:
        await give(found, journal, 2)
        await taken(2)
    assert slots() == [1, 2]


async def test_a_run_of_missed_slots_counts_up_to_its_last(world: World) -> None:
    journal, begin = world
    run = Miss(0, 2, 5, Quality.GATEWAY_DOWN)
    async with begin() as found:
        await give(found, journal, 1)
        journal.put(run)
        found.notifier.values(run)
        await taken(2)
    journal.put(scan(7))
    async with begin():
        await taken(3)
    assert slots() == [1, 2, 7]


@given(BOOTS, SLOTS, st.dictionaries(st.text(), st.tuples(BOOTS, SLOTS)))
def test_a_mark_is_read_as_it_was_written(boot: bytes, at_ms: int, known: dict[str, tuple[bytes, int]]) -> None:
    assert Mark.of_text(Mark(boot, at_ms, known).text()) == Mark(boot, at_ms, known)


@given(st.text() | st.sampled_from(["{}", "[]", "1", '{"boot": 1}', '{"boot": "", "at_ms": 0, "slots": [1]}']))
def test_a_mark_that_cannot_be_read_is_none(text: str) -> None:
    assert Mark.of_text(text) is None
