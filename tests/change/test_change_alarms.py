"""What is judged, while the site file changes under it: alarms in force stay, what is gone ends and says why."""

import pytest
from alarm_world import HEAD, MINUTE, World, device_text, layout_of, point_text, site_of

from gateway.assess import station
from gateway.assess.station import judges_of
from gateway.model import AlarmState, Quality

STRICT = 'profile = "own"\n'
OWN = """\
[[profile]]
id = "own"
unit = "degC"
stale = "30min"
[profile.limits]
high-critical = 8.0
high-alert = { limit = 5.0, delay = "10min" }
"""


def text_of(*rooms: str, more: str = STRICT, extra: str = OWN) -> str:
    devices = "".join(device_text(name, unit=number) for number, name in enumerate(rooms, 1))
    return HEAD + extra + devices + "".join(point_text(name, critical=True, more=more) for name in rooms)


def change(world: World, text: str, why: str = "changed by Jo: moved") -> None:
    world.site = site_of(text)
    world.layout = layout_of(world.site)
    world.memories |= world.assess.reconfigure(world.site, world.layout, world.claim(), why)
    world.judges = judges_of(world.site)


def state(world: World, alarm: str) -> AlarmState:
    return world.assess.engine.alarm(alarm).state


class TestAlarmsInForce:
    def test_an_alarm_stands_with_all_that_was_done_about_it_when_another_device_comes_before_it(self) -> None:
        world = World(text_of("room"))
        world.run(9.0, 9.0)
        world.assess.acknowledge("room/high-critical", "Ann", "seen")
        before = world.assess.engine.alarm("room/high-critical")
        events = len(world.events)
        change(world, text_of("hall", "room"))
        assert world.assess.engine.alarm("room/high-critical") == before
        assert world.events[events:] == []
        world.now_ms += MINUTE
        world.feed(4.0, device=1)
        assert world.kinds()[-1] == "returned room/high-critical"

    def test_a_delay_goes_on_as_if_nothing_had_been(self) -> None:
        world = World(text_of("room"))
        world.run(*[6.0] * 7)
        change(world, text_of("hall", "room"))
        for _ in range(2):
            world.now_ms += MINUTE
            world.feed(6.0, device=1)
        assert world.kinds() == []
        for _ in range(2):
            world.now_ms += MINUTE
            world.feed(6.0, device=1)
        assert world.kinds() == ["raised room/high-alert"]
        assert world.last("alarm.raised").data["since_ms"] == MINUTE

    def test_a_silence_is_as_long_as_it_is_however_often_the_site_changes(self) -> None:
        world = World(text_of("room"))
        world.run(3.0)
        for _ in range(4):
            world.wait(8 * MINUTE)
            change(world, text_of("room", "hall"))
            change(world, text_of("room"))
        assert "raised room/stale" in world.kinds()
        assert "raised room/communication-loss" in world.kinds()

    def test_what_is_new_is_not_silent_since_before_it_was_there(self) -> None:
        world = World(text_of("room"))
        for _ in range(40):
            world.run(3.0)
        change(world, text_of("room", "hall"))
        world.run(3.0)
        assert not [kind for kind in world.kinds() if "hall" in kind]
        world.wait(40 * MINUTE)
        assert "raised hall/stale" in world.kinds()

    def test_shelving_and_the_count_of_alarms_go_on(self) -> None:
        world = World(text_of("room"))
        world.run(9.0, 9.0)
        world.assess.acknowledge("room/high-critical", "Ann")
        world.assess.shelve("room/high-critical", "Ann", "defrost", 1800)
        total = world.assess.engine.rates.total
        change(world, text_of("hall", "room"))
        assert state(world, "room/high-critical") is AlarmState.SHELVED
        assert world.assess.engine.rates.total == total > 0

    def test_it_survives_a_kill_right_after_the_change(self) -> None:
        world = World(text_of("room"))
        world.run(9.0, 9.0)
        change(world, text_of("hall", "room"))
        world.restart()
        assert state(world, "room/high-critical") is AlarmState.UNACKNOWLEDGED

    def test_a_power_cut_right_after_the_change_is_one(self) -> None:
        world = World(text_of("room"))
        world.run(3.0)
        change(world, text_of("hall", "room"))
        world.reboot(off_ms=60_000)
        assert "raised gateway/power-loss" in world.kinds()


