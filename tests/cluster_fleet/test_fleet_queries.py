"""What the overview says of each gateway, within whose sight, and what it costs with ten thousand of them."""

import asyncio
import json
import re
from typing import Any

import pytest
from fleet_tools import DAY_MS, HOUR_MS, NOW_MS, Fleet, add_gateway, add_member
from postgres_server import Server

from bench.cluster_overview import fill
from gateway.cluster.database import Database, open_database
from gateway.cluster.fleet import details, queries
from gateway.cluster.fleet.glance import Glance, soonest
from gateway.cluster.fleet.marks import VISIT, WORDS, Mark, reasons
from gateway.cluster.fleet.queries import ORDERS, SHOWS, Ask
from gateway.cluster.fleet.scope import ALL, NOTHING, Scope


async def test_the_one_that_is_ill_says_why_and_the_others_say_nothing(store: Database) -> None:
    fleet = await Fleet.made(store)
    await Glance(store, lambda: NOW_MS).once()
    async with store.transaction(write=False) as work:
        rows, count = await queries.gateways(work, ALL, NOW_MS, Ask())
        assert count == 3
        assert [row.name for row in rows] == ["gw-2", "oven", "gw-1"], "what is wrong comes first"
        ill, other, well = rows
        assert Mark(well.marks) == Mark(0)
        assert (well.missing, well.expected, well.got) == (0, 1440, 1440)
        assert (other.alert, other.critical, other.marks) == (1, 0, 0)
        assert Mark(ill.marks) == (
            Mark.FORK | Mark.REFUSED | Mark.SILENT | Mark.HOLE | Mark.CLOCK | Mark.AHEAD | Mark.COVERAGE
        ) | (Mark.CALIBRATION | Mark.UPKEEP | Mark.UNREADABLE)
        assert (ill.critical, ill.alert, ill.maintenance, ill.forks, ill.refused) == (1, 0, 2, 1, 3)
        assert (ill.missing, ill.seen_ms) == (50, NOW_MS - 3 * DAY_MS)
        assert (ill.expected, ill.got) == (1440, 960)
        facts = await details.facts(work, ALL, fleet.ill)
        assert facts == ("dairy.gw-2", NOW_MS - 30 * DAY_MS, "d.air", NOW_MS)
        assert "Two signed histories" in reasons(ill.marks)[0]
        members = await queries.members(work, ALL, NOW_MS)
        sums = queries.added(members)
        assert sums[:7] == (2, 3, 3, 1, 1, 1, 1)
        assert (sums.alert, sums.maintenance, sums.missing, sums.expected, sums.got) == (1, 2, 50, 4320, 3840)
        assert [(row.name, row.sites, row.gateways, row.visit) for row in members] == [
            ("bakery", 1, 1, 0),
            ("dairy", 2, 2, 1),
        ]
        one = await queries.gateway_row(work, ALL, NOW_MS, fleet.ill)
        assert one == ill


SEARCHED: list[tuple[str, set[str]]] = [
    ("DAIRY", {"gw-1", "gw-2"}),
    *[("_", set()), ("%", set()), ("!", set())],
    ("oven", {"oven"}),
]


async def test_every_order_and_every_choice_can_be_asked(store: Database) -> None:
    fleet = await Fleet.made(store)
    await Glance(store, lambda: NOW_MS).once()
    shown = {}
    async with store.transaction(write=False) as work:
        for order in ORDERS:
            rows, _ = await queries.gateways(work, ALL, NOW_MS, Ask(order=order))
            assert len(rows) == 3, order
            if order not in {"name", "trouble"}:
                assert rows[0].id == fleet.ill, order
        for show in SHOWS:
            shown[show] = {row.name for row in (await queries.gateways(work, ALL, NOW_MS, Ask(show=show)))[0]}
        paged = [(await queries.gateways(work, ALL, NOW_MS, Ask(limit=1, offset=n)))[0][0].id for n in range(3)]
        assert sorted(paged) == sorted([fleet.well, fleet.ill, fleet.other])
        for words, names in (
            ("DAIRY", {"gw-1", "gw-2"}),
            ("_", set()),
            ("%", set()),
            ("!", set()),
            ("oven", {"oven"}),
        ):
            found, _ = await queries.gateways(work, ALL, NOW_MS, Ask(words=words))
            assert {row.name for row in found} == names, words
        within, _ = await queries.gateways(work, ALL, NOW_MS, Ask(member=fleet.bakery, words="oven"))
        assert [row.id for row in within] == [fleet.other]
    assert shown == {
        "all": {"gw-1", "gw-2", "oven"},
        "visit": {"gw-2"},
        "alarms": {"gw-2", "oven"},
        "red": {"gw-2"},
        "silent": {"gw-2"},
        "missing": {"gw-2"},
    }


