"""The present state of a gateway as plain data: what the status page shows and the JSON API returns."""

from collections.abc import Iterator
from math import isnan
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from gateway import __version__
from gateway.buffer.stats import JournalStats
from gateway.language import Language, language
from gateway.model import AlarmState, ClockState, Column, Quality, Scan, Stream, Tier

if TYPE_CHECKING:
    from gateway.acquire.families import AnyPoller
    from gateway.app import Gateway

__all__ = ["Status"]

STREAMS: tuple[Stream, ...] = ("scan", "event")
SIGNS = {"degC": "\N{DEGREE SIGN}C", "ohm": "\N{GREEK CAPITAL LETTER OMEGA}"}
"""Units as a person reads them."""
STALE_PERIODS = 2.5
"""A value older than this many periods of its device is shown as having no news."""

Fact = dict[str, Any]


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
        devices = [self._device(poller, claim.boot_ms) for poller in gateway.acquire.pollers]
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
            "health": list(self._health(journal)),
            "alarms": list(self._alarms(claim.boot_ms)),
            "points": list(self._points(devices)),
            "devices": devices,
            "totals": self.totals(),
            "streams": self._streams(),
        }

    def totals(self) -> dict[str, int]:
        """Scheduled slots since the start and where they ended: ``scheduled`` is the sum of the other two."""
        scans = sum(poller.stats.scans for poller in self._gateway.acquire.pollers)
        missed = sum(sum(poller.stats.missed.values()) for poller in self._gateway.acquire.pollers)
        return {"scheduled": scans + missed, "scans": scans, "missed": missed}

    # devices and points

    def _device(self, poller: "AnyPoller", now_ms: int) -> dict[str, Any]:
        gateway = self._gateway
        stats, layout = poller.stats, poller.layout
        gap = gateway.assess.gaps[poller.index]
        age_s = None if stats.last_answer_ms is None else (now_ms - stats.last_answer_ms) / 1000
        stale = age_s is None or age_s > STALE_PERIODS * layout.period_ms / 1000
        scan = gateway.latest[poller.index]
        channels = [
            self._channel(column, *_reading(scan, position, stale))
            for position, column in enumerate(layout.columns)
            if column.role == "value"
        ]
        if gap.open_since is not None and gap.cause is not None:
            state, words = "bad", gap.cause.words
        elif poller.unexpected:
            names = ", ".join(f"{key} is not {wanted}" for key, wanted in poller.unexpected.items())
            state, words = "uncertain", f"set up otherwise than its model needs: {names}"
        elif any(channel["severity"] != "good" for channel in channels):
            worst = max(channels, key=lambda channel: int(channel["quality"]))
            state, words = worst["severity"], f"{worst['name']}: {worst['words']}"
        else:
            state, words = "good", "answers"
        return {
            "id": layout.id,
            "bus": layout.bus,
            "model": layout.model,
            "period_s": layout.period_ms / 1000,
            "state": state,
            "words": words,
            "age_s": age_s,
            "scans": stats.scans,
            "missed": sum(stats.missed.values()),
            "missed_by_cause": {Quality(cause).name.lower(): n for cause, n in sorted(stats.missed.items())},
            "breaker_open": poller.breaker.open,
            "last_fault": stats.last_fault,
            "channels": channels,
        }

    @staticmethod
    def _channel(column: Column, value: float | None, quality: Quality) -> dict[str, Any]:
        return {
            "name": column.channel,
            "value": value,
            "decimals": column.decimals,
            "unit": SIGNS.get(column.unit, column.unit),
            "quality": int(quality),
            "severity": quality.severity,
            "words": quality.words,
        }

    def _points(self, devices: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        by_id = {device["id"]: device for device in devices}
        under_way = self._gateway.assess.under_way
        order = {"bad": 0, "uncertain": 1, "good": 2}
        points = []
        for point in self._gateway.site.points:
            device = by_id[point.device]
            channel = next(c for c in device["channels"] if c["name"] == point.channel)
            points.append(
                {
                    **channel,
                    "id": point.id,
                    "name": point.name,
                    "critical": point.critical,
                    "device": point.device,
                    "channel": point.channel,
                    "age_s": device["age_s"],
                    "under_way": under_way.get(point.id),
                }
            )
        yield from sorted(points, key=lambda point: (order[point["severity"]], not point["critical"]))

    def _alarms(self, now_ms: int) -> Iterator[dict[str, Any]]:
        """Alarms that are not normal, what asks for a person first: unacknowledged before others, graver first."""
        names = {point.id: point.name for point in self._gateway.site.points}
        order = {tier: position for position, tier in enumerate(Tier)}
        waiting = {AlarmState.UNACKNOWLEDGED, AlarmState.RETURNED}
        for alarm in sorted(
            self._gateway.assess.alarms,
            key=lambda alarm: (alarm.state not in waiting, order[alarm.condition.tier], -alarm.raised_ms),
        ):
            condition = alarm.condition
            yield {
                "id": alarm.id,
                "place": names.get(condition.point or "", condition.device or "Gateway"),
                "tier": condition.tier.value,
                "state": alarm.state.value,
                "active": alarm.active,
                "waits": alarm.state in waiting,
                "words": condition.words,
                "group": alarm.group,
                "occurrence": alarm.occurrence,
                "escalation": alarm.escalation,
                "person": alarm.person,
                "text": alarm.text,
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

    def _health(self, journal: JournalStats) -> Iterator[Fact]:
        yield self._clock()
        yield _journal(journal)
        yield from self._uplink()
        for worker in self._gateway.acquire.buses:
            stats = worker.stats
            if stats.connected:
                yield _fact(f"Bus {stats.id}", "connected")
            else:
                yield _fact(f"Bus {stats.id}", stats.last_fault or "connecting", "bad")
        people = self._gateway.people
        for scanner in () if people is None else people.scanners:
            words = scanner.fault or ("ready" if scanner.line.connected else "connecting")
            yield _fact(f"Scanner {scanner.spec.id}", words, "bad" if scanner.fault else "good")
        if self._gateway.board is not None:
            for name, words, state in self._gateway.board.facts():
                yield _fact(name, words, state)
        counters = self._gateway.counters
        if counters.last_restart:
            times = sum(counters.restarts.values())
            often = "once" if times == 1 else f"{times} times"
            yield _fact("Restarted", f"{counters.last_restart} ({often})", "uncertain")
        if counters.events_dropped:
            yield _fact("Events", f"{counters.events_dropped} could not be stored", "bad")
        box = self._gateway.box
        for fact in box.shown if box is not None else ():
            words = f"{fact.words}: {fact.remedy}" if fact.remedy else fact.words
            yield _fact(fact.name, words, "uncertain" if fact.state == "care" else fact.state)

    def _clock(self) -> Fact:
        clock = self._gateway.clock
        claim = clock.claim()
        if claim.state == ClockState.UNTRUSTED:
            return _fact(
                "Clock", "not known to be right; values are kept and their time is corrected later", "uncertain"
            )
        bound = f"within {(claim.error_ms or 0) / 1000:.3g} s"
        if claim.state == ClockState.HOLDOVER:
            return _fact("Clock", f"{bound}, without its time source", "uncertain")
        return _fact("Clock", f"{bound} ({clock.keeper})")

    def _uplink(self) -> Iterator[Fact]:
        gateway = self._gateway
        if gateway.site.cluster is None:
            yield _fact("Cluster", "none configured: records stay here", "uncertain")
            return
        backlog = gateway.backlog()
        waiting = f"{backlog} batch{'' if backlog == 1 else 'es'} without a receipt"
        if gateway.uplink is None:
            yield _fact("Cluster", "starting")
            return
        stats = gateway.uplink.stats
        if stats.forks:
            yield _fact("Cluster", "FORK: its record differs from this one; nothing is deleted", "bad")
        elif not stats.connected:
            yield _fact("Cluster", f"no connection ({stats.last_error or 'connecting'}); {waiting}", "uncertain")
        else:
            yield _fact("Cluster", f"connected; {waiting}")


def _journal(stats: JournalStats) -> Fact:
    if stats.state != "ok":
        return _fact(
            "Journal", f"{stats.state} ({stats.fault}); {stats.pending_values} values wait in memory", "bad"
        )
    return _fact("Journal", f"stores; {stats.file_bytes / 1e6:.1f} MB")


def _reading(scan: Scan | None, position: int, stale: bool) -> tuple[float | None, Quality]:
    """Value and quality to show: an old value is not shown as if it were new."""
    if scan is None:
        return None, Quality.NOT_STARTED
    quality = Quality(scan.quality[position])
    value = scan.values[position]
    if quality.bad or isnan(value):
        return None, quality
    return (None, Quality.STALE) if stale else (value, quality)
