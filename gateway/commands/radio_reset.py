"""`aurora-gateway radio-reset`: what the unit of that name runs, with the right that the daemon does not have."""

import argparse
from pathlib import Path
from typing import Any

__all__ = ["add_radio_reset_command", "radio_reset_command"]

FOLDER = Path("/run/aurora-gateway")


def add_radio_reset_command(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("radio-reset", help="reset the adapters that the daemon asks for")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"where requests lie; default: {FOLDER}")
    parser.set_defaults(command=radio_reset_command)


def radio_reset_command(arguments: argparse.Namespace) -> int:
    """Carry out what is asked for; exit status 0 all done, 1 one could not be reset."""
    from firmware_interfaces.ble.resetting import carry_out

    done = carry_out(arguments.folder)
    for adapter, words in done.items():
        print(words or f"{adapter} was reset")
    return 1 if any(done.values()) else 0
