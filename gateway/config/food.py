"""The tables of food safety in a site file: profiles, their rules, how alarms are handled. Names, types and ranges.

A profile's rules are tables of named entries (``limits.high-alert``); each entry is read on its own, so that a
mistake has its own line. ``false`` instead of a table switches a rule of the base off.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from gateway.config.locate import Key
from gateway.config.quantities import Wrong, parse_duration_s
from gateway.config.shape import Duration, Identifier, Table, Text, said
from gateway.config.words import Report, did_you_mean, say_all
from gateway.model import Tier
from gateway.profile import STATE_KINDS, Side

__all__ = ["LIMITS", "AlarmsTable", "Layer", "LimitKind", "ProfileTable", "read_layer"]


class LimitKind(NamedTuple):
    """What the name of a limit means."""

    side: Side
    tier: Tier


LIMITS: dict[str, LimitKind] = {
    "high-critical": LimitKind("above", Tier.CRITICAL),
    "high-tolerance": LimitKind("above", Tier.CRITICAL),
    "high-alert": LimitKind("above", Tier.ALERT),
    "low-critical": LimitKind("below", Tier.CRITICAL),
    "low-alert": LimitKind("below", Tier.ALERT),
    "deficit": LimitKind("below", Tier.ALERT),
    "door-open": LimitKind("above", Tier.ALERT),
    "door-open-inverted": LimitKind("below", Tier.ALERT),
    "battery-low": LimitKind("below", Tier.MAINTENANCE),
}
"""The limits that a profile can have."""

RESERVED = {"stale", "communication-loss", "power-loss", "state"}
"""Names of rules that the gateway has by itself."""

RuleTier = Literal["critical", "alert", "maintenance"]
Beyond = Literal["above", "below"]
Share = Annotated[float, Field(ge=-1e6, le=1e6)]


def _window(value: Any) -> Any:
    if value == "day" or value is None:
        return value
    try:
        if isinstance(value, str):
            return parse_duration_s(value)
    except Wrong as wrong:
        raise said(Wrong(wrong.what, f'{wrong.remedy}, or "day" for the calendar day')) from wrong
    raise said(Wrong(f"{value!r} has no unit", 'write a duration ("24h"), or "day" for the calendar day'))


class LimitTable(Table):
    """``[limits.NAME]``."""

    limit: Share | None = Field(None, examples=[5.0])
    delay: Duration | None = Field(None, examples=["45min"])
    samples: int | None = Field(None, ge=1, le=10_000, examples=[4])
    hysteresis: float | None = Field(None, ge=0, le=100, examples=[0.5])
    off_delay: Duration | None = Field(None, examples=["5min"])


class TimeTable(Table):
    """``[times.NAME]``."""

    side: Beyond | None = Field(None, examples=["above"])
    limit: Share | None = Field(None, examples=[8.0])
    single: Duration | None = Field(None, examples=["4h"])
    total: Duration | None = Field(None, examples=["6h"])
    periods: int | None = Field(None, ge=1, le=1000, examples=[1])
    window: Annotated[float | Literal["day"] | None, BeforeValidator(_window)] = Field(None, examples=["24h"])
    brief: Duration | None = Field(None, examples=["15min"])
    tier: RuleTier | None = Field(None, examples=["critical"])


class StageTable(Table):
    """``[stages.NAME]``."""

    start: Share | None = Field(None, examples=[57.0])
    goal: Share | None = Field(None, examples=[21.0])
    within: Duration | None = Field(None, examples=["2h"])
    tier: RuleTier | None = Field(None, examples=["critical"])


class RateTable(Table):
    """``[rates.NAME]``."""

    per_minute: Share | None = Field(None, examples=[0.5])
    over: Duration | None = Field(None, examples=["10min"])
    tier: RuleTier | None = Field(None, examples=["alert"])


class StateTable(Table):
    """``[states.KIND]``."""

    rules: list[Text] | None = Field(None, min_length=1, max_length=50, examples=[["high-alert"]])
    longest: Duration | None = Field(None, examples=["45min"])
    every: Duration | None = Field(None, examples=["2h"])


class ProfileTable(Table):
    """``[[profile]]`` of a site file, or one file of a profile that comes with the gateway."""

    id: Identifier | None = Field(None, examples=["our-cold-store"])
    base: Text | None = Field(None, examples=["chilled-meat"])
    title: Text | None = Field(None, examples=["Our cold store"])
    unit: Annotated[str, Field(max_length=20)] | None = Field(None, examples=["degC"])
    sources: list[Annotated[str, Field(min_length=1, max_length=500)]] | None = Field(
        None, max_length=50, examples=[["HACCP plan, version 4, section 3"]]
    )
    note: Annotated[str, Field(max_length=2000)] | None = Field(None, examples=["why it is as it is"])
    reason: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        None, examples=["label allows 8 C; HACCP plan, version 4, section 3"]
    )
    actions: list[Annotated[str, Field(min_length=1, max_length=500)]] | None = Field(
        None, max_length=50, examples=[["Call the refrigeration engineer."]]
    )
    interval: Duration | None = Field(None, examples=["5min"])
    stale: Duration | None = Field(None, examples=["30min"])
    product_tau: Duration | None = Field(None, examples=["60min"])
    limits: dict[str, Any] = Field(default_factory=dict, examples=[{}])
    times: dict[str, Any] = Field(default_factory=dict, examples=[{}])
    stages: dict[str, Any] = Field(default_factory=dict, examples=[{}])
    rates: dict[str, Any] = Field(default_factory=dict, examples=[{}])
    states: dict[str, Any] = Field(default_factory=dict, examples=[{}])


def _never(value: Any) -> Any:
    return None if value is False else value


Escalation = Annotated[Duration | None, BeforeValidator(_never)]


class AlarmsTable(Table):
    """``[alarms]``: how alarms are handled, and the site's time zone."""

    escalate_critical: Escalation = Field(900.0, ge=10, examples=["15min"])
    escalate_alert: Escalation = Field(3600.0, ge=10, examples=["1h"])
    escalate_maintenance: Escalation = Field(86400.0, ge=10, examples=["24h"])
    silence: Duration = Field(300.0, ge=1, examples=["5min"])
    group_window: Duration = Field(3600.0, examples=["1h"])
    longest_shelving: Duration = Field(8 * 3600.0, ge=60, le=7 * 86400, examples=["8h"])


