"""Answers programs: checks what they send, reads within their scope, returns plain JSON."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from math import isfinite
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.access.roles import Right
from gateway.cluster.derive import series
from gateway.cluster.fleet import details, queries
from gateway.cluster.fleet.details import PointRow
from gateway.cluster.fleet.frame import FleetFrame, Look
from gateway.cluster.fleet.marks import reasons
from gateway.cluster.fleet.pointpages import CLOSE_MS, LONGEST_MS, read_point
from gateway.cluster.fleet.programs.openapi import description
from gateway.cluster.fleet.programs.operations import OPERATIONS, Operation
from gateway.cluster.fleet.queries import Ask, added
from gateway.cluster.fleet.scope import ALL
from gateway.web.frame import Handler, PageError
from gateway.web.programs.schema import Unfit, check, read_query

__all__ = ["Programs"]

Fields = Mapping[str, Any]
Answer = dict[str, Any]


class Programs:
    """The routes of the API."""

    def __init__(self, frame: FleetFrame) -> None:
        self._frame = frame

    def routes(self) -> list[Route]:
        """One for each operation, and the description of all."""
        return [
            Route("/api/v1/openapi.json", self._frame.needs(Right.LOOK)(self._description)),
            *(
                Route(operation.path, self._frame.needs(operation.right)(self._handler(operation)))
                for operation in OPERATIONS
            ),
        ]

    async def _description(self, _: Request) -> Response:
        return JSONResponse(description())

    def _handler(self, operation: Operation) -> Handler:
        ask = _ASKED[operation.name]

        async def handle(request: Request) -> Response:
            found = request.query_params
            if len(found) != len(found.multi_items()):
                raise PageError(422, "a field of the query is given twice", "give each once")
            sent = read_query(found, operation.schema)
            try:
                check(sent, operation.schema)
            except Unfit as error:
                raise PageError(422, str(error), "see /api/v1/openapi.json") from error
            async with self._frame.look(request) as look:
                return JSONResponse(await ask(look, sent))

        return handle


async def _sums(look: Look, _: Fields) -> Answer:
    return added(await queries.members(look.work, look.scope, look.now_ms))._asdict()


async def _members(look: Look, _: Fields) -> Answer:
    return {"members": _plain(await queries.members(look.work, look.scope, look.now_ms))}


async def _gateways(look: Look, fields: Fields) -> Answer:
    ask = Ask(
        show=fields.get("show", "all"),
        words=fields.get("words", ""),
        member=fields.get("member"),
        order=fields.get("sort", "name"),
        offset=fields.get("offset", 0),
        limit=fields.get("limit", 100),
    )
    rows, count = await queries.gateways(look.work, look.scope, look.now_ms, ask)
    return {"gateways": [_gateway_of(row) for row in rows], "count": count}


def _gateway_of(row: queries.GatewayRow) -> Answer:
    return {**row._asdict(), "reasons": reasons(row.marks)}


async def _gateway(look: Look, fields: Fields) -> Answer:
    work, scope, gateway = look.work, look.scope, fields["gateway"]
    row = await queries.gateway_row(work, scope, look.now_ms, gateway)
    facts = await details.facts(work, scope, gateway)
    if row is None or facts is None:
        FleetFrame.nothing()
    return {
        "gateway": {**_gateway_of(row), **facts._asdict()},
        "streams": _plain(await details.streams(work, scope, gateway)),
        "keys": _plain(await details.keys(work, scope, gateway)),
        "forks": _plain(await details.forks(work, scope, gateway)),
        "certificates": _plain(await details.certificates(work, scope, gateway)),
        "refused": _plain(await details.refused(work, scope, client=facts.client)),
        "points": _plain(await details.points(work, scope, gateway)),
    }


async def _alarms(look: Look, fields: Fields) -> Answer:
    rows, count = await details.alarms(look.work, look.scope, **fields)
    return {"alarms": _plain(rows), "count": count}


async def _events(look: Look, fields: Fields) -> Answer:
    gateway = fields["gateway"]
    if await details.facts(look.work, look.scope, gateway) is None:
        FleetFrame.nothing()
    rows = await series.events(
        look.work,
        look.scope.member,
        gateway=gateway,
        kinds=[fields["kind"]] if "kind" in fields else [],
        point=fields.get("point"),
        from_ms=fields.get("from_ms"),
        to_ms=fields.get("to_ms"),
        limit=fields.get("limit", 100),
    )
    return {"events": [{**row._asdict(), "boot": bytes(row.boot).hex()} for row in rows]}


async def _point(look: Look, fields: Fields, longest_ms: int) -> PointRow:
    if not 0 < fields["to_ms"] - fields["from_ms"] <= longest_ms:
        days = longest_ms // 86_400_000
        raise PageError(409, "to_ms has to come after from_ms", f"ask for at most {days} days at once")
    row = await read_point(look, fields["gateway"], fields["point"])
    if row is None:
        FleetFrame.nothing()
    return row


async def _chart(look: Look, fields: Fields) -> Answer:
    row = await _point(look, fields, LONGEST_MS)
    rows: list[Any] = []
    if row.channel_id is not None:
        most = fields.get("most", 400)
        rows = _plain(await series.chart(look.work, row.channel_id, fields["from_ms"], fields["to_ms"], most=most))
    return {"unit": row.unit, "rows": rows}


async def _values(look: Look, fields: Fields) -> Answer:
    row = await _point(look, fields, CLOSE_MS)
    found: Answer = {"unit": row.unit, "times": [], "values": [], "quality": []}
    if row.channel_id is not None:
        async for segment in series.values(look.work, row.channel_id, fields["from_ms"], fields["to_ms"]):
            found["times"] += segment.times
            found["values"] += [value if isfinite(value) else None for value in segment.values]
            found["quality"] += segment.quality
    return found


async def _refused(look: Look, _: Fields) -> Answer:
    return {"refused": _plain(await details.refused(look.work, look.scope))}


async def _requests(look: Look, _: Fields) -> Answer:
    return {"requests": _plain(await details.requests(look.work, look.scope, waiting=False))}


async def _deeds(look: Look, fields: Fields) -> Answer:
    if look.scope != ALL:
        return {"deeds": []}
    return {"deeds": _plain(await details.deeds(look.work, **fields))}


def _plain(rows: Iterable[NamedTuple]) -> list[Answer]:
    return [row._asdict() for row in rows]


_ASKED: Mapping[str, Callable[[Look, Fields], Awaitable[Answer]]] = {
    "sums": _sums,
    "members": _members,
    "gateways": _gateways,
    "gateway": _gateway,
    "alarms": _alarms,
    "events": _events,
    "chart": _chart,
    "values": _values,
    "refused": _refused,
    "requests": _requests,
    "deeds": _deeds,
}
