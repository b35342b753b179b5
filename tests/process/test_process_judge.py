"""Process calculations on live scans: runs begin and end, failures become conditions, a kill -9 changes nothing."""

import math
from array import array
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.assess.judge import Finding
from gateway.assess.process.outcome import Result
from gateway.assess.processes import ProcessJudge
from gateway.errors import StorageError
from gateway.model import (
    ClockClaim,
    ClockState,
    Column,
    Condition,
    DeviceLayout,
    Event,
    Layout,
    Miss,
    Quality,
    Scan,
    Tier,
)
from gateway.seal.cbor import dumps, loads
from gateway.seal.events import decode_events, encode_events
from gateway.site import Identity, ProcessSpec, Site

BOOT, OTHER = b"a" * 16, b"b" * 16
EPOCH = 1_760_000_000_000


def device(name: str, *channels: str) -> DeviceLayout:
    columns = tuple(Column(channel, "degC", 2) for channel in channels)
    return DeviceLayout(name, "bus", "model", "hash", 10_000, 0, columns)


LAYOUT = Layout((device("cooker", "core", "air"), device("plant", "outlet", "forward")))
COOK = ProcessSpec(
    id="cook",
    calculation="heat-table",
    device="cooker",
    channel="core",
    point="cooker-1",
    parameters={"table": "fsis-a-6.5log", "max_gap_s": 120.0},
    tier="critical",
    start_above=50.0,
    end_below=45.0,
)
HTST = ProcessSpec(
    id="line",
    calculation="htst",
    device="plant",
    channel="outlet",
    inputs={"forward": ("plant", "forward")},
    parameters={"legal_c": 72.0, "legal_s": 15.0, "cut_in_c": 72.5, "cut_out_c": 72.2, "holding_s": 16.0},
    tier="critical",
    start_above=65.0,
    end_below=50.0,
)


class World:
    """A judge, a clock and what was found."""

    def __init__(self, *specs: ProcessSpec) -> None:
        self.site = Site(
            identity=Identity(member="m", site="s", gateway="g"),
            data_dir=None,  # type: ignore[arg-type]
            buses=(),
            devices=(),
            processes=specs,
        )
        self.now = 1_000
        self.boot, self.utc_offset = BOOT, EPOCH
        self.trusted = True
        self.found: list[Finding] = []
        self.judge = ProcessJudge(self.site, LAYOUT)
        self.tick()

    def claim(self) -> ClockClaim:
        if not self.trusted:
            return ClockClaim(self.boot, self.now, None, None, ClockState.UNTRUSTED)
        return ClockClaim(self.boot, self.now, self.now + self.utc_offset, 50, ClockState.TRUSTED)

    def keep(self, found: Sequence[Finding]) -> None:
        for finding in found:
            if isinstance(finding, Event):
                assert decode_events(encode_events([finding])) == [finding], "an event holds what CBOR can carry"
            else:
                assert loads(dumps(dict(finding.detail)), "detail") == finding.detail
        self.found += found

    def tick(self) -> None:
        self.keep(self.judge.tick(self.claim()))

    def scan(self, *values: float, index: int = 0, quality: int = 0) -> None:
        codes = bytes(quality or (0x81 if math.isnan(value) else 0) for value in values)
        self.keep(self.judge.scan(Scan(index, 0, self.now, array("d", values), codes)))

    def course(self, values: Sequence[float], every_ms: int = 10_000) -> None:
        for value in values:
            self.now += every_ms
            self.scan(value, 20.0)
            self.tick()

    def kill(self, away_ms: int = 0) -> None:
        """kill -9: nothing but the kept memory survives."""
        memory = self.judge.memory()
        self.now += away_ms
        self.judge = ProcessJudge(self.site, LAYOUT, memory)

    def reboot(self, away_ms: int, *, trusted: bool = True) -> None:
        memory = self.judge.memory()
        utc = self.now + self.utc_offset + away_ms
        self.boot, self.now, self.trusted = OTHER, 5_000, trusted
        self.utc_offset = utc - self.now
        self.judge = ProcessJudge(self.site, LAYOUT, memory)

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [finding.data for finding in self.found if isinstance(finding, Event) and finding.kind == kind]

    @property
    def conditions(self) -> list[Condition]:
        return [finding for finding in self.found if isinstance(finding, Condition)]


def cooked(minutes: int = 15) -> list[float]:
    """Heating, holding at 60 degC, cooling: 12 min at 60 degC are required."""
    return [30.0, 45.0, 55.0, *[60.0] * (minutes * 6), 50.0, 44.0, 30.0]