@dataclass(slots=True)
class Layer:
    """One layer of a profile as written: settings given, and named entries (None: switched off here)."""

    at: Key
    settings: Mapping[str, Any]
    entries: dict[str, dict[str, dict[str, Any] | None]] = field(default_factory=dict)


SHAPES: dict[str, type[BaseModel]] = {
    "limits": LimitTable,
    "times": TimeTable,
    "stages": StageTable,
    "rates": RateTable,
    "states": StateTable,
}
_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")


def read_layer(raw: Mapping[str, Any], at: Key, report: Report, groups: tuple[str, ...] = tuple(SHAPES)) -> Layer:
    """The named entries of one profile or point; the other settings are the caller's."""
    layer = Layer(at, {})
    for group in groups:
        layer.entries[group] = {}
        content = raw.get(group)
        if content is None:
            continue
        if not isinstance(content, dict):
            report.add((*at, group), "is not a table", f"write [{at[0]}.{group}.NAME] on a line of its own")
            continue
        for name, entry in content.items():
            where = (*at, group, name)
            if not _named(group, name, where, report):
                continue
            if entry is False:
                layer.entries[group][name] = None
                continue
            short = group == "limits" and isinstance(entry, int | float) and not isinstance(entry, bool)
            table = _entry(SHAPES[group], {"limit": entry} if short else entry, where, group, report)
            if table is not None:
                layer.entries[group][name] = table
    return layer


def _named(group: str, name: str, where: Key, report: Report) -> bool:
    known: dict[str, Callable[[], Any]] | Any = {"limits": LIMITS, "states": STATE_KINDS}.get(group)
    if known is not None and name not in known:
        report.add(where, f"is not one of the {group} that a profile can have", did_you_mean(name, list(known)))
        return False
    if known is None and (not _NAME.fullmatch(name) or name in LIMITS or name in RESERVED):
        remedy = "use lower-case letters, digits and hyphens, and no name of a limit: it becomes the alarm's name"
        report.add(where, f"{name!r} cannot be the name of a rule", remedy)
        return False
    return True


def _entry(shape: type[BaseModel], raw: object, at: Key, group: str, report: Report) -> dict[str, Any] | None:
    if not isinstance(raw, dict):
        report.add(at, "is not a table", "write { ... }, or false to switch the rule off")
        return None
    try:
        return shape.model_validate(raw).model_dump(exclude_unset=True)
    except ValidationError as error:
        say_all(error, shape, at, f"[{group}.NAME]", report)
        return None
