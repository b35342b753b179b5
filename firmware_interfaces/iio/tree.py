"""Which chips the kernel shows under IIO and hwmon, and how a site file names one for good.

The numbers in ``iio:device0`` and ``hwmon2`` follow the order of loading and change from start to start, so a chip
is named by what stays: its place (``1-0048``, the I2C bus and address; ``spi0.0``), or its label, or its kind where
there is one of it. Attributes: Documentation/ABI/testing/sysfs-bus-iio and sysfs-class-hwmon. All of it blocks.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from firmware_interfaces.errors import BusError, NoAnswer
from firmware_interfaces.filethread import read_text

__all__ = ["ROOTS", "Chip", "Subsystem", "find", "list_chips"]

Subsystem = Literal["iio", "hwmon"]
ROOTS: dict[Subsystem, Path] = {"iio": Path("/sys/bus/iio/devices"), "hwmon": Path("/sys/class/hwmon")}
PATTERNS: dict[Subsystem, str] = {"iio": "iio:device*", "hwmon": "hwmon*"}


@dataclass(frozen=True, slots=True)
class Chip:
    """One chip: its folder at present, its kind (``ads1015``), its place on the machine, its label if any."""

    path: Path
    name: str
    place: str
    label: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """All that it can be called."""
        return tuple(name for name in (self.place, self.label, self.name) if name)


def list_chips(subsystem: Subsystem, root: Path | None = None) -> list[Chip]:
    """The chips of a subsystem, by place. One whose name cannot be read is left out: it is going or coming."""
    chips = []
    for path in sorted((root or ROOTS[subsystem]).glob(PATTERNS[subsystem])):
        try:
            name = read_text(path / "name").strip()
        except BusError:
            continue
        chips.append(Chip(path, name, _place(path), _optional(path / "label")))
    return sorted(chips, key=lambda chip: (chip.place, chip.name))


def find(subsystem: Subsystem, wanted: str, root: Path | None = None) -> Chip:
    """The chip that is called so. Raises `NoAnswer` where there is none or more than one, with those there are."""
    chips = list_chips(subsystem, root)
    named = [chip for chip in chips if wanted in chip.names]
    if len(named) == 1:
        return named[0]
    if named:
        places = ", ".join(chip.place for chip in named)
        raise NoAnswer(f"{wanted} is there {len(named)} times: name it by its place ({places})")
    known = ", ".join(f"{chip.place} ({chip.name})" for chip in chips) or "none at all"
    raise NoAnswer(f"{wanted} is not there; the kernel shows {known}")


def _place(path: Path) -> str:
    """The device that a chip's folder belongs to: the folder above it, without the subsystem's own folder."""
    parent = path.resolve().parent
    return parent.parent.name if parent.name == "hwmon" else parent.name


def _optional(path: Path) -> str:
    try:
        return read_text(path).strip()
    except BusError:
        return ""
