"""The judge of what is learned: labels (defrost, door) and advice, from the compiled banks of `gateway_core`.

Advice only: its conditions are of the advisory tier, and nothing here knows a limit. A defrost or an open door is a
label in the record; it explains a value to the detectors and to nobody else.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isnan
from typing import Any

from gateway_core import anomaly, refrigeration
from gateway_core.refrigeration_words import FINDINGS

from gateway.assess.judge import Finding
from gateway.assess.memory import pack, unpack
from gateway.errors import StorageError
from gateway.model import ClockClaim, Column, Condition, DeviceLayout, Event, Layout, Miss, Scan, Tier
from gateway.site import PointSpec, Site

__all__ = ["ADVICE", "AdvisoryJudge", "watched"]

VERSION = 1
UNUSUAL = "unusual"
"""What the general detectors say; the findings of refrigeration have names of their own."""
ADVICE = (UNUSUAL, *FINDINGS)
"""Every kind of advice that can be switched for a point."""
KEEP_MS = 900_000
"""A snapshot is some kilobytes for each point: it is kept every quarter of an hour and at an orderly end."""
JUMPS_S = 3600.0
"""Jumps that are compared with each other."""
RECOVERY_MS = 1_500_000
"""For so long after a defrost or a door a value is explained by it: the room finds back to its usual course."""
HOT_C = 20.0
"""A point whose profile has a lower limit from here on is heated: no defrosts and doors are looked for."""
FLAGS = {1: "door", 2: "defrost", 3: "disturbance"}
"""What a value can belong to while it goes on; the label in the record says finally what it was."""
LABELS = {"door": "label.door", "defrost": "label.defrost", "other": "label.disturbance", "moved": "label.moved"}
"""Kinds of labels and the events that record them."""


def watched(site: Site) -> list[PointSpec]:
    """The points that may advise."""
    return [point for point in site.points if point.advisories]


@dataclass(slots=True)
class _Watch:
    """A point, its column, its channel in the banks (``cold``: in that of refrigeration, -1 for none)."""

    point: PointSpec
    device: str
    column: Column
    place: int
    channel: int
    cold: int = -1
    unusual: bool = False
    """Whether the general detectors stand outside."""
    flag: int = 0
    """What the newest value belongs to (`FLAGS`)."""
    explained_ms: int = -1
    """Until when what happens is explained by a defrost or a door."""

    @property
    def name(self) -> str:
        return self.point.name

    def may(self, advice: str) -> bool:
        allowed = self.point.advisories
        return allowed is True or (allowed is not False and advice in allowed)


class _Batch:
    """The buffers of one device, so that a scan is one call to each bank."""

    def __init__(self, watches: Sequence[_Watch]) -> None:
        self.watches = tuple(watches)
        count = len(watches)
        cold = [watch for watch in watches if watch.cold >= 0]
        self.cold = tuple(cold)
        self.channel = array("i", [watch.channel for watch in watches])
        self.t_s, self.x = array("d", bytes(8 * count)), array("d", bytes(8 * count))
        self.usable, self.expected = array("B", bytes(count)), array("B", bytes(count))
        self.score = array("d", bytes(8 * count))
        self.cold_channel = array("i", [watch.cold for watch in cold])
        self.cold_t, self.cold_x = array("d", bytes(8 * len(cold))), array("d", bytes(8 * len(cold)))
        self.cold_usable, self.flags = array("B", bytes(len(cold))), array("B", bytes(len(cold)))
        self.rows = tuple((row, watches.index(watch)) for row, watch in enumerate(cold))


class AdvisoryJudge:
    """Implements `gateway.assess.judge.Judge` for the points of a site that may advise."""

    name = "advisories"
    due_ms = inf
    """Time alone changes nothing that it says."""

    def __init__(self, site: Site, layout: Layout, memory: bytes | None = None) -> None:
        self._watches: list[_Watch] = []
        self._colds = 0
        self._batches: dict[int, _Batch] = {}
        by_device: dict[str, list[PointSpec]] = {}
        for point in watched(site):
            by_device.setdefault(point.device, []).append(point)
        for index, device in enumerate(layout.devices):
            if mine := self._watch(device, by_device.get(device.id, ())):
                self._batches[index] = _Batch(mine)
        self._by_cold = {watch.cold: watch for watch in self._watches if watch.cold >= 0}
        self._bank = anomaly.Bank(max(1, len(self._watches)))
        kinds = ["process" if _heated(watch.point) else "room" for watch in self._by_cold.values()]
        self._cold = refrigeration.Bank(kinds)
        self._base_s = 0.0
        """The banks' clock is boot time and this: it goes on over a reboot."""
        self._now_ms = 0
        self._claim: ClockClaim | None = None
        self._saved: tuple[str, float, int | None] | None = None
        """Boot, bank time and UTC of the memory, until the first sign of time in this process."""
        self._kept, self._kept_ms = memory, 0
        self._ending = False
        self._jumps: list[refrigeration.Finding] = []
        if memory is not None:
            self._load(memory)

    def _watch(self, device: DeviceLayout, points: Sequence[PointSpec]) -> list[_Watch]:
        found: list[_Watch] = []
        for place, column in enumerate(device.columns):
            if column.role != "value" or not column.unit:
                continue
            for point in points:
                if (point.device, point.channel) == (device.id, column.channel):
                    watch = _Watch(point, device.id, column, place, len(self._watches))
                    if column.unit == "degC":
                        watch.cold, self._colds = self._colds, self._colds + 1
                    self._watches.append(watch)
                    found.append(watch)
        return found

    # Judge

    def scan(self, scan: Scan) -> Sequence[Finding]:
        """One answered poll of a device."""
        batch = self._batches.get(scan.device)
        if batch is None:
            return ()
        if self._saved is not None:
            self._begin(None, scan.at_ms)
        self._now_ms = scan.at_ms
        at_s = scan.at_ms / 1000 + self._base_s
        for row, watch in enumerate(batch.watches):
            value = scan.values[watch.place]
            batch.t_s[row], batch.x[row] = at_s, value
            batch.usable[row] = value == value  # noqa: PLR0124 - not a number exactly where the quality is bad
        found: list[Finding] = []
        if batch.rows:
            for row, of in batch.rows:
                batch.cold_t[row], batch.cold_x[row] = at_s, batch.x[of]
                batch.cold_usable[row] = batch.usable[of]
            waiting = self._cold.update_many(
                batch.cold_channel, batch.cold_t, batch.cold_x, batch.cold_usable, batch.flags
            )
            for row, of in batch.rows:
                watch = batch.watches[of]
                watch.flag = batch.flags[row]
                if watch.flag:
                    watch.explained_ms = scan.at_ms + RECOVERY_MS
                batch.expected[of] = scan.at_ms <= watch.explained_ms
            if waiting:
                found += self._recognised(scan.at_ms)
        self._bank.update_many(
            batch.channel, batch.t_s, batch.x, batch.usable, batch.score, expected=batch.expected
        )
        for row, watch in enumerate(batch.watches):
            if batch.score[row] >= anomaly.THRESHOLD or watch.unusual:
                found += self._unusual(watch, scan.at_ms)
        return found

    def miss(self, miss: Miss, now_ms: int) -> Sequence[Finding]:  # noqa: ARG002 - a gap is seen by its length
        """Slots without an answer teach nothing."""
        return ()

    def tick(self, claim: ClockClaim) -> Sequence[Finding]:
        """Only the clock is noted: what is learned follows from values alone."""
        self._claim = claim
        if self._saved is not None:
            self._begin(claim.boot, claim.boot_ms)
        self._now_ms = max(self._now_ms, claim.boot_ms)
        return ()

    def _recognised(self, at_ms: int) -> Iterable[Finding]:
        for notice in self._cold.take():
            watch = self._by_cold[notice.channel]
            if isinstance(notice, refrigeration.Finding):
                if watch.may(notice.what):
                    yield self._advice(watch, notice, at_ms)
            elif notice.kind in LABELS:
                yield self._label(watch, notice, at_ms)

    def _label(self, watch: _Watch, label: refrigeration.Label, at_ms: int) -> Event:
        data = {
            "device": watch.device,
            "channel": watch.column.channel,
            "point": watch.point.id,
            "start_ms": self._boot_ms(label.start_s),
            "peak_ms": self._boot_ms(label.peak_s),
            "end_ms": self._boot_ms(label.end_s),
            "baseline": label.baseline,
            "peak": label.peak,
            "slope": label.slope,
            "undershoot": label.undershoot,
            "sure": label.sure,
            "unit": watch.column.unit,
        }
        return Event(LABELS[label.kind], at_ms, data)

    def _advice(self, watch: _Watch, finding: refrigeration.Finding, at_ms: int) -> Condition:
        words = FINDINGS[finding.what]
        detail = {
            "low": finding.low,
            "high": finding.high,
            "learned": finding.learned,
            "learned_of": words.of,
            "meaning": words.value,
            "exchanged_with": self._exchanged(finding),
        }
        return self._condition(
            watch,
            finding.what,
            active=finding.active,
            at_ms=at_ms,
            since_ms=self._boot_ms(finding.since_s),
            value=finding.value,
            unit=watch.column.unit if words.unit == "value" else words.unit,
            words=f"{watch.name}: {words.text}" if finding.active else f"{watch.name}: {finding.what} is over",
            detail=detail,
        )

    def _exchanged(self, finding: refrigeration.Finding) -> str | None:
        """The point whose probe may have been exchanged with this one's: each jumped to where the other was."""
        if finding.what != "jump":
            return None
        self._jumps = [jump for jump in self._jumps if finding.at_s - jump.at_s <= JUMPS_S]
        if not finding.active:
            return None
        self._jumps.append(finding)
        for one, other in refrigeration.exchanged(self._jumps):
            if finding.channel in {one, other}:
                return self._by_cold[other if finding.channel == one else one].point.id
        return None

    def _unusual(self, watch: _Watch, at_ms: int) -> Iterable[Condition]:
        if not watch.may(UNUSUAL):
            return
        verdict = self._bank.verdict(watch.channel)
        if verdict is anomaly.Verdict.ADVISORY:
            watch.unusual = True
            why = self._bank.explain(watch.channel)
            detail = {name: _known(value) for name, value in why._asdict().items() if name != "verdict"}
            yield self._condition(
                watch,
                UNUSUAL,
                active=True,
                at_ms=at_ms,
                since_ms=at_ms - round(why.outside_s * 1000),
                value=why.value,
                words=f"{watch.name} is unusual: {why.words}",
                detail=detail,
            )
        elif watch.unusual and verdict is anomaly.Verdict.NORMAL:
            watch.unusual = False
            yield self._over(watch, UNUSUAL, at_ms)

    def _condition(
        self,
        watch: _Watch,
        advice: str,
        *,
        active: bool,
        at_ms: int,
        since_ms: int,
        value: float | None,
        words: str,
        detail: Mapping[str, object],
        unit: str | None = None,
    ) -> Condition:
        return Condition(
            alarm=f"{watch.point.id}/{advice}",
            active=active,
            at_ms=at_ms,
            since_ms=since_ms,
            rule=advice,
            tier=Tier.ADVISORY,
            point=watch.point.id,
            device=watch.device,
            value=value,
            unit=watch.column.unit if unit is None else unit,
            words=words,
            detail=detail,
        )

    def _over(self, watch: _Watch, advice: str, at_ms: int) -> Condition:
        words = f"{watch.name}: {advice} is over"
        return self._condition(
            watch, advice, active=False, at_ms=at_ms, since_ms=at_ms, value=None, words=words, detail={}
        )

    def under_way(self) -> dict[str, str]:
        """By point, what goes on there now: ``door``, ``defrost``, ``disturbance``."""
        return {watch.point.id: FLAGS[watch.flag] for watch in self._watches if watch.flag in FLAGS}

    # start and end

    def catalogue(self) -> Iterable[Condition]:
        """Every advice that can come, as inactive conditions."""
        for watch in self._watches:
            for advice in ADVICE if watch.cold >= 0 else (UNUSUAL,):
                if watch.may(advice):
                    yield self._over(watch, advice, 0)

    def reconcile(self, standing: Mapping[str, Condition]) -> list[Condition]:
        """Bring the banks and the alarms that stand into line after a start: the banks know what is so."""
        found: list[Condition] = []
        known: dict[str, bool] = {}
        for watch in self._watches:
            known[f"{watch.point.id}/{UNUSUAL}"] = watch.unusual
            if watch.cold >= 0:
                active = self._cold.explain(watch.cold)["findings"]
                known |= {f"{watch.point.id}/{advice}": advice in active for advice in FINDINGS}
        still = {watch.point.id for watch in self._watches}
        for alarm, condition in standing.items():
            if known.get(alarm):
                continue
            gone = condition.point not in still
            words = f"{condition.rule} is not watched any more" if gone else f"{condition.rule} is over"
            found.append(
                Condition(
                    alarm=alarm,
                    active=False,
                    at_ms=self._now_ms,
                    since_ms=condition.since_ms,
                    rule=condition.rule,
                    tier=Tier.ADVISORY,
                    point=condition.point,
                    device=condition.device,
                    unit=condition.unit,
                    words=words,
                )
            )
        return found

    def go_on(self, _: "AdvisoryJudge", claim: ClockClaim) -> None:
        """Take over from a judge of the site before, whose memory was written just now."""
        self._kept_ms = claim.boot_ms

    def stopping(self) -> None:
        """The gateway ends on purpose: the next memory is a fresh one."""
        self._ending = True

    def memory(self) -> bytes | None:
        """What was learned; the same bytes for a quarter of an hour."""
        if self._saved is not None or not self._watches:
            return self._kept
        if self._ending or self._kept is None or self._now_ms - self._kept_ms >= KEEP_MS:
            self._kept, self._kept_ms = self._pack(), self._now_ms
        return self._kept

    def _pack(self) -> bytes:
        claim = self._claim
        utc_ms = None if claim is None else claim.utc_at(self._now_ms)
        data = {
            "boot": "" if claim is None else claim.boot.hex(),
            "at_s": self._now_ms / 1000 + self._base_s,
            "base_s": self._base_s,
            "utc_ms": utc_ms,
            "points": self._points(),
            "unusual": [watch.point.id for watch in self._watches if watch.unusual],
            "bank": self._bank.snapshot().hex(),
            "cold": self._cold.snapshot().hex(),
        }
        return pack(self.name, VERSION, data)

    def _load(self, memory: bytes) -> None:
        data = unpack(self.name, VERSION, memory)
        try:
            bank, cold = bytes.fromhex(data["bank"]), bytes.fromhex(data["cold"])
            if data["points"] != self._points():
                bank, cold = self._carried(data["points"], bank, cold)
            self._bank.restore(bank)
            self._cold.restore(cold)
            unusual = set(data["unusual"])
            for watch in self._watches:
                watch.unusual = watch.point.id in unusual
            self._base_s = float(data["base_s"])
            self._saved = str(data["boot"]), float(data["at_s"]), data["utc_ms"]
        except (KeyError, TypeError, ValueError) as error:
            remedy = "nothing to do: it is learned anew"
            raise StorageError(f"what was learned cannot be read ({error})", remedy) from error

    def _points(self) -> list[list[Any]]:
        return [[watch.point.id, watch.column.channel, watch.cold >= 0] for watch in self._watches]

    def _carried(self, before: Sequence[Sequence[Any]], bank: bytes, cold: bytes) -> tuple[bytes, bytes]:
        """Snapshots that hold what was learned of the points that are still there; the others are learned anew."""
        rows = {tuple(point): row for row, point in enumerate(before)}
        cold_rows = {point: row for row, point in enumerate(point for point in rows if point[2])}
        kept, kept_cold = {}, {}
        for watch, point in zip(self._watches, map(tuple, self._points()), strict=True):
            if point in rows:
                kept[watch.channel] = rows[point]
                if watch.cold >= 0:
                    kept_cold[watch.cold] = cold_rows[point]
        return (
            anomaly.carried(self._bank.snapshot(), bank, kept),
            refrigeration.carried(self._cold.snapshot(), cold, kept_cold),
        )

    def _begin(self, boot: bytes | None, at_ms: int) -> None:
        """The first sign of time. In another boot the banks' clock goes on from where it stood, by what the wall
        clock tells of the time between; by one second where it tells nothing.
        """
        assert self._saved is not None
        (of_boot, saved_s, saved_utc_ms), self._saved = self._saved, None
        self._now_ms = at_ms
        same = boot is not None and boot.hex() == of_boot
        if same or (boot is None and at_ms / 1000 + self._base_s >= saved_s):
            return
        utc_ms = None if self._claim is None else self._claim.utc_at(at_ms)
        off_s = 1.0 if utc_ms is None or saved_utc_ms is None else max(1.0, (utc_ms - saved_utc_ms) / 1000)
        self._base_s = saved_s + off_s - at_ms / 1000

    def _boot_ms(self, t_s: float) -> int:
        return round((t_s - self._base_s) * 1000)


def _known(value: object) -> object:
    return None if isinstance(value, float) and isnan(value) else value


def _heated(point: PointSpec) -> bool:
    limits = () if point.profile is None else point.profile.limits
    return any(rule.side == "below" and rule.limit >= HOT_C for rule in limits)
