"""What a program may ask, as a table: from it come the paths, the checks of what is sent, and the OpenAPI text.

Each operation is an order of the gateway (docs/json-api.md). What an order means is checked by the one who carries
it out; here stand names, types and lengths.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.access.roles import Role
from gateway.web.programs.schema import Schema

__all__ = ["OPERATIONS", "Fields", "Operation"]

Fields = Mapping[str, Schema]

WORD: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 200}
TEXT: Final[Schema] = {"type": "string", "maxLength": 4000}
NUMBER: Final[Schema] = {"type": "number"}
SECONDS: Final[Schema] = {"type": "number", "exclusiveMinimum": 0}
YES: Final[Schema] = {"type": "boolean"}
DAY: Final[Schema] = {"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
ROLE: Final[Schema] = {"type": "string", "enum": [role.value for role in Role]}
WORDS: Final[Schema] = {"type": "array", "items": WORD, "maxItems": 100}


def _one_of(*words: str) -> Schema:
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


_ALARM_NOW = {"alarm": "string", "state": "string", "words": "string"}
_STATE: Fields = {"point": WORD, "kind": _one_of("start-up", "defrost", "cleaning", "loading")}
_WORDS = {"words": "string"}
_RECORD: Fields = {"text": TEXT, "supersedes": WORD, "reason": TEXT, "done": WORD}
_RECORDED = {"record": "string", "kind": "string", "stored": "boolean", "data": "object"}
_COMPARISON: Fields = {
    **_RECORD,
    "channel": WORD,
    "points": {"type": "array", "items": {"type": "object"}, "maxItems": 50},
    "tolerance": NUMBER,
    "reference_instrument": WORD,
    "reference_certificate": WORD,
    "reference_valid_until": DAY,
    "environment": WORD,
    "uncertainty": NUMBER,
}


def _alarm(order: str, summary: str, needs: Fields | None = None, takes: Fields | None = None) -> Operation:
    return Operation(
        order=f"alarm.{order}",
        summary=summary,
        needs={"alarm": WORD, **(needs or {})},
        takes={"text": TEXT, **(takes or {})},
        answer=_ALARM_NOW,
    )


def _record(kind: str, summary: str, takes: Fields) -> Operation:
    return Operation(order=f"record.{kind}", summary=summary, takes={**_RECORD, **takes}, answer=_RECORDED)


OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        order="alarm.list",
        summary="Alarms that are not normal; with all, the normal ones too",
        takes={"all": YES},
        answer={"alarms": "array"},
        reads=True,
    ),
    _alarm("acknowledge", "Say that somebody has seen an alarm", takes={"group": YES}),
    _alarm("confirm", "Record the corrective action that was taken"),
    _alarm(
        "shelve",
        "Hide an alarm for a limited time; it is evaluated and recorded all the same",
        needs={"for_s": SECONDS},
    ),
    _alarm("unshelve", "End the shelving before its time"),
    _alarm("out-of-service", "Take an alarm out of service, for maintenance", takes={"for_s": SECONDS}),
    _alarm("in-service", "Bring an alarm back into service"),
    Operation(
        order="state.declare",
        summary="Declare a state of a point for a limited time",
        needs={**_STATE, "for_s": SECONDS},
        takes={"text": TEXT},
        answer=_WORDS,
    ),
    Operation(order="state.end", summary="End a declared state", needs=_STATE, takes={"text": TEXT}, answer=_WORDS),
    _record("note", "Keep a note", {"point": WORD, "device": WORD, "lot": WORD}),
    _record(
        "corrective",
        "Record a corrective action that no alarm was about",
        {
            "point": WORD,
            "device": WORD,
            "lots": WORDS,
            "deviation": TEXT,
            "product": TEXT,
            "prevention": TEXT,
        },
    ),
    _record("verification", "Compare a channel with a reference instrument", _COMPARISON),
    _record(
        "calibration",
        "A calibration with its certificate",
        {**_COMPARISON, "certificate": WORD, "valid_until": DAY, "laboratory": WORD},
    ),
    _record(
        "lot",
        "Bring a lot into a zone, or take it out",
        {
            **dict.fromkeys(("lot", "gtin", "serial", "sscc", "point", "unit", "code"), WORD),
            "direction": _one_of("in", "out"),
            "quantity": NUMBER,
        },
    ),
    Operation(
        order="notify.list",
        summary="How the outputs do",
        answer={"outputs": "object", "unreachable": "boolean"},
        reads=True,
    ),
    Operation(
        order="notify.test",
        summary="Have an output send a test",
        needs={"output": WORD},
        takes={"to": WORD},
        answer={"told": "array"},
    ),
    Operation(
        order="people.list", summary="People and tokens", answer={"people": "array", "tokens": "array"}, reads=True
    ),
    Operation(
        order="people.invite",
        summary="Let somebody in, or give a new code for a lost password; the code is in the answer alone",
        needs={"name": WORD},
        takes={"role": ROLE},
        answer={"code": "string", **_WORDS},
    ),
    Operation(
        order="people.role",
        summary="Change what somebody may do",
        needs={"name": WORD, "role": ROLE},
        answer=_WORDS,
    ),
    Operation(order="people.remove", summary="Shut somebody out", needs={"name": WORD}, answer=_WORDS),
    Operation(
        order="people.token",
        summary="A token for a program; it is in the answer alone",
        needs={"label": WORD, "role": ROLE},
        answer={"token": "string", **_WORDS},
    ),
    Operation(
        order="people.revoke", summary="A token opens nothing any more", needs={"label": WORD}, answer=_WORDS
    ),
)
