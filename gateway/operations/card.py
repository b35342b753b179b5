"""The card or disk that a folder lies on, as the kernel shows it: what was written to it, how worn it says it is.

Sources: Documentation/block/stat.rst (field 7: sectors of 512 bytes written, since boot),
driver-api/mmc/mmc-dev-attrs (``cid`` names the physical card; ``life_time`` of eMMC: JESD84-B51). An SD card
says nothing of its wear, so what is written is counted here and kept over restarts, by card.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Card", "WearBook", "card_of", "process_written_bytes"]

SECTOR = 512
SECTORS_WRITTEN = 6
TENTH = 10


@dataclass(frozen=True, slots=True)
class Card:
    """One block device now. ``id`` names the physical card, where the device tells."""

    name: str
    id: str
    written_bytes: int
    """Since boot, by everybody."""
    life_used: dict[str, float] = field(default_factory=dict)
    """eMMC only: by area (``a``, ``b``), the upper end of the tenth of its life that is used, 0.1 to 1.1."""


def card_of(folder: Path, sys: Path = Path("/sys")) -> Card | None:
    """The device under ``folder``; None where there is none (tmpfs, overlay, network) or it says nothing."""
    try:
        number = folder.stat().st_dev
        found = (sys / f"dev/block/{os.major(number)}:{os.minor(number)}").resolve(strict=True)
        if (found / "partition").exists():
            found = found.parent
        written = int((found / "stat").read_text().split()[SECTORS_WRITTEN]) * SECTOR
    except (OSError, ValueError, IndexError):
        return None
    identity = next(
        (text for name in ("device/cid", "device/serial", "device/wwid") if (text := _text(found / name))), ""
    )
    return Card(found.name, identity or found.name, written, _life(_text(found / "device/life_time")))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _life(text: str) -> dict[str, float]:
    """``0x03 0x01``: area A used 20 to 30 %, area B 0 to 10 %. 0x00 is "not defined", and says nothing."""
    found = {}
    for area, word in zip("ab", text.split(), strict=False):
        try:
            tenths = int(word, 16)
        except ValueError:
            continue
        if 1 <= tenths <= TENTH + 1:
            found[area] = tenths / TENTH
    return found


def process_written_bytes(proc: Path = Path("/proc")) -> int | None:
    """What this process had written to block devices (proc(5), io: write_bytes less what was cancelled)."""
    try:
        lines = (proc / "self/io").read_text().splitlines()
        fields = {name: int(value) for name, _, value in (line.partition(":") for line in lines)}
        return max(0, fields["write_bytes"] - fields["cancelled_write_bytes"])
    except (OSError, ValueError, KeyError):
        return None


class WearBook:
    """Bytes written to each card since the gateway first saw it, kept in a small file beside the journal."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cards: dict[str, dict[str, Any]] = {}
        self.damaged = False
        """Whether there was a file that could not be used: counting began anew."""
        try:
            content = json.loads(path.read_bytes())
            self._cards = {
                str(card): {"bytes": int(of["bytes"]), "boot": str(of["boot"]), "seen": int(of["seen"])}
                for card, of in content["cards"].items()
            }
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            self.damaged = True

    def count(self, card: Card, boot: str) -> int:
        """Take note of what the card says in this ``boot``; returns the bytes since it was first seen."""
        known = self._cards.get(card.id)
        if known is None:
            # What was written in this boot before the gateway came is known, and counts.
            known = {"bytes": card.written_bytes, "boot": boot, "seen": card.written_bytes}
        elif known["boot"] == boot and card.written_bytes >= known["seen"]:
            known = {
                **known,
                "bytes": known["bytes"] + card.written_bytes - known["seen"],
                "seen": card.written_bytes,
            }
        else:
            known = {"bytes": known["bytes"] + card.written_bytes, "boot": boot, "seen": card.written_bytes}
        self._cards[card.id] = known
        return int(known["bytes"])

    def known(self, card: str) -> int | None:
        """Bytes written to the card of this number since it was first seen, as of the last count."""
        return int(self._cards[card]["bytes"]) if card in self._cards else None

    def save(self) -> None:
        """Raises `OSError` where the disk takes nothing."""
        draft = self._path.with_name(f"{self._path.name}.draft")
        draft.write_text(json.dumps({"cards": self._cards}, indent=1) + "\n", encoding="utf-8")
        draft.replace(self._path)
