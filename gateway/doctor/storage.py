"""Where the record lies: room, file system, the card's health, and who may write."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway.doctor.fact import Fact, bad, care, good, unknown
from gateway.doctor.machine import Card, Machine
from gateway.operations.card import WearBook
from gateway.operations.vitals import AMPLIFICATIONS, CARD_FILE
from gateway.site import Site

__all__ = ["card", "existing", "file_system", "journal_file", "permissions", "room", "standing"]

LITTLE: Final = 1_000_000_000
TOO_LITTLE: Final = 100_000_000
"""Bytes free."""
FLEETING: Final = frozenset({"tmpfs", "ramfs", "overlay", "squashfs"})
LIFE: Final = {
    "0x02": "80 % of the spare blocks are used",
    "0x03": "90 % of the spare blocks are used",
}
WORN: Final = 9
"""From this band of ten per cent on an eMMC is near its end (JEDEC JESD84-B51, DEVICE_LIFE_TIME_EST)."""


def standing(site: Site, machine: Machine) -> Iterator[Fact]:
    """The checks that cost little and may change at any time."""
    yield room(site)
    yield file_system(site.data_dir, machine)
    yield card(site, machine)


def existing(path: Path) -> Path:
    """The path, or what there is of it."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def room(site: Site) -> Fact:
    """Free space, and whether the journal may grow beyond it."""
    try:
        found = os.statvfs(existing(site.data_dir))
    except OSError as error:
        return bad(
            "room", "Disk", f"{site.data_dir} cannot be looked at ({error.strerror})", "see whether it is there"
        )
    free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    words = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free"
    if free < TOO_LITTLE:
        remedy = "delete what is not needed; what cannot be stored waits in memory, and is lost at a power cut"
        return bad("room", "Disk", words, remedy)
    if free < LITTLE:
        return care("room", "Disk", words, "delete what is not needed, or use a larger card")
    journal = _size(site.data_dir / "journal.db")
    if journal + free < site.buffer.max_bytes:
        grows = f"{words}; the journal may grow to {site.buffer.max_bytes / 1e9:.1f} GB"
        return care("room", "Disk", grows, "set max_size in [buffer] to what the disk can hold")
    return good("room", "Disk", words)


def file_system(data_dir: Path, machine: Machine) -> Fact:
    """It has to be one that survives a power cut, is writable, and has no errors on its books."""
    mount = machine.mount_of(existing(data_dir))
    if mount is None:
        return unknown("file-system", "File system", "the mounts are not shown here")
    words = f"{mount.kind} on {mount.source}"
    if mount.kind in FLEETING:
        remedy = "put data_dir on a partition of its own: what lies here is gone after a power cut"
        return bad("file-system", "File system", f"{words} keeps nothing", remedy)
    if mount.read_only:
        return bad("file-system", "File system", f"{words} is read-only", "see the kernel log (dmesg), then fsck")
    errors = machine.ext4_errors(mount)
    if errors:
        remedy = "stop the gateway, unmount and run e2fsck -f; make a copy of the data first"
        return bad("file-system", "File system", f"{words}: {errors} errors on its books", remedy)
    return good("file-system", "File system", words)


def card(site: Site, machine: Machine) -> Fact:
    """The card's own word on its health where it gives one (eMMC); for SD what the gateway has counted."""
    mount = machine.mount_of(existing(site.data_dir))
    disk = machine.card(mount) if mount is not None else None
    if disk is None:
        return unknown("card", "Card", "the disk under the data is not shown here")
    name = " ".join(word for word in (disk.kind or "disk", disk.label, f"{disk.size / 1e9:.0f} GB") if word)
    if disk.made:
        name += f", made {disk.made}"
    if disk.life:
        return _emmc(disk, name)
    if disk.kind != "SD":
        return unknown("card", "Card", f"{name}: it tells nothing about its wear here", "for an SSD: smartctl -a")
    return _sd(disk, name, site)


