"""The page under the role that receivers have: around row-level security, but no superuser and no owner."""

import asyncio
from pathlib import Path

from fleet_page import page
from fleet_tools import NOW_MS, Fleet
from postgres_server import Server

from gateway.cluster.database import open_database
from gateway.cluster.members.roles import make_service


async def test_the_receivers_role_can_serve_the_page(postgres: Server, tmp_path: Path) -> None:
    url = await asyncio.to_thread(postgres.new_database)
    owner = await open_database(url)
    await owner.prepare(NOW_MS)
    await Fleet.made(owner)
    await make_service(owner, None)
    await owner.close()
    store = await open_database(url.replace("aurora@", "aurora_service@"))
    await store.prepare(NOW_MS)
    try:
        async with (
            page(store, tmp_path) as here,
            here.first() as ana,
            here.other(ana, "Bo", "member", "bakery") as bo,
        ):
            assert "gw-2</a>" in (await ana.get("/")).text
            assert "access.joined" in (await ana.get("/deeds")).text
            assert "gw-2" not in (await bo.get("/")).text
            await ana.fill("/people", "/people/remove", name="Bo")
            assert (await bo.get("/", follow_redirects=False)).status_code == 303
    finally:
        await store.close()
