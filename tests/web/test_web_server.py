"""The server's border: whose name it answers to, what stands on every answer, and what it says when it cannot."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from web_tools import pages_of, serving

from gateway.errors import AuroraError
from gateway.web.pages import HEADERS
from gateway.web.place import Place, own_names
from gateway.web.server import WebServer


def broken() -> dict[str, Any]:
    raise ZeroDivisionError


def assert_guarded(answer: httpx.Response) -> None:
    for name, value in HEADERS:
        assert answer.headers.get_list(name) == [value], name
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "server" not in answer.headers


REQUESTS = [
    ("GET", "/", 200),
    ("HEAD", "/", 200),
    ("GET", "/api/status", 200),
    ("GET", "/metrics", 200),
    ("GET", "/static/page.css", 200),
    ("GET", "/static/nothing.css", 404),
    ("GET", "/static/%2e%2e/pages.py", 404),
    ("GET", "/nowhere", 404),
    ("POST", "/", 403),
    ("DELETE", "/api/status", 403),
]


async def test_every_answer_carries_the_security_headers() -> None:
    async with serving(pages_of()) as (client, _):
        for method, path, code in REQUESTS:
            answer = await client.request(method, path)
            assert answer.status_code == code, (method, path)
            assert_guarded(answer)
            assert "from gateway" not in answer.text


async def test_a_stream_carries_them_too() -> None:
    async with serving(pages_of()) as (client, _), client.stream("GET", "/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert_guarded(stream)


async def test_an_error_of_the_gateway_is_a_guarded_500_without_its_trace() -> None:
    async with serving(pages_of(broken)) as (client, _):
        for path in ("/", "/api/status"):
            answer = await client.get(path)
            assert answer.status_code == 500
            assert_guarded(answer)
            assert "Traceback" not in answer.text
            assert "ZeroDivision" not in answer.text
        assert (await client.get("/metrics")).status_code == 200


HOSTS = [
    ("127.0.0.1:8080", 200),
    ("192.168.1.7", 200),
    ("[::1]", 200),
    ("[::1]:8080", 200),
    ("[fd00::1:2]:8080", 200),
    ("localhost", 200),
    ("LOCALHOST:8080", 200),
    ("gw-1.local", 200),
    ("gw-1.local:80", 200),
    ("evil.example", 400),
    ("evil.example:8080", 400),
    ("127.0.0.1.evil.example", 400),
    ("localhost.evil.example", 400),
    ("[evil.example]", 400),
    ("", 400),
    (":8080", 400),
]


async def test_it_answers_to_addresses_and_its_own_names_alone() -> None:
    async with serving(pages_of()) as (client, _):
        for host, code in HOSTS:
            answer = await client.get("/api/status", headers={"host": host})
            assert answer.status_code == code, host
            assert_guarded(answer)
            assert ("use its IP address" in answer.text) == (code == 400)


async def raw(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


async def test_a_request_without_a_host_and_one_that_is_no_request() -> None:
    async with serving(pages_of()) as (client, _):
        port = client.base_url.port or 0
        assert b" 400 " in await raw(port, b"GET / HTTP/1.0\r\n\r\n")
        assert b" 400 " in await raw(port, b"\x16\x03\x01 not http at all\r\n\r\n")
        assert (await client.get("/")).status_code == 200


def test_own_names_hold_the_short_and_the_whole_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "GW-7.plant.example")
    assert {"localhost", "gw-7", "gw-7.local", "gw-7.plant.example"} <= own_names()


@pytest.fixture
async def six() -> AsyncIterator[WebServer]:
    server = WebServer(pages_of(), "::1", 0)
    listener = server.bind()
    task = asyncio.create_task(server.run(listener))
    yield server
    task.cancel()
    await asyncio.wait([task])


async def test_it_listens_on_ipv6(six: WebServer) -> None:
    assert six.address == f"[::1]:{six.port}"
    async with httpx.AsyncClient(base_url=f"http://{six.address}") as client:
        assert (await client.get("/")).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_address_in_use_is_said_with_its_remedy(host: str) -> None:
    first = WebServer(pages_of(), host, 0)
    with first.bind(), pytest.raises(AuroraError) as raised:
        WebServer(pages_of(), host, first.port).bind()
    words = str(raised.value)
    assert words == (
        f"status page: cannot listen on {first.address} (Address already in use); "
        "choose another [web] listen address"
    )


def test_an_address_that_is_not_ours_is_said() -> None:
    with pytest.raises(AuroraError, match=r"cannot listen on 192\.0\.2\.1:8080"):
        WebServer(pages_of(), "192.0.2.1", 8080).bind()


async def test_the_address_is_free_again_when_the_server_has_ended() -> None:
    first = WebServer(pages_of(), "127.0.0.1", 0)
    task = asyncio.create_task(first.run(first.bind()))
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://{first.address}/")).status_code == 200
    task.cancel()
    await asyncio.wait([task])
    second = WebServer(pages_of(), "127.0.0.1", first.port)
    second.bind().close()


async def test_cancelled_before_it_began_it_leaves_nothing_open() -> None:
    server = WebServer(pages_of(), "127.0.0.1", 0)
    listener = server.bind()
    task = asyncio.create_task(server.run(listener))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert listener.fileno() == -1


async def test_too_many_clients_are_told_so_and_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.web.server.MAX_CONNECTIONS", 2)
    async with serving(pages_of()) as (client, _), client.stream("GET", "/events") as stream:
        assert stream.status_code == 200
        answer = await client.get("/")
        assert answer.status_code == 503
        assert_guarded(answer)


class TestNobodyThereYet:
    async def test_it_waits_for_a_first_visitor_who_is_then_served(self) -> None:
        place = Place("127.0.0.1", 0)
        with closing(place.bind()) as listener:
            waiting = asyncio.create_task(place.visited(listener))
            await asyncio.sleep(0)
            assert not waiting.done()
            _, writer = await asyncio.open_connection("127.0.0.1", place.port)
            async with asyncio.timeout(10):
                await waiting
            accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
            accepted.close()
            writer.close()

    def test_until_then_nothing_of_the_page_is_loaded(self) -> None:
        code = (
            "import sys, gateway.app, gateway.beside, gateway.people, gateway.web.place, gateway.access.register\n"
            "heavy = ('starlette', 'uvicorn', 'jinja2', 'prometheus_client', 'gateway.reception')\n"
            "print([name for name in heavy if name in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)
        assert done.stdout.strip() == "[]"
