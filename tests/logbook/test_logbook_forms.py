"""Each kind of record: what must be in it, what it says, and how a bad one is refused."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from logbook_tools import CERTIFICATE, MORNING, REFERENCE, Desk

from gateway.errors import RecordError
from gateway.logbook.entry import KINDS
from gateway.logbook.forms import INPUTS
from gateway.seal.columns import decode_events, encode_events

SLOW_MACHINE = [HealthCheck.too_slow]
"""Other jobs on the machine are no fault of a test."""

GOOD: dict[str, dict[str, Any]] = {
    "note": {"text": "Door seal worn", "point": "room"},
    "corrective": {"text": "Moved to room 2", "deviation": "7 C for 3 h", "product": "held", "lots": ["L1"]},
    "calibration": {
        "channel": "cold.temperature",
        "points": [{"reference": 0.0, "as_found": 0.2, "as_left": 0.1}],
        **REFERENCE,
        **CERTIFICATE,
    },
    "verification": {"channel": "cold.temperature", "points": [{"reference": 0.0, "as_found": 0.2}], **REFERENCE},
    "lot": {"lot": "L1", "direction": "in", "point": "room", "quantity": 500, "unit": "KGM"},
}


class TestAll:
    @pytest.mark.parametrize("kind", GOOD)
    def test_a_good_record_is_an_event_that_can_be_sealed(self, kind: str) -> None:
        desk = Desk()
        event = desk.book.make(f"record.{kind}", {"do": "x", "person": "Ana", **GOOD[kind]}, desk.claim())
        assert event.kind in KINDS
        assert event.at_ms == desk.now_ms
        (back,) = decode_events(encode_events([event]))
        assert back == event
        assert event.data["record"].startswith("R1-")
        assert (event.data["person"], event.data["supersedes"], event.data["withdrawn"]) == ("Ana", None, False)

    @pytest.mark.parametrize("kind", GOOD)
    def test_all_records_of_a_kind_have_the_same_keys(self, kind: str) -> None:
        desk = Desk()
        full = desk.make(kind, **GOOD[kind], done="2026-11-24T05:00Z", source="page").data
        least = Desk().make(kind, **GOOD[kind]).data
        assert full.keys() == least.keys()

    @pytest.mark.parametrize("kind", GOOD)
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"person": None}, "person is missing"),
            ({"person": "  "}, "person is blank"),
            ({"person": 7}, "person is 7, not a text"),
            ({"person": "x" * 101}, "person has 101 characters"),
            ({"person": "A\x00na"}, r"person holds U\+0000"),
            ({"person": "Ana\nBo"}, r"person holds U\+000A"),
            ({"person": "A\u202ena"}, r"person holds U\+202E"),
            ({"person": "A\ud800"}, r"person holds U\+D800"),
            ({"text": "x" * 4001}, "text has 4001 characters"),
            ({"text": ["x"]}, "text is"),
            ({"done": "2026-11-24T14:05"}, "done is .* not a moment"),
            ({"done": "yesterday"}, "done is .* not a moment"),
            ({"done": "2026-11-24T23:05Z"}, "done lies in the future"),
            ({"done": "1066-10-14T09:00Z"}, "done lies before"),
            ({"done": 5}, "done is 5"),
            ({"source": "fax"}, "source is 'fax'"),
            ({"pints": 4}, "pints is not a field"),
        ],
    )
    def test_what_all_kinds_refuse(self, kind: str, change: dict[str, Any], words: str) -> None:
        with pytest.raises(RecordError, match=words) as refused:
            Desk().make(kind, **{**GOOD[kind], **change})
        assert refused.value.remedy

    def test_an_unknown_kind(self) -> None:
        desk = Desk()
        with pytest.raises(RecordError, match="no kind of record"):
            desk.book.make("record.poem", {"person": "Ana"}, desk.claim())

    def test_texts_keep_their_language(self) -> None:
        data = (
            Desk()
            .make("note", text="Te\u0301mperature \u2265 5 \u00b0C\nvu par \u0141ucja", person="Zo\u0065\u0308")
            .data
        )
        assert data["text"] == "T\u00e9mperature \u2265 5 \u00b0C\nvu par \u0141ucja", "Unicode normal form C"
        assert data["person"] == "Zo\u00eb"

    def test_when_it_was_done_can_be_stated(self) -> None:
        desk = Desk()
        entry = desk.make("note", text="x", done="2026-11-24T06:00+01:00")
        assert entry.data["done_ms"] == MORNING - 3_600_000
        assert desk.book.when(entry).utc_ms == MORNING - 3_600_000
        assert desk.book.recorded(entry).utc_ms == MORNING

    def test_ids_differ_although_the_count_begins_anew(self) -> None:
        first, second = Desk(), Desk(boot=b"boot-of-tuesday.")
        assert first.make("note", text="x").id != second.make("note", text="x").id


class TestNotesAndActions:
    @pytest.mark.parametrize(
        ("kind", "change", "words"),
        [
            ("note", {"text": None}, "text is missing"),
            ("note", {"point": "rom"}, "no such point.*did you mean 'room'"),
            ("note", {"device": "warm"}, "no such device"),
            ("corrective", {"text": ""}, "text is missing.*done about it"),
            ("corrective", {"deviation": None}, "deviation is missing"),
            ("corrective", {"product": None}, "product is missing.*food"),
            ("corrective", {"lots": "L1"}, "lots is not a list"),
            ("corrective", {"lots": [""]}, "lot is missing"),
            ("corrective", {"lots": ["L"] * 101}, "too long"),
        ],
    )
    def test_what_is_refused(self, kind: str, change: dict[str, Any], words: str) -> None:
        with pytest.raises(RecordError, match=words):
            Desk().make(kind, **{**GOOD[kind], **change})


class TestComparisons:
    def test_the_error_is_what_was_shown_minus_the_reference(self) -> None:
        points = [
            {"reference": -18.0, "as_found": -17.7, "as_left": -18.1},
            {"reference": 4.0, "as_found": 3.6, "as_left": 4.0},
        ]
        data = Desk().make("calibration", **{**GOOD["calibration"], "points": points}).data
        assert (data["as_found_error"], data["as_found_passed"]) == (-0.4, True)
        assert (data["as_left_error"], data["as_left_passed"]) == (-0.1, True)
        assert (data["tolerance"], data["tolerance_source"], data["unit"]) == (0.5, "site file", "degC")
        assert data["review"] is None

    @pytest.mark.parametrize(
        ("found", "passed"), [(0.5, True), (-0.5, True), (0.51, False), (-0.6, False), (0.1 + 0.2 + 0.2, True)]
    )
    def test_the_limit_itself_is_within(self, found: float, passed: bool) -> None:
        assert Desk().verify(found, text="adjusted").data["as_found_passed"] is passed

    def test_tolerances_by_record_site_file_or_standard(self) -> None:
        stated = Desk().verify(0.5, tolerance=0.4, text="adjusted").data
        assert (stated["as_found_passed"], stated["tolerance_source"]) == (False, "stated in this record")
        fields = {**GOOD["verification"], "channel": "cold.humidity"}
        with pytest.raises(RecordError, match=r"tolerance is missing.*%RH"):
            Desk().make("verification", **fields)
        assert Desk().make("verification", **fields, tolerance=3.0).data["as_found_passed"] is True

    def test_a_temperature_that_no_point_uses_has_the_standard_s_tolerance(self) -> None:
        desk = Desk()
        desk.book.place.tolerances.pop("cold.temperature")  # type: ignore[attr-defined]
        assert desk.verify(0.9).data["tolerance_source"] == "EN 12830:1999 4.9.2.1 class 1"

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"channel": None}, "channel is missing"),
            ({"channel": "cold.temprature"}, "did you mean 'cold.temperature'"),
            ({"points": []}, "points is empty"),
            ({"points": 5}, "points is not a list"),
            ({"points": [5]}, "number 1 no set of readings"),
            ({"points": [{"reference": 1.0}]}, "number 1 no reading"),
            ({"points": [{"as_found": 1.0}]}, r"points\[1\].reference is missing"),
            ({"points": [{"reference": "0", "as_found": 1.0}]}, r"points\[1\].reference is '0', not a number"),
            ({"points": [{"reference": 0.0, "as_found": True}]}, "not a number"),
            ({"points": [{"reference": 0.0, "as_found": float("nan")}]}, "as_found is nan"),
            ({"points": [{"reference": 0.0, "as_found": 1e300}]}, "as_found is 1e"),
            ({"points": [{"reference": 0.0, "found": 1.0}]}, r"points\[1\].found is not a field"),
            ({"reference_instrument": None}, "reference_instrument is missing"),
            ({"reference_certificate": None}, "reference_certificate is missing"),
            ({"reference_valid_until": None}, "reference_valid_until is missing"),
            ({"reference_valid_until": "1 May"}, "not a day"),
            ({"reference_valid_until": "2026-02-30"}, "not a day"),
            ({"reference_valid_until": "2026-11-23"}, "reference's own certificate had expired"),
            ({"tolerance": -1}, "tolerance is -1"),
            ({"uncertainty": -0.1}, "uncertainty is -0.1"),
        ],
    )
    @pytest.mark.parametrize("kind", ["calibration", "verification"])
    def test_what_is_refused(self, kind: str, change: dict[str, Any], words: str) -> None:
        with pytest.raises(RecordError, match=words):
            Desk().make(kind, **{**GOOD[kind], **change})

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"certificate": None}, "certificate is missing"),
            ({"valid_until": None}, "valid_until is missing"),
            ({"valid_until": "2026-11-23"}, "which is past"),
        ],
    )
    def test_a_calibration_without_a_certificate_that_holds(self, change: dict[str, Any], words: str) -> None:
        with pytest.raises(RecordError, match=words):
            Desk().make("calibration", **{**GOOD["calibration"], **change})

    def test_an_earlier_calibration_is_judged_by_its_own_day(self) -> None:
        late = {**GOOD["calibration"], "valid_until": "2026-11-20", "reference_valid_until": "2026-06-01"}
        assert Desk().make("calibration", **late, done="2025-11-20T12:00Z").data["valid_until"] == "2026-11-20"

    def test_without_a_date_nothing_is_judged_by_one(self) -> None:
        old = {**GOOD["verification"], "reference_valid_until": "2001-01-01"}
        assert Desk(known=False).make("verification", **old).data["reference_valid_until"] == "2001-01-01"


class TestAsFoundFailures:
    def test_it_asks_what_was_done(self) -> None:
        with pytest.raises(RecordError, match=r"error as found is 0.9 degC, beyond 0.5"):
            Desk().verify(0.9)

    def test_everything_is_to_be_reviewed_without_an_earlier_good_one(self) -> None:
        review = Desk().verify(0.9, 0.1, text="adjusted").data["review"]
        assert (review["from_record"], review["from_ms"], review["to_ms"]) == (None, None, MORNING)
        assert "All values of cold.temperature" in review["words"]

    def test_since_the_last_time_it_was_right(self) -> None:
        desk = Desk()
        desk.verify(0.1)
        good = desk.verify(0.7, 0.2, text="adjusted")
        desk.verify(0.8, 0.6, text="could not be adjusted")
        failed = desk.verify(0.9, 0.1, text="probe replaced")
        review = failed.data["review"]
        assert review["from_record"] == good.id
        assert (review["from_ms"], review["to_ms"]) == (MORNING + 60_000, MORNING + 180_000)

    def test_a_failure_that_is_recorded_late_looks_at_its_own_past(self) -> None:
        desk = Desk()
        desk.verify(0.1)
        failed = desk.verify(0.9, text="adjusted", done="2026-11-24T05:00Z")
        assert failed.data["review"]["from_record"] is None

    def test_a_superseded_good_one_does_not_count(self) -> None:
        desk = Desk()
        good = desk.verify(0.1)
        wrong = desk.verify(0.2)
        desk.supersede(wrong.id, points=[{"reference": 0.0, "as_found": 0.9}], text="it was 0.9; adjusted")
        failed = desk.verify(0.8, text="adjusted")
        assert failed.data["review"]["from_record"] == good.id


class TestLots:
    def test_a_scanned_code_fills_the_record(self) -> None:
        data = (
            Desk()
            .make("lot", direction="in", point="room", source="scanner", code="]C10109506000134352310200012310ABC")
            .data
        )
        assert (data["gtin"], data["lot"], data["quantity"], data["unit"]) == ("09506000134352", "ABC", 1.23, "KGM")
        assert data["code"] == "(01)09506000134352(3102)000123(10)ABC"
        assert data["elements"] == {"01": "09506000134352", "3102": "000123", "10": "ABC"}

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"lot": None}, "lot is missing"),
            ({"direction": None}, "direction is missing"),
            ({"direction": "up"}, "direction is 'up'"),
            ({"point": None}, "point is missing"),
            ({"point": "cold"}, "no such point"),
            ({"gtin": "09506000134353"}, r"gtin: .* check digit 3, 2 is right"),
            ({"sscc": "12"}, "sscc: .* 2 characters"),
            ({"quantity": 0}, "quantity is 0"),
            ({"quantity": -1}, "quantity is -1"),
            ({"unit": None}, "quantity and unit belong together"),
            ({"quantity": None}, "quantity and unit belong together"),
            ({"code": "]C10109506000134353"}, "code: .*check digit"),
            ({"code": "]C1010950600013435210B"}, "lot is 'L1', and the code says 'B'"),
            ({"code": 5}, "code is 5"),
        ],
    )
    def test_what_is_refused(self, change: dict[str, Any], words: str) -> None:
        with pytest.raises(RecordError, match=words):
            Desk().make("lot", **{**GOOD["lot"], **change})

    def test_a_code_without_a_lot_is_never_a_guessed_lot(self) -> None:
        with pytest.raises(RecordError, match=r"the code \(01\)09506000134352 names no lot"):
            Desk().make("lot", direction="in", point="room", code="9506000134352")


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["room", "L1", "in"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)
NAMES = sorted({name for fields in INPUTS.values() for name in fields} | {"person", "text", "done", "source", "x"})


@settings(max_examples=300, deadline=None, suppress_health_check=SLOW_MACHINE)
@given(st.sampled_from(sorted(GOOD)), st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4), st.booleans())
def test_whatever_is_asked_is_a_sound_event_or_a_refusal(kind: str, change: dict[str, Any], again: bool) -> None:
    desk = Desk()
    request = {**GOOD[kind], **change}
    try:
        entry = desk.make(kind, **request)
        if again:
            entry = desk.supersede(entry.id, **change)
    except RecordError:
        return
    event = desk.stream[-1][0]
    assert decode_events(encode_events([event])) == [event]
    assert desk.again(desk.book.memory()).get(entry.id) == entry
