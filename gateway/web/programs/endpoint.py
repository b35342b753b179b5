"""Answers programs: checks what they send, has the order carried out, returns plain JSON."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.access.roles import Right, right_of
from gateway.web.frame import Frame, Handler, PageError, json_body
from gateway.web.programs.openapi import description
from gateway.web.programs.operations import OPERATIONS, Operation
from gateway.web.programs.schema import Unfit, check, read_query

__all__ = ["Programs"]


class Programs:
    """The routes of the API."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[Route]:
        """One for each operation, the state, and the description of all."""
        look = self._frame.needs(Right.LOOK)
        return [
            Route("/api/v1/openapi.json", look(self._description)),
            Route("/api/v1/status", look(self._status)),
            *(
                Route(
                    operation.path,
                    self._frame.needs(right_of(operation.order))(self._handler(operation)),
                    methods=["GET" if operation.reads else "POST"],
                )
                for operation in OPERATIONS
            ),
        ]

    async def _description(self, _: Request) -> Response:
        return JSONResponse(description())

    async def _status(self, request: Request) -> Response:
        return JSONResponse(self._frame.desk.status(self._frame.language(request)))

    def _handler(self, operation: Operation) -> Handler:
        async def handle(request: Request) -> Response:
            sent = _query(request, operation) if operation.reads else await json_body(request)
            try:
                check(sent, operation.schema)
            except Unfit as error:
                raise PageError(422, str(error), "see /api/v1/openapi.json") from error
            answer: Mapping[str, Any] = await self._frame.ask(request, operation.order, **sent)
            return JSONResponse(dict(answer))

        return handle


def _query(request: Request, operation: Operation) -> dict[str, Any]:
    found = request.query_params
    if len(found) != len(found.multi_items()):
        raise PageError(422, "a field of the query is given twice", "give each once")
    return read_query(found, operation.schema)
