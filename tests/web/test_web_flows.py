"""What people do at the page of a running gateway, in a real browser: on a phone, two at once, over a restart."""

import asyncio
import re
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from app_tools import until
from chromium import Tab
from page_house import (
    AXE,
    DESK,
    NARROW,
    PHONE,
    SMALL,
    Person,
    Room,
    first_person,
    open_page,
    page_site,
    phone,
    second_person,
    shot,
    violations,
)

ALARM = "/alarms/room%2Fhigh-critical"


async def test_somebody_acknowledges_with_two_taps_and_the_other_is_told_who_did(tmp_path: Path) -> None:
    async with (
        Room(20) as room,
        open_page(site := page_site(tmp_path, room)) as (gateway, address),
        first_person(site, address) as ana,
        second_person(ana, address, "Bert Maes", "quality") as bert,
    ):
        room.value = 120
        await until(lambda: any(alarm.active for alarm in gateway.assess.alarms))
        seen = (await bert.get(ALARM)).text
        async with phone(tmp_path, ana) as page:
            await page.go(f"{address}/")
            await page.until("!!document.querySelector('.alarms .critical.waits')")
            await shot(page, "overview-alarm-phone")
            assert "too warm, critical limit: 120, limit 100" in await page.text(".alarms .critical")
            assert (await page.text("#waiting")).startswith("4")
            await tap(page, ".alarms .critical a")
            await shot(page, "alarm-phone")
            await page.evaluate("document.querySelector('input[name=reason]').click()")
            await tap(page, "form .main")
            assert await page.text(".alarm strong + strong") == "acknowledged"
            assert "Ana Smit: Door was open" in await page.text(".alarm")
            await shot(page, "alarm-acknowledged-phone")
            assert page.complaints == []
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form_of(seen)))
        answer = await bert.post("/alarms/do", data={**hidden, "reason": "Defrost"})
        assert answer.status_code == 409
        assert "acknowledged now by Ana Smit" in answer.text
        assert "Ana Smit" in [alarm.person for alarm in gateway.assess.alarms if alarm.id == "room/high-critical"]


def form_of(page: str) -> str:
    found = re.search(r'<form method="post" action="/alarms/do".*?</form>', page, re.DOTALL)
    assert found
    return found[0]


async def tap(page: Tab, selector: str) -> None:
    """Touch something that leads to another page."""
    page.loaded.clear()
    await page.evaluate(f"document.querySelector({selector!r}).click()")
    async with asyncio.timeout(20):
        await page.loaded.wait()


async def test_without_a_script_everything_can_be_done(tmp_path: Path) -> None:
    async with (
        Room(120) as room,
        open_page(site := page_site(tmp_path, room)) as (gateway, address),
        first_person(site, address) as ana,
    ):
        await until(lambda: any(alarm.active for alarm in gateway.assess.alarms))
        front = (await ana.get("/")).text
        assert "alarms wait for a person" in front
        assert "120" in front
        nothing = await ana.fill(ALARM, "/alarms/do", do="acknowledge")
        assert nothing.status_code == 409
        assert "no reason is given" in nothing.text
        step = "Move the goods to another room."
        assert step in (await ana.get(ALARM)).text
        done = await ana.fill(ALARM, "/alarms/do", do="confirm", step=step, text="core 4.8")
        assert "corrective action stands in the record" in done.text
        await shown(ana, ALARM, "core 4.8")

        aside = "/alarms/aside%2Fhigh-alert"
        shelved = await ana.fill(aside, "/alarms/do", do="shelve", hours="2", text="fan is changed")
        assert "End the shelving" in shelved.text
        assert "Shelved or out of service" in (await ana.get("/alarms")).text
        await shown(ana, aside, "Ana Smit: fan is changed")
        back = await ana.fill(aside, "/alarms/do", do="unshelve")
        assert "unacknowledged" in back.text
        out = await ana.fill(aside, "/alarms/do", do="out-of-service", hours="8", text="probe is away")
        assert "Shelved or out of service" in out.text
        assert "Put back in service" in (await ana.get(aside)).text

        declared = await ana.fill(
            "/points/aside", "/points/aside/state", do="declare", kind="cleaning", minutes="20", text="weekly"
        )
        assert "The state is declared." in declared.text
        assert "End it now" in declared.text


async def shown(person: Person, path: str, words: str) -> None:
    """Wait until a page has the words: the record behind it is committed a moment after the answer."""
    async with asyncio.timeout(20):
        while words not in (await person.get(path)).text:
            await asyncio.sleep(0.05)


async def test_records_are_made_and_a_report_is_printed(tmp_path: Path) -> None:
    async with (
        Room(20) as room,
        open_page(site := page_site(tmp_path, room)) as (_, address),
        first_person(site, address) as ana,
    ):
        wrong = await ana.fill("/records/new/corrective", "/records/new/corrective", point="room", text="shut it")
        assert wrong.status_code == 409
        assert "shut it" in wrong.text, "what was typed is not lost"
        fields = {"point": "room", "text": "shut it", "deviation": "door open", "product": "none concerned"}
        made = await ana.fill("/records/new/corrective", "/records/new/corrective", **fields)
        assert "Recorded as R1" in made.text
        assert "door open" in made.text
        lot = {"direction": "in", "point": "room", "lot": "L-7", "quantity": "2,5", "unit": "KGM"}
        assert "Lots in zones now" in (await ana.fill("/records/new/lot", "/records/new/lot", **lot)).text
        compared = {
            "channel": "a.r0",
            "reference-1": "20",
            "found-1": "20,1",
            "tolerance": "0.5",
            "reference_instrument": "F200 no. 7",
            "reference_certificate": "C-1",
            "reference_valid_until": "2099-12-31",
        }
        checked = await ana.fill("/records/new/verification", "/records/new/verification", **compared)
        assert "within tolerance" in checked.text
        refused = await ana.fill("/reports", "/reports/make", kind="lot")
        assert refused.status_code == 409
        asked = await ana.fill("/reports", "/reports/make", kind="calibration", format="html")
        assert "Calibration register" in asked.text


