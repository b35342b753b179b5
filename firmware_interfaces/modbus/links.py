"""The kinds of link by the names that a site file uses."""

from typing import Any

from firmware_interfaces.modbus.link import Link

__all__ = ["open_link"]


def open_link(kind: str, **settings: Any) -> Link:
    """A link of the kind that a site file names (``modbus-tcp``, ``modbus-tls`` ...).

    Each is imported on need: a gateway without a serial line does not carry the serial library (2 MB).
    """
    if kind == "modbus-tcp":
        from firmware_interfaces.modbus.tcp import TcpLink

        return TcpLink(**settings)
    if kind == "modbus-tls":
        from firmware_interfaces.modbus.tls import TlsLink

        return TlsLink(**settings)
    from firmware_interfaces.modbus.rtu import RtuOverTcpLink, SerialLink

    kinds: dict[str, type[Link]] = {"modbus-rtu": SerialLink, "modbus-rtu-over-tcp": RtuOverTcpLink}
    return kinds[kind](**settings)
