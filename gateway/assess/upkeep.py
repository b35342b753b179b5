"""Care of the measuring itself: devices that fall silent or wear out, calibrations that run out, lost power."""

from collections.abc import Mapping, Sequence
from datetime import date
from math import inf
from typing import Any

from gateway.assess.bootline import Move
from gateway.assess.sentences import duration
from gateway.assess.wear import Wear
from gateway.model import Condition, DeviceLayout, Quality, Tier

__all__ = ["CalibrationWatch", "DeviceWatch", "history_rewritten", "power_loss"]

SILENT_PERIODS = 3
"""A device is not silent before so many periods, however short the silence that is allowed."""
STEPS = (("calibration-due-90d", 30, 90), ("calibration-due-30d", 0, 30))
"""Rules before the last day of a certificate: active while above the one and up to the other days are left."""


class DeviceWatch:
    """Whether a device answers. ``critical``: it feeds a critical point."""

    __slots__ = (
        "answered_ms",
        "bus",
        "cause",
        "critical",
        "id",
        "lost_since_ms",
        "silence_ms",
        "wear",
    )

    def __init__(
        self, device: DeviceLayout, silence_s: float, *, critical: bool, wear: Sequence[Wear] = ()
    ) -> None:
        self.id = device.id
        self.bus = device.bus
        self.critical = critical
        self.silence_ms = max(round(silence_s * 1000), SILENT_PERIODS * device.period_ms)
        self.answered_ms: int | None = None
        self.lost_since_ms: int | None = None
        self.cause = int(Quality.NOT_STARTED)
        self.wear = tuple(wear)

    def answered(self, at_ms: int) -> Condition | None:
        """At least one value came; the condition that this ends."""
        self.answered_ms = at_ms
        if self.lost_since_ms is None:
            return None
        condition = self.loss(at_ms, active=False)
        self.lost_since_ms = None
        return condition

    def tick(self, now_ms: int, begun_ms: int) -> Condition | None:
        """The condition that silence begins; before ``begun_ms`` nobody asked."""
        answered_ms = begun_ms if self.answered_ms is None or self.answered_ms < begun_ms else self.answered_ms
        if self.lost_since_ms is not None or now_ms - answered_ms <= self.silence_ms:
            return None
        self.lost_since_ms = answered_ms
        return self.loss(now_ms, active=True)

    def due_ms(self, begun_ms: int) -> float:
        """Before this `tick` has nothing to say, if no value comes to put it off further."""
        if self.lost_since_ms is not None:
            return inf
        return max(begun_ms, self.answered_ms or begun_ms) + self.silence_ms

    def loss(self, at_ms: int, *, active: bool) -> Condition:
        """Silence of the device, begun or ended."""
        since = self.lost_since_ms if self.lost_since_ms is not None else at_ms
        lasted = duration(at_ms - since)
        why = Quality(self.cause).words if self.cause >= Quality.TIMEOUT else "no answer"
        words = (
            f"{self.id} has not answered for {lasted} ({why})" if active else f"{self.id} answers after {lasted}"
        )
        return Condition(
            alarm=f"{self.id}/communication-loss",
            active=active,
            at_ms=at_ms,
            since_ms=since,
            rule="communication-loss",
            tier=Tier.ALERT if self.critical else Tier.MAINTENANCE,
            device=self.id,
            words=words,
            detail={"bus": self.bus, "silence_s": self.silence_ms / 1000, "cause": self.cause},
        )

    def move(self, moved: Move) -> None:
        """Move all times: see `RuleState.move`."""
        self.answered_ms, self.lost_since_ms = moved(self.answered_ms), moved(self.lost_since_ms)
        for wear in self.wear:
            wear.move(moved)

    def reconcile(self, standing: Mapping[str, Condition], at_ms: int) -> list[Condition]:
        """Take over what stands and is forgotten here; say again what is held here and does not stand."""
        found = []
        loss = standing.get(f"{self.id}/communication-loss")
        if loss is not None and self.lost_since_ms is None:
            self.lost_since_ms = loss.since_ms
        elif loss is None and self.lost_since_ms is not None:
            found.append(self.loss(at_ms, active=True))
        for wear in self.wear:
            found += wear.reconcile(standing, at_ms)
        return found

    def save(self) -> list[Any]:
        """Plain data for a restart."""
        worn = {wear.column.channel: wear.save() for wear in self.wear}
        return [self.answered_ms, self.lost_since_ms, worn]

    def load(self, saved: list[Any]) -> None:
        """Take back what `save` gave, in this version or the one before it."""
        answered_ms, lost_ms, worn = saved
        self.answered_ms, self.lost_since_ms = (None if one is None else int(one) for one in (answered_ms, lost_ms))
        for wear in self.wear:
            if isinstance(worn, dict) and (held := worn.get(wear.column.channel)) is not None:
                wear.load(held)


