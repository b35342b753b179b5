"""The pages as people see them: what is wrong is told, a member sees its own, nothing is done without a right."""

import json
import re
from pathlib import Path

import httpx
import pytest
from fleet_page import PASSWORD, Clock, Person, page
from fleet_tools import NOW_MS, Fleet

from gateway.access.firstcode import kept_code
from gateway.cluster.database import Database
from gateway.cluster.fleet.programs.operations import OPERATIONS
from gateway.cluster.fleet.staff import StaffBook
from gateway.errors import AccessError
from gateway.seal.keys import FileSigner


async def test_staff_see_what_is_wrong_and_where_to_go(store: Database, tmp_path: Path) -> None:
    signer = FileSigner.create(tmp_path / "gateway.key")
    fleet = await Fleet.made(store, signer)
    async with page(store, tmp_path) as here, here.first() as ana:
        front = (await ana.get("/")).text
        assert front.index("gw-2") < front.index("oven") < front.index("gw-1</a>")
        assert "Two signed histories" in front
        assert "A calibration ends within 30 days" in front
        assert "3 d ago" in front
        only = (await ana.get("/?show=visit")).text
        assert "gw-2</a>" in only
        assert "oven</a>" not in only
        sorted_page = (await ana.get("/?sort=name&q=dairy")).text
        assert sorted_page.index("gw-1</a>") < sorted_page.index("gw-2</a>")
        assert 'aria-sort="ascending"' in sorted_page
        assert "bakery" in (await ana.get("/members")).text
        member = (await ana.get(f"/members/{fleet.dairy}")).text
        assert "gw-2</a>" in member
        assert "oven</a>" not in member
        one = (await ana.get(f"/gateways/{fleet.ill}")).text
        for words in (
            "Needs a visit",
            "bad-signature",
            "chain",
            "for 2 d",
            signer.public.thumbprint.hex(),
            "too warm",
        ):
            assert words in one, words
        well = (await ana.get(f"/gateways/{fleet.well}")).text
        assert "Needs a visit" not in well
        assert "100.00" in well
        alarms = (await ana.get("/alarms")).text
        assert alarms.index('class="critical') < alarms.index('class="alert')
        assert "oven" not in (await ana.get("/alarms?tier=critical")).text
        assert "nobody.gw-0" in (await ana.get("/refused")).text
        requests = (await ana.get("/requests")).text
        assert "ABCD-EFGH-JKLM" in requests
        point = (await ana.get(f"/gateways/{fleet.ill}/points/room")).text
        assert "3.4" in point
        assert "nothing has come" in point, "there are no values in this store, and the chart says so"
        assert (await ana.get(f"/gateways/{fleet.ill}/points/none")).status_code == 404
        assert (await ana.get(f"/gateways/{fleet.ill}/points/a%00b")).status_code == 404
        assert (await ana.get("/alarms?q=a%00b&member=-1&tier=x&from=x")).status_code == 200
        assert (await ana.get("/?q=%00&show=x&sort=x&from=99999999999")).status_code == 200
        assert (await ana.get("/gateways/99999999")).status_code == 404
        assert (await ana.get("/gateways/x")).status_code == 404
        assert "access.joined" in (await ana.get("/deeds")).text


async def test_every_language_has_every_page(store: Database, tmp_path: Path) -> None:
    fleet = await Fleet.made(store)
    async with page(store, tmp_path) as here, here.first() as ana:
        for tag, words in (("fr", "Flotte"), ("nl", "Vloot"), ("pl", "Flota"), ("es", "Flota")):
            ana.headers["accept-language"] = tag
            assert words in (await ana.get("/")).text
            for path in PATHS:
                answer = await ana.get(path.format(gateway=fleet.ill, member=fleet.dairy))
                assert (answer.status_code, f'<html lang="{tag}"' in answer.text) == (200, True), (tag, path)


PATHS = [
    *("/", "/members", "/members/{member}", "/gateways/{gateway}", "/gateways/{gateway}/points/room"),
    *("/alarms", "/refused", "/requests", "/deeds", "/people", "/account", "/more"),
    *("/gateways/{gateway}/points/room?span=month", "/?show=red&sort=coverage", "/alarms?member={member}"),
]


