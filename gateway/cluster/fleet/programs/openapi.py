"""The description of the JSON API, made of its table (OpenAPI 3.1)."""

from typing import Any

from gateway import __version__
from gateway.cluster.fleet.programs.operations import OPERATIONS, Operation

__all__ = ["description"]

ERROR = {
    "type": "object",
    "required": ["error", "remedy"],
    "properties": {"error": {"type": "string"}, "remedy": {"type": "string"}},
}
REFUSALS = {
    "400": "The request is not what it should be",
    "401": "Nobody known asks",
    "403": "Whoever asks may not do that",
    "404": "There is no such thing, or not for whoever asks",
    "409": "The cluster refuses, and says why",
    "422": "A field is missing, unknown or of the wrong form",
}


def description() -> dict[str, Any]:
    """The OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Aurora Gateway: the cluster",
            "version": __version__,
            "description": "Times are Unix milliseconds (UTC). Show a token: Authorization: Bearer aurora_... "
            "A token of a member sees that member alone.",
        },
        "paths": {operation.path: {"get": _operation(operation)} for operation in OPERATIONS},
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
    answer = {
        "type": "object",
        "required": sorted(operation.answer),
        "properties": {name: {"type": kind} for name, kind in operation.answer.items()},
    }
    refused = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    schema = operation.schema
    return {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"Takes the right to {operation.right.value}.",
        "parameters": [
            {"name": name, "in": "query", "required": name in schema["required"], "schema": part}
            for name, part in schema["properties"].items()
        ],
        "responses": {
            "200": {"description": "Done", "content": {"application/json": {"schema": answer}}},
            **{code: {"description": words, "content": refused} for code, words in REFUSALS.items()},
        },
    }
