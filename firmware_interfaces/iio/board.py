"""The health of a Raspberry Pi as its kernel shows it, without vcgencmd: that needs the firmware's mailbox device.

``get_throttled`` is a hexadecimal number (raspberrypi/utils, vcgencmd(1)): bit 0 too little voltage now, bit 1
frequency capped, bit 2 throttled, bit 3 soft temperature limit; bits 16 to 19 the same since the start. Where it
lies depends on board and kernel. The driver rpi_volt (drivers/hwmon/raspberrypi-hwmon.c) tells of the voltage
alone; it asks the firmware to forget bit 16, so only bits of the present are used. Boards of the Zero range have no
detector, and what cannot be read is unknown, never "no".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from firmware_interfaces.errors import BusError
from firmware_interfaces.filethread import read_text

__all__ = ["BITS", "BoardHealth", "read_board"]

BITS = {"undervoltage": 0, "frequency_capped": 1, "throttled": 2, "soft_temperature_limit": 3}
HEX = re.compile(r"(?:0x)?([0-9a-fA-F]{1,8})")
PROCESSOR = frozenset({"cpu-thermal", "cpu_thermal", "soc-thermal", "soc_thermal"})
NO_DETECTOR = "zero"


@dataclass(frozen=True, slots=True)
class BoardHealth:
    """What the board says now; None for what it does not say. ``raw`` is what was read, for the record."""

    model: str = ""
    soc_temperature: float | None = None
    flags: dict[str, bool | None] | None = None
    raw: str = ""

    @property
    def known(self) -> bool:
        """Whether it says anything at all."""
        return self.soc_temperature is not None or any(v is not None for v in (self.flags or {}).values())


def read_board(sys: Path = Path("/sys"), model: Path = Path("/proc/device-tree/model")) -> BoardHealth:
    """The health of this board, from where its kernel shows it. Never raises: what cannot be read is unknown."""
    said: list[str] = []
    name = (_text(model) or "").rstrip("\0").strip()
    flags: dict[str, bool | None] = dict.fromkeys(BITS)
    throttled = _throttled(sys, said)
    if throttled is not None:
        flags = {key: bool(throttled >> bit & 1) for key, bit in BITS.items()}
    voltage = _voltage_alarm(sys, said)
    if voltage is not None:
        flags["undervoltage"] = voltage or bool(flags["undervoltage"])
    elif NO_DETECTOR in name.lower():
        flags["undervoltage"] = None
    return BoardHealth(name, _temperature(sys, said), flags, " ".join(said))


def _throttled(sys: Path, said: list[str]) -> int | None:
    for place in (*sys.glob("devices/platform/*/*firmware*/get_throttled"), *_direct(sys)):
        text = _text(place)
        match = HEX.fullmatch(text.strip()) if text else None
        if match is not None:
            said.append(f"get_throttled={match[1]}")
            return int(match[1], 16)
    return None


def _direct(sys: Path) -> Iterator[Path]:
    yield from sys.glob("devices/platform/*firmware*/get_throttled")


def _voltage_alarm(sys: Path, said: list[str]) -> bool | None:
    for folder in sorted(sys.glob("class/hwmon/hwmon*")):
        if (_text(folder / "name") or "").strip() == "rpi_volt":
            text = (_text(folder / "in0_lcrit_alarm") or "").strip()
            if text in {"0", "1"}:
                said.append(f"in0_lcrit_alarm={text}")
                return text == "1"
    return None


def _temperature(sys: Path, said: list[str]) -> float | None:
    """Degrees Celsius of the processor; a reading that no living processor has is none."""
    for zone in sorted(sys.glob("class/thermal/thermal_zone*")):
        if (_text(zone / "type") or "").strip() not in PROCESSOR:
            continue
        text = (_text(zone / "temp") or "").strip()
        if re.fullmatch(r"-?\d{1,6}", text) and -40_000 <= int(text) <= 125_000 and int(text):
            said.append(f"thermal={text}")
            return int(text) / 1000
    return None


def _text(path: Path) -> str | None:
    try:
        return read_text(path)
    except BusError:
        return None
