"""An operation of the API, and the forms of what is sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.access.roles import Role
from gateway.web.programs.schema import Schema

__all__ = [
    "DAY",
    "NUMBER",
    "OBJECT",
    "OBJECTS",
    "ROLE",
    "SECONDS",
    "TEXT",
    "WORD",
    "WORDS",
    "YES",
    "Fields",
    "Operation",
    "one_of",
]

Fields = Mapping[str, Schema]

WORD: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 200}
TEXT: Final[Schema] = {"type": "string", "maxLength": 4000}
NUMBER: Final[Schema] = {"type": "number"}
SECONDS: Final[Schema] = {"type": "number", "exclusiveMinimum": 0}
YES: Final[Schema] = {"type": "boolean"}
DAY: Final[Schema] = {"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
ROLE: Final[Schema] = {"type": "string", "enum": [role.value for role in Role]}
WORDS: Final[Schema] = {"type": "array", "items": WORD, "maxItems": 100}
OBJECT: Final[Schema] = {"type": "object"}
OBJECTS: Final[Schema] = {"type": "array", "items": OBJECT, "maxItems": 50}


def one_of(*words: str) -> Schema:
    return {"type": "string", "enum": list(words)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One order. ``answer`` names the members that its answer always has, by their JSON type."""

    order: str
    summary: str
    needs: Fields = field(default_factory=dict)
    """What must be sent."""
    takes: Fields = field(default_factory=dict)
    """What may be sent."""
    answer: Mapping[str, str] = field(default_factory=dict)
    reads: bool = False
    """Changes nothing: asked by GET, its fields in the query."""

    @property
    def path(self) -> str:
        """Where it is asked."""
        return f"/api/v1/{self.order.replace('.', '/')}"

    @property
    def schema(self) -> dict[str, Any]:
        """What is sent, as JSON Schema."""
        return {
            "type": "object",
            "properties": {**self.needs, **self.takes},
            "required": list(self.needs),
            "additionalProperties": False,
        }
