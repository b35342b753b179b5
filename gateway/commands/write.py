"""`aurora-gateway write`: have the running gateway write to a channel of a device."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.site import Site

__all__ = ["add_write_command"]


def add_write_command(commands: Any, load: Callable[[Path], Site]) -> None:
    """Add the command to what `argparse.ArgumentParser.add_subparsers` returned."""
    write = commands.add_parser("write", help="order a write to a device; goes on record with who, why and outcome")
    write.add_argument("site", type=Path, help="the site file")
    write.add_argument("channel", help="device.channel, one of those that the site file allows")
    write.add_argument("value", help="in the channel's unit")
    write.add_argument("--person", required=True, help="who orders it: name or initials")
    write.add_argument("--reason", required=True, help="why")
    write.set_defaults(command=lambda arguments: _write(load(arguments.site), arguments))


def _write(site: Site, arguments: argparse.Namespace) -> int:
    """Exit status 0 when it was done and read back, 1 otherwise: refused, different, or not known."""
    from gateway.control import ask

    device, _, channel = arguments.channel.partition(".")
    request = {"do": "device.write", "device": device, "channel": channel, "value": arguments.value}
    answer = ask(site.data_dir, {**request, "person": arguments.person, "reason": arguments.reason})
    unit = f" {answer['unit']}" if answer.get("unit") else ""
    print(f"{arguments.channel}: {answer['old']} -> {answer['new']}{unit}: {answer['result']} ({answer['words']})")
    if not answer.get("recorded"):
        print("the outcome is not on disk yet: the journal is in trouble, see the status page")
    return 0 if answer["result"] == "done" else 1
