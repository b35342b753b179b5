"""What the journal promises while the store works."""

import asyncio
from array import array
from contextlib import asynccontextmanager

import pytest
from buffer_bench import DAY_MS, IDENTITY, UTC_MS, Clock, batches, make_layout, scan, slots_of

from gateway.buffer.reader import Reader
from gateway.errors import SealError, StorageError
from gateway.model import Event, Head, Miss, Quality, Scan
from gateway.seal.batch import open_batch, read_registration
from gateway.seal.columns import layout_from_cbor, layout_id
from gateway.seal.keys import FileSigner
from gateway.seal.tree import Frontier


@asynccontextmanager
async def running(bench, **changes):
    async with bench.journal(**changes) as journal:
        task = asyncio.create_task(journal.run())
        yield journal
    await task


async def test_a_new_journal_begins_each_stream_with_the_signed_registration(bench):
    async with bench.journal() as journal:
        assert journal.head("scan") == Head(0, journal.head("scan").leaf)
        reader = bench.reader()
        for stream in ("scan", "event"):
            first = reader.batches(stream, 0, 1)[0]
            opened = open_batch(first.body)
            opened.verify(bench.signer.public)
            assert read_registration(opened.payload).iss == IDENTITY.urn
            assert (first.seq, first.leaf, first.values) == (0, opened.leaf, 0)
        reader.close()
    assert bench.clock().boot_ms == opened.clock.boot_ms


async def test_the_layout_is_recorded_once_as_an_event_before_any_scan(bench):
    for _ in range(2):
        async with bench.journal():
            pass
    kinds = [event.kind for event in bench.events()]
    assert kinds == ["layout"]
    event = bench.events()[0]
    assert event.data["id"] == layout_id(bench.layout)
    assert layout_id(layout_from_cbor(event.data["layout"])) == layout_id(bench.layout)


async def test_a_put_record_is_on_disk_within_the_loss_window(bench):
    async with running(bench) as journal:
        journal.put(scan(0, 1000))
        async with asyncio.timeout(20):
            while not bench.records():
                await asyncio.sleep(0.005)
        assert slots_of(bench.records()) == [(0, 1000)]
        assert journal.stats.pending_records == 0


async def test_a_batch_is_sealed_when_it_has_enough_values_and_enough_age(bench, put_second):
    async with bench.journal() as journal:
        for second in range(1000, 1060):  # 8 values and a miss a second, 100 wanted
            put_second(journal, second)
            await journal.flush()
            if journal.head("scan").seq:
                break
        assert second == 1011
        assert journal.stats.open_values == 0
    bench.verify()


async def test_a_full_batch_waits_for_its_least_age(bench):
    async with bench.with_spec(batch_min_age_s=5.0).journal() as journal:
        for slot in range(1000, 1040):
            journal.put(scan(0, slot))
        await journal.flush()
        assert journal.head("scan").seq == 0
        bench.clock.advance(5000)
        await journal.flush()
        assert journal.head("scan").seq == 1


async def test_a_small_batch_is_sealed_at_its_greatest_age_without_further_records(bench):
    bench = bench.with_spec(batch_max_age_s=0.05)
    async with running(bench) as journal:
        journal.changed.clear()
        journal.put(scan(0, 1000))
        await journal.flush()
        assert journal.head("scan").seq == 0
        bench.clock.advance(60)
        await asyncio.wait_for(journal.changed.wait(), 5)
        assert journal.head("scan").seq == 1


async def test_more_than_twenty_thousand_values_become_several_batches(bench):
    async with bench.journal() as journal:
        for slot in range(1000, 1000 + 11_000):
            journal.put(scan(0, slot))
        await journal.flush()
        assert journal.head("scan").seq == 3
        assert [batch.values for batch in batches(bench.reader(), "scan")] == [0, 20_000, 20_000, 4_000]
    assert slots_of(bench.records()) == [(0, slot) for slot in range(1000, 12_000)]


