"""Through the door over HTTP: who gets in, with which cookie, and what is refused on the way."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from web_tools import PASSWORD, House, serving

from gateway.access.firstcode import first_code
from gateway.web import border, server


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[tuple[House, httpx.AsyncClient]]:
    """A page that takes a person to look at, and a browser-like client: it names its origin."""
    home = House(folder)
    async with serving(home.pages()) as (client, _):
        client.headers["origin"] = str(client.base_url).rstrip("/")
        yield home, client


def word_of(page: httpx.Response) -> str:
    found = re.search(r'name="form" value="([0-9a-f]{64})"', page.text)
    assert found, page.text
    return found[1]


async def join(home: House, client: httpx.AsyncClient, name: str = "Ana Smit") -> httpx.Response:
    code = first_code(home.folder)
    fields = {"name": name, "code": code, "password": PASSWORD, "again": PASSWORD}
    return await client.post("/welcome", data=fields)


async def test_the_first_person_comes_in_with_the_code_and_the_next_with_theirs(tmp_path: Path) -> None:
    async with house(tmp_path) as (home, client):
        asked = await client.get("/", follow_redirects=True)
        assert asked.url.path == "/welcome"
        assert "makes you its administrator" in asked.text
        assert (await join(home, client)).headers["location"] == "/"
        assert "Freezer" in (await client.get("/")).text
        people = await client.get("/people")
        made = await client.post("/people/invite", data={"form": word_of(people), "name": "Bo", "role": "quality"})
        code = re.search(r"[A-Z2-9]{4}-[A-Z2-9]{4}", made.text)
        assert code
        assert code[0] not in (await client.get("/people")).text, "shown once"
        client.cookies.clear()
        fields = {"name": "bo", "code": code[0].lower(), "password": PASSWORD, "again": PASSWORD}
        assert (await client.post("/welcome", data=fields)).status_code == 303
        assert (await client.get("/people")).status_code == 403
        assert "Bo" in (await client.get("/account")).text


async def test_the_cookie_is_for_this_page_alone(tmp_path: Path) -> None:
    async with house(tmp_path) as (home, client):
        cookie = (await join(home, client)).headers["set-cookie"]
    assert cookie.startswith("aurora=")
    for flag in ("HttpOnly", "SameSite=strict", "Path=/"):
        assert flag in cookie
    assert "Secure" not in cookie, "a browser would drop it on plain HTTP"


async def test_a_wrong_password_is_said_on_the_page_and_nothing_else_is(tmp_path: Path) -> None:
    async with house(tmp_path) as (home, client):
        await join(home, client)
        client.cookies.clear()
        for name in ("Ana Smit", "Nobody"):
            answer = await client.post("/sign-in", data={"name": name, "password": "wrong", "to": "/"})
            assert answer.status_code == 403
            assert "name or password is wrong" in answer.text
            assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("to", ["//evil.example/", "https://evil.example/", "/\\evil.example", "evil", ""])
async def test_the_way_back_leads_to_this_gateway_alone(tmp_path: Path, to: str) -> None:
    async with house(tmp_path) as (home, client):
        await join(home, client)
        answer = await client.post("/sign-in", data={"name": "Ana Smit", "password": PASSWORD, "to": to})
        assert answer.headers["location"] == "/"


async def test_nothing_is_shown_without_a_session(tmp_path: Path) -> None:
    async with house(tmp_path) as (_, client):
        for path in ("/", "/people", "/account", "/more"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/sign-in"), path
        for path in ("/api/status", "/api/v1/nothing"):
            assert (await client.get(path)).status_code in {401, 404}, path
        assert (await client.get("/metrics")).status_code == 200, "metrics are separate: numbers and ids, no people"


async def test_a_form_from_elsewhere_is_refused_and_on_record(tmp_path: Path) -> None:
    async with house(tmp_path) as (home, client):
        await join(home, client)
        form = {"form": word_of(await client.get("/people")), "name": "Eve", "role": "administrator"}
        for origin in (
            "http://evil.example",
            "null",
            "",
            str(client.base_url).replace("http", "https").rstrip("/"),
        ):
            answer = await client.post("/people/invite", data=form, headers={"origin": origin})
            assert answer.status_code == 403, origin
        for word in ("", "0" * 64, form["form"].upper()):
            answer = await client.post("/people/invite", data={**form, "form": word})
            assert answer.status_code == 403, word
        assert [person.name for person in home.door.book.people.values()] == ["Ana Smit"]
        refused = [event.data["what"] for event in home.events if event.kind == "access.refused"]
        assert refused.count("origin") == 4
        assert refused.count("form") == 3


async def test_signing_out_ends_the_session_for_the_cookie_too(tmp_path: Path) -> None:
    async with house(tmp_path) as (home, client):
        await join(home, client)
        cookie = client.cookies["aurora"]
        answer = await client.post("/sign-out", data={"form": word_of(await client.get("/account"))})
        assert answer.headers["location"] == "/sign-in"
        client.cookies.set("aurora", cookie, domain="127.0.0.1")
        assert (await client.get("/account")).status_code == 303


async def test_a_token_asks_without_a_form_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    async with house(tmp_path) as (home, client):
        await join(home, client)
        made = await home.register.handlers()["people.token"](
            {"label": "x", "role": "viewer", "person": "Ana Smit"}
        )
        client.cookies.clear()
        headers = {"authorization": f"Bearer {made['token']}"}
        assert (await client.get("/api/status", headers=headers)).status_code == 200
        assert (await client.get("/people", headers={**headers, "accept": "application/json"})).status_code == 403
        for wrong in ("Bearer x", "Basic QTpC", "Bearer", f"Bearer {made['token']}x"):
            answer = await client.get("/api/status", headers={"authorization": wrong})
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"


BODIES = [
    (b"x" * (70 << 10), "application/x-www-form-urlencoded", 413),
    (b"name=a", "text/plain", 415),
    (b"name=a", "", 415),
    (b"&".join(b"a%d=1" % i for i in range(1000)), "application/x-www-form-urlencoded", 400),
    (b"--b\r\nnonsense", "multipart/form-data", 400),
    (
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nx\r\n--b--\r\n',
        "multipart/form-data; boundary=b",
        400,
    ),
]


@pytest.mark.parametrize(("body", "kind", "code"), BODIES)
async def test_a_body_that_is_no_form_is_refused(tmp_path: Path, body: bytes, kind: str, code: int) -> None:
    async with house(tmp_path) as (_, client):
        answer = await client.post("/sign-in", content=body, headers={"content-type": kind})
        assert answer.status_code == code
        assert (await client.get("/sign-in", follow_redirects=True)).status_code == 200


async def test_a_chunked_body_that_never_ends_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADERS_S", 1.0)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 4096
            await asyncio.sleep(0)

    async with house(tmp_path) as (_, client):
        headers = {"content-type": "application/x-www-form-urlencoded"}
        try:
            answer = await client.post("/sign-in", content=endless(), headers=headers)
        except httpx.HTTPError:
            pass  # The connection was closed in the middle of it.
        else:
            assert answer.status_code in {400, 408, 413}


async def test_a_body_that_drips_and_headers_that_drip_are_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(border, "BODY_S", 0.2)
    monkeypatch.setattr(server, "HEADERS_S", 0.2)
    async with house(tmp_path) as (_, client):
        port = client.base_url.port or 0
        origin = client.headers["origin"].encode()
        head = b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nOrigin: %s\r\n" % (port, origin)
        kind = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nname="
        for start in (b"GET / HTTP/1.1\r\nHost: loc", head + kind, b""):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(start)
            async with asyncio.timeout(20):
                answer = await reader.read()
            assert answer == b"" or b" 408 " in answer.split(b"\r\n")[0], answer
            writer.close()


@pytest.mark.parametrize(
    "path", ["/static/../frame.py", "/static/%2e%2e/frame.py", "/static/..%2fframe.py", "//etc/passwd"]
)
async def test_no_path_leads_out_of_the_static_files(tmp_path: Path, path: str) -> None:
    async with house(tmp_path) as (_, client):
        port = client.base_url.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        assert b" 404 " in answer.split(b"\r\n")[0]
        assert b"import" not in answer


async def test_the_language_is_the_readers_choice_then_the_browsers_then_the_sites(tmp_path: Path) -> None:
    async with house(tmp_path) as (_, client):

        async def tag(**headers: str) -> str:
            found = re.search(r'<html lang="(..)">', (await client.get("/welcome", headers=headers)).text)
            assert found
            return found[1]

        assert await tag() == "en"
        assert await tag(**{"accept-language": "de-DE, pl;q=0.8, en;q=0.5"}) == "pl"
        assert (await client.post("/language", data={"language": "nl", "to": "/welcome"})).status_code == 303
        assert await tag(**{"accept-language": "pl"}) == "nl"
        assert (await client.post("/language", data={"language": "xx"})).status_code == 400
