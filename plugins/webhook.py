"""Notices by HTTP: one POST with a JSON body for each, signed with a shared key where one is given."""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from gateway_plugins.http_post import Poster, check_url, header_of, judge

from gateway.api import Host, Mistake, Notice, Output, Secret, setting

__all__ = ["WebhookOutput", "WebhookSettings"]

SIGNATURE = "Aurora-Signature"
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OURS = {"content-type", "content-length", "host", "authorization", "idempotency-key", SIGNATURE.lower()}


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

    def __init__(self, settings: WebhookSettings, host: Host) -> None:
        super().__init__(settings, host)
        self._poster = Poster(settings.url, settings.ca, host.timeout_s)

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
            headers["Authorization"] = header_of(self.settings.authorization)
        status, words, after = self._poster.post(body, headers)
        judge(urlsplit(self.settings.url).netloc, status, words[:200], after)

    async def test(self) -> None:
        """Whether the other side can be connected to, with TLS where it has that; nothing is asked of it."""
        parts = urlsplit(self.settings.url)
        connection = self._poster.connection(parts)
        with self._poster.named(parts.netloc):
            try:
                connection.connect()
            finally:
                connection.close()


def sign(body: bytes, key: str) -> str:
    """``sha256=`` and the HMAC-SHA256 (RFC 2104) of the body in hexadecimal; the key's characters are its bytes."""
    return "sha256=" + hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
