"""From what happened to what is queued: the rules applied to each alarm, in the transaction that remembers it."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import tzinfo

from gateway.model import Alarm, AlarmState, ClockClaim, Event
from gateway.notify.facts import AGAIN, KINDS, Facts, missed, rank
from gateway.notify.rules import Order, follows_from, matches, opens_in_ms, orders
from gateway.notify.store import Row, Store
from gateway.site import NotifySpec, OutputSpec

__all__ = ["Desk"]

log = logging.getLogger(__name__)

MOST_WAITING = 2000
"""Open notices of one output beyond which only critical ones are taken; what is refused is on record."""
MOST_CRITICAL = 10_000


class Desk:
    """Works on a store, which each method is given; all of them run in the store's thread."""

    def __init__(
        self,
        outputs: Mapping[str, OutputSpec],
        rules: Sequence[NotifySpec],
        zone: tzinfo,
        *,
        most: int = MOST_WAITING,
        most_critical: int = MOST_CRITICAL,
    ) -> None:
        self._sending = {name: output for name, output in outputs.items() if output.sends}
        self._rules = rules
        self._zone = zone
        self._most = most
        self._most_critical = most_critical

    def take(self, store: Store, events: Sequence[Event], claim: ClockClaim) -> list[Row]:
        """Events of alarms, in order. Returns the notices that there was no room for."""
        refused: list[Row] = []
        with store.change():
            for event in events:
                transition = KINDS.get(event.kind)
                if transition is None:
                    continue
                try:
                    facts = Facts.of_event(event, claim)
                except (KeyError, TypeError, ValueError):
                    log.exception("an event %s cannot be understood, and nobody is told of it", event.kind)
                    continue
                facts = facts.following(store.alarm(facts.alarm), anew=event.kind == "alarm.raised")
                again = f"-again-{claim.boot.hex()}-{event.at_ms}" if event.kind in AGAIN else ""
                refused += self._happened(store, facts, [transition] if transition else [], claim, again=again)
            store.prune()
        return refused

    def resync(self, store: Store, alarms: Iterable[Alarm], claim: ClockClaim) -> list[Row]:
        """What stands, as the alarm engine has it after a restart: whatever was missed is told now."""
        refused: list[Row] = []
        with store.change():
            seen = set()
            for alarm in alarms:
                seen.add(alarm.id)
                before = store.alarm(alarm.id)
                facts = Facts.of_alarm(alarm, claim).following(before, anew=False)
                refused += self._happened(store, facts, missed(before, facts), claim)
            for before in store.alarms():
                if before.alarm in seen or before.state == AlarmState.NORMAL.value:
                    continue
                facts = replace(
                    before,
                    state=AlarmState.NORMAL.value,
                    active=False,
                    value=None,
                    limit=None,
                    words="It is no longer among the alarms that stand",
                )
                refused += self._happened(store, facts, ["returned"] if before.active else [], claim)
        return refused

    def _happened(
        self, store: Store, facts: Facts, transitions: Sequence[str], claim: ClockClaim, *, again: str = ""
    ) -> list[Row]:
        refused: list[Row] = []
        first = store.alarm(facts.group) if facts.group else None
        silent = follows_from(facts, first)
        store.put_alarm(facts)
        self._cancel_moot(store, facts, silent)
        for transition in transitions:
            if transition in {"raised", "escalated"} and (silent or not facts.speaks):
                continue
            for order in orders(
                facts, transition, claim, rules=self._rules, outputs=self._sending, zone=self._zone
            ):
                row = _row(facts, transition, order, claim)
                if again and store.told(row):
                    row = row._replace(key=row.key + again)
                if order.told and not store.told(row):
                    continue
                if not self._has_room(store, row):
                    row = row._replace(state="failed", error="the queue of this output is full")
                    refused.append(row)
                store.add(row)
        return refused

    def _cancel_moot(self, store: Store, facts: Facts, silent: bool) -> None:
        """What is still held for an alarm that needs nobody any more is not told."""
        gone = [
            row.id
            for row in store.open_of(facts.alarm)
            if row.state == "held" and row.transition in {"raised", "escalated"} and _moot(row, facts, silent)
        ]
        store.mark(gone, "cancelled", "the alarm was over, or taken up, before it was due")

    def _has_room(self, store: Store, row: Row) -> bool:
        count = store.count_open(row.output)
        return count < (self._most_critical if row.rank == 0 else self._most)

    def release(self, store: Store, output: str, claim: ClockClaim) -> int | None:
        """Let go of what was held and is due; returns the boot time at which the next is, None for none."""
        next_ms: int | None = None
        held = store.held(output)
        if not held:
            return None
        with store.change():
            for row in held:
                due_ms = row.due_ms
                if due_ms <= claim.boot_ms:
                    wait_ms = opens_in_ms(row.times, claim, claim.boot_ms, self._zone)
                    if not wait_ms:
                        self._let_go(store, row, claim)
                        continue
                    due_ms = claim.boot_ms + wait_ms
                    store.postpone([row.id], due_ms)
                next_ms = due_ms if next_ms is None else min(next_ms, due_ms)
        return next_ms

    def _let_go(self, store: Store, row: Row, claim: ClockClaim) -> None:
        now = store.alarm(row.alarm)
        if row.transition in {"raised", "escalated"} and (now is None or _moot(row, now, silent=False)):
            store.mark([row.id], "cancelled", "the alarm was over, or taken up, before it was due")
        elif row.told and not store.told(row):
            store.mark([row.id], "cancelled", "the recipient was not told of the alarm itself")
        else:
            store.release(row.id, claim.boot, claim.boot_ms, claim.utc_ms)

    def standing(
        self, store: Store, output: str, claim: ClockClaim
    ) -> tuple[list[Facts], list[Facts], list[Facts], int | None]:
        """For an output that shows a state: what waits for a person, what is active, what is over.

        Last the boot time at which a delay or the time of day changes that, None for never.
        """
        rules = [rule for rule in self._rules if rule.output == output]
        speaking, active, over = [], [], []
        next_ms: int | None = None
        for facts in store.alarms():
            mine = [rule for rule in rules if matches(rule, facts)]
            if not mine:
                continue
            silent = follows_from(facts, store.alarm(facts.group) if facts.group else None)
            wait_ms = min(self._due_in_ms(rule, facts, claim) for rule in mine)
            if wait_ms and facts.speaks:
                next_ms = _earlier(next_ms, claim.boot_ms + wait_ms)
            quiet = silent or wait_ms > 0
            if facts.speaks and not quiet:
                speaking.append(facts)
            if facts.active and not quiet and facts.state in _SHOWN:
                active.append(facts)
            if not (facts.speaks or facts.active) or quiet or facts.state not in _SHOWN:
                over.append(facts)
        return speaking, active, over, next_ms

    def _due_in_ms(self, rule: NotifySpec, facts: Facts, claim: ClockClaim) -> int:
        """How long the rule still holds an alarm back; what is of an earlier boot has stood long enough."""
        wait_ms = 0
        if facts.boot == claim.boot.hex() and facts.raised_ms is not None:
            wait_ms = max(0, facts.raised_ms + round(rule.delay_s * 1000) - claim.boot_ms)
        return wait_ms + opens_in_ms(rule.times, claim, claim.boot_ms + wait_ms, self._zone)


