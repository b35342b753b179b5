"""Further ways for `aurora-gateway read`: over TLS, and sensors behind the kernel's files. Light."""

from pathlib import Path
from typing import Any

__all__ = ["add_wired_reads"]


def add_wired_reads(where: Any, read: Any) -> None:
    """Add to the group of places and to the command."""
    where.add_argument("--tls", metavar="HOST[:PORT]", help="Modbus over TLS, with --ca, --certificate, --key")
    where.add_argument("--onewire", metavar="ADDRESS", help="a 1-wire thermometer, 28-0316a2794bff")
    where.add_argument("--iio", metavar="PLACE", help="all inputs of an ADC, by the chip's place: 1-0048")
    where.add_argument("--hwmon", metavar="PLACE", help="all inputs of a hwmon chip")
    where.add_argument("--board", action="store_true", help="this Raspberry Pi's own health")
    for name, words in (
        ("--ca", "TLS: who signs the device's certificate (PEM)"),
        ("--certificate", "TLS: this gateway's certificate (PEM)"),
        ("--key", "TLS: its key (PEM)"),
    ):
        read.add_argument(name, type=Path, help=words)
    read.add_argument("--server-name", default="", help="TLS: the name in the device's certificate, if not HOST")
    read.add_argument("--sysfs", type=Path, default=Path("/sys"), help="where the kernel's files are")
