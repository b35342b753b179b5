"""Retention: values go by point, evidence by member; leaves stay, and what went is written down."""

from pathlib import Path

import pytest
from derive_world import (
    EAGER,
    EVENT,
    SCAN,
    START_MS,
    Box,
    alarm,
    enrol,
    scan,
    settings_changed,
    store_all,
    tables,
)

from gateway.cluster.audit import Audited, audit
from gateway.cluster.database import Database
from gateway.cluster.derive.again import begin_again
from gateway.cluster.derive.follower import Follower
from gateway.cluster.derive.retention import Rule, retain, rules, set_rule
from gateway.cluster.derive.segment import DAY_MS
from gateway.cluster.opening import Message
from gateway.cluster.register import Register
from gateway.cluster.store import Store
from gateway.errors import OperatorError
from gateway.seal.keys import FileSigner
from gateway.seal.tree import Frontier

DAYS = 12
NOW_MS = START_MS + DAYS * DAY_MS


@pytest.fixture
async def full(database: Database, tmp_path: Path) -> tuple[int, Box]:
    """A gateway with a scan and an alarm on each of twelve days, received on the same day."""
    box = Box(FileSigner.create(tmp_path / "gateway.key"))
    box.says_layout()
    box.happens(settings_changed({"point[cold].device": "room", "point[cold].channel": "air"}, first=True))
    for day in range(DAYS):
        box.measures(scan(day * 86_400 + 1, 4.0))
        box.happens(alarm("cold/high", "raised", "unacknowledged"))
        box.happens(alarm("gateway/disk", "raised", "normal", point=None))
        box.pass_ms(DAY_MS)
    gateway = await enrol(database)
    await store_all(database, gateway, box)
    async with database.transaction() as work:
        for stream in (EVENT, SCAN):
            for seq in range(len(box.batches[stream])):
                first = 1 if stream == SCAN else 3
                day = max(0, (seq - first) // (1 if stream == SCAN else 2))
                sql = "UPDATE batch SET received_ms = $4 WHERE gateway = $1 AND stream = $2 AND seq = $3"
                await work.execute(sql, gateway, stream, seq, START_MS + day * DAY_MS + 1000)
            frontier = Frontier()
            for batch in box.batches[stream]:
                frontier.append(batch.leaf)
            sql = "UPDATE stream SET frontier = $3 WHERE gateway = $1 AND stream = $2"
            await work.execute(sql, gateway, stream, frontier.to_bytes())
        sql = """INSERT INTO term (gateway, place, public, origin, since_ms, event_first, scan_first)
            VALUES ($1, 0, $2, 'enrolment', 0, 0, 0)"""
        await work.execute(sql, gateway, box.signer.public.pem().decode())
    await Follower(database, EAGER._replace(values=True)).catch_up(NOW_MS + DAY_MS)
    return gateway, box


async def setting(database: Database, *wanted: Rule) -> None:
    async with database.transaction() as work:
        for rule in wanted:
            await set_rule(work, rule)


async def bodies(database: Database, gateway: int, stream: int) -> list[int]:
    """The batches that have one."""
    sql = "SELECT seq FROM batch WHERE gateway = $1 AND stream = $2 AND body IS NOT NULL ORDER BY seq"
    async with database.transaction(write=False) as work:
        return [row[0] for row in await work.fetch(sql, gateway, stream)]


def days_of(rows: list[tuple[object, ...]], channel: str) -> int:
    return len({row[3] for row in rows if row[1] == channel})


async def test_nothing_goes_without_a_rule(database: Database, full: tuple[int, Box]) -> None:
    before = await tables(database, full[0])
    assert await retain(database, NOW_MS + 5000 * DAY_MS) == []
    assert await tables(database, full[0]) == before
    assert len(before["roll"]) == 3 * DAYS


async def test_a_points_days(database: Database, full: tuple[int, Box]) -> None:
    """Its values and events go, all else stays, the evidence too."""
    gateway, box = full
    await setting(database, Rule("dairy", "cold", 3))
    assert await retain(database, NOW_MS) == []
    found = await tables(database, gateway)
    for name in ("day", "roll", "value"):
        assert (days_of(found[name], "air"), days_of(found[name], "hum")) == (3, DAYS)
    assert len([row for row in found["event"] if row[7] == "cold"]) == 3
    assert len([row for row in found["event"] if row[7] is None]) == 2 + DAYS
    assert len(await bodies(database, gateway, SCAN)) == len(box.batches[SCAN])


async def test_a_members_days_and_a_longer_point(database: Database, full: tuple[int, Box]) -> None:
    """Evidence is kept for the longest of them; what is needed to read it is kept for ever."""
    gateway, box = full
    await setting(database, Rule("dairy", "", 2), Rule("dairy", "cold", 5))
    erased = await retain(database, NOW_MS)
    found = await tables(database, gateway)
    assert (days_of(found["roll"], "air"), days_of(found["roll"], "hum")) == (5, 2)
    kinds = [row[6] for row in found["event"]]
    assert (kinds.count("layout"), kinds.count("config.changed"), kinds.count("alarm.raised")) == (1, 1, 5 + 2)
    assert [row[0] for row in found["alarm"]] == ["cold/high", "gateway/disk"]
    assert await bodies(database, gateway, SCAN) == [0, *range(DAYS + 1 - 5, DAYS + 1)]
    assert await bodies(database, gateway, EVENT) == [0, 1, 2, *range(3 + 2 * (DAYS - 5), 3 + 2 * DAYS)]
    assert [(one.stream, one.first, one.last) for one in erased] == [(EVENT, 3, 16), (SCAN, 1, 7)]
    async with database.transaction(write=False) as work:
        rows = await work.fetch("SELECT stream, first, last, bytes, days, at_ms FROM erased ORDER BY stream")
        deeds = await work.fetch("SELECT person, what FROM deed")
    gone = sum(len(batch.body) for batch in box.batches[SCAN][1:8])
    assert tuple(rows[1]) == (SCAN, 1, 7, gone, 5, NOW_MS)
    assert [tuple(row) for row in deeds] == [("retention", "evidence erased")] * 2
    assert await retain(database, NOW_MS) == []


async def test_trees_stay_whole(database: Database, full: tuple[int, Box]) -> None:
    await setting(database, Rule("dairy", "", 1))
    await retain(database, NOW_MS)
    found = [one async for one in audit(database)]
    assert [one for one in found if not isinstance(one, Audited)] == []
    assert [(one.size, one.bodies) for one in found if isinstance(one, Audited)] == [(27, 5), (13, 2)]


async def test_what_was_taken_does_not_come_back_when_the_gateway_sends_it_again(
    database: Database, full: tuple[int, Box]
) -> None:
    gateway, box = full
    await setting(database, Rule("dairy", "", 1))
    erased = await retain(database, NOW_MS)
    left = await bodies(database, gateway, SCAN)
    async with database.transaction() as work:
        before = (await Store(work).states([gateway]))[gateway]["scan"]
    register = Register(database, box.signer, iss="urn:aurora:cluster:test")
    again = [Message(box.identity.client, "scan", batch.body) for batch in box.batches[SCAN][1:4]]
    await register.take(again, NOW_MS)
    async with database.transaction() as work:
        after = (await Store(work).states([gateway]))[gateway]["scan"]
    assert await bodies(database, gateway, SCAN) == left
    assert (after.values, after.deleted, after.duplicates) == (before.values, before.deleted, before.duplicates + 3)
    assert erased != []
    assert await retain(database, NOW_MS) == []


async def test_what_waits_for_the_time_of_its_boot_is_kept(database: Database, full: tuple[int, Box]) -> None:
    gateway, _ = full
    await setting(database, Rule("dairy", "", 1))
    wait = "INSERT INTO unread (member, gateway, stream, seq, why, need) VALUES (1, $1, $2, $3, 'no-time', $4)"
    async with database.transaction() as work:
        await work.execute_each(wait, [(gateway, SCAN, 2, b"boot"), (gateway, EVENT, 4, b"boot")])
    await retain(database, NOW_MS)
    assert 2 in await bodies(database, gateway, SCAN)
    assert 4 in await bodies(database, gateway, EVENT)


async def test_what_the_tables_do_not_know_yet_is_kept(database: Database, full: tuple[int, Box]) -> None:
    gateway, box = full
    await setting(database, Rule("dairy", "", 1))
    async with database.transaction() as work:
        await work.execute("UPDATE progress SET scan_next = 4, event_next = 6 WHERE gateway = $1", gateway)
        await work.execute("UPDATE stream SET size = 3 WHERE gateway = $1 AND stream = 1", gateway)
    await retain(database, NOW_MS)
    assert await bodies(database, gateway, SCAN) == [0, *range(3, DAYS + 1)]
    assert await bodies(database, gateway, EVENT) == [0, 1, 2, *range(6, len(box.batches[EVENT]))]


async def test_tables_are_made_anew(database: Database, full: tuple[int, Box]) -> None:
    gateway, _ = full
    whole = await tables(database, gateway)
    assert await begin_again(database) == 1
    emptied = await tables(database, gateway)
    assert {name for name, rows in emptied.items() if rows} == {"channel"}
    await Follower(database, EAGER._replace(values=True)).catch_up(NOW_MS + DAY_MS)
    assert await tables(database, gateway) == whole


async def test_tables_are_not_made_anew_without_their_evidence(database: Database, full: tuple[int, Box]) -> None:
    gateway, _ = full
    await setting(database, Rule("dairy", "", 5))
    await retain(database, NOW_MS)
    before = await tables(database, gateway)
    with pytest.raises(OperatorError, match="of 21 batches was erased"):
        await begin_again(database)
    assert await tables(database, gateway) == before
    await begin_again(database, losing=True)
    await Follower(database, EAGER._replace(values=True)).catch_up(NOW_MS + DAY_MS)
    after = await tables(database, gateway)
    assert after["day"] == before["day"]
    assert {row[2] for row in after["unread"]} == {"no-body"}


async def test_rules_are_set_and_refused(database: Database, full: tuple[int, Box]) -> None:
    await setting(database, Rule("dairy", "", 400), Rule("dairy", "cold", 1825), Rule("dairy", "", 30))
    async with database.transaction() as work:
        assert await rules(work) == [("dairy", "", 30), ("dairy", "cold", 1825)]
        await set_rule(work, Rule("dairy", "", 0))
        assert await rules(work) == [("dairy", "cold", 1825)]
        with pytest.raises(OperatorError, match="no member"):
            await set_rule(work, Rule("nobody", "", 3))
        with pytest.raises(OperatorError, match="-1 days"):
            await set_rule(work, Rule("dairy", "", -1))
