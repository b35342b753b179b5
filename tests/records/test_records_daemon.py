"""Records by way of the running gateway: control socket, signed event stream, lists; kill -9 loses none of them."""

import asyncio
import csv
import io
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from records_tools import Kept, recording, site_of

from gateway.buffer.reader import Reader
from gateway.control import Control, ControlError, ask
from gateway.errors import StorageError
from gateway.logbook.book import Logbook
from gateway.model import ClockClaim, ClockState, Event, Layout
from gateway.recordkeeping.events import COLUMNS, open_logbook, recorded_events, rows, write_csv, write_json
from gateway.recordkeeping.keeping import SETTINGS, RecordKeeping, owner_of
from gateway.recordkeeping.requests import RecordControl

TOOLS = Path(__file__).parent / "records_tools.py"
VERIFICATION = {
    "do": "record.verification",
    "person": "Ana",
    "channel": "a.temperature",
    "points": [{"reference": 4.0, "as_found": 4.2}],
    "reference_instrument": "Testo 110, 1234",
    "reference_certificate": "D-77",
    "reference_valid_until": "2099-05-01",
}
LOT = {"do": "record.lot", "person": "Ana", "direction": "in", "point": "room", "lot": "L1"}


@contextmanager
def daemon(folder: Path, port: int, *more: str) -> Iterator["subprocess.Popen[str]"]:
    """A gateway in a process of its own, that takes requests."""
    words = [sys.executable, str(TOOLS), str(folder), str(port), *more]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"ready": True}
        try:
            yield process
        finally:
            process.kill()


def listed(folder: Path) -> list[dict[str, Any]]:
    with closing(Reader(folder / "journal.db")) as journal:
        return rows(recorded_events(journal))


