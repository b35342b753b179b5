"""The pages: rendered on the server, made live by one stream that sends the same rendering again."""

import asyncio
import ipaddress
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["HEADERS", "Pages", "format_age", "format_value"]

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
PERIOD_S = 1.0
MINUS = "\N{MINUS SIGN}"

HEADERS = [
    (
        "content-security-policy",
        # data: is for the empty icon, without which every browser asks for /favicon.ico.
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
]
"""What the server puts on every answer, its own errors included."""


def format_value(value: float | None, decimals: int | None) -> str:
    """A reading for the eye: fixed decimals, a real minus sign, a dash where there is no value."""
    if value is None:
        return "\N{EN DASH}"
    text = f"{value:z.{decimals}f}" if decimals is not None else f"{value:z.6g}"
    return text.replace("-", MINUS)


def format_age(seconds: float | None) -> str:
    """How long ago, in the largest fitting unit."""
    if seconds is None:
        return "never"
    for limit, divisor, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / divisor:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def format_bytes(count: float) -> str:
    """Bytes in decimal units."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


class Guard:
    """Answers only to the box's own names (DNS rebinding)."""

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        app = self._app
        if not self._known(dict(scope["headers"]).get(b"host", b"").decode("latin-1")):
            words = "400: this gateway does not go by that name; use its IP address\n"
            app = PlainTextResponse(words, status_code=400)
        await app(scope, receive, send)

    def _known(self, host: str) -> bool:
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        name = name.strip("[]").lower()
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


class Pages:
    """The web application. ``status`` returns the present state as plain data, ``metrics`` the exposition text.

    ``names`` are the host names under which the page may be asked for, besides any IP address.
    """

    def __init__(
        self,
        status: Callable[[], dict[str, Any]],
        metrics: Callable[[], tuple[bytes, str] | Awaitable[tuple[bytes, str]]],
        names: frozenset[str],
    ) -> None:
        self._status = status
        self._metrics = metrics
        self.stopping = asyncio.Event()
        self._listeners = 0
        self._fresh = asyncio.Condition()
        self._fragment = ""
        self._renderer: asyncio.Task[None] | None = None
        self._broken = False
        environment = Environment(
            loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined
        )
        environment.filters.update(value=format_value, age=format_age, bytes=format_bytes)
        self._page = environment.get_template("page.html")
        self._part = environment.get_template("status.html")
        routes = [
            Route("/", self._index),
            Route("/events", self._events),
            Route("/api/status", self._api),
            Route("/metrics", self._prometheus),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ]
        self.app = Guard(Starlette(routes=routes), names)

    async def _index(self, _: Request) -> Response:
        return HTMLResponse(self._page.render(status=self._status()))

    async def _api(self, _: Request) -> Response:
        return JSONResponse(self._status())

    async def _prometheus(self, _: Request) -> Response:
        found = self._metrics()
        text, content_type = await found if isinstance(found, Awaitable) else found
        return Response(text, headers={"content-type": content_type})

    async def _events(self, _: Request) -> Response:
        return StreamingResponse(self._stream(), media_type="text/event-stream")

    async def _stream(self) -> AsyncIterator[str]:
        """One rendering a second for everyone who listens; none while nobody does."""
        self._listeners += 1
        if self._renderer is None:
            self._renderer = asyncio.create_task(self._render(), name="page renderer")
        renderer = self._renderer
        try:
            while self._renderer is renderer:
                async with self._fresh:
                    await self._fresh.wait()
                # The last word of a renderer that has ended is an old one, not to be sent as if it were new.
                if self._renderer is renderer:
                    lines = "\n".join(f"data: {line}" for line in self._fragment.splitlines())
                    yield f"event: status\n{lines}\n\n"
        finally:
            self._listeners -= 1

    async def _render(self) -> None:
        """Render for the listeners; when this ends, so do their streams, and the phones connect again."""
        try:
            while self._listeners and not self.stopping.is_set():
                self._fragment = self._part.render(status=self._status())
                if self._broken:
                    self._broken = False
                    log.info("the status page can be rendered again")
                await self._tell()
                await _first(asyncio.sleep(PERIOD_S), self.stopping.wait())
        except Exception:
            # Each phone that connects again would bring the same trace: once is enough.
            if not self._broken:
                self._broken = True
                log.exception("the status page cannot be rendered")
        finally:
            self._renderer = None
            await self._tell()

    async def _tell(self) -> None:
        async with self._fresh:
            self._fresh.notify_all()


async def _first(*waits: Awaitable[object]) -> None:
    """Return when one of them is done; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