class TestRuns:
    def test_a_cook_that_reaches_its_lethality(self) -> None:
        world = World(COOK)
        world.course(cooked())
        (started,) = world.events("process.started")
        assert started["process"] == "cook"
        assert started["point"] == "cooker-1"
        assert started["start_seen"] is True
        assert "FSIS" in started["source"]
        reached, ended = world.events("process.result")
        assert (reached["ended"], ended["ended"]) == (False, True)
        assert reached["passed"] is True
        assert ended["passed"] is True
        assert ended["coverage"]["samples"] == 93
        assert world.conditions == []
        assert world.events("process.refused") == []

    def test_a_cook_that_ends_too_early_is_a_condition_until_the_next_begins(self) -> None:
        world = World(COOK)
        world.course(cooked(5))
        (ended,) = world.events("process.result")
        assert ended["passed"] is False
        (condition,) = world.conditions
        assert condition.active
        assert condition.alarm == "cooker-1/process-cook"
        assert condition.tier == Tier.CRITICAL
        assert condition.detail["formula"] == "heat-table/fsis-a-6.5log"
        world.course(cooked())
        assert [condition.active for condition in world.conditions] == [True, False]
        assert len(world.events("process.started")) == 2

    def test_a_dip_shorter_than_the_hold_does_not_end_a_run(self) -> None:
        spec = ProcessSpec(**{name: getattr(COOK, name) for name in COOK.__slots__} | {"hold_s": 60.0})
        world = World(spec)
        world.course([30.0, 60.0, 60.0, 40.0, 60.0, 60.0])
        assert world.judge.processes[0].calculation is not None
        world.course([40.0] * 7)
        assert world.judge.processes[0].calculation is None

    def test_a_run_that_was_going_on_at_the_first_value_says_so(self) -> None:
        world = World(COOK)
        world.course([60.0, 60.0])
        assert world.events("process.started")[0]["start_seen"] is False

    def test_runs_one_after_another_by_time(self) -> None:
        daily = ProcessSpec(
            id="warm",
            calculation="time-outside",
            device="cooker",
            channel="air",
            parameters={"limit_c": 15.0},
            end_after_s=600.0,
        )
        world = World(daily)
        world.course([60.0] * 130)
        results = world.events("process.result")
        assert [result["value"] for result in results] == [600.0, 600.0]
        assert [result["started_ms"] for result in results] == [11_000, 611_000], "no time falls between two runs"

    def test_the_page_can_ask_where_a_run_stands(self) -> None:
        world = World(COOK)
        assert world.judge.outcomes(world.now) == {"cook": None}
        world.course(cooked()[:40])
        outcome = world.judge.outcomes(world.now)["cook"]
        assert isinstance(outcome, Result)
        assert 0 < outcome.value < 1


class TestGaps:
    def test_a_silent_probe_refuses_the_run_once_and_raises_the_condition(self) -> None:
        world = World(COOK)
        world.course(cooked()[:30])
        for _ in range(20):
            world.now += 10_000
            world.keep(world.judge.miss(Miss(0, 0, 1, Quality.TIMEOUT), world.now))
            world.tick()
        (refused,) = world.events("process.refused")
        assert refused["refused"] == "gap"
        assert refused["ended"] is False
        (condition,) = world.conditions
        assert condition.active
        assert "no usable value" in condition.words
        world.course([*[60.0] * 100, 40.0])
        assert [event["ended"] for event in world.events("process.refused")] == [False, True]
        assert world.events("process.result") == []

    def test_bad_values_are_no_values(self) -> None:
        world = World(COOK)
        world.course([30.0, 60.0, math.nan, 60.0, 60.0])
        outcome = world.judge.outcomes(world.now)["cook"]
        assert outcome is not None
        assert outcome.coverage is not None
        assert outcome.coverage.missing == {Quality.TIMEOUT.words: 1}

    def test_a_lethality_reached_before_the_gap_raises_nothing(self) -> None:
        world = World(COOK)
        world.course(cooked()[:-3])
        world.now += 500_000
        world.tick()
        assert world.events("process.refused")[0]["settled"] is True
        assert world.conditions == []

    def test_uncertain_values_are_used(self) -> None:
        world = World(COOK)
        for value in cooked():
            world.now += 10_000
            world.scan(value, 20.0, quality=Quality.UNCALIBRATED)
        assert world.events("process.result")[-1]["passed"] is True


class TestCooling:
    SPEC = ProcessSpec(
        id="chill",
        calculation="cooling",
        device="cooker",
        channel="core",
        point="chiller",
        parameters={"rule": "food-code-two-stage"},
        tier="critical",
        start_above=57.0,
        end_below=5.0,
    )

    def test_an_overdue_stage_raises_its_condition_at_the_deadline(self) -> None:
        world = World(self.SPEC)
        world.course([20.0, 80.0, 58.0, 50.0], 60_000)
        start = world.now - 60_000
        while not world.conditions:
            world.now += 60_000
            world.scan(40.0, 20.0)
            world.tick()
            assert world.now < start + 8_000_000
        (condition,) = world.conditions
        assert 7200 <= (condition.at_ms - start) / 1000 <= 7260
        assert "too long" in condition.words
        world.course([20.0, 10.0, 4.0, 4.0], 60_000)
        assert world.events("process.result")[-1]["ended"] is True
        assert world.events("process.result")[-1]["passed"] is False