def _sd(disk: Card, name: str, site: Site) -> Fact:
    """How much of the stated endurance is used, by what was counted and two guesses of what the card adds."""
    written = WearBook(site.data_dir / CARD_FILE).known(disk.cid)
    if written is None:
        return unknown("card", "Card", f"{name}: it says nothing of its wear; bytes are counted from now on")
    name, promised = f"{name}: {written / 1e9:.1f} GB written", site.buffer.card_endurance_bytes
    if promised is None:
        remedy = "state what its maker promises (TBW) as card_endurance in [buffer]"
        return unknown("card", "Card", f"{name}; how much it stands is not stated", remedy)
    low, high = (written * factor / promised for factor in AMPLIFICATIONS)
    words = f"{name}, {low:.1%} to {high:.0%} of what it stands (a guess)"
    remedy = "exchange it by a card for industrial or endurance use"
    if low >= 1:
        return bad("card", "Card", words, remedy)
    return care("card", "Card", words, remedy) if high >= 1 else good("card", "Card", words)


def _emmc(disk: Card, name: str) -> Fact:
    bands = [int(word, 16) for word in disk.life.split() if word.lower().startswith("0x")]
    used = max(bands, default=0)
    words = f"{name}: at most {min(used, 10) * 10} % of its life used"
    reserve = LIFE.get(disk.eol.lower(), "")
    if used > 10 or disk.eol.lower() == "0x03":
        return bad("card", "Card", f"{words}; {reserve or 'beyond its life'}", "exchange the board or module now")
    if used >= WORN or disk.eol.lower() == "0x02":
        return care("card", "Card", f"{words}; {reserve or 'near its end'}", "plan to exchange it")
    return good("card", "Card", words) if used else unknown("card", "Card", f"{name}: its life is not defined")


def journal_file(site: Site) -> Iterator[Fact]:
    """The journal and what lies beside it."""
    path = site.data_dir / "journal.db"
    if not path.exists():
        yield unknown("journal", "Journal", f"{path} is not there yet: the gateway has not run with this site file")
        return
    words = f"{_size(path) / 1e6:.1f} MB, write-ahead log {_size(path.with_name(path.name + '-wal')) / 1e6:.1f} MB"
    yield good("journal", "Journal", words)
    aside = sorted(entry.name for entry in site.data_dir.glob("journal.db.*") if ".salvaged." not in entry.name)
    if aside:
        remedy = "what was readable is in the journal; keep the file for the cluster, then remove it"
        yield care("set-aside", "Journal", f"damaged files were set aside: {', '.join(aside[:3])}", remedy)


def permissions(site: Site) -> Iterator[Fact]:
    """Who may read and write what."""
    data_dir = site.data_dir
    if not data_dir.is_dir():
        words = f"{data_dir} is not there"
        yield bad("data-dir", "Data folder", words, "start the service, which makes it, or make it for its user")
        return
    status = data_dir.stat()
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o007:
        words = f"{data_dir} is open to everybody ({mode:04o})"
        yield care("data-dir", "Data folder", words, f"chmod 750 {data_dir}")
    elif os.geteuid() not in {0, status.st_uid}:
        words = f"{data_dir} belongs to another user: this check sees little"
        yield unknown("data-dir", "Data folder", words, "run doctor as root or as the gateway's user")
    else:
        yield good("data-dir", "Data folder", str(data_dir))
    yield from _secrets(site)


def _secrets(site: Site) -> Iterator[Fact]:
    private = [data_path for data_path in (site.data_dir / "keys").glob("*.key") if data_path.is_file()]
    if site.cluster is not None and site.cluster.key is not None:
        private.append(site.cluster.key)
    for path in private:
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue
        if mode & 0o007 or (path.parent.name == "keys" and mode & 0o070):
            words = f"{path} can be read by others ({mode:04o})"
            yield bad(
                "secrets", "Private key", words, f"chmod o-rwx {path}, and change the key if it may have leaked"
            )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
