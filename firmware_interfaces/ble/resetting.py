"""Resetting an adapter in the kernel by somebody who may, for somebody who may not: a request as a file.

The gateway has no rights over the network; another unit has that one right and nothing else. A request is an empty
file ``reset-hciN`` in a folder that only the gateway's user can write to. It is removed when it is done; where it
could not be, ``failed-hciN`` says why. Only the name is read, and only of this form.
"""

import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from firmware_interfaces.ble.bluez import BluezRefused, reset_adapter

__all__ = ["ask_reset", "carry_out", "resetter"]

WAIT_S = 10.0
PAUSE_S = 0.1
ADAPTER = re.compile(r"hci\d{1,3}")


def ask_reset(folder: Path, adapter: str, *, wait_s: float = WAIT_S) -> None:
    """Ask for a reset and wait until it is done; for a thread. Raises `BluezRefused`."""
    if ADAPTER.fullmatch(adapter) is None:
        raise BluezRefused(f"reset of {adapter}: no adapter has such a name")
    request, failed = folder / f"reset-{adapter}", folder / f"failed-{adapter}"
    try:
        failed.unlink(missing_ok=True)
        request.touch()
        end = time.monotonic() + wait_s
        while request.exists():
            if time.monotonic() > end:
                request.unlink(missing_ok=True)
                raise BluezRefused(f"reset of {adapter}: nobody does it; is aurora-radio-reset.path active?")
            time.sleep(PAUSE_S)
        words = failed.read_text(encoding="utf-8")[:500] if failed.exists() else ""
        failed.unlink(missing_ok=True)
    except (OSError, UnicodeDecodeError) as error:
        raise BluezRefused(f"reset of {adapter}: it cannot be asked for ({error})") from error
    if words:
        raise BluezRefused(words)


def resetter(environment: Mapping[str, str]) -> Callable[[str], None]:
    """How to reset an adapter here: as a service of systemd by asking, elsewhere by doing it."""
    folder = environment.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return partial(ask_reset, Path(folder)) if folder else reset_adapter


def carry_out(folder: Path, reset: Callable[[str], None] = reset_adapter) -> dict[str, str]:
    """Do what is asked for in a folder: adapters with what came of it, empty words where they were reset."""
    done: dict[str, str] = {}
    for request in sorted(folder.glob("reset-*")):
        adapter = request.name.removeprefix("reset-")
        if ADAPTER.fullmatch(adapter) is None:
            request.unlink(missing_ok=True)
            continue
        try:
            reset(adapter)
            done[adapter] = ""
        except BluezRefused as error:
            done[adapter] = str(error)
            (folder / f"failed-{adapter}").write_text(str(error), encoding="utf-8")
        request.unlink(missing_ok=True)
    return done
