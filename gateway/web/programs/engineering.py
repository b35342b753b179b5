"""What a program may ask of the site file, of commissioning, calibration and diagnostics, as a table
(docs/commissioning.md, docs/changing.md, docs/diagnostics.md).
"""

from typing import Final

from gateway.web.programs.nouns import (
    DAY,
    NUMBER,
    OBJECT,
    OBJECTS,
    SECONDS,
    TEXT,
    WORD,
    WORDS,
    YES,
    Fields,
    Operation,
    one_of,
)
from gateway.web.programs.schema import Schema

__all__ = ["ENGINEERING"]

SITE_TEXT: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 60_000}
PHOTO: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 60_000}
_WORDS = {"words": "string"}
_JOB = {"job": "string", "state": "string"}
_LINE: Fields = {"bus": WORD, "connection": OBJECT}
_CHANGE: Fields = {"text": SITE_TEXT, "edits": OBJECTS}
_APPLIED = {"applied": "boolean", "changes": "array", **_WORDS}
_SESSION: Fields = {"session": WORD}


def _reads(order: str, summary: str, answer: dict[str, str], takes: Fields | None = None) -> Operation:
    return Operation(order=order, summary=summary, takes=takes or {}, answer=answer, reads=True)


ENGINEERING: Final[tuple[Operation, ...]] = (
    Operation(
        order="device.write",
        summary="Write a channel that model and site file allow to be written; read back and recorded",
        needs={"device": WORD, "channel": WORD, "value": NUMBER, "reason": TEXT},
        answer={"result": "string", "recorded": "boolean"},
    ),
    _reads(
        "site.show", "The site file that is there, and the one in force", {"text": "string", "digest": "string"}
    ),
    Operation(
        order="site.propose",
        summary="Check a change of the site file, and say what it would mean; changes nothing",
        takes=_CHANGE,
        answer={"usable": "boolean", "problems": "array", "changes": "array"},
    ),
    Operation(
        order="site.apply",
        summary="Put a change of the site file in force",
        needs={"base": WORD, "reason": TEXT},
        takes=_CHANGE,
        answer=_APPLIED,
    ),
    Operation(order="site.reload", summary="Read the site file again", needs={"reason": TEXT}, answer=_APPLIED),
    _reads("site.versions", "The site files that were in force before", {"versions": "array"}),
    Operation(
        order="site.rollback",
        summary="Put an earlier site file in force",
        needs={"version": NUMBER, "base": WORD, "reason": TEXT},
        answer=_APPLIED,
    ),
    _reads("commission.see", "Buses, devices, ports, everything in the air", {"buses": "array"}, {"air": YES}),
    _reads("commission.ports", "Serial ports", {"ports": "array"}),
    _reads("commission.models", "Models by which a device can be read", {"modbus": "array", "ble": "array"}),
    _reads("commission.profiles", "Profiles with the law behind each limit", {"profiles": "array"}, {"unit": WORD}),
    Operation(
        order="commission.walk",
        summary="Which unit ids of a Modbus line answer: a job",
        takes={**_LINE, "first": NUMBER, "last": NUMBER, "timeout_s": SECONDS},
        answer=_JOB,
    ),
    Operation(
        order="commission.guess",
        summary="Try every model on one unit: a job",
        needs={"unit": NUMBER},
        takes={**_LINE, "timeout_s": SECONDS},
        answer=_JOB,
    ),
    Operation(
        order="commission.try",
        summary="Read a device by a model, raw registers beside values: a job",
        takes={
            **_LINE,
            "unit": NUMBER,
            "model": WORD,
            "address": WORD,
            "readings": NUMBER,
            "pause_s": NUMBER,
            "timeout_s": SECONDS,
        },
        answer=_JOB,
    ),
    Operation(
        order="commission.draft",
        summary="The lines of a new device and its point, as edits for site.propose",
        needs={"name": WORD},
        takes={
            **_LINE,
            **dict.fromkeys(("device", "device_id", "bus_id", "point_id", "model", "address", "adapter"), WORD),
            **dict.fromkeys(("key_file", "profile", "channel", "group"), WORD),
            "unit": NUMBER,
            "period_s": SECONDS,
            "channels": WORDS,
            "critical": YES,
        },
        answer={"edits": "array", "notes": "array"},
    ),
    Operation(
        order="commission.first",
        summary="Wait for the first good scans of a device: a job",
        needs={"device": WORD},
        takes={"scans": NUMBER},
        answer=_JOB,
    ),
    _reads("calibrate.list", "Calibrations under way", {"sessions": "array"}),
    Operation(
        order="calibrate.show", summary="One calibration", needs=_SESSION, answer={"id": "string"}, reads=True
    ),
    Operation(
        order="calibrate.begin",
        summary="Begin a calibration or a verification",
        needs={
            "channel": WORD,
            "reference_instrument": WORD,
            "reference_certificate": WORD,
            "reference_valid_until": DAY,
        },
        takes={
            "kind": one_of("calibration", "verification"),
            "tolerance": NUMBER,
            "environment": WORD,
            "uncertainty": NUMBER,
        },
        answer={"id": "string"},
    ),
    Operation(
        order="calibrate.take",
        summary="Wait until the readings stand still beside the reference: a job",
        needs={**_SESSION, "reference": NUMBER},
        takes={"which": one_of("found", "left"), "window_s": SECONDS, "patience_s": SECONDS},
        answer=_JOB,
    ),
    Operation(
        order="calibrate.photo",
        summary="A small photo in base64; larger ones go by the page",
        needs={**_SESSION, "content": PHOTO},
        answer={"id": "string"},
    ),
    Operation(
        order="calibrate.draft",
        summary="The correction as edits for site.propose",
        needs={**_SESSION, "valid_until": DAY},
        takes={"certificate": WORD, "laboratory": WORD},
        answer={"edits": "array"},
    ),
    Operation(
        order="calibrate.finish",
        summary="Into the signed record",
        needs=_SESSION,
        takes={"text": TEXT},
        answer={"record": "string"},
    ),
    Operation(order="calibrate.abandon", summary="Give a calibration up", needs=_SESSION, answer=_WORDS),
    Operation(
        order="alarm.advice",
        summary="What to do about an alarm, with sources",
        needs={"alarm": WORD},
        answer={"steps": "array"},
        reads=True,
    ),
    _reads("diagnose.buses", "How every bus and device does", {"buses": "array"}),
    Operation(
        order="diagnose.frames",
        summary="The last frames of a bus in hex and in words",
        needs={"bus": WORD},
        takes={"unit": NUMBER, "limit": NUMBER},
        answer={"frames": "array"},
        reads=True,
    ),
    Operation(
        order="diagnose.air",
        summary="The last advertisements of a sensor",
        needs={"device": WORD},
        answer={"adverts": "array"},
        reads=True,
    ),
    _reads("diagnose.journal", "How the journal and its chain do", {"streams": "object"}),
    Operation(order="diagnose.verify", summary="Verify the whole chain now: a job", answer=_JOB),
    _reads("diagnose.log", "The last log lines, without secrets", {"lines": "array"}),
    Operation(
        order="diagnose.bundle",
        summary="Write a support bundle without secrets",
        answer={"file": "string", "sha256": "string"},
    ),
    _reads("job.list", "What takes its time", {"jobs": "array"}),
    Operation(order="job.show", summary="How far a job is", needs={"job": WORD}, answer=_JOB, reads=True),
    Operation(order="job.cancel", summary="End a job", needs={"job": WORD}, answer=_JOB),
    _reads("plugins.list", "Outputs and rules, and how they do", {"plugins": "object"}),
)
