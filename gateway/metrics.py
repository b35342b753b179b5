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
from gateway.operations.exposition import CONTENT_TYPE, Row, TextPage
from gateway.operations.logs import STATS
from gateway.operations.process import PROCESS_TABLE, process_samples

if TYPE_CHECKING:
    from gateway.acquire.families import AnyPoller
    from gateway.app import Gateway

__all__ = ["TABLE", "Exposition"]


MODBUS = frozenset({"tcp", "rtu", "rtu-over-tcp"})

TABLE: dict[str, Row] = {
    "aurora_build_info": Row("gauge", "Always 1; the version is the label.", ("version",)),
    "aurora_scans_total": Row("counter", "Polls that were answered.", ("device",)),
    "aurora_values_total": Row("counter", "Values by quality.", ("device", "severity", "reason")),
    "aurora_missed_slots_total": Row(
        "counter", "Scheduled samples without an answer, by cause.", ("device", "cause")
    ),
    "aurora_gap_open": Row("gauge", "1 while a device is in a gap.", ("device",)),
    "aurora_poll_duration_seconds": Row("histogram", "From first request to last answer of a poll.", ("device",)),
    "aurora_poll_lateness_seconds": Row("summary", "How long after its slot a poll began.", ("device",)),
    "aurora_device_breaker_open": Row("gauge", "1 while a device is only probed now and then.", ("device",)),
    "aurora_device_breaker_opened_total": Row("counter", "Times that a device stopped answering.", ("device",)),
    "aurora_device_defects_total": Row(
        "counter", "Polls that a defect of the gateway prevented; the log has the trace.", ("device",)
    ),
    "aurora_device_up": Row("gauge", "1 while a device answers; absent before its first slot.", ("device",)),
    "aurora_device_answer_age_seconds": Row(
        "gauge", "Time since a device answered last; absent until it has.", ("device",)
    ),
    "aurora_device_round_trip_seconds": Row(
        "gauge", "How long the newest answered poll took; absent before it.", ("device",)
    ),
    "aurora_bus_up": Row("gauge", "1 while a bus is connected.", ("bus",)),
    "aurora_bus_connects_total": Row("counter", "Connections made to a bus.", ("bus",)),
    "aurora_modbus_requests_total": Row("counter", "Requests sent.", ("bus",)),
    "aurora_modbus_answers_total": Row("counter", "Answers by outcome.", ("bus", "outcome")),
    "aurora_modbus_bytes_total": Row("counter", "Bytes on the bus.", ("bus", "direction")),
    "aurora_line_requests_total": Row("counter", "Requests to what is not Modbus.", ("bus",)),
    "aurora_line_answers_total": Row("counter", "Its answers, and what it sent unasked.", ("bus", "outcome")),
    "aurora_line_bytes_total": Row("counter", "Bytes to and from it.", ("bus", "direction")),
    "aurora_scanner_up": Row("gauge", "1 while a barcode scanner can be used.", ("scanner",)),
    "aurora_scanner_lines_total": Row("counter", "Scanned lines by what became of them.", ("scanner", "outcome")),
    "aurora_ble_reports_total": Row(
        "counter", "Advertisements that an adapter brought, foreign ones too.", ("bus",)
    ),
    "aurora_ble_recovery_steps_total": Row(
        "counter", "Steps taken against a silent adapter.", ("bus", "adapter", "step")
    ),
    "aurora_ble_replays_total": Row(
        "counter", "Encrypted advertisements with an old counter; not believed.", ("device",)
    ),
    "aurora_ble_connections_total": Row("counter", "Connections made to sensors.", ("bus",)),
    "aurora_ble_backfills_total": Row(
        "counter", "Downloads of sensors' own memories after a gap, by how they ended.", ("bus", "outcome")
    ),
    "aurora_ble_backfilled_slots_total": Row(
        "counter", "Missed slots for which a sensor's own memory had a value.", ("device",)
    ),
    "aurora_ble_interval_seconds": Row("gauge", "How often a sensor measures, set or learned.", ("device",)),
    "aurora_ble_signal_dbm": Row("gauge", "Newest signal strength of a sensor.", ("device", "adapter")),
    "aurora_journal_up": Row("gauge", "1 while the journal stores.", ()),
    "aurora_journal_bytes": Row("gauge", "Size of the journal file and its write-ahead log."),
    "aurora_journal_sealed_values_total": Row(
        "counter", "Values in sealed batches since the start of the process."
    ),
    "aurora_journal_failed_commits_total": Row("counter", "Commits that the store refused; they are tried again."),
    "aurora_journal_failed_seals_total": Row(
        "counter", "Commits among them that failed because a batch could not be encoded or signed."
    ),
    "aurora_journal_set_aside_total": Row("counter", "Damaged files that were set aside and salvaged."),
    "aurora_journal_stripped_batches_total": Row(
        "counter", "Delivered batches whose body was deleted, by reason.", ("reason",)
    ),
    "aurora_journal_commit_duration_seconds": Row("summary", "Commits, fsync included."),
    "aurora_journal_pending_values": Row("gauge", "Values in memory, not yet on disk."),
    "aurora_journal_dropped_values_total": Row(
        "counter", "Values that could not be stored, by reason.", ("reason",)
    ),
    "aurora_sealed_batches_total": Row("counter", "Batches sealed since the start of the process, both streams."),
    "aurora_backlog_batches": Row("gauge", "Sealed batches without a receipt.", ("stream",)),
    "aurora_backlog_seconds": Row(
        "gauge", "Age of the oldest batch without a receipt; absent when there is none.", ("stream",)
    ),
    "aurora_uplink_up": Row("gauge", "1 while connected to the broker."),
    "aurora_uplink_connects_total": Row("counter", "Connections made to the broker."),
    "aurora_uplink_disconnected_seconds": Row(
        "gauge", "How long there has been no connection to the broker; 0 while there is one."
    ),
    "aurora_uplink_offline_seconds_total": Row("counter", "Time without a connection to the broker, all together."),
    "aurora_uplink_in_flight_batches": Row("gauge", "Batches sent on this connection and without a receipt."),
    "aurora_uplink_rewinds_total": Row(
        "counter", "Times that the cluster had lost what it had vouched for; what is still here is sent again."
    ),
    "aurora_uplink_published_batches_total": Row(
        "counter", "Batches handed to the broker, repeats included.", ("stream",)
    ),
    "aurora_uplink_published_bytes_total": Row("counter", "Bytes of batches handed to the broker."),
    "aurora_uplink_refused_total": Row("counter", "Batches refused by broker or cluster, by reason.", ("reason",)),
    "aurora_uplink_bad_answers_total": Row("counter", "Answers that did not verify, by kind of fault.", ("kind",)),
    "aurora_uplink_timeouts_total": Row("counter", "Times that batches were sent again for want of a receipt."),
    "aurora_uplink_forks_total": Row("counter", "Times that the cluster's record differed from the gateway's."),
    "aurora_receipts_total": Row("counter", "Receipts that verified.", ("stream",)),
    "aurora_receipt_age_seconds": Row("gauge", "Time since the newest receipt.", ("stream",)),
    "aurora_clock_state": Row("gauge", "1 for the state that the clock is in.", ("state",)),
    "aurora_clock_error_seconds": Row(
        "gauge", "Largest error that the clock can have; absent while it is untrusted."
    ),
    "aurora_board_temperature_celsius": Row("gauge", "Temperature of the processor; absent where it is not known."),
    "aurora_board_trouble": Row(
        "gauge",
        "1 while the board has the trouble, 0 while it has not; absent where it is not known.",
        ("trouble",),
    ),
    "aurora_alarms": Row("gauge", "Alarms that are not normal, by tier and state (ISA-18.2).", ("tier", "state")),
    "aurora_alarms_raised_total": Row("counter", "Alarms that became visible to a person."),
    "aurora_alarms_recent": Row(
        "gauge",
        "Alarms that became visible in a stretch of time; one in ten minutes is what a person can handle.",
        ("window",),
    ),
    "aurora_alarm_flood": Row("gauge", "1 while alarms come faster than anybody can read them."),
    "aurora_alarm_floods_total": Row("counter", "Floods of alarms."),
    "aurora_alarms_standing": Row("gauge", "Visible alarms that are active."),
    "aurora_alarms_stale": Row("gauge", "Visible alarms that have been active for a day or longer."),
    "aurora_alarms_chattering": Row("gauge", "Alarms that come and go too often."),
    "aurora_judge_failures_total": Row(
        "counter",
        "Times that a judge (limits, process, advisories) or the alarm engine stopped of a defect.",
        ("judge",),
    ),
    "aurora_output_up": Row("gauge", "1 while the last attempt of an output succeeded.", ("output",)),
    "aurora_output_sent_total": Row("counter", "Notices that an output delivered.", ("output",)),
    "aurora_output_failures_total": Row("counter", "Attempts of an output that failed.", ("output",)),
    "aurora_output_given_up_total": Row("counter", "Notices that an output never delivered.", ("output",)),
    "aurora_output_queued": Row("gauge", "Notices that wait for an output.", ("output",)),
    "aurora_output_oldest_seconds": Row("gauge", "Age of the oldest notice that waits for an output.", ("output",)),
    "aurora_outputs_unreachable": Row("gauge", "1 while nobody can be reached through any output."),
    "aurora_output_faults_total": Row(
        "counter",
        "What an output did that it should not: raised, late, blocked, silenced (log lines beyond 20 a minute).",
        ("output", "fault"),
    ),
    "aurora_output_values_total": Row(
        "counter",
        "Readings for an output that takes values: taken, dropped (queue full), refused.",
        ("output", "fate"),
    ),
    "aurora_output_values_queued": Row("gauge", "Readings that wait for an output.", ("output",)),
    "aurora_output_blocked": Row("gauge", "1 while an output does not come back from a call.", ("output",)),
    "aurora_rule_up": Row("gauge", "1 while a plugin's rule works, 0 while it rests after a failure.", ("rule",)),
    "aurora_rule_findings_total": Row("counter", "Findings of a plugin's rule.", ("rule",)),
    "aurora_rule_readings_total": Row(
        "counter",
        "Readings for a plugin's rule: taken, dropped (queue full, or it failed).",
        ("rule", "fate"),
    ),
    "aurora_rule_faults_total": Row(
        "counter",
        "What a rule did that it should not: raised, late, blocked, silenced (log lines), floods (of findings).",
        ("rule", "fault"),
    ),
    "aurora_loop_lag_seconds": Row("histogram", "How late a timer of the event loop rang; one sample a second."),
    "aurora_loop_lag_max_seconds": Row("gauge", "The longest of these in the last minute."),
    "aurora_disk_size_bytes": Row("gauge", "Size of the file system that holds the journal."),
    "aurora_disk_free_bytes": Row("gauge", "What of it the gateway may still use."),
    "aurora_disk_full_seconds": Row(
        "gauge", "When it is full, if it goes on as in the last day; absent while it is not filling, or not known."
    ),
    "aurora_process_disk_written_bytes_total": Row(
        "counter", "Bytes that this process had written to block devices."
    ),
    "aurora_disk_device_written_bytes_total": Row(
        "counter",
        "Bytes written by everybody to the journal's device since the machine was started.",
        ("device",),
    ),
    "aurora_disk_card_written_bytes": Row(
        "gauge", "Bytes written to this very card since the gateway first saw it, over restarts.", ("device",)
    ),
    "aurora_disk_life_used_ratio": Row(
        "gauge",
        "eMMC only: part of its life that an area has used, by its own word.",
        ("device", "area"),
    ),
    "aurora_disk_life_left_seconds": Row(
        "gauge",
        "Life left of a card whose endurance is stated, for a guess of its internal write amplification.",
        ("device", "amplification"),
    ),
    "aurora_log_lines_total": Row("counter", "Log lines written, by level.", ("level",)),
    "aurora_log_suppressed_lines_total": Row("counter", "Log lines left out because they came in floods."),
    "aurora_log_lost_lines_total": Row("counter", "Log lines that the system's journal did not take."),
    "aurora_station_restarts_total": Row("counter", "Unexpected ends of a station's task.", ("station",)),
    "aurora_site_changes_total": Row(
        "counter", "Changes of the site file while it runs, by what became of them.", ("outcome",)
    ),
    "aurora_events_dropped_total": Row("counter", "Events that could not be stored."),
    "aurora_box_check": Row(
        "gauge", "State of a check of the machine: 0 good, 1 care, 2 bad; absent while unknown.", ("check",)
    ),
}

STREAMS: tuple[Stream, ...] = ("scan", "event")
Labels = tuple[str, ...]
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
