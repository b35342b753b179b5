"""Notices by HTTP: one POST with a JSON body for each, signed with a shared key where one is given."""

import hashlib
import hmac
import http.client
import json
import re
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from gateway.api import Mistake, Notice, Output, OutputError, Secret, setting

__all__ = ["WebhookOutput", "WebhookSettings"]

SIGNATURE = "Aurora-Signature"
SOCKET_S = 15.0
LARGEST_ANSWER = 64 << 10
FOR_GOOD = {400, 405, 406, 410, 411, 413, 414, 415, 422, 431}
"""Status codes that say that this very request will never be taken (RFC 9110, 15.5)."""
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OURS = {"content-type", "content-length", "host", "authorization", "idempotency-key", SIGNATURE.lower()}


def check_url(url: str) -> None:
    """Raises `Mistake` for anything but an http or https address without a password in it."""
    remedy = 'write it whole: "https://hooks.example/aurora"'
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise Mistake(f"{url!r} is no address", remedy) from None
    if not usable or not url.isascii() or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise Mistake(f"{url!r} is no address that can be posted to", remedy)
    if parts.username or parts.password:
        raise Mistake("a secret does not belong in the site file", 'use authorization = { file = "..." }')


def check_headers(headers: dict[str, str]) -> None:
    """Raises `Mistake` for what cannot stand in a header, or is ours to say."""
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name) or not value.isascii() or not value.isprintable():
            raise Mistake(f"{name!r} = {value!r} is no header", "use ASCII, the name without spaces")
        if name.lower() in _OURS:
            raise Mistake(f"the header {name!r} is set by the gateway", "take it away")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """Where to post, and how the other side knows that it was us."""

    url: str = setting(example="https://hooks.example/aurora", check=check_url)
    key: Secret | None = setting(None, example={"file": "webhook.key"})
    authorization: Secret | None = setting(None, example={"file": "webhook.token"})
    headers: dict[str, str] = setting({}, example={"X-Tenant": "dairy"}, check=check_headers)
    ca: Path | None = setting(None, example="hook-ca.pem")


class WebhookOutput(Output):
    """Delivered when the other side answers 2xx. A notice that comes twice has the same ``Idempotency-Key``."""

    title = "HTTP POST of JSON"
    Settings = WebhookSettings
    settings: WebhookSettings

    @classmethod
    def check(cls, settings: WebhookSettings) -> Iterable[Mistake]:
        """A token needs TLS; a signature does not, but is of little use without it."""
        secure = settings.url.startswith("https:")
        if settings.authorization is not None and not secure:
            yield Mistake("would go over the network in the clear", "use https://", "authorization")
        if settings.ca is not None and not secure:
            yield Mistake("has no meaning without TLS", "use https://, or take it away", "ca")

    async def send(self, notice: Notice) -> None:
        """One request, one connection; no redirection is followed."""
        body = json.dumps(notice.fields(), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        headers = {
            **self.settings.headers,
            "Content-Type": "application/json",
            "User-Agent": "Aurora-Gateway",
            "Idempotency-Key": notice.key,
        }
        if self.settings.key is not None:
            headers[SIGNATURE] = sign(body, self.settings.key.read())
        if self.settings.authorization is not None:
            headers["Authorization"] = self._authorization(self.settings.authorization)
        self._judge(*self._post(body, headers))

    async def test(self) -> None:
        """Whether the other side can be connected to, with TLS where it has that; nothing is asked of it."""
        parts = urlsplit(self.settings.url)
        connection = self._connection(parts)
        with self._named(parts.netloc):
            try:
                connection.connect()
            finally:
                connection.close()

    def _authorization(self, secret: Secret) -> str:
        value = secret.read()
        if not value.isascii() or not value.isprintable():
            raise OutputError(f"{secret.path} holds what cannot stand in a header", "write one line of ASCII")
        return value

    def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, str, str]:
        parts = urlsplit(self.settings.url)
        connection = self._connection(parts)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        with self._named(parts.netloc):
            try:
                connection.request("POST", path, body, headers)
                answer = connection.getresponse()
                words = answer.read(LARGEST_ANSWER)[:200].decode("utf-8", "replace")
                return answer.status, words or answer.reason, answer.headers.get("Retry-After", "")
            finally:
                connection.close()

    @contextmanager
    def _named(self, where: str) -> Iterator[None]:
        """Every way in which a connection fails, in words."""
        try:
            yield
        except ssl.SSLError as error:
            raise OutputError(
                f"no TLS with {where} ({error.reason or error})",
                "check the address, the certificate's name and date, ca, and this machine's clock",
            ) from error
        except http.client.HTTPException as error:
            raise OutputError(
                f"{where} does not speak HTTP ({type(error).__name__})", "check host and port"
            ) from error
        except OSError as error:
            raise OutputError(
                f"{where} cannot be reached ({error.strerror or error or type(error).__name__})",
                "check network, name server, address and firewall",
            ) from error

    def _connection(self, parts: SplitResult) -> http.client.HTTPConnection:
        timeout_s = min(SOCKET_S, self.host.timeout_s)
        host = parts.hostname or ""
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, parts.port, timeout=timeout_s)
        try:
            context = ssl.create_default_context(cafile=self.settings.ca)
        except (OSError, ssl.SSLError) as error:
            raise OutputError(
                f"{self.settings.ca} cannot be used ({error.strerror or error})",
                "give the certificate of the authority that signed the server's, as PEM",
            ) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return http.client.HTTPSConnection(host, parts.port, timeout=timeout_s, context=context)

    def _judge(self, status: int, words: str, after: str) -> None:
        if 200 <= status < 300:
            return
        what = f"{urlsplit(self.settings.url).netloc} answers {status} ({words})"
        if 300 <= status < 400:
            raise OutputError(what, "write the address that it redirects to")
        if status in {401, 403, 407}:
            raise OutputError(what, "check authorization and key")
        if status in {404, 405}:
            raise OutputError(what, "check the address", retry=status == 404)
        wait_s = min(float(after), 3600.0) if after.isascii() and after.isdigit() else 0.0
        remedy = "see what it says" if status < 500 else "see whether the other side is well"
        raise OutputError(what, remedy, retry=status not in FOR_GOOD, after_s=wait_s)


def sign(body: bytes, key: str) -> str:
    """``sha256=`` and the HMAC-SHA256 (RFC 2104) of the body in hexadecimal; the key's characters are its bytes."""
    return "sha256=" + hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
