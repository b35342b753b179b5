"""What a program may ask, as a table: from it come the paths, the checks of what is sent, and the OpenAPI text.

Each operation is an order of the gateway (docs/json-api.md). What an order means is checked by the one who carries
it out; here stand names, types and lengths.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from gateway.access.roles import Role

__all__ = ["OPERATIONS", "Fields", "Operation"]

Fields = Mapping[str, Any]
"""Name to an annotation, or to (annotation, default) where it may be left out."""

Word = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(min_length=1, max_length=4000)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
RoleName = Literal[tuple(role.value for role in Role)]  # type: ignore[valid-type]
MAYBE_WORD: Final = (Word | None, None)
MAYBE_TEXT: Final = (Text | None, None)
MAYBE_NUMBER: Final = (Number | None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One order. ``answer`` names the members that its answer always has, by their JSON type."""

    order: str
    summary: str
    fields: Fields = field(default_factory=dict)
    answer: Mapping[str, str] = field(default_factory=dict)
    reads: bool = False
    """Changes nothing: asked by GET, its fields in the query."""

    @property
    def path(self) -> str:
        """Where it is asked."""
        return f"/api/v1/{self.order.replace('.', '/')}"


_ALARM: Fields = {"alarm": Word, "text": (Annotated[str, Field(max_length=4000)], "")}
_ALARM_NOW = {"alarm": "string", "state": "string", "words": "string"}
_STATE: Fields = {
    "point": Word,
    "kind": Literal["start-up", "defrost", "cleaning", "loading"],
    "text": (Annotated[str, Field(max_length=4000)], ""),
}
_WORDS = {"words": "string"}
_RECORD: Fields = {
    "text": MAYBE_TEXT,
    "supersedes": MAYBE_WORD,
    "reason": MAYBE_TEXT,
    "done": MAYBE_WORD,
}
_RECORDED = {"record": "string", "kind": "string", "stored": "boolean", "data": "object"}
_COMPARISON: Fields = {
    **_RECORD,
    "channel": MAYBE_WORD,
    "points": (Annotated[list[dict[str, Any]], Field(max_length=50)] | None, None),
    "tolerance": MAYBE_NUMBER,
    "reference_instrument": MAYBE_WORD,
    "reference_certificate": MAYBE_WORD,
    "reference_valid_until": (Day | None, None),
    "environment": MAYBE_WORD,
    "uncertainty": MAYBE_NUMBER,
}


def _alarm(order: str, summary: str, **more: Any) -> Operation:
    return Operation(order=f"alarm.{order}", summary=summary, fields={**_ALARM, **more}, answer=_ALARM_NOW)


def _record(kind: str, summary: str, fields: Fields) -> Operation:
    return Operation(order=f"record.{kind}", summary=summary, fields=fields, answer=_RECORDED)


OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        order="alarm.list",
        summary="Alarms that are not normal; with all, the normal ones too",
        fields={"all": (bool, False)},
        answer={"alarms": "array"},
        reads=True,
    ),
    _alarm("acknowledge", "Say that somebody has seen an alarm", group=(bool, False)),
    _alarm("confirm", "Record the corrective action that was taken"),
    _alarm("shelve", "Hide an alarm for a limited time; it is evaluated and recorded all the same", for_s=Seconds),
    _alarm("unshelve", "End the shelving before its time"),
    _alarm("out-of-service", "Take an alarm out of service, for maintenance", for_s=(Seconds | None, None)),
    _alarm("in-service", "Bring an alarm back into service"),
    Operation(
        order="state.declare",
        summary="Declare a state of a point for a limited time",
        fields={**_STATE, "for_s": Seconds},
        answer=_WORDS,
    ),
    Operation(order="state.end", summary="End a declared state", fields=_STATE, answer=_WORDS),
    _record("note", "Keep a note", {**_RECORD, "point": MAYBE_WORD, "device": MAYBE_WORD, "lot": MAYBE_WORD}),
    _record(
        "corrective",
        "Record a corrective action that no alarm was about",
        {
            **_RECORD,
            "point": MAYBE_WORD,
            "device": MAYBE_WORD,
            "lots": (Annotated[list[Word], Field(max_length=100)] | None, None),
            "deviation": MAYBE_TEXT,
            "product": MAYBE_TEXT,
            "prevention": MAYBE_TEXT,
        },
    ),
    _record("verification", "Compare a channel with a reference instrument", _COMPARISON),
    _record(
        "calibration",
        "A calibration with its certificate",
        {**_COMPARISON, "certificate": MAYBE_WORD, "valid_until": (Day | None, None), "laboratory": MAYBE_WORD},
    ),
    _record(
        "lot",
        "Bring a lot into a zone, or take it out",
        {
            **_RECORD,
            **dict.fromkeys(("lot", "gtin", "serial", "sscc", "point", "unit", "code"), MAYBE_WORD),
            "direction": (Literal["in", "out"] | None, None),
            "quantity": MAYBE_NUMBER,
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
        fields={"output": Word, "to": MAYBE_WORD},
        answer={"told": "array"},
    ),
    Operation(
        order="people.list", summary="People and tokens", answer={"people": "array", "tokens": "array"}, reads=True
    ),
    Operation(
        order="people.invite",
        summary="Let somebody in, or give a new code for a lost password; the code is in the answer alone",
        fields={"name": Word, "role": (RoleName | None, None)},
        answer={"code": "string", **_WORDS},
    ),
    Operation(
        order="people.role",
        summary="Change what somebody may do",
        fields={"name": Word, "role": RoleName},
        answer=_WORDS,
    ),
    Operation(order="people.remove", summary="Shut somebody out", fields={"name": Word}, answer=_WORDS),
    Operation(
        order="people.token",
        summary="A token for a program; it is in the answer alone",
        fields={"label": Word, "role": RoleName},
        answer={"token": "string", **_WORDS},
    ),
    Operation(
        order="people.revoke", summary="A token opens nothing any more", fields={"label": Word}, answer=_WORDS
    ),
)