class TestWhatIsGone:
    def test_alarms_of_a_removed_point_end_with_the_reason_and_wait_for_their_acknowledgement(self) -> None:
        world = World(text_of("hall", "room"))
        world.run(9.0, devices=2)
        change(world, text_of("hall"))
        ended = world.last("alarm.returned")
        assert ended.data["alarm"] == "room/high-critical"
        assert ended.data["words"] == (
            "room/high-critical is not watched any more: point room is no longer in the site file "
            "(changed by Jo: moved)"
        )
        assert state(world, "room/high-critical") is AlarmState.RETURNED
        assert state(world, "hall/high-critical") is AlarmState.UNACKNOWLEDGED

    def test_an_alarm_of_a_rule_that_the_point_has_no_more_ends(self) -> None:
        world = World(text_of("room"))
        world.run(9.0)
        change(world, text_of("room", more='profile = "own"\n[point.limits]\nhigh-critical = false\n'))
        world.run(9.0)
        assert world.kinds()[-1] == "returned room/high-critical"

    def test_a_silent_device_that_is_removed_ends_its_alarm_and_its_gap(self) -> None:
        world = World(text_of("hall", "room"))
        world.run(3.0, devices=2)
        for _ in range(10):
            world.now_ms += MINUTE
            world.feed(3.0)
            world.miss(device=1)
            world.tick()
        assert "raised room/communication-loss" in world.kinds()
        change(world, text_of("hall"))
        assert "returned room/communication-loss" in world.kinds()
        gap = world.last("gap.closed").data
        assert (gap["device"], gap["count"], gap["words"]) == ("room", 10, "changed by Jo: moved")

    def test_a_process_that_is_removed_ends_its_alarm(self) -> None:
        process = (
            '[[process]]\nid = "warm"\ncalculation = "time-outside"\npoint = "room"\ntier = "critical"\n'
            "end_after_s = 86400\n[process.parameters]\nlimit_c = 7.0\nmost_single_s = 600\n"
        )
        text = text_of("room", more="") + process
        world = World(text, judges=judges_of(site_of(text)))
        world.run(*[9.0] * 15)
        assert "raised room/process-warm" in world.kinds()
        change(world, text_of("room", more=""))
        ended = world.last("alarm.returned").data
        assert ended["alarm"] == "room/process-warm"
        assert "process warm is no longer in the site file" in ended["words"]


class TestCountersAndGaps:
    def test_an_open_gap_goes_on_and_closes_with_its_whole_length(self) -> None:
        world = World(text_of("room"))
        world.run(3.0)
        for _ in range(5):
            world.now_ms += MINUTE
            world.miss()
        change(world, text_of("hall", "room"))
        world.now_ms += MINUTE
        world.miss(device=1)
        world.now_ms += MINUTE
        world.feed(3.0, device=1)
        gap = world.last("gap.closed").data
        assert (gap["device"], gap["count"]) == ("room", 6)
        assert gap["causes"] == {str(int(Quality.TIMEOUT)): 6}

    def test_counts_of_values_go_with_their_device(self) -> None:
        world = World(text_of("room"))
        world.run(3.0, 3.0)
        change(world, text_of("hall", "room"))
        assert world.assess.values == ({}, {Quality.UNCALIBRATED: 2})

    def test_a_device_on_another_schedule_begins_without_a_gap(self) -> None:
        world = World(text_of("room"))
        world.run(3.0)
        for _ in range(5):
            world.now_ms += MINUTE
            world.miss()
        change(world, text_of("room").replace("period_s = 60", "period_s = 30"))
        assert world.last("gap.closed").data["count"] == 5
        assert world.assess.gaps[0].open_since is None


class TestFailure:
    def test_a_judge_that_cannot_be_loaded_leaves_all_as_it_was(self, monkeypatch: pytest.MonkeyPatch) -> None:
        world = World(text_of("room"))
        world.run(9.0)
        engine, borders = world.assess.engine, world.assess.borders

        def broken(_: object) -> None:
            raise ImportError("no such module")

        monkeypatch.setattr(station, "judges_of", broken)
        with pytest.raises(ImportError):
            change(world, text_of("hall", "room"))
        assert world.assess.engine is engine
        assert world.assess.borders is borders
        world.layout = layout_of(site_of(text_of("room")))
        world.run(4.0)
        assert world.kinds()[-1] == "returned room/high-critical"
