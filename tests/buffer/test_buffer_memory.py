"""What a restart finds: memories of stations, the newest slot of each device, how the last run ends on record."""

import asyncio
import sqlite3
from contextlib import closing

import pytest
from buffer_bench import make_layout, scan, slots_of
from hypothesis import given
from hypothesis import strategies as st
from test_buffer_journal import abandon, running
from test_buffer_outage import no_file_may_grow_beyond

from gateway.buffer import memory, reader
from gateway.buffer.slots import Join, Newest, end_of, from_bytes, on_grid, to_bytes
from gateway.errors import SealError
from gateway.model import Event, Miss, Quality, Scan


async def test_a_memory_is_on_disk_with_the_event_that_came_with_it(bench):
    journal = await bench.start()
    assert journal.kept() == {}
    task = asyncio.create_task(journal.run())
    journal.keep("alarms", b"first")
    journal.keep("alarms", b"second")
    journal.keep("limits", b"x" * 5000)
    assert await journal.put_event(Event("alarm.raised", bench.clock.boot_ms, {"alarm": "a"}))
    task.cancel()
    abandon(journal)
    async with bench.journal() as journal:
        assert journal.kept()["alarms"] == b"second"
        assert journal.kept()["limits"] == b"x" * 5000
    assert "alarm.raised" in [event.kind for event in bench.events()]


async def test_a_memory_alone_waits_for_the_next_commit_and_is_kept_when_that_fails(bench, put_second):
    async with bench.journal() as journal:
        journal.keep("alarms", b"old")
        await journal.flush()
        journal.keep("alarms", b"new")
        put_second(journal, 1000)
        with no_file_may_grow_beyond(1):
            assert not await journal.flush()
        assert await journal.flush()
    async with bench.journal() as journal:
        assert journal.kept()["alarms"] == b"new"


async def test_a_damaged_memory_is_named_and_not_handed_out(bench):
    async with bench.journal() as journal:
        journal.keep("alarms", b"state")
        journal.keep("limits", b"state")
        await journal.flush()
    with closing(sqlite3.connect(bench.path)) as connection, connection:
        connection.execute("UPDATE memory SET value = substr(value, 1, length(value) - 1) WHERE name = 'alarms'")
    async with bench.journal() as journal:
        assert "alarms" not in journal.kept()
        assert journal.kept()["limits"] == b"state"
    lost = [event.data for event in bench.events() if event.kind == "storage.memory_lost"]
    assert lost == [{"names": ["alarms"]}]


async def test_memories_survive_the_salvage_of_a_damaged_file_in_their_newest_version(bench, put_second):
    async with running(bench) as journal:
        for version in range(20):
            journal.keep("alarms", f"version {version}".encode() * 50)
            put_second(journal, 1000 + version)
            await journal.put_event(Event("alarm.raised", bench.clock.boot_ms, {"n": version}))
    data = bytearray(bench.path.read_bytes())
    data[:512] = bytes(512)
    bench.path.write_bytes(data)
    async with bench.journal() as journal:
        assert journal.stats.set_aside
        assert journal.kept()["alarms"] == b"version 19" * 50


@given(name=st.text(max_size=20), body=st.binary(max_size=100), age=st.integers(0, 2**63), at=st.integers(0))
def test_no_altered_byte_passes_for_a_memory(name, body, age, at):
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE memory(id INTEGER PRIMARY KEY, name TEXT NOT NULL, value BLOB NOT NULL)")
        memory.keep(connection, {name: body}, age)
        assert memory.kept(connection) == ({name: body}, [])
        (value,) = connection.execute("SELECT value FROM memory").fetchone()
    assert memory.opened(name, value) == (age, body)
    altered = bytearray(value)
    altered[at % len(value)] ^= 0x10
    assert memory.opened(name, bytes(altered)) is None


async def test_a_device_slower_than_many_batches_is_still_known(bench, monkeypatch):
    monkeypatch.setattr(reader, "LOOK_BACK", 0)
    journal = await bench.start()
    journal.put(scan(2, 1000))
    for slot in range(1000, 1010):
        journal.put(scan(0, slot))
        await journal.flush(seal=True)
    journal.put(scan(0, 1010))
    await journal.flush()
    abandon(journal)
    async with bench.journal() as journal:
        boot = bench.clock.boot
        assert journal.last_slots() == {"device-0": (boot, 1010), "device-2": (boot, 1000)}


