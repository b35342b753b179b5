"""Answers programs: checks what they send, has the order carried out, returns plain JSON."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.access.roles import Right, right_of
from gateway.web.frame import Frame, Handler, PageError, json_body
from gateway.web.programs.openapi import description
from gateway.web.programs.operations import OPERATIONS, Operation

__all__ = ["Programs"]


@lru_cache(maxsize=1)
def _models() -> dict[str, type[BaseModel]]:
    """A check for each order, made when the first program asks.

    Unknown members are refused: a misspelt one would be left out in silence. A query has no types, so its words are
    read; a body says what it means.
    """
    found = {}
    for operation in OPERATIONS:
        fields: dict[str, Any] = {
            name: kind if isinstance(kind, tuple) else (kind, ...) for name, kind in operation.fields.items()
        }
        config = ConfigDict(extra="forbid", strict=not operation.reads)
        found[operation.order] = create_model(operation.order, __config__=config, **fields)
    return found


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
        return JSONResponse(description(_models()))

    async def _status(self, request: Request) -> Response:
        return JSONResponse(self._frame.desk.status(self._frame.language(request)))

    def _handler(self, operation: Operation) -> Handler:
        async def handle(request: Request) -> Response:
            sent = _query(request) if operation.reads else await json_body(request)
            try:
                fields = _models()[operation.order].model_validate(sent).model_dump(exclude_none=True)
            except ValidationError as error:
                raise PageError(422, *_words(error)) from error
            answer: Mapping[str, Any] = await self._frame.ask(request, operation.order, **fields)
            return JSONResponse(dict(answer))

        return handle


def _query(request: Request) -> dict[str, str]:
    found = request.query_params
    if len(found) != len(found.multi_items()):
        raise PageError(422, "a field of the query is given twice", "give each once")
    return dict(found)


def _words(error: ValidationError) -> tuple[str, str]:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the body"
    return f"{place}: {first['msg'][:200]}", "see /api/v1/openapi.json"
