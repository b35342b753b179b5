"""The present state of a gateway as plain data: what the status page shows and the JSON API returns."""

from collections.abc import Iterator
from math import isnan
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from gateway import __version__
from gateway.buffer.stats import JournalStats
from gateway.language import N_, Language, language
from gateway.model import Alarm, AlarmState, ClockState, Column, Quality, Scan, Stream, Tier
from gateway.report.names import STATE_KINDS, named
from gateway.viewing.said import alarm_sentence

if TYPE_CHECKING:
    from gateway.acquire.families import AnyPoller
    from gateway.app import Gateway

__all__ = ["Status"]

STREAMS: tuple[Stream, ...] = ("scan", "event")
STALE_PERIODS = 2.5
"""A value older than this many periods of its device is shown as having no news."""

Fact = dict[str, Any]


WAITING = frozenset({AlarmState.UNACKNOWLEDGED, AlarmState.RETURNED})
"""States in which an alarm waits for a person."""
HELD = frozenset({AlarmState.SHELVED, AlarmState.SUPPRESSED, AlarmState.OUT_OF_SERVICE})
"""States in which it is kept from people."""
DECLARED = N_("declared by site file")
"""Who keeps the clock, where that is no program's name; as `gateway.clock` says it."""
TIERS = {tier.value: position for position, tier in enumerate(Tier)}
"""Graver first."""
SEVERITIES = {"bad": 0, "uncertain": 1, "good": 2}


def _fact(name: str, words: str, state: str = "good") -> Fact:
    return {"name": name, "words": words, "state": state}