async def test_an_event_is_on_disk_when_put_event_returns_with_all_that_waited(bench):
    async with running(bench.with_spec(loss_window_ms=60_000)) as journal:
        journal.put(scan(0, 1000))
        assert await journal.put_event(Event("gap.opened", bench.clock.boot_ms, {"device": 0}))
        assert bench.events()[-1] == Event("gap.opened", bench.clock.boot_ms, {"device": 0})
        assert slots_of(bench.records()) == [(0, 1000)]


async def test_events_that_come_together_share_a_batch_in_order(bench):
    async with running(bench) as journal:
        seq = journal.head("event").seq
        together = [Event("note", 5, {"n": number}) for number in range(20)]
        assert all(await asyncio.gather(*map(journal.put_event, together)))
        assert journal.head("event").seq <= seq + 2
    assert [event for event in bench.events() if event.kind == "note"] == together


async def test_an_event_that_cannot_be_encoded_is_refused_at_the_border(bench):
    async with running(bench) as journal:
        with pytest.raises(SealError):
            await journal.put_event(Event("odd", 5, {"what": object()}))
        assert await journal.put_event(Event("fine", 5, {}))


async def test_each_stream_names_the_head_of_the_other(bench, put_second):
    async with running(bench) as journal:
        await journal.put_event(Event("note", 5, {}))
        event = journal.head("event")
        put_second(journal, 1000)
    last = list(batches(bench.reader(), "scan"))[-1]
    assert open_batch(last.body).other == event


async def test_values_that_continue_from_the_group_before_come_back_as_they_were(bench, put_second):
    put = []
    async with bench.journal() as journal:
        for slot in range(1000, 1005):
            put += put_second(journal, slot)
            await journal.flush()
        assert journal.head("scan").seq == 0
        tail = [record for _, _, records in bench.reader().tail() for record in records]
        assert tail == put


async def test_what_a_previous_run_left_in_the_tail_is_sealed_under_its_own_boot_and_clock(bench, put_second):
    journal = await bench.start()
    put = put_second(journal, 1000) + put_second(journal, 1001)
    claim = bench.clock()
    await journal.flush()
    abandon(journal)
    bench.clock = Clock(boot=b"another boot id!", boot_ms=5_000, utc_ms=UTC_MS + DAY_MS)
    async with bench.journal() as journal:
        stored = list(batches(bench.reader(), "scan"))
        assert [batch.seq for batch in stored] == [0, 1]
        assert open_batch(stored[1].body).clock == claim
        assert sorted(slots_of(bench.records())) == sorted(slots_of(put))
        put_second(journal, 5)
    assert [open_batch(batch.body).clock.boot for batch in batches(bench.reader(), "scan")] == [
        claim.boot,
        claim.boot,
        b"another boot id!",
    ]
    bench.verify()


async def test_a_tail_of_another_layout_is_sealed_by_the_layout_it_was_written_with(bench, put_second):
    journal = await bench.start()
    put = put_second(journal, 1000)
    await journal.flush()
    abandon(journal)
    bench.layout = make_layout(devices=5, columns=2)
    async with bench.journal() as journal:
        journal.put(scan(4, 1003, columns=2))
    assert slots_of(bench.records()) == [*slots_of(put), (4, 1003)]
    assert [event.kind for event in bench.events()] == ["layout", "layout"]


async def test_the_newest_slot_of_each_device_is_offered_after_a_restart(bench, put_second):
    journal = await bench.start()
    assert journal.last_slots() == {}
    put_second(journal, 1000)
    journal.put(Miss(2, 1001, 7, Quality.BACKED_OFF))
    await journal.flush()
    abandon(journal)
    async with bench.journal() as journal:
        boot = bench.clock.boot
        assert journal.last_slots() == {
            "device-0": (boot, 1000),
            "device-1": (boot, 1000),
            "device-2": (boot, 1007),
        }


