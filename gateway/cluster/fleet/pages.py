"""The web application of the cluster's page: the parts put together behind one border."""

import asyncio

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.cluster.fleet.frame import HERE, FleetFrame, House
from gateway.cluster.fleet.gatewaypages import GatewayPages
from gateway.cluster.fleet.listpages import ListPages
from gateway.cluster.fleet.overviewpages import Overview
from gateway.cluster.fleet.pointpages import PointPages
from gateway.cluster.fleet.programs.endpoint import Programs
from gateway.cluster.fleet.staff import Deeds
from gateway.web.border import Border
from gateway.web.doorpages import DoorPages
from gateway.web.frame import HERE as WEB
from gateway.web.pages import Fresh, Kept
from gateway.web.peoplepages import PeoplePages

__all__ = ["FleetPages"]


class _Recorded:
    """What a request made happen at the door is in the store before its answer goes out."""

    def __init__(self, app: ASGIApp, deeds: Deeds) -> None:
        self._app = app
        self._deeds = deeds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""

        async def recorded(message: Message) -> None:
            if message["type"] == "http.response.start" and self._deeds.waiting:
                await self._deeds.flush()
            await send(message)

        await self._app(scope, receive, recorded)


class FleetPages:
    """The pages of one cluster as an ASGI application."""

    def __init__(self, house: House, deeds: Deeds) -> None:
        frame = FleetFrame(house)
        routes: list[BaseRoute] = [
            *Overview(frame).routes(),
            *GatewayPages(frame).routes(),
            *PointPages(frame).routes(),
            *ListPages(frame).routes(),
            *DoorPages(frame, house.desk.register).routes(),
            *PeoplePages(frame).routes(),
            *Programs(frame).routes(),
            Mount("/static", Kept(directory=WEB / "static")),
            Mount("/fleet", Kept(directory=HERE / "static")),
        ]
        self._frame = frame
        application = Starlette(
            routes=routes,
            middleware=[Middleware(GZipMiddleware, minimum_size=1000)],
            exception_handlers={404: self._nothing, 405: self._method},
        )
        self.app: ASGIApp = _Recorded(Border(Fresh(application), house.desk.door, house.desk.names), deeds)
        self.stopping = asyncio.Event()
        """There are no open streams; the server sets it all the same."""

    async def _nothing(self, request: Request, _: Exception) -> Response:
        return self._frame.error(request, 404, "there is no such page")

    async def _method(self, request: Request, _: Exception) -> Response:
        return self._frame.error(request, 405, "this page does not take that")
