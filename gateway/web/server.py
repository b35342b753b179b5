"""The embedded HTTP server."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Protocol

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.web.pages import HEADERS
from gateway.web.place import Place

__all__ = ["Served", "WebServer"]

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 200
HEADERS_S = 15.0
"""A connection on which no request has come whole for so long is closed."""
GRACE_S = 2
"""How long a stopping server waits for requests that are being answered."""


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


class Served(Protocol):
    """An application, and what ends its open streams."""

    @property
    def app(self) -> ASGIApp: ...
    @property
    def stopping(self) -> asyncio.Event: ...


class WebServer(Place):
    """Serves the pages on one address until cancelled."""

    def __init__(self, pages: Served, host: str, port: int, tls: tuple[Path, Path] | None = None) -> None:
        super().__init__(host, port, tls)
        self._pages = pages

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
            ssl_certfile=self.tls[0] if self.tls else None,
            ssl_keyfile=self.tls[1] if self.tls else None,
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
