"""An event of a gateway in the reader's words."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.language import N_, Language
from gateway.report.names import ALARM_STEPS, CHANGE_NAMES, CLOCK_NAMES, RULES, STATE_KINDS, named

__all__ = ["LABELS", "event_words"]

LABELS: Final = STATE_KINDS | {"disturbance": N_("disturbance"), "moved": N_("probe moved")}

NAMES: Final = (
    CHANGE_NAMES
    | CLOCK_NAMES
    | {
        "gap.opened": N_("no good values"),
        "gap.closed": N_("good values again"),
        "bus.lost": N_("bus not reached"),
        "bus.back": N_("bus reached again"),
        "backfill.done": N_("gap filled from the sensor's memory"),
        "backfill.failed": N_("gap not filled from the sensor's memory"),
        "backfill.deviation": N_("values of the past beyond a limit"),
        "process.started": N_("process calculation began"),
        "process.result": N_("process calculation has a result"),
        "process.refused": N_("process calculation refused"),
        "record.lot": N_("lot recorded"),
        "config.refused": N_("change of the configuration refused"),
    }
)
"""What needs no more than its kind to be said. Who looks for another kind finds it in docs/events.md."""


def event_words(kind: str, data: Any, t: Language) -> str:
    """What happened; a kind without words stands for itself, and nothing is taken for granted of ``data``."""
    if kind in ALARM_STEPS:
        step, rule = named(ALARM_STEPS, kind, t), data.get("rule") if isinstance(data, Mapping) else None
        return f"{named(RULES, rule, t)}: {step}" if isinstance(rule, str) and rule else step
    declared = data.get("kind") if isinstance(data, Mapping) else None
    if kind in {"state.declared", "state.ended"} and isinstance(declared, str):
        state = named(STATE_KINDS, declared, t)
        return t("declared: {state}", state=state) if kind == "state.declared" else t("ended: {state}", state=state)
    if kind.startswith("label."):
        label = kind.removeprefix("label.")
        return t("recognised: {what}", what=named(LABELS, label, t)) if label in LABELS else kind
    return named(NAMES, kind, t)
