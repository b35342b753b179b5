"""The simulated rooms obey the first law, and do what refrigerated rooms do."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.demo.facility import ROOMS, Plant
from gateway.demo.pasteuriser import DIVERT_BELOW_C, Pasteuriser
from gateway.demo.thermal import Mode, Room, RoomSpec

NEVER = 1e9
QUIET = RoomSpec(name="quiet", setpoint_c=2.0, defrost_first_s=NEVER, door_every_s=NEVER)


def room(spec: RoomSpec = QUIET, seed: int = 1) -> Room:
    return Room(spec, random.Random(seed))


def run(subject: Room, seconds: int, ambient_c: float = 20.0) -> list[float]:
    """Air temperature of each second."""
    air = []
    for _ in range(seconds):
        subject.step(ambient_c)
        air.append(subject.air_c)
    return air


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(ROOMS), st.integers(0, 1000), st.floats(-10, 35))
def test_energy_is_neither_made_nor_lost(spec: RoomSpec, seed: int, ambient_c: float) -> None:
    """Through doors, defrosts and failure, the heat content changes by what crosses the border of the room."""
    subject = room(replace(spec, defrost_first_s=300.0, door_every_s=120.0, fails_at_s=600.0), seed)
    before = subject.energy_j
    run(subject, 2400, ambient_c)
    assert subject.energy_j - before == pytest.approx(subject.heat_in_j, abs=1.0)
    assert subject.frost_kg >= 0.0


def test_heat_flows_from_warm_to_cold() -> None:
    subject = room(replace(QUIET, capacity_w=0.0, fan_w=0.0))
    subject.frost_kg = 0.0
    air = run(subject, 6 * 3600)
    assert air == sorted(air)
    assert subject.product_c < subject.air_c < 20.0


def test_the_thermostat_holds_its_band_with_hysteresis() -> None:
    subject = room()
    run(subject, 3600)
    states, air = [], []
    for _ in range(6 * 3600):
        air += run(subject, 1)
        states.append(subject.compressor)
    starts = sum(not before and after for before, after in pairwise(states))
    assert 1.2 < min(air) < 2.2
    assert 3.8 < max(air) < 4.8
    assert 4 <= starts <= 18


def test_the_compressor_rests_before_it_starts_again() -> None:
    subject = room(replace(QUIET, wall_w_k=60.0, differential_k=0.3))
    off, rests = 0, []
    for _ in range(7200):
        run(subject, 1)
        if subject.compressor and off:
            rests.append(off)
        off = 0 if subject.compressor else off + 1
    assert rests
    assert min(rests) >= QUIET.min_off_s - 1


def test_product_follows_slowly() -> None:
    subject = room()
    run(subject, 1800)
    before = subject.product_c
    subject.open_door(600)
    air = run(subject, 600)
    assert air[-1] > 8.0
    assert subject.product_c - before < 0.5


def test_an_open_door_warms_and_a_closed_one_recovers() -> None:
    subject = room()
    run(subject, 1800)
    before = subject.air_c
    subject.open_door(90)
    assert not subject.fan
    opened = run(subject, 90)
    assert opened[-1] > before + 1.0
    assert not subject.door_open
    assert min(run(subject, 3600)) < 2.5


@pytest.mark.parametrize("index", [0, 2])
def test_a_defrost_heats_the_coil_then_the_room_a_little(index: int) -> None:
    spec = replace(ROOMS[index], door_every_s=NEVER, defrost_first_s=NEVER, fails_at_s=None)
    subject = room(spec)
    run(subject, 7200)
    before, frost = subject.air_c, subject.frost_kg
    subject.defrost()
    modes: list[Mode] = []
    coil, air = [], []
    for _ in range(3600):
        air += run(subject, 1)
        coil.append(subject.coil_c)
        if not modes or modes[-1] is not subject.mode:
            modes.append(subject.mode)
    assert modes == [Mode.DEFROST, Mode.DRIP, Mode.FAN_DELAY, Mode.COOLING]
    assert max(coil) == pytest.approx(spec.defrost_end_c, abs=1.5)
    assert subject.frost_kg < max(frost, 0.05)
    assert 0.0 < max(air) - before < 5.0
    assert min(air[-1200:]) <= spec.setpoint_c + 0.3


def test_a_melting_coil_waits_at_zero() -> None:
    subject = room(replace(ROOMS[2], door_every_s=NEVER, defrost_first_s=0.0))
    subject.frost_kg = 3.0
    at_zero = 0
    for _ in range(2400):
        run(subject, 1)
        at_zero += subject.coil_c == 0.0
    assert at_zero > 300


def test_a_failing_compressor_lets_the_room_drift_and_a_repair_brings_it_back() -> None:
    spec = replace(ROOMS[1], door_every_s=NEVER, defrost_first_s=NEVER)
    subject = room(spec)
    early = run(subject, 900)
    assert max(early) < 5.0
    run(subject, 5 * 3600)
    late = run(subject, 600)
    assert min(late) > 8.0
    assert subject.health < 0.1
    subject.repair()
    run(subject, 4 * 3600)
    assert subject.air_c < 5.0


def test_a_failure_can_be_ordered() -> None:
    subject = room()
    run(subject, 60)
    subject.fail()
    run(subject, 600)
    assert subject.health < 0.8


def test_the_pasteuriser_never_sends_cold_milk_forward() -> None:
    line = Pasteuriser(random.Random(7))
    line.dip(0)
    forward, diversions, was = 0, 0, False
    for _ in range(12 * 3600):
        line.step()
        assert not (line.forward and line.holding_c < DIVERT_BELOW_C)
        assert 0.0 < line.holding_c < 80.0
        forward += line.forward
        diversions += was and not line.forward
        was = line.forward
    assert forward > 0.85 * 12 * 3600
    assert diversions >= 3


def test_a_steam_failure_diverts_and_the_line_comes_back() -> None:
    line = Pasteuriser(random.Random(1))
    for _ in range(590):
        line.step()
    assert line.forward
    line.dip(200)
    states = []
    for _ in range(900):
        line.step()
        states.append(line.forward)
    assert not all(states)
    assert states[-1]


def history(seed: int, steps: int = 1500) -> list[object]:
    plant = Plant(seed)
    seen: list[object] = []
    for _ in range(steps):
        plant.step()
        if plant.time_s % 100 == 0:
            seen.append(plant.status())
            seen.append(plant.units["rtu"][3].read(3, 0, 8))  # type: ignore[arg-type]
            seen.append(plant.units["tcp"][10].read(4, 0, 2))  # type: ignore[arg-type]
    return seen


def test_the_same_seed_gives_the_same_history() -> None:
    assert history(5) == history(5)
    assert history(5) != history(6)
