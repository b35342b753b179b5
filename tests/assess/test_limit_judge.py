"""Limits on values: strict, delayed, with hysteresis, by time and by count, over gaps, restarts and reboots."""

from array import array
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import exp

import pytest
from alarm_world import EPOCH_MS, HEAD, MINUTE, World, device_text, layout_of, point_text, site_of
from hypothesis import given
from hypothesis import strategies as st

from gateway.assess.firstorder import FirstOrder
from gateway.assess.limits import LimitJudge
from gateway.assess.rules import LimitState
from gateway.config.profiles import builtin_profile
from gateway.model import AlarmState, Column, Layout, Quality, Scan
from gateway.seal.events import decode_events, encode_events

HOUR = 60 * MINUTE


def world(
    limits: str = "", *, more: str = "", critical: bool = False, period_s: float = 60, head: str = ""
) -> World:
    """One room with these limits and no others."""
    table = f"{more}[point.limits]\n{limits}\n" if limits else more
    return World(
        HEAD + head + device_text("room", period_s=period_s) + point_text("room", critical=critical, more=table)
    )


HIGH = 'high-critical = { limit = 5.0, delay = "10min", hysteresis = 0.5 }'


def test_a_value_at_the_limit_keeps_to_it() -> None:
    room = world("high-critical = 5.0\nlow-critical = 1.0")
    room.run(5.0, 1.0)
    assert room.kinds() == []
    room.run(5.01, 5.0, 0.99, 1.0)
    assert room.kinds() == [
        "raised room/high-critical",
        "returned room/high-critical",
        "raised room/low-critical",
        "returned room/low-critical",
    ]


def test_an_alarm_comes_after_its_delay_and_ends_behind_its_hysteresis() -> None:
    room = world(HIGH)
    room.run(*[6.0] * 10)
    assert room.kinds() == []
    room.run(6.5)
    raised = room.last("alarm.raised")
    assert raised.at_ms == 11 * MINUTE
    assert raised.data["since_ms"] == MINUTE
    room.run(4.9, 4.51, 5.2)
    assert room.kinds() == ["raised room/high-critical"]
    room.run(4.5)
    returned = room.last("alarm.returned")
    assert returned.data["state"] == AlarmState.RETURNED
    assert returned.data["detail"]["extreme"] == 6.5
    assert returned.data["detail"]["duration_ms"] == 14 * MINUTE


def test_a_value_that_keeps_to_the_limit_begins_the_delay_anew() -> None:
    room = world(HIGH)
    room.run(*[6.0] * 9, 5.0, *[6.0] * 10)
    assert room.kinds() == []
    room.run(6.0)
    assert room.kinds() == ["raised room/high-critical"]


def test_delay_by_time_stands_jitter_of_the_samples() -> None:
    room = world('high-critical = { limit = 5.0, delay = "10min" }')
    for step in [60_040] + [59_990] * 10:
        room.run(6.0, step_ms=step)
    assert room.kinds() == ["raised room/high-critical"]


def test_an_off_delay_keeps_an_alarm_together() -> None:
    room = world('high-alert = { limit = 5.0, off_delay = "5min" }')
    room.run(6.0, 4.0, 4.0, 6.0, *[4.0] * 5)
    assert room.kinds() == ["raised room/high-alert"]
    room.run(4.0)
    assert room.kinds() == ["raised room/high-alert", "returned room/high-alert"]


def test_too_cold_is_a_deviation_as_well() -> None:
    room = world("deficit = { limit = -1.5, hysteresis = 0.3 }")
    room.run(-1.6, -1.3, -1.2)
    assert room.kinds() == ["raised room/deficit", "returned room/deficit"]
    assert room.last("alarm.raised").data["tier"] == "alert"


# quality


