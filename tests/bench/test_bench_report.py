"""The table: results from a file, the last sustained step of the ramp, ratios and aims."""

import json
from pathlib import Path

import pytest

from bench.report import best_steps, load, table
from bench.scenarios import Result


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    line = {"scenario": "base", "peer": "script", "case": "", "figures": {"rss_mb": 31.0}}
    file.write_text(json.dumps({"machine": {"cpus": 2}}) + "\n" + json.dumps(line) + "\n")
    assert load(file) == [Result("base", "script", "", {"rss_mb": 31.0})]


def test_of_the_ramp_the_last_sustained_step_counts() -> None:
    steps = [
        Result("ramp", "script", f"{ms} ms", {"values_per_s": 50_000 / ms, "sustained": held})
        for ms, held in ((100, True), (50, True), (20, False))
    ]
    assert best_steps(steps) == [Result("ramp", "script", "", steps[1].figures)]


@pytest.mark.parametrize(("ours", "verdict"), [(0.002, "met"), (0.0041, "MISSED")])
def test_ratio_to_the_script_and_verdict(ours: float, verdict: str) -> None:
    results = [
        Result("base", "script", "", {"cpu_s_per_1000": 0.01}),
        Result("base", "gateway", "", {"cpu_s_per_1000": ours}),
    ]
    (line,) = [line for line in table(results).splitlines() if "CPU s per 1000" in line]
    assert line.split()[-6:] == [f"{ours / 0.01:.2f}", "x", "script", "<=", "0.4", verdict]


def test_zero_is_a_figure_and_missing_is_not() -> None:
    results = [
        Result("outage", "script", "killed", {"duplicated": 2000}),
        Result("outage", "gateway", "killed", {"duplicated": 0}),
        Result("outage", "loop", "killed", {}),
    ]
    (line,) = [line for line in table(results).splitlines() if "duplicated" in line]
    assert line.split()[4:] == ["2000", "0", "-", "0.00", "=", "0", "met"]


def test_a_failed_run_is_told_and_has_no_figures() -> None:
    text = table([Result("dead", "gateway", "RTU", {"error": "gateway: no value after 30 s"})])
    assert text.splitlines()[-1] == "failed: dead RTU gateway: gateway: no value after 30 s"