async def test_a_gateway_of_today_that_has_sent_nothing_needs_no_visit(store: Database) -> None:
    async with store.transaction() as work:
        member = await add_member(work, "dairy")
        gateway = await add_gateway(work, member, "new", received_ms=None, size=0, announced=0, clock_state=None)
        await work.execute("UPDATE gateway SET enrolled_ms = $1", NOW_MS)
        row = await queries.gateway_row(work, ALL, NOW_MS, gateway)
        assert row is not None
        assert (Mark(row.marks), row.seen_ms) == (Mark.NEVER, None)
        await work.execute("UPDATE gateway SET revoked_ms = $1", NOW_MS)
        row = await queries.gateway_row(work, ALL, NOW_MS, gateway)
        assert row is not None
        assert row.marks == Mark.CUT_OFF
        assert not row.marks & VISIT
    assert reasons(row.marks) == [WORDS[Mark.CUT_OFF]]


async def test_a_member_sees_its_own_and_nothing_of_the_other(store: Database) -> None:
    fleet = await Fleet.made(store)
    async with store.transaction(write=False) as work:
        for scope, mine in ((Scope(fleet.bakery), {fleet.other}), (NOTHING, set())):
            rows, _ = await queries.gateways(work, scope, NOW_MS, Ask())
            assert {row.id for row in rows} == mine
            sneaky, _ = await queries.gateways(work, scope, NOW_MS, Ask(member=fleet.dairy))
            assert sneaky == []
            assert {row.id for row in await queries.members(work, scope, NOW_MS)} <= {fleet.bakery}
            assert queries.added(await queries.members(work, scope, NOW_MS)).gateways == len(mine)
            for gateway in (fleet.ill, fleet.well):
                assert await queries.gateway_row(work, scope, NOW_MS, gateway) is None
                assert await details.facts(work, scope, gateway) is None
                for ask in (details.streams, details.keys, details.forks, details.certificates, details.points):
                    assert await ask(work, scope, gateway) == [], ask
                assert await details.alarms(work, scope, gateway=gateway) == ([], 0)
            assert {row.gateway for row in (await details.alarms(work, scope))[0]} == mine
            assert {row.gateway for row in await details.refused(work, scope)} <= mine
            asked = {row.member for row in await details.requests(work, scope)}
            assert asked == ({"bakery"} if mine else set())
        assert len(await details.refused(work, ALL)) == 2
        assert len(await details.requests(work, ALL)) == 2
        assert len(await details.requests(work, ALL, waiting=False)) == 3


async def test_a_gateways_details(store: Database) -> None:
    fleet = await Fleet.made(store)
    async with store.transaction(write=False) as work:
        events, scans = await details.streams(work, ALL, fleet.ill)
        assert (events.stream, scans.stream, scans.missing, scans.held) == (0, 1, 25, 15)
        (fork,) = await details.forks(work, ALL, fleet.ill)
        assert (fork.seq, fork.why) == (41, "chain")
        (point,) = await details.points(work, ALL, fleet.ill, "room")
        assert (point.name, point.last_value, point.alarm, point.critical) == ("Cold room", 3.4, "critical", True)
        found, count = await details.alarms(work, ALL, gateway=fleet.ill)
        assert [row.tier for row in found] == ["critical", "maintenance", "maintenance"]
        assert (count, found[0].point_name, found[0].data["words"]) == (3, "Cold room", "too warm")
        only, _ = await details.alarms(work, ALL, tier="alert", words="oven")
        assert [row.gateway for row in only] == [fleet.other]


def test_the_soonest_certificate_is_that_of_the_newest_record() -> None:
    records = [
        {"channel": "d.air", "valid_until": "2026-01-01"},
        {"channel": "d.core", "valid_until": "2027-05-01"},
        {"channel": "d.air", "valid_until": "2028-01-01"},
        {"channel": "d.bad", "valid_until": "soon"},
        {"channel": 5, "valid_until": "2020-01-01"},
        {"channel": "d.end", "valid_until": "9999-12-31"},
        "nothing",
        None,
    ]
    found = soonest(records, [])
    assert found is not None
    assert found == (1_809_216_000_000, "d.core"), "the end of 1 May 2027, UTC"
    due = [
        ("d.x/calibration-due", {"detail": {"valid_until": "2026-02-28"}}),
        ("d.y/calibration-due", {"detail": 3}),
    ]
    assert soonest([], due) == (1_772_323_200_000, "d.x")
    assert soonest([], []) is None