def put(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    return ask(folder, request, timeout_s=20.0)


class TestKill:
    def test_every_answered_record_is_there_after_kill_9(self, tmp_path: Path, unused_tcp_port: int) -> None:
        with daemon(tmp_path, unused_tcp_port) as process:
            first = put(tmp_path, LOT)
            verified = put(tmp_path, VERIFICATION)
            note = put(
                tmp_path, {"do": "record.note", "person": "Bo", "text": "Seal worn \u2265 2 mm", "point": "room"}
            )
            assert [answer["stored"] for answer in (first, verified, note)] == [True, True, True]
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        kinds = [row["kind"] for row in listed(tmp_path)]
        assert kinds == ["config.changed", "record.lot", "record.verification", "record.note"]

        with daemon(tmp_path, unused_tcp_port) as process:
            with pytest.raises(ControlError, match="is in room already"):
                put(tmp_path, LOT)
            out = put(tmp_path, {**LOT, "direction": "out"})
            newer = put(
                tmp_path,
                {"do": "record.supersede", "supersedes": note["record"], "person": "Bo", "reason": "typo",
                 "text": "Seal torn"},
            )  # fmt: skip
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        assert out["record"].startswith("R4-")
        found = {row["record"]: row for row in listed(tmp_path) if row["kind"] != "config.changed"}
        assert list(found) == [a["record"] for a in (first, verified, note, out, newer)]
        assert found[note["record"]]["superseded_by"] == newer["record"]
        assert (found[note["record"]]["holds"], found[newer["record"]]["holds"]) == (False, True)
        assert found[newer["record"]]["happened_utc"] == found[note["record"]]["happened_utc"]
        assert found[note["record"]]["text"] == "Seal worn \u2265 2 mm"
        assert sum(row["kind"] == "config.changed" for row in listed(tmp_path)) == 1, "nothing changed in between"

    def test_without_its_memory_the_logbook_is_the_same(self, tmp_path: Path, unused_tcp_port: int) -> None:
        with daemon(tmp_path, unused_tcp_port):
            put(tmp_path, LOT)
            put(tmp_path, VERIFICATION)
        site, empty = site_of(tmp_path, unused_tcp_port), Layout(())
        kept = Kept(tmp_path).kept()
        with_memory = open_logbook(site, empty, tmp_path / "journal.db", kept["logbook"])
        without = open_logbook(site, empty, tmp_path / "journal.db")
        assert with_memory.entries() == without.entries()
        assert with_memory.open_lots() == without.open_lots()
        assert len(without.open_lots()) == 1
        nowhere = open_logbook(site, empty, tmp_path / "nowhere.db", kept["logbook"])
        assert nowhere.open_lots() == without.open_lots()

    def test_settings_are_known_from_the_stream_alone(self, tmp_path: Path, unused_tcp_port: int) -> None:
        """A memory that is lost or that was kept too late makes no change appear twice, and hides none."""
        for more in ((), (), ("0.3",), ("0.3",), ()):
            with daemon(tmp_path, unused_tcp_port, *more) as process:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
            for memory in tmp_path.glob("*.memory"):
                memory.unlink()
        changes = [row["data"]["changes"] for row in listed(tmp_path)]
        path = "point[room].tolerance"
        assert changes[1:] == [
            [{"path": path, "old": None, "new": 0.3}],
            [{"path": path, "old": 0.3, "new": None}],
        ]
        assert len({row["record"] for row in listed(tmp_path)}) == 3

    def test_a_changed_tolerance_is_on_record_with_old_and_new_value(
        self, tmp_path: Path, unused_tcp_port: int
    ) -> None:
        for more in ((), ("0.3",), ("0.3",), ("0.2",)):
            with daemon(tmp_path, unused_tcp_port, *more) as process:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
        changed = [row["data"] for row in listed(tmp_path)]
        assert [data["first"] for data in changed] == [True, False, False]
        path = "point[room].tolerance"
        assert [data["changes"] for data in changed[1:]] == [
            [{"path": path, "old": None, "new": 0.3}],
            [{"path": path, "old": 0.3, "new": 0.2}],
        ]
        assert changed[2]["previous_digest"] == changed[1]["digest"]


class TestControl:
    async def test_requests_at_the_same_time_are_made_one_after_the_other(
        self, tmp_path: Path, unused_tcp_port: int
    ) -> None:
        async with recording(site_of(tmp_path, unused_tcp_port)) as desk:
            notes = ({"do": "record.note", "person": "A", "text": str(number)} for number in range(8))
            answers = await asyncio.gather(
                *(asyncio.to_thread(ask, tmp_path, request, timeout_s=20.0) for request in notes),
                *(asyncio.to_thread(ask, tmp_path, LOT, timeout_s=20.0) for _ in range(3)),
                return_exceptions=True,
            )
            refused = [answer for answer in answers if isinstance(answer, BaseException)]
            assert len(refused) == 2, "the lot is in the room once"
            assert desk.keeping.book is not None
            assert len({entry.id for entry in desk.keeping.book.entries()}) == 9
        assert len(listed(tmp_path)) == 10

    async def test_refusals_have_words_and_remedy(self, tmp_path: Path, unused_tcp_port: int) -> None:
        async with recording(site_of(tmp_path, unused_tcp_port)):
            for request, words in (
                ({"do": "record.note", "text": "x"}, "person is missing"),
                ({**LOT, "point": "rom"}, "no such point"),
                ({"do": "record.supersede", "supersedes": "R9-1", "person": "A", "reason": "x"}, "no record"),
                ({**VERIFICATION, "points": [{"reference": 0.0, "as_found": 9.0}]}, "beyond 1"),
                ({"do": "record.poem"}, "nothing that this gateway can do"),
            ):
                with pytest.raises(ControlError, match=words) as refused:
                    await asyncio.to_thread(ask, tmp_path, request, timeout_s=20.0)
                assert refused.value.remedy

    async def test_a_record_that_waits_for_the_disk_says_so(self, tmp_path: Path) -> None:
        waiting: list[Event] = []

        async def store(event: Event) -> bool:
            waiting.append(event)
            return False

        claim = ClockClaim(b"b" * 16, 5, None, None, ClockState.UNTRUSTED)
        site = site_of(tmp_path, 1)
        control = RecordControl(Logbook(site, Layout(())), store, lambda: claim)
        answer = await control.record("record.note", {"person": "A", "text": "x"})
        assert (answer["stored"], answer["utc_ms"]) == (False, None)
        assert waiting[0].data == answer["data"]
        again = await control.record(
            "record.supersede", {"supersedes": answer["record"], "person": "A", "reason": "y"}
        )
        assert again["record"] != answer["record"]

    async def test_a_store_that_is_closed_refuses_and_nothing_is_remembered(self, tmp_path: Path) -> None:
        async def store(_: Event) -> bool:
            raise StorageError("the journal is closed")

        claim = ClockClaim(b"b" * 16, 5, None, None, ClockState.UNTRUSTED)
        control = RecordControl(Logbook(site_of(tmp_path, 1), Layout(())), store, lambda: claim)
        with pytest.raises(StorageError, match="closed"):
            await control.record("record.note", {"person": "A", "text": "x"})
        assert len(control.book) == 0


class TestStart:
    def keeping(self, folder: Path) -> tuple[RecordKeeping, list[Event], dict[str, bytes]]:
        events: list[Event] = []
        kept: dict[str, bytes] = {}

        async def store(event: Event) -> bool:
            events.append(event)
            return True

        claim = ClockClaim(b"b" * 16, 5, None, None, ClockState.UNTRUSTED)
        site = site_of(folder, 1)
        return (
            RecordKeeping(site, Layout(()), store=store, clock=lambda: claim, keep=kept.__setitem__),
            events,
            kept,
        )

    async def test_settings_are_kept_together_with_the_last_event_of_their_change(self, tmp_path: Path) -> None:
        order: list[str] = []

        async def store(event: Event) -> bool:
            order.append(event.kind)
            await asyncio.sleep(0)
            return True

        points = tuple(replace(site_of(tmp_path, 1).points[0], id=f"p{number}") for number in range(200))
        site = replace(site_of(tmp_path, 1), points=points)
        claim = ClockClaim(b"b" * 16, 5, None, None, ClockState.UNTRUSTED)
        keeping = RecordKeeping(
            site, Layout(()), store=store, clock=lambda: claim, keep=lambda name, _: order.append(name)
        )
        await keeping.open(Control(tmp_path), {})
        *before, kept, last = order
        assert len(before) >= 2
        assert {*before, last} == {"config.changed"}
        assert kept == SETTINGS

    async def test_damaged_memories_are_left_aside(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        keeping, events, _ = self.keeping(tmp_path)
        with caplog.at_level(logging.WARNING):
            await keeping.open(Control(tmp_path), {"settings": b"{", "logbook": b"{"}, person="A\x07na")
        assert [event.data["first"] for event in events] == [True]
        assert keeping.book is not None
        assert "memory of the settings" in caplog.text
        assert "memory of the logbook" in caplog.text
        assert "who changed the site file is not recorded" in caplog.text

    async def test_the_owner_of_the_file_is_a_hint(self, tmp_path: Path) -> None:
        assert owner_of(tmp_path / "site.toml") is None
        (tmp_path / "site.toml").write_text("")
        assert owner_of(tmp_path / "site.toml")
        keeping, events, _ = self.keeping(tmp_path)
        await keeping.open(Control(tmp_path), {})
        assert events[0].data["owner"] == owner_of(tmp_path / "site.toml")
        assert events[0].data["person_is"] == "not known"

    async def test_a_clock_correction_dates_earlier_records(self, tmp_path: Path) -> None:
        keeping, _, _ = self.keeping(tmp_path)
        claim = ClockClaim(b"b" * 16, 9, None, None, ClockState.UNTRUSTED)
        keeping.hear(Event("clock.correction", 9, {"boot": b"b" * 16, "offset_ms": 100, "error_ms": 1}), claim)
        await keeping.open(Control(tmp_path), {})
        assert keeping.book is not None
        keeping.book.take(keeping.book.make("record.note", {"person": "A", "text": "x"}, claim), claim.boot, None)
        (entry,) = keeping.book.entries()
        assert keeping.book.when(entry).utc_ms is None
        keeping.hear(Event("clock.correction", 9, {"boot": b"b" * 16, "offset_ms": 100, "error_ms": 1}), claim)
        assert keeping.book.when(entry).utc_ms == 109


class TestLists:
    @pytest.fixture(scope="class")
    @staticmethod
    def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("listed")
        with daemon(folder, 1):
            put(folder, LOT)
            note = put(folder, {"do": "record.note", "person": "=HYPERLINK()", "text": '+1, "quoted"\nline two'})
            put(folder, {"do": "record.supersede", "supersedes": note["record"], "person": "A", "reason": "r",
                         "withdraw": True})  # fmt: skip
            put(folder, VERIFICATION)
        return folder

    def test_csv_is_complete_and_the_same_each_time(self, folder: Path) -> None:
        texts = []
        for _ in range(2):
            file = io.StringIO()
            write_csv(file, listed(folder))
            texts.append(file.getvalue())
        assert texts[0] == texts[1]
        found = list(csv.DictReader(io.StringIO(texts[0])))
        assert tuple(found[0]) == COLUMNS
        assert [row["kind"] for row in found] == [
            "config.changed", "record.lot", "record.note", "record.note", "record.verification",
        ]  # fmt: skip
        note = found[2]
        assert note["person"] == "'=HYPERLINK()", "no spreadsheet takes it for a formula"
        assert json.loads(note["data"])["person"] == "=HYPERLINK()", "the record itself is exact"
        assert (note["holds"], found[3]["holds"], found[4]["as_found_passed"]) == ("no", "no", "yes")
        for row, line in zip(listed(folder), found, strict=True):
            assert json.loads(line["data"]) == row["data"]

    def test_json_has_the_same_records(self, folder: Path) -> None:
        file = io.StringIO()
        write_json(file, listed(folder))
        found = json.loads(file.getvalue())
        assert [row["data"] for row in found] == [row["data"] for row in listed(folder)]
        assert found[1]["lot"] == "L1"

    def test_kinds_can_be_chosen(self, folder: Path) -> None:
        with closing(Reader(folder / "journal.db")) as journal:
            assert [row["kind"] for row in rows(recorded_events(journal), ["record.lot"])] == ["record.lot"]
