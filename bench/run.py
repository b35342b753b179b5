"""Measures the gateway beside two anchors, side by side in one run, and prints the ratios.

    python -m bench.run [SCENARIO ...] [--quick] [--peers loop,script,gateway] [--seconds N] ...

Scenarios: base, ramp, dead, outage, drain; all of them when none is named. docs/performance.md says what each
figure is. One JSON line a result goes to bench/results/.
"""

import argparse
import dataclasses
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench import report, scenarios
from bench.build import SOURCES, broker_program, program
from bench.gateway_peer import Gateway, TlsGateway
from bench.peers import Command, Loop, Peer, Script
from bench.scenarios import QUICK, Plan, Result
from bench.stage import Job

PEERS: dict[str, type[Peer]] = {kind.name: kind for kind in (Loop, Script, Gateway, TlsGateway)}
SHARED_JOB = Job(shared=True)
SERIAL_JOB = Job(units=10, baud=19200)
Task = Callable[[], Result]


class Bench:
    """One invocation: which peers, how long, and where it works."""

    def __init__(self, peers: list[type[Peer]], plan: Plan, work: Path) -> None:
        self.peers = peers
        self.plan = plan
        self.work = work
        self.count = 0

    def task(
        self, scenario: str, case: str, kind: type[Peer], play: Callable[[type[Peer], Plan, Path], dict[str, Any]]
    ) -> Task:
        """A run that can be started later; its failure is a result too."""
        self.count += 1
        folder = self.work / f"{self.count:03}-{scenario}-{kind.name}"

        def start() -> Result:
            say(f"{scenario} {case} {kind.name}")
            try:
                figures = play(kind, self.plan, folder)
            except (RuntimeError, OSError) as error:
                figures = {"error": str(error), "work": str(folder)}
            return Result(scenario, kind.name, case, figures)

        return start

    def played(self, scenario: str, case: str, kind: type[Peer], job: Job, act: Any) -> Task:
        """A task of the usual form: stage, first value, act."""
        return self.task(
            scenario, case, kind, lambda kind, plan, folder: scenarios.play(kind, job, plan, folder, act)
        )

    def base(self) -> Iterator[Result]:
        """One peer after the other, since here CPU is what counts."""
        for kind in self.peers:
            yield self.played("base", "", kind, Job(), scenarios.base)()

    def ramp(self) -> Iterator[Result]:
        """More and more to poll, each peer until it slips."""
        for kind in self.peers:
            for units, period_ms in self.plan.ramp if kind.compared else ():
                job = Job(period_ms, units)
                result = self.played("ramp", f"{units} units, {period_ms} ms", kind, job, scenarios.ramp_step)()
                yield result
                if not result.figures.get("sustained"):
                    break

    def dead(self) -> Iterator[Result]:
        """All peers at the same time: periods are compared with their own before the death."""
        cases = [("TCP", SHARED_JOB, kind) for kind in self.peers if kind.compared]
        cases += [("RTU", SERIAL_JOB, kind) for kind in self.peers if kind.compared and kind.serial]
        yield from together([self.played("dead", case, kind, job, scenarios.dead) for case, job, kind in cases])

    def outage(self) -> Iterator[Result]:
        """All peers and cases at the same time: counts do not depend on the CPU."""
        yield from together(
            [
                self.played("outage", case, kind, Job(), act)
                for case, act in scenarios.OUTAGES.items()
                for kind in self.peers
                if kind.compared
            ]
        )

    def drain(self) -> Iterator[Result]:
        """One after the other."""
        for kind in self.peers:
            if kind.compared and kind.stores:
                yield self.task("drain", "", kind, scenarios.drain)()


def together(tasks: list[Task]) -> Iterator[Result]:
    """Run tasks side by side and yield their results in order."""
    with ThreadPoolExecutor(max(1, len(tasks))) as pool:
        for future in [pool.submit(task) for task in tasks]:
            yield future.result()


def say(text: str) -> None:
    """One line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    """Where it ran: no figure means anything without it."""
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(": ")[-1] for line in cpuinfo if line.startswith("model name")), "")
    return {
        "cpus": os.cpu_count(),
        "model": model or platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def arguments() -> argparse.Namespace:
    """The command line."""
    words = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__.split("\n")[0])
    words.add_argument("scenarios", nargs="*", help=f"of {', '.join(SCENARIOS)}; all when none is named")
    words.add_argument("--quick", action="store_true", help="about five minutes for everything")
    words.add_argument("--peers", default=",".join(PEERS), help="comma-separated, of %(default)s, command")
    words.add_argument("--command", metavar="LINE", help="a gateway of yours: started by a shell (peer 'command')")
    words.add_argument("--seconds", type=float, help="window of base")
    words.add_argument("--down", type=float, help="length of an outage in seconds")
    words.add_argument("--backlog", type=int, help="values to drain")
    words.add_argument("--ramp", help="steps of ramp: units x ms, comma-separated, e.g. 50x100,100x100")
    words.add_argument("--signal", choices=["walk", "noise"], default="walk", help="how registers change")
    words.add_argument("--work", type=Path, help="folder on the disk that is to be measured (default: a new one)")
    words.add_argument("--keep", action="store_true", help="leave the work folder for inspection")
    return words.parse_args()


SCENARIOS = ["base", "ramp", "dead", "outage", "drain"]


def plan_from(args: argparse.Namespace) -> Plan:
    """Durations: the quick or the full plan, with what the command line says otherwise."""
    chosen = {
        "window_s": args.seconds,
        "down_s": args.down,
        "backlog_values": args.backlog,
        "ramp": steps_from(args.ramp) if args.ramp else None,
        "signal_form": args.signal,
    }
    return dataclasses.replace(
        QUICK if args.quick else Plan(), **{name: value for name, value in chosen.items() if value is not None}
    )


def steps_from(text: str) -> tuple[tuple[int, int], ...]:
    """Units and period in ms of each step in ``50x100,100x100``."""
    pairs = (step.split("x") for step in text.split(","))
    return tuple((int(units), int(period_ms)) for units, period_ms in pairs)


def main() -> None:
    """Run what is asked, print a table, write JSON lines."""
    args = arguments()
    wanted = args.scenarios or SCENARIOS
    kinds = dict(PEERS)
    if args.command:
        Command.line = args.command
        kinds[Command.name] = Command
        args.peers += f",{Command.name}"
    unknown = [name for name in wanted if name not in SCENARIOS]
    unknown += [name for name in args.peers.split(",") if name not in kinds]
    if unknown:
        sys.exit(f"not known: {', '.join(unknown)}")
    broker_program()
    for name in SOURCES:
        program(name)
    work = args.work or Path(tempfile.mkdtemp(prefix="aurora-bench-", dir="/var/tmp"))
    bench = Bench([kinds[name] for name in dict.fromkeys(args.peers.split(","))], plan_from(args), work)
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    file = folder / f"{time.strftime('%Y%m%d-%H%M%S')}.jsonl"
    results: list[Result] = []
    with file.open("w") as lines:
        print(json.dumps({"machine": machine(), "plan": dataclasses.asdict(bench.plan)}), file=lines)
        for name in wanted:
            for result in getattr(bench, name)():
                results.append(result)
                print(json.dumps(dataclasses.asdict(result)), file=lines, flush=True)
    print(report.table(results))
    print(f"\n{file}")
    if args.keep or any("error" in result.figures for result in results):
        print(f"work folder: {work}")
    else:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
