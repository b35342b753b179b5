"""An event of a gateway in the reader's words."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.language import N_, Language
from gateway.report.names import ALARM_STEPS, CHANGE_NAMES, CLOCK_NAMES, RULES, STATE_KINDS, named

__all__ = ["LABELS", "event_words"]

LABELS: Final = STATE_KINDS | {"disturbance": N_("disturbance"), "moved": N_("probe moved")}


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
    return named(CHANGE_NAMES | CLOCK_NAMES, kind, t)
