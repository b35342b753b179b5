"""Everything is killed at random while a fleet sends, some of it with bad intent: nothing is lost, doubled or taken."""

from random import Random

import pytest
from load_world import NOW_MS, World, until

from bench.fleet.cargo import REPEATS, REVERSES, make_fleet
from bench.fleet.disturb import disturb

GATEWAYS = 100
BATCHES = 24
RECEIVERS = 2
KILLS = 9
START_MS = NOW_MS - 20_000_000


@pytest.mark.parametrize("seed", [20261125])
def test_what_was_signed_is_there_and_every_forgery_has_its_name(world: World, seed: int) -> None:
    random = Random(seed)
    fleet = make_fleet(GATEWAYS, BATCHES, start_ms=START_MS)
    for gateway in fleet:
        gateway.flags = random.choice((0, 0, REPEATS, REVERSES))
    disturbance = disturb(fleet, random, START_MS)
    simulator = world.begin(
        fleet, receivers=RECEIVERS, disturbance=disturbance, window=8, timeout=1500, shout=100, seed=seed, stay=1
    )
    blows = [lambda: world.kill_receiver(0), lambda: world.kill_receiver(1), world.kill_broker, world.kill_database]
    blows += [world.kill_backend]
    total = simulator.done(5)[1]
    # Each kind at least once, at random moments of the delivery: the last one before its end.
    plan = blows + random.choices(blows, k=KILLS - len(blows))
    random.shuffle(plan)
    moments = sorted(random.uniform(0.02, 0.9) for _ in plan)
    for moment, blow in zip(moments, plan, strict=True):
        while simulator.done(0.2)[0] < moment * total:
            simulator.alive()
        import time; print(f"{time.monotonic():.1f} {moment:.2f} {getattr(blow,'__name__',blow)}", flush=True)
        blow()
    while simulator.done(0.5)[0] < total:
        simulator.alive()

    def named() -> bool:
        kept = world.kept()
        return disturbance.rejected <= kept.rejected.keys() and disturbance.forks <= kept.forks.keys()

    until(named, 20, "every forgery has its name")
    simulator.process.terminate()
    counted = simulator.finish(20)
    kept = world.everything_is_there()
    assert counted["batches"] == counted["due"] == GATEWAYS * (BATCHES + 3)
    assert disturbance.fork_bodies <= kept.fork_bodies
    assert counted["lost"] > GATEWAYS