async def test_a_receipt_is_believed_at_once_and_on_disk_with_a_later_commit(bench, put_second):
    async with bench.journal() as journal:
        for slot in range(1000, 1030):
            put_second(journal, slot)
            await journal.flush()
        size = journal.head("scan").seq + 1
        frontier = Frontier.of(await journal.leaves("scan", 0, size))
        await journal.acknowledge("scan", size, frontier.to_bytes(), b"receipt")
        assert journal.delivered("scan") == (size, frontier.to_bytes())
        assert journal.stats.backlog["scan"] == 0
        assert bench.reader().state("scan") is None
        await journal.flush()
        state = bench.reader().state("scan")
        assert (state.size, state.frontier, state.receipt) == (size, frontier.to_bytes(), b"receipt")
        await journal.acknowledge("scan", 1, Frontier.of([bytes(32)]).to_bytes(), b"older")
        assert journal.delivered("scan").size == size
        with pytest.raises(ValueError, match="fewer"):
            await journal.acknowledge("scan", size + 1, b"", b"")
    async with bench.journal() as journal:
        assert journal.delivered("scan") == (size, frontier.to_bytes())


async def test_backlog_and_its_age_are_told_per_stream(bench, put_second):
    async with bench.journal() as journal:
        assert journal.stats.backlog == {"scan": 1, "event": 2}
        bench.clock.advance(90_000)
        assert journal.stats.oldest_undelivered_s["event"] == 90.0
        size = journal.head("event").seq + 1
        await journal.acknowledge(
            "event", size, Frontier.of(await journal.leaves("event", 0, size)).to_bytes(), b""
        )
        assert journal.stats.backlog["event"] == 0
        assert journal.stats.oldest_undelivered_s["event"] is None
    bench.clock = Clock(boot=b"another boot id!", boot_ms=0, utc_ms=UTC_MS + DAY_MS)
    async with bench.journal() as journal:
        assert journal.stats.oldest_undelivered_s["scan"] == DAY_MS / 1000
        bench.clock.utc_ms = None
        assert journal.stats.oldest_undelivered_s["scan"] is None


async def test_pending_gives_batches_in_order_and_leaves_their_hashes(bench):
    async with bench.with_spec(batch_values=1, batch_min_age_s=0.0).journal() as journal:
        for slot in range(1000, 1020):
            journal.put(scan(0, slot))
            await journal.flush()
        found = await journal.pending("scan", 5, 7)
        assert [batch.seq for batch in found] == list(range(5, 12))
        assert [batch.leaf for batch in found] == await journal.leaves("scan", 5, 12)
        assert await journal.pending("scan", 21, 7) == []
        with pytest.raises(StorageError):
            await journal.leaves("scan", 5, 22)


async def test_batches_and_tail_read_beside_a_writer_hold_every_record_once(bench):
    async with bench.journal() as journal:
        reader = bench.reader()
        journal.put(scan(0, 1000))
        await journal.flush(seal=True)
        heads = reader.heads()
        assert heads == {"scan": 1, "event": journal.head("event").seq}
        first = reader.batches("scan", 1, heads["scan"])
        # What a daemon does while somebody exports: seal, and begin the next batch.
        journal.put(scan(0, 1001))
        await journal.flush(seal=True)
        journal.put(scan(0, 1002))
        await journal.flush()
        sealed, waiting = reader.rest(heads["scan"] + 1)
        assert [batch.seq for batch in first + sealed] == [1, 2]
        assert slots_of([record for _, _, records in waiting for record in records]) == [(0, 1002)]
        assert reader.rest(None)[0] == []
        reader.close()


async def test_changed_is_set_when_a_batch_was_committed_and_not_by_the_tail(bench, put_second):
    async with bench.journal() as journal:
        journal.changed.clear()
        put_second(journal, 1000)
        await journal.flush()
        assert not journal.changed.is_set()
        for slot in range(1001, 1020):
            put_second(journal, slot)
        await journal.flush()
        assert journal.changed.is_set()


