"""The first page, with one row a gateway; the members; one member."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.access.roles import Right
from gateway.cluster.fleet import queries
from gateway.cluster.fleet.frame import FleetFrame, Look, ident, number, query
from gateway.cluster.fleet.queries import ORDERS, SHOWS, Ask, GatewayRow, MemberRow, Show, added
from gateway.language import N_, Language

__all__ = ["Overview"]

ROWS: Final = 50
WORDS_MOST: Final = 60
SHOWN: Final[dict[Show, str]] = {
    "all": N_("All gateways"),
    "visit": N_("Need a visit"),
    "alarms": N_("With alarms"),
    "red": N_("Evidence in doubt"),
    "silent": N_("Silent"),
    "missing": N_("With missing batches"),
}
SORTED: Final = {
    "trouble": N_("What is wrong first"),
    "name": N_("Name"),
    "seen": N_("Longest silence first"),
    "alarms": N_("Alarms"),
    "missing": N_("Missing batches"),
    "coverage": N_("Coverage"),
    "clock": N_("Clock"),
    "calibration": N_("Calibration"),
}


class Listed(NamedTuple):
    """A page of the table."""

    rows: Sequence[GatewayRow]
    total: int
    ask: Ask


class Overview:
    """The table, alone and beneath a member."""

    def __init__(self, frame: FleetFrame) -> None:
        self._frame = frame

    def routes(self) -> list[Route]:
        """All of them."""
        look = self._frame.needs(Right.LOOK)
        return [
            Route("/", look(self._first)),
            Route("/members", look(self._members)),
            Route("/members/{member}", look(self._member)),
        ]

    async def _first(self, request: Request) -> Response:
        async with self._frame.look(request) as look:
            listed = await self._listed(look, asked(request))
            members = await self._counted(look)
        return self._page(request, "overview.html", listed, sums=added(members), members=members, base="/")

    async def _members(self, request: Request) -> Response:
        async with self._frame.look(request) as look:
            members = await self._counted(look)
        return self._frame.page(request, "members.html", members=members)

    async def _member(self, request: Request) -> Response:
        member = ident(request, "member")
        async with self._frame.look(request) as look:
            row = next((row for row in await self._counted(look) if row.id == member), None)
            if row is None:
                self._frame.nothing()
            listed = await self._listed(look, asked(request, member))
        return self._page(request, "member.html", listed, sums=added([row]), member=row, base=f"/members/{member}")

    async def _counted(self, look: Look) -> list[MemberRow]:
        ask = partial(queries.members, look.work, look.scope, look.now_ms)
        return await self._frame.shared(("members", look.scope), ask)

    async def _listed(self, look: Look, ask: Ask) -> Listed:
        read = partial(queries.gateways, look.work, look.scope, look.now_ms, ask)
        rows, count = await self._frame.shared(("gateways", look.scope, ask), read)
        return Listed(rows, count, ask)

    def _page(self, request: Request, template: str, listed: Listed, *, base: str, **context: Any) -> Response:
        ask = listed.ask
        t = self._frame.language(request)

        def to(**changes: object) -> str:
            fields = {"show": ask.show, "q": ask.words, "sort": ask.order, **changes}
            if fields["show"] == "all":
                del fields["show"]
            if fields["sort"] == "trouble":
                del fields["sort"]
            found = query(**fields)
            return f"{base}?{found}" if found else base

        return self._frame.page(
            request,
            template,
            rows=listed.rows,
            count=listed.total,
            ask=ask,
            to=to,
            base=base,
            shown=named(SHOWN, t),
            sorted_by=named(SORTED, t),
            before=max(0, ask.offset - ROWS) if ask.offset else None,
            after=ask.offset + ROWS if ask.offset + ROWS < listed.total else None,
            **context,
        )


def named(table: "dict[Show, str] | dict[str, str]", t: Language) -> list[tuple[str, str]]:
    """Names and words of a choice."""
    return [(name, t(words)) for name, words in table.items()]


def asked(request: Request, member: int | None = None) -> Ask:
    """What of the table was asked for; what is not known is as if it had not been said."""
    fields = request.query_params
    show: Show = next((show for show in SHOWS if show == fields.get("show")), "all")
    order = fields.get("sort", "")
    words = "".join(letter for letter in fields.get("q", "") if letter.isprintable()).strip()[:WORDS_MOST]
    return Ask(
        show=show,
        words=words,
        member=member,
        order=order if order in ORDERS else "trouble",
        offset=number(request, "from", most=10**7) or 0,
        limit=ROWS,
    )