async def test_a_member_gets_nothing_of_another_by_any_address(store: Database, tmp_path: Path) -> None:
    fleet = await Fleet.made(store)
    async with page(store, tmp_path) as here, here.first() as ana, here.other(ana, "Bo", "member", "bakery") as bo:
        front = (await bo.get("/")).text
        assert "oven</a>" in front
        for theirs in ("/", "/members", "/alarms", "/refused", "/requests", "/?show=red", "/?q=gw", "/account"):
            text = (await bo.get(theirs)).text
            for word in ("dairy", "gw-1<", "gw-2", "nobody.gw-0", "ABCD-EFGH-JKLM", "bad-signature"):
                assert word not in text, (theirs, word)
        for path in (
            f"/members/{fleet.dairy}",
            f"/gateways/{fleet.ill}",
            f"/gateways/{fleet.well}/points/room",
            f"/gateways/{fleet.well}/points/room/values.csv?from_ms=0&to_ms={NOW_MS // 100}",
        ):
            answer = await bo.get(path)
            assert answer.status_code == 404, path
            assert "Cold room" not in answer.text
        assert "dairy" not in (await bo.get(f"/?member={fleet.dairy}")).text
        assert "dairy" not in (await bo.get(f"/alarms?member={fleet.dairy}")).text
        for path in ("/people", "/deeds"):
            assert (await bo.get(path)).status_code == 403
        own = (await bo.get(f"/gateways/{fleet.other}/points/room")).text
        assert "Cold room" in own
        async with here.program("member", "bakery") as program:
            await _programs_of(program, fleet)


async def _programs_of(program: httpx.AsyncClient, fleet: Fleet) -> None:
    """Every operation with the ids of the other member."""
    theirs = {
        "gateway": fleet.ill,
        "point": "room",
        "from_ms": NOW_MS - 1000,
        "to_ms": NOW_MS,
        "member": fleet.dairy,
    }
    for operation in OPERATIONS:
        known = {name: value for name, value in theirs.items() if name in operation.schema["properties"]}
        answer = await program.get(operation.path, params=known)
        assert answer.status_code in {200, 403, 404}, (operation.name, answer.text)
        text = answer.text
        for word in ("dairy", "gw-1", "gw-2", "nobody.gw-0", "ABCD-EFGH-JKLM"):
            assert word not in text, (operation.name, word)
        if "gateway" in operation.needs:
            assert answer.status_code == 404, operation.name
        bare = await program.get(operation.path)
        assert "dairy" not in bare.text
    assert (await program.get("/api/v1/sums")).json()["gateways"] == 1


async def test_somebody_bound_to_a_member_that_is_gone_sees_nothing(store: Database, tmp_path: Path) -> None:
    await Fleet.made(store)
    async with page(store, tmp_path) as here, here.first() as ana:
        refused = await ana.fill("/people", "/people/invite", name="Bo", role="member", scope="no-such")
        assert refused.status_code == 409
        assert "there is no member" in refused.text
        unsaid = await ana.fill("/people", "/people/invite", name="Bo", role="member")
        assert "scope is missing" in unsaid.text
        async with here.other(ana, "Bo", "member", "bakery") as bo:
            async with store.transaction() as work:
                await work.execute("UPDATE member SET name = 'patisserie' WHERE name = 'bakery'")
            front = (await bo.get("/")).text
            assert "None." in front
            assert "oven" not in front


async def test_the_door(store: Database, tmp_path: Path) -> None:
    await Fleet.made(store)
    clock = Clock()
    async with page(store, tmp_path, clock=clock) as here:
        async with Person(here.address) as nobody:
            for path in PATHS:
                answer = await nobody.get(path.format(gateway=1, member=1), follow_redirects=False)
                assert answer.status_code == 303, path
                assert answer.headers["location"].startswith("/sign-in?"), path
            assert "first-code.txt" in (await nobody.get("/")).text, "until somebody is known the page says how"
            assert (await nobody.get("/api/v1/gateways")).status_code == 401
            wrong = {"name": "Eve", "code": "AAAA-AAAA", "password": PASSWORD, "again": PASSWORD}
            assert (await nobody.post("/welcome", data=wrong)).status_code == 403
        async with here.first() as ana, here.other(ana, "Vic", "viewer") as vic:
            assert kept_code(tmp_path) is None, "the first code is good for one"
            assert (await vic.get("/people")).status_code == 403
            assert (await vic.post("/people/invite", data={"name": "X", "role": "viewer"})).status_code == 403
            stale = await ana.post("/people/invite", data={"name": "X", "role": "viewer", "form": "made up"})
            assert stale.status_code == 403
            ana.headers["origin"] = "http://evil.example"
            assert (await ana.post("/people/invite", data={"name": "X", "role": "viewer"})).status_code == 403
            ana.headers["origin"] = here.address
            answer = await ana.get("/")
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
            strange = await ana.get("/", headers={"host": "evil.example"})
            assert strange.status_code == 400
            for _ in range(6):
                await ana.post("/sign-in", data={"name": "Vic", "password": "not it at all"})
            told = await ana.post("/sign-in", data={"name": "Vic", "password": PASSWORD})
            assert "too many wrong tries" in told.text
            clock.ms += 25 * 3_600_000
            later = await vic.get("/", follow_redirects=False)
            assert later.status_code == 303, "a session that was idle for a day is over"
    async with store.transaction(write=False) as work:
        rows = await work.fetch("SELECT person, what, data FROM deed ORDER BY id")
    kinds = [row[1] for row in rows]
    assert kinds[:4] == ["access.refused", "access.joined", "access.signed_in", "access.invited"]
    assert kinds.count("access.refused") >= 7
    assert json.loads(rows[3][2]) == {"again": False, "name": "Vic", "role": "viewer"}
    assert rows[3][0] == "Ana Smit"


