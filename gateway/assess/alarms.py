"""The alarm engine: conditions and what people do about them become alarms and events, by ANSI/ISA-18.2.

Pure: times come in, events go out. Holding an alarm back (shelved by a person, suppressed by design in a declared
state, out of service) never stops its evaluation: its occurrences stand in the record. Rules beyond the standard,
because food is at stake:

- No declared state holds back a critical limit of a critical point.
- Shelving does not outlast the excursion it was meant for: a new critical excursion of a critical point ends it.
  What is critical at a critical point can be shelved only once it is acknowledged, and for an hour at most; it can
  be taken out of service only with an end, within a day.
- Whatever ends a hold: an alarm that is still active then is unacknowledged again. What came and went while shelved
  waits for an acknowledgement; what came and went suppressed by design or out of service does not.
- A critical alarm that returned to normal before anybody acknowledged it goes on to escalate.
"""

from collections.abc import Iterable, Mapping
from math import inf
from typing import Any

from gateway.assess.bootline import BootLine, Move
from gateway.assess.entry import Entry, Hold
from gateway.assess.groups import Groups
from gateway.assess.memory import pack, unpack
from gateway.assess.operator import LOOK, hold_for, named, written_text
from gateway.assess.rates import AlarmRates
from gateway.assess.sentences import duration
from gateway.assess.states import DeclaredStates
from gateway.errors import OperatorError, StorageError
from gateway.model import Alarm, AlarmState, ClockClaim, Condition, Event, Layout, Tier
from gateway.site import Site

__all__ = ["AlarmEngine"]

NAME = "alarms"
VERSION = 1
MOST_ESCALATIONS = 3
CRITICAL_SHELVING_S = 3600.0
CRITICAL_OUT_S = 86400.0
SECONDS_MS = 1000


