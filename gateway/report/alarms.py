"""Alarms out of the event stream: every occurrence with all its transitions, who did what, and the worst value."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.report.figures import LimitLine
from gateway.report.samples import Happening, Samples

__all__ = ["Occurrence", "Transition", "limits_seen", "occurrences", "side_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One step of an alarm: what the event says."""

    at_ms: int | None
    kind: str
    state: str
    person: str
    text: str
    words: str
    until_ms: int | None
    batch: int


@dataclass(slots=True, kw_only=True)
class Occurrence:
    """One time that an alarm was raised, with all that followed. Times are Unix ms, None where not known."""

    number: int = 0
    """Its number in this report."""
    alarm: str
    occurrence: int
    rule: str
    tier: str
    point: str | None
    device: str | None
    unit: str
    limit: float | None
    value: float | None
    since_ms: int | None = None
    raised_ms: int | None = None
    returned_ms: int | None = None
    state: str = ""
    """At the end of what the report could know."""
    active: bool = False
    group: str | None = None
    escalation: int = 0
    simulated: bool = False
    """Whether it was judged on a simulated product, not on the measured value."""
    worst: float | None = None
    worst_at_ms: int | None = None
    words: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    transitions: list[Transition] = field(default_factory=list)

    def of(self, *kinds: str) -> list[Transition]:
        """Its transitions of these kinds."""
        return [step for step in self.transitions if step.kind in kinds]


def occurrences(
    events: Iterable[Happening], samples: Samples, *, point: str, device: str, start_ms: int, until_ms: int
) -> list[Occurrence]:
    """Those of a point (or of its device) that had a transition in the stretch, or were not over when it began.

    Events after ``until_ms`` are not looked at. One without a known time counts as within the stretch.
    """
    found: dict[tuple[str, int], Occurrence] = {}
    touched: set[tuple[str, int]] = set()
    for event in events:
        if not event.kind.startswith("alarm.") or (event.utc_ms is not None and event.utc_ms >= until_ms):
            continue
        data = event.data
        if not _concerns(data, point, device, samples.channel):
            continue
        key = str(data.get("alarm")), _whole(data.get("occurrence"))
        held = found.get(key)
        if held is None:
            held = found[key] = _begin(key, data)
        _apply(held, event)
        if event.utc_ms is None or event.utc_ms >= start_ms:
            touched.add(key)
    kept = [
        held for key, held in found.items() if key in touched or held.active or held.state not in {"normal", ""}
    ]
    for held in kept:
        _worst(held, samples)
    kept.sort(key=lambda one: (one.since_ms or one.raised_ms or 0, one.alarm))
    for number, held in enumerate(kept, 1):
        held.number = number
    return kept


def _concerns(data: Mapping[str, Any], point: str, device: str, channel: str) -> bool:
    """Whether an alarm is of the point, of its device (not of another channel of it), or of the whole gateway."""
    if data.get("point") is not None:
        return bool(data.get("point") == point)
    if data.get("device") not in (None, device):
        return False
    subject = str(data.get("alarm")).rpartition("/")[0]
    return not subject.startswith(f"{device}.") or subject == f"{device}.{channel}"


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _begin(key: tuple[str, int], data: Mapping[str, Any]) -> Occurrence:
    detail = data.get("detail")
    return Occurrence(
        alarm=key[0],
        occurrence=key[1],
        rule=_text(data.get("rule")),
        tier=_text(data.get("tier")),
        point=data.get("point"),
        device=data.get("device"),
        unit=_text(data.get("unit")),
        limit=_number(data.get("limit")),
        value=_number(data.get("value")),
        simulated=isinstance(detail, Mapping) and detail.get("simulated") is True,
        detail=detail if isinstance(detail, Mapping) else {},
        words=_text(data.get("words")),
    )


