"""The limit judge: every point under the rules of its profile, and the care of the measuring itself.

Nothing here learns and nothing is asked outside the box. For each device only the columns that have limits are
looked at, and a value that lies within all limits while nothing is under way costs a few comparisons.

What a restart keeps: excursions, delays, counts, totals, silences. In the same boot time went on; for another boot
see `bootline`. An excursion goes on over the time without values: beyond the limit before and after counts as
beyond in between, and the record says how much of it was not seen.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from math import inf
from zoneinfo import ZoneInfo

from firmware_interfaces.quality import BAD
from gateway.assess.bootline import BootLine, Move
from gateway.assess.memory import pack, unpack
from gateway.assess.rules_time import TimeState
from gateway.assess.upkeep import CalibrationWatch, DeviceWatch, power_loss
from gateway.assess.watch import PointWatch
from gateway.assess.wear import worn
from gateway.errors import StorageError
from gateway.model import ClockClaim, Condition, DeviceLayout, Layout, Miss, Quality, Scan
from gateway.site import Site

__all__ = ["LimitJudge"]

VERSION = 1
NO_ANSWER = frozenset((Quality.TIMEOUT, Quality.BUS_DOWN, Quality.BAD_FRAME, Quality.BACKED_OFF, Quality.LATE))
"""Qualities that mean silence of the device; a fault that it reports itself is an answer."""
TRUST_WAIT_MS = 120_000
"""How long after a start a lost power's length waits for the wall clock before it is called unknown."""


