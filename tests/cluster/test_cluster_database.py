"""The narrow interface: the same promises on both engines, and a store of the first release goes on in this one."""

import asyncio
import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest
from cluster_world import IDENTITY, NOW_MS, Asked, Plant, opened
from postgres_server import Server

from gateway.cluster.database import open_database
from gateway.cluster.database.migrations import newest, statements
from gateway.errors import StorageError
from gateway.seal.tree import Frontier


async def names(where: str) -> list[str]:
    async with opened(where) as database, database.transaction(write=False) as work:
        return [name for (name,) in await work.fetch("SELECT name FROM member ORDER BY name")]


ADD = "INSERT INTO member (name) VALUES ($1)"


async def test_a_transaction_is_all_or_nothing_and_the_callers_error_comes_through(where: str) -> None:
    async with opened(where) as database:

        async def fails() -> None:
            async with database.transaction() as work:
                await work.execute(ADD, "dairy")
                raise ValueError("mine")

        with pytest.raises(ValueError, match="mine"):
            await fails()
        async with database.transaction() as work:
            await work.execute_each(ADD, [("bakery",), ("abattoir",)])
    assert await names(where) == ["abattoir", "bakery"]


async def test_a_cancelled_transaction_leaves_nothing_and_the_next_one_works(where: str) -> None:
    async with opened(where) as database:
        inside = asyncio.Event()

        async def never_ends() -> None:
            async with database.transaction() as work:
                await work.execute(ADD, "dairy")
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(never_ends())
        await inside.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with database.transaction() as work:
            await work.execute(ADD, "bakery")
    assert await names(where) == ["bakery"]


async def test_an_error_of_the_engine_names_the_place(where: str) -> None:
    async with opened(where) as database:

        async def twice() -> None:
            async with database.transaction() as work:
                await work.execute_each(ADD, [("dairy",), ("dairy",)])

        with pytest.raises(StorageError) as caught:
            await twice()
        assert database.place in str(caught.value)
        async with database.transaction() as work:
            await work.execute(ADD, "dairy")


async def test_a_reader_sees_one_unchanging_store_and_cannot_write(where: str) -> None:
    async with opened(where) as database:
        async with database.transaction(write=False) as reader:
            assert (await reader.fetch("SELECT count(*) FROM member"))[0][0] == 0
            async with database.transaction() as work:
                await work.execute(ADD, "dairy")
            assert (await reader.fetch("SELECT count(*) FROM member"))[0][0] == 0
        with pytest.raises(StorageError, match=r"read-?only"):
            async with database.transaction(write=False) as reader:
                await reader.execute(ADD, "bakery")
    database = await open_database(where, read_only=True)
    with pytest.raises(StorageError, match="opened to read"):
        async with database.transaction():
            pass
    await database.close()


async def test_lists_bytes_doubles_and_results_larger_than_a_page(where: str) -> None:
    async with opened(where) as database:
        async with database.transaction() as work:
            await work.execute_each(ADD, [(f"m{number:04d}",) for number in range(2500)])
            wanted = work.dialect.among("name", 1, "text")
            found = await work.fetch(
                f"SELECT name FROM member WHERE {wanted}", work.several(["m0001", "x", "m0002"])
            )
            assert sorted(name for (name,) in found) == ["m0001", "m0002"]
            each = await work.fetch_each(
                "SELECT name FROM member WHERE name = $1", [("m0003",), ("x",), ("m0004",)]
            )
            assert [name for (name,) in each] == ["m0003", "m0004"]
            await work.execute(
                "INSERT INTO log_leaf (place, gateway, stream, size, root, leaf) VALUES ($1, 1, 0, $2, $3, $4)",
                0, 2**62, bytes(range(32)), b"",
            )  # fmt: skip
            row = (await work.fetch("SELECT size, root, leaf FROM log_leaf"))[0]
            assert (row[0], bytes(row[1]), bytes(row[2])) == (2**62, bytes(range(32)), b"")
        async with database.transaction(write=False) as work:
            seen = [name async for (name,) in work.rows("SELECT name FROM member ORDER BY name")]
    assert seen == [f"m{number:04d}" for number in range(2500)]


async def test_many_may_prepare_at_once_and_again(where: str) -> None:
    async def prepare() -> None:
        async with opened(where):
            pass

    await asyncio.gather(*(prepare() for _ in range(4)))
    assert await names(where) == []


