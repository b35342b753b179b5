"""A refrigerated room at one value a minute, cheap enough to run for months: thermostat, defrosts, doors, days."""

import math
import random
from collections.abc import Iterator

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def room(seed: int, days: float, setpoint: float = 3.0) -> Iterator[tuple[float, float, bool]]:
    """Time (s), temperature (0.1 degrees) and whether the value is in a defrost or behind a door, labelled.

    Air is one lump with a time constant of half an hour against the outside and a quarter of one against the coil.
    """
    rng = random.Random(seed)
    air, cooling, labelled, door = setpoint + 1.0, True, 0, 0.0
    slow = 0.0
    for minute in range(round(days * 1440)):
        hour = minute / 60.0 % 24.0
        working = 6.0 <= hour < 18.0 and minute // 1440 % 7 < 5
        slow += rng.gauss(0.0, 0.02) - 0.01 * slow
        outside = 19.0 + 4.0 * math.sin(2.0 * math.pi * (hour - 9.0) / 24.0) + slow
        if rng.random() < (1 / 30 if working else 1 / 400):
            door = rng.uniform(0.2, 1.2)
        defrost = minute % 360 in range(40, 58)
        if air >= setpoint + 2.0:
            cooling = True
        elif air <= setpoint:
            cooling = False
        heat = (outside - air) / 300.0 + (outside - air) / 14.0 * door
        heat += 0.12 if defrost else (setpoint - 10.0 - air) / 40.0 if cooling else 0.0
        air += heat
        labelled = 25 if defrost or door > 0.0 else labelled - 1
        door = 0.0
        yield MINUTE * minute, round(air + rng.gauss(0.0, 0.03), 1), labelled > 0
