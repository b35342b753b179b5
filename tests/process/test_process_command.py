"""`aurora-gateway calculate`: results and refusals as JSON, bad rows by their line, published tables at one
value."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.assess.process.catalogue import CALCULATIONS
from gateway.cli import main
from gateway.commands.calculate import RowsError, read_rows, settings
from gateway.errors import AuroraError

COURSE = "time,value\n" + "".join(f"{60 * minute},121.11\n" for minute in range(5))


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[Any], str]:
    status = main(["calculate", *arguments])
    out, err = capsys.readouterr()
    text = out.strip()
    found = (
        [json.loads(text)] if text.startswith("{\n") else [json.loads(line) for line in text.splitlines() if line]
    )
    return status, found, err


@pytest.fixture
def course(tmp_path: Path) -> Path:
    path = tmp_path / "course.csv"
    path.write_text(COURSE)
    return path


def test_a_file_gives_a_result(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, (found,), _ = run(capsys, "lethality", "--set", "definition=f0", "--set", "target=3", str(course))
    assert status == 0
    assert found["value"] == pytest.approx(4.0)
    assert found["passed"] is True
    assert found["coverage"]["samples"] == 5
    assert found["source"]


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(COURSE))
    status, (found,), _ = run(capsys, "lethality", "--set", "definition=f0", "-")
    assert (status, found["value"]) == (0, pytest.approx(4.0))


def test_a_refusal_is_status_1(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, (found,), _ = run(capsys, "lethality", "--set", "definition=f0", "--set", "max_gap_s=30", str(course))
    assert status == 1
    assert found["refused"] == "gap"
    assert found["remedy"]
    assert "value" not in found


def test_tables_at_values(capsys: pytest.CaptureFixture[str]) -> None:
    status, found, _ = run(
        capsys, "heat-table", "--set", "table=us-milk", "--at", "63", "--at", "72", "--at", "100"
    )
    assert status == 0
    assert [one["value"] for one in found] == [1800, 15, 0.01]
    status, found, _ = run(capsys, "heat-table", "--set", "table=us-milk", "--at", "-5")
    assert (status, found[0]["refused"]) == (1, "below-the-table")


def test_a_point_with_a_further_input(capsys: pytest.CaptureFixture[str]) -> None:
    status, (found,), _ = run(capsys, "moisture", "--at", "25", "--input", "rh=60")
    assert status == 0
    assert found["values"]["dew_point_c"] == pytest.approx(16.7, abs=0.05)


def test_trace_prints_a_line_a_row(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found, _ = run(capsys, "lethality", "--set", "definition=f0", "--trace", str(course))
    assert status == 0
    assert [one["t"] for one in found] == [0, 60, 120, 180, 240]
    assert found[0]["refused"] == "too-few"
    assert [one["value"] for one in found[1:]] == pytest.approx([1, 2, 3, 4])


def test_further_columns_are_inputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "line.csv"
    path.write_text("time,value,forward\n0,60,0\n1,73,1\n2,73,1\n3,71,1\n4,71,1\n5,71,1\n")
    sets = ["legal_c=72", "legal_s=15", "cut_in_c=72.5", "cut_out_c=72.2", "holding_s=16"]
    status, (found,), _ = run(capsys, "htst", *(part for one in sets for part in ("--set", one)), str(path))
    assert status == 0
    assert found["passed"] is False
    assert found["values"]["diversion_not_seen"] == 1


def test_mistakes_are_status_2_with_a_remedy(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, hint in (
        (["lethalty", str(course)], "did you mean 'lethality'?"),
        (["lethality", "--set", "definition=f00", str(course)], "did you mean 'f0'?"),
        (["lethality", "--set", "definition", str(course)], "write key=value"),
        (["lethality", "--set", "definition=f0"], "name a CSV file"),
        (["lethality", "--set", "definition=f0", str(course) + "x"], "check the path"),
        ([], "name a calculation"),
        (["lethalty", "--list"], "did you mean 'lethality'?"),
    ):
        status, _, err = run(capsys, *arguments)
        assert status == 2, arguments
        assert hint in err


def test_the_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calculate", "--list"]) == 0
    out = capsys.readouterr().out
    for name, kind in CALCULATIONS.items():
        assert f"{name}: " in out
        assert all(parameter.name in out for parameter in kind.parameters)
    for name, known in (("growth", "gropin-364"), ("heat-table", "us-milk"), ("cooling", "fsis-b-option-1")):
        assert main(["calculate", name, "--list"]) == 0
        out = capsys.readouterr().out
        assert known in out
        assert "source: " in out


class TestRows:
    def rows(self, text: str) -> list[tuple[float, float | None]]:
        return [(row.t, row.value) for row in read_rows(io.StringIO(text), "x.csv")]

    def test_times_and_values(self) -> None:
        text = "time,value\n1970-01-01T00:00:10Z,1.5\n1970-01-01T01:00:20+01:00,\n1970-01-01 00:00:30,-2\n40,3\n"
        assert self.rows(text) == [(10, 1.5), (20, None), (30, -2), (40, 3)]

    def test_without_a_header_with_a_byte_order_mark_semicolons_and_blank_lines(self, tmp_path: Path) -> None:
        assert self.rows("0,1\n\n10,2\n") == [(0, 1), (10, 2)]
        assert self.rows("time;value\n0;1,5\n10,5;2\n") == [(0, 1.5), (10.5, 2)]
        path = tmp_path / "bom.csv"
        path.write_bytes(b"\xef\xbb\xbftime,value\n0,1\n10,1\n")
        assert main(["calculate", "mkt", str(path)]) == 0

    def test_columns_in_any_order(self) -> None:
        (row,) = read_rows(io.StringIO("rh,value,time\n60,20,5\n"), "x.csv")
        assert (row.t, row.value, dict(row.more)) == (5, 20, {"rh": 60})

    @pytest.mark.parametrize(
        ("text", "line", "hint"),
        [
            ("time,value\n0,1\nx,2\n", 3, "ISO 8601"),
            ("time,value\n0,1\n10,warm\n", 3, "not a number"),
            ("time,value\n0,1\n10,inf\n", 3, "not finite"),
            ("time,value\n0,1\n0,2\n", 3, "not later"),
            ("time,value\n10,1\n5,2\n", 3, "sort the rows"),
            ("time,value\n0,1,2\n", 2, "3 fields"),
            ("time,value\n0\n", 2, "1 fields"),
            ("when,value\n0,1\n", 1, "no column 'time'"),
            ("time,time,value\n", 1, "named twice"),
            ('time,value\n0,"1\n', 2, "CSV"),
            ("time,value\n0,1\0\n", 2, "NUL"),
            ("time,value\n0,1\n1e400,2\n", 3, "not a time"),
        ],
    )
    def test_bad_rows_are_named_by_line(self, text: str, line: int, hint: str) -> None:
        with pytest.raises(RowsError) as caught:
            self.rows(text)
        assert f"line {line}" in str(caught.value)
        assert hint in str(caught.value)

    def test_all_bad_rows_are_named_and_then_counted(self) -> None:
        text = "time,value\n" + "".join(f"{number},x\n" for number in range(50))
        with pytest.raises(RowsError) as caught:
            self.rows(text)
        assert len(str(caught.value).splitlines()) == 21
        assert "and 30 more" in str(caught.value)

    def test_an_empty_file(self) -> None:
        with pytest.raises(RowsError, match="is empty"):
            self.rows("")

    def test_bytes_that_are_no_text(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "binary.csv"
        path.write_bytes(b"time,value\n0,1\n\xff\xfe,2\n")
        status, _, err = run(capsys, "mkt", str(path))
        assert status == 2
        assert "UTF-8" in err


def test_settings_are_read_as_toml() -> None:
    assert settings(["a=1", "b=x-y", "c=[[1, 2]]", "d.pH=6.0", "e=true", 'f="1"', "g=a=b"]) == {
        "a": 1,
        "b": "x-y",
        "c": [[1, 2]],
        "d": {"pH": 6.0},
        "e": True,
        "f": "1",
        "g": "a=b",
    }
    for wrong in (["novalue"], ["=1"], ["a=1", "a.b=2"]):
        with pytest.raises(AuroraError):
            settings(wrong)
