"""Follower, register and commands together: as an operator runs them."""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from derive_world import (
    EAGER,
    EVENT,
    LATER_MS,
    SCAN,
    START_MS,
    Box,
    alarm,
    day_values,
    enrol,
    scan,
    store,
    store_all,
    tables,
)
from postgres_server import Server

from gateway.cluster.cli import main
from gateway.cluster.database import Database, open_database
from gateway.cluster.derive.follower import Follower, Options
from gateway.cluster.derive.progress import waiting
from gateway.cluster.derive.service import follow
from gateway.cluster.enrolment import Enrolment
from gateway.cluster.enrolment import enrol as admit
from gateway.cluster.opening import Message
from gateway.cluster.register import Register
from gateway.seal.keys import FileSigner

ROOT = Path(__file__).parents[2]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    box = Box(FileSigner.create(tmp_path / "gateway.key"))
    box.says_layout()
    for number in range(20):
        box.pass_ms(1000)
        box.measures(scan(number, number / 10))
        box.happens(alarm("cold/high", "raised", "unacknowledged" if number % 2 else "normal"))
    return box


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        async with asyncio.timeout(60):
            while not await condition():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within 30 s: {what}") from None


async def test_what_comes_in_any_order_through_the_register(database: Database, box: Box, tmp_path: Path) -> None:
    """Batches late, doubled and out of order, a follower beside the register: the tables are those in order."""
    whole = await enrol(database, "whole", "other")
    await store_all(database, whole, box)
    await admit(database, Enrolment(box.identity, box.signer.public), START_MS)
    register = Register(database, FileSigner.create(tmp_path / "cluster.key"), iss="urn:aurora:cluster:test")
    messages = [
        Message(box.identity.client, batch.stream, batch.body)
        for stream in (EVENT, SCAN)
        for batch in [box.batches[stream][0], *box.batches[stream][1:] * 2]
    ]
    random.Random(9).shuffle(messages)
    follower = Follower(database, EAGER._replace(batches=3))
    for at in range(0, len(messages), 7):
        await register.take(messages[at : at + 7], START_MS)
        await follower.step(START_MS)
    # A gateway sends again what is behind a hole that came too early.
    for stream in (EVENT, SCAN):
        await register.take(
            [Message(box.identity.client, batch.stream, batch.body) for batch in box.batches[stream]], START_MS
        )
    await follower.catch_up(LATER_MS)
    async with database.transaction(write=False) as work:
        rows = await work.fetch("SELECT id FROM gateway WHERE client = $1", box.identity.client)
    found = await tables(database, rows[0][0])
    assert len(day_values(found["day"], "room", "air")) == 20
    assert found == await tables(database, whole)


async def test_scans_wait_for_more_of_their_kind(database: Database, box: Box) -> None:
    """Events are in the tables at once; scans when they have waited, or are many."""
    gateway = await enrol(database)
    await store_all(database, gateway, box)
    follower = Follower(database, Options(lag_ms=30_000, enough=5))
    await follower.catch_up(START_MS)
    assert len((await tables(database, gateway))["chunk"]) == 3
    box.measures(scan(100, 1.0))
    box.happens(("note", {}))
    await store_all(database, gateway, box)
    await follower.catch_up(START_MS + 29_999)
    found = await tables(database, gateway)
    assert (len(found["chunk"]), "note" in {row[6] for row in found["event"]}) == (3, True)
    await follower.catch_up(START_MS + 30_000)
    assert len((await tables(database, gateway))["chunk"]) == 6


async def test_the_service_follows(database: Database, box: Box) -> None:
    gateway = await enrol(database)
    task = asyncio.ensure_future(follow(database, lambda: LATER_MS, EAGER, poll_s=0.01))
    try:
        await store_all(database, gateway, box)

        async def there() -> bool:
            return len((await tables(database, gateway))["day"]) == 3

        await until(there, "the day is derived")
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_events_come_before_backlogs(database: Database, box: Box) -> None:
    ids = [await enrol(database, f"gw-{number}") for number in range(3)]
    for gateway in ids:
        await store_all(database, gateway, box)
    follower = Follower(database, EAGER)
    await follower.catch_up(START_MS)
    for gateway in ids[:2]:
        box.measures(scan(500 + gateway, 1.0))
        await store(database, gateway, SCAN, box.batches[SCAN])
    box.happens(("note", {}))
    await store(database, ids[2], EVENT, box.batches[EVENT])
    async with database.transaction(write=False) as work:
        assert await waiting(work, now_ms=START_MS + 1, lag_ms=0, enough=1, day=0) == [ids[2], *ids[:2]]


