"""What the kernel shows of the machine in /proc and /sys. Every reader returns None for what is not there.

Sources: Linux driver-api/mmc/mmc-dev-attrs.rst, proc_pid_mountinfo(5).
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["Card", "Machine", "Mount"]

SECTOR = 512
"""Bytes of a sector in ``size``, whatever the device's own are."""


class Mount(NamedTuple):
    """One mounted file system. ``device`` is ``major:minor``; ``errors`` the count that ext4 keeps of its own."""

    point: str
    kind: str
    source: str
    device: str
    read_only: bool
    options: str


class Card(NamedTuple):
    """The disk under a file system. ``cid`` names the physical card.

    ``kind`` is ``SD``, ``MMC`` (eMMC) or empty for any other disk; ``life`` and ``eol`` are what eMMC alone says.
    """

    name: str
    kind: str
    cid: str
    label: str
    made: str
    size: int
    life: str
    eol: str


class Machine:
    """A machine by its files below ``root``; the tests put a folder in its place."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def text(self, path: str) -> str | None:
        """The content of a small file without the white space around it; None when it cannot be read."""
        try:
            return (self.root / path).read_text(encoding="utf-8", errors="replace").strip("\0 \n\t")
        except (OSError, ValueError):
            return None

    def number(self, path: str, base: int = 10) -> int | None:
        """The whole number in a file; None when there is none."""
        try:
            return int(self.text(path) or "", base)
        except ValueError:
            return None

    def exists(self, path: str) -> bool:
        """Whether there is something."""
        return (self.root / path).exists()

    def entries(self, path: str) -> list[str]:
        """Names in a folder, in order; none where there is no folder."""
        try:
            return sorted(entry.name for entry in (self.root / path).iterdir())
        except OSError:
            return []

    @property
    def model(self) -> str | None:
        """The board: ``Raspberry Pi 4 Model B Rev 1.5``."""
        return self.text("proc/device-tree/model")

    @property
    def is_pi(self) -> bool:
        """Whether it is a Raspberry Pi."""
        return "Raspberry Pi" in (self.model or "")

    def memory(self) -> dict[str, int]:
        """Bytes of /proc/meminfo by name; empty when it is hidden."""
        found = {}
        for line in (self.text("proc/meminfo") or "").splitlines():
            name, _, rest = line.partition(":")
            words = rest.split()
            if words and words[0].isdigit():
                found[name] = int(words[0]) * 1024
        return found

    def mount_of(self, path: Path) -> Mount | None:
        """The file system that a path lies on: of the mount points above it the nearest, the last mounted."""
        best: Mount | None = None
        whole = os.path.realpath(path)
        for mount in self._mounts():
            inside = whole == mount.point or whole.startswith(mount.point.rstrip("/") + "/")
            if inside and (best is None or len(mount.point) >= len(best.point)):
                best = mount
        return best

    def _mounts(self) -> Iterator[Mount]:
        for line in (self.text("proc/self/mountinfo") or "").splitlines():
            before, _, after = line.partition(" - ")
            words, rest = before.split(), after.split()
            if len(words) < 6 or len(rest) < 3:
                continue
            point = words[4].replace("\\040", " ")
            options = f"{words[5]},{rest[2]}"
            yield Mount(point, rest[0], rest[1], words[2], "ro" in options.split(","), options)

    def ext4_errors(self, mount: Mount) -> int | None:
        """How many errors ext4 has found in its file system, over all mounts; None for other kinds."""
        name = self._device_name(mount.device)
        return None if mount.kind != "ext4" or name is None else self.number(f"sys/fs/ext4/{name}/errors_count")

    def card(self, mount: Mount) -> Card | None:
        """The whole disk under a file system; None for one without a disk of its own (overlay, tmpfs, network)."""
        name = self._device_name(mount.device)
        if name is None:
            return None
        whole = self._whole_disk(mount.device) or name
        block, device = f"sys/class/block/{whole}", f"sys/class/block/{whole}/device"
        return Card(
            name=whole,
            kind=self.text(f"{device}/type") or "" if self.exists(f"{device}/cid") else "",
            cid=self.text(f"{device}/cid") or "",
            label=self.text(f"{device}/name") or self.text(f"{device}/model") or "",
            made=self.text(f"{device}/date") or "",
            size=(self.number(f"{block}/size") or 0) * SECTOR,
            life=self.text(f"{device}/life_time") or "",
            eol=self.text(f"{device}/pre_eol_info") or "",
        )

    def _device_name(self, device: str) -> str | None:
        path = self.root / "sys/dev/block" / device
        return os.path.basename(os.path.realpath(path)) if path.exists() else None  # noqa: PTH119

    def _whole_disk(self, device: str) -> str | None:
        """A partition's folder lies inside that of its disk."""
        path = Path(os.path.realpath(self.root / "sys/dev/block" / device))
        return path.parent.name if (path / "partition").exists() else None
