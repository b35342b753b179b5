"""Who is told of what, and when."""

from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from notify_tools import HandClock, Probe, alarm, notifying, output, rule, site_of, until

from gateway.config.hours import parse_hours
from gateway.config.quantities import Wrong
from gateway.model import AlarmState, ClockClaim, ClockState
from gateway.notify.limit import Limit
from gateway.notify.rules import opens_in_ms
from gateway.profile import Hours
from gateway.site import NotifySpec, OutputSpec

WARSAW = ZoneInfo("Europe/Warsaw")


def claim_at(text: str) -> ClockClaim:
    utc_ms = round(datetime.fromisoformat(text).timestamp() * 1000)
    return ClockClaim(b"b" * 16, 1000, utc_ms, 5, ClockState.TRUSTED)


def wait(times: tuple[str, ...], at: str, zone: ZoneInfo = WARSAW) -> timedelta:
    windows = tuple(parse_hours(text) for text in times)
    return timedelta(milliseconds=opens_in_ms(windows, claim_at(at), 1000, zone))


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("mon-fri 07:00-18:00", Hours(days=frozenset((0, 1, 2, 3, 4)), start_min=420, end_min=1080)),
        ("Sat 08:30-12:00", Hours(days=frozenset((5,)), start_min=510, end_min=720)),
        ("sat-mon 00:00-24:00", Hours(days=frozenset((5, 6, 0)), start_min=0, end_min=0)),
        ("22:00-06:00", Hours(days=frozenset((0, 1, 2, 3, 4, 5, 6)), start_min=1320, end_min=360)),
    ],
)
def test_a_stretch_of_the_week_is_read(text: str, window: Hours) -> None:
    assert parse_hours(text) == window


@pytest.mark.parametrize("text", ["", "mon", "7-8", "mon 25:00-26:00", "mon 07:60-08:00", "07:00-07:00", "moon"])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(Wrong, match=r"no stretch of the week; write days and times"):
        parse_hours(text)


@pytest.mark.parametrize(
    ("times", "at", "hours"),
    [
        (("mon-fri 07:00-18:00",), "2025-11-24T12:00:00+01:00", 0),
        (("mon-fri 07:00-18:00",), "2025-11-24T18:00:00+01:00", 13),
        (("mon-fri 07:00-18:00",), "2025-11-28T20:00:00+01:00", 59),
        (("22:00-06:00",), "2025-11-24T03:00:00+01:00", 0),
        (("22:00-06:00",), "2025-11-24T06:00:00+01:00", 16),
        (("fri 22:00-06:00",), "2025-11-29T05:00:00+01:00", 0),
        (("fri 22:00-06:00",), "2025-11-28T05:00:00+01:00", 17),
        (("mon 07:00-08:00", "tue 07:00-08:00"), "2025-11-24T09:00:00+01:00", 22),
        # The clocks go back on 26 October 2025: that night has one hour more. On 30 March it has one less.
        (("07:00-18:00",), "2025-10-25T20:00:00+02:00", 12),
        (("07:00-18:00",), "2025-03-29T20:00:00+01:00", 10),
    ],
)
def test_the_next_opening_in_local_time(times: tuple[str, ...], at: str, hours: float) -> None:
    assert wait(times, at) == timedelta(hours=hours)


def test_while_the_time_of_day_is_not_known_every_window_is_open() -> None:
    claim = ClockClaim(b"b" * 16, 1000, None, None, ClockState.UNTRUSTED)
    assert opens_in_ms((parse_hours("mon 07:00-08:00"),), claim, 1000, WARSAW) == 0


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            Hours,
            days=st.frozensets(st.integers(0, 6), min_size=1),
            start_min=st.integers(0, 1439),
            end_min=st.integers(0, 1439),
        ).filter(lambda window: window.start_min != window.end_min or window.start_min == 0),
        min_size=1,
        max_size=3,
    ),
    st.integers(0, 7 * 86_400_000),
    st.integers(-12, 14),
)
def test_after_the_wait_a_window_is_open_and_a_moment_before_it_was_not(
    windows: list[Hours], offset_ms: int, zone_h: int
) -> None:
    zone = timezone(timedelta(hours=zone_h))
    at_ms = 1_763_942_400_000 + offset_ms
    claim = ClockClaim(b"b" * 16, 0, at_ms, 5, ClockState.TRUSTED)
    waited_ms = opens_in_ms(windows, claim, 0, zone)

    def is_open(ms: int) -> bool:
        local = datetime.fromtimestamp((at_ms + ms) / 1000, UTC).astimezone(zone)
        minute, day = 60 * local.hour + local.minute, local.weekday()
        for window in windows:
            length = (window.end_min - window.start_min) % 1440 or 1440
            since_today, since_yesterday = minute - window.start_min, minute + 1440 - window.start_min
            if day in window.days and 0 <= since_today < length:
                return True
            if (day - 1) % 7 in window.days and since_yesterday < length:
                return True
        return False

    assert is_open(waited_ms)
    assert waited_ms == 0 or not is_open(waited_ms - 1)
    assert waited_ms <= 7 * 86_400_000


