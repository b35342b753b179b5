"""``aurora-cluster hand-on values | epcis | run | check``: their arguments; what they do is loaded on need."""

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

__all__ = ["add"]


def add(commands: Any, shared: list[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    parser = commands.add_parser("hand-on", help="give a member's data on: files, EPCIS, webhooks, NGSI-LD")
    ways = parser.add_subparsers(required=True, metavar="WHAT")
    stretch = argparse.ArgumentParser(add_help=False)
    stretch.add_argument("--member", required=True, help="the company")
    stretch.add_argument("--site", default="", help="one site of it")
    stretch.add_argument("--gateway", default="", help="one gateway of it")
    stretch.add_argument(
        "--from", dest="since", type=moment, required=True, metavar="TIME", help="2026-11-01 (UTC)"
    )
    stretch.add_argument("--to", dest="until", type=moment, required=True, metavar="TIME", help="up to, not with")
    stretch.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write")

    values = ways.add_parser("values", parents=[*shared, stretch], help="readings as CSV or Parquet")
    values.add_argument("--format", choices=["csv", "parquet"], default="csv")
    values.add_argument("--point", action="append", default=[], help="only what feeds this point; repeat for more")
    values.set_defaults(command=_values)

    epcis = ways.add_parser("epcis", parents=[*shared, stretch], help="EPCIS 2.0 sensor and lot events")
    epcis.add_argument("--interval", type=int, default=3600, metavar="SECONDS", help="what an event sums up")
    epcis.add_argument("--place", action="append", default=[], metavar="POINT=URI", help="name of a point")
    epcis.set_defaults(command=_epcis)

    outputs = argparse.ArgumentParser(add_help=False)
    outputs.add_argument("outputs", type=Path, metavar="FILE", help="[[output]] tables, each with its member")
    run = ways.add_parser("run", parents=[*shared, outputs], help="tell members' systems of alarms and values")
    run.set_defaults(command=_outputs)
    check = ways.add_parser("check", parents=[*shared, outputs], help="whether such a file is right")
    check.set_defaults(command=_check)


def moment(text: str) -> int:
    """Unix ms of an ISO 8601 time; without an offset it is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 2026-11-01 or 2026-11-01T06:00Z") from error
    whole = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return (whole - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _values(settings: Any, arguments: argparse.Namespace) -> int:
    from gateway.cluster.handon import commands

    return commands.read(commands.values, settings, arguments)


def _epcis(settings: Any, arguments: argparse.Namespace) -> int:
    from gateway.cluster.handon import commands

    return commands.read(commands.epcis, settings, arguments)


def _outputs(settings: Any, arguments: argparse.Namespace) -> int:
    from gateway.cluster.handon import commands

    return commands.outputs(settings, arguments)


def _check(_settings: Any, arguments: argparse.Namespace) -> int:
    from gateway.cluster.handon import commands

    return commands.check(arguments)
