"""What the tests of the page share: a status made by hand, and the server really running on loopback."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from gateway.web.pages import Pages
from gateway.web.server import WebServer


def channel(**changes: Any) -> dict[str, Any]:
    return {
        "name": "air",
        "value": -18.4,
        "decimals": 1,
        "unit": "°C",
        "quality": 0,
        "severity": "good",
        "words": "good",
        **changes,
    }


def status(**changes: Any) -> dict[str, Any]:
    """What `gateway.status.Status` returns, by hand."""
    point = {"id": "p", "name": "Freezer", "critical": True, "device": "d", "channel": "air", "age_s": 3.0}
    point["under_way"] = None
    device = {
        "id": "d",
        "bus": "b",
        "model": "m",
        "period_s": 1.0,
        "state": "good",
        "words": "answers",
        "age_s": 1.0,
        "scans": 5,
        "missed": 0,
        "last_fault": "",
        "channels": [channel()],
    }
    return {
        "gateway": {"member": "dairy", "site": "plant", "id": "gw-1", "version": "1", "running_s": 5},
        "time_words": "2026-11-23 06:00:00 UTC",
        "health": [{"name": "Clock", "words": "within 1 s", "state": "good"}],
        "alarms": [],
        "points": [{**channel(), **point}],
        "devices": [device],
        **changes,
    }


@asynccontextmanager
async def serving(pages: Pages, port: int = 0) -> AsyncIterator[tuple[httpx.AsyncClient, "asyncio.Task[None]"]]:
    """The server on loopback, a client of it, and the task that serves."""
    server = WebServer(pages, "127.0.0.1", port)
    listener = server.bind()
    task = asyncio.create_task(server.run(listener))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=10) as client:
        yield client, task
        task.cancel()
        await asyncio.wait([task])


def pages_of(snapshot: Callable[[], dict[str, Any]] = status) -> Pages:
    """Pages over a status function, under one name besides the addresses."""
    return Pages(snapshot, lambda: (b"up 1\n", "text/plain; version=0.0.4"), frozenset({"localhost", "gw-1.local"}))


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    """Wait for a condition, looking at it often; fails when it does not come true."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)
