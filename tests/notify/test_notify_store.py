"""The queue on disk: what is in it stays, and what happens when the file or the disk is not well."""

import os
import resource
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from notify_tools import AWAY, HandClock, Probe, alarm, notifying, output, rule, site_of, until

from gateway.errors import StorageError
from gateway.notify.facts import Facts
from gateway.notify.store import FILE, FINISHED_KEPT, Row, Store, open_store


def row(number: int = 1, **changes: object) -> Row:
    claim = HandClock()()
    facts = Facts.of_event(alarm(occurrence=number), claim)
    base = Row(
        id=0,
        key=f"k{number}",
        output="mail",
        recipient="a",
        alarm=facts.alarm,
        transition="raised",
        rank=1,
        state="waiting",
        delay=False,
        times=(),
        told=False,
        boot=claim.boot,
        accepted_ms=100,
        accepted_utc_ms=None,
        due_ms=100,
        tries=0,
        error="",
        facts=facts,
    )
    return base._replace(**changes)  # type: ignore[arg-type]


def test_a_key_is_queued_once_and_what_is_urgent_comes_first(tmp_path: Path) -> None:
    with closing(Store(tmp_path / FILE)) as store, store.change():
        assert store.add(row(1))
        assert not store.add(row(1, recipient="other"))
        assert store.add(row(2, rank=0))
        assert store.add(row(3, due_ms=500))
        assert [found.key for found in store.due("mail", 100, 10)] == ["k2", "k1"]
        assert store.next_due("mail", 100) == 500
        assert store.totals("mail", row().boot) == (0, 3, 100)


def test_a_row_comes_back_as_it_was(tmp_path: Path) -> None:
    with closing(Store(tmp_path / FILE)) as store:
        with store.change():
            store.add(row(1, delay=True, told=True))
        (found,) = store.due("mail", 100, 10)
    assert found == row(1, delay=True, told=True)._replace(id=found.id)


def test_finished_notices_are_forgotten_in_the_end_and_open_ones_never(tmp_path: Path) -> None:
    with closing(Store(tmp_path / FILE)) as store:
        with store.change():
            store.add(row(0))
            for number in range(1, FINISHED_KEPT + 301):
                store.add(row(number, state="sent"))
            store.prune()
        kept = store._db.execute("SELECT count(*), min(id) FROM notice").fetchone()
    assert kept == (FINISHED_KEPT + 1, 1)


def test_a_change_that_fails_in_the_middle_has_not_happened(tmp_path: Path) -> None:
    def half(store: Store) -> None:
        with store.change():
            store.add(row(1))
            raise RuntimeError

    with closing(Store(tmp_path / FILE)) as store:
        with pytest.raises(RuntimeError):
            half(store)
        assert store.due("mail", 100, 10) == []


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("PRAGMA user_version=99", "has version 99, .*; install the newer"),
        ("PRAGMA application_id=7", "another program"),
    ],
)
def test_a_file_that_is_not_ours_to_use_stays_as_it_is(tmp_path: Path, statement: str, words: str) -> None:
    Store(tmp_path / FILE).close()
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.execute(statement)
    with pytest.raises(StorageError, match=words):
        open_store(tmp_path)
    assert [path.name for path in tmp_path.iterdir() if "damaged" in path.name] == []


@pytest.mark.parametrize("damage", [b"this is no database at all, just some text" * 40, None])
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / FILE
    with closing(Store(path)) as store, store.change():
        for number in range(200):
            store.add(row(number))
    if damage is None:
        with path.open("r+b") as opened:
            opened.seek(4096)
            opened.write(os.urandom(path.stat().st_size - 8192))
    else:
        path.write_bytes(damage)
    store, trouble = open_store(tmp_path)
    store.close()
    assert "set aside as notify.db.damaged-1, a new one is begun" in trouble
    assert (tmp_path / "notify.db.damaged-1").exists()


async def test_where_the_disk_takes_nothing_people_are_told_from_memory(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    async with notifying(site_of(tmp_path, [output()], [rule()])) as world:
        await world.notifier.accept([alarm()])
        await until(lambda: Probe.told)
        assert not world.notifier.stats.durable
    assert world.kinds()[0] == "notify.queue"
    assert "in memory only" in world.events[0].data["what"]


async def test_a_disk_that_fills_up_meanwhile_stops_nobody_from_being_told(tmp_path: Path) -> None:
    """A limit on the size of files is what a full disk is to SQLite: writing fails, reading goes on."""
    Probe.failure["mail"] = AWAY
    async with notifying(site_of(tmp_path, [output()], [rule()])) as world:
        await world.notifier.accept([alarm()])
        size = max(path.stat().st_size for path in tmp_path.iterdir())
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            await world.notifier.accept([alarm(alarm=f"room-{n}/high") for n in range(20)])
            Probe.failure.clear()
            await until(lambda: world.notifier.stats.outputs["mail"].sent == 21)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert not world.notifier.stats.durable
        assert "notify.queue" in world.kinds()
    assert Probe.told[0][1].alarm == "cold-room-1/high-critical", "what was queued on disk before is not lost"
