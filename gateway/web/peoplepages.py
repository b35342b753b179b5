"""Who may sign in, and which programs may ask: for administrators."""

from collections.abc import Mapping
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.access.roles import Right
from gateway.errors import AuroraError
from gateway.web.frame import Frame, text

__all__ = ["PeoplePages"]

ORDERS = ("invite", "role", "remove", "token", "revoke")


class PeoplePages:
    """One page with the list, and a form for each order."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[Route]:
        """The list and its forms."""
        administer = self._frame.needs(Right.ADMINISTER)
        return [
            Route("/people", administer(self._show)),
            Route("/people/{order}", administer(self._order), methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        return await self._page(request)

    async def _order(self, request: Request) -> Response:
        order = request.path_params["order"]
        if order not in ORDERS:
            return self._frame.error(request, 404, "there is no such page")
        form = await self._frame.form(request)
        fields = {name: text(form, name) for name in ("name", "role", "label", "scope") if name in form}
        try:
            answer = await self._frame.ask(request, f"people.{order}", form, **fields)
        except AuroraError as error:
            return await self._page(request, problem=error, form=form)
        if "code" in answer or "token" in answer:
            return await self._page(request, answer=answer)  # Shown this once, so in this very answer.
        self._frame.say(request, answer["words"])
        return self._frame.go("/people")

    async def _page(
        self,
        request: Request,
        *,
        problem: AuroraError | None = None,
        form: FormData | None = None,
        answer: Mapping[str, Any] | None = None,
    ) -> Response:
        found = await self._frame.ask(request, "people.list")
        code = 200 if problem is None else 409
        return self._frame.page(
            request,
            "people.html",
            code=code,
            **found,
            roles=[role.value for role in self._frame.door.ranks.kind],
            problem=problem,
            answer=answer,
            typed=dict(form or {}),
        )
