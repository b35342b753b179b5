"""What a program may ask of alarms, states, records, outputs and people, as a table.

Each operation is an order of the gateway (docs/json-api.md). What an order means is checked by the one who carries
it out; here stand names, types and lengths.
"""

from collections.abc import Mapping
from typing import Final

from gateway.language import LANGUAGES
from gateway.web.programs.nouns import (
    DAY,
    NUMBER,
    OBJECTS,
    ROLE,
    SECONDS,
    TEXT,
    WORD,
    WORDS,
    YES,
    Fields,
    Operation,
    one_of,
)

__all__ = ["EVERYDAY"]

_ALARM_NOW = {"alarm": "string", "state": "string", "words": "string"}
_STATE: Fields = {"point": WORD, "kind": one_of("start-up", "defrost", "cleaning", "loading")}
_WORDS = {"words": "string"}
_RECORD: Fields = {"text": TEXT, "supersedes": WORD, "reason": TEXT, "done": WORD}
_RECORDED = {"record": "string", "kind": "string", "stored": "boolean", "data": "object"}
_COMPARISON: Fields = {
    **_RECORD,
    "channel": WORD,
    "points": OBJECTS,
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
        takes={"text": TEXT, "seen": WORD, **(takes or {})},
        answer=_ALARM_NOW,
    )


def _looks(
    order: str,
    summary: str,
    needs: Fields | None = None,
    takes: Fields | None = None,
    answer: Mapping[str, str] | None = None,
) -> Operation:
    said = {**(takes or {}), "language": one_of(*LANGUAGES)}
    return Operation(order=order, summary=summary, needs=needs or {}, takes=said, answer=answer or {}, reads=True)


def _record(kind: str, summary: str, takes: Fields) -> Operation:
    return Operation(order=f"record.{kind}", summary=summary, takes={**_RECORD, **takes}, answer=_RECORDED)


EVERYDAY: Final[tuple[Operation, ...]] = (
    Operation(
        order="alarm.list",
        summary="Alarms that are not normal; with all, the normal ones too",
        takes={"all": YES},
        answer={"alarms": "array"},
        reads=True,
    ),
    _looks("alarm.show", "One alarm, with what follows from it", {"alarm": WORD}, answer=_ALARM_NOW),
    _looks("alarm.history", "What has been recorded of an alarm", {"alarm": WORD}, answer={"steps": "array"}),
    _looks("point.show", "A point, and what it is held to", {"point": WORD}, answer={"point": "string"}),
    _looks(
        "point.chart",
        "The chart of a point as SVG: its last hours, or from_ms to to_ms (Unix)",
        {"point": WORD},
        {"hours": NUMBER, "from_ms": NUMBER, "to_ms": NUMBER, "raw": YES},
        {"point": "string"},
    ),
    _looks(
        "record.list",
        "What people have recorded, and the lots in zones",
        takes={"kind": WORD, "most": NUMBER},
        answer={"records": "array"},
    ),
    _looks("report.list", "Reports that are being made or lie ready", answer={"reports": "array"}),
    Operation(
        order="report.make",
        summary="Have a report made",
        needs={"kind": one_of("day", "month", "lot", "calibration")},
        takes={
            **dict.fromkeys(("point", "date", "lot"), WORD),
            "language": one_of(*LANGUAGES),
            "format": one_of("html", "pdf"),
        },
        answer={"report": "string", "state": "string"},
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
            "direction": one_of("in", "out"),
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
        takes={"to": WORDS},
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
