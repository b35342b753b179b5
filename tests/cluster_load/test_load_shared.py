"""Several receivers share the work; a slow or dead part is a missing receipt, never a loss."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import pytest
from load_world import NOW_MS, World, until

from bench.fleet.cargo import REPEATS, REVERSES, make_fleet
from bench.fleet.stage import DEFAULTS
from bench.meter import measure

START_MS = NOW_MS - 20_000_000
pytestmark = pytest.mark.timeout(300)
MEMORY = 250 * 2**20
"""What a receiver may hold while nothing is taken from it."""


def test_two_receivers_leave_what_one_would_in_any_order_and_number(world: World) -> None:
    fleet = make_fleet(40, 20, start_ms=START_MS)
    for number, gateway in enumerate(fleet):
        gateway.flags = (0, REPEATS, REVERSES, REPEATS | REVERSES)[number % 4]
    world.begin(fleet, receivers=2, window=8, timeout=5000)
    counted = world.finish()
    kept = world.everything_is_there()
    assert kept.batches == counted["due"]
    assert counted["sent"] >= 1.5 * counted["due"]
    assert kept.duplicates > 0
    assert not kept.forks
    assert not kept.rejected


def test_receivers_that_are_stopped_and_started_in_turn_lose_nothing(world: World) -> None:
    fleet = make_fleet(40, 30, start_ms=START_MS)
    simulator = world.begin(fleet, receivers=2, window=4, timeout=1500)
    _, total = simulator.done(5)
    for place, share in enumerate((0.2, 0.5, 0.8)):
        until(lambda share=share: simulator.done(0.1)[0] >= share * total, what=f"{share} of all")
        receiver = world.receivers[place % 2]
        receiver.kill(signal.SIGTERM)
        receiver.begin()
    world.finish()
    world.everything_is_there()


@contextmanager
def locked(world: World) -> Iterator[None]:
    """Somebody holds the table of batches, as a long maintenance would."""
    loop = asyncio.new_event_loop()

    async def lock() -> asyncpg.Connection:
        connection = await asyncpg.connect(world.where)
        await connection.execute("BEGIN; LOCK TABLE aurora.batch IN ACCESS EXCLUSIVE MODE")
        return connection

    connection = loop.run_until_complete(lock())
    try:
        yield
    finally:
        loop.run_until_complete(connection.close())
        loop.close()


@contextmanager
def stopped(world: World) -> Iterator[None]:
    """The server's processes stand still, as with a disk that does not answer."""
    found = world.backends()
    assert found
    for process in found:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in found:
            os.kill(process, signal.SIGCONT)


@pytest.mark.parametrize("slow", [locked, stopped])
def test_a_slow_database_is_a_missing_receipt_and_nothing_else(world: World, slow: object) -> None:
    fleet = make_fleet(60, 30, start_ms=START_MS)
    simulator = world.begin(fleet, window=8, timeout=700)
    _, total = simulator.done(5)
    until(lambda: simulator.done(0.1)[0] > 0.1 * total, what="a tenth of all")
    with slow(world):
        # What was committed before is answered still; then nothing more comes, for longer than the gateways wait.
        before = -1
        while (now := simulator.done(1.0)[0]) != before:
            before = now
        assert simulator.done(1.5)[0] == before < total
        world.receivers[0].alive()
        assert measure(world.receivers[0].pid).rss_bytes < MEMORY
    counted = world.finish()
    assert counted["timeouts"] > 0
    world.everything_is_there()


def test_a_thousand_gateways_come_back_at_once_at_the_limits_of_an_unconfigured_broker(world: World) -> None:
    """1000 messages queued for each receiver: more are on their way, and the broker drops the rest in silence."""
    fleet = make_fleet(1000, 3, start_ms=START_MS)
    world.begin(fleet, receivers=2, settings=DEFAULTS, window=8, timeout=3000, limit=100)
    counted = world.finish(100)
    kept = world.everything_is_there()
    assert kept.batches == counted["due"] == 1000 * (3 + 3)
