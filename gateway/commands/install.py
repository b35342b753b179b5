"""`aurora-gateway install`: units, user and folders in place, shown step by step; and away again without the data.

What is written carries the hash of its content in its first line. So a file that somebody has edited is told from
one that is only old: the edited one is kept, in both directions, unless ``--force`` is given.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from gateway.errors import AuroraError

__all__ = ["add_install_command", "install_command", "udev_steps"]

MARK: Final = "# Put in place by aurora-gateway install; changes belong into a drop-in. SHA-256 "
PROGRAMS: Final = "/opt/aurora-gateway/bin/"
"""Where the units as they come look for the programs."""
UNIT: Final = "aurora-gateway.service"
CLUSTER_UNIT: Final = "aurora-cluster.service"
GATEWAY: Final[dict[str, str]] = {
    "sysusers.d/aurora.conf": "etc/sysusers.d/aurora.conf",
    "tmpfiles.d/aurora.conf": "etc/tmpfiles.d/aurora.conf",
    "udev.rules.d/77-aurora.rules": "etc/udev/rules.d/77-aurora.rules",
    "system.conf.d/50-aurora.conf": "etc/systemd/system.conf.d/50-aurora.conf",
    "journald.conf.d/50-aurora.conf": "etc/systemd/journald.conf.d/50-aurora.conf",
    "aurora-gateway-retry.service": "etc/systemd/system/aurora-gateway-retry.service",
    "aurora-radio-reset.path": "etc/systemd/system/aurora-radio-reset.path",
    "aurora-radio-reset.service": "etc/systemd/system/aurora-radio-reset.service",
    "aurora-gateway.service": f"etc/systemd/system/{UNIT}",
}
CLUSTER: Final[dict[str, str]] = {
    "sysusers.d/aurora-cluster.conf": "etc/sysusers.d/aurora-cluster.conf",
    "tmpfiles.d/aurora-cluster.conf": "etc/tmpfiles.d/aurora-cluster.conf",
    "aurora-cluster-receiver@.service": "etc/systemd/system/aurora-cluster-receiver@.service",
    "aurora-cluster-receivers.target": "etc/systemd/system/aurora-cluster-receivers.target",
    "aurora-cluster-follow.service": "etc/systemd/system/aurora-cluster-follow.service",
    "aurora-cluster-fleet.service": "etc/systemd/system/aurora-cluster-fleet.service",
    "aurora-cluster-notary.service": "etc/systemd/system/aurora-cluster-notary.service",
    "aurora-cluster-desk.service": "etc/systemd/system/aurora-cluster-desk.service",
    "aurora-cluster-crl.service": "etc/systemd/system/aurora-cluster-crl.service",
    "aurora-cluster-crl.timer": "etc/systemd/system/aurora-cluster-crl.timer",
    "aurora-cluster-handon.service": "etc/systemd/system/aurora-cluster-handon.service",
    "aurora-cluster.service": f"etc/systemd/system/{CLUSTER_UNIT}",
}
UDEV: Final = Path("/run/udev/control")
KEPT: Final = ("the user", "/etc/aurora-gateway", "/var/lib/aurora-gateway", "keys", "the journal")


class InstallError(AuroraError):
    """Cannot be done; the message says what would help."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, in words; ``command`` is run, ``path`` is written with ``content``, or removed without."""

    words: str
    path: Path | None = None
    content: bytes | None = None
    command: Sequence[str] = ()


def add_install_command(commands: Any) -> None:
    """Add the command to the parser."""
    install = commands.add_parser("install", help="put units, user and folders in place, or take them away")
    install.add_argument("--uninstall", action="store_true", help="take them away; data and keys stay")
    install.add_argument("--root", type=Path, default=Path("/"), metavar="DIR", help="of an image being built")
    install.add_argument("--programs", metavar="DIR", help="where the programs are; default: where this one is")
    install.add_argument("--cluster", action="store_true", help="the receiver of the cluster instead of a gateway")
    install.add_argument("--dry-run", action="store_true", help="show what would be done, and do nothing")
    install.add_argument("--force", action="store_true", help="also replace or remove files that were edited")
    install.set_defaults(command=install_command)


def install_command(arguments: argparse.Namespace) -> int:
    """Install or uninstall; exit status 0 done, 2 not possible."""
    root = arguments.root.absolute()
    wanted = CLUSTER if arguments.cluster else GATEWAY
    unit = CLUSTER_UNIT if arguments.cluster else UNIT
    if root == Path("/") and os.geteuid() != 0 and not arguments.dry_run:
        raise InstallError("the system's folders belong to root; run it with sudo, or look first with --dry-run")
    if arguments.uninstall:
        steps = _uninstall(root, wanted, unit, force=arguments.force)
    else:
        steps = _install(root, wanted, unit, _programs(arguments.programs), force=arguments.force)
    failed = 0
    for step in steps:
        print(f"  {step.words}")
        if not arguments.dry_run:
            failed += _do(step)
    if arguments.uninstall:
        print(f"kept: {', '.join(KEPT)}")
    elif not failed:
        print(_next(unit, dry=arguments.dry_run))
    return 2 if failed else 0


