"""Calibrate: readings beside a reference, as found and as left, from the bus to the signed record."""

import base64
import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onsite_tools import SITE, Bench, bench, until

from gateway.commissioning.photos import LARGEST_PHOTO, keep_photo, photo_file, photo_type
from gateway.commissioning.sessions import Sessions
from gateway.commissioning.steady import Reading, criterion, judge
from gateway.errors import AuroraError

QUICK = SITE.replace("period_s = 1", "period_s = 0.2")
REFERENCE = {
    "reference_instrument": "Testo 110, 1234",
    "reference_certificate": "D-77",
    "reference_valid_until": "2099-05-01",
}
PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
PNG += struct.pack(">I", zlib.crc32(PNG[12:]))
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\0\1\1\0\0\1\0\1\0\0" + b"\xff\xc0\0\x0b\x08\0\1\0\1\1\1\x11\0" + b"\xff\xd9"


async def begin(at: Bench, **more: Any) -> str:
    return str((await at.order("calibrate.begin", channel="room.temperature", **REFERENCE, **more))["id"])


async def take(at: Bench, session: str, reference: float, **more: Any) -> dict[str, Any]:
    return await at.job("calibrate.take", session=session, reference=reference, window_s=1, **more)


def records(at: Bench) -> list[Mapping[str, Any]]:
    book = at.gateway.people.records.book
    return [] if book is None else [entry.data for entry in book.comparisons("room.temperature")]


async def ready(at: Bench) -> None:
    await until(lambda: at.gateway.people is not None and at.gateway.people.records.book is not None)


class TestSteady:
    @given(st.lists(st.floats(-40, 80), min_size=1, max_size=50), st.floats(0.01, 5))
    def test_the_figures_are_those_of_the_readings(self, values: list[float], limit: float) -> None:
        found = judge([Reading(n * 1000, value, value) for n, value in enumerate(values)], limit, None)
        assert found.lowest == min(values)
        assert found.highest == max(values)
        assert found.steady == (len(values) >= 5 and found.spread <= limit and abs(found.drift) <= limit / 2)
        assert min(values) - 1e-6 <= found.indicated <= max(values) + 1e-6

    def test_the_criterion_is_a_fifth_of_the_tolerance_or_two_steps(self) -> None:
        assert criterion(1.0, 1) == 0.2
        assert criterion(0.3, 1) == 0.2, "a probe that shows tenths cannot stand stiller than two of them"
        assert criterion(2.0, 1) == 0.4
        assert criterion(1.0, None) == 0.2


class TestReadings:
    async def test_steady_readings_are_taken_and_wandering_ones_refused(self, tmp_path: Path) -> None:
        async with bench(tmp_path, text=QUICK) as at:
            session = await begin(at)
            taken = await take(at, session, 4.0)
            assert taken["state"] == "done", taken
            assert taken["result"]["taken"]["shown"] == 4.1
            assert taken["result"]["taken"]["readings"] >= 5
            tenths = iter(range(41, 100_000, 4))
            at.plant.units[1].tables[at.input][1] = lambda: next(tenths)
            drifting = await take(at, session, 4.0, patience_s=3)
            assert drifting["state"] == "failed"
            assert drifting["words"].startswith("the readings do not stand still: ")
            assert "allowed are 0.2 and half of that" in drifting["words"]
            shown = await at.order("calibrate.show", session=session)
            assert len(shown["found"]) == 1, "what wandered is not kept"

    async def test_a_silent_sensor_gives_none(self, tmp_path: Path) -> None:
        async with bench(tmp_path, text=QUICK) as at:
            session = await begin(at)
            at.plant.fault(1).mute = True
            silent = await take(at, session, 4.0, patience_s=1)
            assert silent["state"] == "failed"
            assert silent["words"].startswith(("too few readings", "the readings do not stand still"))

    async def test_a_session_outlives_a_restart(self, tmp_path: Path) -> None:
        async with bench(tmp_path, text=QUICK) as at:
            session = await begin(at, tolerance=0.5)
            await take(at, session, 4.0)
        async with bench(tmp_path, text=(tmp_path / "site.toml").read_text()) as at:
            listed = await at.order("calibrate.list")
            (kept,) = listed["sessions"]
            assert (kept["id"], kept["tolerance"], len(kept["found"])) == (session, 0.5, 1)