class Status:
    """Takes snapshots of one gateway. Nothing is kept: each snapshot says what is true now."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway

    def snapshot(self, t: Language | None = None) -> dict[str, Any]:
        """Plain data, ready for JSON; times in milliseconds, ages in seconds, None for what is not known."""
        gateway = self._gateway
        t = t or language("en")
        journal = gateway.journal.stats
        claim = gateway.clock.claim()
        devices = [self._device(poller, claim.boot_ms, t) for poller in gateway.acquire.pollers]
        identity = gateway.site.identity
        return {
            "gateway": {
                "member": identity.member,
                "site": identity.site,
                "id": identity.gateway,
                "version": __version__,
                "running_s": (claim.boot_ms - gateway.counters.started_ms) / 1000,
            },
            "boot_ms": claim.boot_ms,
            "utc_ms": claim.utc_ms,
            "time_words": t.moment(claim.utc_ms, ZoneInfo(gateway.site.time_zone)),
            "clock": {
                "state": claim.state.name.lower(),
                "error_ms": claim.error_ms,
                "keeper": gateway.clock.keeper,
            },
            "health": list(self._health(journal, t)),
            "alarms": list(self._alarms(claim.boot_ms, t)),
            "points": list(self._points(devices, t)),
            "devices": devices,
            "totals": self.totals(),
            "streams": self._streams(),
        }

    def waiting(self) -> int:
        """How many alarms wait for a person."""
        return sum(alarm.state in WAITING for alarm in self._gateway.assess.alarms)

    def totals(self) -> dict[str, int]:
        """Scheduled slots since the start and where they ended: ``scheduled`` is the sum of the other two."""
        scans = sum(poller.stats.scans for poller in self._gateway.acquire.pollers)
        missed = sum(sum(poller.stats.missed.values()) for poller in self._gateway.acquire.pollers)
        return {"scheduled": scans + missed, "scans": scans, "missed": missed}

    # devices and points

    def _device(self, poller: "AnyPoller", now_ms: int, t: Language) -> dict[str, Any]:
        gateway = self._gateway
        stats, layout = poller.stats, poller.layout
        gap = gateway.assess.gaps[poller.index]
        age_s = None if stats.last_answer_ms is None else (now_ms - stats.last_answer_ms) / 1000
        stale = age_s is None or age_s > STALE_PERIODS * layout.period_ms / 1000
        scan = gateway.latest[poller.index]
        channels = [
            self._channel(column, t, *_reading(scan, position, stale))
            for position, column in enumerate(layout.columns)
            if column.role == "value"
        ]
        if gap.open_since is not None and gap.cause is not None:
            state, words = "bad", t(gap.cause.words)
        elif poller.unexpected:
            names = ", ".join(
                t("{name} is not {wanted}", name=key, wanted=wanted) for key, wanted in poller.unexpected.items()
            )
            state, words = "uncertain", t("set up otherwise than its model needs: {names}", names=names)
        elif any(channel["severity"] != "good" for channel in channels):
            worst = max(channels, key=lambda channel: int(channel["quality"]))
            state, words = worst["severity"], f"{worst['name']}: {worst['words']}"
        else:
            state, words = "good", t("answers")
        return {
            "id": layout.id,
            "bus": layout.bus,
            "model": layout.model,
            "period_s": layout.period_ms / 1000,
            "state": state,
            "words": words,
            "age_s": age_s,
            "since_ms": stats.last_answer_ms,
            "scans": stats.scans,
            "missed": sum(stats.missed.values()),
            "missed_by_cause": {Quality(cause).name.lower(): n for cause, n in sorted(stats.missed.items())},
            "breaker_open": poller.breaker.open,
            "last_fault": stats.last_fault,
            "channels": channels,
        }

    @staticmethod
    def _channel(column: Column, t: Language, value: float | None, quality: Quality) -> dict[str, Any]:
        return {
            "name": column.channel,
            "value": value,
            "decimals": column.decimals,
            "unit": t.unit(column.unit),
            "quality": int(quality),
            "severity": quality.severity,
            "words": t(quality.words),
        }

    def _points(self, devices: list[dict[str, Any]], t: Language) -> Iterator[dict[str, Any]]:
        by_id = {device["id"]: device for device in devices}
        under_way = self._gateway.assess.under_way
        alarms = self._worst_alarms()
        points = []
        for point in self._gateway.site.points:
            device = by_id[point.device]
            channel = next(c for c in device["channels"] if c["name"] == point.channel)
            alarm, going = alarms.get(point.id), under_way.get(point.id)
            points.append(
                {
                    **channel,
                    "id": point.id,
                    "name": point.name,
                    "critical": point.critical,
                    "device": point.device,
                    "channel": point.channel,
                    "age_s": device["age_s"],
                    "since_ms": device["since_ms"],
                    "under_way": going,
                    "going_on": None if going is None else named(STATE_KINDS, going, t),
                    "alarm": None
                    if alarm is None
                    else {"id": alarm.id, "tier": alarm.condition.tier.value, "state": alarm.state.value},
                }
            )
        yield from sorted(points, key=_rank)

    def _worst_alarms(self) -> dict[str, Alarm]:
        """By point, the alarm that is first to be seen: one that is active or waits, graver ones first."""
        worst: dict[str, Alarm] = {}
        for alarm in self._gateway.assess.alarms:
            point = alarm.condition.point
            if point is None or not (alarm.active or alarm.state in WAITING) or alarm.state in HELD:
                continue
            if point not in worst or _gravity(alarm) < _gravity(worst[point]):
                worst[point] = alarm
        return worst

    def _alarms(self, now_ms: int, t: Language) -> Iterator[dict[str, Any]]:
        """Alarms that are not normal, what asks for a person first: unacknowledged before others, graver first."""
        names = {point.id: point.name for point in self._gateway.site.points}
        for alarm in sorted(self._gateway.assess.alarms, key=_urgency):
            condition = alarm.condition
            yield {
                "id": alarm.id,
                "place": names.get(condition.point or "") or condition.device or t("Gateway"),
                "point": condition.point,
                "rule": condition.rule,
                "tier": condition.tier.value,
                "state": alarm.state.value,
                "active": alarm.active,
                "waits": alarm.state in WAITING,
                "words": condition.words,
                "sentence": alarm_sentence(alarm, t),
                "group": alarm.group,
                "occurrence": alarm.occurrence,
                "escalation": alarm.escalation,
                "person": alarm.person,
                "text": alarm.text,
                "raised_ms": alarm.raised_ms,
                "returned_ms": alarm.returned_ms,
                "until_ms": alarm.until_ms,
                "since_s": (now_ms - condition.since_ms) / 1000,
                "raised_s": (now_ms - alarm.raised_ms) / 1000,
                "until_s": None if alarm.until_ms is None else (alarm.until_ms - now_ms) / 1000,
            }

    # the gateway itself

    def _streams(self) -> dict[str, Any]:
        journal = self._gateway.journal
        streams: dict[str, Any] = {}
        for stream in STREAMS:
            head, delivered = journal.head(stream), journal.delivered(stream).size
            sealed = 0 if head is None else head.seq + 1
            streams[stream] = {"sealed": sealed, "receipted": delivered, "backlog": sealed - delivered}
        return streams

    def _health(self, journal: JournalStats, t: Language) -> Iterator[Fact]:
        """Facts in the reader's language, as far as the catalogues have their words."""
        yield self._clock(t)
        yield _journal(journal, t)
        yield from self._uplink(t)
        for worker in self._gateway.acquire.buses:
            stats, name = worker.stats, t("Bus {bus}", bus=worker.stats.id)
            if stats.connected:
                yield _fact(name, t("connected"))
            else:
                yield _fact(name, t(stats.last_fault) if stats.last_fault else t("connecting"), "bad")
        people = self._gateway.people
        for scanner in () if people is None else people.scanners:
            words = scanner.fault or (t("ready") if scanner.line.connected else t("connecting"))
            yield _fact(t("Scanner {scanner}", scanner=scanner.spec.id), words, "bad" if scanner.fault else "good")
        if self._gateway.board is not None:
            for place, words, state in self._gateway.board.facts():
                yield _fact(t(place), t(words), state)
        counters = self._gateway.counters
        if counters.last_restart:
            often = t.many("once", "{n} times", sum(counters.restarts.values()))
            yield _fact(t("Restarted"), f"{counters.last_restart} ({often})", "uncertain")
        if counters.events_dropped:
            lost = t.many("{n} could not be stored", "{n} could not be stored", counters.events_dropped)
            yield _fact(t("Events"), lost, "bad")
        box = self._gateway.box
        for fact in box.shown if box is not None else ():
            words = f"{t(fact.words)}: {t(fact.remedy)}" if fact.remedy else t(fact.words)
            yield _fact(t(fact.name), words, "uncertain" if fact.state == "care" else fact.state)

    def _clock(self, t: Language) -> Fact:
        clock, name = self._gateway.clock, t("Clock")
        claim = clock.claim()
        if claim.state == ClockState.UNTRUSTED:
            words = t("not known to be right; values are kept and their time is corrected later")
            return _fact(name, words, "uncertain")
        bound = f"{t.number(float(f'{(claim.error_ms or 0) / 1000:.3g}'), None)} s"
        if claim.state == ClockState.HOLDOVER:
            return _fact(name, t("within {bound}, without its time source", bound=bound), "uncertain")
        return _fact(name, t("within {bound} ({keeper})", bound=bound, keeper=t(clock.keeper)))

    def _uplink(self, t: Language) -> Iterator[Fact]:
        gateway, name = self._gateway, t("Cluster")
        if gateway.site.cluster is None:
            yield _fact(name, t("none configured: records stay here"), "uncertain")
            return
        waiting = t.many("{n} batch without a receipt", "{n} batches without a receipt", gateway.backlog())
        if gateway.uplink is None:
            yield _fact(name, t("starting"))
            return
        stats = gateway.uplink.stats
        if stats.forks:
            yield _fact(name, t("FORK: its record differs from this one; nothing is deleted"), "bad")
        elif not stats.connected:
            why = t(stats.last_error) if stats.last_error else t("connecting")
            yield _fact(name, t("no connection ({why}); {waiting}", why=why, waiting=waiting), "uncertain")
        else:
            yield _fact(name, t("connected; {waiting}", waiting=waiting))


