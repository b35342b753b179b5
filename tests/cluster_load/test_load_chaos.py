"""Everything is killed at random while a fleet sends, part of it with bad intent: nothing is lost or doubled."""

from random import Random

import pytest
from load_world import NOW_MS, World, until

from bench.fleet.cargo import REPEATS, REVERSES, make_fleet
from bench.fleet.disturb import Disturbance, disturb

GATEWAYS = 100
BATCHES = 16
RECEIVERS = 2
KILLS = 7
START_MS = NOW_MS - 20_000_000


def kill_at_random(world: World, total: int, random: Random) -> None:
    """Each part at least once, at random moments of the delivery, the last one before its end."""
    assert world.simulator is not None
    blows = [lambda: world.kill_receiver(0), lambda: world.kill_receiver(1)]
    blows += [world.kill_broker, world.kill_database, world.kill_backend]
    plan = blows + random.choices(blows, k=KILLS - len(blows))
    random.shuffle(plan)
    moments = sorted(random.uniform(0.02, 0.9) for _ in plan)
    for moment, blow in zip(moments, plan, strict=True):
        while world.simulator.done(0.2)[0] < moment * total:
            world.simulator.alive()
        blow()


def named(world: World, disturbance: Disturbance) -> bool:
    """Whether every bad message has got the name it has to have."""
    kept = world.kept()
    return disturbance.rejected <= kept.rejected.keys() and disturbance.fork_bodies <= kept.fork_bodies


@pytest.mark.timeout(300)  # on a machine that is busy with other things
@pytest.mark.parametrize("seed", [20261125])
def test_what_was_signed_is_there_and_every_forgery_has_its_name(world: World, seed: int) -> None:
    random = Random(seed)
    fleet = make_fleet(GATEWAYS, BATCHES, start_ms=START_MS)
    for gateway in fleet:
        gateway.flags = random.choice((0, 0, REPEATS, REVERSES))
    disturbance = disturb(fleet, random, START_MS)
    options = {"window": 8, "timeout": 1500, "shout": 100, "seed": seed, "stay": 1}
    simulator = world.begin(fleet, receivers=RECEIVERS, openers=[1], disturbance=disturbance, **options)
    _, total = simulator.done(5)
    kill_at_random(world, total, random)
    while simulator.done(0.5)[0] < total:
        simulator.alive()
    until(lambda: named(world, disturbance), what="every forgery has its name")
    counted = world.end_fleet()
    kept = world.everything_is_there()
    assert counted["batches"] == counted["due"] == GATEWAYS * (BATCHES + 3)
    assert disturbance.forks <= kept.forks.keys()
    assert counted["sent"] > counted["due"]
    assert counted["lost"] >= GATEWAYS
    for receiver in world.receivers:
        assert b"Traceback" not in receiver.log.read_bytes()
