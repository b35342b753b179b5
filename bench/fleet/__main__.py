"""Figures of the cluster's end, all parts beside each other on this machine.

    python -m bench.fleet [RUN ...] [--json FILE]

Runs: few, one, few-opener, one-opener, two, reconnect, slow-start, latency, everything, sqlite; all of them when
none is named.
docs/cluster-scale.md says what each figure is. Beside each run stands the time that one Ed25519 signature takes to
check at that moment: where the machine is busy with other things it is longer, and so is everything else.
"""

import argparse
import json
import os
import platform
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.fleet.cargo import VALUES, Key
from bench.fleet.runs import Run, play
from bench.fleet.stage import DEFAULTS, StageError

RUNS = {
    run.name: run
    for run in (
        Run("few", 100, 100, options={"window": 8}),
        Run("one", 1000, 10, options={"window": 8}),
        Run("few-opener", 100, 100, opener=True, options={"window": 8}),
        Run("one-opener", 1000, 10, opener=True, options={"window": 8}),
        Run("two", 1000, 10, receivers=2, options={"window": 8}),
        Run("reconnect", 1000, 10, receivers=2, broker=DEFAULTS, options={"window": 8}),
        Run("slow-start", 1000, 10, receivers=2, broker=DEFAULTS, options={"window": 8, "first": 1}),
        Run("latency", 1000, 20, receivers=2, options={"window": 8, "period": 1500}),
        Run("everything", 1000, 20, receivers=2, options={"window": 8}, follower=True),
        Run("sqlite", 100, 100, engine="sqlite", options={"window": 8}),
    )
}
WORDS = {
    "few": "100 gateways, 1 receiver",
    "one": "1000 gateways, 1 receiver",
    "few-opener": "100 gateways, 1 receiver that has signatures checked beside it",
    "one-opener": "1000 gateways, 1 receiver that has signatures checked beside it",
    "two": "1000 gateways, 2 receivers",
    "reconnect": "1000 gateways back at once, broker's default limits, 2 receivers",
    "slow-start": "the same, each gateway begins with one batch",
    "latency": "1000 gateways, a batch each 1.5 s, 2 receivers",
    "everything": "1000 gateways, 2 receivers, and the follower beside them",
    "sqlite": "100 gateways, 1 receiver on SQLite",
}
SIGNATURES = 2000


def signature_us() -> float:
    """CPU microseconds for checking one signature over 600 bytes, now."""
    key, data = Key.of("yardstick"), bytes(600)
    signed = key.sign(data)
    began = time.process_time()
    for _ in range(SIGNATURES):
        key.public.verify(signed, data)
    return (time.process_time() - began) / SIGNATURES * 1e6


def busy() -> float:
    """Processes that wanted to run in the last minute, for each core."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def lines(figures: dict[str, Any]) -> list[str]:
    """A run in words."""
    cost = figures["us_per_batch"]
    receivers = [us for name, us in cost.items() if name.startswith("receiver")]
    rest = ", ".join(f"{name} {us}" for name, us in cost.items() if not name.startswith("receiver"))
    waits = figures["receipt_ms"]
    bytes_per_value = figures["bytes_per_value"]
    return [
        f"{WORDS[figures['run']]}",
        f"  {figures['values_s']:>12,} values/s while all were busy, {figures['whole_values_s']:,} over all",
        f"  {waits['p50']:>12,} ms to the receipt in the middle, p99 {waits['p99']:,}, worst {waits['max']:,}",
        f"  {sum(receivers):>12,} us CPU of the receivers for a batch of {VALUES} values; {rest}",
        f"  {round(VALUES / max(sum(receivers), 1) * 1e6):>12,} values/s would fill one core with receivers",
        f"  {figures['resent']:>12,} batches sent more than once, {figures['receipts']:,} receipts for "
        f"{figures['batches']:,} batches; the last gateway had its last receipt after "
        f"{figures['last_gateway_s']['last']} s, the first after {figures['last_gateway_s']['first']} s",
        f"  {bytes_per_value.get('everything', bytes_per_value.get('cluster.db')):>12} bytes stored for a value "
        f"(batches with their index {bytes_per_value.get('batch', '-')})",
        f"  {figures['signature_us']:>12} us CPU for one signature; {figures['busy']} processes wanted each core",
    ]


def main() -> int:
    """Play the runs; exit status 1 when one fails."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description="Figures of the cluster's end.")
    parser.add_argument("runs", nargs="*", metavar="RUN", choices=[*RUNS, []], help=", ".join(RUNS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="add one line for each run")
    parser.add_argument("--profile", action="store_true", help="receivers under cProfile, in bench/build/*.prof")
    arguments = parser.parse_args()
    # So that everything that was started is ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    failed = 0
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for name in arguments.runs or RUNS:
        run = RUNS[name]
        if arguments.profile:
            run = replace(run, profile=True)
        before = signature_us()
        try:
            figures = play(run, now_ms=int(time.time() * 1000))
        except StageError as error:
            failed += 1
            print(f"{WORDS[name]}: FAILED: {error}", file=sys.stderr)
            continue
        figures["signature_us"] = round((before + signature_us()) / 2)
        figures["busy"] = round(busy(), 1)
        print("\n".join(lines(figures)), flush=True)
        if arguments.json:
            with arguments.json.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"at": int(time.time()), **figures}) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