async def test_what_was_kept_before_newer_batches_is_brought_up_to_date_from_them(bench):
    async with bench.journal() as journal:
        journal.put(scan(0, 1000))
        await journal.flush(seal=True)
        with closing(sqlite3.connect(bench.path)) as connection:
            (old,) = connection.execute("SELECT value FROM memory WHERE name = 'slots'").fetchone()
        journal.put(scan(0, 1001))
        journal.put(scan(1, 1001))
        await journal.flush(seal=True)
    with closing(sqlite3.connect(bench.path)) as connection, connection:
        connection.execute("UPDATE memory SET value = ? WHERE name = 'slots'", (old,))
    async with bench.journal() as journal:
        boot = bench.clock.boot
        assert journal.last_slots() == {"device-0": (boot, 1001), "device-1": (boot, 1001)}


async def test_a_store_opened_late_joins_the_new_run_to_the_record_without_a_hole_or_a_double(bench, put_second):
    async with bench.journal() as journal:
        put_second(journal, 1000)
    with no_file_may_grow_beyond(1):
        journal = await bench.start()
        assert journal.last_slots() == {}
        journal.put(scan(0, 1000))
        journal.put(scan(0, 1001))
        journal.put(Miss(1, 999, 5, Quality.BUS_DOWN))
        assert not await journal.flush()
        assert not await journal.flush()
    assert await journal.flush()
    assert journal.stats.dropped["unencodable"] == 1, "what is recorded already is left out, and counted"
    journal.put(scan(2, 1006))
    await journal.close()
    records = bench.records()
    of = {device: [slot for index, slot in slots_of(records) if index == device] for device in range(3)}
    assert of == {0: [1000, 1001], 1: list(range(1000, 1004)), 2: list(range(1000, 1007))}
    assert Miss(2, 1001, 5, Quality.GATEWAY_DOWN) in records
    bench.verify()


async def test_the_end_of_the_last_run_is_told(bench, put_second):
    journal = await bench.start()
    assert journal.previous() is None
    put_second(journal, 1000)
    await journal.flush()
    abandon(journal)
    async with running(bench) as journal:
        previous = journal.previous()
        assert previous.last_ms == max(record.at_ms for record in bench.records() if isinstance(record, Scan))
        assert previous.clock.boot == bench.clock.boot
        assert not previous.orderly
        await journal.put_event(Event("power_down", bench.clock.boot_ms, {"orderly": True}))
    async with bench.journal() as journal:
        assert journal.previous().orderly


RECORDS = st.lists(
    st.builds(Miss, st.integers(0, 2), st.integers(0, 40), st.integers(1, 5), st.just(int(Quality.TIMEOUT))),
    max_size=12,
)


@given(records=RECORDS, cut=st.integers(0, 12), newest=st.integers(0, 30))
def test_after_the_join_each_device_goes_on_exactly_where_its_record_ended(records, cut, newest):
    """Records of a device come in order and do not overlap: that is what acquire promises."""
    layout = make_layout()
    boot = bytes(16)
    device = layout.devices[1]
    known = {on_grid(device): Newest(boot, device.period_ms, device.phase_ms, newest)}
    ends = dict.fromkeys(range(3), -1)
    ordered = []
    for record in records:
        if record.slot > ends[record.device]:
            ordered.append(record)
            ends[record.device] = end_of(record)
    join = Join(known, layout, boot, Quality.GATEWAY_DOWN)
    out = []
    for part in (ordered[:cut], ordered[cut:]):
        joined, doubled = join.join(part, boot)
        assert join.join(part, boot) == (joined, doubled), "nothing is used up before it is on the disk"
        join.joined(joined)
        out += joined
    slots = [slot for index, slot in slots_of(out) if index == 1]
    first = next((slot for slot in slots), None)
    wanted = {slot for index, slot in slots_of(ordered) if index == 1 and slot > newest}
    assert wanted <= set(slots)
    assert len(slots) == len(set(slots))
    assert first in (None, newest + 1)
    assert [record for record in out if record.device != 1] == [r for r in ordered if r.device != 1]


@given(
    st.dictionaries(
        st.text(max_size=10),
        st.tuples(
            st.sampled_from([b"a" * 16, b"b" * 16]), st.integers(1, 3), st.integers(0, 2), st.integers(0, 2**40)
        ),
    )
)
def test_newest_slots_of_a_boot_come_back_as_they_were_kept(known):
    kept = {(device, *newest[1:3]): Newest(*newest) for device, newest in known.items()}
    mine = {place: newest for place, newest in kept.items() if newest.boot == b"a" * 16}
    assert from_bytes(to_bytes(kept, b"a" * 16, 7)) == (mine, 7)


@given(st.binary(max_size=60))
def test_noise_is_refused_as_newest_slots(body):
    with pytest.raises((SealError, ValueError, TypeError)):
        from_bytes(body)


def test_the_newest_slots_of_fifty_devices_take_less_than_a_page():
    kept = {(f"device-{n}", 1000, 0): Newest(bytes(range(16)), 1000, 0, 1_795_360_000 + n % 3) for n in range(50)}
    assert len(to_bytes(kept, bytes(range(16)), 123_456)) < 400