async def test_people_tokens_and_sessions_outlast_a_restart(store: Database, tmp_path: Path) -> None:
    await Fleet.made(store)
    async with page(store, tmp_path) as here, here.first() as ana, here.program("viewer") as program:
        cookies = dict(ana.cookies)
        token = program.headers["authorization"]
    async with page(store, tmp_path) as again, Person(again.address) as ana:
        ana.cookies.update(cookies)
        assert "Ana Smit" in (await ana.get("/")).text
        answer = await ana.get("/api/v1/sums", headers={"authorization": token})
        assert answer.json()["gateways"] == 3
        await ana.fill("/people", "/people/revoke", label="viewer ")
    async with page(store, tmp_path) as third, httpx.AsyncClient(base_url=third.address) as client:
        assert (await client.get("/api/v1/sums", headers={"authorization": token})).status_code == 401
    async with store.transaction() as work:
        names = [row[0] for row in await work.fetch("SELECT name FROM staff ORDER BY name")]
        assert [name.partition("/")[0] for name in names] == ["person", "session"]
        contents = [row[0] for row in await work.fetch("SELECT content FROM staff")]
        assert not any(PASSWORD in content for content in contents)
        await work.execute("UPDATE staff SET content = '{\"role\": \"king\"}' WHERE name LIKE 'person/%'")
    with pytest.raises(AccessError, match="is damaged"):
        await StaffBook(store, tmp_path).load()


async def test_a_page_that_has_not_changed_is_not_sent_again(store: Database, tmp_path: Path) -> None:
    fleet = await Fleet.made(store)
    async with page(store, tmp_path) as here, here.first() as ana:
        first = await ana.get("/")
        mark = first.headers["etag"]
        assert (await ana.get("/", headers={"if-none-match": mark})).status_code == 304
        async with store.transaction() as work:
            await work.execute("UPDATE stream SET announced = announced + 4 WHERE gateway = $1", fleet.well)
        changed = await ana.get("/", headers={"if-none-match": mark})
        assert changed.status_code == 200
        assert changed.headers["etag"] != mark


async def test_what_was_read_for_one_is_shown_to_those_alone_who_may_see_the_same(
    store: Database, tmp_path: Path
) -> None:
    await Fleet.made(store)
    async with (
        page(store, tmp_path, keep_s=60.0) as here,
        here.first() as ana,
        here.other(ana, "Bo", "member", "bakery") as bo,
        here.other(ana, "Di", "member", "dairy") as di,
    ):
        assert "gw-2</a>" in (await ana.get("/")).text
        assert "gw-2</a>" not in (await bo.get("/")).text
        assert "oven</a>" not in (await di.get("/")).text
        assert "gw-2</a>" in (await di.get("/")).text


async def test_pages_of_many(store: Database, tmp_path: Path) -> None:
    from fleet_tools import add_gateway, add_member

    async with store.transaction() as work:
        member = await add_member(work, "dairy")
        for place in range(120):
            await add_gateway(work, member, f"gw-{place:03}")
    async with page(store, tmp_path) as here, here.first() as ana:
        seen: list[str] = []
        path: str | None = "/?sort=name"
        while path:
            text = (await ana.get(path)).text
            seen += re.findall(r'href="/gateways/\d+">(gw-\d+)<', text)
            further = re.search(r'<a class="button" href="([^"]+)">Further<', text)
            path = further[1].replace("&amp;", "&") if further else None
        assert seen == [f"gw-{place:03}" for place in range(120)]
        assert "101 to 120 of 120" in text