def test_bad_values_neither_count_nor_clear() -> None:
    room = world("high-critical = { limit = 5.0, samples = 3 }")
    room.run(6.0, None, 6.0, None)
    assert room.kinds() == []
    room.run(6.0)
    assert room.kinds() == ["raised room/high-critical"]
    room.run(*[None] * 20)
    assert "returned room/high-critical" not in room.kinds()
    room.run(4.0)
    assert "returned room/high-critical" in room.kinds()


@pytest.mark.parametrize("quality", [q for q in Quality if not q.bad])
def test_uncertain_values_count(quality: Quality) -> None:
    room = world("high-critical = 5.0")
    room.feed(6.0, quality=quality)
    assert room.kinds() == ["raised room/high-critical"]
    room.feed(4.0, quality=quality)
    assert room.kinds()[-1] == "returned room/high-critical"


def test_a_value_that_is_no_number_is_no_value_whatever_its_quality() -> None:
    room = world("high-critical = 5.0\nlow-critical = 0.0")
    room.feed(float("nan"), quality=Quality.GOOD)
    assert room.kinds() == []


def test_a_gap_within_an_excursion_counts_and_is_said() -> None:
    room = world(HIGH)
    room.run(6.0, 6.0)
    room.wait(20 * MINUTE)
    room.run(6.0)
    raised = room.last("alarm.raised")
    assert raised.data["alarm"] == "room/high-critical"
    assert raised.data["detail"]["unseen_ms"] == 20 * MINUTE


# time beyond a limit

UK = 'profile = "chilled-uk"\n'


def test_one_period_of_less_than_four_hours_is_allowed_the_second_is_not() -> None:
    room = world(more=UK)
    room.run(*[9.0] * (3 * 60), *[4.0] * 60)
    assert "raised room/above-8" not in room.kinds()
    room.run(*[9.0] * 15)
    assert "raised room/above-8" not in room.kinds()
    room.run(9.0)
    assert room.kinds()[-1] == "raised room/above-8"
    assert room.last("alarm.raised").data["detail"]["why"] == "periods"


def test_four_hours_at_a_stretch_are_too_long() -> None:
    room = world(more=UK)
    room.run(*[9.0] * 240)
    assert "raised room/above-8" not in room.kinds()
    room.run(9.0)
    assert room.last("alarm.raised").data["detail"]["why"] == "single"
    room.run(8.0)
    assert room.kinds()[-1] in {"returned room/above-8", "returned room/high-alert"}
    assert "returned room/above-8" in room.kinds()


def test_brief_periods_are_not_counted_but_their_time_is() -> None:
    room = world(more=UK)
    room.run(*([*[9.0] * 10, 4.0] * 23), *[9.0] * 10)
    assert "raised room/above-8" not in room.kinds()
    room.run(9.0, 9.0)
    assert room.last("alarm.raised").data["detail"]["why"] == "total"


TOTAL = """\
[[profile]]
id = "total"
unit = "degC"
[profile.times.warm]
side = "above"
limit = 5.0
total = "30min"
window = {window}
"""


def total_room(window: str) -> World:
    return world(more='profile = "total"\n', head=TOTAL.format(window=window))


def test_a_total_is_cumulative_and_ages_out_of_its_window() -> None:
    room = total_room('"2h"')
    room.run(*[6.0, 6.0, 4.0] * 14)
    assert room.kinds() == []
    room.run(6.0, 6.0, 4.0, 6.0)
    assert room.kinds() == ["raised room/warm"]
    room.run(4.0, 6.0)
    assert room.kinds() == ["raised room/warm", "returned room/warm", "raised room/warm"]
    room.run(*[4.0] * 130)
    before = len(room.kinds())
    room.run(*[6.0] * 29)
    assert len([kind for kind in room.kinds()[before:] if "escalated" not in kind]) == 0


