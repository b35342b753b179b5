"""What a sensor kept during a gap is judged as the past: found, told, and without any effect on what is now."""

from collections.abc import Sequence

from alarm_world import HEAD, MINUTE, World, device_text, point_text

from gateway.model import AlarmState, Column, Event, Miss, Quality
from gateway.seal.backfill import BACKFILL, MOST_ROWS, Backfill, Row, backfill_data

LIMIT = '[point.limits]\nhigh-critical = {limit = 8.0, delay = "10min", hysteresis = 1.0}\n'


def world_of(*, limits: str = LIMIT) -> World:
    return World(HEAD + device_text("room") + point_text("room", more=limits))


def backfill(world: World, values: Sequence[float | None], *, first_ms: int, step_ms: int = 5 * MINUTE) -> None:
    """The download of a gap, handed over as acquire does."""
    rows = []
    for number, value in enumerate(values):
        at_ms = first_ms + number * step_ms
        rows.append(Row((at_ms - 1) // MINUTE + 1, at_ms, 2000, (value,), b"\x01"))
    parts = [rows[at : at + MOST_ROWS] for at in range(0, len(rows), MOST_ROWS)]
    for number, part in enumerate(parts, 1):
        data = backfill_data(
            Backfill(
                device="room",
                source="ruuvi-log",
                period_ms=MINUTE,
                phase_ms=0,
                columns=(Column("temperature", "degC", 1),),
                rows=tuple(part),
                sha256="ab" * 32,
                part=number,
                parts=len(parts),
            )
        )
        world.assess.event(Event(BACKFILL, world.now_ms, data))


def gone_for(world: World, minutes: int) -> int:
    """The sensor is silent; when its silence began."""
    began = world.now_ms
    slot = world.now_ms // MINUTE + 1
    world.wait(minutes * MINUTE)
    world.assess.miss(Miss(0, slot, minutes, Quality.STALE))
    return began


def deviations(world: World) -> list[Event]:
    return [event for event in world.events if event.kind == "backfill.deviation"]


class TestFindings:
    def test_an_excursion_of_the_past_is_told_as_one(self) -> None:
        world = world_of()
        world.run(*[4.0] * 5)
        began = gone_for(world, 90)
        world.run(4.0)
        backfill(world, [4.0, 5.0, 9.0, 10.5, 9.0, 6.0, 5.0], first_ms=began + MINUTE)
        (found,) = deviations(world)
        data = found.data
        assert (data["point"], data["rule"], data["tier"]) == ("room", "high-critical", "critical")
        assert data["since_ms"] == began + 11 * MINUTE
        assert data["until_ms"] == began + 26 * MINUTE
        assert (data["extreme"], data["limit"]) == (10.5, 8.0)
        assert data["words"].startswith("in the past, ")

    def test_it_is_an_alarm_that_is_over_and_wants_to_be_noted(self) -> None:
        world = world_of()
        world.run(*[4.0] * 5)
        began = gone_for(world, 90)
        world.run(4.0)
        backfill(world, [9.0] * 4 + [4.0], first_ms=began + MINUTE)
        (alarm,) = (alarm for alarm in world.assess.engine.alarms if alarm.id == "room/past-high-critical")
        assert alarm.state is AlarmState.RETURNED
        assert alarm.condition.detail["past"] is True
        assert world.kinds()[-2:] == ["raised room/past-high-critical", "returned room/past-high-critical"]

    def test_one_that_lasts_to_the_end_has_no_end(self) -> None:
        world = world_of()
        world.run(*[4.0] * 5)
        began = gone_for(world, 60)
        world.run(4.0)
        backfill(world, [4.0, *[9.0] * 5], first_ms=began + MINUTE)
        assert [event.data["until_ms"] for event in deviations(world)] == [None]

    def test_parts_of_a_download_are_judged_as_one(self) -> None:
        world = world_of()
        world.run(*[4.0] * 5)
        began = gone_for(world, 400)
        world.run(4.0)
        backfill(world, [4.0] * 195 + [9.0] * 20 + [4.0] * 30, first_ms=began + MINUTE, step_ms=MINUTE)
        (found,) = deviations(world)
        assert found.data["until_ms"] - found.data["since_ms"] == 20 * MINUTE

    def test_within_limits_there_is_nothing_to_tell(self) -> None:
        world = world_of()
        world.run(*[4.0] * 5)
        began = gone_for(world, 60)
        world.run(4.0)
        backfill(world, [4.0, None, 8.0, 7.0], first_ms=began + MINUTE)
        assert deviations(world) == []


class TestNoEffectOnNow:
    def test_the_live_rule_neither_begins_nor_ends_by_it(self) -> None:
        world = world_of()
        world.run(*[4.0] * 5)
        began = gone_for(world, 60)
        world.run(4.0)
        stored, values = len(world.stored), dict(world.assess.values[0])
        backfill(world, [20.0] * 10, first_ms=began + MINUTE)
        world.run(4.0)
        assert "raised room/high-critical" not in world.kinds()
        assert len(world.stored) == stored + 1, "nothing of it is stored as a scan"
        assert world.assess.values[0][0] == values[0] + 1

    def test_an_alarm_that_stands_is_not_ended_by_good_values_of_the_past(self) -> None:
        world = world_of()
        world.run(*[4.0] * 5)
        began = gone_for(world, 60)
        world.run(*[9.0] * 15)
        assert "raised room/high-critical" in world.kinds()
        backfill(world, [4.0] * 10, first_ms=began + MINUTE)
        assert "returned room/high-critical" not in world.kinds()

    def test_one_that_cannot_be_read_stops_nothing(self) -> None:
        world = world_of()
        world.run(4.0)
        world.assess.event(Event(BACKFILL, world.now_ms, {"device": "room"}))
        assert world.last("judge.failed").data["judge"] == "backfill"
        world.run(4.0)
