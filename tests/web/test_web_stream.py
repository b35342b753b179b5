"""The live stream: one rendering for all who listen, none while nobody does, and never in the way of the end."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from web_tools import pages_of, serving, status, until

from gateway.web import stream as stream_module


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Renderings follow each other quickly, so that tests need not wait for seconds."""
    monkeypatch.setattr(stream_module, "PERIOD_S", 0.05)


class Source:
    """A status whose only point counts the renderings; ``fail`` makes it raise."""

    def __init__(self) -> None:
        self.calls = 0
        self.fail = False

    def __call__(self) -> dict[str, Any]:
        self.calls += 1
        if self.fail:
            raise ZeroDivisionError
        return status(points=[{**status()["points"][0], "name": f"rendering {self.calls}."}])


@asynccontextmanager
async def listening(client: httpx.AsyncClient) -> AsyncIterator[AsyncIterator[str]]:
    """The renderings of one client, each named by its number."""

    async def names(stream: httpx.Response) -> AsyncIterator[str]:
        async for line in stream.aiter_lines():
            if "rendering " in line:
                yield line.split("rendering ")[1].split(".")[0]

    async with client.stream("GET", "/events") as stream:
        yield names(stream)


async def take(client: httpx.AsyncClient, count: int) -> list[str]:
    async with listening(client) as names:
        return [await anext(names) for _ in range(count)]


async def test_all_clients_share_one_rendering() -> None:
    source = Source()
    async with serving(pages_of(source)) as (client, _):
        shown = await asyncio.gather(*(take(client, 10) for _ in range(8)))
    for names in shown:
        assert [int(name) for name in names] == sorted({int(name) for name in names}), "each is newer than the last"
    assert source.calls <= 16, "eight clients do not cost eight renderings"


async def test_nothing_is_rendered_while_nobody_listens() -> None:
    source = Source()
    async with serving(pages_of(source)) as (client, _):
        await take(client, 2)
        await until(lambda: not any(t.get_name() == "page renderer" for t in asyncio.all_tasks()))
        calls = source.calls
        await take(client, 1)
        assert source.calls > calls, "and the next who comes is served"


async def test_a_client_that_goes_does_not_disturb_the_others() -> None:
    source = Source()
    async with serving(pages_of(source)) as (client, _), listening(client) as names:
        first = int(await anext(names))
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        writer.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"event: status")
        writer.transport.abort()
        for _ in range(5):
            assert int(await anext(names)) > first


async def deaf_client(port: int) -> socket.socket:
    """A client that asks for the stream and reads nothing of it."""
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    deaf.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(deaf, ("127.0.0.1", port))
    await loop.sock_sendall(deaf, b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return deaf


async def test_a_client_that_does_not_read_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "PERIOD_S", 0.01)
    filler = [{"name": "x" * 200_000, "words": "", "state": "good"}]
    async with serving(pages_of(lambda: status(health=filler))) as (client, _):
        deaf = await deaf_client(client.base_url.port or 0)
        async with client.stream("GET", "/events") as stream:
            seen = 0
            async for line in stream.aiter_lines():
                seen += line == "event: status"
                if seen == 60:
                    break
        deaf.close()
        await until(lambda: not any(t.get_name() == "page renderer" for t in asyncio.all_tasks()))


async def test_a_status_that_fails_ends_the_streams_and_the_next_client_is_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Source()
    async with serving(pages_of(source)) as (client, _):
        async with listening(client) as names:
            last = await anext(names)
            source.fail = True
            # The stream ends; what was rendered before is not sent again as if it were new.
            after = [name async for name in names]
            assert last not in after
            assert len(after) == len(set(after))
        for _ in range(3):
            async with listening(client) as names:
                assert [name async for name in names] == []
        source.fail = False
        assert len(await take(client, 2)) == 2
    mine = [record for record in caplog.records if record.name == "gateway.web.stream"]
    assert [record.levelname for record in mine if record.levelno > 20] == ["ERROR"], "said once, not at each try"


@pytest.mark.parametrize("count", [0, 20])
async def test_open_pages_do_not_hold_up_the_end(count: int) -> None:
    async with serving(pages_of(Source())) as (client, task):
        assert (await client.get("/")).status_code == 200
        ended = 0

        async def watch(heard: asyncio.Event) -> None:
            nonlocal ended
            async with listening(client) as names:
                async for _ in names:
                    heard.set()
            ended += 1

        heard = [asyncio.Event() for _ in range(count)]
        watchers = [asyncio.create_task(watch(event)) for event in heard]
        for event in heard:
            await event.wait()
        task.cancel()
        async with asyncio.timeout(10):
            await asyncio.wait([task])
        await asyncio.gather(*watchers)
        assert ended == count, "every stream ends in order, none is torn off"
        assert not any(t.get_name() == "page renderer" for t in asyncio.all_tasks())


async def test_a_client_that_does_not_read_holds_up_the_end_for_its_grace_alone() -> None:
    filler = [{"name": "x" * 3_000_000, "words": "", "state": "good"}]
    calls = 0

    def snapshot() -> dict[str, Any]:
        nonlocal calls
        calls += 1
        return status(health=filler)

    async with serving(pages_of(snapshot)) as (client, task):
        deaf = await deaf_client(client.base_url.port or 0)
        await until(lambda: calls > 3)
        task.cancel()
        async with asyncio.timeout(20):
            await asyncio.wait([task])
        deaf.close()
