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
from gateway.errors import AuroraError, OperatorError
from gateway.web.frame import text

__all__ = ["ListPages"]

ROWS: Final = 100
DEEDS: Final = 100


class ListPages:
    """One page a list; requests are decided on theirs."""

    def __init__(self, frame: FleetFrame) -> None:
        self._frame = frame

    def routes(self) -> list[Route]:
        """All of them."""
        look, decide = self._frame.needs(Right.LOOK), self._frame.needs(Right.COMMISSION)
        return [
            Route("/alarms", look(self._alarms)),
            Route("/refused", look(self._refused)),
            Route("/requests", look(self._requests)),
            Route("/requests/{code}/answer.cose", decide(self._answer)),
            Route("/requests/{order}", decide(self._decide), methods=["POST"]),
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
        return await self._requests_page(request)

    async def _requests_page(self, request: Request, problem: AuroraError | None = None) -> Response:
        async with self._frame.look(request) as (work, scope, _):
            rows = await details.requests(work, scope, waiting=False)
        return self._frame.page(
            request,
            "requests.html",
            code=200 if problem is None else 409,
            rows=rows,
            ready=self._frame.house.admission.ready,
            problem=problem,
        )

    async def _decide(self, request: Request) -> Response:
        frame, order = self._frame, request.path_params["order"]
        if order not in {"approve", "refuse"}:
            return frame.error(request, 404, "there is no such page")
        form = await frame.form(request)
        admission, code, t = frame.house.admission, text(form, "code"), frame.language(request)
        try:
            if order == "approve":
                if text(form, "compared") != "yes":
                    raise OperatorError(
                        "the code has not been compared", "ask the site for it, and say that it is the same"
                    )
                await admission.approve(code, frame.person(request))
                frame.say(request, t("The gateway is admitted. Its answer lies beside its request."))
            else:
                await admission.refuse(code, frame.person(request), text(form, "why"))
                frame.say(request, t("The request is refused."))
        except AuroraError as error:
            return await self._requests_page(request, error)
        return frame.go("/requests")

    async def _answer(self, request: Request) -> Response:
        name, content = await self._frame.house.admission.answer(str(request.path_params["code"]))
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(content, media_type="application/cose", headers=headers)

    async def _deeds(self, request: Request) -> Response:
        async with self._frame.look(request) as (work, scope, _):
            rows = await details.deeds(work, before=number(request, "before"), limit=DEEDS) if scope == ALL else []
        return self._frame.page(request, "deeds.html", rows=rows, most=DEEDS)
