"""Over months of a refrigerated room the detectors stay quiet, and they find what goes wrong in time."""

import random
from collections.abc import Callable

import pytest
from core_rooms import DAY, HOUR, room
from gateway_core.anomaly import THRESHOLD, Bank

Row = tuple[float, float, bool]


@pytest.fixture(scope="module")
def rooms() -> list[list[Row]]:
    return [list(room(seed, 67.0)) for seed in range(4)]


@pytest.mark.parametrize(("labels", "most_a_month"), [(False, 1.0), (True, 0.5)])
def test_advisories_are_rare_in_ordinary_months(rooms: list[list[Row]], labels: bool, most_a_month: float) -> None:
    advisories = 0
    for rows in rooms:
        bank = Bank(1)
        advisories += sum(bank.update(0, t, x, True, labels and labelled) >= THRESHOLD for t, x, labelled in rows)
    months = len(rooms) * 60.0 / 30.0
    assert advisories / months <= most_a_month


def drifted(x: float, hours: float, _: random.Random) -> float:
    return x + 0.1 * hours


def sunk(x: float, hours: float, _: random.Random) -> float:
    return x - 0.1 * hours


def crept(x: float, hours: float, _: random.Random) -> float:
    return x + 1.0 * hours / 24.0


def noisy(x: float, _: float, rng: random.Random) -> float:
    return x + rng.gauss(0.0, 0.5)


def swapped(_: float, __: float, rng: random.Random) -> float:
    return 19.0 + rng.gauss(0.0, 0.1)


def offset(x: float, _: float, __: random.Random) -> float:
    return x + 2.0


def left_open(x: float, hours: float, _: random.Random) -> float:
    return x + 14.0 * (1.0 - 0.5 ** (hours / 0.25))


def steady(x: float, _: float, rng: random.Random) -> float:
    """A probe that has fallen into the product."""
    return 4.0 + 0.05 * (x - 4.0) + rng.gauss(0.0, 0.02)


@pytest.mark.parametrize(
    ("fault", "within_h"),
    [
        (drifted, 12.0),
        (sunk, 12.0),
        (crept, 36.0),
        (noisy, 2.0),
        (swapped, 0.02),
        (offset, 6.0),
        (left_open, 1.0),
        (steady, 12.0),
    ],
)
def test_faults_are_found_in_time(
    rooms: list[list[Row]], fault: Callable[[float, float, random.Random], float], within_h: float
) -> None:
    begins = 40.0 * DAY + 10.0 * HOUR
    for seed, rows in enumerate(rooms[:2]):
        rng = random.Random(seed)
        bank = Bank(1)
        for t, x, _ in rows:
            hours = (t - begins) / HOUR
            found = bank.update(0, t, round(fault(x, hours, rng), 1) if hours >= 0.0 else x) >= THRESHOLD
            assert hours <= within_h, f"{fault.__name__} was not found in {within_h} h"
            if found and hours >= 0.0:
                break


def test_a_stuck_value_is_found_in_time(rooms: list[list[Row]]) -> None:
    begins = 40.0 * DAY
    for rows in rooms:
        bank = Bank(1)
        kept = 0.0
        for t, x, _ in rows:
            kept = kept if t > begins else x
            assert t < begins + 4.0 * HOUR
            if bank.update(0, t, kept) >= THRESHOLD and t > begins:
                break
        assert bank.explain(0).detector in {"flat", "noise", "spread", "drift", "trough", "peak", "daily-mean"}


def test_the_thermostat_cycle_is_found(rooms: list[list[Row]]) -> None:
    """A room without doors and defrosts, cycling every 24 minutes: the period comes from the data alone."""
    bank = Bank(1)
    for minute in range(8 * 1440):
        place = minute % 24
        bank.update(0, 60.0 * minute, 3.0 + abs(place - 12) / 6.0 + (minute * 7919 % 13) / 100.0)
    assert bank.explain(0).cycle_s == pytest.approx(24 * 60.0, rel=0.05)


@pytest.mark.parametrize("gap_h", [1.0, 12.0, 72.0])
def test_a_gap_brings_no_advisory(rooms: list[list[Row]], gap_h: float) -> None:
    """The first value after a gap weighs no more than others do; the room went on as it was."""
    for rows in rooms:
        bank = Bank(1)
        begins = 30.0 * DAY
        for t, x, _ in rows:
            if not begins < t < begins + gap_h * HOUR and t < begins + (gap_h + 3.0) * HOUR:
                score = bank.update(0, t, x)
                assert t < begins or score < THRESHOLD, bank.explain(0).words
        assert bank.explain(0).gaps == 1


def test_a_room_that_is_elsewhere_after_a_gap_is_found(rooms: list[list[Row]]) -> None:
    bank = Bank(1)
    for t, x, _ in rooms[0]:
        if t < 30.0 * DAY:
            bank.update(0, t, x)
    assert bank.update(0, 30.5 * DAY, 15.0) >= THRESHOLD
