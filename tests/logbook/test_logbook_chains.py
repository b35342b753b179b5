"""Nothing is edited, only superseded: chains are followed, the newest counts, all stay readable."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from logbook_tools import BOOT, CERTIFICATE, LAYOUT, MORNING, REFERENCE, SITE, Desk

from gateway.errors import RecordError, StorageError
from gateway.logbook.book import Logbook
from gateway.model import Event

SLOW_MACHINE = [HealthCheck.too_slow]
"""Other jobs on the machine are no fault of a test."""


class TestSuperseding:
    def test_what_is_not_given_is_taken_over(self) -> None:
        desk = Desk()
        old = desk.make("note", text="Seal worn", point="room", lot="L1")
        new = desk.supersede(old.id, text="Seal torn")
        assert (new.data["text"], new.data["point"], new.data["lot"]) == ("Seal torn", "room", "L1")
        assert (new.data["person"], new.data["reason"], new.data["supersedes"]) == ("Bo", "mistyped", old.id)
        assert old.data["text"] == "Seal worn", "the old one stays as it was"

    def test_it_is_about_the_same_moment_unless_it_states_one(self) -> None:
        desk = Desk()
        old = desk.make("note", text="x")
        again = desk.supersede(old.id)
        stated = desk.supersede(again.id, done="2026-11-24T04:00Z")
        after = desk.supersede(stated.id)
        assert desk.book.when(again).utc_ms == MORNING
        assert desk.book.when(stated).utc_ms == desk.book.when(after).utc_ms == MORNING - 7_200_000
        assert desk.book.recorded(after).utc_ms == MORNING + 180_000

    def test_chains_are_followed(self) -> None:
        desk = Desk()
        first = desk.make("note", text="a")
        second = desk.supersede(first.id, text="b")
        third = desk.supersede(second.id, text="c")
        for entry in (first, second, third):
            assert desk.book.newest(entry.id) == third
            assert desk.book.chain(entry.id) == [first, second, third]
        assert [desk.book.holds(entry) for entry in (first, second, third)] == [False, False, True]
        assert desk.book.entries() == [first, second, third]

    def test_a_new_record_may_name_the_one_of_its_kind_that_it_supersedes(self) -> None:
        desk = Desk()
        old = desk.make("note", text="a")
        new = desk.make("note", text="b", supersedes=old.id, reason="better words")
        assert desk.book.newest(old.id) == new
        with pytest.raises(RecordError, match=r"is a record.note, not a record.corrective"):
            desk.make("corrective", supersedes=new.id, text="x", deviation="y", product="z", reason="q")

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"supersedes": None}, "supersedes is missing"),
            ({"supersedes": "R9-000000"}, "no record 'R9-000000' here"),
            ({"supersedes": 5}, "not a text"),
            ({"reason": None}, "reason is missing"),
            ({"person": None}, "person is missing"),
            ({"point": "rom"}, "no such point"),
            ({"channel": "cold.temperature"}, "channel is not a field"),
            ({"withdraw": "yes"}, "withdraw is 'yes'"),
            ({"withdraw": True, "text": "x"}, "a withdrawal changes nothing, but text was given"),
        ],
    )
    def test_what_is_refused(self, fields: dict[str, Any], words: str) -> None:
        desk = Desk()
        old = desk.make("note", text="a")
        with pytest.raises(RecordError, match=words):
            desk.supersede(old.id, **fields) if "supersedes" not in fields else desk.book.supersede(
                {"person": "Bo", "reason": "x", **fields}, desk.claim()
            )
        assert desk.book.holds(old)

    def test_a_superseded_record_is_not_superseded_again(self) -> None:
        desk = Desk()
        old = desk.make("note", text="a")
        new = desk.supersede(old.id)
        with pytest.raises(RecordError, match="superseded already") as refused:
            desk.supersede(old.id)
        assert new.id in refused.value.remedy

    def test_a_withdrawal_leaves_nothing_that_holds(self) -> None:
        desk = Desk()
        old = desk.make("calibration", channel="cold.temperature", points=[{"reference": 0.0, "as_left": 0.1}],
                        **REFERENCE, **CERTIFICATE)  # fmt: skip
        gone = desk.supersede(old.id, withdraw=True)
        assert gone.data["certificate"] == "K-1", "what was withdrawn can be read from it"
        assert (desk.book.holds(old), desk.book.holds(gone)) == (False, False)
        assert desk.book.register() == []
        with pytest.raises(RecordError, match="only withdraws"):
            desk.supersede(gone.id)

    def test_a_corrected_verification_is_judged_anew(self) -> None:
        desk = Desk()
        wrong = desk.verify(0.9, text="adjusted")
        right = desk.supersede(wrong.id, points=[{"reference": 0.0, "as_found": 0.1}], text="it was 0.1")
        assert (right.data["as_found_passed"], right.data["review"]) == (True, None)
        assert right.data["tolerance_source"] == "site file", "a tolerance that nobody stated is looked up again"


class TestTheStreamDecides:
    def test_a_branch_that_cannot_be_is_read_as_one_line(self) -> None:
        """Two records in the place of one (a salvaged journal, say): the newest counts, all stay readable."""
        desk = Desk()
        first = desk.make("note", text="a")
        second = desk.supersede(first.id, text="b")
        event, boot, utc_ms = desk.stream[-1]
        data = {**event.data, "record": "R3-aaaaaa", "text": "c"}
        desk.stream.append((replace(event, data=data), boot, utc_ms))
        book = desk.again()
        assert [entry.data["text"] for entry in book.chain(second.id)] == ["a", "b", "c"]
        assert book.newest(first.id).id == "R3-aaaaaa"

    @pytest.mark.parametrize(
        "change",
        [{"record": None}, {"record": "X1"}, {"record": "R-1"}, {"record": "R" + "9" * 20}, {"person": ...}],
    )
    def test_what_is_no_record_is_counted(self, change: dict[str, Any]) -> None:
        desk = Desk()
        desk.make("note", text="a")
        event, boot, utc_ms = desk.stream[0]
        data = {key: value for key, value in (event.data | change).items() if value is not ...}
        desk.stream.append((replace(event, data=data), boot, utc_ms))
        book = desk.again()
        assert (len(book), book.unreadable) == (1, 1)

    def test_records_without_a_time_get_the_one_that_a_later_correction_gives(self) -> None:
        desk = Desk(known=False)
        entry = desk.make("note", text="a")
        assert desk.book.when(entry).utc_ms is None
        correction = Event("clock.correction", 5_000_000, {"boot": BOOT, "offset_ms": 1_000, "error_ms": 1})
        desk.stream.append((correction, BOOT, None))
        assert desk.again().when(entry).utc_ms == 3_601_000


class TestMemory:
    def filled(self) -> Desk:
        desk = Desk()
        desk.lot("in", quantity=10, unit="KGM")
        desk.lot("out", quantity=4, unit="KGM")
        desk.lot("in", lot="gone")
        desk.lot("out", lot="gone")
        failed = desk.verify(0.9, text="adjusted")
        desk.supersede(failed.id, text="adjusted at once")
        desk.verify(0.2)
        desk.make("note", text="n")
        return desk

    def test_it_holds_what_still_matters(self) -> None:
        """As if retention had taken the whole event stream."""
        desk = self.filled()
        book = Logbook(SITE, LAYOUT, desk.book.memory())
        assert book.open_lots() == desk.book.open_lots()
        assert [row["last_good"] for row in book.register()] == [row["last_good"] for row in desk.book.register()]
        assert len(book) == 3
        claim = desk.claim()
        assert book.make("record.note", {"person": "A", "text": "x"}, claim).data["record"].startswith("R9-")

    def test_with_the_stream_it_changes_nothing(self) -> None:
        desk = self.filled()
        with_memory, without = desk.again(desk.book.memory()), desk.again()
        assert with_memory.entries() == without.entries()
        assert with_memory.register() == without.register()

    @pytest.mark.parametrize(
        "memory",
        [b"", b"{", b"[]", b"{}", b'{"version": 2}', b'{"version": 1, "last": 1, "entries": [{}]}', b"\xff",
         b'{"version": 1, "last": "x", "entries": []}',
         b'{"version": 1, "last": 1, "entries": [{"kind": "record.note", "at": ["00", 1, 1], "when": ["00", 1, 1], '
         b'"place": 1, "data": {"record": "R1-1"}}]}',
         b'{"version": 1, "last": 1, "entries": [{"kind": "poem", "at": ["00", 1, 1], "when": ["00", 1, 1], '
         b'"place": 1, "data": {"record": "R1-1"}}]}',
         b'{"version": 1, "last": 1, "entries": [{"kind": "record.note", "at": ["0", 1], "data": {}}]}'],
    )  # fmt: skip
    def test_a_memory_that_is_none_of_ours(self, memory: bytes) -> None:
        with pytest.raises(StorageError, match="logbook"):
            Logbook(SITE, LAYOUT, memory)

    def test_it_is_plain_json(self) -> None:
        assert json.loads(self.filled().book.memory())["version"] == 1


class Chains(RuleBasedStateMachine):
    """Any sequence of records, corrections and withdrawals, against a plain list of versions."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk()
        self.versions: dict[str, list[str]] = {}
        """First record of each chain to the texts of its versions, None at the end when withdrawn."""
        self.first_of: dict[str, str] = {}

    records: Bundle[str] = Bundle("records")

    @rule(target=records, text=st.text("abc", min_size=1, max_size=3))
    def note(self, text: str) -> str:
        entry = self.desk.make("note", text=text)
        self.versions[entry.id] = [text]
        self.first_of[entry.id] = entry.id
        return entry.id

    @rule(target=records, old=records, text=st.text("abc", min_size=1, max_size=3), withdraw=st.booleans())
    def supersede(self, old: str, text: str, withdraw: bool) -> str:
        first = self.first_of[old]
        ended = self.desk.book.newest(first).withdrawn
        fields: dict[str, Any] = {"withdraw": True} if withdraw else {"text": text}
        if self.desk.book.newest(old).id != old or ended:
            with pytest.raises(RecordError):
                self.desk.supersede(old, **fields)
            return old
        entry = self.desk.supersede(old, **fields)
        self.versions[first].append("(withdrawn)" if withdraw else text)
        self.first_of[entry.id] = first
        return entry.id

    @invariant()
    def chains_are_as_recorded(self) -> None:
        for book in (self.desk.book, self.desk.again(), self.desk.again(self.desk.book.memory())):
            for first, texts in self.versions.items():
                chain = book.chain(first)
                found = ["(withdrawn)" if entry.withdrawn else entry.data["text"] for entry in chain]
                assert found == texts
                assert [book.holds(entry) for entry in chain[:-1]] == [False] * (len(chain) - 1)
                assert book.holds(chain[-1]) is (texts[-1] != "(withdrawn)")


TestChains = Chains.TestCase
TestChains.settings = settings(
    max_examples=25, stateful_step_count=15, deadline=None, suppress_health_check=SLOW_MACHINE
)


@settings(deadline=None, suppress_health_check=SLOW_MACHINE)
@given(st.binary(max_size=80))
def test_any_memory_is_taken_or_refused(memory: bytes) -> None:
    try:
        Logbook(SITE, LAYOUT, memory)
    except StorageError:
        return
    pytest.fail("random bytes are no memory")
