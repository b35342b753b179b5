"""One alarm: what is known of it, its ISA-18.2 state, and its form in the record."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from gateway.assess.bootline import Move, moved_time
from gateway.model import Alarm, AlarmState, Condition, Event, Tier

__all__ = ["Entry", "Hold"]


class Hold(NamedTuple):
    """Something that lasts: since ``at_ms``, for ``for_ms`` (None: until it is ended)."""

    at_ms: int
    for_ms: int | None

    @property
    def until_ms(self) -> int | None:
        """Its end (boot ms)."""
        return None if self.for_ms is None else self.at_ms + self.for_ms

    def over(self, now_ms: int) -> bool:
        """Whether its time is up."""
        return self.for_ms is not None and now_ms >= self.at_ms + self.for_ms


@dataclass(slots=True)
class Entry:
    """An alarm. It is hidden while one of the three holds is set; that never stops its evaluation.

    ``acknowledged`` is true while nothing waits for a person, ``confirmed`` once the newest occurrence has its
    corrective action (or never needed one).
    """

    condition: Condition
    judge: str
    active: bool = False
    acknowledged: bool = True
    confirmed: bool = True
    quietly: bool = False
    """It was raised while suppressed by design or out of service, and has not been seen since."""
    occurrence: int = 0
    raised_ms: int = 0
    returned_ms: int | None = None
    group: str | None = None
    newest_ms: int = 0
    """When the newest member of the group that it leads was raised."""
    escalation: int = 0
    waits_ms: int = 0
    """Since when it waits for an acknowledgement, or for the next escalation."""
    person: str = ""
    text: str = ""
    shelved: Hold | None = None
    suppressed: Hold | None = None
    out: Hold | None = None

    @property
    def state(self) -> AlarmState:
        """Its state: the strongest hold first, then what process and person say."""
        if self.out is not None:
            return AlarmState.OUT_OF_SERVICE
        if self.suppressed is not None:
            return AlarmState.SUPPRESSED
        if self.shelved is not None:
            return AlarmState.SHELVED
        if self.active:
            return AlarmState.ACKNOWLEDGED if self.acknowledged else AlarmState.UNACKNOWLEDGED
        return AlarmState.NORMAL if self.acknowledged else AlarmState.RETURNED

    @property
    def hidden(self) -> bool:
        """Whether a hold keeps it from people."""
        return self.out is not None or self.suppressed is not None or self.shelved is not None

    @property
    def by_design(self) -> bool:
        """Whether what happens now needs nobody's attention: suppressed by design, or out of service."""
        return self.out is not None or self.suppressed is not None

    @property
    def until_ms(self) -> int | None:
        """The end of the hold that counts."""
        hold = self.out or self.suppressed or self.shelved
        return None if hold is None else hold.until_ms

    def alarm(self) -> Alarm:
        """The noun for pages and outputs."""
        return Alarm(
            id=self.condition.alarm,
            occurrence=self.occurrence,
            state=self.state,
            active=self.active,
            condition=self.condition,
            raised_ms=self.raised_ms,
            returned_ms=self.returned_ms,
            group=self.group,
            escalation=self.escalation,
            person=self.person,
            text=self.text,
            until_ms=self.until_ms,
        )

    def event(self, kind: str, at_ms: int, words: str, person: str | None = None, text: str | None = None) -> Event:
        """One event of the record: all keys, always."""
        condition = self.condition
        return Event(
            kind,
            at_ms,
            {
                "alarm": condition.alarm,
                "occurrence": self.occurrence,
                "state": self.state.value,
                "active": self.active,
                "rule": condition.rule,
                "tier": condition.tier.value,
                "point": condition.point,
                "device": condition.device,
                "value": condition.value,
                "limit": condition.limit,
                "unit": condition.unit or None,
                "since_ms": condition.since_ms,
                "raised_ms": self.raised_ms,
                "group": self.group,
                "escalation": self.escalation,
                "person": person,
                "text": text,
                "until_ms": self.until_ms,
                "words": words,
                "detail": {**condition.detail},
            },
        )

    def move(self, move: Move) -> None:
        """Move all times: the boot clock began anew, or the time off has become known."""
        self.raised_ms, self.waits_ms = moved_time(move, self.raised_ms), moved_time(move, self.waits_ms)
        self.newest_ms, self.returned_ms = moved_time(move, self.newest_ms), move(self.returned_ms)
        for name in ("shelved", "suppressed", "out"):
            hold: Hold | None = getattr(self, name)
            if hold is not None:
                setattr(self, name, hold._replace(at_ms=moved_time(move, hold.at_ms)))
        condition = self.condition
        self.condition = _moved(condition, move)

    @property
    def kept(self) -> bool:
        """Whether a restart must know of it."""
        return bool(self.occurrence) or self.hidden

    def save(self) -> dict[str, Any]:
        """Plain data for a restart; what lies at its default is left out."""
        condition = self.condition
        saved: dict[str, Any] = {
            "judge": self.judge,
            "n": self.occurrence,
            "raised": self.raised_ms,
            "condition": [
                condition.active,
                condition.at_ms,
                condition.since_ms,
                condition.rule,
                condition.tier.value,
                condition.point,
                condition.device,
            ],
        }
        if self.active or not self.acknowledged or not self.confirmed or self.hidden:
            saved["value"] = [condition.value, condition.limit, condition.unit, condition.words]
            saved["detail"] = dict(condition.detail)
        for name, default in PLAIN.items():
            if (value := getattr(self, name)) != default:
                saved[name] = value
        for name in ("shelved", "suppressed", "out"):
            hold: Hold | None = getattr(self, name)
            if hold is not None:
                saved[name] = list(hold)
        return saved

    @staticmethod
    def load(alarm: str, saved: Mapping[str, Any]) -> "Entry":
        """An entry of `save`; raises KeyError, TypeError or ValueError for anything else."""
        active, at_ms, since_ms, rule, tier, point, device = saved["condition"]
        value, limit, unit, words = saved.get("value", (None, None, "", ""))
        condition = Condition(
            alarm=alarm,
            active=bool(active),
            at_ms=int(at_ms),
            since_ms=int(since_ms),
            rule=str(rule),
            tier=Tier(tier),
            point=point,
            device=device,
            value=value,
            limit=limit,
            unit=unit,
            words=words,
            detail=dict(saved.get("detail", {})),
        )
        entry = Entry(condition, str(saved["judge"]), occurrence=int(saved["n"]), raised_ms=int(saved["raised"]))
        for name in PLAIN:
            if name in saved:
                setattr(entry, name, saved[name])
        for name in ("shelved", "suppressed", "out"):
            if name in saved:
                at, lasts = saved[name]
                setattr(entry, name, Hold(int(at), None if lasts is None else int(lasts)))
        return entry


PLAIN: dict[str, Any] = {
    "active": False,
    "acknowledged": True,
    "confirmed": True,
    "quietly": False,
    "returned_ms": None,
    "group": None,
    "newest_ms": 0,
    "escalation": 0,
    "waits_ms": 0,
    "person": "",
    "text": "",
}
"""Fields of an entry that are plain data, with their defaults."""


def _moved(condition: Condition, move: Move) -> Condition:
    at_ms, since_ms = moved_time(move, condition.at_ms), moved_time(move, condition.since_ms)
    return replace(condition, at_ms=at_ms, since_ms=since_ms)
