"""Alarms in the reader's language, said anew from their fields: a record keeps its own English words."""

from gateway.language import N_, Language
from gateway.model import Alarm, Condition, Quality
from gateway.report.names import RULES

__all__ = ["alarm_sentence", "quantity"]

MORE_RULES = {
    "clock-untrusted": N_("clock not trusted"),
    "judge-limits": N_("judging of limits stopped of a defect"),
    "judge-processes": N_("process calculations stopped of a defect"),
    "judge-advisories": N_("advisories stopped of a defect"),
}
"""Rules of the gateway itself, beside those that reports have words for."""


def quantity(value: float, unit: str, t: Language) -> str:
    """At most two decimals, no trailing zeros: as the words of an alarm have it."""
    whole = f"{value:.2f}".rstrip("0").rstrip(".")
    return t.quantity(value, len(whole.partition(".")[2]), unit)


def alarm_sentence(alarm: Alarm, t: Language) -> str | None:
    """What is so, from the structured condition; None for a rule that has no words here."""
    condition = alarm.condition
    name = RULES.get(condition.rule) or MORE_RULES.get(condition.rule)
    if name is None:
        return None
    what = t(name)
    if (cause := _cause(condition, t)) is not None:
        return t("{what} ({cause})", what=what, cause=cause)
    if condition.value is None or condition.limit is None:
        until = condition.detail.get("valid_until")
        return t("{what}: {until}", what=what, until=until) if isinstance(until, str) else what
    value, limit = (quantity(number, condition.unit, t) for number in (condition.value, condition.limit))
    if condition.detail.get("simulated") is True:
        return t("{what}: {value} simulated, limit {limit}", what=what, value=value, limit=limit)
    extreme = condition.detail.get("extreme")
    if not alarm.active and isinstance(extreme, int | float) and not isinstance(extreme, bool):
        worst = quantity(float(extreme), condition.unit, t)
        return t(
            "{what}: back at {value}, worst {worst}, limit {limit}",
            what=what,
            value=value,
            worst=worst,
            limit=limit,
        )
    return t("{what}: {value}, limit {limit}", what=what, value=value, limit=limit)


def _cause(condition: Condition, t: Language) -> str | None:
    """Why there is no value, where the condition is about that."""
    cause = condition.detail.get("cause")
    if not isinstance(cause, int) or isinstance(cause, bool):
        return None
    try:
        quality = Quality(cause)
    except ValueError:
        return None
    return t(quality.words) if quality.bad and condition.value is None else None
