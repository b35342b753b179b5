"""The log of a RuuviTag: frames, below zero as well, and what is believed of an answer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_interfaces.ble.logs.nouns import Download, NoLog
from firmware_interfaces.ble.logs.ruuvi import (
    DRIFT,
    END,
    SOURCE,
    STEP_MS,
    Entry,
    RuuviLog,
    request,
    sort_out,
    take_apart,
)
from firmware_interfaces.errors import BadFrame

NOW = 1_567_047_917


def entry(hex_: str) -> Entry:
    return take_apart(bytes.fromhex(hex_))


def temperature(age_s: int, hundredths: int) -> Entry:
    frame = b"\x3a\x30\x10" + (NOW - age_s).to_bytes(4, "big") + hundredths.to_bytes(4, "big", signed=True)
    return take_apart(frame)


def humidity(age_s: int, hundredths: int) -> Entry:
    return take_apart(b"\x3a\x31\x10" + (NOW - age_s).to_bytes(4, "big") + hundredths.to_bytes(4, "big"))


def sorted_out(*entries: Entry, since_s: int = 10_000) -> Download:
    download = Download(SOURCE, RuuviLog.fields, 0.0)
    sort_out(entries, download, NOW, NOW - since_s, 500)
    return download


class TestFrames:
    """The examples of the maker's document."""

    def test_a_request(self) -> None:
        assert request(0x5D6740ED, 0x5D57FEAD).hex() == "3a3a115d6740ed5d57fead"

    def test_below_zero(self) -> None:
        found = entry("3a30105d6740edfffff8ac")
        assert (found.time_s, found.raw) == (NOW, -1876)
        (kept,) = sorted_out(found).kept
        assert kept.values == {"temperature": -18.76}
        assert kept.raw == found.frame

    @pytest.mark.parametrize(
        ("frame", "key", "value"),
        [
            ("3030105d6740ed0000098d", "temperature", 24.45),
            ("3a31105d6740ed0000098d", "humidity", 24.45),
            ("3a32105d6740ed00018bcd", "pressure", 101325.0),
        ],
    )
    def test_quantities(self, frame: str, key: str, value: float) -> None:
        (kept,) = sorted_out(entry(frame)).kept
        assert kept.values == {key: value}

    def test_the_end(self) -> None:
        assert entry("3a3a10ffffffffffffffff") is END
        assert entry("303010ffffffffffffffff") is END

    def test_the_tags_own_failure(self) -> None:
        with pytest.raises(NoLog, match="five minutes"):
            entry("3a30f0ffffffffffffffff")

    @pytest.mark.parametrize("frame", ["", "3a30105d6740edfffff8", "3a3310" + "00" * 8, "3a3020" + "00" * 8])
    def test_damaged_and_foreign(self, frame: str) -> None:
        with pytest.raises(BadFrame):
            entry(frame)

    @settings(deadline=None)
    @given(st.binary(max_size=12))
    def test_any_bytes(self, data: bytes) -> None:
        try:
            take_apart(data)
        except (BadFrame, NoLog):
            return


class TestWhatIsBelieved:
    def test_quantities_of_one_time_are_one_measurement(self) -> None:
        found = sorted_out(temperature(600, -500), humidity(600, 5000), temperature(300, -490), humidity(300, 5100))
        assert [(kept.age_ms, dict(kept.values)) for kept in found.kept] == [
            (600_000, {"temperature": -5.0, "humidity": 50.0}),
            (300_000, {"temperature": -4.9, "humidity": 51.0}),
        ]
        assert found.dropped == {}

    def test_the_error_of_an_age_is_stated(self) -> None:
        (kept,) = sorted_out(temperature(10_000, 0)).kept
        assert kept.error_ms == STEP_MS + 500 + 10_000_000 * DRIFT

    def test_a_repeat_is_one(self) -> None:
        found = sorted_out(temperature(600, 1), temperature(300, 2), temperature(600, 1), temperature(300, 2))
        assert [kept.values["temperature"] for kept in found.kept] == [0.01, 0.02]
        assert found.dropped == {"repeated": 2}

    def test_of_two_that_contradict_neither(self) -> None:
        found = sorted_out(temperature(600, 1), temperature(600, 2), temperature(600, 3), temperature(300, 4))
        assert [kept.values["temperature"] for kept in found.kept] == [0.04]
        assert found.dropped == {"contradicts another of its time": 3}

    def test_the_future_is_of_a_clock_before_the_present(self) -> None:
        found = sorted_out(temperature(-5000, 1), temperature(300, 2))
        assert [kept.values["temperature"] for kept in found.kept] == [0.02]
        assert found.dropped == {"later than now": 1}

    def test_what_stands_before_a_step_back_is_of_an_unknown_clock(self) -> None:
        found = sorted_out(temperature(400, 1), temperature(100, 2), temperature(900, 3), temperature(600, 4))
        assert [kept.values["temperature"] for kept in found.kept] == [0.03, 0.04]
        assert found.dropped == {"before the clock began anew": 2}

    def test_older_than_asked_for(self) -> None:
        found = sorted_out(temperature(900, 1), temperature(300, 2), since_s=600)
        assert [kept.age_ms for kept in found.kept] == [300_000]
        assert found.dropped == {"earlier than asked for": 1}

    def test_a_hundredth_below_zero_is_a_value(self) -> None:
        (kept,) = sorted_out(temperature(300, -1)).kept
        assert kept.values == {"temperature": -0.01}

    @pytest.mark.parametrize("raw", [-(2**31), 2**31 - 1, 20_001, -27_316])
    def test_what_cannot_be_or_is_no_value(self, raw: int) -> None:
        found = sorted_out(temperature(300, raw))
        assert found.kept == []
        assert found.dropped == {"no value": 1}

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.integers(-50, 50), st.integers(-3, 3), st.booleans()), max_size=60))
    def test_every_frame_is_kept_or_counted(self, rows: list[tuple[int, int, bool]]) -> None:
        entries = [humidity(age, abs(raw)) if damp else temperature(age, raw - 1000) for age, raw, damp in rows]
        found = sorted_out(*entries, since_s=30)
        assert sum(len(kept.values) for kept in found.kept) + sum(found.dropped.values()) == len(entries)
        ages = [kept.age_ms for kept in found.kept]
        assert ages == sorted(ages, reverse=True)
        frames = {one.frame for one in entries}
        assert all(kept.raw[at : at + 11] in frames for kept in found.kept for at in range(0, len(kept.raw), 11))
