"""How often the refrigeration bank is wrong in normal months, how soon it finds faults, what it costs.

    python -m bench.refrigeration                  # about 15 minutes: everything
    python -m bench.refrigeration normal --seeds 8 --days 60
    python -m bench.refrigeration faults --kinds chill,freezer
    python -m bench.refrigeration speed

Everything is simulated (`gateway.demo.months`): the figures say what the bank does in such rooms, not in yours.
"""

import argparse
import dataclasses
import math
import random
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence

from gateway_core.refrigeration import Bank, Core, Finding, Label, NewCore, PureCore
from gateway_core.refrigeration_state import FIELDS

from gateway.demo.hunting import HuntingPasteuriser
from gateway.demo.months import KINDS, Fault, Month, simulate

DAY_S = 86400.0
FAULTS = (
    Fault(kind="no-defrost", at_s=0),
    Fault(kind="endless-defrost", at_s=0),
    Fault(kind="door", at_s=0),
    Fault(kind="short-cycling", at_s=0, size=0.3),
    Fault(kind="weak", at_s=0, size=0.25),
    Fault(kind="weak", at_s=0, size=0.0),
    Fault(kind="icing", at_s=0, size=0.5),
    Fault(kind="icing", at_s=0, size=0.25),
    Fault(kind="drift", at_s=0, size=0.1),
    Fault(kind="drift", at_s=0, size=-0.1),
    Fault(kind="stuck", at_s=0),
    Fault(kind="in-product", at_s=0),
    Fault(kind="frequent", at_s=0, size=3.0),
)


def judge(month: Month, kind: str = "room") -> list[Label | Finding]:
    """All that the bank says about one channel."""
    bank, count = Bank([kind]), len(month.t_s)
    bank.update_many(
        array("i", [0]) * count, month.t_s, month.x, array("B", b"\1" * count), array("B", bytes(count))
    )
    return bank.take()


def found(truth: Sequence[tuple[float, float]], labels: Sequence[tuple[float, float]]) -> tuple[int, int]:
    """How many true events a label overlaps, and how many labels overlap no true event."""
    hits = sum(any(start < e + 600 and end > s for start, end in labels) for s, e in truth)
    false = sum(not any(start < e + 600 and end > s for s, e in truth) for start, end in labels)
    return hits, false


def normal(kinds: Sequence[str], periods: Sequence[float], seeds: int, days: float) -> None:
    """Advisories of months without a fault; every second room has its setpoint changed once."""
    print("| room | period s | months | advisories a month | which | defrosts seen | labels false |")
    print("|---|---|---|---|---|---|---|")
    total, months = Counter[str](), 0.0
    for kind in kinds:
        for period_s in periods:
            said = Counter[str]()
            true = seen = wrong = 0
            for seed in range(seeds):
                spec, life = KINDS[kind]
                if seed % 2:
                    life = dataclasses.replace(life, setpoints={days * 0.6: 1.0 if seed % 4 == 1 else -1.5})
                month = simulate(spec, life, days=days, seed=seed, period_s=period_s)
                notices = judge(month)
                said.update(n.what for n in notices if isinstance(n, Finding) and n.active)
                named = [(n.start_s, n.end_s) for n in notices if isinstance(n, Label) and n.kind == "defrost"]
                ended = [d for d in month.defrosts if not math.isnan(d[1])]
                hits, false = found(ended, named)
                true, seen, wrong = true + len(ended), seen + hits, wrong + false
            lived = seeds * days / 30.0
            total, months = total + said, months + lived
            which = ", ".join(f"{what} {count}" for what, count in said.most_common())
            rate = sum(said.values()) / lived
            print(
                f"| {kind} | {period_s:g} | {lived:g} | {rate:.2f} | {which} | {seen} of {true} | {wrong} |",
                flush=True,
            )
    print(f"\n{months:g} channel-months, {sum(total.values()) / months:.2f} advisories each: {dict(total)}")


def faults(kinds: Sequence[str], periods: Sequence[float], seeds: int) -> None:
    """The first findings after each fault, in hours from its beginning."""
    at_s = 14.3 * DAY_S
    print("| fault | size | room | period s | first findings after it (h), one seed after the other |")
    print("|---|---|---|---|---|")
    for fault in FAULTS:
        for kind in kinds:
            for period_s in periods:
                told = []
                for seed in range(seeds):
                    begun = dataclasses.replace(fault, at_s=at_s)
                    spec, life = KINDS[kind]
                    month = simulate(spec, life, days=24, seed=seed, period_s=period_s, fault=begun)
                    first: dict[str, float] = {}
                    for n in judge(month):
                        if isinstance(n, Finding) and n.active and n.at_s > at_s:
                            first.setdefault(n.what, (n.at_s - at_s) / 3600.0)
                    told.append(", ".join(f"{what} {hours:.1f}" for what, hours in list(first.items())[:3]) or "-")
                print(f"| {fault.kind} | {fault.size:g} | {kind} | {period_s:g} | {' / '.join(told)} |", flush=True)


