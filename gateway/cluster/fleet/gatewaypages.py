"""One gateway: what is wrong, its streams, keys, points, newest events."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.access.roles import Right
from gateway.cluster.derive import series
from gateway.cluster.fleet import details, queries
from gateway.cluster.fleet.frame import FleetFrame, ident
from gateway.errors import AuroraError, OperatorError
from gateway.web.frame import text

__all__ = ["GatewayPages"]

EVENTS: Final = 50


class GatewayPages:
    """The page of a gateway, and cutting it off."""

    def __init__(self, frame: FleetFrame) -> None:
        self._frame = frame

    def routes(self) -> list[Route]:
        """The page, and what an operator may do about the gateway."""
        look, decide = self._frame.needs(Right.LOOK), self._frame.needs(Right.COMMISSION)
        return [
            Route("/gateways/{gateway}", look(self._show)),
            Route("/gateways/{gateway}/revoke", decide(self._revoke), methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        return await self._page(request)

    async def _page(self, request: Request, problem: AuroraError | None = None) -> Response:
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
        return self._frame.page(
            request,
            "gateway.html",
            code=200 if problem is None else 409,
            row=row,
            facts=facts,
            problem=problem,
            ready=self._frame.house.admission.ready,
            **context,
        )

    async def _revoke(self, request: Request) -> Response:
        frame, gateway = self._frame, ident(request, "gateway")
        form = await frame.form(request)
        async with frame.look(request) as (work, scope, _):
            facts = await details.facts(work, scope, gateway)
        if facts is None:
            frame.nothing()
        try:
            if text(form, "client") != facts.client:
                raise OperatorError("that is not the name of this gateway", f"type {facts.client} to be sure")
            await frame.house.admission.revoke(facts.client, frame.person(request), text(form, "why"))
        except AuroraError as error:
            return await self._page(request, error)
        t = frame.language(request)
        frame.say(
            request, t("The gateway is cut off: nothing is taken from it any more. Now run: aurora-cluster crl")
        )
        return frame.go(f"/gateways/{gateway}")
