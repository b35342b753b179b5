"""All that a program may ask: from this table come the paths, the checks of what is sent, and the OpenAPI text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from gateway.access.roles import Right
from gateway.cluster.fleet.details import TIERS
from gateway.cluster.fleet.queries import ORDERS, SHOWS
from gateway.web.programs.nouns import Fields, one_of
from gateway.web.programs.schema import Schema

__all__ = ["OPERATIONS", "Operation"]

Kind = Literal["string", "integer", "number", "boolean", "array", "object"]


def _whole(least: int, most: int) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


# A zero is no character of a text in PostgreSQL.
WORD: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[^\u0000]+$"}
ID: Final = _whole(0, 2**53)
TIME: Final = _whole(0, 253_402_300_799_000)
COUNT: Final = _whole(1, 1000)
OFFSET: Final = _whole(0, 10_000_000)
_PAGE: Final[Fields] = {"limit": COUNT, "offset": OFFSET}
_POINT: Final[Fields] = {"gateway": ID, "point": WORD}
_STRETCH: Final[Fields] = {"from_ms": TIME, "to_ms": TIME}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One question. ``answer`` names the members that its answer always has, by their JSON type."""

    name: str
    summary: str
    right: Right = Right.LOOK
    needs: Fields = field(default_factory=dict)
    """What must be sent, in the query."""
    takes: Fields = field(default_factory=dict)
    """What may be sent."""
    answer: Mapping[str, Kind]

    @property
    def path(self) -> str:
        """Where it is asked."""
        return f"/api/v1/{self.name}"

    @property
    def schema(self) -> dict[str, Any]:
        """What is sent, as JSON Schema."""
        return {
            "type": "object",
            "properties": {**self.needs, **self.takes},
            "required": list(self.needs),
            "additionalProperties": False,
        }


OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        name="sums",
        summary="Everything that may be seen, added up",
        answer={"gateways": "integer", "members": "integer", "visit": "integer", "red": "integer"},
    ),
    Operation(name="members", summary="Members with their gateways added up", answer={"members": "array"}),
    Operation(
        name="gateways",
        summary="Gateways with what is wrong with each; reasons in words",
        takes={
            **_PAGE,
            "show": one_of(*SHOWS),
            "sort": one_of(*ORDERS),
            "member": ID,
            "words": WORD,
        },
        answer={"gateways": "array", "count": "integer"},
    ),
    Operation(
        name="gateway",
        summary="One gateway: streams, keys, forks, refused messages, certificates, points",
        needs={"gateway": ID},
        answer={"gateway": "object", "streams": "array", "keys": "array", "forks": "array", "points": "array"},
    ),
    Operation(
        name="alarms",
        summary="Open alarms, gravest and newest first",
        takes={**_PAGE, "member": ID, "gateway": ID, "point": WORD, "tier": one_of(*TIERS), "words": WORD},
        answer={"alarms": "array", "count": "integer"},
    ),
    Operation(
        name="events",
        summary="The newest events of a gateway, of a point, of a stretch of time",
        needs={"gateway": ID},
        takes={**_STRETCH, "kind": WORD, "point": WORD, "limit": COUNT},
        answer={"events": "array"},
    ),
    Operation(
        name="chart",
        summary="A point in stretches: lowest, highest, mean, and how many readings of which quality",
        needs={**_POINT, **_STRETCH},
        takes={"most": COUNT},
        answer={"unit": "string", "rows": "array"},
    ),
    Operation(
        name="values",
        summary="Every reading of a point, at most two days at once; value is null where there is none",
        needs={**_POINT, **_STRETCH},
        answer={"unit": "string", "times": "array", "values": "array", "quality": "array"},
    ),
    Operation(name="refused", summary="Refused messages by client and reason", answer={"refused": "array"}),
    Operation(name="requests", summary="Boxes that ask to be admitted", answer={"requests": "array"}),
    Operation(
        name="deeds",
        summary="What people did, newest first",
        right=Right.ADMINISTER,
        takes={"before": ID, "limit": COUNT},
        answer={"deeds": "array"},
    ),
)
