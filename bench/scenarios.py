"""What is done to a peer, and what is counted: one function a scenario, each with one stage and one result."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from bench.meter import measure
from bench.peers import Peer, Poll
from bench.stage import Job, Process, Read, Stage, wait_for

DEAD_UNIT = 7
LOSS_WINDOW_NS = 1_000_000_000
"""What the gateway's settings on the bench allow a power cut to cost; the script commits as often."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long things take. ``backlog_values`` is what `drain` starts with: a day at 100 values a second."""

    warm_s: float = 8.0
    window_s: float = 120.0
    step_s: float = 10.0
    before_s: float = 15.0
    dead_s: float = 60.0
    back_s: float = 90.0
    down_s: float = 60.0
    settle_s: float = 45.0
    backlog_values: int = 8_640_000
    drain_patience_s: float = 1800.0
    ramp: tuple[tuple[int, int], ...] = (
        (50, 500),
        (50, 200),
        (50, 100),
        (75, 100),
        (100, 100),
        (125, 100),
        (150, 100),
        (200, 100),
        (247, 100),
    )
    """Units and period in ms of each step; the gateway's shortest period is 100 ms."""
    signal_form: str = "walk"


QUICK = Plan(
    warm_s=6.0,
    window_s=20.0,
    step_s=4.0,
    before_s=8.0,
    dead_s=20.0,
    down_s=20.0,
    settle_s=25.0,
    backlog_values=2_000_000,
    drain_patience_s=120.0,
    ramp=((50, 100), (100, 100), (150, 100), (200, 100)),
)


@dataclass(frozen=True, slots=True)
class Result:
    """Figures of one peer in one scenario; ``case`` tells variants of a scenario apart."""

    scenario: str
    peer: str
    case: str = ""
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Account:
    """Polls answered by the simulator against polls delivered, by unit and number."""

    polls: int
    lost: list[Read]
    duplicated: int


def account(reads: Iterable[Read], delivered: Counter[Poll]) -> Account:
    """Compare what was answered with what arrived; exact, because every poll carries its number."""
    polls, lost, duplicated = 0, [], 0
    for read in reads:
        times = delivered[Poll(read.unit, read.number)]
        polls += 1
        duplicated += max(0, times - 1)
        if not times:
            lost.append(read)
    return Account(polls, lost, duplicated)


def intervals_ms(reads: Iterable[Read], start_ns: int, end_ns: int, without: int | None = None) -> list[float]:
    """Times between two reads of the same unit inside a window, in milliseconds."""
    last: dict[int, int] = {}
    found = []
    for unit, _, at_ns in reads:
        if start_ns <= at_ns < end_ns and unit != without:
            if unit in last:
                found.append((at_ns - last[unit]) / 1e6)
            last[unit] = at_ns
    return found


def percentile(numbers: Iterable[float], part: float) -> float | None:
    """The smallest number that ``part`` of all numbers do not exceed; None when there are none."""
    ordered = sorted(numbers)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else None


def spread(numbers: list[float]) -> dict[str, float | None]:
    """Mean, 99th percentile and largest of some periods."""
    mean = round(fmean(numbers), 2) if numbers else None
    return {"mean_ms": mean, "p99_ms": percentile(numbers, 0.99), "max_ms": max(numbers, default=None)}


@dataclass
class Run:
    """One peer on one stage, from start to end."""

    peer: Peer
    stage: Stage
    process: Process

    def restart(self) -> None:
        """Start the peer again after its death."""
        self.process = self.peer.start()

    def end(self) -> None:
        """End the peer in order."""
        self.process.end()

    def quiet(self, patience_s: float) -> Account:
        """Mute all units, wait until all that was read has been delivered, and compare. What is still out
        when the time is over is lost."""
        self.stage.simulate("mute all")
        deadline = time.monotonic() + patience_s
        while True:
            found = account(self.stage.reads(), self.peer.delivered())
            if not found.lost or time.monotonic() > deadline:
                return found
            time.sleep(1)


def play(
    kind: type[Peer], job: Job, plan: Plan, work: Path, act: Callable[[Run, Plan], dict[str, Any]]
) -> dict[str, Any]:
    """Set the stage, start the peer, wait for its first value, and let ``act`` do the rest."""
    with ExitStack() as stack:
        stage = stack.enter_context(Stage(work, job, kind.topic, plan.signal_form, kind.tls(work)))
        peer = kind(stage)
        for process in peer.helpers():
            stack.callback(process.end)
        run = Run(peer, stage, peer.start())
        stack.callback(run.end)
        first_s = peer.first_stored(run.process.started_ns)
        return {"start_s": round(first_s, 3), **act(run, plan)}