def process(hours: float, seed: int, period_s: int, hunts_at_s: float) -> Month:
    """The holding temperature of a pasteuriser."""
    line, noise = HuntingPasteuriser(random.Random(seed), hunts_at_s=hunts_at_s), random.Random(seed + 1)
    month = Month(period_s, array("d"), array("d"), [], [])
    for second in range(int(hours * 3600)):
        line.step()
        if second % period_s == 0:
            month.t_s.append(float(second))
            month.x.append(round(line.holding_c + noise.gauss(0.0, 0.03), 1))
    return month


def hunting(seeds: int) -> None:
    """A pasteuriser that begins to hunt after 40 hours, and one that never does."""
    print("| period s | findings before (40 h) | hunting found after (h) |")
    print("|---|---|---|")
    for period_s in (1, 5, 10, 30):
        early, after = 0, []
        for seed in range(seeds):
            begun = [n for n in judge(process(50.0, seed, period_s, 144e3), "process") if isinstance(n, Finding)]
            early += sum(n.active and n.at_s < 144e3 for n in begun)
            times = [(n.at_s - 144e3) / 3600 for n in begun if n.what == "hunting" and n.at_s >= 144e3]
            after.append(f"{min(times):.1f}" if times else "-")
        print(f"| {period_s} | {early} | {', '.join(after)} |", flush=True)


def batches(channels: int, steps: int) -> Iterator[tuple["array[int]", "array[float]", "array[float]"]]:
    """Scans of all channels, two hundred a call: real rooms, each at another place of its life."""
    rooms = [simulate(*KINDS[kind], days=10, seed=3, period_s=60.0) for kind in KINDS]
    one = array("i", range(channels))
    for start in range(0, steps, 200):
        times, values = array("d"), array("d")
        for step in range(start, min(start + 200, steps)):
            times.extend(array("d", [60.0 * step]) * channels)
            values.extend(array("d", [rooms[c % len(rooms)].x[step + 37 * (c % 100)] for c in range(channels)]))
        yield one * (len(times) // channels), times, values


def speed() -> None:
    """CPU ns a sample: the least of three runs, because others use the machine too."""
    print(f"{len(FIELDS) * 8 + 12 * 8 + 8} bytes a channel")
    for channels in (1, 64, 256, 1000):
        work = list(batches(channels, min(10000, 1_500_000 // channels)))
        best = math.inf
        for _ in range(3):
            bank, spent = Bank(["room"] * channels), 0.0
            for channel, t_s, x in work:
                usable, flags = array("B", b"\1" * len(x)), array("B", bytes(len(x)))
                before = time.process_time()
                bank.update_many(channel, t_s, x, usable, flags)
                spent += time.process_time() - before
                bank.take()
            best = min(best, spent / sum(len(x) for _, _, x in work))
        print(f"{channels} channels: {best * 1e9:.0f} ns a sample in batches")
    cores: tuple[tuple[str, type[Core]], ...] = (("compiled", NewCore), ("twin", PureCore))
    for name, core in cores:
        bank = Bank(["room"], core=core)
        month = simulate(*KINDS["chill"], days=10, seed=3, period_s=60.0)
        before = time.process_time()
        for at_s, value in zip(month.t_s, month.x, strict=True):
            bank.update(0, at_s, value)
        print(f"{name}: {(time.process_time() - before) / len(month.x) * 1e9:.0f} ns a scalar call")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.refrigeration", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("what", nargs="?", choices=("all", "normal", "faults", "hunting", "speed"), default="all")
    parser.add_argument("--kinds", default=",".join(KINDS), help="rooms, with commas between them")
    parser.add_argument("--periods", default="60,300,900", help="sampling periods, s")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--days", type=float, default=60.0)
    options = parser.parse_args()
    kinds, periods = options.kinds.split(","), [float(period) for period in options.periods.split(",")]
    if options.what in {"all", "speed"}:
        speed()
    if options.what in {"all", "normal"}:
        normal(kinds, periods, options.seeds, options.days)
    if options.what in {"all", "faults"}:
        faults(kinds, periods, min(options.seeds, 3))
    if options.what in {"all", "hunting"}:
        hunting(min(options.seeds, 3))


if __name__ == "__main__":
    main()
