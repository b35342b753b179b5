"""Lists over all gateways: open alarms, refused messages, requests to be admitted, deeds."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.access.roles import Right
from gateway.cluster.fleet import details
from gateway.cluster.fleet.details import TIERS
from gateway.cluster.fleet.frame import FleetFrame, number, query
from gateway.cluster.fleet.scope import ALL

__all__ = ["ListPages"]

ROWS: Final = 100
DEEDS: Final = 100


class ListPages:
    """One page a list."""

    def __init__(self, frame: FleetFrame) -> None:
        self._frame = frame

    def routes(self) -> list[Route]:
        """All of them."""
        look = self._frame.needs(Right.LOOK)
        return [
            Route("/alarms", look(self._alarms)),
            Route("/refused", look(self._refused)),
            Route("/requests", look(self._requests)),
            Route("/deeds", self._frame.needs(Right.ADMINISTER)(self._deeds)),
        ]

    async def _alarms(self, request: Request) -> Response:
        asked = request.query_params
        words, tier = asked.get("q", "").strip()[:60], asked.get("tier", "")
        words = words if words.isprintable() else ""
        tier = tier if tier in TIERS else ""
        member, offset = number(request, "member"), number(request, "from", most=10**7) or 0
        async with self._frame.look(request) as (work, scope, _):
            rows, count = await details.alarms(
                work, scope, member=member, tier=tier or None, words=words, limit=ROWS, offset=offset
            )
        return self._frame.page(
            request,
            "fleet-alarms.html",
            rows=rows,
            count=count,
            words=words,
            tier=tier,
            member=member,
            tiers=TIERS,
            offset=offset,
            to=lambda **changes: "/alarms?" + query(**{"q": words, "tier": tier, "member": member, **changes}),
            before=max(0, offset - ROWS) if offset else None,
            after=offset + ROWS if offset + ROWS < count else None,
        )

    async def _refused(self, request: Request) -> Response:
        async with self._frame.look(request) as (work, scope, _):
            rows = await details.refused(work, scope)
        return self._frame.page(request, "refused.html", rows=rows)

    async def _requests(self, request: Request) -> Response:
        async with self._frame.look(request) as (work, scope, _):
            rows = await details.requests(work, scope, waiting=False)
        return self._frame.page(request, "requests.html", rows=rows)

    async def _deeds(self, request: Request) -> Response:
        async with self._frame.look(request) as (work, scope, _):
            rows = await details.deeds(work, before=number(request, "before"), limit=DEEDS) if scope == ALL else []
        return self._frame.page(request, "deeds.html", rows=rows, most=DEEDS)
