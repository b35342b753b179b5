"""One gateway: what is wrong, its streams, keys, points, newest events."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.access.roles import Right
from gateway.cluster.derive import series
from gateway.cluster.fleet import details, queries
from gateway.cluster.fleet.frame import FleetFrame, ident

__all__ = ["GatewayPages"]

EVENTS: Final = 50


class GatewayPages:
    """The page of a gateway."""

    def __init__(self, frame: FleetFrame) -> None:
        self._frame = frame

    def routes(self) -> list[Route]:
        """It has one."""
        return [Route("/gateways/{gateway}", self._frame.needs(Right.LOOK)(self._show))]

    async def _show(self, request: Request) -> Response:
        gateway = ident(request, "gateway")
        async with self._frame.look(request) as (work, scope, now_ms):
            row = await queries.gateway_row(work, scope, now_ms, gateway)
            facts = await details.facts(work, scope, gateway)
            if row is None or facts is None:
                self._frame.nothing()
            context: dict[str, Any] = {
                "streams": await details.streams(work, scope, gateway),
                "keys": await details.keys(work, scope, gateway),
                "forks": await details.forks(work, scope, gateway),
                "certificates": await details.certificates(work, scope, gateway),
                "points": await details.points(work, scope, gateway),
                "alarms": (await details.alarms(work, scope, gateway=gateway))[0],
                "refused": await details.refused(work, scope, client=facts.client),
                "events": await series.events(work, scope.member, gateway=gateway, limit=EVENTS),
            }
        return self._frame.page(request, "gateway.html", row=row, facts=facts, **context)
