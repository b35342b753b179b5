"""Nanoseconds a value of the anomaly detectors, beside river's and a plain Python loop, in one run.

    python -m bench.anomaly [--values 100000] [--repeat 7] [--json FILE]

river is no dependency of the product: it is installed with pip into an environment of the bench's own
(bench/build/river). All candidates judge the same stream in one process; what is compared is processor time, the
least of several interleaved repetitions, after every candidate has filled its window and learned its bands.
Nanoseconds hold for one machine under one load; the ratios are what can be compared.
"""

import argparse
import json
import math
import os
import platform
import random
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gateway_core.anomaly import Bank, Config, PureBank

HERE = Path(__file__).parent
ENVIRONMENT = HERE / "build/river"
RIVER = "river==0.26.1"
PERIOD_S = 60.0
LEARNS = Config.over(6 * 3600.0)
AIM_NS, AIM_GAUSSIAN, AIM_TREES, AIM_BYTES = 100.0, 25.0, 150.0, 2048


def stream(count: int, seed: int = 1) -> "array[float]":
    """A cycling room with defrosts, in tenths of a degree."""
    rng = random.Random(seed)
    shift = rng.randrange(360)
    values = array("d")
    for minute in range(shift, shift + count):
        cycle = abs(minute % 24 - 12) / 6.0
        day = 0.5 * math.sin(2.0 * math.pi * minute / 1440.0)
        defrost = 5.0 * math.exp(-(minute % 360) / 12.0)
        values.append(round(3.0 + cycle + day + defrost + rng.gauss(0.0, 0.1), 1))
    return values


class Candidate:
    """Something that judges ``values`` in one call of ``run``, which tells how many ns of the processor it took."""

    def __init__(self, name: str, values: int, run: Callable[[], int]) -> None:
        self.name = name
        self.values = values
        self.run = run
        self.best_ns = math.inf

    def measure(self) -> None:
        """Run once more; the least time counts."""
        self.best_ns = min(self.best_ns, self.run() / self.values)


def batched(channels: int, count: int) -> Candidate:
    """The bank, one value of every channel in a call."""
    bank = Bank(channels, LEARNS)
    rounds = max(1, count // channels)
    columns = [stream(rounds, seed) for seed in range(min(channels, 8))]
    rows = [array("d", [columns[one % len(columns)][at] for one in range(channels)]) for at in range(rounds)]
    ids, usable, score = array("i", range(channels)), array("B", [1] * channels), array("d", bytes(8 * channels))
    now = 0.0

    def run() -> int:
        nonlocal now
        times = [array("d", [now + PERIOD_S * place]) * channels for place in range(1, rounds + 1)]
        now += PERIOD_S * rounds
        started = time.process_time_ns()
        for t, x in zip(times, rows, strict=True):
            bank.update_many(ids, t, x, usable, score)
        return time.process_time_ns() - started

    while now < 2.0 * LEARNS.warm_up_s:
        run()
    return Candidate(f"batched over {channels}", rounds * channels, run)


def scalar(count: int, kind: Any, name: str) -> Candidate:
    """One call a value."""
    update = kind(1, LEARNS).update
    values = stream(count).tolist()
    now = 0.0

    def run() -> int:
        nonlocal now
        t = now
        started = time.process_time_ns()
        for x in values:
            t += PERIOD_S
            update(0, t, x)
        now = t
        return time.process_time_ns() - started

    while now < 2.0 * LEARNS.warm_up_s:
        run()
    return Candidate(name, count, run)


def plain_loop(count: int) -> Candidate:
    """What a script would do: a running mean and spread, and how far a value is from them."""
    values = stream(count).tolist()

    def run() -> int:
        started = time.process_time_ns()
        mean, spread, worst = values[0], 1.0, 0.0
        for x in values:
            apart = x - mean
            score = abs(apart) / (spread + 1e-9)
            worst = max(worst, score)
            mean += 0.01 * apart
            spread += 0.01 * (abs(apart) - spread)
        return time.process_time_ns() - started

    return Candidate("plain Python loop (mean and spread)", count, run)


def rivers(count: int) -> Iterator[Candidate]:
    """river's detectors, each value scored and learned."""
    from river import anomaly

    gaussian = anomaly.GaussianScorer(window_size=250)
    values = stream(max(600, count // 10)).tolist()

    def run_gaussian() -> int:
        started = time.process_time_ns()
        for x in values:
            gaussian.score_one(None, x)
            gaussian.learn_one(None, x)
        return time.process_time_ns() - started

    run_gaussian()
    yield Candidate("river GaussianScorer(250)", len(values), run_gaussian)

    trees = anomaly.HalfSpaceTrees(seed=1)
    points = [{"x": x / 12.0} for x in stream(max(600, count // 50))]

    def run_trees() -> int:
        started = time.process_time_ns()
        for point in points:
            trees.score_one(point)
            trees.learn_one(point)
        return time.process_time_ns() - started

    run_trees()
    yield Candidate("river HalfSpaceTrees (default)", len(points), run_trees)


def compare(count: int, repeat: int) -> dict[str, Any]:
    """Measure all candidates in turns and print the table."""
    candidates = [
        *(batched(channels, count) for channels in (1, 64, 256, 1000)),
        scalar(count, Bank, "scalar"),
        scalar(max(1000, count // 50), PureBank, "pure-Python twin, scalar"),
        plain_loop(count),
        *rivers(count),
    ]
    for _ in range(repeat):
        for candidate in candidates:
            candidate.measure()
    found = {candidate.name: candidate.best_ns for candidate in candidates}
    ours = found["batched over 256"]
    print(f"{platform.machine()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}\n")
    print(f"{'':38}{'ns a value':>12}{'x batched over 256':>20}{'x scalar':>10}")
    for name, value in found.items():
        print(f"{name:38}{value:12.1f}{value / ours:20.1f}{value / found['scalar']:10.1f}")
    aims = {
        f"at most {AIM_NS:.0f} ns a value over 256 channels": ours <= AIM_NS,
        f"{AIM_GAUSSIAN:.0f} times less than GaussianScorer(250)": found["river GaussianScorer(250)"]
        >= AIM_GAUSSIAN * ours,
        f"{AIM_TREES:.0f} times less than HalfSpaceTrees": found["river HalfSpaceTrees (default)"]
        >= AIM_TREES * ours,
        f"{Bank(1).channel_bytes} bytes a channel, at most {AIM_BYTES}": Bank(1).channel_bytes <= AIM_BYTES,
    }
    print()
    for aim, met in aims.items():
        print(f"{'met    ' if met else 'NOT MET'} {aim}")
    return {"ns": found, "channel_bytes": Bank(1).channel_bytes, "aims": aims}


def inside() -> bool:
    """Whether river can be imported here."""
    try:
        import river  # noqa: F401
    except ImportError:
        return False
    return True


def enter() -> int:
    """Go on in the bench's own environment, made where it is missing."""
    python = ENVIRONMENT / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", RIVER], check=True)
    paths = os.pathsep.join(str(HERE.parent / folder) for folder in ("", "ext"))
    command = [str(python), "-m", "bench.anomaly", *sys.argv[1:]]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, check=False).returncode


def main() -> int:
    """Measure; 0 where every aim is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--values", type=int, default=100_000, help="values a repetition (fewer for slow candidates)"
    )
    parser.add_argument("--repeat", type=int, default=7, help="repetitions; the least time counts")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    if not inside():
        return enter()
    if Bank is PureBank:
        print("the compiled core is missing; run: make build", file=sys.stderr)
        return 2
    found = compare(arguments.values, arguments.repeat)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0 if all(found["aims"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