@settings(deadline=None)
@given(st.integers(1, 20), st.floats(1, 10_000), st.lists(st.floats(0, 500), max_size=60))
def test_no_more_than_the_limit_in_any_stretch_twice_as_short(count: int, per_s: float, gaps: list[float]) -> None:
    """A full bucket and what flows in meanwhile: at most twice the count in any ``per_s`` seconds."""
    limit, now_s, sent = Limit(count, per_s), 0.0, []
    for gap in gaps:
        now_s += gap
        if limit.left(now_s) >= 1:
            limit.take(now_s)
            sent.append(now_s)
        else:
            later = copy(limit)
            assert later.left(now_s + later.wait_s(now_s) + 1e-6) >= 1
    for begin in sent:
        assert sum(begin <= moment < begin + per_s for moment in sent) <= 2 * count


def told() -> list[tuple[str, str]]:
    return [(notice.transition, notice.recipient) for _, notice in Probe.told]


async def happened(
    tmp_path: Path, rules: list[NotifySpec], *events: object, **changes: object
) -> list[tuple[str, str]]:
    specs: list[OutputSpec] = [output(**changes)]
    async with notifying(site_of(tmp_path, specs, rules)) as world:
        await world.notifier.accept(list(events))  # type: ignore[arg-type]
        await world.idle()
        await until(lambda: not world.notifier.stats.outputs["mail"].queued)
    return told()


async def test_a_rule_chooses_tiers_points_and_transitions(tmp_path: Path) -> None:
    rules = [rule(tiers=("critical",), points=("cold-room-1",), transitions=("raised",))]
    found = await happened(
        tmp_path,
        rules,
        alarm(),
        alarm("returned"),
        alarm(alarm="a/x", tier="alert"),
        alarm(alarm="b/x", point="freezer", device="f"),
    )
    assert found == [("raised", "a@x.example")]


async def test_a_rule_may_name_a_device(tmp_path: Path) -> None:
    rules = [rule(tiers=("maintenance",), points=("probe-1",))]
    found = await happened(tmp_path, rules, alarm(alarm="probe-1/silent", tier="maintenance", point=None))
    assert found == [("raised", "a@x.example")]


async def test_two_rules_for_one_recipient_tell_it_once(tmp_path: Path) -> None:
    found = await happened(tmp_path, [rule(), rule(points=("cold-room-1",)), rule(to=("b@x.example",))], alarm())
    assert sorted(found) == [("raised", "a@x.example"), ("raised", "b@x.example")]


async def test_escalation_reaches_others_and_they_hear_of_the_end(tmp_path: Path) -> None:
    boss = rule(to=("boss@x.example",), level=2)
    found = await happened(
        tmp_path,
        [rule(transitions=("raised",)), boss],
        alarm(),
        alarm("escalated", escalation=1),
        alarm("escalated", escalation=2),
        alarm("returned", escalation=2),
    )
    assert found == [("raised", "a@x.example"), ("escalated", "boss@x.example"), ("returned", "boss@x.example")]


async def test_whoever_was_not_told_of_an_alarm_is_not_told_of_its_end(tmp_path: Path) -> None:
    assert await happened(tmp_path, [rule()], alarm("returned")) == []
    only_ends = [rule(transitions=("returned",))]
    assert await happened(tmp_path, only_ends, alarm("returned", alarm="b/x")) == [("returned", "a@x.example")]


