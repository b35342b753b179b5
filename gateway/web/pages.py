"""The web application: the parts of the page put together behind one border."""

import asyncio
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.web.alarmpages import AlarmPages
from gateway.web.benchpages import BenchPages
from gateway.web.border import Border
from gateway.web.commissionpages import CommissionPages
from gateway.web.desk import Desk
from gateway.web.diagnosepages import DiagnosePages
from gateway.web.doorpages import DoorPages
from gateway.web.frame import HERE, Frame
from gateway.web.jobpages import JobPages
from gateway.web.overview import Overview
from gateway.web.peoplepages import PeoplePages
from gateway.web.pointpages import PointPages
from gateway.web.programs.endpoint import Programs
from gateway.web.recordpages import RecordPages

__all__ = ["HEADERS", "Fresh", "Kept", "Pages"]

HEADERS = [
    (
        "content-security-policy",
        # data: is for the empty icon, without which every browser asks for /favicon.ico.
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
]
"""What the server puts on every answer, its own errors included."""


class Fresh:
    """Nothing that shows the plant is kept by a browser or on its way, unless the answer says otherwise."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("cache-control", "no-store")
                if scope["scheme"] == "https":  # A browser takes it over TLS alone, and complains otherwise.
                    headers["cross-origin-opener-policy"] = "same-origin"
            await send(message)

        await self._app(scope, receive, marked)


class Kept(StaticFiles):
    """Static files under an address with the mark of their content never change."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """Let the browser keep what was asked for with its mark."""
        answer = super().file_response(*args, **kwargs)
        scope = args[2] if len(args) > 2 else kwargs["scope"]
        kept = "public, max-age=31536000, immutable" if scope["query_string"] else "no-cache"
        answer.headers["cache-control"] = kept
        return answer


class Pages:
    """The pages of one gateway as an ASGI application."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        frame = Frame(desk)
        self.overview = Overview(frame)
        routes: list[BaseRoute] = [
            *self.overview.routes(),
            *DoorPages(frame, desk.register).routes(),
            *PointPages(frame).routes(),
            *AlarmPages(frame).routes(),
            *RecordPages(frame).routes(),
            *PeoplePages(frame).routes(),
            *CommissionPages(frame).routes(),
            *BenchPages(frame).routes(),
            *DiagnosePages(frame).routes(),
            *JobPages(frame).routes(),
            *Programs(frame).routes(),
            Route("/metrics", self._metrics),
            Mount("/static", Kept(directory=HERE / "static")),
        ]
        self._frame = frame
        application = Starlette(
            routes=routes,
            middleware=[Middleware(GZipMiddleware, minimum_size=1000)],
            exception_handlers={404: self._nothing, 405: self._method},
        )
        self.app: ASGIApp = Border(Fresh(application), desk.door, desk.names)

    @property
    def stopping(self) -> asyncio.Event:
        """Set it to end the open streams."""
        return self.overview.stream.stopping

    async def _metrics(self, request: Request) -> Response:
        if self._desk.metrics is None:
            return self._frame.error(request, 404, "there is no such page")
        text, content_type = await self._desk.metrics()
        return Response(text, headers={"content-type": content_type})

    async def _nothing(self, request: Request, _: Exception) -> Response:
        return self._frame.error(request, 404, "there is no such page")

    async def _method(self, request: Request, _: Exception) -> Response:
        return self._frame.error(request, 405, "this page does not take that")