def _apply(held: Occurrence, event: Happening) -> None:
    data = event.data
    held.state = _text(data.get("state"))
    held.active = data.get("active") is True
    held.group = _text(data.get("group")) or held.group
    detail = data.get("detail")
    extreme = _number(detail.get("extreme")) if isinstance(detail, Mapping) else None
    if held.simulated and extreme is not None:
        # What the judge saw of a simulated product is not among the samples.
        held.worst = extreme
    held.escalation = max(held.escalation, _whole(data.get("escalation")))
    if event.kind == "alarm.raised":
        held.raised_ms = event.utc_at(data.get("raised_ms")) or event.utc_ms
        held.since_ms = event.utc_at(data.get("since_ms")) or held.raised_ms
        held.returned_ms = None
    elif held.raised_ms is None:
        # Its beginning is not here: what this event says of it has to do, where it is of the same boot.
        held.raised_ms = event.utc_at(data.get("raised_ms"))
        held.since_ms = event.utc_at(data.get("since_ms"))
    if event.kind == "alarm.returned":
        held.returned_ms = event.utc_ms
    held.transitions.append(
        Transition(
            at_ms=event.utc_ms,
            kind=event.kind,
            state=held.state,
            person=_text(data.get("person")),
            text=_text(data.get("text")),
            words=_text(data.get("words")),
            until_ms=event.utc_at(data.get("until_ms")),
            batch=event.batch,
        )
    )


def _worst(held: Occurrence, samples: Samples) -> None:
    """The value furthest beyond the limit while the alarm lasted, of what lies in the period."""
    side = side_of(held.rule, held.value, held.limit, held.detail)
    start = held.since_ms if held.since_ms is not None else held.raised_ms
    if held.simulated or not _about_values(held) or held.unit != samples.unit:
        return
    if held.limit is None or side is None or start is None:
        return
    end = samples.period.until_ms if held.returned_ms is None else held.returned_ms
    sign = 1 if side == "high" else -1
    for i in range(bisect_left(samples.at, start), bisect_left(samples.at, end + 1)):
        value = samples.values[i]
        # NaN compares as false: what has no value is not the worst.
        if sign * (value - held.limit) > 0 and (held.worst is None or sign * (value - held.worst) > 0):
            held.worst, held.worst_at_ms = value, samples.at[i]


def _about_values(held: Occurrence) -> bool:
    """Whether its limit is one of the value itself (with a delay, or a time that may be spent beyond it).

    A limit of a rate of change, or the goal of a cooling stage, is none.
    """
    return "delay_s" in held.detail or "single_s" in held.detail or "total_s" in held.detail


def side_of(
    rule: str, value: float | None, limit: float | None, detail: Mapping[str, Any]
) -> Literal["high", "low"] | None:
    """On which side of its limit an alarm lies: as its rule says, by its name, or by the value that raised it."""
    stated = detail.get("side")
    if stated in ("high", "above") or (stated is None and rule.startswith(("high", "above"))):
        return "high"
    if stated in ("low", "below") or (stated is None and rule.startswith(("low", "deficit", "below"))):
        return "low"
    if value is not None and limit is not None and value != limit:
        return "high" if value > limit else "low"
    return None


def limits_seen(found: Sequence[Occurrence], unit: str) -> list[LimitLine]:
    """The limits that alarms of a point carried, for rules about a value beyond a limit."""
    seen: dict[tuple[str, float], LimitLine] = {}
    for held in sorted(found, key=lambda one: one.raised_ms or 0):
        side = side_of(held.rule, held.value, held.limit, held.detail)
        if held.limit is None or side is None or held.unit != unit or held.tier not in {"critical", "alert"}:
            continue
        if not _about_values(held) or held.simulated or held.detail.get("past"):
            continue
        line = LimitLine(
            rule=held.rule,
            side=side,
            tier=held.tier,
            value=held.limit,
            unit=held.unit,
            delay_s=_number(held.detail.get("delay_s")),
            hysteresis=_number(held.detail.get("hysteresis")),
            profile=_text(held.detail.get("profile")),
            profile_hash=_text(held.detail.get("profile_hash")),
            sources=_sources(held.detail),
            known_by="alarm record",
            since_ms=held.since_ms or held.raised_ms,
        )
        seen.setdefault((held.rule, held.limit), line)
    return list(seen.values())


def _sources(detail: Mapping[str, Any]) -> tuple[str, ...]:
    stated = detail.get("sources", detail.get("source", detail.get("legal_source")))
    if isinstance(stated, str):
        return (stated,)
    return tuple(text for text in stated if isinstance(text, str)) if isinstance(stated, list | tuple) else ()
