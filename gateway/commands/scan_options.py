"""The options of `aurora-gateway scan` for what is wired. Light: what runs a scan is loaded when it runs."""

import argparse
from pathlib import Path
from typing import Any

__all__ = ["add_wired_scans", "parse_units"]


def add_wired_scans(kinds: Any, seconds: Any) -> None:
    """Add the three to `scan`."""
    modbus = kinds.add_parser("modbus", help="units on a Modbus line, by their identity registers; asks politely")
    where = modbus.add_mutually_exclusive_group(required=True)
    where.add_argument("--tcp", metavar="HOST[:PORT]", help="Modbus TCP")
    where.add_argument("--rtu-over-tcp", metavar="HOST:PORT", help="RTU frames through a converter")
    where.add_argument("--serial", metavar="DEVICE", help="RTU on a serial line")
    modbus.add_argument("--units", type=parse_units, help="such as 1-32,100; default: all")
    modbus.add_argument("--baud", type=int, default=9600, help="serial line; default: 9600")
    modbus.add_argument("--parity", choices=["N", "E", "O"], default="N", help="serial line; default: N")
    modbus.add_argument("--stop-bits", type=int, choices=[1, 2], default=1, help="serial line; default: 1")
    modbus.add_argument("--timeout", type=seconds, default=0.3, help="for an answer, seconds; default: 0.3")
    modbus.add_argument("--pause", type=seconds, default=0.03, help="rest before each request; default: 0.03")
    modbus.add_argument("--thorough", action="store_true", help="try four signs of life on units that are silent")
    modbus.add_argument("--json", action="store_true", help="all of it as JSON")
    modbus.set_defaults(command=_modbus)
    ports = kinds.add_parser("serial", help="serial ports and what is on them: listens first, then asks politely")
    ports.add_argument("port", nargs="*", help="device files; default: all that there are")
    ports.add_argument("--seconds", type=seconds, default=5.0, help="how long to listen first; default: 5")
    ports.add_argument("--timeout", type=seconds, default=1.2, help="for an answer, seconds; default: 1.2")
    ports.add_argument("--listen", action="store_true", help="listen only, send nothing")
    ports.add_argument("--json", action="store_true", help="all of it as JSON")
    ports.set_defaults(command=_serial)
    wire = kinds.add_parser("onewire", help="1-wire thermometers that the kernel has found")
    inputs = kinds.add_parser("iio", help="inputs of ADC and hwmon chips, and what they read now")
    for parser, command in ((wire, _onewire), (inputs, _iio)):
        parser.add_argument("--sysfs", type=Path, default=Path("/sys"), help="where the kernel's files are")
        parser.set_defaults(command=command)


def parse_units(text: str) -> list[int]:
    """Unit ids of a list such as ``1-32,100``, in order."""
    units: set[int] = set()
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        try:
            first, last = int(low), int(high if dash else low)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{part!r} is not a unit id; write for example 1-32,100") from None
        if not 0 <= first <= last <= 255:
            raise argparse.ArgumentTypeError(f"{part!r}: unit ids are 0 to 255, the lower one first")
        units.update(range(first, last + 1))
    return sorted(units)


def _modbus(arguments: argparse.Namespace) -> int:
    from gateway.commands.scan_wired import scan_modbus

    return scan_modbus(arguments)


def _serial(arguments: argparse.Namespace) -> int:
    from gateway.commands.scan_serial import scan_serial

    return scan_serial(arguments)


def _onewire(arguments: argparse.Namespace) -> int:
    from gateway.commands.scan_wired import scan_onewire

    return scan_onewire(arguments)


def _iio(arguments: argparse.Namespace) -> int:
    from gateway.commands.scan_wired import scan_iio

    return scan_iio(arguments)
