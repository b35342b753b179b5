"""The status page over real HTTP: what it shows, what it refuses, and that it never holds up the end."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from gateway.errors import AuroraError
from gateway.web.pages import Pages, format_age, format_value
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
        "points": [{**channel(), **point}],
        "devices": [device],
        **changes,
    }


@asynccontextmanager
async def serving(pages: Pages) -> AsyncIterator[tuple[httpx.AsyncClient, "asyncio.Task[None]"]]:
    server = WebServer(pages, "127.0.0.1", 0)
    listener = server.bind()
    task = asyncio.create_task(server.run(listener))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=10) as client:
        yield client, task
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
def pages() -> Pages:
    return Pages(status, lambda: (b"up 1\n", "text/plain; version=0.0.4"), frozenset({"localhost", "gw-1.local"}))


async def test_the_page_shows_values_as_a_person_reads_them(pages: Pages) -> None:
    async with serving(pages) as (client, _):
        page = (await client.get("/")).text
    assert "\N{MINUS SIGN}18.4&nbsp;°C" in page.replace("\xa0", "&nbsp;")
    assert "CCP" in page
    assert "3 s ago" in page


async def test_no_value_is_a_dash_with_its_reason_and_never_a_zero() -> None:
    gone = channel(value=None, severity="bad", words="device did not answer in time")
    point = {**status()["points"][0], **gone}
    pages = Pages(lambda: status(points=[point]), lambda: (b"", "text/plain"), frozenset())
    async with serving(pages) as (client, _):
        page = (await client.get("/")).text
    assert "\N{EN DASH}" in page
    assert "device did not answer in time" in page
    assert ">0" not in page


async def test_names_from_outside_are_text() -> None:
    point = {**status()["points"][0], "name": "<script>alert(1)</script>"}
    pages = Pages(lambda: status(points=[point]), lambda: (b"", "text/plain"), frozenset())
    async with serving(pages) as (client, _):
        page = (await client.get("/")).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


async def test_the_api_returns_the_status_and_metrics_their_text(pages: Pages) -> None:
    async with serving(pages) as (client, _):
        assert (await client.get("/api/status")).json() == json.loads(json.dumps(status()))
        metrics = await client.get("/metrics")
    assert metrics.text == "up 1\n"
    assert metrics.headers["content-type"] == "text/plain; version=0.0.4"


@pytest.mark.parametrize("path", ["/", "/api/status", "/static/page.css", "/nowhere", "/static/../pages.py"])
async def test_every_answer_carries_the_security_headers(pages: Pages, path: str) -> None:
    async with serving(pages) as (client, _):
        answer = await client.get(path)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "from gateway" not in answer.text


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("192.168.1.7", 200),
        ("gw-1.local", 200),
        ("evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("", 400),
    ],
)
async def test_it_answers_to_its_own_names_alone(pages: Pages, host: str, code: int) -> None:
    async with serving(pages) as (client, _):
        assert (await client.get("/", headers={"host": host})).status_code == code


async def first_event(client: httpx.AsyncClient) -> str:
    async with client.stream("GET", "/events") as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data: ") and "reading" in line:
                return line
    raise AssertionError("the stream ended without a rendering")


async def test_the_stream_sends_the_same_rendering_again_and_again(pages: Pages) -> None:
    async with serving(pages) as (client, _):
        shown = await asyncio.gather(*(first_event(client) for _ in range(5)))
        assert all("18.4" in line for line in shown)
        assert "18.4" in await first_event(client), "after all have gone, the next is served"


async def test_a_status_that_fails_ends_the_streams_and_not_the_page() -> None:
    calls = 0

    def flaky() -> dict[str, Any]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError
        return status()

    pages = Pages(flaky, lambda: (b"", "text/plain"), frozenset())
    async with serving(pages) as (client, _):
        with pytest.raises((AssertionError, httpx.HTTPError)):
            await first_event(client)
        assert "18.4" in await first_event(client)


async def test_twenty_open_pages_do_not_hold_up_the_end(pages: Pages) -> None:
    async with serving(pages) as (client, task):
        opened = asyncio.Semaphore(0)

        async def watch() -> None:
            async with client.stream("GET", "/events") as stream:
                async for _ in stream.aiter_lines():
                    opened.release()

        watchers = [asyncio.create_task(watch()) for _ in range(20)]
        for _ in range(20):
            await opened.acquire()
        task.cancel()
        async with asyncio.timeout(4):
            await asyncio.wait([task])
        await asyncio.gather(*watchers, return_exceptions=True)


async def test_an_address_in_use_is_said_with_its_remedy(pages: Pages) -> None:
    first = WebServer(pages, "127.0.0.1", 0)
    listener = first.bind()
    with pytest.raises(AuroraError, match="listen"):
        WebServer(pages, "127.0.0.1", first.port).bind()
    listener.close()


def test_formats() -> None:
    assert format_value(0.0, 1) == "0.0"
    assert format_value(None, 1) == "\N{EN DASH}"
    assert [format_age(s) for s in (0, 119, 120, 7200, 200_000, None)] == [
        "0 s",
        "119 s",
        "2 min",
        "2 h",
        "2 d",
        "never",
    ]