class CalibrationWatch:
    """The certificate of one channel: due in 90 and in 30 days, on its last day, and after it."""

    __slots__ = ("certificate", "channel", "critical", "device", "stage", "valid_until")

    RULES = ("calibration-due-90d", "calibration-due-30d", "calibration-due", "calibration-expired")

    def __init__(self, device: str, channel: str, calibration: Mapping[str, Any], *, critical: bool) -> None:
        self.device = device
        self.channel = channel
        self.critical = critical
        self.certificate = str(calibration.get("certificate", ""))
        self.valid_until = date.fromisoformat(str(calibration["valid_until"]))
        self.stage: str | None = None

    def day(self, today: date, now_ms: int) -> list[Condition]:
        """What a new date brings."""
        left = (self.valid_until - today).days
        stage = next((rule for rule, above, upto in STEPS if above < left <= upto), None)
        if left <= 0:
            stage = "calibration-due" if left == 0 else "calibration-expired"
        if stage == self.stage:
            return []
        found = []
        if self.stage is not None:
            found.append(self.condition(self.stage, left, now_ms, active=False))
        self.stage = stage
        if stage is not None:
            found.append(self.condition(stage, left, now_ms, active=True))
        return found

    def reconcile(self, standing: Mapping[str, Condition], now_ms: int, *, dated: bool) -> list[Condition]:
        """End what stands and is no longer so. Until the date is known (``dated``), what stands is taken over."""
        rules = [rule for rule in self.RULES if f"{self.device}.{self.channel}/{rule}" in standing]
        if not dated and rules:
            self.stage = rules[-1]
        return [self.condition(rule, 0, now_ms, active=False) for rule in rules if rule != self.stage]

    def condition(self, rule: str, left: int, now_ms: int, *, active: bool) -> Condition:
        """One of the four, begun or ended."""
        what = f"calibration of {self.device}.{self.channel} (certificate {self.certificate})"
        if not active:
            words = f"{what}: {rule} is over"
        elif left < 0:
            words = f"{what} ran out on {self.valid_until}"
        elif left == 0:
            words = f"{what} runs out today"
        else:
            words = f"{what} runs out on {self.valid_until}, in {left} days"
        return Condition(
            alarm=f"{self.device}.{self.channel}/{rule}",
            active=active,
            at_ms=now_ms,
            since_ms=now_ms,
            rule=rule,
            tier=Tier.ALERT if rule == "calibration-expired" and self.critical else Tier.MAINTENANCE,
            device=self.device,
            words=words,
            detail={"certificate": self.certificate, "valid_until": str(self.valid_until), "days_left": left},
        )


def power_loss(at_ms: int, since_ms: int, off_ms: int | None, *, active: bool) -> Condition:
    """The machine went down without being told to: the cold may have been without power as well."""
    lasted = "for an unknown time" if off_ms is None else f"for {duration(off_ms)}"
    return Condition(
        alarm="gateway/power-loss",
        active=active,
        at_ms=at_ms,
        since_ms=since_ms,
        rule="power-loss",
        tier=Tier.ALERT,
        words=f"the gateway was without power or reset {lasted}; nothing was watched meanwhile",
        detail={"off_ms": off_ms},
    )


def history_rewritten(at_ms: int, words: str, *, active: bool) -> Condition:
    """The cluster has signed what contradicts an earlier checkpoint, or this gateway's own record."""
    return Condition(
        alarm="gateway/history-rewritten",
        active=active,
        at_ms=at_ms,
        since_ms=at_ms,
        rule="history-rewritten",
        tier=Tier.ALERT,
        words=words,
    )
