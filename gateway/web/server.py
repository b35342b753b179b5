"""The embedded HTTP server."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Generator
from pathlib import Path
from typing import Protocol

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.errors import AuroraError
from gateway.web.pages import HEADERS

__all__ = ["Served", "WebServer", "own_names"]

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 200
HEADERS_S = 15.0
"""A connection on which no request has come whole for so long is closed."""
GRACE_S = 2
"""How long a stopping server waits for requests that are being answered."""


def own_names() -> frozenset[str]:
    """Names under which this machine is asked on a local network."""
    name = socket.gethostname().lower()
    short = name.partition(".")[0]
    return frozenset({"localhost", name, short, f"{short}.local", f"{short}.lan"})


class _Server(uvicorn.Server):
    """Leaves signals to the daemon, and ends the open streams first: uvicorn alone would wait for them for ever."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self.ending = asyncio.Event()
        self._stopping = stopping

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def main_loop(self) -> None:
        """Wait for the end. (The library's own loop wakes ten times a second to look at a flag.)"""
        self.server_state.default_headers = self.config.encoded_headers
        await self.ending.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()
        await super().shutdown(sockets)


class _Patient(H11Protocol):
    """Waits for a request only so long: a client that sends its headers drop by drop holds no place for ever.

    (The library waits without end for the first request of a connection, and for the rest of one that has begun.)
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._patience = self.loop.call_later(HEADERS_S, self._enough)

    def _enough(self) -> None:
        waiting = self.cycle is None or self.cycle.response_complete
        if waiting and self.timeout_keep_alive_task is None and not self.transport.is_closing():
            self.transport.close()
        elif not self.transport.is_closing():
            self._patience = self.loop.call_later(HEADERS_S, self._enough)

    def connection_lost(self, exc: Exception | None) -> None:
        self._patience.cancel()
        super().connection_lost(exc)


def _check_certificate(certificate: Path, key: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except OSError as error:  # An SSLError is one, too.
        why = error.strerror or str(error)
        remedy = 'put a PEM certificate and its key there, or write tls = "self"'
        raise AuroraError(f"status page: {certificate} and {key} cannot be used ({why}); {remedy}") from error


class Served(Protocol):
    """An application, and what ends its open streams."""

    @property
    def app(self) -> ASGIApp: ...
    @property
    def stopping(self) -> asyncio.Event: ...


class WebServer:
    """Serves the pages on one address until cancelled. ``tls`` are the files of a certificate and of its key."""

    def __init__(self, pages: Served, host: str, port: int, tls: tuple[Path, Path] | None = None) -> None:
        self._pages = pages
        self._tls = tls
        self.host = host
        self.port = port

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"{'http' if self._tls is None else 'https'}://{self.address}/"

    @property
    def address(self) -> str:
        """``host:port`` as it stands in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def bind(self) -> socket.socket:
        """The listening socket; port 0 takes a free one.

        Raises `AuroraError` when the address is taken, or the certificate is none.
        """
        if self._tls is not None:
            _check_certificate(*self._tls)
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.host, self.port))
            listener.listen(64)
        except OSError as error:
            listener.close()
            raise AuroraError(
                f"status page: cannot listen on {self.address} ({error.strerror}); "
                "choose another [web] listen address"
            ) from error
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        return listener

    async def run(self, listener: socket.socket) -> None:
        """Serve until cancelled; open streams are ended, running requests finished."""
        config = uvicorn.Config(
            self._pages.app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            http=_Patient,
            timeout_graceful_shutdown=GRACE_S,
            limit_concurrency=MAX_CONNECTIONS,
            headers=HEADERS,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            ssl_certfile=self._tls[0] if self._tls else None,
            ssl_keyfile=self._tls[1] if self._tls else None,
        )
        server = _Server(config, self._pages.stopping)
        with contextlib.closing(listener):
            serving = asyncio.ensure_future(server.serve(sockets=[listener]))
            try:
                await asyncio.shield(serving)
            finally:
                server.should_exit = True
                server.ending.set()
                await serving
