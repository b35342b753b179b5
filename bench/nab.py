"""The detectors on the Numenta Anomaly Benchmark, scored as the benchmark describes it.

    git clone https://github.com/numenta/NAB
    python -m bench.nab NAB [--threshold 0.5] [--files] [--only FILE ...]

Rules of NAB 1.1 (Lavin and Ahmad, "Evaluating Real-time Anomaly Detection Algorithms", 2015, section III, and
the repository's labels): in each labelled window only the earliest detection counts, the more the earlier it
is; what is outside costs by its distance behind the last window; the first 15 % of a file (at most 750 rows)
are not scored; one threshold for all files; 0 is a detector that never speaks, 100 a perfect one. Here the
threshold is frozen (0.5), the settings are those of the module, and the range of a file is not made known to
the detector, all unlike the leaderboard, where thresholds are chosen with the labels.
"""

import argparse
import csv
import json
import math
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from bench.nab_detector import THRESHOLD, make_detector

PROFILES = {"standard": (0.11, 1.0), "reward low FP": (0.22, 1.0), "reward low FN": (0.11, 2.0)}
"""Cost of a false positive and of a missed window; a window found at once is worth 1."""


class File(NamedTuple):
    """A labelled stream: times (s), values, windows as first and last row, rows that are not scored."""

    name: str
    t: list[float]
    x: list[float]
    windows: list[tuple[int, int]]
    probation: float


class Result(NamedTuple):
    """What one file brought: worth of each window found (None: missed), and costs of false rows."""

    windows: list[float | None]
    false: list[float]


def seconds(text: str) -> float:
    """Time stamps have no zone; UTC does for all of them."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def load(root: Path, only: Sequence[str]) -> list[File]:
    """The files of a copy of NAB that have labels, or those of them that are named."""
    labels = json.loads((root / "labels/combined_windows.json").read_text(encoding="utf-8"))
    files = []
    for name, windows in sorted(labels.items()):
        if (only and name not in only) or not (root / "data" / name).exists():
            continue
        with (root / "data" / name).open(encoding="utf-8", newline="") as lines:
            rows = [(seconds(row["timestamp"]), float(row["value"])) for row in csv.DictReader(lines)]
        t = [row[0] for row in rows]
        spans = [(t.index(seconds(first)), t.index(seconds(last))) for first, last in windows]
        probation = min(math.floor(0.15 * len(t)), 750)
        files.append(File(name, t, [row[1] for row in rows], spans, probation))
    return files


def judge(file: File) -> list[float]:
    """Scores of a file by a new detector."""
    interval = statistics.median(after - before for before, after in zip(file.t[:199], file.t[1:200], strict=True))
    known = file.x[: max(1, int(file.probation))]
    detector = make_detector(min(known), max(known), file.probation, interval)
    return [detector.update(t, x) for t, x in zip(file.t, file.x, strict=True)]


def sigmoid(y: float) -> float:
    """From 1 (long before the end of a window) through 0 (at its end) to -1 (long after it)."""
    return 2.0 / (1.0 + math.exp(5.0 * y)) - 1.0


def weigh(file: File, scores: Sequence[float], threshold: float) -> Result:
    """What the rows at or above the threshold are worth."""
    found: list[float | None] = [None] * len(file.windows)
    false = []
    for row, score in enumerate(scores):
        if row < file.probation or score < threshold:
            continue
        inside = next((at for at, (first, last) in enumerate(file.windows) if first <= row <= last), None)
        if inside is not None:
            first, last = file.windows[inside]
            if found[inside] is None:
                found[inside] = sigmoid(-(last - row + 1) / (last - first + 1)) / sigmoid(-1.0)
            continue
        behind = [(first, last) for first, last in file.windows if last < row]
        distance = (row - behind[-1][1]) / (behind[-1][1] - behind[-1][0]) if behind else math.inf
        false.append(sigmoid(distance) if distance <= 3.0 else -1.0)
    return Result(found, false)


def total(results: Sequence[Result], false_cost: float, miss_cost: float) -> float:
    """The normalised score of a profile."""
    count = sum(len(result.windows) for result in results)
    raw = sum(
        false_cost * sum(result.false) + sum(-miss_cost if worth is None else worth for worth in result.windows)
        for result in results
    )
    return 100.0 * (raw + miss_cost * count) / (count * (1.0 + miss_cost)) if count else math.nan


def main() -> None:
    """Print the three profiles, and each file if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="a copy of the NAB repository")
    parser.add_argument("--threshold", type=float, default=THRESHOLD)
    parser.add_argument("--only", nargs="*", default=[], help="names as in labels/combined_windows.json")
    parser.add_argument("--files", action="store_true", help="one line a file")
    arguments = parser.parse_args()
    files = load(arguments.root, arguments.only)
    results = [weigh(file, judge(file), arguments.threshold) for file in files]
    if arguments.files:
        for file, result in zip(files, results, strict=True):
            worths = " ".join("missed" if worth is None else f"{worth:.2f}" for worth in result.windows)
            print(f"{file.name:58} {len(result.false):3} false  {worths}")
    windows = [worth for result in results for worth in result.windows]
    print(f"{len(files)} files, {sum(len(file.t) for file in files)} rows, threshold {arguments.threshold}")
    hits, false = len(windows) - windows.count(None), sum(len(result.false) for result in results)
    print(f"{hits} of {len(windows)} windows, {false} false rows")
    print("  ".join(f"{name} {total(results, *costs):.2f}" for name, costs in PROFILES.items()))


if __name__ == "__main__":
    main()
