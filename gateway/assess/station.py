"""The assess station: every scan passes here, is stored, and is judged. Values never change."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from math import inf
from typing import TYPE_CHECKING

from gateway.assess.alarms import AlarmEngine
from gateway.assess.border import Border, JudgeFactory, Standing
from gateway.assess.gaps import GapTracker
from gateway.assess.judge import Finding, Judge
from gateway.assess.limits import LimitJudge
from gateway.assess.memory import pack, unpack
from gateway.assess.quality import Care, ScanQuality
from gateway.assess.removal import ended
from gateway.errors import StorageError
from gateway.model import Alarm, ClockClaim, Column, Condition, DeviceLayout, Event, Layout, Miss, Quality, Scan
from gateway.seal.backfill import BACKFILL
from gateway.site import Site

if TYPE_CHECKING:
    from gateway.assess.backfilled import PastJudge

__all__ = ["JUDGES", "Assess", "judges_of"]

JUDGES: tuple[tuple[str, JudgeFactory], ...] = (("limits", LimitJudge),)
"""The judges that every gateway has, by name."""

GATEWAY = "gateway"
"""Owner of the alarms about judges themselves."""

ENGINE = "alarms"
"""Under this name the memory of the alarm engine is kept."""

GAPS = "gaps"
"""Under this name the open gaps are kept."""
GAPS_VERSION = 1

MEMORY_MS = 60_000
"""Memories are given out when an event came with them, and else no more often than this: cards wear."""

TIMEOUT = int(Quality.TIMEOUT)

log = logging.getLogger(__name__)


def judges_of(site: Site) -> tuple[tuple[str, JudgeFactory], ...]:
    """The judges of a site by name, in the order in which they see each record: limits first. What a site does not
    use is not loaded.
    """
    judges = JUDGES
    if site.processes:
        from gateway.assess.processes import ProcessJudge

        judges = (*judges, (ProcessJudge.name, ProcessJudge))
    if any(point.advisories for point in site.points):
        from gateway.assess.advisories import AdvisoryJudge

        judges = (*judges, (AdvisoryJudge.name, AdvisoryJudge))
    return judges


def _grid(device: DeviceLayout) -> tuple[str, int, int]:
    """A device with the schedule that its slots are numbers of."""
    return device.id, device.period_ms, device.phase_ms


def _cares(site: Site, device: DeviceLayout) -> list[Care]:
    critical = {point.channel for point in site.points if point.device == device.id and point.critical}

    def care(column: Column) -> Care:
        calibration = device.calibration.get(column.channel)
        valid_until = date.fromisoformat(str(calibration["valid_until"])) if calibration else None
        return Care(column, column.channel in critical, valid_until)

    return [care(column) for column in device.columns]


class Assess:
    """Judges scans, follows gaps, keeps the alarms. ``store`` takes the judged record, ``event`` events.

    ``memories`` is what `memories` gave an earlier process, by name; where the journal opens later than this is
    made, `recall` takes it instead, before the first scan. ``judges`` are made by their factories; without them the
    site's own, see `judges_of`.
    """

    def __init__(
        self,
        site: Site,
        layout: Layout,
        store: Callable[[Scan | Miss], None],
        event: Callable[[Event], None],
        now_ms: Callable[[], int],
        *,
        memories: Mapping[str, bytes] | None = None,
        judges: Sequence[tuple[str, JudgeFactory]] | None = None,
    ) -> None:
        self.gaps = tuple(GapTracker(device.id, device.period_ms) for device in layout.devices)
        self.values: tuple[dict[int, int], ...] = tuple({} for _ in layout.devices)
        """Values judged since the start by quality, per device."""
        chosen = judges_of(site) if judges is None else judges
        self.borders = tuple(Border(name, factory, site, layout) for name, factory in chosen)
        self.engine_failures = 0
        self._qualities = tuple(ScanQuality(_cares(site, device)) for device in layout.devices)
        self._site, self._layout = site, layout
        self._store = store
        self._event = event
        self._now_ms = now_ms
        self._boot = ""
        self._urgent = False
        self._past: PastJudge | None = None
        self._memories_ms: int | None = None
        self._given: dict[str, bytes] = {}
        self.recall(memories or {})

    def recall(self, memories: Mapping[str, bytes], claim: ClockClaim | None = None) -> None:
        """Begin with what an earlier process kept. To be called before the first scan, best with the clock's claim:
        its boot id tells whether times go on or the machine was off."""
        self._given = dict(memories)
        now_ms = self._now_ms()
        self._make_engine(now_ms)
        if (gaps := memories.get(GAPS)) is not None:
            self._recall_gaps(gaps, now_ms)
        for border in self.borders:
            self._begin(border, now_ms)
        if claim is not None:
            self.tick(claim)

    def _make_engine(self, now_ms: int) -> None:
        """The alarms as they were kept last; without them where that cannot be read, and that is said."""
        try:
            self.engine = AlarmEngine(self._site, self._layout, self._given.get(ENGINE))
        except StorageError as error:
            log.error("%s", error)
            self.engine = AlarmEngine(self._site, self._layout)
            words = f"alarms begin anew: {error.what}"
            self._event(Event("judge.memory-lost", now_ms, {"judge": ENGINE, "error": error.what, "words": words}))

    def _begin(self, border: Border, now_ms: int) -> None:
        try:
            self._tell(border.start(self._given.get(border.name), now_ms))
        except Exception as error:  # noqa: BLE001 - the border of a judge
            self._failed(border, error)

    def reconfigure(self, site: Site, layout: Layout, claim: ClockClaim, why: str) -> dict[str, bytes]:
        """Judge by another site from now on: what stands and is under way goes on, as over a restart in one boot.

        Open gaps and counters go on for each device that keeps its grid. What is no longer in the site ends, and
        its event says ``why``. Returns what must be kept, as `memories` does. What it raises it raises before
        anything has changed.
        """
        chosen = [(name, Border(name, factory, site, layout)) for name, factory in judges_of(site)]
        qualities = tuple(ScanQuality(_cares(site, device)) for device in layout.devices)
        followed = {device: index for index, device in enumerate(map(_grid, self._layout.devices))}
        places = {device.id: index for index, device in enumerate(self._layout.devices)}
        gaps = tuple(
            GapTracker(device.id, device.period_ms)
            if (at := followed.pop(_grid(device), None)) is None
            else self.gaps[at]
            for device in layout.devices
        )
        values: tuple[dict[int, int], ...] = tuple(
            self.values[places[device.id]] if device.id in places else {} for device in layout.devices
        )
        self.stopping()
        changed = self.memories(final=True)
        left = [
            event for at in followed.values() if (event := self.gaps[at].answered(claim.boot_ms, why)) is not None
        ]
        before, rates = {border.name: border for border in self.borders}, self.engine.rates
        self._site, self._layout, self._past = site, layout, None
        self.gaps, self.values, self._qualities = gaps, values, qualities
        self.borders = tuple(border for _, border in chosen)
        self._tell(left)
        self.update(claim)
        self._make_engine(claim.boot_ms)
        self.engine.rates = rates
        for name, border in chosen:
            self._begin(border, claim.boot_ms)
            if (old := before.get(name)) is not None:
                border.follow(old, claim)
        for owner, condition in ended(
            self.engine, site, {*before, *self.engine.owners}, why=why, at_ms=claim.boot_ms
        ):
            self.condition(condition, owner)
        self.tick(claim)
        # The judges before wrote as for an orderly end; those now have only begun.
        return changed | self.memories(final=True)

    def _recall_gaps(self, memory: bytes, now_ms: int) -> None:
        """Gaps that were open go on, so that each is closed with its whole length."""
        try:
            saved = unpack(GAPS, GAPS_VERSION, memory)
            for gap, device in zip(self.gaps, self._layout.devices, strict=True):
                if device.id in saved:
                    gap.load(saved[device.id], self._boot)
        except (StorageError, ValueError, TypeError) as error:
            log.error("open gaps are not known any more: %s", error)
            words = f"open gaps are not known any more: {error}"
            self._event(Event("judge.memory-lost", now_ms, {"judge": GAPS, "error": str(error), "words": words}))

    def _saved_gaps(self) -> bytes:
        gaps = zip(self._layout.devices, self.gaps, strict=True)
        saved = {device.id: kept for device, gap in gaps if (kept := gap.save(self._boot)) is not None}
        return pack(GAPS, GAPS_VERSION, saved)

    def update(self, claim: ClockClaim) -> None:
        """Take note of the date and of the clock's state; called every few seconds, and first before `recall`."""
        self._boot = claim.boot.hex()
        today = None if claim.utc_ms is None else datetime.fromtimestamp(claim.utc_ms / 1000, UTC).date()
        for quality in self._qualities:
            quality.update(today, claim.state)

    # records

    def scan(self, scan: Scan) -> None:
        """An answered poll; one without a single value continues a gap."""
        device = scan.device
        scan = self._qualities[device].apply(scan)
        self._store(scan)
        quality, counts = scan.quality, self.values[device]
        best, count = quality[0], len(quality)
        if quality.count(best) == count:
            counts[best] = counts.get(best, 0) + count
        else:
            best = self._count(quality, counts)
        gap = self.gaps[device]
        event = gap.missed(scan.slot, 1, best, scan.at_ms) if best >= TIMEOUT else gap.answered(scan.at_ms)
        if event is not None:
            self._tell((event,))
        for border in self.borders:
            if (judge := border.judge) is None:
                continue
            try:
                findings = judge.scan(scan)
            except Exception as error:  # noqa: BLE001 - the border of a judge
                self._failed(border, error)
                continue
            if findings:
                self._take(border.name, findings)

    @staticmethod
    def _count(quality: bytes, counts: dict[int, int]) -> int:
        """Tally the qualities of a scan that differ; returns the best of them."""
        for code in set(quality):
            counts[code] = counts.get(code, 0) + quality.count(code)
        return min(quality)

    def miss(self, miss: Miss) -> None:
        """Slots without an answer."""
        self._store(miss)
        now_ms = self._now_ms()
        opened = self.gaps[miss.device].missed(miss.slot, miss.count, miss.quality, now_ms)
        if opened is not None:
            self._tell((opened,))
        for border in self.borders:
            if (judge := border.judge) is None:
                continue
            try:
                findings = judge.miss(miss, now_ms)
            except Exception as error:  # noqa: BLE001 - the border of a judge
                self._failed(border, error)
                continue
            if findings:
                self._take(border.name, findings)

    def event(self, event: Event) -> None:
        """Events of acquire pass through; what a sensor's memory says of a gap is judged as the past."""
        self._event(event)
        if event.kind == BACKFILL:
            self._judge_past(event)

    def _judge_past(self, event: Event) -> None:
        from gateway.assess.backfilled import JUDGE, PastJudge, over

        if self._past is None:
            self._past = PastJudge(self._site, self._layout)
        try:
            found = self._past.judge(event)
        except Exception as error:
            log.exception("what was backfilled could not be judged")
            words = f"what was backfilled could not be judged: {type(error).__name__}"
            data = {"judge": JUDGE, "error": repr(error)[:500], "count": 1, "words": words}
            self._tell((Event("judge.failed", self._now_ms(), data),))
            return
        for told, condition in found:
            self._tell((told,))
            self.condition(condition, JUDGE)
            self.condition(over(condition), JUDGE)

    def tick(self, claim: ClockClaim) -> None:
        """About once a second: what follows from time passing."""
        try:
            self._tell(self.engine.tick(claim))
        except Exception as error:  # noqa: BLE001 - the border of the engine
            self._engine_failed(error)
        now_ms = claim.boot_ms
        for border in self.borders:
            try:
                if border.judge is None:
                    if now_ms < border.retry_ms:
                        continue
                    self._tell(border.restart(now_ms))
                judge = border.judge
                assert judge is not None
                findings: Sequence[Finding] = judge.tick(claim)
                if border.fresh:
                    findings = self._bring_into_line(border, judge, findings, now_ms)
            except Exception as error:  # noqa: BLE001 - the border of a judge
                self._failed(border, error)
                continue
            if findings:
                self._take(border.name, findings)
            if (sound := border.sound(now_ms)) is not None:
                self._take(GATEWAY, (sound,))

    def condition(self, condition: Condition, judge: str) -> None:
        """What a part of the gateway that is no judge of records says of itself."""
        try:
            self._tell(self.engine.feed(condition, judge))
        except Exception as error:  # noqa: BLE001 - the border of the engine
            self._engine_failed(error)

    def _bring_into_line(
        self, border: Border, judge: Judge, findings: Sequence[Finding], now_ms: int
    ) -> Sequence[Finding]:
        """A judge that was just made, and the alarms that stand."""
        if isinstance(judge, Standing):
            self.engine.register(judge.catalogue(), border.name)
            self._take(border.name, findings)
            findings = judge.reconcile(self.engine.standing(border.name))
        if border.alarm in self.engine.standing(GATEWAY):
            border.on_probation(now_ms)
        border.fresh = False
        return findings

    @property
    def due_ms(self) -> float:
        """When `tick` next has something to do, as far as engine and judges say (``due_ms``)."""
        said = (getattr(border.judge, "due_ms", inf) for border in self.borders)
        return min(self.engine.due_ms, *said)

    @property
    def paced(self) -> bool:
        """Whether a judge does not say when it wants its next tick: then time must move in steps."""
        return any(not hasattr(border.judge, "due_ms") for border in self.borders)

    def _take(self, owner: str, findings: Iterable[Finding]) -> None:
        for finding in findings:
            if isinstance(finding, Event):
                self._tell((finding,))
                continue
            self.condition(finding, owner)

    def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            self._urgent = True
            self._event(event)

    def _failed(self, border: Border, error: Exception) -> None:
        self._take(GATEWAY, border.failed(error, self._now_ms()))

    def _engine_failed(self, error: Exception) -> None:
        """The engine is made anew from what it kept last; the judges say again what stands."""
        self.engine_failures += 1
        now_ms = self._now_ms()
        log.error("the alarm engine stopped: %r", error, exc_info=error)
        why = f"{type(error).__name__}: {error}"[:500]
        words = f"the alarm engine stopped of a defect ({why}) and was started again"
        data = {"judge": ENGINE, "error": why, "count": self.engine_failures, "words": words}
        self._event(Event("judge.failed", now_ms, data))
        try:
            self.engine = AlarmEngine(self._site, self._layout, self._given.get(ENGINE))
        except Exception:  # noqa: BLE001 - what it kept may be what it fails of
            self.engine = AlarmEngine(self._site, self._layout)
        for border in self.borders:
            border.fresh = True

    # memory

    def memories(self, *, final: bool = False) -> dict[str, bytes]:
        """What has changed of what a restart needs, by name, for the transaction that holds the newest events.

        Empty most of the time: memories come with events, and else once a minute while something is under way,
        or as often as a judge asks for that cannot bear to lose a minute of what it was fed.
        ``final``: the gateway stops, so everything that differs is given.
        """
        now_ms = self._now_ms()
        due = self._memories_ms is None or now_ms - self._memories_ms >= MEMORY_MS
        all_of_it = final or due or self._urgent
        if due:
            self.engine.refresh()
            self._memories_ms = now_ms
        found: dict[str, bytes | None] = {}
        if all_of_it:
            self._urgent = False
            found[GAPS] = self._saved_gaps()
            try:
                found[ENGINE] = self.engine.memory()
            except Exception as error:  # noqa: BLE001 - the border of the engine
                self._engine_failed(error)
        for border in self.borders:
            if border.judge is None or not (all_of_it or border.due(now_ms)):
                continue
            border.kept_ms = now_ms
            try:
                found[border.name] = border.kept = border.judge.memory()
            except Exception as error:  # noqa: BLE001 - the border of a judge
                self._failed(border, error)
        changed = {name: data for name, data in found.items() if data is not None and data != self._given.get(name)}
        self._given |= changed
        return changed

    def stopping(self) -> None:
        """The gateway ends on purpose: no loss of power. Take `memories` (final) after it."""
        for border in self.borders:
            if isinstance(border.judge, Standing):
                border.judge.stopping()

    @property
    def under_way(self) -> dict[str, str]:
        """By point, what is recognised as going on there now (a defrost, an open door)."""
        for border in self.borders:
            if (told := getattr(border.judge, "under_way", None)) is not None:
                found: dict[str, str] = told()
                return found
        return {}

    # people

    @property
    def alarms(self) -> list[Alarm]:
        """Every alarm that is not normal, newest first."""
        return self.engine.alarms

    def acknowledge(self, alarm: str, person: str, text: str = "", *, group: bool = False) -> Alarm:
        """See `AlarmEngine.acknowledge`; this and what follows raise `OperatorError` for what cannot be done."""
        self._tell(self.engine.acknowledge(alarm, person, text, self._now_ms(), group=group))
        return self.engine.alarm(alarm)

    def confirm(self, alarm: str, person: str, text: str) -> Alarm:
        """Record a corrective action."""
        self._tell(self.engine.confirm(alarm, person, text, self._now_ms()))
        return self.engine.alarm(alarm)

    def shelve(self, alarm: str, person: str, text: str, for_s: float) -> Alarm:
        """Hide an alarm for ``for_s`` seconds, with a reason."""
        self._tell(self.engine.shelve(alarm, person, text, for_s, self._now_ms()))
        return self.engine.alarm(alarm)

    def unshelve(self, alarm: str, person: str, text: str = "") -> Alarm:
        """End shelving."""
        self._tell(self.engine.unshelve(alarm, person, text, self._now_ms()))
        return self.engine.alarm(alarm)

    def out_of_service(self, alarm: str, person: str, text: str, for_s: float | None = None) -> Alarm:
        """Take an alarm out of service."""
        self._tell(self.engine.out_of_service(alarm, person, text, self._now_ms(), for_s))
        return self.engine.alarm(alarm)

    def in_service(self, alarm: str, person: str, text: str = "") -> Alarm:
        """Put an alarm back in service."""
        self._tell(self.engine.in_service(alarm, person, text, self._now_ms()))
        return self.engine.alarm(alarm)

    def declare_state(self, point: str, kind: str, person: str, text: str, for_s: float) -> None:
        """Declare a state of a point for ``for_s`` seconds."""
        self._tell(self.engine.declare(point, kind, person, text, for_s=for_s, at_ms=self._now_ms()))

    def end_state(self, point: str, kind: str, person: str, text: str = "") -> None:
        """End a declared state."""
        self._tell(self.engine.end_state(point, kind, person, text, self._now_ms()))
