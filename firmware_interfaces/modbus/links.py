"""The kinds of link by the names that a site file uses."""

from collections.abc import Callable
from typing import Any

from firmware_interfaces.modbus.link import Link
from firmware_interfaces.modbus.rtu import RtuOverTcpLink, SerialLink
from firmware_interfaces.modbus.tcp import TcpLink

__all__ = ["open_link"]


def open_link(kind: str, **settings: Any) -> Link:
    """A link of the kind that a site file names (``modbus-tcp``, ``modbus-rtu``, ``modbus-rtu-over-tcp``)."""
    makers: dict[str, Callable[..., Link]] = {
        "modbus-tcp": TcpLink,
        "modbus-rtu": SerialLink,
        "modbus-rtu-over-tcp": RtuOverTcpLink,
    }
    return makers[kind](**settings)
