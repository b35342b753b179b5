"""The page over TLS, with a certificate of the gateway's own making or the member's."""

import asyncio
import ssl
import stat
from pathlib import Path

import httpx
import pytest
from web_tools import PASSWORD, House

from gateway.access.certificate import fingerprint_of, own_certificate
from gateway.access.firstcode import first_code
from gateway.errors import AuroraError
from gateway.web.server import WebServer


async def test_the_cookie_is_bound_to_the_host_and_to_tls(tmp_path: Path) -> None:
    files = own_certificate(tmp_path, {"localhost", "gw-1.local"})
    trust = ssl.create_default_context(cafile=str(files[0]))
    home = House(tmp_path)
    server = WebServer(home.pages(), "127.0.0.1", 0, files)
    task = asyncio.create_task(server.run(server.bind()))
    origin = f"https://localhost:{server.port}"
    try:
        async with httpx.AsyncClient(base_url=origin, headers={"origin": origin}, verify=trust) as client:
            code = first_code(tmp_path)
            fields = {"name": "Ana", "code": code, "password": PASSWORD, "again": PASSWORD}
            plain = await client.post("/welcome", data=fields, headers={"origin": origin.replace("https", "http")})
            assert plain.status_code == 403, "a page of plain HTTP is another origin"
            answer = await client.post("/welcome", data=fields)
            assert answer.status_code == 303
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith("__Host-aurora=")
            assert "Secure" in cookie
            assert answer.headers["cross-origin-opener-policy"] == "same-origin"
            assert (await client.get("/account")).status_code == 200
        assert server.url == f"https://127.0.0.1:{server.port}/"
    finally:
        task.cancel()
        await asyncio.wait([task])


def test_it_is_made_once_for_the_owner_alone_and_its_fingerprint_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate, key = own_certificate(tmp_path, {"localhost"})
    before = certificate.read_bytes()
    assert own_certificate(tmp_path, {"localhost"}) == (certificate, key)
    assert certificate.read_bytes() == before
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    shown = fingerprint_of(before)
    assert len(shown) == 95
    assert all(shown in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    "text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_damaged_one_is_named_with_what_to_do(tmp_path: Path, text: str) -> None:
    certificate, _ = own_certificate(tmp_path, {"localhost"})
    certificate.write_text(text)
    with pytest.raises(AuroraError, match=r"page\.pem cannot be used .* made anew"):
        own_certificate(tmp_path, {"localhost"})


async def test_a_file_that_is_no_certificate_is_an_error_of_the_page_alone(tmp_path: Path) -> None:
    (tmp_path / "page.pem").write_text("nothing")
    (tmp_path / "page.key").write_text("nothing")
    server = WebServer(House(tmp_path).pages(), "127.0.0.1", 0, (tmp_path / "page.pem", tmp_path / "page.key"))
    with pytest.raises(AuroraError, match=r"page\.pem .* put a PEM certificate"):
        server.bind()
