"""What is known of one alarm at one moment: made from an event or from the alarm itself, kept as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from gateway.api import Notice
from gateway.model import Alarm, AlarmState, ClockClaim, Event, Tier
from gateway.notify.words import clean

__all__ = ["AGAIN", "KINDS", "Facts", "missed", "rank"]

KINDS = {
    "alarm.raised": "raised",
    "alarm.returned": "returned",
    "alarm.acknowledged": "acknowledged",
    "alarm.confirmed": "confirmed",
    "alarm.escalated": "escalated",
    "alarm.shelved": "shelved",
    "alarm.unshelved": "raised",
    "alarm.unsuppressed": "raised",
    "alarm.in-service": "raised",
    "alarm.suppressed": "",
    "alarm.out-of-service": "",
    "alarm.grouped": "",
}
"""Event kinds of alarms and the transition that each is for a recipient. Those without one change what stands, and
are not told."""

AGAIN = {"alarm.unshelved", "alarm.unsuppressed", "alarm.in-service"}
"""An alarm that was silenced speaks again: whoever was told that it was raised is told once more."""

WAITING = {AlarmState.UNACKNOWLEDGED.value, AlarmState.RETURNED.value}
SILENT = {AlarmState.SHELVED.value, AlarmState.SUPPRESSED.value, AlarmState.OUT_OF_SERVICE.value}
_RANKS = {tier.value: number for number, tier in enumerate(Tier)}


def rank(tier: str) -> int:
    """0 for critical; the more, the less urgent."""
    return _RANKS.get(tier, len(_RANKS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One alarm. Times in milliseconds of the boot ``boot`` (hexadecimal), and UTC where it was known.

    ``epoch`` counts how often the counter of occurrences has begun anew (its memory was lost), so that an alarm of
    today is not taken for one of the past.
    """

    alarm: str
    occurrence: int
    epoch: int = 0
    state: str
    active: bool
    rule: str = ""
    tier: str = ""
    point: str = ""
    device: str = ""
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    words: str = ""
    person: str = ""
    text: str = ""
    escalation: int = 0
    group: str = ""
    boot: str = ""
    since_ms: int | None = None
    raised_ms: int | None = None
    since_utc_ms: int | None = None
    raised_utc_ms: int | None = None

    @classmethod
    def of_event(cls, event: Event, claim: ClockClaim) -> Self:
        """The facts in an ``alarm.*`` event."""
        data = event.data
        return cls(
            alarm=str(data["alarm"]),
            occurrence=int(data["occurrence"]),
            state=str(data["state"]),
            active=bool(data["active"]),
            rule=_text(data.get("rule")),
            tier=_text(data.get("tier")),
            point=_text(data.get("point")),
            device=_text(data.get("device")),
            value=_number(data.get("value")),
            limit=_number(data.get("limit")),
            unit=_text(data.get("unit")),
            words=_text(data.get("words")),
            person=_text(data.get("person")),
            text=_text(data.get("text")),
            escalation=int(data.get("escalation") or 0),
            group=_text(data.get("group")),
            **_times(claim, data.get("since_ms"), data.get("raised_ms")),
        )

    @classmethod
    def of_alarm(cls, alarm: Alarm, claim: ClockClaim) -> Self:
        """The facts of an alarm as it stands."""
        condition = alarm.condition
        return cls(
            alarm=alarm.id,
            occurrence=alarm.occurrence,
            state=alarm.state.value,
            active=alarm.active,
            rule=condition.rule,
            tier=condition.tier.value,
            point=condition.point or "",
            device=condition.device or "",
            value=_number(condition.value),
            limit=_number(condition.limit),
            unit=condition.unit,
            words=clean(condition.words),
            person=clean(alarm.person),
            text=clean(alarm.text),
            escalation=alarm.escalation,
            group=alarm.group or "",
            **_times(claim, condition.since_ms, alarm.raised_ms),
        )

    @classmethod
    def of_json(cls, text: str) -> Self:
        """What `json` has written; keys of a newer program are left aside."""
        known = {part.name for part in fields(cls)}
        return cls(**{name: value for name, value in json.loads(text).items() if name in known})

    def json(self) -> str:
        """All of it."""
        return json.dumps(asdict(self), separators=(",", ":"), allow_nan=False)

    @property
    def speaks(self) -> bool:
        """Whether it waits for a person, and nobody has silenced it."""
        return self.state in WAITING

    @property
    def handled(self) -> bool:
        """Whether a person has taken it up or silenced it, or all of it is over."""
        return not self.speaks

    def following(self, before: "Facts | None", *, anew: bool) -> "Facts":
        """These facts with what is known from before of the same occurrence, and in the right epoch.

        ``anew`` says that this is the news that it was raised: the same number again is then another occurrence.
        """
        if before is None:
            return self
        same = self.occurrence == before.occurrence
        another = anew and (self.boot, self.raised_ms) != (before.boot, before.raised_ms)
        if self.occurrence < before.occurrence or (same and another):
            return replace(self, epoch=before.epoch + 1)
        if not same:
            return replace(self, epoch=before.epoch)
        return replace(
            self,
            epoch=before.epoch,
            since_utc_ms=self.since_utc_ms if before.since_utc_ms is None else before.since_utc_ms,
            raised_utc_ms=self.raised_utc_ms if before.raised_utc_ms is None else before.raised_utc_ms,
        )

    def same_occurrence(self, other: "Facts") -> bool:
        """Whether both are of one occurrence."""
        return (self.epoch, self.occurrence) == (other.epoch, other.occurrence)

    def timed(self, claim: ClockClaim) -> "Facts":
        """With the times that a clock which has become trusted since gives them."""
        if self.boot != claim.boot.hex() or (self.since_utc_ms is not None and self.raised_utc_ms is not None):
            return self
        times = _times(claim, self.since_ms, self.raised_ms)
        return replace(
            self,
            since_utc_ms=times["since_utc_ms"] if self.since_utc_ms is None else self.since_utc_ms,
            raised_utc_ms=times["raised_utc_ms"] if self.raised_utc_ms is None else self.raised_utc_ms,
        )

    def notice(self, *, key: str, transition: str, **more: Any) -> Notice:
        """A notice of these facts, still without its texts."""
        return Notice(
            key=key,
            transition=transition,
            alarm=self.alarm,
            occurrence=self.occurrence,
            escalation=self.escalation,
            state=self.state,
            active=self.active,
            tier=self.tier,
            rule=self.rule,
            point=self.point,
            value=self.value,
            limit=self.limit,
            unit=self.unit,
            since_utc_ms=self.since_utc_ms,
            raised_utc_ms=self.raised_utc_ms,
            words=self.words,
            person=self.person,
            text=self.text,
            **more,
        )


def missed(before: Facts | None, now: Facts) -> list[str]:
    """The transitions that lie between what was known and what is: what happened while nobody listened."""
    if before is None or not now.same_occurrence(before):
        return ["raised", *([] if now.active else ["returned"])] if now.speaks else []
    found = []
    if now.escalation > before.escalation and now.speaks:
        found.append("escalated")
    if before.active and not now.active:
        found.append("returned")
    if before.speaks and now.state == AlarmState.ACKNOWLEDGED.value:
        found.append("acknowledged")
    if before.state in SILENT and now.speaks:
        found.append("raised")
    return found


def _times(claim: ClockClaim, since_ms: int | None, raised_ms: int | None) -> Mapping[str, Any]:
    return {
        "boot": claim.boot.hex(),
        "since_ms": since_ms,
        "raised_ms": raised_ms,
        "since_utc_ms": None if since_ms is None else claim.utc_at(since_ms),
        "raised_utc_ms": None if raised_ms is None else claim.utc_at(raised_ms),
    }


def _text(value: object) -> str:
    return "" if value is None else clean(str(value))


def _number(value: object) -> float | None:
    """A finite number, or none: what is no value must not become one on its way to a person."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if abs(value) < float("inf") else None
