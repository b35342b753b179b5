"""What was read later stands beside the misses: bound to its slots, and never in the place of a scan."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sealing import BOOT, CLOCK, IDENTITY, Gateway, event, fill, lay_out, refused

from gateway.model import Column, Event, Quality
from gateway.records import Archive
from gateway.seal.backfill import BACKFILL, Backfill, Row, backfill_data, read_backfill
from gateway.seal.columns import decode_events, encode_events
from gateway.seal.findings import Report
from gateway.seal.verify import verify_folder

COLUMNS = (Column("temperature", "Cel", 1), Column("temperature", "Cel", 1, "indicated"))


def backfill_of(*slots: int, device: str = "cold-2") -> Backfill:
    """Of the devices of `sealing.LAYOUT`, cold-2 has missed every slot, cold-1 none."""
    phase_ms = 500 if device == "cold-2" else 0
    rows = tuple(Row(slot, slot * 1000 + phase_ms - 100, 2000, (4.5, 4.0), b"\x01") for slot in slots)
    return Backfill(
        device=device,
        source="ruuvi-log",
        period_ms=1000,
        phase_ms=phase_ms,
        columns=COLUMNS,
        rows=rows,
        sha256="00" * 32,
        part=1,
        parts=1,
    )


def verified(folder: Path, gateway: Gateway, *backfills: Backfill) -> Report:
    for backfill in backfills:
        gateway.seal("event", event(BACKFILL, **backfill_data(backfill)))
    return verify_folder(lay_out(folder / "e", gateway))


class TestData:
    def test_what_is_written_is_read(self) -> None:
        backfill = backfill_of(103, 107)
        (stored,) = decode_events(encode_events([Event(BACKFILL, 60_000, backfill_data(backfill))]))
        assert read_backfill(stored.data) == backfill
        assert backfill.slots == [103, 107]

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 500), st.none() | st.floats(-300, 300), st.binary(max_size=40))))
    def test_any_rows(self, rows: list[tuple[int, float | None, bytes]]) -> None:
        made = tuple(Row(slot, slot * 1000 + 500, 0, (value, None), raw) for slot, value, raw in rows[:200])
        backfill = replace(backfill_of(), rows=made)
        (stored,) = decode_events(encode_events([Event(BACKFILL, 60_000, backfill_data(backfill))]))
        assert read_backfill(stored.data) == backfill

    @pytest.mark.parametrize(
        "change",
        [
            {"rows": [[103, 200_000, 2000, [4.5, 4.0], b""]]},  # of another slot
            {"rows": [[103, 103_400, 2000, [4.5], b""]]},  # not a value for each column
            {"rows": [[103, 103_400, -1, [4.5, 4.0], b""]]},
            {"rows": [[103, 103_400, 2000, ["4.5", 4.0], b""]]},
            {"rows": [[103, 103_400, 2000, [True, 4.0], b""]]},
            {"rows": [[103, 103_400, 2000, [float("nan"), 4.0], b""]]},
            {"rows": [[103, 103_400, 2000, [4.5, 4.0], b""]] * 201},
            {"columns": [["temperature", "Cel", 1, 2], ["temperature", "Cel", 1, 1]]},
            {"period_ms": 0},
            {"part": 2},
            {"device": None},
        ],
    )
    def test_what_is_no_backfill_is_refused(self, change: dict[str, Any]) -> None:
        data = backfill_data(backfill_of(103)) | change
        assert refused(lambda: read_backfill(data)) == "bad-event"


class TestVerification:
    def test_misses_may_be_filled(self, tmp_path: Path, gateway: Gateway) -> None:
        report = verified(tmp_path, fill(gateway), backfill_of(103, 107), backfill_of(107, 120))
        assert report.ok
        assert report.findings == []
        assert {stream.stream.rpartition(":")[2]: stream.backfilled for stream in report.streams} == {
            "event": 0,
            "scan": 3,
        }

    def test_a_slot_that_has_a_scan_may_not(self, tmp_path: Path, gateway: Gateway) -> None:
        report = verified(tmp_path, fill(gateway), backfill_of(103, device="cold-1"))
        assert not report.ok
        (finding,) = report.findings
        assert (finding.kind, finding.stream) == ("backfill-overlap", f"{IDENTITY.urn}:scan")
        assert "cold-1: slot 103 was recorded when it was due" in finding.what

    def test_batches_that_are_not_here_are_another_finding(self, tmp_path: Path, gateway: Gateway) -> None:
        assert verified(tmp_path, fill(gateway), backfill_of(9000)).findings == []

    def test_one_that_cannot_be_read_is_named(self, tmp_path: Path, gateway: Gateway) -> None:
        fill(gateway).seal("event", event(BACKFILL, device="cold-2"))
        report = verify_folder(lay_out(tmp_path / "e", gateway))
        assert [finding.kind for finding in report.findings] == ["bad-payload"]


def test_readings_say_that_they_were_read_later(gateway: Gateway) -> None:
    fill(gateway)
    batch = gateway.seal("event", event(BACKFILL, **backfill_data(backfill_of(103))))
    archive = Archive()
    list(archive.add_events(one.body for one in gateway.streams["event"]))
    found = list(archive.backfilled())
    assert [(r.channel, r.role, r.value, r.quality) for r in found] == [
        ("temperature", "value", 4.5, Quality.BACKFILLED),
        ("temperature", "indicated", 4.0, Quality.BACKFILLED),
    ]
    first = found[0]
    assert (first.device, first.slot, first.boot, first.batch) == ("cold-2", 103, BOOT, batch.seq)
    assert CLOCK.utc_ms is not None
    assert first.utc_ms == CLOCK.utc_ms - CLOCK.boot_ms + 103_400
    assert first.error_ms == 12 + 2000