class AlarmEngine:
    """All alarms of one gateway. ``memory`` is what `memory` gave an earlier process."""

    def __init__(self, site: Site, layout: Layout, memory: bytes | None = None) -> None:
        self._spec = site.alarms
        self._critical = {point.id for point in site.points if point.critical}
        self._names = {point.id: point.name for point in site.points}
        self._groups = Groups(site, layout)
        self.states = DeclaredStates(site)
        self.rates = AlarmRates()
        self._entries: dict[str, Entry] = {}
        self._open: set[str] = set()
        """Alarms with something that time can change."""
        self.due_ms = 0.0
        """Before this nothing is to be done by `tick`."""
        self._line = BootLine()
        self._newest_ms = 0
        self._touched = True
        self._packed = memory
        if memory is not None:
            self._load(memory)

    # what pages read

    @property
    def alarms(self) -> list[Alarm]:
        """Every alarm that is not normal, newest first."""
        shown = [entry.alarm() for entry in self._entries.values() if entry.state is not AlarmState.NORMAL]
        return sorted(shown, key=lambda alarm: -alarm.raised_ms)

    @property
    def everything(self) -> list[Alarm]:
        """Every alarm that is known, the normal ones included, by its id."""
        return [self._entries[alarm].alarm() for alarm in sorted(self._entries)]

    @property
    def without_action(self) -> list[str]:
        """Critical alarms whose newest occurrence has no corrective action on record yet."""
        return [alarm for alarm, entry in self._entries.items() if not entry.confirmed]

    def alarm(self, alarm: str) -> Alarm:
        """One alarm, whatever its state; raises `OperatorError` for one that there is not."""
        return self._find(alarm).alarm()

    @property
    def owners(self) -> set[str]:
        """Where the active alarms come from."""
        return {entry.judge for entry in self._entries.values() if entry.active}

    def standing(self, judge: str) -> Mapping[str, Condition]:
        """The conditions of active alarms that come from one judge."""
        return {
            alarm: entry.condition
            for alarm, entry in self._entries.items()
            if entry.active and entry.judge == judge
        }

    # conditions

    def register(self, conditions: Iterable[Condition], judge: str) -> None:
        """Make alarms known that can come, so that they can be shelved or taken out of service before."""
        for condition in conditions:
            if condition.alarm not in self._entries:
                entry = self._entries[condition.alarm] = Entry(condition, judge)
                entry.suppressed = self._suppression(entry)

    def feed(self, condition: Condition, judge: str = "") -> list[Event]:
        """A condition became so, or is so no longer. What is known already gives no event."""
        at_ms = condition.at_ms
        if self._line.begun_ms is None:
            self._move(self._line.begin(None, at_ms))
        self._newest_ms = max(self._newest_ms, at_ms)
        entry = self._entries.get(condition.alarm)
        if entry is None:
            entry = self._entries[condition.alarm] = Entry(condition, judge)
            entry.suppressed = self._suppression(entry)
        entry.judge = judge or entry.judge
        if condition.active == entry.active:
            if condition.active:
                entry.condition = condition
            return []
        entry.condition = condition
        events = self._raise(entry, at_ms) if condition.active else self._return(entry, at_ms)
        self._note(entry)
        return events

    def _raise(self, entry: Entry, at_ms: int) -> list[Event]:
        events = []
        if entry.shelved is not None and self._sacred(entry):
            entry.shelved = None
            words = f"{self._name(entry)}: shelving ends, a new critical excursion began"
            events.append(entry.event("alarm.unshelved", at_ms, words))
        entry.active, entry.acknowledged, entry.quietly = True, False, entry.by_design
        entry.confirmed = entry.condition.tier is not Tier.CRITICAL
        entry.occurrence += 1
        entry.raised_ms = entry.waits_ms = entry.newest_ms = at_ms
        entry.returned_ms, entry.escalation = None, 0
        entry.person = entry.text = ""
        leader = None if entry.hidden else self._groups.leader(entry, self._entries.values(), self._spec.group_s)
        entry.group = None if leader is None else leader.condition.alarm
        events.append(entry.event("alarm.raised", at_ms, entry.condition.words))
        if leader is not None:
            leader.newest_ms = at_ms
            words = f"{self._name(entry)} follows from {self._name(leader)}"
            events.append(entry.event("alarm.grouped", at_ms, words))
        if not entry.hidden:
            self.rates.raised(entry.condition.alarm, at_ms)
        return events

    def _return(self, entry: Entry, at_ms: int) -> list[Event]:
        entry.active, entry.returned_ms = False, at_ms
        if entry.quietly:
            entry.acknowledged = entry.confirmed = True
        return [entry.event("alarm.returned", at_ms, entry.condition.words)]

    def tick(self, claim: ClockClaim) -> list[Event]:
        """Ends of holds and escalations; call it about once a second."""
        now_ms = claim.boot_ms
        if self._line.begun_ms is None:
            self._move(self._line.begin(claim.boot, now_ms))
        self._move(self._line.clock(claim))
        if now_ms < self.due_ms:
            return []
        events: list[Event] = []
        for state in self.states.over(now_ms):
            events += self._end_state(state.point, state.kind, now_ms, None, None)
        for alarm in tuple(self._open):
            entry = self._entries[alarm]
            if entry.shelved is not None and entry.shelved.over(now_ms):
                entry.shelved = None
                events.append(self._shown(entry, "alarm.unshelved", now_ms, "the time of its shelving is over"))
            if entry.out is not None and entry.out.over(now_ms):
                entry.out = None
                events.append(self._shown(entry, "alarm.in-service", now_ms, "its time out of service is over"))
            if (event := self._escalate(entry, now_ms)) is not None:
                events.append(event)
            self._note(entry, touched=bool(events))
        self.due_ms = min((self._due(self._entries[alarm]) for alarm in self._open), default=inf)
        self.due_ms = min(self.due_ms, self.states.next_end_ms)
        return events

    def _due(self, entry: Entry) -> float:
        """When time alone next changes an alarm."""
        ends = [hold.until_ms for hold in (entry.shelved, entry.out) if hold is not None]
        due_ms = min((end for end in ends if end is not None), default=inf)
        after_s = self._waits_for_s(entry)
        return due_ms if after_s is None else min(due_ms, entry.waits_ms + after_s * SECONDS_MS)

    def _waits_for_s(self, entry: Entry) -> float | None:
        """Seconds after which it escalates; None where it does not."""
        tier = entry.condition.tier
        if entry.acknowledged or entry.hidden or entry.escalation >= MOST_ESCALATIONS:
            return None
        return self._spec.escalate_s.get(tier.value) if entry.active or tier is Tier.CRITICAL else None

    def _escalate(self, entry: Entry, now_ms: int) -> Event | None:
        after_s = self._waits_for_s(entry)
        if after_s is None or now_ms - entry.waits_ms < after_s * SECONDS_MS:
            return None
        entry.escalation += 1
        entry.waits_ms = now_ms
        waited = duration(now_ms - entry.raised_ms)
        words = f"{self._name(entry)}: nobody has acknowledged it for {waited} (escalation {entry.escalation})"
        return entry.event("alarm.escalated", now_ms, words)

    # people

    def acknowledge(self, alarm: str, person: str, text: str, at_ms: int, *, group: bool = False) -> list[Event]:
        """Somebody has taken note. ``group``: of all that follow from it as well."""
        entry, person = self._find(alarm), named(person)
        text = written_text(text)
        if entry.acknowledged:
            raise OperatorError(f"{alarm} is {entry.state.value}: nothing waits for an acknowledgement", LOOK)
        events = [self._acknowledge(entry, person, text, at_ms)]
        if group:
            events += [
                self._acknowledge(member, person, text, at_ms)
                for member in self._entries.values()
                if member.group == alarm and not member.acknowledged
            ]
        return events

    def _acknowledge(self, entry: Entry, person: str, text: str, at_ms: int) -> Event:
        entry.acknowledged, entry.person, entry.text = True, person, text
        self._note(entry)
        return entry.event("alarm.acknowledged", at_ms, f"{person} acknowledged {self._name(entry)}", person, text)

    def confirm(self, alarm: str, person: str, text: str, at_ms: int) -> list[Event]:
        """What was done about it (OPC UA: confirm). Acknowledges, too, where that had not been done."""
        entry, person = self._find(alarm), named(person)
        text = written_text(text, "a corrective action", 'write what was done: "door shut, product core 4.8 C"')
        if not entry.occurrence:
            raise OperatorError(f"{alarm} has never been raised", "record an action without an alarm instead")
        events = [] if entry.acknowledged else [self._acknowledge(entry, person, text, at_ms)]
        entry.confirmed, entry.person, entry.text = True, person, text
        self._note(entry)
        words = f"{person} recorded a corrective action for {self._name(entry)}"
        return [*events, entry.event("alarm.confirmed", at_ms, words, person, text)]

    def shelve(self, alarm: str, person: str, text: str, for_s: float, at_ms: int) -> list[Event]:
        """Hide an alarm for a while, with a reason."""
        entry, person = self._find(alarm), named(person)
        text = written_text(text, "a reason", "say why it may be hidden")
        if entry.hidden:
            raise OperatorError(f"{alarm} is {entry.state.value} already", "end that first")
        longest_s = self._spec.longest_shelving_s
        if self._sacred(entry):
            longest_s = min(longest_s, CRITICAL_SHELVING_S)
            if not (entry.active and entry.acknowledged):
                what = f"{alarm} is a critical limit of a critical point, and {entry.state.value}"
                raise OperatorError(what, "only an active one that is acknowledged can be shelved")
        entry.shelved = hold_for(at_ms, for_s, longest_s)
        self._note(entry)
        words = f"{person} shelved {self._name(entry)} for {duration(for_s * SECONDS_MS)}: {text}"
        return [entry.event("alarm.shelved", at_ms, words, person, text)]

    def unshelve(self, alarm: str, person: str, text: str, at_ms: int) -> list[Event]:
        """End shelving before its time."""
        entry, person = self._find(alarm), named(person)
        if entry.shelved is None:
            raise OperatorError(f"{alarm} is not shelved, it is {entry.state.value}", LOOK)
        entry.shelved = None
        by = person, written_text(text)
        return [self._shown(entry, "alarm.unshelved", at_ms, f"{person} ended its shelving", by=by)]

    def out_of_service(
        self, alarm: str, person: str, text: str, at_ms: int, for_s: float | None = None
    ) -> list[Event]:
        """Take an alarm out of service for maintenance: until ``for_s`` is over, or until it is put back."""
        entry, person = self._find(alarm), named(person)
        text = written_text(text, "a reason", "say what is being done")
        if entry.out is not None:
            raise OperatorError(f"{alarm} is out of service already", "put it in service first")
        if self._sacred(entry) and (for_s is None or for_s > CRITICAL_OUT_S):
            what = f"{alarm} is a critical limit of a critical point: it cannot be out of service without an end"
            raise OperatorError(what, f"give a time of {duration(CRITICAL_OUT_S * SECONDS_MS)} or less")
        entry.out = Hold(at_ms, None) if for_s is None else hold_for(at_ms, for_s, 366 * 86400.0)
        entry.shelved = None
        self._note(entry)
        words = f"{person} took {self._name(entry)} out of service: {text}"
        return [entry.event("alarm.out-of-service", at_ms, words, person, text)]

    def in_service(self, alarm: str, person: str, text: str, at_ms: int) -> list[Event]:
        """Put an alarm back in service."""
        entry, person = self._find(alarm), named(person)
        if entry.out is None:
            raise OperatorError(f"{alarm} is not out of service, it is {entry.state.value}", LOOK)
        entry.out = None
        by = person, written_text(text)
        return [self._shown(entry, "alarm.in-service", at_ms, f"{person} put it in service", by=by)]

    def declare(self, point: str, kind: str, person: str, text: str, *, for_s: float, at_ms: int) -> list[Event]:
        """A state of a point is declared: what its profile allows rests, never a critical limit of a CCP."""
        person, text = named(person), written_text(text)
        state = self.states.declare(point, kind, for_s, at_ms)
        words = f"{person} declared {kind} of {self._names[point]} for {duration(for_s * SECONDS_MS)}"
        events = [state.event("state.declared", at_ms, words, person, text)]
        for entry in self._entries.values():
            before = entry.state
            entry.suppressed = self._suppression(entry)
            if entry.state is AlarmState.SUPPRESSED and before not in {AlarmState.SUPPRESSED, AlarmState.NORMAL}:
                words = f"{self._name(entry)} is suppressed by design: {kind}"
                events.append(entry.event("alarm.suppressed", at_ms, words, person, text))
            self._note(entry)
        return events

    def end_state(self, point: str, kind: str, person: str, text: str, at_ms: int) -> list[Event]:
        """A declared state ends before its time."""
        return self._end_state(point, kind, at_ms, named(person), written_text(text))

    def _end_state(self, point: str, kind: str, at_ms: int, person: str | None, text: str | None) -> list[Event]:
        state = self.states.end(point, kind)
        why = f"{person} ended it" if person is not None else "its time is over"
        events = [state.event("state.ended", at_ms, f"{kind} of {self._names[point]}: {why}", person, text)]
        for entry in self._entries.values():
            if entry.suppressed is None:
                continue
            entry.suppressed = self._suppression(entry)
            if entry.suppressed is None and (entry.active or not entry.acknowledged):
                events.append(self._shown(entry, "alarm.unsuppressed", at_ms, f"{kind} is over", by=(person, text)))
            self._note(entry)
        return events

    # the parts of it

    def _shown(
        self, entry: Entry, kind: str, at_ms: int, why: str, *, by: tuple[str | None, str | None] = (None, None)
    ) -> Event:
        """A hold ended: what is active must be looked at again."""
        if entry.active and not entry.hidden:
            entry.acknowledged = entry.quietly = False
            entry.waits_ms = at_ms
            self.rates.raised(entry.condition.alarm, at_ms)
        self._note(entry)
        return entry.event(kind, at_ms, f"{self._name(entry)}: {why}", *by)

    def _sacred(self, entry: Entry) -> bool:
        """A critical limit of a critical point."""
        return entry.condition.tier is Tier.CRITICAL and entry.condition.point in self._critical

    def _suppression(self, entry: Entry) -> Hold | None:
        if entry.condition.point is None or self._sacred(entry):
            return None
        return self.states.hold(entry.condition.point, entry.condition.rule)

    def _name(self, entry: Entry) -> str:
        subject = entry.condition.point or entry.condition.device
        name = self._names.get(subject or "", subject or "the gateway")
        return f"{name}, {entry.condition.rule}"

    def _find(self, alarm: str) -> Entry:
        entry = self._entries.get(alarm)
        if entry is None:
            raise OperatorError(f"there is no alarm {alarm!r}", LOOK)
        return entry

    def _note(self, entry: Entry, *, touched: bool = True) -> None:
        self._touched |= touched
        self.due_ms = 0.0
        if entry.hidden or not entry.acknowledged:
            self._open.add(entry.condition.alarm)
        else:
            self._open.discard(entry.condition.alarm)

    # restart

    def _move(self, move: Move | None) -> None:
        if move is None:
            return
        for entry in self._entries.values():
            entry.move(move)
        self.states.move(move)
        self._touched, self.due_ms = True, 0.0

    def memory(self) -> bytes | None:
        """What a restart needs; the same bytes while nothing has changed. Holds go on by what is known of time."""
        if self._line.begun_ms is None and self._packed is not None:
            return self._packed
        if self._packed is None or self._touched:
            self._touched = False
            data = {
                **self._line.head(self._newest_ms),
                "alarms": {alarm: entry.save() for alarm, entry in self._entries.items() if entry.kept},
                "states": self.states.save(),
            }
            self._packed = pack(NAME, VERSION, data)
        return self._packed

    def refresh(self) -> None:
        """Let the next `memory` carry the present time, if something is under way: a reboot counts from there."""
        if self._open or self.states.any:
            self._touched = True

    def _load(self, memory: bytes) -> None:
        data: Mapping[str, Any] = unpack(NAME, VERSION, memory)
        try:
            entries = {alarm: Entry.load(alarm, saved) for alarm, saved in data["alarms"].items()}
            self._line.load(data)
            self.states.load(data["states"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StorageError(
                "what was kept for alarms makes no sense", "nothing to do: it begins anew"
            ) from error
        self._entries = entries
        for entry in entries.values():
            # What may be suppressed follows from the site file of today, not of yesterday.
            entry.suppressed = self._suppression(entry)
            self._note(entry)
