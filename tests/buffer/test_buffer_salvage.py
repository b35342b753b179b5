"""A damaged file is set aside, all that can be read goes on in a new one, and the record says what happened."""

import asyncio
import os
import random
import sqlite3
from contextlib import closing

import pytest
from buffer_bench import Clock, batches, scan, slots_of
from test_buffer_journal import abandon
from test_buffer_retention import acknowledge_all, noisy

from gateway.buffer import salvage, tail
from gateway.errors import StorageError
from gateway.model import Event, Quality, Scan
from gateway.seal.batch import open_batch


async def fill(bench, *, commits=120, acknowledged=0, tail=3):
    """A journal of many batches and a tail, left as a power cut leaves it but with the log copied back."""
    many = bench.with_spec(batch_values=1, batch_min_age_s=0.0)
    async with many.journal() as journal:
        for slot in range(commits * 10):
            journal.put(noisy(slot))
            bench.clock.advance(1000)
            if slot % 10 == 9:
                await journal.flush()
            if slot == acknowledged * 10 > 0:
                await acknowledge_all(journal)
    journal = await bench.start()
    for slot in range(commits * 10, commits * 10 + tail):
        journal.put(scan(1, slot))
        await journal.flush()
    heads = journal.head("scan"), journal.head("event")
    abandon(journal)
    with closing(sqlite3.connect(bench.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return heads


def scribble(path, places, size=4096, seed=1):
    """Overwrite parts of a file with noise, as a dying card does."""
    with path.open("r+b") as file:
        for place in places:
            file.seek(place)
            file.write(random.Random(seed + place).randbytes(size))


def salvaged(bench):
    (event,) = (event for event in bench.events() if event.kind == "storage.salvaged")
    return event.data


def check_goes_on(bench, heads):
    """Nothing forged, no sequence twice, and what is missing is what the event says."""
    reader = bench.reader()
    lost = {
        stream: {seq for first, last in salvaged(bench)["lost"][stream] for seq in range(first, last + 1)}
        for stream in ("scan", "event")
    }
    for stream in ("scan", "event"):
        rows = list(batches(reader, stream))
        assert len({row.seq for row in rows}) == len(rows)
        for row in rows:
            if row.body is not None:
                opened = open_batch(row.body)
                opened.verify(bench.signer.public)
                assert (opened.stream, opened.seq, opened.leaf) == (stream, row.seq, row.leaf)
        there = {row.seq for row in rows if row.body is not None}
        assert there | lost[stream] == set(range(rows[-1].seq + 1))
        assert not there & lost[stream]
    wrong = [finding for finding in reader.check() if "missing" not in finding.what]
    reader.close()
    return wrong


PLACES = {
    "header": lambda size: [0],
    "beginning": lambda size: range(0, 16_384, 4096),
    "middle": lambda size: [size // 2 // 4096 * 4096],
    "many places": lambda size: range(8192, size - 4096, 65_536),
    "end": lambda size: [size - 4096],
}


@pytest.mark.parametrize("where", PLACES)
async def test_noise_in_the_file_costs_what_it_hits_and_no_more(bench, where, caplog):
    heads = await fill(bench)
    size = bench.path.stat().st_size
    places = list(PLACES[where](size))
    scribble(bench.path, places)
    async with bench.journal() as journal:
        if not journal.stats.set_aside:  # the damage lies where the start does not look: the reading finds it
            for _ in range(2):
                try:
                    await journal.pending("scan", 0, 1000)
                    await journal.check()
                except StorageError:
                    continue
                break
        if not journal.stats.set_aside:
            await journal.repair("found by a check")
        journal.put(scan(2, 5000))
        assert await journal.flush()
        (name,) = journal.stats.set_aside
        assert (bench.folder / name).stat().st_size >= size
    assert check_goes_on(bench, heads) == []
    data = salvaged(bench)
    assert data["set_aside"] == name
    assert data["lost_scan"] <= 8 * len(places)
    slots = slots_of(bench.records())
    assert len(slots) == len(set(slots))
    assert (2, 5000) in slots
    assert len(slots) >= 1200 - 10 * data["lost_scan"]
    assert "set aside" in caplog.text


async def test_a_truncated_file_keeps_what_it_still_has(bench):
    await fill(bench, commits=200)
    os.truncate(bench.path, bench.path.stat().st_size // 2)
    async with bench.journal() as journal:
        if not journal.stats.set_aside:
            await journal.repair("truncated")
        journal.put(scan(2, 5000))
    assert check_goes_on(bench, None) == []
    assert 600 < len(bench.records()) < 2000


async def test_a_file_of_noise_gives_nothing_and_the_daemon_begins_again(bench):
    bench.path.write_bytes(random.Random(3).randbytes(100_000))
    async with bench.journal() as journal:
        journal.put(scan(0, 1))
        assert await journal.flush()
        assert journal.head("scan").seq == 0
    assert salvaged(bench)["rows"] == {"scan": 0, "event": 0}
    assert slots_of(bench.records()) == [(0, 1)]
    bench.verify()


async def test_the_tail_is_recovered_and_marked_as_salvaged(bench):
    await fill(bench, commits=20)
    scribble(bench.path, [0], size=512)
    async with bench.journal():
        pass
    assert salvaged(bench)["tail_groups"] == 3
    recovered = [record for record in bench.records() if record.device == 1]
    assert slots_of(recovered) == [(1, 200), (1, 201), (1, 202)]
    assert {quality for record in recovered for quality in record.quality} == {Quality.RECOVERED}
    bench.verify()


async def test_what_was_delivered_is_known_after_the_salvage(bench):
    await fill(bench, commits=50, acknowledged=30)
    async with bench.journal() as journal:
        delivered = journal.delivered("scan")
        assert delivered.size > 25
    scribble(bench.path, [0], size=512)
    async with bench.journal() as journal:
        assert journal.delivered("scan") == delivered
    check_goes_on(bench, None)


async def test_a_lost_head_is_taken_from_the_other_stream(bench, put_second):
    """The newest scan batch is lost, but an event batch names it: the chain goes on behind it, without a fork."""
    await fill(bench, commits=20, tail=0)
    journal = await bench.start()
    task = asyncio.create_task(journal.run())
    await journal.put_event(Event("note", 5, {}))
    head = journal.head("scan")
    await journal.close()
    await task
    with closing(sqlite3.connect(bench.path)) as connection:
        connection.execute("UPDATE scan_batch SET leaf = zeroblob(3) WHERE seq = ?", (head.seq,))
        connection.commit()
    async with bench.journal() as journal:
        assert journal.head("scan") == head
        put_second(journal, 5000)
    assert salvaged(bench)["head_lost"] == ["scan"]
    last = list(batches(bench.reader(), "scan"))[-1]
    assert open_batch(last.body).prev == head.leaf


async def test_damage_while_running_keeps_heads_and_open_records_from_memory(bench, put_second, caplog):
    await fill(bench, commits=40, tail=0)
    async with bench.journal() as journal:
        put = put_second(journal, 5000)
        await journal.flush()
        head = journal.head("scan")
        size = bench.path.stat().st_size
        with closing(sqlite3.connect(bench.path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        scribble(bench.path, range(4096, size - 4096, 8192))
        for _ in range(3):
            try:
                await journal.pending("scan", 0, 1000)
            except StorageError:
                continue
        assert len(journal.stats.set_aside) == 1
        assert journal.head("scan") == head
        put += put_second(journal, 5001)
        assert await journal.flush()
    stored = [record for record in bench.records() if record.slot >= 5000]
    assert sorted(slots_of(stored)) == sorted(slots_of(put))
    assert all(record in put for record in stored if isinstance(record, Scan))
    assert check_goes_on(bench, None) == []


async def test_a_salvage_that_was_cut_off_before_the_exchange_is_finished_by_the_next_start(bench, monkeypatch):
    await fill(bench, commits=20)
    scribble(bench.path, [0], size=512)

    def cut_off(path):
        raise OSError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(salvage, "finish", cut_off)
        patch.setattr("gateway.buffer.writer.finish", lambda path: None)
        journal = await bench.start()
        assert journal.state == "failing"
        abandon(journal)
    async with bench.journal():
        pass
    assert check_goes_on(bench, None) == []
    assert (bench.folder / salvaged(bench)["set_aside"]).exists()


async def test_without_a_trusted_clock_the_file_set_aside_gets_a_number(bench):
    bench.clock = Clock(utc_ms=None)
    names = []
    for _ in range(3):
        bench.path.write_bytes(b"not a database" * 100)
        async with bench.journal() as journal:
            names += journal.stats.set_aside
    assert names == ["journal-damaged.db", "journal-damaged-2.db", "journal-damaged-3.db"]


async def test_with_little_space_the_bodies_that_the_cluster_has_are_left_behind(bench):
    await fill(bench, commits=700, acknowledged=690)
    scribble(bench.path, [0], size=512)
    small = bench.with_spec(max_bytes=600_000)
    assert bench.path.stat().st_size > 410_000
    async with small.journal() as journal:
        assert journal.stats.set_aside
        assert journal.head("scan").seq >= 700
    assert bench.path.stat().st_size < 600_000
    there = [batch.seq for batch in batches(bench.reader(), "scan") if batch.body is not None]
    assert set(range(695, 700)) <= set(there)


async def test_an_unreadable_group_of_the_tail_is_named_and_stops_nothing(bench, put_second):
    journal = await bench.start()
    put_second(journal, 1000)
    await journal.flush()
    abandon(journal)
    with closing(sqlite3.connect(bench.path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        groups = tail.read(connection, 1)
        broken = tail.Group(groups[0].clock, groups[0].layout, b"\x00" * 40)
        tail.append(connection, tail.BEGINNING, 1, broken)
        connection.execute("COMMIT")
    async with bench.journal() as journal:
        assert journal.state == "ok"
    assert [event.data for event in bench.events() if event.kind == "storage.tail_lost"] == [{"groups": 1}]
    bench.verify()


@pytest.mark.parametrize("seed", range(6))
async def test_any_damage_leaves_a_journal_that_works_and_holds_nothing_false(bench, seed):
    await fill(bench, commits=40, acknowledged=20)
    source = random.Random(seed)
    data = bytearray(bench.path.read_bytes())
    for _ in range(source.randrange(1, 30)):
        at, size = source.randrange(len(data)), source.choice([1, 1, 30, 512, 9000])
        data[at : at + size] = source.randbytes(size) if source.random() < 0.7 else bytes(size)
    bench.path.write_bytes(data[: len(data) - source.choice([0, 0, 5000])])
    async with bench.journal() as journal:
        findings = True
        for _ in range(3):
            try:
                await journal.pending("scan", 0, 1000)
                findings = await journal.check()
                break
            except StorageError:
                continue
        if findings and not journal.stats.set_aside:
            await journal.repair("found by a check")
        journal.put(scan(2, 5000))
        assert await journal.flush()
    slots = slots_of(bench.records())
    assert len(slots) == len(set(slots))
    assert (2, 5000) in slots
    if [event for event in bench.events() if event.kind == "storage.salvaged"]:
        assert check_goes_on(bench, None) == []


async def test_a_damaged_name_of_the_owner_is_not_taken_for_another_gateway(bench):
    await fill(bench, commits=5)
    with closing(sqlite3.connect(bench.path)) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE name = 'iss'", (b"urn:aurora:dairy:gw-\xff",))
        connection.commit()
    async with bench.journal() as journal:
        assert journal.state == "ok"
        assert len(journal.stats.set_aside) == 1
    assert check_goes_on(bench, None) == []
