"""Rows from pages: the carver agrees with SQLite on whole files and survives what SQLite does not."""

import random
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.buffer import schema
from gateway.buffer.carve import Carver

values = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=600),
    st.binary(max_size=3000),
)


def carved(path, wal=None):
    with closing(Carver(path, path.with_name(f"{path.name}-wal") if wal is None else wal)) as carver:
        return list(carver.rows())


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("carve")


@settings(max_examples=40)
@given(
    rows=st.dictionaries(st.integers(-(2**63), 2**63 - 1), st.tuples(values, values), max_size=20),
    wal=st.booleans(),
)
def test_all_rows_of_a_sound_file_are_found_in_file_or_log(place, rows, wal):
    path = place / "sound.db"
    for old in place.glob("sound.db*"):
        old.unlink()
    with closing(schema.connect(path, max_bytes=1 << 30)) as connection:
        connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)")
        connection.execute(f"PRAGMA application_id={schema.APPLICATION}")
        connection.executemany("INSERT INTO t VALUES(?, ?, ?)", [(key, *pair) for key, pair in rows.items()])
        if not wal:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        expected = {row[0]: row[1:] for row in connection.execute("SELECT * FROM t")}
        found = {row.rowid: row.values[1:] for row in carved(path) if len(row.values) == 3 and row.whole}
    for key, pair in expected.items():
        assert found[key] == pair
        assert [type(value) for value in found[key]] == [type(value) for value in pair]


def fill(path, rows=300):
    connection = schema.connect(path, max_bytes=1 << 30)
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)")
    connection.execute(f"PRAGMA application_id={schema.APPLICATION}")
    for key in range(rows):
        connection.execute("INSERT INTO t VALUES(?, ?)", (key, bytes([key % 256]) * 1500))
    return connection


def test_what_is_not_committed_in_the_log_is_not_taken(place):
    path = place / "open.db"
    with closing(fill(path)) as connection:
        connection.execute("BEGIN")
        connection.execute("PRAGMA cache_spill=ON")
        connection.execute("PRAGMA cache_size=5")
        connection.executemany("INSERT INTO t VALUES(?, ?)", [(key, bytes(1500)) for key in range(1000, 1300)])
        assert {row.rowid for row in carved(path) if row.whole and len(row.values) == 2} == set(range(300))
        connection.execute("ROLLBACK")


@pytest.mark.parametrize("seed", range(5))
def test_pages_that_are_gone_take_only_their_own_rows(place, seed):
    path = place / f"holes-{seed}.db"
    connection = fill(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()
    source = random.Random(seed)
    data = bytearray(path.read_bytes())
    pages = len(data) // 512
    lost = [0, *source.sample(range(pages), 20)]
    for page in lost:
        data[page * 512 : page * 512 + 512] = source.randbytes(512)
    path.write_bytes(data)
    found = {
        row.rowid for row in carved(path) if row.whole and row.values == (None, bytes([row.rowid % 256]) * 1500)
    }
    assert len(found) >= 300 - 2 * len(lost)


@settings(max_examples=60)
@given(data=st.data())
def test_noise_is_read_without_an_error(place, data):
    path = place / "noise.db"
    wal = place / "noise.db-wal"
    leaf = st.builds(
        lambda head, rest: b"\x0d" + head + rest, st.binary(min_size=7, max_size=7), st.binary(max_size=504)
    )
    pages = data.draw(st.lists(leaf, max_size=6))
    path.write_bytes(b"".join(page.ljust(512, b"\x81") for page in pages))
    wal.write_bytes(data.draw(st.binary(max_size=200)))
    carved(path, wal)
