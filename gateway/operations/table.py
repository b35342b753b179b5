"""All metrics that there are; docs/metrics.md is checked against this table, and the page can write no other."""

from gateway.operations.exposition import Row

__all__ = ["TABLE"]

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