GATEWAYS = 10_000


@pytest.fixture(scope="module")
def many(postgres: Server) -> str:
    """Ten thousand gateways with two streams each, one in 25 with ten open alarms."""
    url = postgres.new_database()
    asyncio.run(fill(url, GATEWAYS))
    return url


def touched(node: dict[str, Any]) -> int:
    """Rows that a plan took into its hands, those it put away included."""
    rows = node["Actual Rows"] + sum(number for name, number in node.items() if name.startswith("Rows Removed"))
    return int(rows * node["Actual Loops"]) + sum(map(touched, node.get("Plans", ())))


async def test_ten_thousand_gateways_are_counted_and_found(many: str) -> None:
    database = await open_database(many, read_only=True)
    try:
        async with database.transaction(write=False) as work:
            sums = queries.added(await queries.members(work, ALL, NOW_MS))
            assert (sums.gateways, sums.members, sums.red) == (10_000, 100, 20)
            members = await queries.members(work, Scope(7), NOW_MS)
            assert [row.gateways for row in members] == [100]
            rows, count = await queries.gateways(work, ALL, NOW_MS, Ask(show="missing", limit=10))
            assert (len(rows), count) == (10, 200)
    finally:
        await database.close()


async def test_each_row_of_ten_thousand_gateways_is_taken_up_a_few_times(
    many: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    took: list[int] = []
    database = await open_database(many, read_only=True)
    try:
        async with database.transaction(write=False) as work:
            inner = work.fetch

            async def counted(sql: str, *values: object) -> list[tuple[int, ...]]:
                found = await inner(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}", *values)
                took.append(touched(json.loads(found[0][0])[0]["Plan"]))
                return []

            monkeypatch.setattr(work, "fetch", counted)
            for order in ORDERS:
                await queries.gateways(work, ALL, NOW_MS, Ask(order=order, offset=5000))
            await queries.members(work, ALL, NOW_MS)
            # Ten alarms, two streams, one glance; and about twenty steps, each of which hands a gateway on.
            assert max(took) < 50 * GATEWAYS, took
            await queries.gateway_row(work, ALL, NOW_MS, 77)
            assert took.pop() < GATEWAYS // 10, "one gateway is found by index"
    finally:
        await database.close()


async def test_the_plans_read_no_evidence(many: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[str] = []
    database = await open_database(many, read_only=True)
    try:
        async with database.transaction(write=False) as work:
            inner = work.fetch

            async def explained(sql: str, *values: object) -> list[tuple[int, ...]]:
                plans.append((await inner(f"EXPLAIN (FORMAT JSON) {sql}", *values))[0][0])
                return []

            monkeypatch.setattr(work, "fetch", explained)
            for order in ORDERS:
                await queries.gateways(work, ALL, NOW_MS, Ask(order=order))
            await queries.members(work, ALL, NOW_MS)
    finally:
        await database.close()
    assert len(plans) == len(ORDERS) + 1
    for plan in plans:
        read = set(re.findall(r'"Relation Name": "(\w+)"', plan))
        assert read == {"gateway", "member", "stream", "alarm", "fork", "rejected", "glance"}


async def test_gathering_goes_on_where_it_was_and_knows_a_new_gateway(store: Database) -> None:
    from gateway.cluster.fleet.glance import gather

    fleet = await Fleet.made(store)
    first = await gather(store, NOW_MS, at_once=1)
    assert first == fleet.well
    assert await gather(store, NOW_MS, first, at_once=10) == fleet.other
    assert await gather(store, NOW_MS, fleet.other) is None
    async with store.transaction() as work:
        rows = await work.fetch("SELECT gateway, expected, got, gathered_ms FROM glance ORDER BY gateway")
        assert [tuple(row) for row in rows] == [
            (fleet.well, 1440, 1440, NOW_MS),
            (fleet.ill, 1440, 960, NOW_MS),
            (fleet.other, 1440, 1440, NOW_MS),
        ]
        await work.execute("UPDATE gateway SET enrolled_ms = $1 WHERE id = $2", NOW_MS - 2 * HOUR_MS, fleet.well)
    await Glance(store, lambda: NOW_MS).once()
    async with store.transaction(write=False) as work:
        rows = await work.fetch("SELECT expected, got FROM glance WHERE gateway = $1", fleet.well)
        assert tuple(rows[0]) == (120, 120), "of a gateway of two hours two hours are due"
