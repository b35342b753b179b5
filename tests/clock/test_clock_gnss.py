"""A satellite receiver as the clock, where nobody else keeps it: believed when it agrees with itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machine import SECOND, Machine

from gateway.clock import Clock
from gateway.clock_gnss import GNSS, GnssWatch
from gateway.model import ClockState, Event
from gateway.site import ClockSpec


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events]


def fixes(
    machine: Machine, clock: Clock, count: int, delays: list[float] | None = None, lie_s: float = 0.0
) -> None:
    """A fix a second, each heard a little after the second that it is for."""
    for number in range(count):
        delay_s = (delays or [0.3, 0.2, 0.6])[number % len(delays or [0, 0, 0])]
        machine.advance(1.0)
        said = machine.true_ns - round((delay_s - lie_s) * SECOND)
        clock.hear_gnss(said, machine.boot_ns())


def lost(spec: ClockSpec | None = None) -> tuple[Machine, Clock]:
    """A machine without a time service whose clock is a year behind."""
    machine = Machine(wall_ns=1_758_000_000 * SECOND, keeper=None)
    clock = Clock(spec, machine)
    clock.refresh()
    return machine, clock


def off_s(machine: Machine, clock: Clock) -> float:
    claim = clock.claim()
    assert claim.utc_ms is not None
    return abs(claim.utc_ms / 1000 - machine.true_ns / SECOND)


class TestTrust:
    def test_a_receiver_gives_the_time_with_its_error(self) -> None:
        machine, clock = lost()
        fixes(machine, clock, 5)
        correction, trusted = clock.refresh()
        assert (correction.kind, trusted.kind) == ("clock.correction", "clock.trusted")
        assert trusted.data["source"] == clock.keeper == GNSS
        assert abs(trusted.data["utc_ms"] / 1000 - machine.true_ns / SECOND) < 1.0
        claim = clock.claim()
        assert claim.state is ClockState.TRUSTED
        assert claim.error_ms is not None
        assert 1000 < claim.error_ms < 1100
        assert off_s(machine, clock) <= claim.error_ms / 1000

    def test_the_clock_of_the_machine_is_left_as_it_is_and_makes_no_steps(self) -> None:
        machine, clock = lost()
        fixes(machine, clock, 5)
        clock.refresh()
        for _ in range(3):
            fixes(machine, clock, 5)
            assert clock.refresh() == []

    def test_one_fix_is_no_time(self) -> None:
        machine, clock = lost()
        fixes(machine, clock, 4)
        assert clock.refresh() == []
        assert clock.claim().utc_ms is None

    def test_a_receiver_that_corrects_itself_is_believed_anew(self) -> None:
        machine, clock = lost()
        fixes(machine, clock, 4, lie_s=18.0)
        fixes(machine, clock, 4)
        assert clock.refresh() == []
        fixes(machine, clock, 1)
        clock.refresh()
        assert off_s(machine, clock) <= 1.0

    def test_without_fixes_the_time_is_held_over(self) -> None:
        machine, clock = lost()
        fixes(machine, clock, 5)
        clock.refresh()
        machine.advance(11)
        (event,) = clock.refresh()
        assert event.kind == "clock.holdover"
        assert "satellite receiver" in event.data["reason"]
        claim = clock.claim()
        assert claim.error_ms is not None
        assert off_s(machine, clock) <= claim.error_ms / 1000

    def test_after_a_suspend_the_next_fixes_make_it_good(self) -> None:
        machine, clock = lost()
        fixes(machine, clock, 5)
        clock.refresh()
        machine.suspend(20, 0.9)
        clock.refresh()
        fixes(machine, clock, 5)
        clock.refresh()
        claim = clock.claim()
        assert claim.error_ms is not None
        assert off_s(machine, clock) <= claim.error_ms / 1000 < 1.1

    def test_a_time_service_that_is_synchronised_comes_first(self) -> None:
        machine, clock = lost()
        fixes(machine, clock, 5)
        clock.refresh()
        machine.keeper = "chrony"
        machine.synchronise(0.0, 0.01)
        assert "clock.trusted" in kinds(clock.refresh())
        assert clock.keeper == "chrony"

    def test_an_operators_word_is_not_overruled(self) -> None:
        machine, clock = lost(ClockSpec(source="host", error_s=5.0))
        fixes(machine, clock, 10)
        clock.refresh()
        assert clock.keeper == "declared by site file"

    def test_holdover_goes_on_over_a_restart(self) -> None:
        machine, clock = lost()
        fixes(machine, clock, 5)
        clock.refresh()
        later = Clock(source=machine, memory=clock.memory())
        assert later.claim().utc_ms == clock.claim().utc_ms


@given(st.lists(st.floats(0.0, 1.0), min_size=5, max_size=80), st.floats(-400e-6, 400e-6))
def test_the_stated_error_holds_for_any_delay_and_any_crystal(delays: list[float], drift: float) -> None:
    machine = Machine(keeper=None, drift=drift)
    clock = Clock(source=machine)
    fixes(machine, clock, len(delays), delays)
    clock.refresh()
    claim = clock.claim()
    if claim.utc_ms is not None:
        assert claim.error_ms is not None
        assert off_s(machine, clock) <= claim.error_ms / 1000


@pytest.mark.parametrize("count", [0, 1, 4])
def test_too_few_fixes_are_none(count: int) -> None:
    watch = GnssWatch()
    for number in range(count):
        watch.hear(number * SECOND + 5, number * SECOND)
    assert watch.read(count * SECOND) is None
