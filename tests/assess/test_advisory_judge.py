"""Advice and labels in the running gateway: they come, they end, they survive restarts, and they touch no limit."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest
from alarm_world import HEAD, MINUTE, World, device_text, layout_of, point_text, site_of

from gateway.assess.advisories import ADVICE, AdvisoryJudge
from gateway.assess.station import judges_of
from gateway.config import check_site
from gateway.demo.months import KINDS, Fault, Month, simulate
from gateway.errors import StorageError
from gateway.model import Condition, Event, Tier

DAY_S = 86400.0
LIMITS = 'profile = "chilled-meat"\n[point.limits]\nhigh-alert = false\ndeficit = false\n'


def world(more: str = "") -> World:
    text = HEAD + device_text("room") + point_text("room", more=more)
    return World(text, judges=judges_of(site_of(text)))


def live(days: float, fault: Fault | None = None, kind: str = "chill") -> Month:
    spec, life = KINDS[kind]
    return simulate(spec, life, days=days, seed=3, period_s=60.0, fault=fault)


def run(room: World, values: Sequence[float]) -> None:
    """Values a minute apart; the gateway ticks once an hour, which is enough for advice."""
    for count, value in enumerate(values):
        room.now_ms += MINUTE
        room.feed(value)
        if count % 60 == 0:
            room.tick()


def judge_of(room: World) -> AdvisoryJudge:
    (judge,) = (border.judge for border in room.assess.borders if border.name == "advisories")
    assert isinstance(judge, AdvisoryJudge)
    return judge


def test_a_probe_that_sticks_is_advised_of_and_the_advice_ends_when_it_moves_again() -> None:
    month = live(9.0)
    room = world()
    run(room, list(month.x[: 8 * 1440]))
    assert room.kinds() == []
    run(room, [month.x[8 * 1440]] * (2 * 1440))
    raised = room.last("alarm.raised").data
    assert raised["alarm"] == "room/stuck"
    assert raised["tier"] == "advisory"
    assert raised["detail"]["learned_of"] == "seconds of history"
    run(room, list(month.x[8 * 1440 :]))
    assert "returned room/stuck" in room.kinds()


def test_defrosts_and_doors_are_labels_in_the_record_with_their_place_and_their_figures() -> None:
    month = live(10.0)
    room = world()
    run(room, list(month.x))
    labels = [event for event in room.events if event.kind == "label.defrost" and event.data["sure"]]
    late = [end for start, end in month.defrosts if start > 4 * DAY_S]
    assert len(labels) >= len(late) // 2
    for label in labels:
        data = label.data
        assert (data["device"], data["channel"], data["point"]) == ("room", "temperature", "room")
        assert data["start_ms"] < data["peak_ms"] < data["end_ms"] <= label.at_ms
        assert data["peak"] > data["baseline"]
        assert any(start - 900 <= data["peak_ms"] / 1000 <= end + 3600 for start, end in month.defrosts)


def test_what_goes_on_is_known_while_it_does() -> None:
    month = live(10.0)
    room = world()
    seen = set()
    for value in month.x:
        run(room, [value])
        seen |= set(room.assess.under_way.items())
    assert ("room", "defrost") in seen
    assert {kind for _, kind in seen} <= {"door", "defrost", "disturbance"}


def test_advice_neither_delays_nor_silences_nor_leads_an_alarm_of_a_limit() -> None:
    """A room that stops cooling: its advice comes first, the legal limit at its own moment, on its own."""
    broken = live(12.0, Fault(kind="weak", at_s=9 * DAY_S, size=0.0))
    told: list[list[tuple[str, int, str | None]]] = []
    for more in ("", "advisories = false\n"):
        room = world(more + LIMITS)
        run(room, list(broken.x))
        told.append(
            [
                (event.kind, event.at_ms, event.data["group"])
                for event in room.events
                if event.data.get("tier") == "critical"
            ]
        )
        advised = any(event.data.get("tier") == "advisory" for event in room.events)
        assert advised == (not more)
    assert told[0] == told[1]
    assert told[0]
    assert all(group is None for _, _, group in told[0])


def test_a_restart_changes_nothing_that_is_said_later() -> None:
    month = live(14.0, Fault(kind="door", at_s=11 * DAY_S))
    straight, halved = world(), world()
    run(straight, list(month.x))
    run(halved, list(month.x[: 10 * 1440]))
    halved.assess.stopping()
    halved.keep()
    halved.restart(down_ms=0)
    run(halved, list(month.x[10 * 1440 :]))
    assert [
        (event.kind, event.at_ms, event.data.get("alarm"), event.data.get("value")) for event in straight.events
    ] == [(event.kind, event.at_ms, event.data.get("alarm"), event.data.get("value")) for event in halved.events]


def test_over_a_reboot_what_was_learned_stays_and_the_gap_is_as_long_as_the_clock_tells() -> None:
    month = live(10.0)
    room = world()
    run(room, list(month.x[: 9 * 1440]))
    room.assess.stopping()
    room.keep()
    room.reboot(off_ms=3_600_000)
    (border,) = (border for border in room.assess.borders if border.name == "advisories")
    judge = border.judge
    assert isinstance(judge, AdvisoryJudge)
    before = judge._cold.explain(0)["defrost"]["of"]
    run(room, list(month.x[9 * 1440 + 60 :]))
    assert judge._cold.explain(0)["defrost"]["of"] >= before > 3
    assert judge._base_s == pytest.approx(9 * DAY_S + 3600 - 20, abs=61)
    assert room.kinds() == []


def test_advice_that_stands_ends_when_the_point_may_advise_no_more() -> None:
    month = live(8.0)
    room = world()
    run(room, [*month.x, *[month.x[-1]] * (2 * 1440)])
    assert room.kinds()[-1] == "raised room/stuck"
    room.assess.stopping()
    room.keep()
    other = world("advisories = false\n")
    other.memories, other.now_ms, other.judges = room.memories, room.now_ms, room.judges
    other.restart()
    assert other.kinds() == ["returned room/stuck"]


def test_only_the_advice_that_was_asked_for_comes() -> None:
    month = live(8.0)
    room = world('advisories = ["door-open"]\n')
    run(room, [*month.x, *[month.x[-1]] * (2 * 1440)])
    assert room.kinds() == []
    assert any(event.kind.startswith("label.") for event in room.events)


@pytest.mark.parametrize("memory", [b"", b"AGm1....", b"\x00" * 40])
def test_a_damaged_memory_is_refused(memory: bytes) -> None:
    site = site_of(HEAD + device_text("room") + point_text("room"))
    with pytest.raises(StorageError):
        AdvisoryJudge(site, layout_of(site), memory)


def test_what_was_learned_of_a_point_stays_when_others_come_and_go() -> None:
    month = live(8.0)
    room = world()
    run(room, list(month.x))
    room.assess.stopping()
    room.keep()
    learned = judge_of(room)._cold.explain(0)
    other = site_of(
        HEAD
        + "".join(
            f"{device_text(name, unit=unit)}{point_text(name)}"
            for unit, name in enumerate(("hall", "room", "shop"), 1)
        )
    )
    judge = AdvisoryJudge(other, layout_of(other), room.memories["advisories"])
    assert repr(judge._cold.explain(1)) == repr(learned)
    assert repr(judge._bank.explain(1)) == repr(judge_of(room)._bank.explain(0))
    assert repr(judge._cold.explain(0)) == repr(judge._cold.explain(2)) != repr(learned)
    back = site_of(HEAD + device_text("room") + point_text("room"))
    judge.stopping()
    judge.tick(room.claim())
    again = AdvisoryJudge(back, layout_of(back), judge.memory())
    assert repr(again._cold.explain(0)) == repr(learned)


def test_of_another_point_everything_is_learned_anew() -> None:
    room = world()
    run(room, list(live(1.0).x))
    room.assess.stopping()
    room.keep()
    other = site_of(HEAD + device_text("hall") + point_text("hall"))
    judge = AdvisoryJudge(other, layout_of(other), room.memories["advisories"])
    assert repr(judge._cold.explain(0)) == repr(AdvisoryJudge(other, layout_of(other))._cold.explain(0))


def test_what_is_learned_is_not_written_every_minute() -> None:
    room = world()
    run(room, list(live(1.0).x))
    room.keep()
    first = room.memories["advisories"]
    room.run(*[3.0] * 10)
    assert room.memories["advisories"] is first


def test_every_advice_is_in_the_catalogue_once_and_of_the_advisory_tier() -> None:
    site = site_of(HEAD + device_text("room") + point_text("room"))
    found = list(AdvisoryJudge(site, layout_of(site)).catalogue())
    assert [condition.rule for condition in found] == list(ADVICE)
    assert {condition.tier for condition in found} == {Tier.ADVISORY}
    assert not any(condition.active for condition in found)


def test_a_misspelt_advice_is_named_with_the_right_one() -> None:
    text = HEAD + device_text("room") + point_text("room", more='advisories = ["dor-open"]\n')
    site, problems = check_site(text, "site.toml", Path("/nowhere"))
    assert site is None
    assert "'dor-open' is no advice that there is" in str(problems[0])
    assert "did you mean 'door-open'?" in str(problems[0])


def test_a_site_without_points_that_advise_carries_no_banks() -> None:
    site = site_of(HEAD + device_text("room") + point_text("room", more="advisories = false\n"))
    assert [name for name, _ in judges_of(site)] == ["limits"]
    assert "advisories" in [
        name
        for name, _ in judges_of(
            dataclasses.replace(site, points=(dataclasses.replace(site.points[0], advisories=("stuck",)),))
        )
    ]


def test_conditions_hold_only_what_the_record_can_carry() -> None:
    from gateway.seal.columns import encode_events

    month = live(8.0)
    room = world()
    run(room, [*month.x, *[month.x[-1]] * 1440, *[25.0] * 300])
    assert any(isinstance(event, Event) and event.data.get("tier") == "advisory" for event in room.events)
    encode_events(room.events)
    assert all(not isinstance(event, Condition) for event in room.events)