def base(run: Run, plan: Plan) -> dict[str, Any]:
    """The steady state: what a value costs. Bytes to disk include what an orderly end still writes."""
    stage = run.stage
    time.sleep(plan.warm_s)
    first, sent, simulator = measure(run.process.pid), stage.uplink_bytes(), measure(stage.simulator.pid)
    start_ns = time.monotonic_ns()
    time.sleep(plan.window_s)
    last, sent_last, simulator_last = measure(run.process.pid), stage.uplink_bytes(), measure(stage.simulator.pid)
    end_ns = time.monotonic_ns()
    written = run.process.end_counting()
    reads = stage.reads()
    polled = sum(start_ns <= read.at_ns < end_ns for read in reads) * stage.job.registers
    since = sum(start_ns <= read.at_ns for read in reads) * stage.job.registers
    arrived = [len(a.polls) for a in run.peer.arrivals() if start_ns <= a.at_ns < end_ns]
    delivered = sum(arrived) * stage.job.registers
    seconds = (end_ns - start_ns) / 1e9
    return {
        "values_per_s": round(polled / seconds, 1),
        "delivered_per_s": round(delivered / seconds, 1),
        "messages_per_s": round(len(arrived) / seconds, 3),
        "cpu_s_per_1000": per(1000 * (last.cpu_s - first.cpu_s), polled, 6),
        "cpu_percent": round(100 * (last.cpu_s - first.cpu_s) / seconds, 2),
        "rss_mb": round(last.rss_bytes / 1e6, 1),
        "threads": last.threads,
        "disk_bytes_per_value": per(written - first.write_bytes, since, 2),
        "wire_bytes_per_value": per(sent_last[0] - sent[0], delivered, 2),
        "wire_back_bytes_per_value": per(sent_last[1] - sent[1], delivered, 2),
        "simulator_cpu_percent": round(100 * (simulator_last.cpu_s - simulator.cpu_s) / seconds, 2),
        **spread(intervals_ms(reads, start_ns, end_ns)),
    }


def per(amount: float, count: int, digits: int) -> float | None:
    """``amount`` for each of ``count``, None when there were none."""
    return round(amount / count, digits) if count else None


def ramp_step(run: Run, plan: Plan) -> dict[str, Any]:
    """One step of the ramp: asked, polled and delivered values, and what they cost."""
    stage = run.stage
    time.sleep(min(plan.warm_s, 4.0))
    first, start_ns = measure(run.process.pid), time.monotonic_ns()
    time.sleep(plan.step_s)
    last, end_ns = measure(run.process.pid), time.monotonic_ns()
    found = run.quiet(plan.settle_s)
    reads = stage.reads()
    polled = sum(start_ns <= read.at_ns < end_ns for read in reads) * stage.job.registers
    seconds = (end_ns - start_ns) / 1e9
    rate = polled / seconds
    return {
        "asked_per_s": stage.job.values_per_s,
        "values_per_s": round(rate),
        "cpu_s_per_1000": per(1000 * (last.cpu_s - first.cpu_s), polled, 6),
        "cpu_percent": round(100 * (last.cpu_s - first.cpu_s) / seconds, 1),
        "rss_mb": round(last.rss_bytes / 1e6, 1),
        "lost": len(found.lost),
        "duplicated": found.duplicated,
        "sustained": rate >= 0.95 * stage.job.values_per_s and not found.lost,
        **spread(intervals_ms(reads, start_ns, end_ns)),
    }


def dead(run: Run, plan: Plan) -> dict[str, Any]:
    """One of the units falls silent; how do the others on its line fare, from that moment on."""
    stage = run.stage
    time.sleep(min(plan.warm_s, 4.0))
    marks = [time.monotonic_ns()]
    for seconds, command in ((plan.before_s, f"mute {DEAD_UNIT}"), (plan.dead_s, f"unmute {DEAD_UNIT}")):
        time.sleep(seconds)
        stage.simulate(command)
        marks.append(time.monotonic_ns())
    time.sleep(plan.before_s)
    marks.append(time.monotonic_ns())
    deadline = time.monotonic() + plan.back_s
    while (back := back_after(stage.reads(), marks[2])) is None and time.monotonic() < deadline:
        time.sleep(1)
    reads = stage.reads()
    phases = {
        name: spread(intervals_ms(reads, start, end, without=DEAD_UNIT))
        for name, start, end in zip(("before", "dead", "after"), marks, marks[1:], strict=False)
    }
    before, during = phases["before"]["mean_ms"], phases["dead"]["mean_ms"]
    return {
        **phases,
        "ratio": round(during / before, 3) if before and during else None,
        "back_s": back,
    }


def back_after(reads: Iterable[Read], since_ns: int) -> float | None:
    """Seconds from a moment until the dead unit was read again."""
    times = (read.at_ns for read in reads if read.unit == DEAD_UNIT and read.at_ns > since_ns)
    return next((round((at_ns - since_ns) / 1e9, 2) for at_ns in times), None)


def refused(run: Run, plan: Plan) -> dict[str, Any]:
    """The broker refuses connections for a while."""
    return interrupted(run, plan, "refuse", during=time.sleep)


def silent(run: Run, plan: Plan) -> dict[str, Any]:
    """The link stays up and swallows everything for a while, and is then reset."""
    return interrupted(run, plan, "silent", during=time.sleep)


