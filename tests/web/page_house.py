"""A whole gateway with its page, people at the door, and a phone: what the flows of the page are tried on."""

import asyncio
import base64
import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import httpx
from app_tools import Unit, running, site_of, until
from chromium import Tab, tab

from gateway.access.firstcode import first_code
from gateway.app import Gateway
from gateway.model import Tier
from gateway.profile import Allowance, Limit, Profile
from gateway.site import ClockSpec, PointSpec, Site, WebSpec

PASSWORD = "three warm blankets"
PHONE = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
NARROW = {**PHONE, "width": 320}
DESK = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
SHOTS = os.environ.get("PAGE_SHOTS", "")
"""A folder: pictures of what the tests see go there, to be looked at by a person."""
AXE = Path(__file__).parent / "node" / "node_modules" / "axe-core" / "axe.min.js"

PROFILE = Profile(
    id="store",
    title="Store of the test",
    unit="",
    sources=("house rule",),
    limits=(
        Limit(rule="high-critical", side="above", limit=100.0, tier=Tier.CRITICAL, hysteresis=1.0),
        Limit(rule="high-alert", side="above", limit=50.0, tier=Tier.ALERT),
    ),
    states={"cleaning": Allowance(rules=("high-alert",), longest_s=3600.0, every_s=0.0)},
    actions=("Move the goods to another room.",),
    digest="ab" * 32,
)


class Room(Unit):
    """A unit whose registers all hold the word that the test says."""

    @property
    def value(self) -> int:
        return int.from_bytes(self._word, "big")

    @value.setter
    def value(self, word: int) -> None:
        self._word = word.to_bytes(2, "big")


def page_site(folder: Path, room: Room, port: int = 0, **changes: Any) -> Site:
    """Three points on one device; the first is judged and critical."""
    points = (
        PointSpec(id="room", name="Cold room", device="a", channel="r0", critical=True, profile=PROFILE),
        PointSpec(id="aside", name="Store & yard", device="a", channel="r1", profile=PROFILE),
        PointSpec(id="free", name="Corridor", device="a", channel="r2"),
    )
    site = site_of(folder, room.port, web=WebSpec(port=port), points=points, **changes)
    return replace(site, clock=ClockSpec(source="host", error_s=1.0), time_zone="Europe/Brussels")


@asynccontextmanager
async def open_page(site: Site) -> AsyncIterator[tuple[Gateway, str]]:
    """The gateway running, and the address of its page."""
    async with running(site) as gateway:
        await until(lambda: gateway.page_address is not None and gateway.people is not None)
        await until(lambda: gateway.people.records.book is not None)
        yield gateway, str(gateway.page_address).rstrip("/")


class Person(httpx.AsyncClient):
    """Somebody at a browser without script: sees pages, fills in forms."""

    def __init__(self, address: str) -> None:
        super().__init__(base_url=address, headers={"origin": address}, timeout=20, follow_redirects=True)

    async def welcome(self, name: str, code: str) -> Self:
        """Sign in for the first time."""
        fields = {"name": name, "code": code, "password": PASSWORD, "again": PASSWORD}
        assert (await self.post("/welcome", data=fields)).status_code == 200
        return self

    async def fill(self, page: str, action: str, **fields: Any) -> httpx.Response:
        """Fill in the form of ``page`` that goes to ``action``: hidden fields as they stand there."""
        text = (await self.get(page)).text
        return await self.post(action, data={**hidden(text, action, fields.get("do")), **fields})


def hidden(page: str, action: str, do: str | None = None) -> dict[str, str]:
    """The hidden fields of the form that goes to ``action`` (and does ``do``)."""
    for form in re.findall(rf'<form method="post" action="{re.escape(action)}".*?</form>', page, re.DOTALL):
        found = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form))
        if do is None or found.get("do") == do:
            return found
    raise AssertionError(f"no form to {action} {do or ''}")


@asynccontextmanager
async def first_person(site: Site, address: str, name: str = "Ana Smit") -> AsyncIterator[Person]:
    """The one who has the code of the label."""
    async with Person(address) as person:
        yield await person.welcome(name, first_code(site.data_dir) or "")


@asynccontextmanager
async def second_person(first: Person, address: str, name: str, role: str) -> AsyncIterator[Person]:
    """Somebody whom the first one lets in."""
    answer = await first.fill("/people", "/people/invite", name=name, role=role)
    found = re.search(r'class="reading">([^<]+)<', answer.text)
    assert found, answer.text
    async with Person(address) as person:
        yield await person.welcome(name, found[1])


@asynccontextmanager
async def phone(folder: Path, person: Person | None = None, **how: Any) -> AsyncIterator[Tab]:
    """A browser, signed in as somebody where ``person`` is given."""
    async with tab(folder / "browser") as page:
        await page.call("Emulation.setDeviceMetricsOverride", **(how or PHONE))
        await page.call("Network.enable")
        if person is not None:
            for name, value in person.cookies.items():
                await page.call("Network.setCookie", name=name, value=value, url=str(person.base_url))
        yield page


async def shot(page: Tab, name: str) -> None:
    """A picture for whoever looks at the tests with PAGE_SHOTS set; nothing otherwise."""
    if not SHOTS:
        return
    size = (await page.call("Page.getLayoutMetrics"))["cssContentSize"]
    clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 5000), "scale": 1}
    found = await page.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
    picture = base64.b64decode(found["data"])
    await asyncio.to_thread(Path(SHOTS, f"{name}.png").write_bytes, picture)


async def violations(page: Tab) -> list[str]:
    """What axe finds wrong with the page as it is."""
    await page.evaluate((await asyncio.to_thread(AXE.read_text)) + "\n;0")
    tags = json.dumps(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"])
    answer = await page.call(
        "Runtime.evaluate",
        expression=f"axe.run(document, {{runOnly: {tags}}}).then(r => r.violations.map("
        "v => v.id + ': ' + v.help + ' ' + v.nodes.map(n => n.html.slice(0, 120)).join(' | ')))",
        awaitPromise=True,
        returnByValue=True,
    )
    assert "exceptionDetails" not in answer, answer
    found: list[str] = answer["result"]["value"]
    return found


SMALL = """
[...document.querySelectorAll('a, button, select, summary, input:not([type=hidden]), textarea')].filter(e => {
  const label = e.closest('label');
  const r = (label && /checkbox|radio/.test(e.type) ? label : e).getBoundingClientRect();
  return r.width && r.height && e.checkVisibility() && (r.height < 47.5 || r.width < 47.5) && !e.matches('.skip');
}).map(e => e.outerHTML.slice(0, 100) + ' ' + Math.round(e.getBoundingClientRect().width) + 'x'
  + Math.round(e.getBoundingClientRect().height))
"""
"""Whatever a finger has to hit and is smaller than 48 px."""