def _journal(stats: JournalStats, t: Language) -> Fact:
    if stats.state != "ok":
        values = t.many("{n} value waits in memory", "{n} values wait in memory", stats.pending_values)
        return _fact(t("Journal"), f"{t(stats.state)} ({stats.fault}); {values}", "bad")
    return _fact(t("Journal"), t("stores; {size} MB", size=t.number(stats.file_bytes / 1e6, 1)))


def _gravity(alarm: Alarm) -> tuple[int, bool]:
    return TIERS[alarm.condition.tier.value], alarm.state not in WAITING


def _urgency(alarm: Alarm) -> tuple[bool, int, int]:
    """What waits for a person first, then graver ones, then newer ones."""
    return alarm.state not in WAITING, TIERS[alarm.condition.tier.value], -alarm.raised_ms


def _rank(point: dict[str, Any]) -> tuple[int, int, bool]:
    """Worst first: in a food alarm, without a value, with care needed, well; critical points before others."""
    tier = point["alarm"]["tier"] if point["alarm"] else ""
    food = TIERS[tier] if tier in {"critical", "alert"} else len(TIERS)
    return food, SEVERITIES[point["severity"]], not point["critical"]


def _reading(scan: Scan | None, position: int, stale: bool) -> tuple[float | None, Quality]:
    """Value and quality to show: an old value is not shown as if it were new."""
    if scan is None:
        return None, Quality.NOT_STARTED
    quality = Quality(scan.quality[position])
    value = scan.values[position]
    if quality.bad or isnan(value):
        return None, quality
    return (None, Quality.STALE) if stale else (value, quality)
