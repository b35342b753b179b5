"""The serial ports of the machine, as the kernel lists them (Documentation/ABI/testing/sysfs-tty)."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["serial_ports"]

FEET_UP = 6
"""Levels of sysfs between a port and the USB device that it belongs to, at most."""


def serial_ports(dev: Path = Path("/dev"), sysfs: Path = Path("/sys")) -> list[dict[str, Any]]:
    """Ports with hardware behind them: ``port`` (the name that stays when plugs are changed, where there is one),
    ``name``, ``product``, ``driver``, and whether this process may use it (``usable``)."""
    lasting = {str(link.resolve()): str(link) for link in sorted((dev / "serial" / "by-id").glob("*"))}
    found = []
    for entry in sorted((sysfs / "class" / "tty").glob("*")):
        node = dev / entry.name
        if not (entry / "device").exists() or _text(entry / "type") == "0" or not node.exists():
            continue
        device = (entry / "device").resolve()
        driver = (entry / "device" / "driver").resolve().name if (entry / "device" / "driver").exists() else ""
        found.append(
            {
                "port": lasting.get(str(node.resolve()), str(node)),
                "name": entry.name,
                "product": " ".join(_product(device)),
                "driver": driver,
                "usable": os.access(node, os.R_OK | os.W_OK),
            }
        )
    return found


def _product(device: Path) -> Iterator[str]:
    """Maker and name of the USB device behind a port."""
    for folder in (device, *device.parents[:FEET_UP]):
        if product := _text(folder / "product"):
            if maker := _text(folder / "manufacturer"):
                yield maker
            yield product
            return


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
