"""Posting to an HTTP server, and what its answer means; shared by the outputs that do."""

import http.client
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from gateway.api import Mistake, OutputError, Secret

__all__ = ["Poster", "check_url", "header_of", "judge"]

SOCKET_S = 15.0
LARGEST_ANSWER = 64 << 10
FOR_GOOD = {400, 405, 406, 410, 411, 413, 414, 415, 422, 431}
"""Status codes that say that this very request will never be taken (RFC 9110, 15.5)."""


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


def header_of(secret: Secret) -> str:
    """A secret as the value of a header. Raises `OutputError`."""
    value = secret.read()
    if not value.isascii() or not value.isprintable():
        raise OutputError(f"{secret.path} holds what cannot stand in a header", "write one line of ASCII")
    return value


@dataclass(frozen=True, slots=True)
class Poster:
    """Posts to one address, each time by a connection of its own."""

    url: str
    ca: Path | None
    timeout_s: float

    def post(self, body: bytes, headers: dict[str, str]) -> tuple[int, str, str]:
        """One request, one connection, no redirection: status, the beginning of the answer, ``Retry-After``."""
        parts = urlsplit(self.url)
        connection = self.connection(parts)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        with self.named(parts.netloc):
            try:
                connection.request("POST", path, body, headers)
                answer = connection.getresponse()
                words = answer.read(LARGEST_ANSWER).decode("utf-8", "replace")
                return answer.status, words or answer.reason, answer.headers.get("Retry-After", "")
            finally:
                connection.close()

    @contextmanager
    def named(self, where: str) -> Iterator[None]:
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

    def connection(self, parts: SplitResult) -> http.client.HTTPConnection:
        """To a server, not yet open. Raises `OutputError`."""
        timeout_s = min(SOCKET_S, self.timeout_s)
        host = parts.hostname or ""
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, parts.port, timeout=timeout_s)
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as error:
            raise OutputError(
                f"{self.ca} cannot be used ({error.strerror or error})",
                "give the certificate of the authority that signed the server's, as PEM",
            ) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return http.client.HTTPSConnection(host, parts.port, timeout=timeout_s, context=context)


def judge(where: str, status: int, words: str, after: str) -> None:
    """Raises `OutputError` for every answer but 2xx; ``after`` is what ``Retry-After`` says."""
    if 200 <= status < 300:
        return
    what = f"{where} answers {status} ({words})"
    if 300 <= status < 400:
        raise OutputError(what, "write the address that it redirects to")
    if status in {401, 403, 407}:
        raise OutputError(what, "check authorization and key")
    if status in {404, 405}:
        raise OutputError(what, "check the address", retry=status == 404)
    wait_s = min(float(after), 3600.0) if after.isascii() and after.isdigit() else 0.0
    remedy = "see what it says" if status < 500 else "see whether the other side is well"
    raise OutputError(what, remedy, retry=status not in FOR_GOOD, after_s=wait_s)