def test_a_total_by_calendar_day_begins_anew_at_local_midnight() -> None:
    room = World(
        HEAD.replace("[gateway]\n", '[gateway]\ntime_zone = "Europe/Warsaw"\n')
        + TOTAL.format(window='"day"')
        + device_text("room")
        + point_text("room", more='profile = "total"\n')
    )
    midnight_ms = 1_790_028_000_000 - EPOCH_MS  # 2026-09-22 00:00 in Warsaw, 22:00 UTC
    room.now_ms = midnight_ms - 31 * MINUTE
    room.run(*[6.0] * 25, *[4.0] * 10)
    assert room.kinds() == []
    room.run(*[6.0] * 30, 6.0)
    assert room.kinds() == ["raised room/warm"]


@given(st.lists(st.booleans(), min_size=1, max_size=300))
def test_a_rolling_total_is_what_a_plain_sum_says(beyond: list[bool]) -> None:
    room = total_room('"1h"')
    held: list[int] = []
    active = False
    for minute, warm in enumerate(beyond, 1):
        room.run(6.0 if warm else 4.0)
        if minute > 1 and beyond[minute - 2]:
            held.append(minute)  # the minute up to this sample was beyond
        total = sum(end > minute - 60 for end in held)
        if total >= 30 and warm:
            active = True
        elif not warm:
            active = False
        assert bool(room.assess.engine.standing("limits")) == active


# stages and rates

COOLING = 'profile = "two-stage-cooling"\n'


def test_cooling_that_keeps_its_stages_is_no_alarm() -> None:
    room = world(more=COOLING)
    room.run(80.0, 60.0, 57.0, *[40.0] * 80, 20.9, *[10.0] * 180, 5.0, 3.0)
    assert room.kinds() == []


def test_cooling_that_is_too_slow_alarms_at_each_stage_and_a_new_batch_begins_anew() -> None:
    room = world(more=COOLING)
    room.run(60.0, *[30.0] * 90)
    assert room.kinds() == []
    room.run(30.0)
    assert room.kinds() == ["raised room/stage-1-alert"]
    room.run(*[30.0] * 29, 30.0)
    assert room.kinds()[-1] == "raised room/stage-1"
    assert room.last("alarm.raised").data["detail"]["duration_ms"] == 121 * MINUTE
    room.run(60.0)
    ended = {kind for kind in room.kinds() if kind.startswith("returned")}
    assert ended == {"returned room/stage-1", "returned room/stage-1-alert"}
    room.run(*[30.0] * 90)
    assert [kind for kind in room.kinds() if kind.startswith("raised")] == [
        "raised room/stage-1-alert",
        "raised room/stage-1",
    ]


RISE = """\
[[profile]]
id = "rise"
unit = "degC"
[profile.rates.rise]
per_minute = 0.5
over = "10min"
"""


def test_a_rise_is_taken_over_its_window() -> None:
    room = world(more='profile = "rise"\n', head=RISE)
    room.run(*[2.0] * 12, 6.9)  # one spike of 4.9 K in 10 min is not more than 0.5 K/min
    assert room.kinds() == []
    room.run(*[2.0] * 12)
    for step in range(20):
        room.run(2.0 + 0.6 * step)
    assert room.kinds() == ["raised room/rise"]
    raised = room.last("alarm.raised").data
    assert raised["unit"] == "degC/min"
    assert raised["value"] == pytest.approx(0.54, abs=0.07)
    room.run(*[14.0] * 12)
    assert room.kinds() == ["raised room/rise", "returned room/rise"]


def test_no_rate_is_taken_over_a_gap() -> None:
    room = world(more='profile = "rise"\n', head=RISE)
    room.run(*[2.0] * 12)
    room.wait(60 * MINUTE)
    room.run(60.0)
    assert "raised room/rise" not in room.kinds()


# product simulation


