"""The cluster's page in a real browser: on a phone, without complaints, live, honest when the cluster has gone."""

from pathlib import Path

import pytest
from fleet_page import Clock, page
from fleet_tools import Fleet
from page_house import AXE, DESK, SMALL, phone, shot, violations
from test_fleet_evidence import NOW_MS as EVIDENCE_MS
from test_fleet_evidence import box_of_a_day, delivered

from gateway.cluster.database import open_database

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
NARROW = {**PHONE, "width": 320}
PAGES = {
    "fleet": "/",
    "members": "/members",
    "member": "/members/{member}",
    "gateway": "/gateways/{ill}",
    "point": "/gateways/{real}/points/cold",
    "month": "/gateways/{real}/points/cold?span=month",
    "empty": "/gateways/{ill}/points/room",
    "alarms": "/alarms",
    "refused": "/refused",
    "requests": "/requests",
    "deeds": "/deeds",
    "people": "/people",
    "account": "/account",
    "more": "/more",
    "wrong": "/nowhere",
}
LOOKS = {"phone": PHONE, "dark": PHONE, "forced": PHONE, "narrow": NARROW, "desk": DESK, "polish": NARROW}
FEATURES = {
    "dark": [{"name": "prefers-color-scheme", "value": "dark"}],
    "forced": [{"name": "forced-colors", "value": "active"}],
}


async def made(folder: Path) -> tuple[str, dict[str, int]]:
    """A store with the fleet of the other tests and a gateway whose evidence is real."""
    where = folder / "cluster.db"
    database = await open_database(where)
    await database.prepare(EVIDENCE_MS)
    fleet = await Fleet.made(database)
    async with database.transaction() as work:
        # What the fleet was written for is an earlier day: its gateways were seen as long ago as they were then.
        await work.execute("UPDATE stream SET received_ms = received_ms + $1", EVIDENCE_MS - 1_795_363_200_000)
        await work.execute("UPDATE member SET name = 'farm' WHERE name = 'dairy'")
        await work.execute("UPDATE gateway SET client = 'farm.' || name WHERE member = $1", fleet.dairy)
    await delivered(database, box_of_a_day(folder), folder)
    async with database.transaction(write=False) as work:
        rows = await work.fetch("SELECT id FROM gateway WHERE client = 'dairy.gw-1'")
    await database.close()
    return str(where), {"member": fleet.dairy, "ill": fleet.ill, "real": int(rows[0][0])}


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: run scripts/install-node-tools")
@pytest.mark.parametrize("look", LOOKS)
async def test_every_page_in_every_look(tmp_path: Path, look: str) -> None:
    where, ids = await made(tmp_path)
    store = await open_database(where)
    clock = Clock()
    clock.ms = EVIDENCE_MS
    try:
        async with (
            page(store, tmp_path / "page", clock=clock) as here,
            here.first() as ana,
            here.other(ana, "Bert", "member", "bakery"),
            phone(tmp_path, ana, **LOOKS[look]) as seen,
        ):
            await seen.call("Emulation.setEmulatedMedia", features=FEATURES.get(look, []))
            if look == "polish":
                await seen.call("Network.setCookie", name="language", value="pl", url=here.address)
            found: dict[str, list[str]] = {}
            for name, path in PAGES.items():
                await seen.go(f"{here.address}{path.format(**ids)}")
                await shot(seen, f"{name}-{look}")
                found[name] = [*await violations(seen), *(await seen.evaluate(SMALL) if look == "phone" else [])]
                wide = await seen.evaluate("document.documentElement.scrollWidth - innerWidth")
                if wide > 0:
                    found[name].append(f"scrolls sideways by {wide}")
            assert {name: wrong for name, wrong in found.items() if wrong} == {}
            assert all("404" in line for line in seen.complaints), seen.complaints
    finally:
        await store.close()


async def test_a_phone_is_told_what_changes_and_when_the_cluster_has_gone(tmp_path: Path) -> None:
    where, ids = await made(tmp_path)
    store = await open_database(where)
    clock = Clock()
    clock.ms = EVIDENCE_MS
    try:
        async with phone(tmp_path, None, **PHONE) as seen:
            async with page(store, tmp_path / "page", clock=clock) as here, here.first() as ana:
                for name, value in ana.cookies.items():
                    await seen.call("Network.setCookie", name=name, value=value, url=here.address)
                await seen.go(here.address)
                assert "oven" in await seen.text("main")
                assert await seen.evaluate(
                    "document.querySelector('.fleet thead').getBoundingClientRect().height < 2"
                )
                async with store.transaction() as work:
                    await work.execute(
                        "UPDATE stream SET announced = announced + 77 WHERE gateway = $1", ids["ill"]
                    )
                await seen.evaluate("document.querySelector('.fleet tbody a').focus(); fresh()")
                await seen.until("document.querySelector('main').innerText.includes('204')")
                assert await seen.evaluate("document.activeElement.matches('.fleet tbody a')"), "the focus stays"
                await seen.evaluate("document.getElementById('f-q').focus(); fresh()")
                assert await seen.evaluate("document.activeElement.id") == "f-q"
                await seen.evaluate("document.getElementById('f-q').blur()")
            await seen.evaluate("fresh()")
            await seen.until("document.body.classList.contains('old')")
            assert "this page is old" in await seen.text("#link")
    finally:
        await store.close()
