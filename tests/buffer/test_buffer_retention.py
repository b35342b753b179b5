"""What leaves the journal, when, and what is left of it."""

import random
from array import array

import pytest
from buffer_bench import DAY_MS, batches, scan, slots_of

from gateway.model import Scan
from gateway.seal.tree import Frontier

SOURCE = random.Random(5)


def noisy(slot: int) -> Scan:
    """A scan that does not compress."""
    values = array("d", [round(SOURCE.uniform(-1e6, 1e6), 1) for _ in range(4)])
    return Scan(0, slot, slot * 1000 + SOURCE.randrange(500), values, bytes(4))


async def acknowledge_all(journal, stream="scan"):
    size = journal.head(stream).seq + 1
    frontier = Frontier.of(await journal.leaves(stream, 0, size))
    await journal.acknowledge(stream, size, frontier.to_bytes(), b"receipt")


def bodies(bench, stream="scan"):
    reader = bench.reader()
    found = [batch.body is not None for batch in batches(reader, stream)]
    reader.close()
    return found


def sizes(bench):
    return sum(path.stat().st_size for path in bench.folder.glob("journal.db*"))


@pytest.fixture
def small(bench):
    """A cap of 0.6 MB, and a batch for every commit."""
    return bench.with_spec(max_bytes=600_000, batch_values=1, batch_min_age_s=0.0)


async def fill(bench, journal, slots, *, per_batch=100):
    for slot in slots:
        journal.put(noisy(slot))
        bench.clock.advance(1000)
        if slot % per_batch == per_batch - 1:
            assert await journal.flush()


async def test_file_and_log_stay_below_the_cap_and_delivered_bodies_go_first(small):
    async with small.journal() as journal:
        for start in range(0, 32_000, 4000):
            await fill(small, journal, range(start, start + 4000))
            assert sizes(small) < 600_000
            await acknowledge_all(journal)
        assert journal.stats.dropped["byte-cap"] == 0
        assert journal.stats.stripped["byte-cap"] > 50
        assert not [event for event in small.events() if event.kind == "deleted"]
        there = bodies(small)
        assert there[0]
        assert there[1:] == sorted(there[1:]), "the oldest go first"
        assert small.reader().check() == []


async def test_when_nothing_delivered_is_left_the_oldest_scans_go_and_an_event_proves_it(small):
    async with small.journal() as journal:
        await fill(small, journal, range(24_000))
        assert sizes(small) < 600_000
        dropped = journal.stats.dropped["byte-cap"]
        assert dropped > 0
    deleted = [event for event in small.events() if event.kind == "deleted"]
    reader = small.reader()
    stored = {batch.seq: batch for batch in batches(reader, "scan")}
    gone = [batch.seq for batch in stored.values() if batch.body is None]
    assert gone == list(range(1, len(gone) + 1))
    named = []
    for event in deleted:
        seqs = range(event.data["first"], event.data["last"] + 1)
        assert event.data["leaves"] == [stored[seq].leaf for seq in seqs]
        assert (event.data["stream"], event.data["reason"]) == ("scan", "byte-cap")
        named += seqs
    assert named == gone
    assert sum(event.data["values"] for event in deleted) == dropped == sum(stored[seq].values for seq in gone)
    assert all(bodies(small, "event"))
    reader.close()
    small.verify()


async def test_leaves_of_what_was_deleted_are_still_given(small):
    async with small.journal() as journal:
        await fill(small, journal, range(24_000))
        pending = await journal.pending("scan", 0, 1000)
        assert pending[1].body is None
        assert len(await journal.leaves("scan", 0, journal.head("scan").seq + 1)) == journal.head("scan").seq + 1


async def test_delivered_bodies_go_when_they_are_old_and_undelivered_ones_stay(bench):
    bench = bench.with_spec(keep_days=2, batch_values=1, batch_min_age_s=0.0)
    async with bench.journal() as journal:
        for day in range(6):
            journal.put(scan(0, day))
            await journal.flush()
            if day == 3:
                await acknowledge_all(journal)
                await journal.flush()
            bench.clock.advance(DAY_MS)
        await journal._expire()
        assert journal.stats.stripped["age"] == 4
    assert bodies(bench) == [True, False, False, False, False, True, True]
    bench.verify()


async def test_nothing_goes_by_age_while_the_clock_is_untrusted(bench):
    bench = bench.with_spec(keep_days=2, batch_values=1, batch_min_age_s=0.0)
    async with bench.journal() as journal:
        journal.put(scan(0, 1))
        await journal.flush()
        await acknowledge_all(journal)
        await journal.flush()
        bench.clock.advance(10 * DAY_MS)
        bench.clock.utc_ms = None
        await journal._expire()
    assert all(bodies(bench))


async def test_a_batch_sealed_without_a_clock_is_as_old_as_the_next_whose_time_is_known(bench):
    bench = bench.with_spec(keep_days=2, batch_values=1, batch_min_age_s=0.0)
    utc_ms = bench.clock.utc_ms
    bench.clock.utc_ms = None
    async with bench.journal() as journal:
        for slot in range(100):
            journal.put(scan(0, slot))
            await journal.flush()
        bench.clock.utc_ms = utc_ms
        journal.put(scan(0, 100))
        await journal.flush()
        await acknowledge_all(journal)
        await journal.flush()
        await journal._expire()
        assert all(bodies(bench))
        bench.clock.advance(3 * DAY_MS)
        journal._expire_at = 0.0
        await journal._expire()
        assert bodies(bench) == [True] + [False] * 101


async def test_a_lowered_cap_shrinks_the_file_at_the_next_start(small):
    large = small.with_spec(max_bytes=1_500_000)
    async with large.journal() as journal:
        await fill(large, journal, range(36_000))
        await acknowledge_all(journal)
    assert sizes(large) > 600_000
    async with small.journal() as journal:
        await fill(small, journal, range(36_000, 37_000))
    assert sizes(small) < 600_000
    small.verify()


async def test_freed_space_is_used_again(small):
    async with small.journal() as journal:
        await fill(small, journal, range(18_000))
        await acknowledge_all(journal)
        await fill(small, journal, range(18_000, 24_000))
        size = journal.stats.file_bytes
        await acknowledge_all(journal)
        await fill(small, journal, range(24_000, 34_000))
        assert journal.stats.file_bytes < size + 16_384
    assert len(set(slots_of(small.records()))) > 5000