async def test_after_a_rotation_the_event_is_signed_by_the_old_key_and_the_rest_by_the_new(bench, tmp_path):
    new = FileSigner.create(tmp_path / "next.key")
    async with running(bench) as journal:
        assert bench.reader().key_in_force() == bench.signer.thumbprint
        assert await journal.rotate(new, Event("key.rotated", 5, {"new": new.thumbprint}))
        assert await journal.put_event(Event("note", 6, {}))
        assert bench.reader().key_in_force() == new.thumbprint
    *_, rotation, note = batches(bench.reader(), "event")
    open_batch(rotation.body).verify(bench.signer.public)
    open_batch(note.body).verify(new.public)


async def test_closing_seals_the_open_batch_and_copies_the_log_into_the_file(bench, put_second):
    async with bench.journal() as journal:
        put = put_second(journal, 1000)
    assert not bench.path.with_name("journal.db-wal").exists()
    assert bench.records(tail=False) == put
    await journal.close()
    with pytest.raises(StorageError):
        await journal.put_event(Event("late", 5, {}))


async def test_a_cancelled_commit_loop_loses_nothing(bench, put_second):
    journal = await bench.start()
    task = asyncio.create_task(journal.run())
    put = put_second(journal, 1000)
    waiting = asyncio.create_task(journal.put_event(Event("note", 5, {})))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await journal.close()
    assert await waiting
    assert bench.records() == put


async def test_one_process_writes_a_journal(bench):
    async with bench.journal():
        with pytest.raises(StorageError, match="another process"):
            await bench.start()


async def test_the_journal_of_another_gateway_is_refused(bench):
    async with bench.journal():
        pass
    with pytest.raises(StorageError, match="name another data directory"):
        await bench.start(iss="urn:aurora:dairy:gw-2")
    async with bench.journal():
        pass


async def test_a_record_that_contradicts_the_layout_counts_as_not_stored_and_stops_no_other(bench, caplog):
    async with bench.journal() as journal:
        good = scan(0, 1000)
        journal.put(good)
        journal.put(Scan(1, 1000, 1_000_000, array("d", [1.0]), bytes(1)))  # four columns are due
        journal.put(Scan(99, 1000, 1_000_000, array("d", [1.0]), bytes(1)))
        assert await journal.flush()
        assert journal.stats.dropped["unencodable"] == 2
    assert bench.records() == [good, Miss(1, 1000, 1, Quality.NOT_STORED)]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_a_slot_that_comes_twice_is_recorded_once(bench):
    async with bench.journal() as journal:
        journal.put(scan(0, 1000))
        await journal.flush()
        journal.put(scan(0, 1000, value=77.0))
        journal.put(Miss(0, 999, 3, Quality.TIMEOUT))
        await journal.flush()
    assert slots_of(bench.records()) == [(0, 999), (0, 1000), (0, 1001)]
    assert bench.records()[1] == scan(0, 1000)


async def test_a_body_that_does_not_match_its_leaf_is_not_handed_out(bench, put_second):
    import sqlite3

    async with bench.journal() as journal:
        put_second(journal, 1000)
    with sqlite3.connect(bench.path) as connection:
        connection.execute("UPDATE scan_batch SET body = zeroblob(100) WHERE seq = 0")
    connection.close()
    reader = Reader(bench.path)
    assert [batch.body is None for batch in reader.batches("scan", 0, 5)] == [True, False]
    assert [(finding.stream, finding.seq) for finding in reader.check()] == [("scan", 0)]
    reader.close()


def abandon(journal) -> None:
    """End a run as a power cut would: what is committed stays, nothing is closed properly."""
    journal._shut()
    journal._writer._lock = release(journal._writer._lock)


def release(lock):
    import os

    os.close(lock)