async def test_a_store_that_is_not_this_releases_is_named_with_a_remedy(postgres: Server, tmp_path: Path) -> None:
    empty = postgres.new_database()
    with pytest.raises(StorageError, match="schema 0"):
        await open_database(empty, read_only=True)
    with closing(sqlite3.connect(tmp_path / "old.db")) as old:
        old.execute("PRAGMA user_version = 1")
    with pytest.raises(StorageError, match=r"schema 1.*run `aurora-cluster serve` once"):
        await open_database(tmp_path / "old.db", read_only=True)
    with pytest.raises(StorageError, match=r"none\.db"):
        await open_database(tmp_path / "none.db", read_only=True)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://nobody@127.0.0.1:1/x", "not reached"),
        ("postgresql://nobody:secret@127.0.0.1:1/x", "not reached"),
        ("postgresql://:x/y", "cannot be read"),
    ],
)
async def test_a_server_that_is_not_there_is_named_without_the_password(url: str, words: str) -> None:
    with pytest.raises(StorageError, match=words) as caught:
        await open_database(url)
    assert "secret" not in str(caught.value)


async def test_batches_lie_in_the_month_of_their_receipt(postgres: Server) -> None:
    where = postgres.new_database()
    name = where.split("?")[0].rsplit("/")[-1]
    async with opened(where) as database:
        await database.prepare(NOW_MS + 31 * 86_400_000)
        async with database.transaction() as work:
            add = (
                "INSERT INTO batch (gateway, stream, seq, member, leaf, received_ms) "
                "VALUES (1, 1, $1, 1, '', CAST($2 AS bigint))"
            )
            await work.execute_each(add, [(0, NOW_MS), (1, NOW_MS + 31 * 86_400_000), (2, 0)])
    found = postgres.sql("SELECT tableoid::regclass, seq FROM aurora.batch ORDER BY seq", name)
    assert found.split() == ["batch_2026_11|0", "batch_2026_12|1", "batch_other|2"]


async def test_a_client_that_stands_still_does_not_keep_its_locks_for_ever(postgres: Server) -> None:
    async with opened(postgres.new_database()) as database, database.transaction(write=False) as work:
        names = ("idle_in_transaction_session_timeout", "application_name")
        found = [(await work.fetch(f"SELECT current_setting('{name}')"))[0][0] for name in names]
    assert found == ["5min", "aurora-cluster"]


def test_a_store_of_the_first_release_goes_on(tmp_path: Path, plant: Plant) -> None:
    plant.scans(6)
    plant.event("power_up")
    where = tmp_path / "cluster.db"
    first = (resources.files("gateway.cluster.database") / "sqlite" / "0001.sql").read_text(encoding="utf-8")
    with closing(sqlite3.connect(where)) as db:
        for statement in statements(first):
            db.execute(statement)
        db.execute("PRAGMA user_version = 1")
        db.execute("INSERT INTO member VALUES (7, 'dairy', 'north', 'gw-1', 'dairy.gw-1', 5)")
        pem = plant.signer.public.pem().decode()
        db.execute("INSERT INTO term VALUES (7, 0, ?, 'enrolled', 5, 0, NULL, 0, NULL)", (pem,))
        held = plant.batches["scan"][5:]
        for stream, batches in (("scan", plant.batches["scan"][:4] + held), ("event", plant.batches["event"])):
            tree = Frontier.of(batch.leaf for batch in batches[:4])
            waits = len(batches) - tree.size
            row = (stream, tree.to_bytes(), waits, 7, 40, 999, 1, 0, 0, 2, 3, 0, 12, 0, 6, 7, None, 8)
            db.execute(f"INSERT INTO stream VALUES (7, {', '.join('?' * 18)})", row)
            for batch in batches:
                values = (stream, batch.seq, batch.leaf, 6, 7, batch.body)
                db.execute("INSERT INTO batch VALUES (7, ?, ?, ?, ?, ?, ?)", values)
        db.execute("INSERT INTO fork VALUES (7, 'scan', 2, x'01', 'why', 9, x'02')")
        db.execute("INSERT INTO rejected VALUES ('x', 'scan', 'not-cose', 3, 1, 2, NULL, 'what')")
        db.commit()

    async def prepare() -> None:
        async with opened(where):
            pass

    asyncio.run(prepare())
    store = Asked(where)
    gateway = store.gateway(IDENTITY.client)
    assert (gateway.id, gateway.identity, gateway.enrolled_ms, gateway.revoked_ms) == (7, IDENTITY, 5, None)
    state = store.state(7, "scan")
    assert (state.size, state.held, state.announced, state.values, state.volume, state.late) == (
        4,
        2,
        7,
        40,
        999,
        2,
    )
    assert store.held(7, "scan", 4) == [5, 6]
    assert [entry.body for entry in store.entries(7, "event")] == [batch.body for batch in plant.batches["event"]]
    assert store.terms(7)[0].public == plant.signer.public
    assert store.forks(7)[0].why == "why"
    assert store.rejected()[0].times == 3
    with closing(sqlite3.connect(where)) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == newest("sqlite")
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        assert db.execute("SELECT stream, size FROM stream ORDER BY stream").fetchall() == [(0, 2), (1, 4)]
