"""From results to a table: one row a figure, a column a peer, our ratio to the script, and the aim."""

import json
import operator
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.scenarios import Result

OURS, ANCHOR = "gateway", "script"
HOLDS: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge, "=": operator.eq}


@dataclass(frozen=True, slots=True)
class Figure:
    """One row. ``aim`` is for our own number, ``ratio_aim`` for ours divided by the script's."""

    scenario: str
    key: str
    title: str
    form: str = "{:.3g}"
    aim: tuple[str, float] | None = None
    ratio_aim: tuple[str, float] | None = None


FIGURES = (
    Figure("base", "values_per_s", "values read per second", "{:.0f}"),
    Figure("base", "cpu_s_per_1000", "CPU s per 1000 values", "{:.5f}", ratio_aim=("<=", 0.4)),
    Figure("base", "rss_mb", "resident memory, MB", "{:.1f}", aim=("<=", 60)),
    Figure("base", "start_s", "start to first stored value, s", "{:.2f}", aim=("<=", 1.0)),
    Figure("base", "disk_bytes_per_value", "bytes to disk per value", "{:.1f}", aim=("<=", 10)),
    Figure("base", "wire_bytes_per_value", "bytes on the wire per value", "{:.2f}", aim=("<=", 2.5)),
    Figure("base", "p99_ms", "period, 99th percentile, ms", "{:.0f}"),
    Figure("ramp", "values_per_s", "highest sustained rate, values/s", "{:.0f}"),
    Figure("ramp", "cpu_s_per_1000", "CPU s per 1000 values at that rate", "{:.5f}"),
    Figure("dead", "ratio", "others' period with one unit dead", "x{:.3f}", aim=("<=", 1.05)),
    Figure("dead", "back_s", "dead unit read again after, s", "{:.1f}"),
    Figure("outage", "lost", "values lost", "{:.0f}"),
    Figure("outage", "lost_beyond", "... beyond the loss window of 1 s", "{:.0f}", aim=("=", 0)),
    Figure("outage", "duplicated", "values duplicated", "{:.0f}", aim=("=", 0)),
    Figure("outage", "first_after_up_s", "first data after the uplink is back, s", "{:.2f}"),
    Figure("drain", "drained_per_s", "backlog delivered, values/s", "{:.0f}"),
    Figure("drain", "cpu_s_per_1000", "CPU s per 1000 values while draining", "{:.5f}"),
    Figure("drain", "rss_mb", "largest resident memory, MB", "{:.1f}"),
    Figure("drain", "p99_ms", "period of new scans, 99th percentile, ms", "{:.0f}"),
)


def load(path: Path) -> list[Result]:
    """The results of a file of JSON lines; its first line (the machine) is left out."""
    lines = (json.loads(line) for line in path.read_text().splitlines())
    return [Result(**line) for line in lines if "scenario" in line]


def best_steps(results: Iterable[Result]) -> list[Result]:
    """The ramp reduced to its last sustained step for each peer, all else as it is."""
    kept, last = [], {}
    for result in results:
        if result.scenario != "ramp":
            kept.append(result)
        elif result.figures.get("sustained"):
            last[result.peer] = Result("ramp", result.peer, "", result.figures)
    return [*kept, *last.values()]


def table(results: Iterable[Result]) -> str:
    """All figures as text."""
    results = list(results)
    failures = [r for r in results if "error" in r.figures]
    found = best_steps(results)
    peers = list(dict.fromkeys(r.peer for r in results))
    rows = [["", *peers, f"{OURS}/{ANCHOR}", "aim", ""]]
    for figure in FIGURES:
        cases = dict.fromkeys(r.case for r in found if r.scenario == figure.scenario)
        for case in cases:
            values = {
                r.peer: r.figures.get(figure.key) for r in found if (r.scenario, r.case) == (figure.scenario, case)
            }
            if any(value is not None for value in values.values()):
                rows.append(row(figure, case, peers, values))
    widths = [max(len(line[i]) for line in rows) for i in range(len(rows[0]))]
    lines = [aligned(line, widths) for line in rows]
    lines += [f"failed: {r.scenario} {r.case} {r.peer}: {r.figures['error']}" for r in failures]
    return "\n".join(line.rstrip() for line in lines)


def aligned(cells: list[str], widths: list[int]) -> str:
    """One line, names to the left and numbers to the right."""
    name, *numbers = (f"{cell:{'<' if i == 0 else '>'}{widths[i]}}" for i, cell in enumerate(cells))
    return "  ".join([name, *numbers])


def row(figure: Figure, case: str, peers: list[str], values: dict[str, Any]) -> list[str]:
    """One line of the table; the verdict is about our own gateway only."""
    name = f"{figure.scenario}{' ' + case if case else ''}: {figure.title}"
    cells = [figure.form.format(v) if (v := values.get(peer)) is not None else "-" for peer in peers]
    ours, anchor = values.get(OURS), values.get(ANCHOR)
    ratio = ours / anchor if ours is not None and anchor else None
    aim, verdict = "", ""
    for bound, number, words in ((figure.aim, ours, ""), (figure.ratio_aim, ratio, "x script ")):
        if bound is None:
            continue
        aim = f"{words}{bound[0]} {bound[1]:g}"
        if number is not None:
            verdict = "met" if HOLDS[bound[0]](number, bound[1]) else "MISSED"
    return [name, *cells, f"{ratio:.2f}" if ratio is not None else "-", aim, verdict]


if __name__ == "__main__":
    print(table(load(Path(sys.argv[1]))))