@given(
    st.floats(10.0, 1e5),
    st.lists(st.tuples(st.integers(1, 10**6), st.floats(-40.0, 40.0)), min_size=1, max_size=30),
)
def test_the_first_order_response_is_exact_for_any_step(tau_s: float, steps: list[tuple[int, float]]) -> None:
    fine, coarse, at_ms = FirstOrder(tau_s), FirstOrder(tau_s), 0
    fine.step(0.0, 0)
    coarse.step(0.0, 0)
    for dt_ms, value in steps:
        fine.step(value, at_ms + dt_ms // 2)
        at_ms += dt_ms
        one, other = fine.step(value, at_ms), coarse.step(value, at_ms)
        assert one == pytest.approx(other, abs=1e-9)


def test_the_response_to_a_step_is_the_exponential() -> None:
    product = FirstOrder(3600.0)
    product.step(-20.0, 0)
    assert product.step(0.0, 3_600_000) == pytest.approx(-20.0 * exp(-1.0))
    with pytest.raises(ValueError, match="above 0"):
        FirstOrder(0.0)


def test_alert_limits_are_judged_on_the_product_and_say_so_critical_ones_on_the_air() -> None:
    limits = "high-alert = -18.0\nhigh-critical = -15.0"
    room = world(limits, more='simulate = "240min"\n')
    room.run(*[-20.0] * 5, *[-5.0] * 10)
    assert room.kinds() == ["raised room/high-critical"]
    room.run(*[-5.0] * 60)
    assert "raised room/high-alert" in room.kinds()
    alert = room.last("alarm.raised").data
    assert alert["detail"]["simulated"] is True
    assert alert["detail"]["tau_s"] == 14400
    assert alert["value"] < -17.0
    assert "simulated" in alert["words"]


# hours


def test_alert_limits_rest_outside_their_hours_critical_ones_never() -> None:
    hours = 'alert_hours = ["mon-fri 06:00-18:00"]\n'
    room = world("high-alert = 4.0\nhigh-critical = 8.0", more=hours)
    room.run(5.0)  # Monday 14:14 UTC
    assert room.kinds() == ["raised room/high-alert"]
    room.now_ms = (18 * 60 - 14 * 60 - 13) * MINUTE - 20_000
    room.run(5.0, 5.0)
    ended = next(
        event for event in room.events if event.data.get("alarm") == "room/high-alert" and not event.data["active"]
    )
    assert "outside its hours" in ended.data["words"]
    room.run(*[5.0] * 30, 9.0)
    assert room.kinds()[-1] == "raised room/high-critical"
    assert room.kinds().count("raised room/high-alert") == 1


def test_without_a_trusted_clock_alert_limits_always_hold() -> None:
    room = world("high-alert = 4.0", more='alert_hours = ["sun 03:00-03:01"]\n')
    room.run(5.0)
    assert room.kinds() == []
    room.utc_at_zero = None
    room.tick()
    room.run(5.0)
    assert room.kinds() == ["raised room/high-alert"]


# silence


def test_a_point_without_usable_values_goes_stale_and_says_why() -> None:
    room = world("high-critical = 5.0", more='stale = "10min"\n', critical=True)
    room.run(3.0, *[None] * 10)
    assert room.kinds() == []
    room.run(None)
    stale = room.last("alarm.raised").data
    assert stale["alarm"] == "room/stale"
    assert stale["tier"] == "alert"
    assert "sensor fault" in stale["words"]
    room.run(3.0)
    assert room.kinds() == ["raised room/stale", "returned room/stale"]


def test_a_device_that_does_not_answer_is_lost_and_its_points_follow() -> None:
    room = World(
        HEAD
        + device_text("room")
        + point_text("a", device="room", more='stale = "10min"\n[point.limits]\nhigh-alert = 5.0\n')
        + point_text("b", device="room", more='stale = "10min"\n[point.limits]\nhigh-alert = 6.0\n')
    )
    room.run(3.0)
    for _ in range(12):
        room.now_ms += MINUTE
        room.miss()
        room.tick()
    assert room.kinds() == [
        "raised room/communication-loss",
        "raised a/stale",
        "grouped a/stale",
        "raised b/stale",
        "grouped b/stale",
    ]
    assert "did not answer" in room.events[-1].data["words"] or room.events[-1].data["group"]
    assert {a.group for a in room.assess.alarms} == {None, "room/communication-loss"}
    room.run(3.0)
    assert len([kind for kind in room.kinds() if kind.startswith("returned")]) == 3


def test_after_a_start_silence_is_counted_from_the_start() -> None:
    room = world("high-critical = 5.0", more='stale = "10min"\n')
    room.run(3.0)
    room.keep()
    room.reboot(8 * HOUR)
    room.tick()
    assert [kind for kind in room.kinds() if "stale" in kind or "loss room" in kind] == []


# calibration, power


def calibrated(days: int) -> World:
    until = (datetime.fromtimestamp(EPOCH_MS / 1000, UTC) + timedelta(days=days)).date()
    table = (
        f'[device.calibration.temperature]\ncertificate = "K-1"\nvalid_until = {until}\npoints = [[0.0, 0.1]]\n\n'
    )
    return World(HEAD + device_text("room") + table + point_text("room", critical=True))


@pytest.mark.parametrize(
    ("days", "rule"),
    [
        (91, None),
        (90, "calibration-due-90d"),
        (31, "calibration-due-90d"),
        (30, "calibration-due-30d"),
        (1, "calibration-due-30d"),
        (0, "calibration-due"),
        (-1, "calibration-expired"),
    ],
)
def test_a_calibration_is_said_to_be_due(days: int, rule: str | None) -> None:
    assert calibrated(days).kinds() == ([] if rule is None else [f"raised room.temperature/{rule}"])


def test_one_stage_of_a_calibration_follows_the_other() -> None:
    room = calibrated(31)
    room.wait(34 * 24 * HOUR, step_ms=6 * HOUR)
    raised = [kind for kind in room.kinds() if kind.startswith("raised room.temperature")]
    assert [kind.rpartition("/")[2] for kind in raised] == [
        "calibration-due-90d",
        "calibration-due-30d",
        "calibration-due",
        "calibration-expired",
    ]
    active = [alarm.id for alarm in room.assess.alarms if alarm.active and "calibration" in alarm.id]
    assert active == ["room.temperature/calibration-expired"]


def test_a_calibration_is_not_said_again_after_a_restart() -> None:
    room = calibrated(20)
    room.keep()
    room.restart()
    room.tick()
    assert room.kinds() == ["raised room.temperature/calibration-due-30d"]


def test_a_stage_of_a_calibration_that_passed_while_the_machine_was_off() -> None:
    room = calibrated(31)
    room.keep()
    room.reboot(2 * 24 * HOUR)
    room.tick()
    active = [alarm.id for alarm in room.assess.alarms if alarm.active]
    assert active == ["room.temperature/calibration-due-30d"]


def test_a_calibration_is_taken_over_while_the_date_is_not_known() -> None:
    room = calibrated(20)
    room.keep()
    del room.memories["limits"]
    room.reboot(HOUR, known=False)
    assert [alarm.id for alarm in room.assess.alarms if alarm.active] == ["room.temperature/calibration-due-30d"]
    room.trust()
    room.wait(2 * MINUTE)
    assert room.kinds().count("raised room.temperature/calibration-due-30d") == 1


def test_a_loss_of_power_is_told_by_the_next_process_if_this_one_is_killed_before() -> None:
    room = world("high-critical = 5.0")
    room.run(3.0)
    room.keep()
    room.reboot(3 * HOUR, known=False)
    room.keep()
    room.restart()
    room.trust()
    room.wait(3 * MINUTE)
    assert room.kinds().count("raised gateway/power-loss") == 1


def test_lost_power_is_an_alarm_that_waits_for_a_person() -> None:
    room = world("high-critical = 5.0")
    room.run(3.0)
    room.keep()
    room.reboot(3 * HOUR)
    loss = room.last("alarm.raised").data
    assert loss["alarm"] == "gateway/power-loss"
    assert "3 h" in loss["words"]
    assert [alarm.state for alarm in room.assess.alarms] == [AlarmState.RETURNED]


def test_power_off_on_purpose_and_a_crash_of_the_process_are_no_loss_of_power() -> None:
    room = world("high-critical = 5.0")
    room.run(3.0)
    room.keep()
    room.restart()
    room.assess.stopping()
    room.keep()
    room.reboot(3 * HOUR)
    assert room.kinds() == []


def test_power_lost_for_an_unknown_time_is_said_to_be_so() -> None:
    room = world("high-critical = 5.0")
    room.run(3.0)
    room.keep()
    room.reboot(3 * HOUR, known=False)
    assert room.kinds() == []
    room.wait(3 * MINUTE)
    assert "unknown time" in room.last("alarm.raised").data["words"]


# restarts


@pytest.mark.parametrize("kill_at", range(1, 11))
def test_a_delay_goes_on_over_a_kill(kill_at: int) -> None:
    room = world(HIGH)
    room.run(*[6.0] * kill_at)
    room.keep()
    room.restart(down_ms=MINUTE // 2)
    room.now_ms = kill_at * MINUTE
    room.run(*[6.0] * (10 - kill_at))
    assert room.kinds() == []
    room.run(6.0)
    assert room.kinds() == ["raised room/high-critical"]
    assert room.last("alarm.raised").data["since_ms"] == MINUTE


def test_consecutive_samples_go_on_over_a_kill() -> None:
    room = world("high-critical = { limit = 5.0, samples = 4 }")
    room.run(6.0, 6.0)
    room.keep()
    room.restart()
    room.run(6.0)
    assert room.kinds() == []
    room.run(6.0)
    assert room.kinds() == ["raised room/high-critical"]


def test_after_a_reboot_the_time_off_counts_once_the_clock_is_trusted() -> None:
    room = world('high-critical = { limit = 5.0, delay = "3h" }')
    room.run(*[6.0] * 30)
    room.keep()
    room.reboot(2 * HOUR, known=False)
    room.run(*[6.0] * 20)
    assert "raised room/high-critical" not in room.kinds()
    room.trust()
    room.tick()
    room.run(*[6.0] * 8)
    assert "raised room/high-critical" not in room.kinds()
    room.run(*[6.0] * 4)
    raised = room.last("alarm.raised")
    assert raised.data["alarm"] == "room/high-critical"
    assert raised.data["since_ms"] < -2 * HOUR
    assert raised.data["detail"]["unseen_ms"] >= 0


def test_without_a_clock_only_the_time_that_was_seen_counts() -> None:
    room = world('high-critical = { limit = 5.0, delay = "1h" }')
    room.run(*[6.0] * 30)
    room.keep()
    room.reboot(5 * HOUR, known=False)
    room.run(*[6.0] * 28)
    assert "raised room/high-critical" not in room.kinds()
    room.run(*[6.0] * 5)
    assert "raised room/high-critical" in room.kinds()


def test_a_total_goes_on_over_a_reboot() -> None:
    room = total_room('"6h"')
    room.run(*[6.0] * 21, 4.0)
    room.keep()
    room.reboot(2 * HOUR)
    room.run(*[6.0] * 9)
    assert "raised room/warm" not in room.kinds()
    room.run(6.0)
    assert "raised room/warm" in room.kinds()


def test_an_active_deviation_is_not_raised_again_after_a_kill_and_ends_once() -> None:
    room = world("high-critical = 5.0")
    room.run(6.0)
    room.keep()
    room.restart()
    room.run(6.0, 6.0, 4.0)
    assert room.kinds() == ["raised room/high-critical", "returned room/high-critical"]


@pytest.mark.parametrize("lost", ["limits", "alarms"])
def test_one_memory_without_the_other_is_brought_into_line(lost: str) -> None:
    room = world("high-critical = 5.0")
    room.run(6.0)
    room.keep()
    del room.memories[lost]
    room.restart()
    room.run(6.0)
    assert [a.id for a in room.assess.alarms if a.active] == ["room/high-critical"]
    room.run(4.0)
    assert room.kinds()[-1] == "returned room/high-critical"


def test_an_alarm_whose_limit_is_gone_from_the_site_file_ends() -> None:
    room = world("high-critical = 5.0\nhigh-alert = 4.0")
    room.run(6.0)
    room.keep()
    other = world("high-critical = 5.0")
    other.memories = room.memories
    other.now_ms = room.now_ms
    other.restart()
    assert other.kinds() == ["returned room/high-alert"]
    assert "no longer configured" in other.events[-1].data["words"]


def test_a_memory_that_is_damaged_is_said_and_left() -> None:
    room = world("high-critical = 5.0")
    room.run(6.0)
    room.keep()
    for name, data in room.memories.items():
        room.memories[name] = data[:-3] + bytes(3)
    room.restart()
    assert [event.data["judge"] for event in room.events if event.kind == "judge.memory-lost"] == [
        "alarms",
        "gaps",
        "limits",
    ]
    room.run(6.0)
    assert room.kinds()[-1] == "raised room/high-critical"


def test_a_quiet_value_costs_no_memory() -> None:
    room = world(HIGH)
    room.run(3.0)
    room.keep()
    before = dict(room.memories)
    room.run(*[3.1] * 30)
    assert room.memories == before


# doors and batteries


def test_a_door_that_stands_open_too_long_and_a_battery() -> None:
    (door,) = builtin_profile("door").limits
    state = LimitState(door, 1000)
    changes = [state.feed(1.0, second * 1000) for second in range(700)]
    assert changes.index(1) == pytest.approx(600, abs=1)
    assert state.feed(0.0, 700_000) == -1


def battery_world(watched: bool) -> tuple[LimitJudge, Layout]:
    text = HEAD + device_text("room") + point_text("room", more="[point.limits]\nhigh-alert = 50.0\n")
    site = site_of(text)
    if watched:
        point = replace(site.points[0], id="cell", channel="battery", profile=builtin_profile("battery"))
        site = replace(site, points=(*site.points, point))
    columns = (Column("temperature", "degC", 1), Column("battery", "%", 0))
    device = replace(layout_of(site).devices[0], columns=columns)
    layout = Layout((device,))
    return LimitJudge(site, layout), layout


@pytest.mark.parametrize(("watched", "alarm"), [(False, "room.battery/battery-low"), (True, "cell/battery-low")])
def test_a_battery_in_percent_is_watched_once_with_or_without_a_point(watched: bool, alarm: str) -> None:
    judge, _ = battery_world(watched)

    def feed(percent: float, at_ms: int) -> list[tuple[str, bool]]:
        scan = Scan(0, at_ms // 60_000, at_ms, array("d", [3.0, percent]), bytes(2))
        return [(condition.alarm, condition.active) for condition in judge.scan(scan)]

    assert feed(20.0, 60_000) == []
    assert feed(19.0, 120_000) == [(alarm, True)]
    assert feed(24.0, 180_000) == []
    assert feed(25.0, 240_000) == [(alarm, False)]


def test_events_of_alarms_pass_the_codec_of_the_record_unchanged() -> None:
    world_ = World(
        HEAD + device_text("room") + point_text("room", more='profile = "chilled-uk"\nsimulate = true\n')
    )
    world_.run(*[9.0] * 400)
    world_.assess.declare_state("room", "loading", "Zo\u00eb", "pallets", 60.0)
    world_.assess.confirm("room/above-8", "Zo\u00eb", "moved \N{SNOWFLAKE}")
    alarms = [event for event in world_.events if event.kind.startswith(("alarm.", "state."))]
    assert len(alarms) > 5
    decoded = decode_events(encode_events(alarms))
    assert [(event.kind, event.at_ms, event.data) for event in decoded] == [
        (event.kind, event.at_ms, event.data) for event in alarms
    ]
