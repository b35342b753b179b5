"""Opens the house of the page over a store, and serves it until cancelled."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from gateway.access import Door
from gateway.access.register import Register
from gateway.cluster.database import Database
from gateway.cluster.fleet.admission import Admission
from gateway.cluster.fleet.frame import House
from gateway.cluster.fleet.glance import Glance
from gateway.cluster.fleet.pages import FleetPages
from gateway.cluster.fleet.staff import STAFF, Deeds, StaffBook
from gateway.cluster.identity.requests import LIFE
from gateway.errors import OperatorError
from gateway.web.desk import Desk
from gateway.web.place import own_names
from gateway.web.server import WebServer

__all__ = ["Fleet", "serve"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fleet:
    """The opened house: its pages, its people, and what gathers for the overview."""

    house: House
    pages: FleetPages
    register: Register
    glance: Glance

    @classmethod
    async def open(
        cls,
        database: Database,
        folder: Path,
        *,
        name: str,
        now_ms: Callable[[], int],
        names: frozenset[str] = frozenset(),
        language: str = "en",
        zone: ZoneInfo | None = None,
        keys: Path | None = None,
        life: timedelta = LIFE,
        keep_s: float = 5.0,
    ) -> "Fleet":
        """``folder`` holds the first code; ``names`` are host names the page is asked for under, besides its own.
        ``keys`` is where the cluster's key and authority may lie, ``life`` that of the certificates they make.

        Raises `AuroraError` where the book of people or the folder cannot be read.
        """
        deeds, book = Deeds(database), StaffBook(database, folder)
        # Sessions live by Unix time, since the page may be served by another machine tomorrow.
        door = Door(
            folder,
            boot="cluster",
            now_ms=now_ms,
            event=deeds.note,
            ranks=STAFF,
            book=await book.load(),
            keep=book.keep,
        )
        register = Register(door)
        handlers = register.handlers()

        async def ask(order: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
            if order not in handlers:
                raise OperatorError(f"there is no order {order!r}", "see the page")
            if fields.get("scope"):
                await _check_member(database, str(fields["scope"]))
            return await handlers[order](fields)

        desk = Desk(
            door=door,
            register=register,
            ask=ask,
            names=names | own_names(),
            gateway=name,
            language=language,
            zone=zone or ZoneInfo("UTC"),
        )
        admission = Admission(database, keys or folder, now_ms, life=life)
        house = House(database, desk, now_ms, admission, keep_s)
        return cls(house, FleetPages(house, deeds), register, Glance(database, now_ms))


async def _check_member(database: Database, member: str) -> None:
    async with database.transaction(write=False) as work:
        found = await work.fetch("SELECT 1 FROM member WHERE name = $1", member)
    if not found:
        raise OperatorError(f"there is no member {member!r}", "write its name as the table of members has it")


async def serve(fleet: Fleet, host: str, port: int, tls: tuple[Path, Path] | None) -> None:
    """Serve until cancelled, and gather beside it. Raises `AuroraError` when the address cannot be had."""
    server = WebServer(fleet.pages, host, port, tls)
    listener = server.bind()
    log.info("the fleet is at %s", server.url)
    gathering = asyncio.create_task(fleet.glance.run(), name="fleet glance")
    try:
        await server.run(listener)
    finally:
        gathering.cancel()
        await asyncio.wait([gathering])