_SHOWN = {AlarmState.UNACKNOWLEDGED.value, AlarmState.ACKNOWLEDGED.value, AlarmState.RETURNED.value}


def _moot(row: Row, now: Facts, silent: bool) -> bool:
    """Whether a held notice has lost its point: another occurrence, taken up, over, or part of another alarm.

    An alarm that returned by itself is still told when only the time of day held it back: nobody has seen it yet.
    """
    if not now.same_occurrence(row.facts) or now.handled or silent:
        return True
    return row.delay and not now.active


def _earlier(one: int | None, other: int) -> int:
    return other if one is None else min(one, other)


def _row(facts: Facts, transition: str, order: Order, claim: ClockClaim) -> Row:
    level = f"-{facts.escalation}" if transition == "escalated" else ""
    key = f"{facts.alarm} {facts.epoch}.{facts.occurrence} {transition}{level} {order.output} {order.recipient}"
    return Row(
        id=0,
        key=key,
        output=order.output,
        recipient=order.recipient,
        alarm=facts.alarm,
        transition=transition,
        rank=rank(facts.tier),
        state="held" if order.due_ms > claim.boot_ms else "waiting",
        delay=order.delay,
        times=order.times,
        told=order.told,
        boot=claim.boot,
        accepted_ms=claim.boot_ms,
        accepted_utc_ms=claim.utc_ms,
        due_ms=order.due_ms,
        tries=0,
        error="",
        facts=facts,
    )
