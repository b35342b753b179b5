"""Disk full, read-only, failing: nothing is dropped in silence, nothing stops, and it mends by itself."""

import asyncio
import json
import resource
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from pathlib import Path

import pytest
from buffer_bench import slots_of
from test_buffer_journal import abandon

from gateway.buffer import schema, writer
from gateway.buffer.faults import StoreError
from gateway.buffer.reader import Reader
from gateway.errors import StorageError
from gateway.model import Event, Miss, Quality
from gateway.seal.tree import Frontier

TESTS = Path(__file__).parent


@contextmanager
def no_file_may_grow_beyond(size: int):
    """The kernel refuses to write further, as a failing disk would (works without privileges)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_while_the_disk_fails_records_wait_and_are_stored_when_it_is_back(bench, put_second, caplog):
    async with bench.journal() as journal:
        put = put_second(journal, 1000)
        await journal.flush()
        head = journal.head("scan")
        with no_file_may_grow_beyond(1):
            for slot in range(1001, 1030):
                put += put_second(journal, slot)
                assert not await journal.flush()
            assert journal.state == "failing"
            assert journal.stats.failed_commits == 29
            assert journal.stats.pending_records == 29 * 3
            assert journal.head("scan") == head
        assert await journal.flush()
        assert journal.state == "ok"
    assert sorted(slots_of(bench.records())) == sorted(slots_of(put))
    assert [record for record in bench.records() if record.quality == Quality.NOT_STORED] == []
    bench.verify()
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    (outage,) = (event for event in bench.events() if event.kind == "storage.outage")
    assert (outage.data["state"], outage.data["values"]) == ("failing", 0)
    assert outage.data["from_ms"] < outage.at_ms


async def test_beyond_the_bound_of_memory_the_oldest_count_as_not_stored(bench, put_second):
    async with bench.journal(memory=400) as journal:
        with no_file_may_grow_beyond(1):
            for slot in range(1000, 1200):
                put_second(journal, slot)
                await journal.flush()
                assert journal.stats.pending_values <= 400
            dropped = journal.stats.dropped["memory"]
            assert dropped > 0
        assert await journal.flush()
        assert journal.stats.dropped["memory"] == dropped
    records = bench.records()
    slots = slots_of(records)
    assert sorted(slots) == [(device, slot) for device in range(3) for slot in range(1000, 1200)]
    lost = [record for record in records if isinstance(record, Miss) and record.quality == Quality.NOT_STORED]
    assert sum(record.count for record in lost) * 4 == dropped
    (outage,) = (event for event in bench.events() if event.kind == "storage.outage")
    assert outage.data["values"] == dropped


async def test_an_event_during_an_outage_waits_says_so_and_is_stored_afterwards(bench):
    async with bench.journal() as journal:
        task = asyncio.create_task(journal.run())
        with no_file_may_grow_beyond(1):
            assert await journal.put_event(Event("alarm", 5, {"n": 1})) is False
            assert await journal.put_event(Event("alarm", 6, {"n": 2})) is False
            assert journal.stats.pending_events == 2
        async with asyncio.timeout(20):
            while journal.state != "ok" or journal.stats.pending_events:
                await asyncio.sleep(0.005)
        assert await journal.put_event(Event("alarm", 7, {"n": 3}))
    await task
    assert [event.data["n"] for event in bench.events() if event.kind == "alarm"] == [1, 2, 3]


async def test_a_receipt_that_could_not_be_stored_is_stored_later(bench):
    async with bench.journal() as journal:
        frontier = Frontier.of(await journal.leaves("scan", 0, 1))
        await journal.acknowledge("scan", 1, frontier.to_bytes(), b"receipt")
        with no_file_may_grow_beyond(1):
            assert not await journal.flush()
        assert await journal.flush()
    assert bench.reader().state("scan").receipt == b"receipt"


async def test_a_store_that_cannot_be_used_at_the_start_does_not_stop_it(bench, put_second):
    with no_file_may_grow_beyond(1):
        journal = await bench.start()
        assert journal.state == "failing"
        assert journal.head("scan") is None
        assert journal.last_slots() == {}
        put = put_second(journal, 1000)
        assert not await journal.flush()
    assert await journal.flush()
    assert journal.head("scan").seq == 0
    await journal.close()
    assert slots_of(bench.records()) == slots_of(put)
    bench.verify()


async def test_a_close_that_cannot_store_says_what_is_lost(bench, put_second, caplog):
    journal = await bench.start()
    put_second(journal, 1000)
    with no_file_may_grow_beyond(1):
        await journal.close()
    assert "9 values and 0 events could not be stored" in caplog.text


PROGRAM = """
import asyncio, ctypes, json, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from buffer_bench import Bench, Clock, make_layout, scan
from gateway.seal.keys import FileSigner
from gateway.site import BufferSpec

# Give up every capability (capset(2), version 3), so that permissions apply to root as well.
header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
assert ctypes.CDLL(None).capset(header, nothing) == 0

async def main(folder):
    signer = FileSigner.create(folder.parent / "gateway.key")
    bench = Bench(folder, signer, Clock(), make_layout(), BufferSpec(loss_window_ms=20))
    {body}

