"""Webhook against a real HTTP server."""

import hashlib
import hmac
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from plugin_tools import made, notice
from smtp_sink import write_secret

from gateway.api import OutputError, Secret
from gateway.demo.pki import Authority


class Hook(ThreadingHTTPServer):
    """Takes posts; ``status`` and ``headers`` are what it answers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.headers = 200, {"X": "y"}
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.block_on_close = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook?site=1"


class Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, dict(self.headers), body))
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"words of the server")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        del format, args


@contextmanager
def hook() -> Iterator[Hook]:
    with Hook() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


async def test_a_post_brings_the_notice_signed(tmp_path: Path) -> None:
    key = Secret(file=write_secret(tmp_path / "key", "s3cret\n"))
    token = Secret(file=write_secret(tmp_path / "token", "Bearer abc"))
    with hook() as server:
        out = made("webhook", {"url": server.url, "key": key, "authorization": token, "headers": {"X-Tenant": "d"}})
        await out.test()
        assert server.got == [], "the way is tried without telling anything"
        await out.send(notice(words="Zażółć"))
    ((path, headers, body),) = server.got
    assert path == "/hook?site=1"
    sent = json.loads(body)
    assert (sent["value"], sent["limit"], sent["unit"], sent["words"]) == (8.2, 5.0, "degC", "Zażółć")
    assert (sent["alarm"], sent["occurrence"], sent["transition"]) == ("cold-room-1/high-critical", 1, "raised")
    assert headers["Aurora-Signature"] == "sha256=" + hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    assert headers["Idempotency-Key"] == sent["key"]
    assert (headers["Authorization"], headers["X-Tenant"]) == ("Bearer abc", "d")


@pytest.mark.parametrize(
    ("status", "retry", "remedy"),
    [
        (302, True, "write the address that it redirects to"),
        (400, False, "see what it says"),
        (401, True, "check authorization and key"),
        (404, True, "check the address"),
        (410, False, "see what it says"),
        (429, True, "see what it says"),
        (500, True, "see whether the other side is well"),
        (503, True, "see whether the other side is well"),
    ],
)
async def test_every_refusal_is_named(status: int, retry: bool, remedy: str) -> None:
    with hook() as server:
        server.status, server.headers = status, {"Retry-After": "7", "Location": "http://elsewhere/"}
        with pytest.raises(OutputError, match=f"answers {status} .words of the server") as caught:
            await made("webhook", {"url": server.url}).send(notice())
    assert (caught.value.retry, caught.value.remedy) == (retry, remedy)
    assert caught.value.after_s in {0.0, 7.0}
    assert caught.value.after_s == 7.0 or status in {302, 401, 404}
    assert len(server.got) == 1, "no redirection is followed"


async def test_nobody_there_no_http_and_silence_are_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        with pytest.raises(OutputError, match=r"cannot be reached .timed out"):
            await made("webhook", {"url": f"http://127.0.0.1:{port}/"}, timeout_s=0.1).send(notice())
    with pytest.raises(OutputError, match=r"cannot be reached .Connection refused"):
        await made("webhook", {"url": f"http://127.0.0.1:{port}/"}).send(notice())
    with socket.create_server(("127.0.0.1", 0)) as odd:
        odd_port = odd.getsockname()[1]

        def answer() -> None:
            with odd.accept()[0] as client:
                client.recv(4096)
                client.sendall(b"220 mail server ready\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(OutputError, match=r"does not speak HTTP"):
            await made("webhook", {"url": f"http://127.0.0.1:{odd_port}/"}).send(notice())
        thread.join()


async def test_over_tls_only_a_certificate_of_the_named_authority_is_believed(tmp_path: Path) -> None:
    certificate = Authority(tmp_path / "a", datetime.now(UTC)).server("hook")
    other = Authority(tmp_path / "b", datetime.now(UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    with hook() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        url = server.url.replace("http:", "https:")
        await made("webhook", {"url": url, "ca": certificate.ca}).send(notice())
        with pytest.raises(OutputError, match=r"no TLS with 127\.0\.0\.1"):
            await made("webhook", {"url": url, "ca": other.ca}).send(notice())
        with pytest.raises(OutputError, match=r"no TLS with 127\.0\.0\.1"):
            await made("webhook", {"url": url}).test()
    assert len(server.got) == 1


async def test_a_secret_that_is_missing_empty_or_no_header_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hook() as server:
        for secret, words in (
            (Secret(file=tmp_path / "missing"), "missing cannot be read .No such file"),
            (Secret(file=write_secret(tmp_path / "empty", "\n")), "empty is empty"),
            (Secret(credential="hook"), "the credential 'hook' is not there.*LoadCredential=hook:FILE"),
        ):
            with pytest.raises(OutputError, match=words):
                await made("webhook", {"url": server.url, "key": secret}).send(notice())
        lines = Secret(file=write_secret(tmp_path / "lines", "a\nb"))
        with pytest.raises(OutputError, match=r"cannot stand in a header"):
            await made("webhook", {"url": server.url, "authorization": lines}).send(notice())
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        write_secret(tmp_path / "hook", "k")
        await made("webhook", {"url": server.url, "key": Secret(credential="hook")}).send(notice())
    assert len(server.got) == 1
