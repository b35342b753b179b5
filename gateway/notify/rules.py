"""Who is told of what, and when: pure functions of the rules, an alarm and the time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo

from gateway.model import ClockClaim
from gateway.notify.facts import Facts, rank
from gateway.profile import Hours
from gateway.site import NotifySpec, OutputSpec

__all__ = ["Order", "follows_from", "matches", "opens_in_ms", "orders"]

MINUTE_MS = 60_000
DAY_MIN = 24 * 60


@dataclass(frozen=True, slots=True)
class Order:
    """One recipient is to be told, not before boot time ``due_ms``.

    ``delay`` says that the alarm has to stand until then. Outside ``times`` it goes on waiting. ``told`` says that
    it is news only to somebody who was told that the alarm was raised.
    """

    output: str
    recipient: str
    due_ms: int
    delay: bool = False
    times: tuple[Hours, ...] = ()
    told: bool = False


def orders(
    facts: Facts,
    transition: str,
    claim: ClockClaim,
    *,
    rules: Sequence[NotifySpec],
    outputs: Mapping[str, OutputSpec],
    zone: tzinfo,
) -> list[Order]:
    """Everybody whom the rules name for this transition, each once: at the earliest that one of them says."""
    found: dict[tuple[str, str], Order] = {}
    for rule in rules:
        output = outputs.get(rule.output)
        if output is None or transition not in rule.transitions or not matches(rule, facts):
            continue
        due_ms = claim.boot_ms + (round(rule.delay_s * 1000) if transition == "raised" else 0)
        due_ms += opens_in_ms(rule.times, claim, due_ms, zone)
        told = transition not in {"raised", "escalated"} and bool({"raised", "escalated"} & set(rule.transitions))
        delay = transition == "raised" and rule.delay_s > 0
        for recipient in rule.to or output.to or ("",):
            order = Order(rule.output, recipient, due_ms, delay, rule.times, told)
            known = found.get((order.output, recipient))
            if known is None or order.due_ms < known.due_ms:
                found[order.output, recipient] = order
    return list(found.values())


def matches(rule: NotifySpec, facts: Facts) -> bool:
    """Whether a rule is about this alarm, as far as it has escalated."""
    return (
        facts.tier in rule.tiers
        and facts.escalation >= rule.level
        and (not rule.points or facts.point in rule.points or facts.device in rule.points)
    )


def follows_from(facts: Facts, first: Facts | None) -> bool:
    """Whether an alarm need not be told because it follows from one that is, and that asks for no less care."""
    if not facts.group or first is None or first.alarm == facts.alarm:
        return False
    return rank(first.tier) <= rank(facts.tier) and (first.active or first.speaks)


def opens_in_ms(times: Iterable[Hours], claim: ClockClaim, at_ms: int, zone: tzinfo) -> int:
    """Milliseconds from boot time ``at_ms`` until one of the windows is open: 0 inside one, and for no windows.

    While the time of day is not known they all count as open: better told at night than not at all.
    """
    windows = tuple(times)
    utc_ms = claim.utc_at(at_ms)
    if not windows or utc_ms is None:
        return 0
    moment = datetime.fromtimestamp(utc_ms / 1000, UTC)
    local = moment.astimezone(zone)
    if any(window.hold(local.weekday(), 60 * local.hour + local.minute) for window in windows):
        return 0
    return min(_opens_after(window, moment, zone) for window in windows)


def _opens_after(window: Hours, moment: datetime, zone: tzinfo) -> int:
    """Milliseconds until the window opens next; a time that the clocks leap over is the one after the leap."""
    local = moment.astimezone(zone)
    for day in range(8):
        date = local.date() + timedelta(days=day)
        if date.weekday() not in window.days:
            continue
        begin = time(window.start_min // 60, window.start_min % 60, tzinfo=zone)
        opening = datetime.combine(date, begin).astimezone(UTC)
        if opening > moment:
            return -((moment - opening) // timedelta(milliseconds=1))
    return 7 * DAY_MIN * MINUTE_MS
