"""Files of a set-up: whole or not at all, for the gateway's user, and never over another without being asked."""

import json
import os
import pwd
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

from gateway.errors import OperatorError

__all__ = ["MEMORY", "Place"]

USER: Final = "aurora"
MEMORY: Final = "setup.json"
"""What was answered, and the serial of the newest setup file that was applied. Nothing in it is secret."""


class Place:
    """The folder of the settings. As root, files go to the group of the gateway's user, where there is one."""

    def __init__(self, folder: Path, user: str = USER) -> None:
        self.folder = folder
        self._owner: tuple[int, int] | None = None
        with suppress(KeyError):
            entry = pwd.getpwnam(user)
            if os.geteuid() == 0:
                self._owner = entry.pw_uid, entry.pw_gid

    def memory(self) -> dict[str, Any]:
        """What an earlier set-up left; empty where there is nothing sound."""
        try:
            found = json.loads((self.folder / MEMORY).read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def remember(self, memory: Mapping[str, Any]) -> None:
        """Keep it, so that an interrupted set-up goes on where it was."""
        self.write(MEMORY, json.dumps(dict(memory), indent=2).encode() + b"\n", replace=True)

    def read(self, name: str) -> bytes | None:
        """A file of the folder, None where there is none."""
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OperatorError(
                f"{self.folder / name} cannot be read ({error.strerror})", "run setup as root"
            ) from error

    def write(self, name: str, content: bytes, *, replace: bool = False, mode: int = 0o640) -> bool:
        """Write a file; False when it holds this already. One with another content is moved to ``name.old-N`` when
        ``replace`` says so, and refused otherwise."""
        path, found = self.folder / name, self.read(name)
        if found == content:
            return False
        if found is not None and not replace:
            raise OperatorError(f"{path} is there already, and differs", "run setup with --replace to put it aside")
        try:
            self.folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            if found is not None and name != MEMORY:
                # A copy, not the file itself: at no moment is there none.
                self._put(self._aside(path), found, mode)
            self._put(path, content, mode)
        except OSError as error:
            words = f"{path} cannot be written ({error.strerror})"
            raise OperatorError(words, "run setup as root, or name another folder with --dir") from error
        return True

    def _put(self, path: Path, content: bytes, mode: int) -> None:
        draft = self.folder / f".{path.name}.{token_hex(4)}.draft"
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
                if self._owner is not None:
                    os.fchown(descriptor, 0, self._owner[1])
                os.fchmod(descriptor, mode)
            draft.replace(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise

    def promote(self, name: str, into: str) -> None:
        """Put a file in another one's place, at once and for good."""
        try:
            (self.folder / name).replace(self.folder / into)
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            words = f"{self.folder / into} cannot be replaced ({error.strerror})"
            raise OperatorError(words, "run setup as root") from error

    def give(self, folder: Path) -> None:
        """Hand a folder of data with all that is in it to the gateway's user."""
        if self._owner is None:
            return
        for path in (folder, *folder.rglob("*")):
            os.chown(path, *self._owner, follow_symlinks=False)

    @staticmethod
    def _aside(path: Path) -> Path:
        number = 1
        while path.with_name(f"{path.name}.old-{number}").exists():
            number += 1
        return path.with_name(f"{path.name}.old-{number}")
