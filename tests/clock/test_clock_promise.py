"""The promise: whatever happens to a machine, a claimed time is never wrong by more than its claimed error."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from machine import SECOND, START_NS, Machine

from gateway.clock import Clock
from gateway.model import ClockState

distances = st.sampled_from([0.0, 5.0]) | st.floats(0.0, 5.0)
shares = st.sampled_from([-1.0, 1.0]) | st.floats(-1.0, 1.0)
drifts = st.sampled_from([-450e-6, 450e-6]) | st.floats(-450e-6, 450e-6)


class LifeOfAClock(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine()
        self.clock = Clock(source=self.machine)
        self.trusted_in_boot = False

    @initialize(wall_s=st.integers(0, 2**32), drift=drifts)
    def power_up(self, wall_s: int, drift: float) -> None:
        self.machine.reboot(wall_s * SECOND)
        self.machine.drift = drift
        self.clock = Clock(source=self.machine)

    @rule(seconds=st.floats(0.001, 100_000), drift=drifts)
    def time_passes(self, seconds: float, drift: float) -> None:
        self.machine.drift = drift
        before = self.machine.boot_ns(), self.clock.now_ms()
        self.machine.advance(seconds)
        assert self.machine.boot_ns() >= before[0]
        assert self.clock.now_ms() >= before[1]

    @rule(distance_s=distances, share=shares, told=st.booleans())
    def timesyncd_polls(self, distance_s: float, share: float, told: bool) -> None:
        self.machine.keeper = "timesyncd"
        self.machine.synchronise(distance_s * share, distance_s if told else None)

    @rule(by_s=st.floats(-1e6, 1e6))
    def somebody_sets_the_clock(self, by_s: float) -> None:
        self.machine.set_by_hand(by_s)

    @rule(running=st.booleans())
    def daemon_stops_or_starts(self, running: bool) -> None:
        self.machine.keeper = "timesyncd" if running else None

    @rule(seconds=st.floats(3, 100_000), rtc_error_s=shares)
    def sleeps(self, seconds: float, rtc_error_s: float) -> None:
        # A sleep below the step of the RTC can go uncounted; nobody can see such a one.
        self.machine.suspend(seconds, rtc_error_s)

    @rule()
    def looks(self) -> None:
        before = self.clock.state
        events = self.clock.refresh()
        changed = {"clock.trusted", "clock.holdover", "clock.untrusted"} & {event.kind for event in events}
        if self.clock.state is not before:
            assert changed == {f"clock.{self.clock.state.name.lower()}"}
        if self.clock.state is ClockState.TRUSTED:
            corrections = [event for event in events if event.kind == "clock.correction"]
            assert bool(corrections) is not self.trusted_in_boot
            self.trusted_in_boot = True

    @rule(keep=st.booleans())
    def gateway_restarts(self, keep: bool) -> None:
        memory = self.clock.memory() if keep else None
        self.trusted_in_boot = memory is not None
        self.clock = Clock(source=self.machine, memory=memory)

    @rule(behind_s=st.integers(0, 10**6))
    def power_cut(self, behind_s: int) -> None:
        boot, memory = self.clock.boot, self.clock.memory()
        self.machine.reboot(START_NS - behind_s * SECOND)
        self.clock = Clock(source=self.machine, memory=memory)
        self.trusted_in_boot = False
        assert self.clock.boot != boot
        assert self.clock.claim().utc_ms is None

    @invariant()
    def no_claim_is_wrong_by_more_than_it_says(self) -> None:
        claim = self.clock.claim()
        assert (claim.state is ClockState.UNTRUSTED) == (claim.utc_ms is None) == (claim.error_ms is None)
        if claim.utc_ms is not None and claim.error_ms is not None:
            true_ns = self.machine.true_ns - (self.machine.boot_ns() - claim.boot_ms * 1_000_000)
            assert abs(claim.utc_ms * 1_000_000 - true_ns) <= claim.error_ms * 1_000_000
            assert self.clock.utc_ms(claim.boot_ms) == claim.utc_ms == claim.utc_at(claim.boot_ms)


LifeOfAClock.TestCase.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
TestLifeOfAClock = LifeOfAClock.TestCase
