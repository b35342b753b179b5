"""`aurora-gateway setup`: its options. What it does is in `gateway.setup`."""

import argparse
from pathlib import Path
from typing import Any

__all__ = ["add_setup_command"]


def add_setup_command(commands: Any) -> None:
    """Add the command to the parser."""
    setup = commands.add_parser("setup", help="a new box: identity, site, time, broker, keys, label; resumable")
    setup.add_argument("--dir", type=Path, default=Path("/etc/aurora-gateway"), help="where the settings go")
    setup.add_argument("--data-dir", type=Path, default=Path("/var/lib/aurora-gateway"), help="record and keys")
    setup.add_argument("--from", dest="source", type=Path, metavar="STICK", help="a signed file, or its folder")
    setup.add_argument("--cluster-key", metavar="KEY", help="with --from: PEM file, or fingerprint from the label")
    setup.add_argument("--identify", type=Path, metavar="STICK", help="write there which box this is, and end")
    setup.add_argument("--renew", type=Path, metavar="STICK", help="ask there for a new certificate, and end")
    setup.add_argument("--replace", action="store_true", help="put a site file that is there aside, unasked")
    setup.set_defaults(command=_setup)


def _setup(arguments: argparse.Namespace) -> int:
    from gateway.setup.run import setup_command

    return setup_command(arguments)
