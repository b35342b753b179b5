"""One 1-wire master as the kernel shows it: which sensors hang on it, and how each is made to convert and read.

Everything here blocks: a conversion takes up to 750 ms. Call it from a thread.
"""

import errno
import time
from dataclasses import dataclass
from pathlib import Path

from firmware_interfaces.errors import BusError, NoAnswer, NotConnected
from firmware_interfaces.filethread import ReadFailed, read_text
from firmware_interfaces.onewire.address import KERNEL
from firmware_interfaces.onewire.scratchpad import FAMILIES
from firmware_interfaces.onewire.w1file import scratchpad_of

__all__ = ["ROOT", "Facts", "Master", "list_masters"]

ROOT = Path("/sys/bus/w1/devices")
BULK = "therm_bulk_read"
FRESH_S = 1.0
"""A reading is taken no later than this after the conversion that it shows."""
AGAIN_S = 0.02
NO_BULK = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
)
"""Forbidden, or not offered: each sensor then converts by itself."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a sensor says of itself; None where this kernel or sensor does not tell."""

    resolution_bits: int | None
    conversion_ms: int | None
    external_power: bool | None


def list_masters(root: Path = ROOT) -> list[str]:
    """Names of the masters that the kernel has, in order."""
    return sorted(path.name for path in root.glob("w1_bus_master*") if path.is_dir())


class Master:
    """One master. ``bulk`` is whether all sensors convert together; ``why_not_bulk`` what prevents that."""

    def __init__(self, name: str = "w1_bus_master1", root: Path = ROOT) -> None:
        self.name = name
        self.root = root
        self.path = root / name
        self.bulk = True
        self.why_not_bulk = ""
        self.conversions = 0
        """Bulk conversions ordered."""
        self._converted = float("-inf")
        self._unread: set[str] = set()

    def __str__(self) -> str:
        return f"1-wire {self.name}"

    def open(self) -> None:
        """Look whether it is there. Raises `NotConnected`."""
        if not self.path.is_dir():
            masters = ", ".join(list_masters(self.root))
            has = f"the kernel has {masters}" if masters else "the kernel has none: is dtoverlay=w1-gpio set?"
            raise NotConnected(f"{self}: there is no such master; {has}")
        self.bulk, self.why_not_bulk = True, ""
        self._unread.clear()

    def sensors(self) -> list[str]:
        """Temperature sensors that the kernel has found, by their names. Raises `BusError`."""
        lines = read_text(self.path / "w1_master_slaves").splitlines()
        names = (KERNEL.fullmatch(line.strip()) for line in lines)
        return sorted(match[0] for match in names if match and int(match[1], 16) in FAMILIES)

    def facts(self, sensor: str) -> Facts:
        """Resolution, conversion time and power of a sensor."""
        power = self._number(sensor, "ext_power")
        return Facts(
            resolution_bits=self._number(sensor, "resolution"),
            conversion_ms=self._number(sensor, "conv_time"),
            external_power=None if power is None else bool(power),
        )

    def read(self, sensor: str, limit_s: float) -> bytes:
        """The scratchpad after a conversion that began no earlier than `FRESH_S` before this reading's own call, or
        since. Raises `BusError`.
        """
        until = time.monotonic() + limit_s
        if not self.path.is_dir():
            raise NotConnected(f"{self} is gone")
        if self.bulk and (sensor not in self._unread or time.monotonic() - self._converted > FRESH_S):
            self._convert(until)
        if not self.bulk:
            self._drop_foreign(sensor)
        self._unread.discard(sensor)
        return self._scratchpad(sensor, until)

    def _convert(self, until: float) -> None:
        """Have all sensors convert; the kernel returns when they have, or marks them as still converting."""
        try:
            # Not created where it is missing: an old kernel, or a master without it.
            with (self.path / BULK).open("r+b", buffering=0) as file:
                file.write(b"trigger\n")
        except OSError as error:
            if error.errno not in NO_BULK:
                raise ReadFailed(f"{self}: {BULK}: {error.strerror}", error.errno or 0) from error
            self.bulk = False
            self.why_not_bulk = f"{BULK}: {error.strerror}"
            return
        while self._pending() < 0:
            if time.monotonic() > until:
                raise NoAnswer(f"{self}: the sensors have not finished their conversion")
            time.sleep(AGAIN_S)
        self.conversions += 1
        self._converted = time.monotonic()
        self._unread = set(self.sensors())

    def _drop_foreign(self, sensor: str) -> None:
        """Another program's bulk conversion leaves a result of its own time in every sensor: it is read away."""
        if self._pending() != 0:
            try:
                read_text(self.root / sensor / "w1_slave")
            except BusError:
                return

    def _pending(self) -> int:
        """-1 while converting, 1 while a result waits, 0 when none does, or where the kernel does not tell."""
        try:
            return int(read_text(self.path / BULK).strip() or "0")
        except (BusError, ValueError):
            return 0

    def _scratchpad(self, sensor: str, until: float) -> bytes:
        while True:
            try:
                return scratchpad_of(read_text(self.root / sensor / "w1_slave"))
            except NoAnswer:
                if not (self.root / sensor).is_dir() or time.monotonic() + AGAIN_S > until:
                    raise
                time.sleep(AGAIN_S)

    def _number(self, sensor: str, name: str) -> int | None:
        try:
            return int(read_text(self.root / sensor / name).strip())
        except (BusError, ValueError):
            return None