async def test_killed_for_good(place: str, box: Box, tmp_path: Path) -> None:
    """The command, killed while it works, again and again: the tables end as those of an undisturbed run."""
    for number in range(20, 700):
        box.measures(scan(number, number % 90 / 10))
    database = await open_database(place)
    await database.prepare(START_MS)
    torn = await enrol(database, "torn")
    await store_all(database, torn, box)
    command = [sys.executable, "-m", "gateway.cluster.cli", "derive", "--lag", "0", "--store", place]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'ext'}"}

    async def stands() -> tuple[int, int]:
        async with database.transaction(write=False) as work:
            rows = await work.fetch("SELECT event_next, scan_next FROM progress WHERE gateway = $1", torn)
        return (rows[0][0], rows[0][1]) if rows else (0, 0)

    for _ in range(3):
        before = await stands()
        process = subprocess.Popen([*command, "--data", str(tmp_path)], env=environment, stderr=subprocess.DEVNULL)
        try:

            async def moved(before: tuple[int, int] = before) -> bool:
                return await stands() != before or before[1] == len(box.batches[SCAN])

            await until(moved, "the command works")
        finally:
            process.kill()
            process.wait()
    await Follower(database, EAGER).catch_up(LATER_MS)
    whole = await enrol(database, "whole")
    await store_all(database, whole, box)
    await Follower(database, EAGER).catch_up(LATER_MS)
    assert await tables(database, torn) == await tables(database, whole)
    await database.close()


async def test_the_service_outlives_its_server(server: Server, box: Box, caplog: pytest.LogCaptureFixture) -> None:
    database = await open_database(server.new_database())
    await database.prepare(START_MS)
    gateway = await enrol(database)
    caplog.set_level("INFO", "gateway.cluster.derive")
    task = asyncio.ensure_future(follow(database, lambda: LATER_MS, EAGER, poll_s=0.01))
    try:
        await asyncio.to_thread(server.stop, "immediate")

        async def told() -> bool:
            return "not followed" in caplog.text

        await until(told, "it says so")
        await asyncio.to_thread(server.start)
        await store_all(database, gateway, box)

        async def there() -> bool:
            return len((await tables(database, gateway))["day"]) == 3

        await until(there, "the day is derived")
        assert caplog.text.count("are not followed") == caplog.text.count("followed again") == 1
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await database.close()


def test_the_commands(place: str, box: Box, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--store", place, "--data", str(tmp_path / "data")]

    async def fill() -> None:
        database = await open_database(place)
        await database.prepare(START_MS)
        await store_all(database, await enrol(database), box)
        await database.close()

    async def read() -> dict[str, list[tuple[object, ...]]]:
        database = await open_database(place, read_only=True)
        found = await tables(database, 1)
        await database.close()
        return found

    asyncio.run(fill())
    assert main(["derive", "--once", *where]) == 0
    first = asyncio.run(read())
    assert first["value"] == []
    assert len(first["roll"]) == 3
    assert main(["derive", "--once", "--again", "--values", *where]) == 0
    assert "1 gateways" in capsys.readouterr().out
    again = asyncio.run(read())
    assert len(again["value"]) == 60
    assert {**again, "value": []} == first

    assert main(["retention", *where, "--member", "nobody", "--days", "3"]) == 2
    assert "no member nobody" in capsys.readouterr().err
    assert main(["retention", *where, "--member", "dairy", "--point", "cold", "--days", "1825"]) == 0
    assert main(["retention", *where, "--member", "dairy", "--days", "36500", "--run"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "dairy (all else, and evidence): 36500 days",
        "dairy cold: 1825 days",
    ]
