"""Rules of plugins at work: each in a thread of its own, fed with judged readings, its findings made into alarms.

Nothing that a rule does reaches the path. One that raises, takes too long or says too much loses the readings
that it was given, rests for ever longer times and is begun anew; one that does not come back from a call is left
alone until it does. Each of these is counted, named, and an alarm of the maintenance tier.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from gateway.api import Finding, Host, Output, OutputError, Reading, Rule, RuleHost, load_rule
from gateway.assess.station import Assess
from gateway.model import ClockClaim, Condition, Layout, Miss, Scan, Tier
from gateway.notify.cell import Cell
from gateway.notify.feed import Feed
from gateway.notify.stats import FeedStats
from gateway.site import OutputSpec, RuleSpec, Site

__all__ = ["RuleStats", "Rulebook"]

log = logging.getLogger(__name__)

MOST_FINDINGS = 200
"""Of one call. A plant has no more to say at once; a rule in a loop has."""
MOST_KEYS = 1000
"""Different alarms of one rule."""
QUEUE = 2000
SETTLE_S = 60.0
"""What stands from an earlier process and is not said again within this time of running is over."""
KEY = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")


@dataclass(slots=True)
class RuleStats:
    """One rule since the start of the program."""

    type: str
    findings: int = 0
    floods: int = 0
    """Calls with more findings than anybody could mean."""
    failing: bool = False
    last_error: str = ""
    values: FeedStats | None = None


class _Adapter(Output):
    """A rule as the room of outputs knows it: it takes readings."""

    sends = False
    values = True

    def __init__(self, runner: "_Runner", wanted: RuleHost, host: Host) -> None:
        super().__init__(None, host)
        self._spec, self._stats, self._found = runner.spec, runner.stats, runner.hear
        self._wanted = replace(wanted, log=host.log)
        self._rule: Rule | None = None

    async def take(self, readings: Sequence[Reading]) -> None:
        """One call of the rule; what it raises makes it begin anew."""
        if self._rule is None:
            kind = load_rule(self._spec.type)
            self._rule = kind(kind.Settings(**self._spec.settings), self._wanted)
        rule, self._rule = self._rule, None
        found: list[Finding] = []
        for finding in rule.take(readings):
            if not isinstance(finding, Finding):
                raise TypeError(f"a rule says findings, not {type(finding).__name__}")
            if len(found) >= MOST_FINDINGS:
                self._stats.floods += 1
                raise OutputError(f"it said more than {MOST_FINDINGS} things at once", "ask its maker")
            found.append(finding)
        self._rule = rule
        if found:
            self._found(found)


class _Lane:
    """What a `Feed` needs of its owner: a cell, counters, and somebody to tell how it goes."""

    def __init__(self, owner: "_Runner", spec: OutputSpec, cell: Cell) -> None:
        self.spec = spec
        self.cell = cell
        self.stats = owner.stats
        self.failed = owner.failed
        self.succeeded = owner.succeeded


class _Runner:
    """One rule."""

    def __init__(self, spec: RuleSpec, book: "Rulebook") -> None:
        self.spec = spec
        self.stats = RuleStats(spec.type)
        self._book = book
        site = book.site
        points = {
            point.id: (point.device, point.channel)
            for point in site.points
            if not spec.points or point.id in spec.points
        }
        self._devices = {device for device, _ in points.values()} if spec.points else None
        self._points = points
        self._keys: set[str] = set()
        self._loop = asyncio.get_running_loop()
        self._began_s: float | None = None
        self.owner = f"rule-{spec.id}"
        wanted = RuleHost(spec.id, points, log)
        room = OutputSpec(id=spec.id, type=spec.type, timeout_s=spec.limit_s, sends=False, values=True)
        make = partial(_Adapter, self, wanted)
        self.cell = Cell(room, site.identity, make=make)
        lane: Any = _Lane(self, room, self.cell)
        self.feed = Feed(
            lane, book.layout, site.points, book.clock, rest_s=1.0, most=QUEUE, longest_s=600.0, again=False
        )

    def put(self, record: Scan | Miss) -> None:
        """A judged record, if it is of a device that the rule is for."""
        if self._devices is None or self._book.layout.devices[record.device].id in self._devices:
            self.feed.put(record)

    # in the rule's thread

    def hear(self, found: list[Finding]) -> None:
        """What the rule found; called in its thread."""
        self._loop.call_soon_threadsafe(self._say, found)

    # on the loop

    def _say(self, found: list[Finding]) -> None:
        for finding in found:
            condition = self._condition(finding)
            if condition is None:
                self.stats.floods += 1
                continue
            self.stats.findings += 1
            self._book.assess.condition(condition, self.owner)

    def _condition(self, finding: Finding) -> Condition | None:
        """An alarm's condition; None for a finding that names what there is not, or one key too many."""
        devices = {device.id for device in self._book.layout.devices}
        place = finding.point or finding.device or "gateway"
        known = (finding.point is None or finding.point in self._points) and (
            finding.device is None or finding.device in devices
        )
        alarm = f"{place}/{self.spec.id}-{finding.key}"
        if (
            not known
            or not KEY.fullmatch(str(finding.key))
            or (alarm not in self._keys and len(self._keys) >= MOST_KEYS)
        ):
            return None
        self._keys.add(alarm)
        now_ms = self._book.clock().boot_ms
        return Condition(
            alarm=alarm,
            active=finding.active is True,
            at_ms=now_ms,
            since_ms=now_ms,
            rule=self.spec.id,
            tier=Tier(self.spec.tier),
            point=finding.point,
            device=finding.device,
            value=_number(finding.value),
            limit=_number(finding.limit),
            unit=str(finding.unit)[:20],
            words=" ".join(str(finding.words)[:400].split()),
            detail={"rule": self.spec.id, "plugin": self.spec.type},
        )

    def failed(self, error: OutputError) -> None:
        """A call failed: said once, until one succeeds."""
        self.stats.last_error = error.what
        if self.stats.failing:
            return
        self.stats.failing = True
        log.warning("rule %s: %s", self.spec.id, error.what)
        self._own_alarm(f"Rule {self.spec.id} failed: {error.what}", active=True)

    def succeeded(self) -> None:
        """A call succeeded."""
        if self.stats.failing:
            self.stats.failing = False
            log.info("rule %s works again", self.spec.id)
        now_s = self._loop.time()
        if self._began_s is None:
            self._began_s = now_s
            self._own_alarm(f"Rule {self.spec.id} works", active=False)
        elif self._began_s and now_s - self._began_s >= SETTLE_S:
            self._began_s = 0.0
            self._settle()
        elif not self._began_s:
            self._own_alarm(f"Rule {self.spec.id} works", active=False)

    def _settle(self) -> None:
        """What stands from before and the rule does not say any more."""
        for alarm, condition in self._book.assess.engine.standing(self.owner).items():
            if alarm not in self._keys:
                now_ms = self._book.clock().boot_ms
                over = replace(condition, active=False, at_ms=now_ms, words="The rule does not say so any more")
                self._book.assess.condition(over, self.owner)

    def _own_alarm(self, words: str, *, active: bool) -> None:
        now_ms = self._book.clock().boot_ms
        condition = Condition(
            alarm=f"gateway/rule-{self.spec.id}",
            active=active,
            at_ms=now_ms,
            since_ms=now_ms,
            rule="rule-failed",
            tier=Tier.MAINTENANCE,
            words=words,
            detail={"rule": self.spec.id, "plugin": self.spec.type},
        )
        self._book.assess.condition(condition, "rules")


