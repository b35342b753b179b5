"""Alarms over people, time, kills and reboots; first-out groups; rates; a judge that raises."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from alarm_world import HEAD, MINUTE, World, device_text, point_text

from gateway.assess.limits import LimitJudge
from gateway.assess.station import JUDGES
from gateway.errors import OperatorError
from gateway.model import AlarmState, ClockClaim, Condition, Event, Layout, Miss, Scan, Tier
from gateway.site import Site

HOUR = 60 * MINUTE
LIMITS = "[point.limits]\nhigh-critical = 8.0\nhigh-alert = 5.0\n"
STATES = """\
[[profile]]
id = "room"
unit = "degC"
[profile.limits]
high-critical = 8.0
high-alert = 5.0
[profile.states.defrost]
rules = ["high-alert", "high-critical"]
longest = "30min"
every = "1h"
"""


def room(*, critical: bool = True) -> World:
    text = HEAD + STATES + device_text("room") + point_text("room", critical=critical, more='profile = "room"\n')
    return World(text)


def refusal(call: Any, *arguments: Any, **named: Any) -> OperatorError:
    with pytest.raises(OperatorError) as refused:
        call(*arguments, **named)
    assert refused.value.what
    assert refused.value.remedy
    return refused.value


# people


def test_raised_acknowledged_confirmed_closed_with_a_kill_at_every_step() -> None:
    world = room()

    def kill() -> None:
        world.keep()
        world.restart()

    world.run(9.0)
    kill()
    assert world.assess.alarms[0].state is AlarmState.UNACKNOWLEDGED
    world.assess.acknowledge("room/high-critical", "Ann Baker", "on my way")
    kill()
    alarm = world.assess.engine.alarm("room/high-critical")
    assert (alarm.state, alarm.person, alarm.text) == (AlarmState.ACKNOWLEDGED, "Ann Baker", "on my way")
    world.run(3.0)
    kill()
    assert world.assess.engine.without_action == ["room/high-critical"]
    world.assess.confirm("room/high-critical", "Ann Baker", "door shut, core 4.1 C")
    kill()
    assert world.assess.engine.without_action == []
    assert world.assess.engine.alarm("room/high-critical").state is AlarmState.NORMAL
    kinds = [kind for kind in world.kinds() if kind.endswith("high-critical")]
    assert kinds == [f"{kind} room/high-critical" for kind in ("raised", "acknowledged", "returned", "confirmed")]


def test_what_cannot_be_done_is_refused_with_what_can() -> None:
    assess = room().assess
    refusal(assess.acknowledge, "room/high-criticall", "Ann")
    refusal(assess.acknowledge, "room/high-critical", "Ann")
    refusal(assess.acknowledge, "room/high-critical", "   ")
    refusal(assess.confirm, "room/high-critical", "Ann", "done")
    refusal(assess.shelve, "room/high-alert", "Ann", "", 60.0)
    refusal(assess.shelve, "room/high-alert", "Ann", "noise", float("nan"))
    refusal(assess.shelve, "room/high-alert", "Ann", "noise", 9 * 3600.0)
    refusal(assess.unshelve, "room/high-alert", "Ann")
    refusal(assess.in_service, "room/high-alert", "Ann")
    refusal(assess.out_of_service, "room/high-critical", "Ann", "new probe")
    refusal(assess.declare_state, "rom", "defrost", "Ann", "", 60.0)
    refusal(assess.declare_state, "room", "loading", "Ann", "", 60.0)
    refusal(assess.declare_state, "room", "defrost", "", "", 60.0)
    refusal(assess.declare_state, "room", "defrost", "Ann", "", 31 * 60.0)
    refusal(assess.end_state, "room", "defrost", "Ann")
    refusal(assess.acknowledge, "room/high-alert", "Ann", "x" * 3000)
    refusal(assess.acknowledge, "room/high-alert", None)


def test_nobody_acknowledges_it_escalates_three_times_also_after_its_return() -> None:
    world = room()
    world.run(9.0, 3.0)
    world.assess.acknowledge("room/high-alert", "Ann")
    world.wait(2 * HOUR)
    escalated = [event for event in world.events if event.kind == "alarm.escalated" and event.data["point"]]
    escalated = [event for event in escalated if event.data["rule"] == "high-critical"]
    assert [event.data["escalation"] for event in escalated] == [1, 2, 3]
    assert [event.at_ms for event in escalated] == [16 * MINUTE, 31 * MINUTE, 46 * MINUTE]
    assert "escalated room/high-alert" not in world.kinds()


def test_an_acknowledgement_of_the_first_out_can_speak_for_its_group() -> None:
    world = twelve()
    world.run(9.0, devices=3)
    first = next(alarm.id for alarm in world.assess.alarms if alarm.group is None)
    world.assess.acknowledge(first, "Ann", "compressor", group=True)
    assert {alarm.state for alarm in world.assess.alarms} == {AlarmState.ACKNOWLEDGED}


# shelving


def test_shelving_goes_on_over_a_kill_and_ends_in_time() -> None:
    world = room()
    world.run(6.0)
    world.assess.shelve("room/high-alert", "Ann", "door seal on order", 3600.0)
    world.keep()
    world.run(*[6.0] * 30)
    world.restart()
    assert world.assess.alarms[0].state is AlarmState.SHELVED
    world.run(*[6.0] * 29)
    assert world.assess.alarms[0].state is AlarmState.SHELVED
    world.run(6.0)
    assert world.assess.alarms[0].state is AlarmState.UNACKNOWLEDGED
    assert world.last("alarm.unshelved").data["person"] is None


@pytest.mark.parametrize(("known", "left_min"), [(True, 20), (False, 50)])
def test_shelving_over_a_reboot_counts_the_time_off_if_it_is_known(known: bool, left_min: int) -> None:
    world = room()
    world.run(6.0)
    world.assess.shelve("room/high-alert", "Ann", "door seal on order", 3600.0)
    world.run(*[6.0] * 10)
    world.keep()
    world.reboot(30 * MINUTE, boot_ms=1000, known=known)
    world.tick()
    minutes = 0
    while world.assess.engine.alarm("room/high-alert").state is AlarmState.SHELVED and minutes < 61:
        world.run(6.0)
        minutes += 1
    assert minutes == pytest.approx(left_min, abs=1)


def test_shelving_hides_an_alarm_and_never_stops_its_evaluation() -> None:
    world = room()
    world.run(6.0)
    world.assess.shelve("room/high-alert", "Ann", "door seal", 3600.0)
    world.run(4.0, 6.0, 4.0)
    shelved = [event.data for event in world.events if event.data.get("alarm") == "room/high-alert"]
    assert [data["occurrence"] for data in shelved] == [1, 1, 1, 2, 2]
    assert {data["state"] for data in shelved[2:]} == {AlarmState.SHELVED.value}
    world.assess.unshelve("room/high-alert", "Ann")
    assert world.assess.engine.alarm("room/high-alert").state is AlarmState.RETURNED


def test_a_new_critical_excursion_of_a_critical_point_ends_its_shelving() -> None:
    world = room()
    refusal(world.assess.shelve, "room/high-critical", "Ann", "noise", 600.0)
    world.run(9.0)
    refusal(world.assess.shelve, "room/high-critical", "Ann", "noise", 600.0)
    world.assess.acknowledge("room/high-critical", "Ann")
    refusal(world.assess.shelve, "room/high-critical", "Ann", "engineer is here", 2 * 3600.0)
    world.assess.shelve("room/high-critical", "Ann", "engineer is here", 3600.0)
    world.run(3.0, 9.0)
    assert world.assess.engine.alarm("room/high-critical").state is AlarmState.UNACKNOWLEDGED
    kinds = [kind for kind in world.kinds() if kind.endswith("high-critical")]
    assert kinds[-3:] == [f"{kind} room/high-critical" for kind in ("returned", "unshelved", "raised")]


# declared states


def test_a_declared_state_suppresses_what_the_profile_allows_for_its_time() -> None:
    world = room(critical=False)
    world.assess.declare_state("room", "defrost", "Ann", "weekly", 1800.0)
    world.run(9.0)
    assert {alarm.state for alarm in world.assess.alarms} == {AlarmState.SUPPRESSED}
    assert {e.data["state"] for e in world.events if e.kind == "alarm.raised"} == {"suppressed by design"}
    world.run(*[9.0] * 28)
    world.run(9.0)
    assert {alarm.state for alarm in world.assess.alarms} == {AlarmState.UNACKNOWLEDGED}
    assert world.last("state.ended").data["person"] is None
    assert world.kinds().count("unsuppressed room/high-critical") == 1
    refusal(world.assess.declare_state, "room", "defrost", "Ann", "", 60.0)
    world.wait(30 * MINUTE)
    world.assess.declare_state("room", "defrost", "Ann", "", 60.0)
    assert world.kinds()[-1].startswith("suppressed room/high-")


def test_what_came_and_went_within_a_declared_state_needs_nobody() -> None:
    world = room(critical=False)
    world.assess.declare_state("room", "defrost", "Ann", "", 1800.0)
    world.run(9.0, 3.0)
    world.wait(40 * MINUTE)
    world.run(3.0)
    assert [alarm for alarm in world.assess.alarms if alarm.id.startswith("room/high")] == []


def test_an_alarm_that_stood_before_the_state_still_wants_its_acknowledgement_after_it() -> None:
    world = room(critical=False)
    world.run(6.0)
    world.assess.declare_state("room", "defrost", "Ann", "", 600.0)
    assert world.kinds()[-1] == "suppressed room/high-alert"
    world.run(*[3.0] * 11)
    assert world.assess.engine.alarm("room/high-alert").state is AlarmState.RETURNED


def test_a_critical_limit_of_a_critical_point_is_never_suppressed() -> None:
    world = room(critical=True)
    world.assess.declare_state("room", "defrost", "Ann", "", 1800.0)
    world.run(9.0)
    states = {alarm.id: alarm.state for alarm in world.assess.alarms}
    assert states["room/high-critical"] is AlarmState.UNACKNOWLEDGED
    assert states["room/high-alert"] is AlarmState.SUPPRESSED


def test_a_declared_state_goes_on_over_a_kill() -> None:
    world = room(critical=False)
    world.assess.declare_state("room", "defrost", "Ann", "", 1800.0)
    world.keep()
    world.run(3.0)
    world.restart()
    world.run(9.0)
    assert {alarm.state for alarm in world.assess.alarms} == {AlarmState.SUPPRESSED}
    assert [state.kind for state in world.assess.engine.states.declared] == ["defrost"]


def test_a_point_that_became_critical_is_no_longer_suppressed_after_a_restart() -> None:
    world = room(critical=False)
    world.assess.declare_state("room", "defrost", "Ann", "", 1800.0)
    world.run(9.0)
    world.keep()
    critical = room(critical=True)
    critical.memories, critical.now_ms = world.memories, world.now_ms
    critical.restart()
    assert critical.assess.engine.alarm("room/high-critical").state is not AlarmState.SUPPRESSED


def test_out_of_service_ends_in_time_and_shows_what_is_active_then() -> None:
    world = room()
    world.assess.out_of_service("room/high-critical", "Ann", "probe at the laboratory", 3600.0)
    world.run(9.0)
    assert world.assess.engine.alarm("room/high-critical").state is AlarmState.OUT_OF_SERVICE
    world.run(*[9.0] * 60)
    assert world.kinds().count("in-service room/high-critical") == 1
    assert world.assess.engine.alarm("room/high-critical").state is AlarmState.UNACKNOWLEDGED


# groups


def twelve() -> World:
    """Three devices of one compressor, one point each, each with an alert and a critical limit."""
    devices = "".join(device_text(f"d{n}", unit=n) for n in (1, 2, 3))
    points = "".join(point_text(f"p{n}", device=f"d{n}", more=f'group = "compressor"\n{LIMITS}') for n in (1, 2, 3))
    return World(HEAD + devices + points)


def test_one_failed_compressor_is_one_group_with_its_first_out() -> None:
    world = twelve()
    world.run(9.0, devices=3)
    world.run(*[9.0] * 3, devices=3)
    assert len(world.assess.alarms) == 6
    leaders = {alarm.id for alarm in world.assess.alarms if alarm.group is None}
    assert leaders == {"p1/high-critical"}
    assert {alarm.group for alarm in world.assess.alarms} == {None, "p1/high-critical"}
    grouped = world.last("alarm.grouped").data
    assert grouped["group"] == "p1/high-critical"
    assert grouped["state"] == AlarmState.UNACKNOWLEDGED


def test_a_critical_alarm_never_follows_an_alert() -> None:
    world = twelve()
    world.run(6.0, devices=3)
    world.now_ms += MINUTE
    world.feed(9.0, device=1)
    alarms = {alarm.id: alarm.group for alarm in world.assess.alarms}
    assert alarms == {
        "p1/high-alert": None,
        "p2/high-alert": "p1/high-alert",
        "p3/high-alert": "p1/high-alert",
        "p2/high-critical": None,
    }


def test_what_comes_later_or_after_its_end_is_an_incident_of_its_own() -> None:
    world = twelve()
    world.run(6.0)
    for _ in range(70):
        world.run(6.0)
    world.feed(6.0, device=1)
    assert world.assess.engine.alarm("p2/high-alert").group is None
    world = twelve()
    world.run(6.0, 4.0)
    world.feed(6.0, device=1)
    assert world.assess.engine.alarm("p2/high-alert").group is None


def test_a_lost_bus_is_one_group() -> None:
    world = twelve()
    world.run(3.0, devices=3)
    for _ in range(40):
        world.now_ms += MINUTE
        for device in range(3):
            world.miss(device=device)
        world.tick()
    alarms = world.assess.alarms
    assert len(alarms) == 6
    assert [alarm.id for alarm in alarms if alarm.group is None] == ["d1/communication-loss"]


def test_nothing_follows_from_an_alarm_that_is_hidden() -> None:
    world = twelve()
    world.run(6.0)
    world.assess.shelve("p1/high-alert", "Ann", "known", 3600.0)
    world.feed(6.0, device=1)
    assert world.assess.engine.alarm("p2/high-alert").group is None


# rates


def test_rates_tell_flood_chatter_and_what_stands() -> None:
    world = twelve()
    for _ in range(3):
        world.run(6.0, 4.0, step_ms=10_000, devices=3)
    rates = world.assess.engine.rates
    report = rates.report(world.now_ms, world.assess.alarms)
    assert report.last_10_min == report.last_day == 9
    assert not report.flood
    assert report.chattering == ("p1/high-alert", "p2/high-alert", "p3/high-alert")
    assert report.frequent[0][1] == 3
    world.run(9.0, step_ms=10_000, devices=3)
    report = rates.report(world.now_ms, world.assess.alarms)
    assert report.flood
    assert report.floods == 1
    assert report.standing == 6
    world.now_ms += 10 * MINUTE
    report = rates.report(world.now_ms, world.assess.alarms)
    assert not report.flood
    assert report.last_10_min == 0
    world.now_ms += 24 * HOUR
    report = rates.report(world.now_ms, world.assess.alarms)
    assert report.last_day == 0
    assert len(report.stale) == 6


# judges that raise


class Broken:
    """Raises at every value above 50, and at every tick while it is told to."""

    name = "broken"
    made = 0

    def __init__(self, site: Site, layout: Layout, memory: bytes | None) -> None:
        type(self).made += 1

    def scan(self, scan: Scan) -> Sequence[Event | Condition]:
        if scan.values[0] > 50:
            raise ZeroDivisionError("a defect")
        return ()

    def miss(self, miss: Miss, now_ms: int) -> Sequence[Event | Condition]:
        return ()

    def tick(self, claim: ClockClaim) -> Sequence[Event | Condition]:
        return ()

    def memory(self) -> bytes | None:
        return None


class BrokenLimits(LimitJudge):
    """Limits with the same defect."""

    def scan(self, scan: Scan) -> Sequence[Condition]:
        if scan.values[0] > 50:
            raise ZeroDivisionError("a defect")
        return super().scan(scan)


TEXT = HEAD + device_text("room") + point_text("room", more=LIMITS)


def test_a_judge_that_raises_stops_neither_the_others_nor_the_storage() -> None:
    world = World(TEXT, judges=(("broken", Broken), *JUDGES))
    made = Broken.made
    world.run(60.0)
    assert len(world.stored) == 1
    assert "raised room/high-critical" in world.kinds()
    failed = world.last("judge.failed")
    assert failed.data["judge"] == "broken"
    assert "ZeroDivisionError" in failed.data["error"]
    alarm = world.assess.engine.alarm("gateway/judge-broken")
    assert (alarm.active, alarm.condition.tier) == (True, Tier.MAINTENANCE)
    world.run(3.0)
    assert Broken.made == made + 1
    world.run(3.0, 3.0)
    assert not world.assess.engine.alarm("gateway/judge-broken").active


def test_it_rests_longer_each_time() -> None:
    world = World(TEXT, judges=(("broken", Broken), *JUDGES))
    for _ in range(300):
        world.run(60.0, step_ms=1000)
    failures = [event.at_ms for event in world.events if event.kind == "judge.failed"]
    pauses = [second - first for first, second in pairwise(failures)]
    assert pauses == sorted(pauses)
    assert max(pauses) >= 60_000
    assert len(failures) < 15
    assert len(world.stored) == 300


def test_the_failure_of_the_limits_is_a_critical_alarm_and_what_stood_still_stands() -> None:
    world = World(TEXT, judges=(("limits", BrokenLimits),))
    world.run(9.0)
    world.keep()
    world.run(60.0)
    alarm = world.assess.engine.alarm("gateway/judge-limits")
    assert (alarm.state, alarm.condition.tier) == (AlarmState.UNACKNOWLEDGED, Tier.CRITICAL)
    assert world.assess.engine.alarm("room/high-critical").active
    world.run(9.0)
    assert world.assess.engine.alarm("gateway/judge-limits").active
    world.run(9.0, 9.0)
    assert not world.assess.engine.alarm("gateway/judge-limits").active
    world.run(3.0)
    assert world.kinds().count("raised room/high-critical") == 1
    assert world.kinds()[-1] in {"returned room/high-critical", "returned room/high-alert"}


def test_the_alarm_about_a_judge_ends_in_the_next_process_if_it_is_in_order_there() -> None:
    world = World(TEXT, judges=(("limits", BrokenLimits),))
    world.run(60.0)
    world.keep()
    world.restart()
    assert world.assess.engine.alarm("gateway/judge-limits").active
    world.run(3.0, 3.0)
    assert not world.assess.engine.alarm("gateway/judge-limits").active


def test_an_engine_that_raises_is_made_anew_and_told_what_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(TEXT)
    world.run(9.0)
    world.keep()
    monkeypatch.setattr(world.assess.engine, "tick", lambda claim: 1 / 0)
    world.run(9.0)
    assert world.last("judge.failed").data["judge"] == "alarms"
    assert world.assess.engine_failures == 1
    world.run(9.0, 3.0)
    assert world.kinds().count("raised room/high-critical") == 1
    assert "returned room/high-critical" in world.kinds()


# memory


def test_memories_come_with_events_and_else_rarely() -> None:
    world = World(HEAD + device_text("room") + point_text("room", more='simulate = "60min"\n' + LIMITS))
    world.keep()
    given = 0
    for _ in range(600):
        world.now_ms += 1000
        world.feed(3.0)
        world.assess.tick(world.claim())
        given += bool(world.assess.memories())
    assert given <= 11
    world.feed(9.0)
    assert set(world.assess.memories()) == {"alarms", "limits"}
    assert world.assess.memories() == {}
