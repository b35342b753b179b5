"""What the gateway's advice amounts to as a whole: both banks and the judge above them.

    python -m bench.advice                 # cost of a value over 256 channels, then false advice in simulated rooms
    python -m bench.advice --days 60 --seeds 2

Cost is processor time of the calls into the compiled banks (anomaly detectors and refrigeration together). Advice
is counted as alarms of the advisory tier in rooms in which nothing is wrong (gateway/demo/months.py), one value a
minute.
"""

import argparse
import time
from array import array
from collections import Counter
from pathlib import Path
from random import Random

from gateway_core import anomaly, refrigeration

from gateway.assess.advisories import AdvisoryJudge
from gateway.demo.months import KINDS, simulate
from gateway.model import Column, Condition, DeviceLayout, Layout, Scan
from gateway.site import Identity, PointSpec, Site

CHANNELS = 256
ROUNDS = 400
PERIOD_S = 60.0


def cost_ns() -> tuple[float, float]:
    """Nanoseconds a value of each bank, best of three, over `CHANNELS` channels of cycling rooms."""
    source = Random(1)
    channel = array("i", range(CHANNELS))
    usable = array("B", b"\1" * CHANNELS)
    best = [float("inf"), float("inf")]
    for _ in range(3):
        cold, bank = refrigeration.Bank(["room"] * CHANNELS), anomaly.Bank(CHANNELS)
        flags, score = array("B", bytes(CHANNELS)), array("d", bytes(8 * CHANNELS))
        spent = [0.0, 0.0]
        for number in range(ROUNDS):
            t_s = array("d", [number * PERIOD_S]) * CHANNELS
            swing = (number % 30) / 15
            x = array("d", [round(2 + abs(1 - swing) + source.gauss(0, 0.05), 1) for _ in range(CHANNELS)])
            began = time.process_time()
            if cold.update_many(channel, t_s, x, usable, flags):
                cold.take()
            between = time.process_time()
            bank.update_many(channel, t_s, x, usable, score, expected=flags)
            spent[0] += between - began
            spent[1] += time.process_time() - between
        best = [min(one, now / ROUNDS / CHANNELS * 1e9) for one, now in zip(best, spent, strict=True)]
    return best[0], best[1]


def advice(kind: str, seed: int, days: float) -> Counter[str]:
    """Advice in a room in which nothing is wrong, by its name."""
    point = PointSpec(id="room", name="Room", device="room", channel="t")
    site = Site(
        identity=Identity(member="m", site="s", gateway="g"),
        data_dir=Path(),
        buses=(),
        devices=(),
        points=(point,),
    )
    column = Column("t", "degC", 1)
    layout = Layout((DeviceLayout("room", "bus", "model", "", round(PERIOD_S * 1000), 0, (column,)),))
    judge = AdvisoryJudge(site, layout)
    spec, life = KINDS[kind]
    month = simulate(spec, life, days=days, seed=seed, period_s=PERIOD_S)
    found: Counter[str] = Counter()
    for slot, (t_s, value) in enumerate(zip(month.t_s, month.x, strict=True)):
        for finding in judge.scan(Scan(0, slot, round(t_s * 1000), array("d", [value]), b"\0")):
            if isinstance(finding, Condition) and finding.active:
                found[finding.rule] += 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=60.0)
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args()
    cold_ns, bank_ns = cost_ns()
    print(
        f"a value over {CHANNELS} channels: refrigeration {cold_ns:.0f} ns, anomaly {bank_ns:.0f} ns, "
        f"together {cold_ns + bank_ns:.0f} ns"
    )
    total: Counter[str] = Counter()
    months = 0.0
    for kind in KINDS:
        for seed in range(args.seeds):
            found = advice(kind, seed, args.days)
            total += found
            months += args.days / 30
            print(f"{kind:18} seed {seed}: {dict(found) or 'nothing'}")
    if months:
        print(
            f"{sum(total.values()) / months:.2f} a month and channel over {months:g} channel-months: {dict(total)}"
        )


if __name__ == "__main__":
    main()
