"""How much the card has been written to, over restarts of the machine: an SD card does not say it itself.

The kernel counts sectors since the boot. The sum over boots is kept in a small file beside the journal, by the
card's ``cid``: another card begins at zero. Days left are (endurance - written x W) / (a day's bytes x W), where W
is how many bytes the card moves inside for one byte written. Neither is known for an SD card: endurance is taken as
500 erase cycles of its whole size (consumer TLC flash), W between 10 and 100 (small synchronous writes). A guess.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

__all__ = ["FILE", "Wear", "forecast", "read_wear", "save_wear", "seen"]

FILE: Final = "wear.json"
CYCLES: Final = 500
INSIDE: Final = (10, 100)
ENOUGH_S: Final = 3600.0
"""A rate over less than an hour is none."""


@dataclass(frozen=True, slots=True)
class Wear:
    """Bytes ``written`` to the card ``cid`` in ``seconds`` of operation; ``at_boot`` and ``boot`` are the kernel's
    counter and the boot that it was read in, ``boot_ms`` when."""

    cid: str
    written: int
    seconds: float
    boot: str
    at_boot: int
    boot_ms: int


def seen(before: Wear | None, *, cid: str, boot: str, counter: int, boot_ms: int) -> Wear:
    """The sum with a new reading of the kernel's counter (bytes since the boot) at boot time ``boot_ms``."""
    if before is None or before.cid != cid:
        return Wear(cid, counter, boot_ms / 1000, boot, counter, boot_ms)
    if before.boot != boot:
        # What was written between the last reading and the end of the other boot is not known: it is not counted.
        fresh = replace(before, boot=boot, at_boot=0, boot_ms=0)
        return seen(fresh, cid=cid, boot=boot, counter=counter, boot_ms=boot_ms)
    return Wear(
        cid,
        before.written + max(0, counter - before.at_boot),
        before.seconds + max(0, boot_ms - before.boot_ms) / 1000,
        boot,
        counter,
        boot_ms,
    )


def forecast(wear: Wear, size: int) -> tuple[float, float] | None:
    """Days left at the rate so far, the least and the most; None where there is no rate yet."""
    if wear.seconds < ENOUGH_S or wear.written <= 0 or size <= 0:
        return None
    a_day = wear.written / wear.seconds * 86400
    high, low = (max(0.0, (size * CYCLES - wear.written * inside) / (a_day * inside)) for inside in INSIDE)
    return low, high


def read_wear(folder: Path) -> Wear | None:
    """What was kept; None where there is nothing sound."""
    try:
        data: Any = json.loads((folder / FILE).read_bytes())
        if not isinstance(data, Mapping):
            return None
        wear = Wear(**data)
        numbers = (wear.written, wear.seconds, wear.at_boot, wear.boot_ms)
        sound = all(isinstance(number, int | float) and number >= 0 for number in numbers)
    except (OSError, ValueError, TypeError):
        return None
    return wear if sound and isinstance(wear.cid, str) and isinstance(wear.boot, str) else None


def save_wear(folder: Path, wear: Wear) -> None:
    """Keep it; a reader sees the old file or the new one. Raises OSError."""
    draft = folder / f"{FILE}.draft"
    draft.write_text(json.dumps(asdict(wear)), encoding="utf-8")
    draft.replace(folder / FILE)
