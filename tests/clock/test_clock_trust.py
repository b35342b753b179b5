"""The wall clock is believed exactly as far as the machine gives reason to."""

import json

import pytest
from machine import SECOND, START_NS, Machine

from gateway.clock import Clock, boot_id, boot_ms, boot_ns, wall_ms
from gateway.model import ClockState, Event
from gateway.site import ClockSpec


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events]


def trusted_clock() -> tuple[Machine, Clock]:
    machine = Machine()
    machine.synchronise(0.0, 0.010)
    clock = Clock(source=machine)
    clock.refresh()
    return machine, clock


def test_before_the_first_look_nothing_is_claimed() -> None:
    claim = Clock(source=Machine()).claim()
    assert claim.state is ClockState.UNTRUSTED
    assert (claim.utc_ms, claim.error_ms, claim.utc_at(5)) == (None, None, None)


def test_an_unsynchronised_machine_is_untrusted_and_says_so_once() -> None:
    clock = Clock(source=Machine())
    (event,) = clock.refresh()
    assert event.kind == "clock.untrusted"
    assert "timesyncd is not synchronised" in event.data["reason"]
    assert clock.refresh() == []


def test_a_small_kernel_error_without_a_known_daemon_is_not_trusted() -> None:
    machine = Machine(keeper=None)
    machine.synchronise(0.0, 0.0)
    clock = Clock(source=machine)
    assert kinds(clock.refresh()) == ["clock.untrusted"]


def test_first_trust_in_a_boot_comes_with_the_correction_for_the_time_before() -> None:
    machine = Machine(wall_ns=1_700_000_000 * SECOND)
    clock = Clock(source=machine)
    clock.refresh()
    early_ms = clock.now_ms()
    early_true_ms = machine.true_ns // 1_000_000
    machine.advance(60)
    machine.synchronise(0.020, 0.050)
    step, correction, trusted = clock.refresh()
    assert (step.kind, correction.kind, trusted.kind) == ("clock.step", "clock.correction", "clock.trusted")
    assert correction.data["boot"] == machine.boot_id
    late_by = early_ms + correction.data["offset_ms"] - early_true_ms
    assert abs(late_by) <= correction.data["error_ms"] + correction.data["drift_ppm"] * 60 / 1000
    assert trusted.data["source"] == "timesyncd"


