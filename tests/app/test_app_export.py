"""What an export holds and what it says it leaves out."""

import pytest

from gateway.export import Window
from gateway.model import Quality
from gateway.records import Reading


def reading(utc_ms: int | None, device: str = "a") -> Reading:
    return Reading(utc_ms, 10, b"", 5, 1, 1, device, "t", "value", 1.0, 1, "degC", Quality.GOOD, 1)


class TestWindow:
    def test_without_times_everything_is_in(self, capsys: pytest.CaptureFixture[str]) -> None:
        rows = [reading(None), reading(100)]
        assert list(Window(None, None, frozenset()).take(rows)) == rows
        assert capsys.readouterr().err == ""

    def test_since_is_in_and_until_is_not(self) -> None:
        rows = [reading(time) for time in (99, 100, 199, 200)]
        assert list(Window(100, 200, frozenset()).take(rows)) == rows[1:3]

    def test_what_has_no_known_time_is_left_out_and_counted(self, capsys: pytest.CaptureFixture[str]) -> None:
        rows = [reading(None), reading(150), reading(None, "b"), reading(None)]
        assert list(Window(100, None, frozenset("a")).take(rows)) == [rows[1]]
        assert "2 rows are left out because their time is not known" in capsys.readouterr().err
