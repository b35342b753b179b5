"""The description of the JSON API, made of its table (OpenAPI 3.1)."""

from typing import Any

from gateway import __version__
from gateway.access.roles import right_of
from gateway.web.programs.operations import OPERATIONS, Operation

__all__ = ["description"]

ERROR = {
    "type": "object",
    "required": ["error", "remedy"],
    "properties": {"error": {"type": "string"}, "remedy": {"type": "string"}},
}
REFUSALS = {
    "400": "The request is not what it should be",
    "401": "Nobody known asks",
    "403": "Whoever asks may not do that, or the request did not come from a page of this gateway",
    "404": "There is no such thing",
    "408": "The body did not arrive in time",
    "409": "The gateway refuses, and says why",
    "413": "The body is too long",
    "415": "The body is not declared as JSON",
    "422": "A field is missing, unknown or of the wrong form",
}


def description() -> dict[str, Any]:
    """The OpenAPI document."""
    paths: dict[str, Any] = {
        "/api/v1/status": {"get": _described(None, "Everything that the overview shows", "look", "status")}
    }
    for operation in OPERATIONS:
        paths[operation.path] = {"get" if operation.reads else "post": _operation(operation)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Aurora Gateway",
            "version": __version__,
            "description": "Times are Unix milliseconds (utc_ms) or milliseconds since the machine has started "
            "(boot_ms, ..._ms of alarms). Show a token: Authorization: Bearer aurora_...",
        },
        "paths": paths,
        "components": {
            "schemas": {"Error": ERROR},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "aurora"},
            },
        },
        "security": [{"token": []}, {"session": []}],
    }


def _operation(operation: Operation) -> dict[str, Any]:
    schema = operation.schema
    found = _described(operation, operation.summary, right_of(operation.order).value, operation.order)
    if operation.reads:
        found["parameters"] = [
            {"name": name, "in": "query", "required": name in schema["required"], "schema": part}
            for name, part in schema["properties"].items()
        ]
    else:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return found


def _described(operation: Operation | None, summary: str, right: str, name: str) -> dict[str, Any]:
    members = operation.answer if operation is not None else {}
    answer: dict[str, Any] = {"type": "object", "required": sorted(members)}
    answer["properties"] = {member: {"type": kind} for member, kind in members.items()}
    refused = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        "operationId": name,
        "summary": summary,
        "description": f"Takes the right to {right}.",
        "responses": {
            "200": {"description": "Done", "content": {"application/json": {"schema": answer}}},
            **{code: {"description": words, "content": refused} for code, words in REFUSALS.items()},
        },
    }