def killed(run: Run, plan: Plan) -> dict[str, Any]:
    """The broker refuses; in the middle of that the gateway dies (SIGKILL) and starts again."""
    times: list[int] = []

    def during(seconds: float) -> None:
        time.sleep(seconds / 2)
        times.append(time.monotonic_ns())
        run.process.kill()
        time.sleep(2)
        run.restart()
        time.sleep(max(0.0, seconds / 2 - 2))

    return interrupted(run, plan, "refuse", during, killed_ns=times)


def killed_draining(run: Run, plan: Plan) -> dict[str, Any]:
    """The gateway dies (SIGKILL) when about a third of what had piled up in an outage has been sent.

    The uplink is slowed so that the backlog takes about ten seconds, and opened again after the death.
    """
    stage = run.stage
    times: list[int] = []

    def during(seconds: float) -> None:
        sent = stage.uplink_bytes()[0]
        alive_s = (time.monotonic_ns() - run.process.started_ns) / 1e9
        backlog = int(sent / alive_s * seconds)
        time.sleep(seconds)
        stage.uplink(f"rate {max(2000, backlog // 10)}")
        stage.uplink("up")
        deadline = time.monotonic() + plan.settle_s
        while stage.uplink_bytes()[0] - sent < backlog // 3 and time.monotonic() < deadline:
            time.sleep(0.005)
        times.append(time.monotonic_ns())
        run.process.kill()
        stage.uplink("rate 0")
        time.sleep(1)
        run.restart()

    return interrupted(run, plan, "refuse", during, killed_ns=times)


def interrupted(
    run: Run, plan: Plan, failure: str, during: Callable[[float], None], killed_ns: list[int] | None = None
) -> dict[str, Any]:
    """Normal, then ``failure`` of the uplink while ``during`` runs, then normal; and the exact account."""
    stage = run.stage
    time.sleep(plan.warm_s)
    stage.uplink(failure)
    during(plan.down_s)
    stage.uplink("up")
    up_ns = time.monotonic_ns()
    time.sleep(min(10.0, plan.settle_s))
    ended = not run.process.alive()
    found = run.quiet(plan.settle_s)
    back = next((a.at_ns - up_ns for a in run.peer.arrivals() if a.at_ns > up_ns), None)
    width = stage.job.registers
    in_window = [read for read in found.lost for at in killed_ns or [] if at - LOSS_WINDOW_NS <= read.at_ns <= at]
    oldest = max((at - read.at_ns for read in found.lost for at in killed_ns or [] if read.at_ns <= at), default=0)
    return {
        "values": found.polls * width,
        "lost": len(found.lost) * width,
        "lost_in_window": len(in_window) * width,
        "lost_beyond": (len(found.lost) - len(in_window)) * width,
        "oldest_lost_before_kill_s": round(oldest / 1e9, 3),
        "duplicated": found.duplicated * width,
        "first_after_up_s": round(back / 1e9, 2) if back is not None else None,
        "ended_by_itself": ended,
    }


def drain(kind: type[Peer], plan: Plan, work: Path) -> dict[str, Any]:
    """A backlog is delivered while new scans keep their schedule."""
    with ExitStack() as stack:
        stage = stack.enter_context(Stage(work, Job(), kind.topic, plan.signal_form, kind.tls(work)))
        peer = kind(stage)
        for helper in peer.helpers():
            stack.callback(helper.end)
        peer.backlog(plan.backlog_values)
        process = peer.start()
        stack.callback(process.end)
        return drained(Run(peer, stage, process), plan)


def drained(run: Run, plan: Plan) -> dict[str, Any]:
    """Wait for the backlog to be gone; the clock runs from the start of the gateway."""
    stage, peer, process = run.stage, run.peer, run.process
    wait_for(stage.reads, 30, "the first poll")
    largest, left = measure(process.pid), plan.backlog_values
    deadline = time.monotonic() + plan.drain_patience_s
    while left and time.monotonic() < deadline:
        time.sleep(0.5)
        left = peer.backlog_left()
        now = measure(process.pid)
        largest = now if now.rss_bytes > largest.rss_bytes else largest
    end_ns, last = time.monotonic_ns(), measure(process.pid)
    seconds = (end_ns - process.started_ns) / 1e9
    gone = plan.backlog_values - left
    reads = stage.reads()
    polled = sum(read.at_ns < end_ns for read in reads)
    return {
        "backlog_values": plan.backlog_values,
        "left_values": left,
        "seconds": round(seconds, 1),
        "drained_per_s": round(gone / seconds),
        "cpu_s_per_1000": per(1000 * last.cpu_s, gone + polled * stage.job.registers, 6),
        "cpu_percent": round(100 * last.cpu_s / seconds, 1),
        "rss_mb": round(largest.rss_bytes / 1e6, 1),
        "sent_bytes": stage.uplink_bytes()[0],
        **spread(intervals_ms(reads, process.started_ns, end_ns)),
    }


OUTAGES: dict[str, Callable[[Run, Plan], dict[str, Any]]] = {
    "refused": refused,
    "silent": silent,
    "killed": killed,
    "killed draining": killed_draining,
}
"""Case names of the outage scenario."""