def _install(root: Path, wanted: dict[str, str], unit: str, programs: Path, *, force: bool) -> Iterator[Step]:
    for name, target in wanted.items():
        path, content = root / target, _content(name, programs)
        state = _state(path, content)
        if state == "same":
            yield Step(f"same      {path}")
        elif state == "edited" and not force:
            yield Step(f"KEPT      {path}: it was edited here; --force replaces it")
        else:
            yield Step(f"{'write' if state == 'absent' else 'replace':9} {path}", path, content)
    stem = "aurora-cluster" if unit == CLUSTER_UNIT else "aurora"
    yield from _run(root, "systemd-sysusers", f"{root / 'etc/sysusers.d' / stem}.conf")
    yield from _run(root, "systemd-tmpfiles", "--create", f"{root / 'etc/tmpfiles.d' / stem}.conf")
    if root == Path("/"):
        yield from _run(root, "systemctl", "daemon-reload")
        if unit == UNIT:
            yield from udev_steps(root)
    yield from _run(root, "systemctl", "enable", unit)


def udev_steps(root: Path, control: Path = UDEV) -> Iterator[Step]:
    """Have the rules taken. A container has no udev: its ports come from the host, named by the host's rules."""
    if not control.exists():
        yield Step("SKIPPED   udev does not run here; names of adapters are made by the host's rules")
        return
    yield from _run(root, "udevadm", "control", "--reload")
    yield from _run(root, "udevadm", "trigger", "--subsystem-match=tty", "--action=change")


def _uninstall(root: Path, wanted: dict[str, str], unit: str, *, force: bool) -> Iterator[Step]:
    if (root / wanted[unit]).exists():
        now = ("--now",) if root == Path("/") else ()
        yield from _run(root, "systemctl", "disable", *now, unit)
    for target in reversed(wanted.values()):
        path = root / target
        state = _state(path, b"")
        if state == "absent":
            yield Step(f"not there {path}")
        elif state == "edited" and not force:
            yield Step(f"KEPT      {path}: it was edited here; --force removes it")
        else:
            yield Step(f"remove    {path}", path)
    if root == Path("/"):
        yield from _run(root, "systemctl", "daemon-reload")


def _run(root: Path, tool: str, *words: str) -> Iterator[Step]:
    """A tool of systemd, on the running system or, with its own ``--root``, on an image."""
    if shutil.which(tool) is None:
        yield Step(f"SKIPPED   {tool} is not here: do on the target: {tool} {' '.join(words)}")
        return
    where = () if root == Path("/") else (f"--root={root}",)
    yield Step(f"run       {' '.join((tool, *where, *words))}", command=(tool, *where, *words))


def _do(step: Step) -> int:
    """Do it; 1 when it failed, which is said."""
    try:
        if step.command:
            subprocess.run(step.command, check=True, capture_output=True, text=True)
        elif step.path is not None and step.content is not None:
            step.path.parent.mkdir(parents=True, exist_ok=True)
            draft = step.path.with_name(f".{step.path.name}.draft")
            draft.write_bytes(step.content)
            draft.chmod(0o644)
            draft.replace(step.path)
        elif step.path is not None:
            step.path.unlink()
    except subprocess.CalledProcessError as error:
        print(f"  FAILED    {error.stderr.strip() or error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"  FAILED    {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _content(name: str, programs: Path) -> bytes:
    text = files("gateway_systemd").joinpath(name).read_text(encoding="utf-8")
    text = text.replace(PROGRAMS, f"{programs}/")
    return f"{MARK}{sha256(text.encode()).hexdigest()}\n{text}".encode()


def _state(path: Path, content: bytes) -> str:
    """``absent``, ``same``, ``ours`` (as some version of this command wrote it) or ``edited``."""
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        return "absent"
    except OSError as error:
        raise InstallError(f"{path} cannot be read ({error.strerror})") from error
    if found == content:
        return "same"
    first, _, rest = found.partition(b"\n")
    return "ours" if first == f"{MARK}{sha256(rest).hexdigest()}".encode() else "edited"


def _programs(given: str | None) -> Path:
    """The folder of the programs, as the units will name it."""
    if given is not None:
        return Path(given)
    folder = Path(sys.executable).absolute().parent
    if not (folder / "aurora-gateway").exists():
        raise InstallError(f"there is no program aurora-gateway in {folder}; name its folder with --programs")
    if folder.is_relative_to("/home") or folder.is_relative_to("/root"):
        raise InstallError(
            f"the service sees nothing below /home and /root, and the programs are in {folder}; "
            "install them in /opt/aurora-gateway (python3 -m venv), or name their folder with --programs"
        )
    return folder


def _next(unit: str, *, dry: bool) -> str:
    if dry:
        return "nothing was done"
    if unit == CLUSTER_UNIT:
        return f"next: write /etc/aurora-cluster/cluster.toml, then: systemctl start {unit}"
    return (
        f"next: aurora-gateway setup, then: systemctl start {unit}\n"
        "the hardware watchdog and the limits of the log hold from the next start of the machine"
    )
