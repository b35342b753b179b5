"""The Prometheus metrics: one table says all that there are; docs/metrics.md is checked against it.

Stations count in plain fields. Samples are taken when somebody scrapes: counting costs the path nothing, and the
page is written in slices, so that a scrape does not hold the loop either.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from time import perf_counter
from typing import TYPE_CHECKING

from gateway import __version__
from gateway.acquire.poller import DURATION_BUCKETS_S
from gateway.buffer.stats import JournalStats
from gateway.model import ClockState, Quality, Stream
from gateway.operations.exposition import CONTENT_TYPE, Labels, TextPage
from gateway.operations.logs import STATS
from gateway.operations.process import PROCESS_TABLE, process_samples
from gateway.operations.table import TABLE

if TYPE_CHECKING:
    from gateway.acquire.families import AnyPoller
    from gateway.app import Gateway

__all__ = ["TABLE", "Exposition"]


MODBUS = frozenset({"tcp", "rtu", "rtu-over-tcp"})

STREAMS: tuple[Stream, ...] = ("scan", "event")
EVENTS_DROPPED = "memory-events"
"""The journal counts lost events beside lost values; here they are a metric of their own."""


SLICE_S = 0.001
"""The page is written for so long at a time, then others have their turn."""


class Exposition:
    """Exposes one gateway, and the process that it runs in."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._stats = JournalStats()

    def text(self) -> tuple[bytes, str]:
        """The exposition and its content type, at one go."""
        page = TextPage({**TABLE, **PROCESS_TABLE})
        for _ in self._steps(page):
            pass
        return page.text(), CONTENT_TYPE

    async def page(self) -> tuple[bytes, str]:
        """The same in slices of about `SLICE_S`. Samples of different slices are of different moments, as those of
        different processes always are.
        """
        page = TextPage({**TABLE, **PROCESS_TABLE})
        written: list[bytes] = []
        end = perf_counter() + SLICE_S
        for piece in chain(self._steps(page), page.pieces()):
            if piece is not None:
                written.append(piece)
            if perf_counter() > end:
                await asyncio.sleep(0)
                end = perf_counter() + SLICE_S
        return b"".join(written), CONTENT_TYPE

    def _steps(self, page: TextPage) -> Iterator[None]:
        self._stats = self._gateway.journal.stats
        for name, labels, value in self._samples():
            page.sample(name, labels, value)
            yield
        for name, labels, buckets, total in self._histograms():
            page.histogram(name, labels, buckets, total)
            yield
        for name, labels, count, total in self._summaries():
            page.summary(name, labels, count, total)
            yield
        for name, labels, value in process_samples():
            page.sample(name, labels, value)
            yield

    # what there is to say

    def _samples(self) -> Iterator[tuple[str, Labels, float]]:
        yield "aurora_build_info", (__version__,), 1
        yield from self._devices()
        yield from self._buses()
        yield from self._air()
        yield from self._journal()
        yield from self._uplink()
        claim = self._gateway.clock.claim()
        for state in ClockState:
            yield "aurora_clock_state", (state.name.lower(),), claim.state == state
        if claim.error_ms is not None:
            yield "aurora_clock_error_seconds", (), claim.error_ms / 1000
        yield from self._board()
        yield from self._alarms(claim.boot_ms)
        yield from self._outputs()
        yield from self._scanners()
        yield from self._rules()
        yield from self._box()
        counters = self._gateway.counters
        for station, count in sorted(counters.restarts.items()):
            yield "aurora_station_restarts_total", (station,), count
        for outcome, count in self._gateway.turning.counts.items():
            yield "aurora_site_changes_total", (outcome,), count
        yield "aurora_events_dropped_total", (), counters.events_dropped + self._stats.dropped[EVENTS_DROPPED]
        for check, state in self._gateway.box.levels() if self._gateway.box is not None else ():
            yield "aurora_box_check", (check,), state

    def _board(self) -> Iterator[tuple[str, Labels, float]]:
        board = self._gateway.board
        if board is None or (health := board.health()) is None:
            return
        if health.soc_temperature is not None:
            yield "aurora_board_temperature_celsius", (), health.soc_temperature
        for trouble, there in (health.flags or {}).items():
            if there is not None:
                yield "aurora_board_trouble", (trouble,), there

    def _devices(self) -> Iterator[tuple[str, Labels, float]]:
        pollers = self._gateway.acquire.pollers
        for poller in pollers:
            if pollers is not self._gateway.acquire.pollers:
                return  # The site has become another one since the last slice: what is left is of the one before.
            yield from tuple(self._device(poller))

    def _device(self, poller: "AnyPoller") -> Iterator[tuple[str, Labels, float]]:
        """Without a pause: places in the layout hold for one moment."""
        assess, device, stats = self._gateway.assess, poller.spec.id, poller.stats
        yield "aurora_scans_total", (device,), stats.scans
        for code, count in sorted(assess.values[poller.index].items()):
            quality = Quality(code)
            yield "aurora_values_total", (device, quality.severity, quality.name.lower()), count
        for cause, count in sorted(stats.missed.items()):
            yield "aurora_missed_slots_total", (device, Quality(cause).name.lower()), count
        yield "aurora_gap_open", (device,), assess.gaps[poller.index].open_since is not None
        yield "aurora_device_breaker_open", (device,), poller.breaker.open
        yield "aurora_device_breaker_opened_total", (device,), poller.breaker.opened
        yield "aurora_device_defects_total", (device,), stats.defects
        if stats.scans or stats.missed:
            gap = assess.gaps[poller.index]
            yield "aurora_device_up", (device,), gap.open_since is None and not poller.breaker.open
        if stats.last_answer_ms is not None:
            age_s = max(0, self._gateway.clock.now_ms() - stats.last_answer_ms) / 1000
            yield "aurora_device_answer_age_seconds", (device,), age_s
            yield "aurora_device_round_trip_seconds", (device,), stats.poll_last_s

    def _rules(self) -> Iterator[tuple[str, Labels, float]]:
        if self._gateway.rulebook is None:
            return
        for rule, of in sorted(self._gateway.rulebook.listing().items()):
            yield "aurora_rule_up", (rule,), of["state"] == "ok"
            yield "aurora_rule_findings_total", (rule,), of["findings"]
            for fate in ("taken", "dropped"):
                yield "aurora_rule_readings_total", (rule, fate), of[fate]
            for fault in ("raised", "late", "blocked", "silenced", "floods"):
                yield "aurora_rule_faults_total", (rule, fault), of[fault]

    def _box(self) -> Iterator[tuple[str, Labels, float]]:
        if self._gateway.vitals is not None:
            yield from self._gateway.vitals.samples()
        for level in ("error", "warning", "info"):
            yield "aurora_log_lines_total", (level,), STATS.lines[level]
        yield "aurora_log_suppressed_lines_total", (), STATS.suppressed
        yield "aurora_log_lost_lines_total", (), STATS.lost

    def _buses(self) -> Iterator[tuple[str, Labels, float]]:
        for worker in self._gateway.acquire.buses:
            bus = worker.stats.id
            yield "aurora_bus_up", (bus,), worker.stats.connected
            yield "aurora_bus_connects_total", (bus,), worker.stats.connects
            if (link := getattr(worker, "link", None)) is None:
                continue
            spoken, line = "modbus" if link.kind in MODBUS else "line", link.stats
            yield f"aurora_{spoken}_requests_total", (bus,), line.requests
            for outcome in ("answers", "timeouts", "bad_frames", "exceptions", "late_answers", "stray_frames"):
                yield f"aurora_{spoken}_answers_total", (bus, outcome), getattr(line, outcome)
            yield f"aurora_{spoken}_bytes_total", (bus, "sent"), line.bytes_sent
            yield f"aurora_{spoken}_bytes_total", (bus, "received"), line.bytes_received

    def _air(self) -> Iterator[tuple[str, Labels, float]]:
        for worker in self._gateway.acquire.air:
            bus = worker.stats.id
            yield "aurora_ble_reports_total", (bus,), sum(scanner.reports for scanner in worker.scanners)
            yield "aurora_ble_connections_total", (bus,), worker.central.connects
            yield "aurora_ble_backfills_total", (bus, "done"), worker.backfill.done
            yield "aurora_ble_backfills_total", (bus, "failed"), worker.backfill.failed
            for device, slots in sorted(worker.backfill.filled.items()):
                yield "aurora_ble_backfilled_slots_total", (device,), slots
            for scanner in worker.scanners:
                for step, count in list(scanner.ladder.taken.items()):
                    labels = (bus, scanner.adapter or "first", step.value)
                    yield "aurora_ble_recovery_steps_total", labels, count
            for poller in worker.pollers:
                if (interval_s := poller.interval.seconds) is not None:
                    yield "aurora_ble_interval_seconds", (poller.spec.id,), interval_s
                sensor = worker.sensors.known.get(poller.spec.address)
                if sensor is not None:
                    yield "aurora_ble_replays_total", (poller.spec.id,), sensor.replays
                    for adapter, rssi in sorted(sensor.rssi.items()):
                        yield "aurora_ble_signal_dbm", (poller.spec.id, adapter), rssi

    def _journal(self) -> Iterator[tuple[str, Labels, float]]:
        stats = self._stats
        yield "aurora_journal_up", (), stats.state == "ok"
        yield "aurora_journal_bytes", (), stats.file_bytes + stats.wal_bytes
        yield "aurora_journal_sealed_values_total", (), stats.values_sealed
        yield "aurora_journal_failed_commits_total", (), stats.failed_commits
        yield "aurora_journal_failed_seals_total", (), stats.failed_seals
        yield "aurora_journal_set_aside_total", (), len(stats.set_aside)
        for reason, count in sorted(stats.stripped.items()):
            yield "aurora_journal_stripped_batches_total", (reason,), count
        yield "aurora_journal_pending_values", (), stats.pending_values
        for reason, count in sorted(stats.dropped.items()):
            if reason == EVENTS_DROPPED:
                continue
            yield "aurora_journal_dropped_values_total", (reason,), count
        yield "aurora_sealed_batches_total", (), stats.batches_sealed
        for stream in STREAMS:
            yield "aurora_backlog_batches", (stream,), stats.backlog[stream]
            age_s = stats.oldest_undelivered_s[stream]
            if age_s is not None:
                yield "aurora_backlog_seconds", (stream,), age_s

    def _uplink(self) -> Iterator[tuple[str, Labels, float]]:
        if self._gateway.uplink is None:
            return
        stats, now = self._gateway.uplink.stats, self._gateway.clock.now_ms()
        yield "aurora_uplink_up", (), stats.connected
        yield "aurora_uplink_connects_total", (), stats.connects
        yield "aurora_uplink_published_bytes_total", (), stats.published_bytes
        yield "aurora_uplink_timeouts_total", (), stats.timeouts
        yield "aurora_uplink_forks_total", (), stats.forks
        yield "aurora_uplink_rewinds_total", (), stats.rewinds
        yield "aurora_uplink_in_flight_batches", (), stats.in_flight
        offline_ms = 0 if stats.offline_since_ms is None else now - stats.offline_since_ms
        yield "aurora_uplink_disconnected_seconds", (), offline_ms / 1000
        yield "aurora_uplink_offline_seconds_total", (), (stats.offline_ms + offline_ms) / 1000
        for reason, count in sorted(stats.refused.items()):
            yield "aurora_uplink_refused_total", (reason,), count
        for kind, count in sorted(stats.bad_answers.items()):
            yield "aurora_uplink_bad_answers_total", (kind,), count
        for stream in STREAMS:
            yield "aurora_uplink_published_batches_total", (stream,), stats.published[stream]
            yield "aurora_receipts_total", (stream,), stats.receipts[stream]
            if stream in stats.receipt_ms:
                yield "aurora_receipt_age_seconds", (stream,), (now - stats.receipt_ms[stream]) / 1000

    def _alarms(self, now_ms: int) -> Iterator[tuple[str, Labels, float]]:
        assess = self._gateway.assess
        alarms = assess.alarms
        for (tier, state), count in sorted(
            Counter((a.condition.tier.value, a.state.value) for a in alarms).items()
        ):
            yield "aurora_alarms", (tier, state), count
        rates = assess.engine.rates
        report = rates.report(now_ms, alarms)
        yield "aurora_alarms_raised_total", (), rates.total
        yield "aurora_alarms_recent", ("10m",), report.last_10_min
        yield "aurora_alarms_recent", ("1h",), report.last_hour
        yield "aurora_alarms_recent", ("1d",), report.last_day
        yield "aurora_alarm_flood", (), report.flood
        yield "aurora_alarm_floods_total", (), report.floods
        yield "aurora_alarms_standing", (), report.standing
        yield "aurora_alarms_stale", (), len(report.stale)
        yield "aurora_alarms_chattering", (), len(report.chattering)
        yield "aurora_judge_failures_total", ("alarms",), assess.engine_failures
        for border in assess.borders:
            yield "aurora_judge_failures_total", (border.name,), border.failures

    def _outputs(self) -> Iterator[tuple[str, Labels, float]]:
        people = self._gateway.people
        notifier = None if people is None else people.notifier
        if notifier is None:
            return
        stats = notifier.stats
        for output, of in sorted(stats.outputs.items()):
            yield "aurora_output_up", (output,), not of.failing
            yield "aurora_output_sent_total", (output,), of.sent
            yield "aurora_output_failures_total", (output,), of.failures
            yield "aurora_output_given_up_total", (output,), of.given_up
            yield "aurora_output_queued", (output,), of.queued
            yield "aurora_output_oldest_seconds", (output,), of.oldest_s
            for fault in ("raised", "late", "blocked", "silenced"):
                yield "aurora_output_faults_total", (output, fault), getattr(of.faults, fault)
            if (values := of.values) is not None:
                for fate in ("taken", "dropped", "refused"):
                    yield "aurora_output_values_total", (output, fate), getattr(values, fate)
                yield "aurora_output_values_queued", (output,), values.queued
            yield "aurora_output_blocked", (output,), notifier.lanes[output].cell.blocked
        yield "aurora_outputs_unreachable", (), stats.unreachable

    def _scanners(self) -> Iterator[tuple[str, Labels, float]]:
        people = self._gateway.people
        for scanner in () if people is None else people.scanners:
            name = scanner.spec.id
            yield "aurora_scanner_up", (name,), scanner.line.connected
            for outcome in ("scanned", "refused", "repeated"):
                yield "aurora_scanner_lines_total", (name, outcome), getattr(scanner, outcome)

    def _histograms(self) -> Iterator[tuple[str, Labels, list[tuple[str, float]], float]]:
        for poller in self._gateway.acquire.pollers:
            running, buckets = 0, []
            for limit, count in zip((*DURATION_BUCKETS_S, float("inf")), poller.stats.buckets, strict=True):
                running += count
                buckets.append(("+Inf" if limit == float("inf") else str(limit), float(running)))
            yield "aurora_poll_duration_seconds", (poller.spec.id,), buckets, poller.stats.poll_s
        if self._gateway.vitals is not None:
            yield "aurora_loop_lag_seconds", (), *self._gateway.vitals.lag_histogram()

    def _summaries(self) -> Iterator[tuple[str, Labels, int, float]]:
        for poller in self._gateway.acquire.pollers:
            stats = poller.stats
            yield "aurora_poll_lateness_seconds", (poller.spec.id,), stats.served, stats.late_s
        yield "aurora_journal_commit_duration_seconds", (), self._stats.commits, self._stats.commit_seconds