class TestVerification:
    async def test_a_sensor_within_tolerance_becomes_a_verification(self, tmp_path: Path) -> None:
        async with bench(tmp_path, text=QUICK) as at:
            await ready(at)
            session = await begin(at, kind="verification")
            await take(at, session, 4.0)
            done = await at.order("calibrate.finish", session=session)
            assert done["kind"] == "record.verification"
            (record,) = records(at)
            assert record["points"] == [{"reference": 4.0, "as_found": 4.1, "as_left": None}]
            assert record["as_found_passed"] is True
            assert "5 readings" in record["text"] or "readings in" in record["text"]
            assert (await at.order("calibrate.list"))["sessions"] == []

    async def test_one_that_is_wrong_asks_what_was_done(self, tmp_path: Path) -> None:
        async with bench(tmp_path, text=QUICK) as at:
            await ready(at)
            session = await begin(at, kind="verification")
            await take(at, session, 0.0)
            with pytest.raises(AuroraError, match="says what was done"):
                await at.order("calibrate.finish", session=session)
            await at.order("calibrate.finish", session=session, text="probe replaced")
            (record,) = records(at)
            assert record["as_found_passed"] is False
            assert record["text"].startswith("probe replaced\n")
            assert record["review"]["words"].startswith("All values of room.temperature before this")


class TestCalibration:
    async def test_two_points_as_found_corrected_and_as_left(self, tmp_path: Path) -> None:
        async with bench(tmp_path, text=QUICK) as at:
            await ready(at)
            session = await begin(at)
            at.set(4)
            await take(at, session, 0.0)
            at.set(203)
            await take(at, session, 20.0)
            await at.order("calibrate.photo", session=session, content=base64.b64encode(JPEG).decode())
            draft = await at.order("calibrate.draft", session=session, valid_until="2099-06-30")
            (edit,) = draft["edits"]
            assert edit["path"] == ["device", "room", "calibration", "temperature"]
            assert edit["value"]["points"] == [[0.4, 0.0], [20.3, 20.0]]
            assert edit["value"]["certificate"].startswith("photo ")
            assert draft["notes"][0] == "at 0.4 degC the correction is -0.4"
            refused = await at.order("calibrate.show", session=session)
            assert not refused["in_force"]
            with pytest.raises(AuroraError, match="not in force yet"):
                await at.order("calibrate.take", session=session, reference=0.0, which="left")
            with pytest.raises(AuroraError, match="as left"):
                await at.order("calibrate.finish", session=session)
        value = edit["value"]
        text = (
            (tmp_path / "site.toml")
            .read_text()
            .replace(
                "[[point]]",
                f'[device.calibration.temperature]\ncertificate = "{value["certificate"]}"\n'
                f"valid_until = {value['valid_until']}\npoints = {json.dumps(value['points'])}\n\n[[point]]",
            )
        )
        async with bench(tmp_path, text=text) as at:
            await ready(at)
            assert (await at.order("calibrate.show", session=session))["in_force"]
            at.set(4)
            left = await take(at, session, 0.0, which="left")
            assert left["result"]["taken"]["shown"] == 0.0
            assert left["result"]["taken"]["indicated"] == 0.4
            at.set(203)
            await take(at, session, 20.0, which="left")
            done = await at.order("calibrate.finish", session=session)
            assert done["kind"] == "record.calibration"
            (record,) = records(at)
            assert record["points"] == [
                {"reference": 0.0, "as_found": 0.4, "as_left": 0.0},
                {"reference": 20.0, "as_found": 20.3, "as_left": 20.0},
            ]
            assert record["as_left_passed"] is True
            kept = photo_file(at.gateway.site.data_dir, record["photo"])
            assert kept is not None
            assert kept[0].read_bytes() == JPEG

    async def test_what_does_not_rise_is_no_correction(self, tmp_path: Path) -> None:
        async with bench(tmp_path, text=QUICK) as at:
            session = await begin(at)
            await take(at, session, 0.0)
            await take(at, session, 20.0)
            with pytest.raises(AuroraError, match="does not rise"):
                await at.order("calibrate.draft", session=session, valid_until="2099-06-30", certificate="K-1")

    async def test_one_point_is_one_correction_and_said_to_be(self, tmp_path: Path) -> None:
        async with bench(tmp_path, text=QUICK) as at:
            session = await begin(at)
            await take(at, session, 0.0)
            draft = await at.order("calibrate.draft", session=session, valid_until="2099-06-30", certificate="K-1")
            assert draft["edits"][0]["value"]["points"] == [[4.1, 0.0]]
            assert any("one point" in note for note in draft["notes"])

    @pytest.mark.parametrize(
        ("name", "fields", "words"),
        [
            ("calibrate.begin", {"channel": "room.temprature", **REFERENCE}, "did you mean 'room.temperature'"),
            ("calibrate.begin", {"channel": "room.humidity", **REFERENCE}, "no customary one"),
            ("calibrate.begin", {"channel": "room.temperature"}, "reference_instrument is missing"),
            (
                "calibrate.begin",
                {"channel": "room.temperature", **REFERENCE, "reference_valid_until": "2020-01-01"},
                "had expired",
            ),
            ("calibrate.take", {"session": "K9", "reference": 0.0}, "no calibration 'K9'"),
            ("calibrate.take", {"session": "{}"}, "reference is missing"),
            ("calibrate.take", {"session": "{}", "reference": 0.0, "which": "left"}, "no correction yet"),
            ("calibrate.draft", {"session": "{}", "valid_until": "2099-01-01"}, "certificate is missing"),
            (
                "calibrate.draft",
                {"session": "{}", "valid_until": "2001-01-01", "certificate": "K"},
                "which is past",
            ),
            ("calibrate.draft", {"session": "{}", "valid_until": "2099-01-01", "certificate": "K"}, "no readings"),
            ("calibrate.finish", {"session": "{}"}, "no readings as found"),
            ("calibrate.photo", {"session": "{}", "content": "%%"}, "not base64"),
            ("calibrate.photo", {"session": "{}", "content": "R0lGODlh"}, "that is no photo"),
        ],
    )
    async def test_bad_requests_are_refused(
        self, tmp_path: Path, name: str, fields: dict[str, Any], words: str
    ) -> None:
        async with bench(tmp_path, text=QUICK) as at:
            session = await begin(at)
            asked = {key: session if value == "{}" else value for key, value in fields.items()}
            with pytest.raises(AuroraError, match=words):
                await at.order(name, **asked)