async def test_with_a_delay_only_what_still_stands_is_told(tmp_path: Path) -> None:
    clock = HandClock()
    site = site_of(tmp_path, [output(late_s=1.0)], [rule(delay_s=300.0)])
    async with notifying(site, clock, pace={"idle_s": 0.05}) as world:
        await world.notifier.accept([alarm(), alarm(alarm="b/x"), alarm(alarm="c/x")])
        clock.pass_s(100)
        await world.notifier.accept([alarm("returned"), alarm("acknowledged", alarm="b/x")])
        await world.idle()
        assert Probe.told == []
        clock.pass_s(201)
        await until(lambda: Probe.told)
        await world.notifier.accept([alarm("returned", alarm="c/x")])
        await until(lambda: len(Probe.told) == 2)
        await world.idle()
    assert [(notice.alarm, notice.transition, notice.late_s) for _, notice in Probe.told] == [
        ("c/x", "raised", 0.0),
        ("c/x", "returned", 0.0),
    ]


async def test_outside_its_times_a_rule_waits_and_then_tells_what_nobody_has_taken_up(tmp_path: Path) -> None:
    clock = HandClock()  # Monday noon
    times = (parse_hours("tue 07:00-18:00"),)
    site = site_of(tmp_path, [output()], [rule(times=times)])
    async with notifying(site, clock, pace={"idle_s": 0.05}) as world:
        await world.notifier.accept([alarm(), alarm(alarm="b/x"), alarm("acknowledged", alarm="b/x")])
        clock.pass_s(18 * 3600)
        await world.notifier.accept([alarm("returned")])
        await world.idle()
        assert Probe.told == []
        assert world.notifier.stats.outputs["mail"].held == 2
        clock.pass_s(3600 + 60)
        await until(lambda: len(Probe.told) == 2)
        await world.idle()
    assert [(notice.alarm, notice.transition) for _, notice in Probe.told] == [
        ("cold-room-1/high-critical", "raised"),
        ("cold-room-1/high-critical", "returned"),
    ]


async def test_after_a_reboot_what_was_held_for_the_time_of_day_is_held_on(tmp_path: Path) -> None:
    clock = HandClock()
    site = site_of(tmp_path, [output()], [rule(times=(parse_hours("tue 07:00-18:00"),))])
    async with notifying(site, clock) as world:
        await world.notifier.accept([alarm()])
    clock.reboot()
    async with notifying(site, clock, pace={"idle_s": 0.05}) as world:
        await world.idle()
        assert Probe.told == []
        clock.pass_s(19 * 3600)
        await until(lambda: Probe.told)


async def test_an_alarm_that_follows_from_another_is_not_told_unless_it_is_graver(tmp_path: Path) -> None:
    first = alarm(alarm="compressor/trip", tier="alert", point="plant")
    follower = alarm(alarm="room-2/high-alert", tier="alert", point="room-2", group="compressor/trip")
    graver = alarm(group="compressor/trip")
    async with notifying(site_of(tmp_path, [output()], [rule()])) as world:
        await world.notifier.accept([first, follower, graver])
        await until(lambda: len(Probe.told) == 2)
        await world.idle()
    assert {notice.alarm for _, notice in Probe.told} == {"compressor/trip", "cold-room-1/high-critical"}


async def test_an_alarm_that_joins_a_group_while_it_is_held_is_not_told(tmp_path: Path) -> None:
    clock = HandClock()
    rules = [rule(delay_s=60.0)]
    async with notifying(site_of(tmp_path, [output()], rules), clock, pace={"idle_s": 0.05}) as world:
        await world.notifier.accept([alarm(alarm="plant/trip"), alarm()])
        await world.notifier.accept([alarm("grouped", group="plant/trip")])
        clock.pass_s(61)
        await until(lambda: Probe.told)
        await world.idle()
    assert [notice.alarm for _, notice in Probe.told] == ["plant/trip"]


@pytest.mark.parametrize("state", [AlarmState.SHELVED, AlarmState.SUPPRESSED, AlarmState.OUT_OF_SERVICE])
async def test_what_is_silenced_is_not_told_until_it_speaks_again(tmp_path: Path, state: AlarmState) -> None:
    back = {"shelved": "unshelved", "suppressed by design": "unsuppressed", "out of service": "in-service"}
    async with notifying(site_of(tmp_path, [output()], [rule()])) as world:
        await world.notifier.accept([alarm(state=state.value)])
        await world.idle()
        assert Probe.told == []
        await world.notifier.accept([alarm(back[state.value])])
        await until(lambda: Probe.told)
        await world.notifier.accept([alarm("shelved"), replace(alarm("unshelved"), at_ms=200_000)])
        await until(lambda: len(Probe.told) == 2)
        await world.idle()
    assert told() == [("raised", "a@x.example")] * 2
    assert len({notice.key for _, notice in Probe.told}) == 2, "that it speaks again is news"