class TestDiversion:
    def line(self, world: World, outlet: float, forward: float) -> None:
        world.now += 1_000
        world.scan(outlet, forward, index=1)
        world.tick()

    def test_forward_flow_below_the_limit_raises_and_diversion_clears(self) -> None:
        world = World(HTST)
        for outlet, forward in [(60, 0), (70, 0), (73, 1), (73, 1), (71.5, 1), (71.4, 1), (71.3, 1)]:
            self.line(world, outlet, forward)
        (condition,) = world.conditions
        assert condition.active
        assert "diversion not seen" in condition.words
        self.line(world, 71.2, 0)
        assert [condition.active for condition in world.conditions] == [True, False]
        for outlet in (60.0, 40.0):
            self.line(world, outlet, 0)
        ended = world.events("process.result")[-1]
        assert ended["passed"] is False
        assert ended["values"]["diversion_not_seen"] == 1
        assert world.conditions[-1].active, "the run failed: its condition stays until the next run"

    def test_a_valve_signal_from_another_device_serves_while_it_is_fresh(self) -> None:
        spec = ProcessSpec(
            **{name: getattr(HTST, name) for name in HTST.__slots__}
            | {"device": "cooker", "channel": "core", "inputs": {"forward": ("plant", "forward")}}
        )
        world = World(spec)
        world.now += 1_000
        world.scan(60.0, 0.0, index=1)
        world.scan(70.0, 20.0)
        outcome = world.judge.outcomes(world.now)["line"]
        assert outcome is not None
        world.now += 31_000
        world.scan(70.0, 20.0)
        outcome = world.judge.outcomes(world.now)["line"]
        assert outcome is not None
        assert outcome.coverage is not None
        assert outcome.coverage.missing == {"no value of forward": 1}


class TestRestart:
    @pytest.mark.parametrize("cut", [1, 3, 20, 60, 91, 94, 95])
    def test_a_kill_in_the_middle_changes_nothing(self, cut: int) -> None:
        whole, killed = World(COOK), World(COOK)
        values = cooked()
        whole.course(values)
        killed.course(values[:cut])
        killed.kill()
        killed.course(values[cut:])
        assert killed.events("process.result") == whole.events("process.result")
        assert len(killed.events("process.started")) == 1

    def test_a_raised_condition_is_not_raised_twice(self) -> None:
        world = World(COOK)
        world.course(cooked(5))
        world.kill()
        world.tick()
        world.course(cooked())
        assert [condition.active for condition in world.conditions] == [True, False]

    def test_too_long_away_is_a_gap(self) -> None:
        world = World(COOK)
        world.course(cooked()[:30])
        world.kill(away_ms=130_000)
        world.course(cooked()[30:])
        assert {event["refused"] for event in world.events("process.refused")} == {"gap"}

    def test_a_short_reboot_with_a_trusted_clock_goes_on(self) -> None:
        world = World(COOK)
        world.course(cooked()[:30])
        world.reboot(away_ms=50_000)
        world.course(cooked()[30:])
        assert world.events("process.result")[-1]["passed"] is True
        assert world.events("process.result")[-1]["coverage"]["longest_gap_s"] == pytest.approx(60.0, abs=11)

    def test_after_a_reboot_the_first_scans_wait_for_the_clock(self) -> None:
        world = World(COOK)
        world.course(cooked()[:30])
        world.reboot(away_ms=30_000, trusted=False)
        world.course([60.0] * 20)
        assert len(world.found) == 1, "nothing is said while it is not known how long the gateway was away"
        assert world.judge.memory() is not None
        world.trusted = True
        world.course(cooked()[50:])
        assert world.events("process.result")[-1]["passed"] is True
        assert world.events("process.result")[-1]["coverage"]["samples"] == 93

    def test_a_clock_that_never_becomes_trusted_loses_the_run(self) -> None:
        world = World(COOK)
        world.course(cooked()[:30])
        world.reboot(away_ms=30_000, trusted=False)
        world.course([60.0] * 70)
        refused = world.events("process.refused")
        assert refused[0]["refused"] == "restart"
        assert world.conditions[0].active
        assert world.judge.processes[0].calculation is None or refused[0]["ended"]

    def test_parameters_changed_in_the_middle_of_a_run_refuse_it(self) -> None:
        world = World(COOK)
        world.course(cooked()[:30])
        changed = ProcessSpec(
            **{name: getattr(COOK, name) for name in COOK.__slots__} | {"parameters": {"table": "fsis-a-7log"}}
        )
        judge = ProcessJudge(World(changed).site, LAYOUT, world.judge.memory())
        event, condition = judge.tick(world.claim())
        assert isinstance(event, Event)
        assert event.data["refused"] == "changed"
        assert event.data["ended"] is True
        assert isinstance(condition, Condition)
        assert condition.active
        assert judge.processes[0].calculation is None

    def test_a_process_that_left_the_site_file_is_forgotten(self) -> None:
        world = World(COOK)
        world.course(cooked()[:30])
        judge = ProcessJudge(World(HTST).site, LAYOUT, world.judge.memory())
        assert judge.tick(world.claim()) == []

    def test_foreign_memory_is_refused(self) -> None:
        world = World(COOK)
        for junk in (b"", b"AGPC1", b"nonsense", bytes(50)):
            with pytest.raises(StorageError):
                ProcessJudge(world.site, LAYOUT, junk)

    def test_without_processes_there_is_nothing_to_keep(self) -> None:
        assert World().judge.memory() is None