class TestPhotos:
    def test_are_known_by_their_content(self) -> None:
        assert photo_type(PNG) == "image/png"
        assert photo_type(JPEG) == "image/jpeg"
        for other in (b"", b"GIF89a", b"\xff\xd8\xff", JPEG[:12], b"<svg/>", b"\x89PNG\r\n\x1a\n", b"%PDF-1.7"):
            assert photo_type(other) is None

    @given(st.binary(max_size=200))
    def test_no_bytes_upset_the_look(self, content: bytes) -> None:
        assert photo_type(JPEG[:4] + content) in {None, "image/jpeg"}

    def test_lie_under_their_digest_for_the_gateways_eyes_alone(self, tmp_path: Path) -> None:
        photo = keep_photo(tmp_path, PNG)
        assert keep_photo(tmp_path, PNG) == photo
        (path,) = (tmp_path / "photos").iterdir()
        assert path.name == f"{photo['sha256']}.png"
        assert path.stat().st_mode & 0o077 == 0
        assert photo_file(tmp_path, str(photo["sha256"])) == (path, "image/png")
        assert photo_file(tmp_path, "../../etc/passwd") is None

    def test_that_are_too_large_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(AuroraError, match="at most 4 MB"):
            keep_photo(tmp_path, JPEG + bytes(LARGEST_PHOTO))


class TestSessions:
    @pytest.mark.parametrize("text", ["", "[]", '{"form": 9}', '{"form": 1, "number": 1, "open": [{"id": "K1"}]}'])
    def test_a_damaged_file_is_named(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "calibrations.json").write_text(text)
        with pytest.raises(AuroraError, match=r"calibrations\.json"):
            Sessions(tmp_path)
