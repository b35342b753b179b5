"""The cluster's page really served, people at its door, and programs with tokens."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fleet_tools import NOW_MS
from page_house import PASSWORD, Person
from web_tools import serving

from gateway.access.firstcode import first_code
from gateway.cluster.database import Database
from gateway.cluster.fleet.serve import Fleet as FleetHouse


class Page:
    """A page over a store, at a moment that stands still unless the test moves it."""

    def __init__(self, house: FleetHouse, address: str, folder: Path) -> None:
        self.house = house
        self.address = address
        self.folder = folder

    @asynccontextmanager
    async def first(self, name: str = "Ana Smit") -> AsyncIterator[Person]:
        """The administrator, by the first code."""
        async with Person(self.address) as person:
            yield await person.welcome(name, first_code(self.folder) or "")

    @asynccontextmanager
    async def other(self, first: Person, name: str, role: str, scope: str = "") -> AsyncIterator[Person]:
        """Somebody whom the administrator lets in."""
        answer = await first.fill("/people", "/people/invite", name=name, role=role, scope=scope)
        found = re.search(r'class="reading">([^<]+)<', answer.text)
        assert found, answer.text
        async with Person(self.address) as person:
            yield await person.welcome(name, found[1])

    @asynccontextmanager
    async def program(self, role: str, scope: str = "") -> AsyncIterator[httpx.AsyncClient]:
        """A program with a token of a role."""
        order = self.house.register.handlers()["people.token"]
        made = await order({"label": f"{role} {scope}", "role": role, "scope": scope, "person": "test"})
        headers = {"authorization": f"Bearer {made['token']}"}
        async with httpx.AsyncClient(base_url=self.address, headers=headers, timeout=30) as client:
            yield client


class Clock:
    def __init__(self) -> None:
        self.ms = NOW_MS

    def __call__(self) -> int:
        return self.ms


@asynccontextmanager
async def page(store: Database, folder: Path, **how: Any) -> AsyncIterator[Page]:
    """The page over a store, served on loopback."""
    clock = how.pop("clock", None) or Clock()
    house = await FleetHouse.open(store, folder, name="north", now_ms=clock, keep_s=how.pop("keep_s", 0.0), **how)
    await house.glance.once()
    async with serving(house.pages) as (client, _):
        yield Page(house, str(client.base_url).rstrip("/"), folder)


__all__ = ["PASSWORD", "Clock", "Page", "Person", "page"]
