"""Versions of the file, and who may open it."""

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from buffer_bench import batches, slots_of

from gateway.buffer import schema
from gateway.buffer.reader import Reader
from gateway.errors import StorageError
from gateway.model import Miss, Quality

DATA = Path(__file__).parent / "data"


def tables(path: Path) -> list[tuple[str, str]]:
    connection = sqlite3.connect(path)
    found = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE '%migrations%' ORDER BY name"
    ).fetchall()
    connection.close()
    return found


@pytest.fixture(params=range(1, schema.VERSION))
def old(bench, request) -> Path:
    """A journal as an old version wrote it: two sealed batches, two groups in the tail, cut off by a kill."""
    shutil.copy(DATA / f"journal-{request.param}.db", bench.path)
    return bench.path


async def test_an_old_file_is_brought_up_to_date_with_all_it_holds(bench, old):
    before = Reader(old)
    stored = list(batches(before, "scan"))
    before.close()
    async with bench.journal():
        pass
    fresh = bench.path.with_name("fresh.db")
    connection = schema.connect(fresh, max_bytes=1 << 30)
    schema.prepare(connection)
    connection.close()
    assert tables(old) == tables(fresh)
    reader = bench.reader()
    assert list(batches(reader, "scan"))[: len(stored)] == stored
    assert reader.check() == []
    reader.close()
    assert slots_of(bench.records()) == [(0, slot) for slot in range(1000, 1006)] + [(1, 1005)]
    assert bench.records()[-1] == Miss(1, 1005, 1, Quality.TIMEOUT)


async def test_an_old_file_is_unchanged_when_the_update_fails(bench, old, monkeypatch):
    before = tables(old)
    found = sqlite3.connect(old).execute("PRAGMA user_version").fetchone()
    broken = "CREATE TABLE memory(id); CREATE TABLE memory(id)"
    monkeypatch.setattr(schema, "SCRIPTS", (*schema.SCRIPTS[:-1], broken))
    async with bench.journal() as journal:
        assert journal.state == "failing"
        assert "already exists" in journal.stats.fault
    connection = sqlite3.connect(old)
    assert connection.execute("PRAGMA user_version").fetchone() == found
    assert tables(old) == before
    connection.close()


async def test_a_file_of_a_newer_program_is_refused_and_left_alone(bench):
    async with bench.journal():
        pass
    connection = sqlite3.connect(bench.path)
    connection.execute(f"PRAGMA user_version={schema.VERSION + 1}")
    connection.close()
    before = bench.path.read_bytes()
    with pytest.raises(StorageError, match="newer program"):
        await bench.start()
    assert bench.path.read_bytes() == before


async def test_a_database_of_another_program_is_refused_and_left_alone(bench):
    connection = sqlite3.connect(bench.path)
    connection.execute("CREATE TABLE recipes(name)")
    connection.commit()
    connection.close()
    with pytest.raises(StorageError, match="another program"):
        await bench.start()
    assert "recipes" in dict(tables(bench.path))


async def test_the_file_is_set_up_to_last(bench):
    async with bench.journal() as journal:
        await journal.flush()
        connection = sqlite3.connect(bench.path)
        read = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_size", "auto_vacuum", "journal_mode", "application_id", "user_version")
        }
        connection.close()
    assert read == {
        "page_size": 512,
        "auto_vacuum": 2,
        "journal_mode": "wal",
        "application_id": schema.APPLICATION,
        "user_version": schema.VERSION,
    }


def test_every_commit_is_synced_and_freed_pages_are_not_written_again(tmp_path):
    connection = schema.connect(tmp_path / "journal.db", max_bytes=1 << 20)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA secure_delete").fetchone() == (0,)
    connection.close()


def test_a_new_or_current_file_does_not_cost_the_import_of_sqlite_utils(tmp_path):
    program = """
import sys, pathlib
from gateway.buffer import schema, journal
for _ in range(2):
    connection = schema.connect(pathlib.Path(sys.argv[1]), max_bytes=1 << 30)
    schema.prepare(connection)
    connection.close()
assert "sqlite_utils" not in sys.modules, "imported"
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "journal.db")], check=True, timeout=30)


def test_the_reader_of_a_missing_file_says_so(tmp_path):
    reader = Reader(tmp_path / "journal.db")
    with pytest.raises(StorageError):
        reader.batches("scan", 0, 1)
    reader.close()