asyncio.run(main(Path(sys.argv[1])))
"""


def unprivileged(body: str, folder: Path) -> dict[str, object]:
    """Run a piece of program to which permissions apply; it prints one JSON object."""
    program = PROGRAM.format(tests=str(TESTS), body=textwrap.indent(textwrap.dedent(body), "    ").strip())
    run = subprocess.run(
        [sys.executable, "-c", program, str(folder)], capture_output=True, text=True, timeout=30, check=False
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "data"
    place.mkdir()
    return place


def test_a_read_only_directory_is_named_and_used_once_it_can_be_written(folder):
    result = unprivileged(
        """
        folder.chmod(0o555)
        journal = await bench.start()
        journal.put(scan(0, 1000))
        stored = await journal.flush()
        state, fault = journal.state, journal.stats.fault
        folder.chmod(0o755)
        again = await journal.flush()
        await journal.close()
        print(json.dumps(dict(stored=stored, state=state, fault=fault, again=again, records=len(bench.records()))))
        """,
        folder,
    )
    assert result["stored"] is False
    assert result["state"] == "read-only"
    assert "mount options" in result["fault"]
    assert (result["again"], result["records"]) == (True, 1)


def test_a_full_file_system_is_named_and_used_once_there_is_space(folder):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k,mode=777", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        result = unprivileged(
            """
            journal = await bench.start()
            ballast = folder / "ballast"
            with ballast.open("wb", buffering=0) as file:
                try:
                    while file.write(bytes(4096)):
                        pass
                except OSError:
                    pass
            slot, stored = 1000, True
            while stored and slot < 3000:
                journal.put(scan(0, slot))
                slot += 1
                stored = await journal.flush()
            state = journal.state
            journal.put(scan(0, slot))
            ballast.unlink()
            again = await journal.flush()
            await journal.close()
            slots = [record.slot for record in bench.records()]
            complete = slots == list(range(1000, slot + 1))
            print(json.dumps(dict(state=state, again=again, complete=complete)))
            """,
            folder,
        )
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    assert result == {"state": "full", "again": True, "complete": True}


async def test_a_program_that_holds_the_file_is_named(bench, put_second, monkeypatch):
    connect = sqlite3.connect
    monkeypatch.setattr(
        schema.sqlite3, "connect", lambda *args, **options: connect(*args, **(options | {"timeout": 0}))
    )
    async with bench.journal() as journal:
        other = connect(bench.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        put_second(journal, 1000)
        assert not await journal.flush()
        assert journal.state == "locked"
        other.execute("ROLLBACK")
        other.close()
        assert await journal.flush()
    assert len(bench.records()) == 3


async def test_reading_goes_on_while_writing_fails(bench, put_second):
    async with bench.journal() as journal:
        put_second(journal, 1000)
        await journal.flush()
        with no_file_may_grow_beyond(1):
            put_second(journal, 1001)
            await journal.flush()
            assert [batch.seq for batch in await journal.pending("scan", 0, 10)] == [0]
            assert len(bench.records()) == 3
    assert Reader(bench.path).check() == []


async def test_a_start_that_fails_leaves_the_tail_for_when_it_succeeds(bench, put_second):
    journal = await bench.start()
    put = put_second(journal, 1000)
    await journal.flush()
    abandon(journal)
    with no_file_may_grow_beyond(1):
        journal = await bench.start()
        assert journal.state == "failing"
        put += put_second(journal, 1001)
        assert not await journal.flush()
    assert await journal.flush()
    await journal.close()
    assert sorted(slots_of(bench.records())) == sorted(slots_of(put))
    bench.verify()


async def test_a_salvage_that_finds_no_space_is_tried_again_and_doubles_nothing(bench, put_second, monkeypatch):
    salvage = writer.salvage
    attempts = []

    def no_space_at_first(damaged):
        attempts.append(damaged)
        if len(attempts) < 3:
            raise StoreError("full", "no space for a second file")
        return salvage(damaged)

    monkeypatch.setattr(writer, "salvage", no_space_at_first)
    bench = bench.with_spec(batch_min_age_s=1e9, batch_max_age_s=1e9)
    first = await bench.start()
    put = []
    for slot in range(1000, 1090):  # more than one segment of the tail
        put += put_second(first, slot)
        await first.flush()
    for _ in range(2):
        with pytest.raises(StorageError):
            await first.repair("found by a check")
        put += put_second(first, 1090 + len(attempts))
        assert await first.flush()
    abandon(first)
    assert sorted(slots_of(bench.records())) == sorted(slots_of(put))
    async with bench.journal() as second:
        await second.repair("found by a check")
    assert sorted(slots_of(bench.records())) == sorted(slots_of(put))
    bench.verify()


async def test_records_survive_an_error_that_nobody_expected(bench, put_second, monkeypatch):
    async with bench.journal() as journal:
        put = put_second(journal, 1000)
        with monkeypatch.context() as patch:
            patch.setattr(journal._writer, "commit", lambda request: 1 // 0)
            with pytest.raises(ZeroDivisionError):
                await journal.flush()
        assert journal.stats.pending_records == 3
    assert slots_of(bench.records()) == slots_of(put)