class LimitJudge:
    """Implements `gateway.assess.judge.Judge`; its conditions are of the rules of profiles and of `upkeep`."""

    name = "limits"

    def __init__(self, site: Site, layout: Layout, memory: bytes | None = None) -> None:
        self._zone = ZoneInfo(site.time_zone)
        self.points: list[PointWatch] = []
        self._devices: list[tuple[DeviceWatch, tuple[PointWatch, ...]]] = []
        self._calibrations: list[CalibrationWatch] = []
        for device in layout.devices:
            self._add(site, device)
        self._dated = any(
            watch.point.alert_hours
            or any(isinstance(s, TimeState) and s.rule.window_s is None for s in watch.states)
            for watch in self.points
        )
        self._minute: int | None = None
        self._day: date | None = None
        self._midnight = 0
        """Minutes since 1970 from which on the date may be another."""
        self._line = BootLine()
        self._due_ms = 0.0
        """Before this no silence can have become too long, since values only put it off."""
        self._power_ms: int | None = None
        """When this process found that the boot before ended without an order, until that is told."""
        self._orderly = self._orderly_before = False
        self._touched = True
        self._packed = memory
        if memory is not None:
            self._load(memory)

    def _add(self, site: Site, device: DeviceLayout) -> None:
        columns = {column.channel: i for i, column in enumerate(device.columns) if column.role == "value"}
        mine = [point for point in site.points if point.device == device.id and point.channel in columns]
        watches = tuple(
            PointWatch(point, point.profile, columns[point.channel], device.period_ms)
            for point in mine
            if point.profile is not None
        )
        self.points.extend(watches)
        critical = {point.channel for point in mine if point.critical}
        wear = worn(device, [watch.point.channel for watch in watches])
        watch = DeviceWatch(device, site.alarms.silence_s, critical=bool(critical), wear=wear)
        self._devices.append((watch, watches))
        self._calibrations.extend(
            CalibrationWatch(device.id, channel, calibration, critical=channel in critical)
            for channel, calibration in device.calibration.items()
        )

    # Judge

    def scan(self, scan: Scan) -> Sequence[Condition]:
        """One answered poll. Uncertain values count; bad ones neither count nor clear."""
        if self._line.begun_ms is None:
            self._begin(None, scan.at_ms)
        device, points = self._devices[scan.device]
        quality, values, at_ms = scan.quality, scan.values, scan.at_ms
        found: list[Condition] = []
        if quality[0] < BAD or min(quality) not in NO_ANSWER:
            if device.lost_since_ms is None:
                device.answered_ms = at_ms
            elif (condition := device.answered(at_ms)) is not None:
                found.append(condition)
        else:
            device.cause = quality[0]
        for watch in points:
            index = watch.index
            if quality[index] >= BAD:
                watch.cause = quality[index]
                continue
            value = values[index]
            before, watch.seen_ms = watch.seen_ms, at_ms
            if watch.quiet and watch.low <= value <= watch.high:
                continue
            found += watch.value(value, at_ms, before)
            self._touched = True
        for wear in device.wear:
            if quality[wear.at] < BAD and (low := wear.value(values[wear.at], at_ms)) is not None:
                found.append(low)
            if wear.stirred:
                wear.stirred, self._touched = False, True
        if found:
            self._due_ms = 0.0
        return found

    def miss(self, miss: Miss, now_ms: int) -> Sequence[Condition]:
        """Slots without an answer: only the cause is noted, silence is told by `tick`."""
        if self._line.begun_ms is None:
            self._begin(None, now_ms)
        device, points = self._devices[miss.device]
        device.cause = miss.quality
        for watch in points:
            watch.cause = miss.quality
        return ()

    def tick(self, claim: ClockClaim) -> Sequence[Condition]:
        """Silence, staleness, hours, dates."""
        now_ms = claim.boot_ms
        if self._line.begun_ms is None:
            self._begin(claim.boot, now_ms)
        begun_ms = self._line.begun_ms or 0
        self._move(self._line.clock(claim))
        found: list[Condition] = []
        if self._power_ms is not None:
            found += self._power_lost(now_ms)
        if now_ms >= self._due_ms:
            due_ms = inf
            for device, points in self._devices:
                if (lost := device.tick(now_ms, begun_ms)) is not None:
                    found.append(lost)
                due_ms = min(due_ms, device.due_ms(begun_ms))
                for watch in points:
                    found += watch.tick(now_ms, begun_ms)
                    due_ms = min(due_ms, watch.due_ms(begun_ms))
            self._due_ms = due_ms
        found += self._date(claim, now_ms)
        if found:
            self._touched = True
        return found

    def _date(self, claim: ClockClaim, now_ms: int) -> list[Condition]:
        """What depends on the calendar; nothing while the wall clock is not trusted, but alert limits then hold."""
        if claim.utc_ms is None:
            return [c for watch in self.points for c in watch.set_hours(None, now_ms)]
        minute = claim.utc_ms // 60_000
        if minute == self._minute or (not self._dated and self._day is not None and minute < self._midnight):
            return []
        self._minute = minute
        local = datetime.fromtimestamp(claim.utc_ms / 1000, UTC).astimezone(self._zone)
        found: list[Condition] = []
        if local.date() != self._day:
            self._day = local.date()
            # From an hour before midnight on the date is looked at every minute, whatever clocks may be changed.
            ahead = (local + timedelta(days=1)).replace(hour=0, minute=0)
            self._midnight = int(ahead.timestamp()) // 60 - 60
            for calibration in self._calibrations:
                found += calibration.day(local.date(), now_ms)
        if self._dated:
            midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
            day_ms = now_ms - (claim.utc_ms - round(midnight.timestamp() * 1000))
            for watch in self.points:
                found += watch.set_hours((local.weekday(), local.hour * 60 + local.minute), now_ms)
                for state in watch.states:
                    if isinstance(state, TimeState):
                        state.day_ms = day_ms
        return found

    @property
    def due_ms(self) -> float:
        """Before this `tick` changes nothing (but for the date); 0 where it must be asked every time."""
        return 0.0 if self._dated or self._power_ms is not None else self._due_ms

    # power

    def stopping(self) -> None:
        """The gateway ends on purpose: the next boot is no loss of power. Take `memory` after it."""
        self._orderly = self._touched = True

    def _power_lost(self, now_ms: int) -> list[Condition]:
        assert self._power_ms is not None
        if self._line.waits and now_ms - self._power_ms < TRUST_WAIT_MS:
            return []
        found_ms, self._power_ms = self._power_ms, None
        off_ms = None if self._line.off_ms is None else self._line.off_ms + found_ms
        since_ms = found_ms - (off_ms or 0)
        # It is over when it is known; what remains is that somebody must take note.
        return [power_loss(now_ms, since_ms, off_ms, active=active) for active in (True, False)]

    # restart

    def _begin(self, boot: bytes | None, at_ms: int) -> None:
        self._touched = True
        self._move(self._line.begin(boot, at_ms))
        if self._line.rebooted and not self._orderly_before:
            self._power_ms = at_ms

    def go_on(self, old: "LimitJudge", claim: ClockClaim) -> None:
        """Take over from a judge of the site before: a silence is as long as it is, whoever watched its beginning.

        What ``old`` did not watch is waited for from now on.
        """
        if (begun_ms := old._line.begun_ms) is None:
            return
        self._begin(claim.boot, begun_ms)
        devices = {device.id for device, _ in old._devices}
        points = {watch.point.id for watch in old.points}
        for device, watches in self._devices:
            if device.id not in devices:
                device.answered_ms = claim.boot_ms
            for watch in watches:
                if watch.point.id not in points:
                    watch.seen_ms = claim.boot_ms
        self._due_ms = 0.0

    def _move(self, move: Move | None) -> None:
        if move is None:
            return
        for device, points in self._devices:
            device.move(move)
            for watch in points:
                watch.move(move)
        self._touched, self._due_ms = True, 0.0

    def reconcile(self, standing: Mapping[str, Condition]) -> list[Condition]:
        """Bring this judge and the alarms that stand into line after a start.

        An alarm that stands and that this judge has forgotten is taken over; what this judge holds active and no
        alarm shows is said again; an alarm whose rule is no longer configured ends.
        """
        found: list[Condition] = []
        known = {condition.alarm for condition in self.catalogue()}
        at_ms = self._line.claim.boot_ms if self._line.claim is not None else 0
        for watch in self.points:
            active = {condition.alarm: condition for condition in watch.active(at_ms)}
            known |= active.keys()
            found += [condition for alarm, condition in active.items() if alarm not in standing]
            for alarm, condition in standing.items():
                if condition.point == watch.point.id and alarm not in active:
                    watch.take_over(condition)
        for device, _ in self._devices:
            found += device.reconcile(standing, at_ms)
        for calibration in self._calibrations:
            found += calibration.reconcile(standing, at_ms, dated=self._day is not None)
        if "gateway/power-loss" in standing:
            found.append(power_loss(at_ms, at_ms, None, active=False))
        self._due_ms = 0.0
        found += [_gone(condition, at_ms) for alarm, condition in standing.items() if alarm not in known]
        return found

    def catalogue(self) -> Iterable[Condition]:
        """Every alarm that this judge can raise and that is not active now, as inactive conditions."""
        for device, points in self._devices:
            for watch in points:
                yield from watch.catalogue(0)
            yield device.loss(0, active=False)
            for wear in device.wear:
                yield wear.condition(None, 0, active=False)
        for calibration in self._calibrations:
            for rule in calibration.RULES:
                yield calibration.condition(rule, 0, 0, active=False)
        yield power_loss(0, 0, None, active=False)

    def memory(self) -> bytes | None:
        """See `Judge.memory`. The same bytes while nothing is under way that the last ones do not hold."""
        if self._line.begun_ms is None:
            return self._packed  # nothing has happened yet: what was given holds
        if self._packed is None or self._touched:
            self._touched = False
            self._packed = self._pack()
        return self._packed

    def _pack(self) -> bytes:
        newest = max((device.answered_ms or 0 for device, _ in self._devices), default=0)
        data = {
            **self._line.head(newest),
            "orderly": self._orderly,
            "power": self._power_ms,
            "points": {watch.point.id: watch.save() for watch in self.points},
            "devices": {device.id: device.save() for device, _ in self._devices},
        }
        return pack(self.name, VERSION, data)

    def _load(self, memory: bytes) -> None:
        data = unpack(self.name, VERSION, memory)
        try:
            for watch in self.points:
                if (saved := data["points"].get(watch.point.id)) is not None:
                    watch.load(saved)
            for device, _ in self._devices:
                if (held := data["devices"].get(device.id)) is not None:
                    device.load(held)
            self._line.load(data)
            self._orderly_before = bool(data["orderly"])
            self._power_ms = None if data["power"] is None else int(data["power"])
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise StorageError(
                "what was kept for limits makes no sense", "nothing to do: it begins anew"
            ) from error


def _gone(condition: Condition, at_ms: int) -> Condition:
    words = f"{condition.rule} of {condition.point or condition.device or 'the gateway'} is no longer configured"
    return replace(condition, active=False, at_ms=at_ms, words=words)
