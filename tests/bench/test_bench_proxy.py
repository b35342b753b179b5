"""The proxy: what passes is counted, and an uplink can be refused or silent."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from socket import socket

import pytest

from bench.proxy import Proxy


@asynccontextmanager
async def linked(proxy: Proxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A client's link through the proxy."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def echo_behind_proxy() -> AsyncIterator[Proxy]:
    """A server that sends everything back twice, and the proxy in front of it."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100_000):
            writer.write(data + data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    proxy = Proxy(server.sockets[0].getsockname()[1])
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.close()
        server.close()
        await server.wait_closed()


async def test_bytes_are_counted_in_both_directions() -> None:
    async with echo_behind_proxy() as proxy, linked(proxy) as (reader, writer):
        sent = bytes(1000) * 300
        writer.write(sent)
        assert await reader.readexactly(2 * len(sent)) == sent + sent
        assert json.loads(await proxy.command("stats")) == {"sent": 300_000, "received": 600_000, "links": 1}


async def test_refused_resets_links_and_accepts_none_until_it_is_up_again_on_the_same_port() -> None:
    async with echo_behind_proxy() as proxy:
        async with linked(proxy) as (reader, writer):
            writer.write(b"x")
            assert await reader.readexactly(2) == b"xx"
            assert await proxy.command("refuse") == "ok"
            with pytest.raises(ConnectionError):
                await reader.readexactly(1)
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        await proxy.command("up")
        async with linked(proxy) as (reader, writer):
            writer.write(b"y")
            assert await reader.readexactly(2) == b"yy"


async def test_a_silent_link_stays_up_swallows_everything_and_is_reset_at_the_end() -> None:
    async with echo_behind_proxy() as proxy, linked(proxy) as (reader, writer):
        writer.write(b"x")
        await reader.readexactly(2)
        await proxy.command("silent")
        writer.write(b"lost")
        await writer.drain()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(1), 0.1)
        await proxy.command("up")
        with pytest.raises(ConnectionError):
            await reader.readexactly(1)
        assert (proxy.stats.sent, proxy.stats.received) == (1, 2)


async def test_a_slow_uplink_lets_through_what_its_rate_allows() -> None:
    async with echo_behind_proxy() as proxy, linked(proxy) as (reader, writer):
        await proxy.command("rate 1000")
        writer.write(bytes(100_000))
        await reader.readexactly(100)
        assert proxy.stats.sent < 2000
        await proxy.command("rate 0")
        await reader.readexactly(199_900)
        assert proxy.stats.sent == 100_000


async def test_a_link_fails_when_there_is_no_broker() -> None:
    async with echo_behind_proxy() as proxy:
        with socket() as free:
            free.bind(("127.0.0.1", 0))
            proxy.broker_port = free.getsockname()[1]
        async with linked(proxy) as (reader, _):
            with pytest.raises(ConnectionError):
                await reader.readexactly(1)


async def test_what_is_not_understood_is_said() -> None:
    assert await Proxy(1).command("explode") == "not understood"