@pytest.mark.parametrize("by_s", [3600.0, -3600.0])
def test_a_clock_set_by_hand_is_seen_in_both_directions_and_believed_in_neither(by_s: float) -> None:
    machine, clock = trusted_clock()
    machine.advance(5)
    machine.set_by_hand(by_s)
    unseen = clock.claim()
    step, holdover = clock.refresh()
    assert step.kind == "clock.step"
    assert step.data["by_ms"] == by_s * 1000
    assert step.data["to_ms"] - step.data["from_ms"] == by_s * 1000
    assert holdover.kind == "clock.holdover"
    for claim in (unseen, clock.claim()):
        assert claim.utc_ms is not None
        assert abs(claim.utc_ms - machine.true_ns // 1_000_000) <= claim.error_ms


def test_a_step_within_the_error_bound_is_no_event() -> None:
    machine = Machine()
    machine.synchronise(0.0, 0.9)
    clock = Clock(source=machine)
    clock.refresh()
    machine.advance(5)
    machine.synchronise(0.6, 0.9)
    assert clock.refresh() == []


def test_small_steps_are_summed_until_they_matter() -> None:
    machine = Machine()
    machine.synchronise(0.0, 0.9)
    clock = Clock(source=machine)
    clock.refresh()
    machine.synchronise(0.6, 0.9)
    assert clock.refresh() == []
    machine.synchronise(1.2, 1.3)
    (step,) = clock.refresh()
    assert step.data["by_ms"] == 1200


def test_holdover_goes_on_for_a_month_with_a_growing_bound() -> None:
    machine, clock = trusted_clock()
    machine.drift = 450e-6
    machine.advance(9 * 3600)
    assert kinds(clock.refresh()) == ["clock.holdover"]
    machine.advance(30 * 86400)
    assert clock.refresh() == []
    claim = clock.claim()
    assert claim.state is ClockState.HOLDOVER
    assert claim.utc_ms is not None
    assert abs(claim.utc_ms - machine.true_ns // 1_000_000) <= claim.error_ms
    assert claim.error_ms == pytest.approx(22 * 60_000, rel=0.02)


def test_holdover_ends_with_the_next_synchronisation_and_needs_no_second_correction() -> None:
    machine, clock = trusted_clock()
    machine.set_by_hand(0.0)
    assert kinds(clock.refresh()) == ["clock.holdover"]
    machine.synchronise(0.0, 0.010)
    assert kinds(clock.refresh()) == ["clock.trusted"]


def test_a_stopped_daemon_means_holdover() -> None:
    machine, clock = trusted_clock()
    machine.keeper = None
    (event,) = clock.refresh()
    assert event.kind == "clock.holdover"
    assert event.data["reason"] == "no time service is running"


def test_a_change_of_the_daemon_is_told() -> None:
    machine, clock = trusted_clock()
    machine.keeper = "chrony"
    (event,) = clock.refresh()
    assert (event.kind, event.data["source"]) == ("clock.trusted", "chrony")


def test_suspend_is_counted_and_widens_the_bound_until_the_next_synchronisation() -> None:
    machine, clock = trusted_clock()
    before = clock.claim().error_ms
    machine.suspend(600, rtc_error_s=0.9)
    asleep = clock.claim()
    assert asleep.error_ms >= before + 2000
    assert abs(asleep.utc_ms - machine.true_ns // 1_000_000) <= asleep.error_ms
    (event,) = clock.refresh()
    assert event.kind == "clock.suspend"
    assert event.data["suspended_ms"] == 600_900
    machine.advance(10)
    assert clock.refresh() == []
    assert clock.claim().error_ms > 2000
    machine.synchronise(0.0, 0.010)
    clock.refresh()
    assert clock.claim().error_ms < 1000


def test_timesyncd_without_its_own_bound_counts_as_five_seconds() -> None:
    machine = Machine()
    machine.synchronise(0.0, None)
    clock = Clock(source=machine)
    clock.refresh()
    assert clock.claim().error_ms == 5001


def test_chrony_counts_with_the_larger_of_both_bounds() -> None:
    machine = Machine(keeper="chrony")
    machine.synchronise(0.0, 0.2)
    clock = Clock(source=machine)
    clock.refresh()
    assert clock.claim().error_ms == 201
    machine.advance(1000)
    clock.refresh()
    assert clock.claim().error_ms == 501


def test_an_operators_word_is_recorded_as_such() -> None:
    machine = Machine(keeper=None)
    clock = Clock(ClockSpec(source="host", error_s=0.5), machine)
    events = clock.refresh()
    assert kinds(events) == ["clock.correction", "clock.trusted"]
    assert {event.data["source"] for event in events} == {"declared by site file"}
    assert clock.claim().error_ms == 501
    assert clock.memory() is None
    machine.set_by_hand(-7.0)
    (step,) = clock.refresh()
    assert step.data["by_ms"] == -7000
    assert clock.state is ClockState.TRUSTED


def test_a_restart_of_the_gateway_within_a_boot_keeps_holdover() -> None:
    machine, clock = trusted_clock()
    memory = clock.memory()
    machine.set_by_hand(-86400)
    machine.advance(3600)
    later = Clock(source=machine, memory=memory)
    assert later.state is ClockState.HOLDOVER
    assert kinds(later.refresh()) == ["clock.step", "clock.holdover"]
    claim = later.claim()
    assert claim.utc_ms is not None
    assert abs(claim.utc_ms - machine.true_ns // 1_000_000) <= claim.error_ms
    machine.synchronise(0.0, 0.010)
    assert "clock.correction" not in kinds(later.refresh())


def test_a_reboot_is_another_line_of_time_and_nothing_is_held_over() -> None:
    machine, clock = trusted_clock()
    memory, before = clock.memory(), clock.boot
    machine.reboot(wall_ns=START_NS - 3600 * SECOND)
    later = Clock(source=machine, memory=memory)
    assert later.boot != before
    assert later.claim().utc_ms is None


@pytest.mark.parametrize(
    "memory",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"boot": 1}',
        b"null",
        lambda boot: json.dumps({"boot": boot}).encode(),
        lambda boot: json.dumps(
            {"boot": boot, "boot_ns": 10**30, "offset_ns": 0, "error_s": 0.1, "slept_ns": 0}
        ).encode(),
        lambda boot: json.dumps(
            {"boot": boot, "boot_ns": 0, "offset_ns": 0, "error_s": -1, "slept_ns": 0}
        ).encode(),
        lambda boot: f'{{"boot": "{boot}", "boot_ns": 0, "offset_ns": 0, "error_s": NaN, "slept_ns": 0}}'.encode(),
        lambda boot: (
            f'{{"boot": "{boot}", "boot_ns": 1e999, "offset_ns": 0, "error_s": 1, "slept_ns": 0}}'.encode()
        ),
    ],
)
def test_a_damaged_memory_is_left_aside(memory: object) -> None:
    machine = Machine()
    data = memory(machine.boot_id.hex()) if callable(memory) else memory
    assert Clock(source=machine, memory=data).claim().utc_ms is None


async def test_update_asks_the_daemon_first() -> None:
    class Asked(Machine):
        async def measure(self) -> None:
            self.distance_s = 0.050

    machine = Asked()
    machine.synchronise(0.0, None)
    clock = Clock(source=machine)
    await clock.update()
    assert clock.claim().error_ms == 51


def test_the_real_clocks_agree_with_each_other() -> None:
    assert len(boot_id()) == 16
    assert 0 <= boot_ns() // 1_000_000 - boot_ms() + 1 < 1000
    clock = Clock(ClockSpec(source="host", error_s=1.0))
    clock.refresh()
    utc_ms = clock.claim().utc_ms
    assert utc_ms is not None
    assert abs(utc_ms - wall_ms()) < 1000
    assert abs(clock.now_ms() - boot_ms()) < 1000