class Rulebook:
    """All rules of a site. `put` is given every judged record; `run` until cancelled."""

    def __init__(self, site: Site, layout: Layout, assess: Assess, clock: Callable[[], ClockClaim]) -> None:
        self.site, self.layout, self.assess, self.clock = site, layout, assess, clock
        self.runners = {spec.id: _Runner(spec, self) for spec in site.rules}

    def put(self, record: Scan | Miss) -> None:
        """For all rules that are for its device. Never waits."""
        for runner in self.runners.values():
            runner.put(record)

    async def run(self) -> None:
        """Keep every rule at work."""
        try:
            async with asyncio.TaskGroup() as group:
                for runner in self.runners.values():
                    group.create_task(runner.feed.run(), name=f"rule {runner.spec.id}")
        finally:
            await asyncio.gather(*(runner.cell.close() for runner in self.runners.values()))

    def listing(self) -> dict[str, Any]:
        """How every rule is doing, as plain data."""
        return {name: _listed(runner) for name, runner in self.runners.items()}


def _listed(runner: _Runner) -> dict[str, Any]:
    faults, stats = runner.cell.faults, runner.stats
    assert stats.values is not None
    return {
        "type": stats.type,
        "state": "blocked" if runner.cell.blocked else "resting" if stats.failing else "ok",
        "findings": stats.findings,
        "taken": stats.values.taken,
        "dropped": stats.values.dropped + stats.values.refused,
        "raised": faults.raised,
        "late": faults.late,
        "blocked": faults.blocked,
        "silenced": faults.silenced,
        "floods": stats.floods,
        "last_error": stats.last_error,
    }


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
