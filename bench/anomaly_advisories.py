"""How often the detectors speak about months of ordinary rooms, and how soon they find what is broken.

    python -m bench.anomaly_advisories [--days 70] [--rooms 6] [--labels]

The rooms are those of the demo (`gateway.demo.thermal`: heat balances, thermostat, frost, defrosts) with doors
used in working hours; three openings of a hundred are forgotten for 90 to 300 s. Values come once a minute, in
tenths of a degree. An advisory that follows such an opening is counted as found, any other as false. Then
faults are put on top of the same values. With --labels the values around defrosts and doors are marked as
expected, as a recogniser of them would. About one second of processor time a room and day.
"""

import argparse
import math
import random
from array import array
from collections.abc import Callable
from typing import NamedTuple

from gateway_core.anomaly import THRESHOLD, Bank, Config

from gateway.demo.thermal import Mode, Probe, Room, RoomSpec

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
FORGOTTEN_S = 90.0
AFTER_DOOR = 45
"""Minutes after an opening in which an advisory is about it."""
AFTER_LABEL = 25
"""Minutes for which a room recovers."""

KINDS = (
    (RoomSpec(name="cold", setpoint_c=2.0), 1500.0),
    (
        RoomSpec(name="freezer", setpoint_c=-21.0, wall_w_k=15.0, defrost_every_s=8 * HOUR, capacity_w=3000.0),
        2400.0,
    ),
    (RoomSpec(name="busy", setpoint_c=3.0, differential_k=1.5, defrost_every_s=4 * HOUR), 500.0),
)
"""What rooms there are, and the mean time between openings in working hours."""


class Record(NamedTuple):
    """A value a minute; whether a defrost or an opening is going on; whether an opening was forgotten."""

    name: str
    values: "array[float]"
    labelled: bytearray
    forgotten: bytearray


def record(number: int, days: int) -> Record:
    """Let a room run."""
    spec, doors_s = KINDS[number % len(KINDS)]
    rng = random.Random(number)
    room = Room(RoomSpec(**{name: getattr(spec, name) for name in spec.__slots__} | {"door_every_s": 1e12}), rng)
    probe = Probe(rng, room.air_c, tau_s=60.0)
    kept = Record(f"{spec.name} {number}", array("d"), bytearray(), bytearray())
    weather, opens, long_until = 0.0, 600.0, 0.0
    for second in range(days * 86400):
        hour, day = second / HOUR % 24.0, second // 86400 % 7
        if second % 600 == 0:
            weather += rng.gauss(0.0, 0.15) - 0.002 * weather
        if second >= opens:
            lasts = rng.uniform(FORGOTTEN_S, 300.0) if rng.random() < 0.03 else rng.uniform(15.0, 75.0)
            room.open_door(lasts)
            long_until = second + lasts if lasts >= FORGOTTEN_S else long_until
            working = (6.0 <= hour < 18.0 and day < 5) or (7.0 <= hour < 12.0 and day == 5)
            opens = second + 60.0 + rng.expovariate(1.0 / (doors_s if working else 20.0 * doors_s))
        room.step(19.0 + 4.0 * math.sin(2.0 * math.pi * (hour - 9.0) / 24.0) + weather)
        probe.step(room.air_c)
        if second % 60 == 59:
            kept.values.append(round(probe.value, 1))
            kept.labelled.append(room.mode is not Mode.COOLING or room.door_open)
            kept.forgotten.append(second < long_until)
    return kept


def expected(kept: Record) -> bytearray:
    """The labels with the time of recovery behind them."""
    marks, left = bytearray(), 0
    for label in kept.labelled:
        left = AFTER_LABEL if label else max(0, left - 1)
        marks.append(left > 0)
    return marks


def advisories(values: "array[float]", marks: bytearray | None) -> list[tuple[int, str]]:
    """Minute and detector of each."""
    bank = Bank(1)
    found = []
    for minute, x in enumerate(values):
        if bank.update(0, MINUTE * minute, x, True, marks is not None and bool(marks[minute])) >= THRESHOLD:
            found.append((minute, str(bank.explain(0).detector)))
    return found


class Moment(NamedTuple):
    """What a fault acts on: the true value, hours since it began, randomness, the value with which it began."""

    x: float
    hours: float
    rng: random.Random
    first: float


Fault = Callable[[Moment], float]

FAULTS: dict[str, Fault] = {
    "drift of 0.1 K/h": lambda now: now.x + 0.1 * now.hours,
    "drift of -0.1 K/h": lambda now: now.x - 0.1 * now.hours,
    "drift of 1 K a day": lambda now: now.x + now.hours / 24.0,
    "offset of 1 K": lambda now: now.x + 1.0,
    "offset of 2 K": lambda now: now.x + 2.0,
    "noise of 0.5 K": lambda now: now.x + now.rng.gauss(0.0, 0.5),
    "stuck": lambda now: now.first,
    "in the product": lambda now: 0.2 * now.x + 0.8 * now.first,
    "sensor swapped": lambda now: 19.0 + 0.05 * now.x,
}


def delay_h(kept: Record, fault: Fault, begins: int) -> str:
    """Hours from the beginning of a fault to the first advisory behind it, and who gave it."""
    rng, first = random.Random(1), kept.values[begins]
    values = kept.values[: begins + 7 * 1440]
    for minute in range(begins, len(values)):
        values[minute] = round(fault(Moment(values[minute], (minute - begins) / 60.0, rng, first)), 1)
    for minute, detector in advisories(values, None):
        if minute >= begins:
            return f"{(minute - begins) / 60.0:.1f} h ({detector})"
    return "not in 7 days"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=70)
    parser.add_argument("--rooms", type=int, default=6)
    parser.add_argument("--labels", action="store_true", help="mark defrosts and doors as expected")
    arguments = parser.parse_args()
    if arguments.days < 45:
        parser.error("at least 45 days: a week to learn, a month to count, a week of faults")
    months = (arguments.days - Config().warm_up_s / DAY) / 30.0
    false = about_doors = 0
    for number in range(arguments.rooms):
        kept = record(number, arguments.days)
        said = advisories(kept.values, expected(kept) if arguments.labels else None)
        doors = sum(any(kept.forgotten[max(0, minute - AFTER_DOOR) : minute + 1]) for minute, _ in said)
        false, about_doors = false + len(said) - doors, about_doors + doors
        print(f"{kept.name}: {len(said)} advisories in {months:.1f} months, {doors} after a forgotten door")
        print("   ", ", ".join(f"day {minute / 1440:.1f} {detector}" for minute, detector in said) or "none")
        if not arguments.labels:
            for name, fault in FAULTS.items():
                print(f"    {name:20} {delay_h(kept, fault, 30 * 1440 + 300)}", flush=True)
    share = 1.0 / (months * arguments.rooms)
    print(f"a month and channel: {false * share:.2f} false, {about_doors * share:.2f} after forgotten doors")


if __name__ == "__main__":
    main()