async def test_values_of_a_point_are_taken_away_as_a_file(tmp_path: Path) -> None:
    async with (
        Room(20) as room,
        open_page(site := page_site(tmp_path, room)) as (gateway, address),
        first_person(site, address) as ana,
    ):
        now = gateway.clock.claim().utc_ms
        assert now is not None
        await until(lambda: (gateway.clock.claim().utc_ms or 0) > now + 1000)
        query = f"from_ms={now - 60_000}&to_ms={now + 60_000}"
        answer = await ana.get(f"/points/room/export.csv?{query}")
        lines = answer.text.splitlines()
        assert answer.headers["content-disposition"] == 'attachment; filename="room.csv"'
        assert lines[0].startswith("time_utc,error_ms,device,channel,role,value")
        assert len(lines) > 5
        assert all(",a,r0,value,20" in line or ",a,," in line for line in lines[1:])
        assert (await ana.get("/points/nowhere/export.csv?from_ms=1&to_ms=2")).status_code == 409
        assert (await ana.get("/points/room/export.csv?from_ms=x&to_ms=2")).status_code == 400


HIDE = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
HIDE += "document.dispatchEvent(new Event('visibilitychange'))"


async def test_a_phone_that_slept_and_a_daemon_that_restarts(tmp_path: Path) -> None:
    async with Room(20) as room, AsyncExitStack() as stack:
        async with (
            open_page(site := page_site(tmp_path, room)) as (_, address),
            first_person(site, address) as ana,
        ):
            page = await stack.enter_async_context(phone(tmp_path, ana))
            await page.go(f"{address}/")
            await page.until("document.getElementById('link').textContent === 'Live'")
            await page.evaluate(HIDE % "true")
            room.value = 40
            await page.evaluate(HIDE % "false")
            await page.until("document.querySelector('#p-room .v').textContent === '40'")
        await page.later(60)
        await page.until("document.body.classList.contains('old')")
        assert "Not live since" in await page.text("#link")
        await shot(page, "overview-old-phone")
        room.value = 60
        async with open_page(page_site(tmp_path, room, int(address.rpartition(":")[2]))):
            await page.later(60)
            await page.until("document.getElementById('link').textContent === 'Live'")
            await page.until("document.querySelector('#p-room .v').textContent === '60'")
            assert not await page.evaluate("document.body.classList.contains('old')")
            await page.go(f"{address}/alarms")
            assert "Wait for a person" in await page.text("main"), "and nobody had to sign in again"


PAGES = {
    "overview": "/",
    "alarms": "/alarms",
    "alarm": ALARM,
    "point": "/points/room",
    "week": "/points/aside?span=7d",
    "records": "/records",
    "corrective": "/records/new/corrective",
    "lot": "/records/new/lot",
    "verification": "/records/new/verification",
    "note": "/records/new/note",
    "reports": "/reports",
    "people": "/people",
    "account": "/account",
    "more": "/more",
    "commission": "/commission",
    "try": "/commission/try",
    "place": "/commission/place",
    "calibrate": "/calibrate",
    "diagnose": "/diagnose",
    "log": "/diagnose/log",
    "wrong": "/nowhere",
}


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: run scripts/install-node-tools")
async def test_no_page_has_an_accessibility_violation(tmp_path: Path) -> None:
    async with (
        Room(120) as room,
        open_page(site := page_site(tmp_path, room)) as (gateway, address),
        first_person(site, address) as ana,
        phone(tmp_path, ana) as page,
    ):
        await until(lambda: any(alarm.active for alarm in gateway.assess.alarms))
        await ana.fill("/records/new/note", "/records/new/note", point="room", text="checked")
        found: dict[str, list[str]] = {}
        for name, path in PAGES.items():
            await page.go(f"{address}{path}")
            await page.until("document.readyState === 'complete'")
            await shot(page, f"{name}-phone")
            found[name] = [*await violations(page), *await page.evaluate(SMALL)]
        assert {name: wrong for name, wrong in found.items() if wrong} == {}
        assert page.complaints == [] or all("404" in line for line in page.complaints)


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: run scripts/install-node-tools")
@pytest.mark.parametrize("look", ["dark", "forced", "narrow", "desk", "polish"])
async def test_looks_and_widths(tmp_path: Path, look: str) -> None:
    size = {"narrow": NARROW, "desk": DESK}.get(look, PHONE)
    features = {
        "dark": [{"name": "prefers-color-scheme", "value": "dark"}],
        "forced": [{"name": "forced-colors", "value": "active"}],
    }
    async with (
        Room(120) as room,
        open_page(site := page_site(tmp_path, room)) as (gateway, address),
        first_person(site, address) as ana,
        phone(tmp_path, ana, **size) as page,
    ):
        await until(lambda: any(alarm.active for alarm in gateway.assess.alarms))
        await page.call("Emulation.setEmulatedMedia", features=features.get(look, []))
        if look == "polish":
            await ana.fill("/more", "/language", language="pl", to="/")
            await page.call("Network.setCookie", name="language", value="pl", url=address)
        found: dict[str, list[str]] = {}
        for name in ("overview", "alarm", "point", "records", "lot", "reports", "people"):
            await page.go(f"{address}{PAGES[name]}")
            await shot(page, f"{name}-{look}")
            found[name] = await violations(page)
            wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
            if wide > 0:
                found[name].append(f"scrolls sideways by {wide}")
        assert {name: wrong for name, wrong in found.items() if wrong} == {}
