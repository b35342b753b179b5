"""Who on this computer has a port open. Looking at a port that another program uses would spoil its settings and
take its bytes away, so this is asked before a port is touched (proc(5): /proc/PID/fd).
"""

import os
from pathlib import Path

__all__ = ["find_ports", "holders"]

PATTERNS = ("ttyUSB*", "ttyACM*", "ttyAMA*", "ttySC*", "ttyS*", "ttyTHS*", "ttymxc*", "rfcomm*")


def find_ports(dev: Path = Path("/dev"), sys: Path = Path("/sys")) -> list[Path]:
    """Serial ports by the most lasting of their names, sorted; without those that have no hardware behind them."""
    found: dict[Path, Path] = {}
    for pattern in PATTERNS:
        for port in sorted(dev.glob(pattern)):
            if not port.name.startswith("ttyS") or _has_hardware(sys / "class/tty" / port.name):
                found[port.resolve()] = port
    for folder in ("by-path", "by-id"):
        for link in sorted((dev / "serial" / folder).glob("*")):
            found[link.resolve()] = link
    return sorted(found.values())


def _has_hardware(tty: Path) -> bool:
    """The kernel lists four ttyS ports on any PC; those without a chip have an unknown type (0)."""
    try:
        return (tty / "type").read_text(encoding="ascii").strip() != "0"
    except OSError:
        return True


def holders(port: Path, proc: Path = Path("/proc")) -> list[str]:
    """Name and id of the programs that have the port open, as far as we may see them. Not ourselves."""
    try:
        wanted = port.stat().st_rdev
    except OSError:
        return []
    found = []
    for process in proc.glob("[0-9]*"):
        if int(process.name) == os.getpid():
            continue
        if any(_is(descriptor, wanted) for descriptor in _listed(process / "fd")):
            found.append(f"{_name(process)} (process {process.name})")
    return found


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _is(descriptor: Path, wanted: int) -> bool:
    try:
        return wanted != 0 and descriptor.stat().st_rdev == wanted
    except OSError:
        return False


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "a program"
