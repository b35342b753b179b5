"""The image of the virtual machine: built by a script, kept outside the project, anew when its recipe changes.

AURORA_HIL_CACHE names the folder (default ~/.cache/aurora-gateway/hil); with AURORA_HIL_BUILD=0 nothing is built.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from hashlib import sha256
from pathlib import Path

__all__ = ["NoMachine", "image"]

HERE = Path(__file__).parent
TOOLS = {"qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils", "ssh": "openssh-client"}
BUILD_TOOLS = {"mmdebstrap": "mmdebstrap", "mkfs.ext4": "e2fsprogs", "ssh-keygen": "openssh-client"}
BUILD_LIMIT_S = 1800


class NoMachine(Exception):  # noqa: N818 - named for what there is not
    """The virtual machine cannot be had here; the words say why and what to do."""


def image() -> Path:
    """The folder with kernel, initrd, root image and key, built if need be; raises `NoMachine`."""
    folder = _cache() / _recipe()
    if not (folder / "ready").exists():
        _demand(TOOLS | BUILD_TOOLS)
        if os.environ.get("AURORA_HIL_BUILD") == "0":
            raise NoMachine(f"there is no image in {folder}, and AURORA_HIL_BUILD=0 forbids to build one")
        if os.geteuid() != 0:
            raise NoMachine("the image can only be built by root: sudo make hil")
        _build(folder)
    _demand(TOOLS)
    return folder


def _cache() -> Path:
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aurora-gateway" / "hil"
    return Path(os.environ.get("AURORA_HIL_CACHE") or default)


def _recipe() -> str:
    """Name of the image that the present recipe and dependencies give."""
    project = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    parts = [(HERE / name).read_text(encoding="utf-8") for name in ("build", "radio.txt")]
    return sha256("\n".join([*parts, *project["dependencies"]]).encode()).hexdigest()[:16]


def _demand(tools: dict[str, str]) -> None:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    absent = sorted({package for tool, package in tools.items() if shutil.which(tool, path=path) is None})
    if absent:
        raise NoMachine(f"not installed: {' '.join(absent)} (scripts/install-system-packages hil)")


def _build(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    try:
        subprocess.run(
            [HERE / "build", folder, sys.executable],
            check=True,
            env=environment,
            capture_output=True,
            text=True,
            timeout=BUILD_LIMIT_S,
        )
    except subprocess.CalledProcessError as error:
        raise NoMachine(f"the image could not be built: {error.stderr.strip()[-800:]}") from error
    except subprocess.TimeoutExpired as error:
        raise NoMachine(f"the image was not built within {BUILD_LIMIT_S} s") from error
