"""The alarm state machine against a simple model of it, through any order of process, people, time and restarts."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random

import pytest
from alarm_world import HEAD, device_text, layout_of, point_text, site_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.assess.alarms import AlarmEngine
from gateway.errors import OperatorError
from gateway.model import AlarmState, ClockClaim, ClockState, Condition, Event, Tier

SITE = site_of(
    HEAD
    + device_text("a")
    + device_text("b", unit=2)
    + '[[profile]]\nid = "both"\nbase = "chilled-meat"\n[profile.states.defrost]\n'
    + 'rules = ["high-alert", "high-critical"]\n\n'
    + point_text("ccp", device="a", critical=True, more='profile = "both"\n')
    + point_text("room", device="b", more='profile = "both"\n')
)
LAYOUT = layout_of(SITE)
BOOT = b"boot-id-boot-id."
EPOCH_MS = 1_790_000_000_000
RULES = (("ccp", "high-critical"), ("ccp", "high-alert"), ("room", "high-critical"), ("room", "high-alert"))
ALARMS = [f"{point}/{rule}" for point, rule in RULES]


@dataclass
class Model:
    """What the standard and the rules on top of it say of one alarm, as plainly as can be."""

    sacred: bool
    critical: bool
    active: bool = False
    waits: bool = False
    quiet: bool = False
    raised: int = 0
    shelved_until: int | None = None
    out_until: int | float | None = None

    def state(self, suppressed: bool) -> AlarmState:
        if self.out_until is not None:
            return AlarmState.OUT_OF_SERVICE
        if suppressed and not self.sacred:
            return AlarmState.SUPPRESSED
        if self.shelved_until is not None:
            return AlarmState.SHELVED
        if self.active:
            return AlarmState.UNACKNOWLEDGED if self.waits else AlarmState.ACKNOWLEDGED
        return AlarmState.RETURNED if self.waits else AlarmState.NORMAL

    def shown(self) -> None:
        if self.active:
            self.waits, self.quiet = True, False


class AlarmMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.engine = AlarmEngine(SITE, LAYOUT)
        self.now = 1000
        self.events: list[Event] = []
        self.models = {
            f"{point}/{name}": Model(point == "ccp" and "critical" in name, "critical" in name)
            for point, name in RULES
        }
        self.defrost: dict[str, int] = {}
        self.last: dict[str, int] = {}
        self.tick(0)
        self.engine.register((self.condition(alarm, False) for alarm in ALARMS), "limits")

    def condition(self, alarm: str, active: bool) -> Condition:
        point, _, name = alarm.partition("/")
        return Condition(
            alarm=alarm,
            active=active,
            at_ms=self.now,
            since_ms=self.now,
            rule=name,
            tier=Tier.CRITICAL if "critical" in name else Tier.ALERT,
            point=point,
            device="a" if point == "ccp" else "b",
        )

    def suppressed(self, alarm: str) -> bool:
        return alarm.partition("/")[0] in self.defrost and not self.models[alarm].sacred

    def state(self, alarm: str) -> AlarmState:
        return self.models[alarm].state(self.suppressed(alarm))

    def hidden(self, alarm: str) -> bool:
        held = {AlarmState.OUT_OF_SERVICE, AlarmState.SUPPRESSED, AlarmState.SHELVED}
        return self.state(alarm) in held

    def refused(self, call: object, *arguments: object, **named: object) -> bool:
        try:
            self.events += call(*arguments, **named)  # type: ignore[operator]
        except OperatorError as error:
            return bool(error.remedy)
        return False

    # process

    @rule(alarm=st.sampled_from(ALARMS), active=st.booleans())
    def feed(self, alarm: str, active: bool) -> None:
        model = self.models[alarm]
        self.now += 1
        found = self.engine.feed(self.condition(alarm, active), "limits")
        self.events += found
        if active == model.active:
            assert found == []
            return
        model.active = active
        if active:
            if model.sacred:
                model.shelved_until = None
            by_design = model.out_until is not None or self.state(alarm) is AlarmState.SUPPRESSED
            model.waits, model.quiet, model.raised = True, by_design, model.raised + 1
        elif model.quiet:
            model.waits = False
        assert found[0 if not active else -1].data["alarm"] == alarm

    @rule(ms=st.sampled_from([1000, 60_000, 30 * 60_000, 3 * 3_600_000]))
    def tick(self, ms: int) -> None:
        self.now += ms
        claim = ClockClaim(BOOT, self.now, EPOCH_MS + self.now, 5, ClockState.TRUSTED)
        self.events += self.engine.tick(claim)
        for point in [point for point, until in self.defrost.items() if until <= self.now]:
            self.end(point)
        for alarm, model in self.models.items():
            if model.shelved_until is not None and model.shelved_until <= self.now:
                model.shelved_until = None
                if not self.hidden(alarm):
                    model.shown()
            if model.out_until is not None and model.out_until <= self.now:
                model.out_until = None
                if not self.hidden(alarm):
                    model.shown()

    def end(self, point: str) -> None:
        was = [alarm for alarm in ALARMS if self.suppressed(alarm) and alarm.startswith(f"{point}/")]
        del self.defrost[point]
        for alarm in was:
            if not self.hidden(alarm):
                self.models[alarm].shown()

    # people

    @rule(alarm=st.sampled_from(ALARMS))
    def acknowledge(self, alarm: str) -> None:
        model = self.models[alarm]
        assert self.refused(self.engine.acknowledge, alarm, "Ann", "", self.now) == (not model.waits)
        model.waits = False

    @rule(alarm=st.sampled_from(ALARMS))
    def confirm(self, alarm: str) -> None:
        model = self.models[alarm]
        assert self.refused(self.engine.confirm, alarm, "Ann", "done", self.now) == (model.raised == 0)
        if model.raised:
            model.waits = False

    @rule(alarm=st.sampled_from(ALARMS), for_s=st.sampled_from([60.0, 3600.0, 4 * 3600.0, 9 * 3600.0]))
    def shelve(self, alarm: str, for_s: float) -> None:
        model = self.models[alarm]
        longest = 3600.0 if model.sacred else 8 * 3600.0
        allowed = not self.hidden(alarm) and for_s <= longest
        if model.sacred:
            allowed = allowed and model.active and not model.waits
        assert self.refused(self.engine.shelve, alarm, "Ann", "noise", for_s, self.now) == (not allowed)
        if allowed:
            model.shelved_until = self.now + round(for_s * 1000)

    @rule(alarm=st.sampled_from(ALARMS))
    def unshelve(self, alarm: str) -> None:
        model = self.models[alarm]
        refused = self.refused(self.engine.unshelve, alarm, "Ann", "", self.now)
        assert refused == (model.shelved_until is None)
        if not refused:
            model.shelved_until = None
            if not self.hidden(alarm):
                model.shown()

    @rule(alarm=st.sampled_from(ALARMS), for_s=st.sampled_from([None, 3600.0, 2 * 86400.0]))
    def out_of_service(self, alarm: str, for_s: float | None) -> None:
        model = self.models[alarm]
        allowed = model.out_until is None and not (model.sacred and (for_s is None or for_s > 86400))
        refused = self.refused(self.engine.out_of_service, alarm, "Ann", "new probe", self.now, for_s)
        assert refused == (not allowed)
        if allowed:
            model.out_until = float("inf") if for_s is None else self.now + round(for_s * 1000)
            model.shelved_until = None

    @rule(alarm=st.sampled_from(ALARMS))
    def in_service(self, alarm: str) -> None:
        model = self.models[alarm]
        refused = self.refused(self.engine.in_service, alarm, "Ann", "", self.now)
        assert refused == (model.out_until is None)
        if not refused:
            model.out_until = None
            if not self.hidden(alarm):
                model.shown()

    @rule(point=st.sampled_from(["ccp", "room"]), for_s=st.sampled_from([600.0, 2700.0, 3600.0]))
    def declare(self, point: str, for_s: float) -> None:
        too_soon = point in self.last and self.now - self.last[point] < 2 * 3_600_000
        allowed = point not in self.defrost and for_s <= 2700 and not too_soon
        refused = self.refused(self.engine.declare, point, "defrost", "Ann", "", for_s=for_s, at_ms=self.now)
        assert refused == (not allowed)
        if allowed:
            self.defrost[point] = self.now + round(for_s * 1000)
            self.last[point] = self.now

    @rule(point=st.sampled_from(["ccp", "room"]))
    def end_state(self, point: str) -> None:
        refused = self.refused(self.engine.end_state, point, "defrost", "Ann", "", self.now)
        assert refused == (point not in self.defrost)
        if not refused:
            self.end(point)

    @rule()
    def kill(self) -> None:
        """kill -9, and a start with what the journal held."""
        self.engine = AlarmEngine(SITE, LAYOUT, self.engine.memory())
        self.tick(0)
        self.engine.register((self.condition(alarm, False) for alarm in ALARMS), "limits")

    # what always holds

    @invariant()
    def the_engine_says_what_the_model_says(self) -> None:
        if not hasattr(self, "models"):
            return
        for alarm, model in self.models.items():
            found = self.engine.alarm(alarm)
            assert found.state is self.state(alarm), alarm
            assert found.active == model.active
            assert found.occurrence == model.raised
        shown = {alarm.id for alarm in self.engine.alarms}
        assert shown == {alarm for alarm in ALARMS if self.state(alarm) is not AlarmState.NORMAL}

    @invariant()
    def a_critical_limit_of_a_critical_point_is_never_suppressed(self) -> None:
        if hasattr(self, "engine"):
            assert self.engine.alarm("ccp/high-critical").state is not AlarmState.SUPPRESSED

    @invariant()
    def every_event_has_every_key(self) -> None:
        for event in getattr(self, "events", ()):
            if event.kind.startswith("alarm."):
                assert set(event.data) == KEYS
                assert event.data["words"] or event.kind in {"alarm.raised", "alarm.returned"}
        if hasattr(self, "events"):
            self.events.clear()


KEYS = {
    "alarm",
    "occurrence",
    "state",
    "active",
    "rule",
    "tier",
    "point",
    "device",
    "value",
    "limit",
    "unit",
    "since_ms",
    "raised_ms",
    "group",
    "escalation",
    "person",
    "text",
    "until_ms",
    "words",
    "detail",
}

TestAlarmMachine = AlarmMachine.TestCase
TestAlarmMachine.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("seed", range(4))
def test_long_walks_in_which_everything_happens_often(seed: int) -> None:
    """Hypothesis shrinks what fails, but spends its steps on few rules; this does not shrink, but goes far."""
    random = Random(seed)
    for _ in range(30):
        machine = AlarmMachine()
        machine.begin()
        for _ in range(60):
            alarm, point = random.choice(ALARMS), random.choice(["ccp", "room"])
            steps: list[Callable[[], None]] = [
                partial(machine.feed, alarm, random.random() < 0.6),
                partial(machine.feed, alarm, random.random() < 0.6),
                partial(machine.tick, random.choice([1000, 60_000, 30 * 60_000, 3 * 3_600_000])),
                partial(machine.acknowledge, alarm),
                partial(machine.confirm, alarm),
                partial(machine.shelve, alarm, random.choice([60.0, 3600.0, 4 * 3600.0])),
                partial(machine.unshelve, alarm),
                partial(machine.out_of_service, alarm, random.choice([None, 3600.0])),
                partial(machine.in_service, alarm),
                partial(machine.in_service, alarm),
                partial(machine.declare, point, random.choice([600.0, 2700.0])),
                partial(machine.end_state, point),
                machine.kill,
            ]
            random.choice(steps)()
            machine.the_engine_says_what_the_model_says()
            machine.a_critical_limit_of_a_critical_point_is_never_suppressed()
            machine.every_event_has_every_key()
