"""The adapter and the scorer for the Numenta Anomaly Benchmark, on files made up here."""

import json
import math
from datetime import UTC, datetime
from pathlib import Path

import pytest
from gateway_core.anomaly import Config

from bench.nab import PROFILES, File, Result, judge, load, seconds, sigmoid, total, weigh
from bench.nab_detector import THRESHOLD, make_detector


def test_the_detector_needs_no_range_and_scores_every_row() -> None:
    wide, narrow = make_detector(-1e9, 1e9, 100, 300.0), make_detector(5.0, 5.0, 100, 300.0)
    for row in range(1000):
        t, x = 300.0 * row, math.sin(row / 7.0) + (9.0 if row == 600 else 0.0)
        score = wide.update(t, x)
        assert 0.0 <= score <= 1.0
        assert score == narrow.update(t, x)
        assert score == 0.0 or row >= 100
        assert (score >= THRESHOLD) is (row == 600)
        assert wide.update(t, 99.0) == narrow.update(t, 99.0) == 0.0, "a second row for the same instant"


def test_probation_is_the_time_scale() -> None:
    assert Config.over(750 * 300.0).warm_up_s == 750 * 300.0


FILE = File("a", [float(row) for row in range(100)], [0.0] * 100, [(40, 49), (80, 89)], 15)


def scores(*rows: int) -> list[float]:
    return [1.0 if row in rows else 0.0 for row in range(100)]


def test_a_perfect_detector_has_100_and_a_silent_one_0() -> None:
    for costs in PROFILES.values():
        assert total([weigh(FILE, scores(40, 80), 0.5)], *costs) == pytest.approx(100.0)
        assert total([weigh(FILE, scores(), 0.5)], *costs) == 0.0


def test_only_the_earliest_row_of_a_window_counts_and_probation_does_not() -> None:
    assert weigh(FILE, scores(3, 14, 44, 48), 0.5) == Result([sigmoid(-0.6) / sigmoid(-1.0), None], [])


def test_false_rows_cost_more_the_further_behind_a_window() -> None:
    before, near, far = weigh(FILE, scores(20, 50, 79), 0.5).false
    assert (before, far) == (-1.0, -1.0)
    assert -1.0 < near == sigmoid(1 / 9) < 0.0


def test_files_are_read_as_the_repository_has_them(tmp_path: Path) -> None:
    stamps = [datetime.fromtimestamp(600.0 * row, UTC).strftime("%Y-%m-%d %H:%M:%S") for row in range(300)]
    (tmp_path / "data/made").mkdir(parents=True)
    (tmp_path / "labels").mkdir()
    rows = "".join(f"{stamp},{row % 9 + (50 if row == 200 else 0)}\n" for row, stamp in enumerate(stamps))
    (tmp_path / "data/made/up.csv").write_text("timestamp,value\n" + rows)
    labels = {"made/up.csv": [[f"{stamps[195]}.000000", f"{stamps[210]}.000000"]], "made/elsewhere.csv": []}
    (tmp_path / "labels/combined_windows.json").write_text(json.dumps(labels))
    (file,) = load(tmp_path, [])
    assert (file.windows, file.probation, file.t[1]) == ([(195, 210)], 45, seconds(stamps[1]))
    (found,) = weigh(file, judge(file), THRESHOLD).windows
    assert found is not None
    assert found > 0.8
    assert load(tmp_path, ["made/elsewhere.csv"]) == []
