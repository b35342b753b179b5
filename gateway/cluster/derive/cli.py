"""``aurora-cluster derive`` and ``aurora-cluster retention``."""

import argparse
import asyncio

from gateway.clock import wall_ms
from gateway.cluster.derive.again import begin_again
from gateway.cluster.derive.follower import Follower, Options
from gateway.cluster.derive.retention import Rule, retain, rules, set_rule
from gateway.cluster.derive.service import follow
from gateway.cluster.running import opened, until_signal
from gateway.cluster.settings import Settings

__all__ = ["add"]

STREAM = ("event", "scan")


def add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", shared: list[argparse.ArgumentParser]
) -> None:
    """Add both commands."""
    derive = commands.add_parser("derive", parents=shared, help="follow the evidence into tables, until stopped")
    derive.add_argument("--values", action="store_true", help="a row for each value, too (large)")
    derive.add_argument("--once", action="store_true", help="stop when the tables are where the evidence is")
    derive.add_argument("--again", action="store_true", help="throw the tables away first, and make them anew")
    derive.add_argument("--losing", action="store_true", help="--again also where evidence was erased")
    derive.add_argument(
        "--lag", type=float, metavar="S", help="how long scans may wait for more of their kind (30)"
    )
    derive.set_defaults(command=_derive)

    retention = commands.add_parser(
        "retention", parents=shared, help="how long things are kept, and delete the rest"
    )
    retention.add_argument("--member", help="the member whose days are set")
    retention.add_argument("--point", default="", help="of one of its points")
    retention.add_argument("--days", type=int, help="days to keep; 0: for ever")
    retention.add_argument("--run", action="store_true", help="delete what is older now")
    retention.set_defaults(command=_retention)


def _derive(settings: Settings, arguments: argparse.Namespace) -> int:
    options = Options(values=arguments.values)
    if arguments.lag is not None:
        options = options._replace(lag_ms=round(arguments.lag * 1000))

    async def work() -> None:
        async with opened(settings, patient=not arguments.once) as database:
            if arguments.again:
                print(f"tables of {await begin_again(database, losing=arguments.losing)} gateways are made anew")
            if arguments.once:
                await Follower(database, options._replace(lag_ms=0)).catch_up(wall_ms())
                return
            await follow(database, wall_ms, options)

    # What is to be done once and was cut off must not look as if it were done.
    asyncio.run(work() if arguments.once else until_signal(work()))
    return 0


def _retention(settings: Settings, arguments: argparse.Namespace) -> int:
    async def work() -> None:
        async with opened(settings) as database:
            if arguments.member is not None and arguments.days is not None:
                async with database.transaction() as tables:
                    await set_rule(tables, Rule(arguments.member, arguments.point, arguments.days))
            async with database.transaction(write=False) as tables:
                for rule in await rules(tables):
                    print(f"{rule.member} {rule.point or '(all else, and evidence)'}: {rule.days} days")
            if arguments.run:
                for one in await retain(database, wall_ms()):
                    place = f"gateway {one.gateway}, {STREAM[one.stream]} batches {one.first} to {one.last}"
                    print(f"erased: {place}, {one.bytes} bytes")

    asyncio.run(work())
    return 0
