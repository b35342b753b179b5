"""``aurora-cluster fleet``: the arguments of the staff's page; what serves it is loaded on need."""

import argparse
from pathlib import Path
from typing import Any

from gateway.cluster.settings import Settings
from gateway.language import LANGUAGES

__all__ = ["add"]

LISTEN = "127.0.0.1:8460"


def add(commands: Any, shared: list[argparse.ArgumentParser]) -> None:
    """Add the command to the parser of `aurora-cluster`."""
    page: argparse.ArgumentParser = commands.add_parser(
        "fleet", parents=shared, help="the page of the cluster's staff"
    )
    page.add_argument("--listen", default=LISTEN, metavar="HOST:PORT", help=f"default {LISTEN}")
    page.add_argument("--name", help="name of the cluster on the page")
    page.add_argument(
        "--host-name", action="append", default=[], metavar="NAME", help="name the page is asked for by"
    )
    page.add_argument("--time-zone", default="UTC", metavar="ZONE", help="of the times on the page; default UTC")
    page.add_argument("--language", default="en", choices=LANGUAGES, help="for whoever has chosen none")
    page.add_argument("--tls", choices=("self", "off"), help="default: off on loopback, self elsewhere")
    page.add_argument("--page-certificate", type=Path, metavar="FILE", help="PEM certificate of the page")
    page.add_argument("--page-key", type=Path, metavar="FILE", help="its private key")
    page.set_defaults(command=_fleet)


def _fleet(settings: Settings, arguments: argparse.Namespace) -> int:
    from gateway.cluster.fleet.commands import fleet

    return fleet(settings, arguments)
