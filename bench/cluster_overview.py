"""Processor time that the overview of a large fleet takes in PostgreSQL.

    python -m bench.cluster_overview [--gateways 1000 10000] [--times 15]

Of a database with two streams and ten alarms a gateway, one gateway in 25 with open ones: milliseconds of the
server's process for the table of gateways and for the sums by member, least and median. Times are for ratios: they
depend on the machine, and on what else runs on it.
"""

import argparse
import asyncio
import statistics
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from gateway.cluster.database import Database, open_database
from gateway.cluster.fleet import queries
from gateway.cluster.fleet.queries import Ask
from gateway.cluster.fleet.scope import ALL

NOW_MS = 1_795_363_200_000
FLEET = """
INSERT INTO member (name) SELECT 'member-' || n FROM generate_series(1, 100) AS n;
INSERT INTO gateway (member, site, name, client, enrolled_ms)
    SELECT 1 + n % 100, 'site-' || n % 500, 'gw-' || n, 'member-' || (1 + n % 100) || '.gw-' || n,
        {now} - 9000000000
    FROM generate_series(1, {gateways}) AS n;
INSERT INTO stream (gateway, stream, size, announced, held, hole_ms, clock_state, received_ms, sealed_ms)
    SELECT id, s, 500000 + id, 500000 + id + CASE WHEN id % 50 = 0 THEN 7 ELSE 0 END, 0,
        CASE WHEN id % 50 = 0 THEN {now} - 200000000 END, 0, {now} - id % 4000 * 500, {now} - 60000
    FROM gateway, generate_series(0, 1) AS s;
INSERT INTO batch (gateway, stream, seq, member, leaf, received_ms)
    SELECT id, 1, n, member, '\\x00', {now} FROM gateway, generate_series(1, 10) AS n;
INSERT INTO alarm (member, gateway, alarm, tier, state, active, seq, data)
    SELECT member, id, 'room-' || n || '/high', CASE n % 3 WHEN 0 THEN 'critical' WHEN 1 THEN 'alert' ELSE
        'maintenance' END, CASE WHEN id % 25 = 0 THEN 'unacknowledged' ELSE 'normal' END, 1, 1, '{{}}'
    FROM gateway, generate_series(0, 9) AS n;
INSERT INTO fork SELECT id, 1, 5, '\\x00', 'chain', {now}, '\\x00' FROM gateway WHERE id % 1000 = 0;
INSERT INTO rejected SELECT client, 'scan', 'bad-signature', 1, {now}, {now}, 1, '' FROM gateway WHERE id % 500 = 0;
INSERT INTO certificate (serial, client, pem, issued_ms, until_ms)
    SELECT client || n, client, '', 0, {now} + 9000000000 FROM gateway, generate_series(0, 1) AS n;
INSERT INTO glance SELECT id, 100000, 99999 - id % 7000, {now} + id * 1000000, 'd.air', {now} + 9000000000,
    {now} FROM gateway;
ANALYZE;
"""


async def fill(url: str, gateways: int) -> None:
    """Make a fleet in an empty database, as it stands at `NOW_MS`."""
    database = await open_database(url)
    await database.prepare(NOW_MS)
    async with database.transaction() as work:
        for statement in FLEET.format(now=NOW_MS, gateways=gateways).split(";"):
            if statement.strip():
                await work.execute(statement)
    await database.close()


def on_cpu_ms(process: int) -> float:
    """Milliseconds that a process has had a processor for: unlike time, not a matter of what else runs here."""
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e6


async def measure(database: Database, times: int) -> None:
    """Print what each question costs."""
    async with database.transaction(write=False) as work:
        process = int((await work.fetch("SELECT pg_backend_pid()"))[0][0])
        page = Ask(order="trouble", offset=5000)
        asked: dict[str, Callable[[], Awaitable[object]]] = {
            "table of gateways": lambda: queries.gateways(work, ALL, NOW_MS, page),
            "sums by member": lambda: queries.members(work, ALL, NOW_MS),
            "one gateway": lambda: queries.gateway_row(work, ALL, NOW_MS, 77),
        }
        for name, ask in asked.items():
            took = []
            for _ in range(times):
                before = on_cpu_ms(process)
                await ask()
                took.append(on_cpu_ms(process) - before)
            print(f"  {name}: {min(took):.1f} ms at least, {statistics.median(took):.1f} ms median")


async def main(sizes: list[int], times: int) -> None:
    """Measure each size in a database of its own."""
    from postgres_server import Server  # the same server as in the tests

    server = Server()
    server.start()
    try:
        for gateways in sizes:
            url = server.new_database()
            await fill(url, gateways)
            print(f"{gateways} gateways, {10 * gateways} alarms:")
            database = await open_database(url, read_only=True)
            await measure(database, times)
            await database.close()
    finally:
        server.remove()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "cluster"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gateways", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--times", type=int, default=15)
    given = parser.parse_args()
    sys.exit(asyncio.run(main(given.gateways, given.times)))
