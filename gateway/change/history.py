"""Kept versions of the site file: what it was, who changed it, when and why.

``data_dir/site-history`` holds two files for each version: ``000007-1a2b3c4d5e6f.toml`` is the site file as it was,
byte for byte, ``.json`` beside it says the rest. The record of who changed which setting is the signed event; this
is what a change is rolled back from.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from gateway.wholefile import write_whole

__all__ = ["History", "How", "Version"]

FOLDER = "site-history"
MOST = 200
"""Versions that are kept; the oldest go first."""

How = Literal["start", "apply", "reload", "rollback"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """``utc_ms`` is None where the clock was not trusted, ``person`` and ``reason`` where not stated."""

    number: int
    digest: str
    how: How
    person: str | None = None
    reason: str | None = None
    utc_ms: int | None = None
    applied: bool = False
    """Whether the gateway has run by it. One that has not was prepared when the gateway was killed."""

    @property
    def name(self) -> str:
        """Of its files, without the ending."""
        return f"{self.number:06d}-{self.digest[:12]}"


class History:
    """The versions below one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / FOLDER

    def versions(self) -> list[Version]:
        """Newest first. A version whose text or particulars are missing or damaged is left out."""
        found = []
        for path in sorted(self.folder.glob("*.toml"), reverse=True):
            if (version := _version(path)) is not None:
                found.append(version)
        return found

    def newest(self) -> Version | None:
        """The newest version, None where there is none."""
        for path in sorted(self.folder.glob("*.toml"), reverse=True):
            if (version := _version(path)) is not None:
                return version
        return None

    def text(self, version: Version) -> bytes | None:
        """The site file of a version, None where it is gone or is not what it was."""
        with suppress(OSError):
            data = (self.folder / f"{version.name}.toml").read_bytes()
            if sha256(data).hexdigest() == version.digest:
                return data
        return None

    def keep(self, data: bytes, how: How, *, person: str | None, reason: str | None, utc_ms: int | None) -> Version:
        """Keep a version; it is on the disk when this returns. Raises OSError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = max(
            (int(p.name[:6]) for p in self.folder.glob("[0-9]*.toml") if p.name[:6].isdecimal()), default=0
        )
        version = Version(
            number=number + 1,
            digest=sha256(data).hexdigest(),
            how=how,
            person=person,
            reason=reason,
            utc_ms=utc_ms,
        )
        self._describe(version)
        write_whole(self.folder / f"{version.name}.toml", data, 0o600)
        self._thin()
        return version

    def confirm(self, version: Version) -> None:
        """Note that the gateway runs by a version. Raises OSError."""
        if not version.applied:
            self._describe(replace(version, applied=True))

    def _describe(self, version: Version) -> None:
        write_whole(self.folder / f"{version.name}.json", json.dumps(asdict(version), indent=1).encode(), 0o600)

    def forget(self, version: Version) -> None:
        """Take out a version that was never in force."""
        for ending in (".toml", ".json"):
            with suppress(OSError):
                (self.folder / f"{version.name}{ending}").unlink(missing_ok=True)

    def keep_running(self, source: Path, digest: str, utc_ms: int | None) -> None:
        """Keep the file that the gateway runs by, unless it is the newest version already. Raises OSError."""
        newest = self.newest()
        if newest is not None and newest.digest == digest:
            self.confirm(newest)
            return
        data = source.read_bytes()
        if sha256(data).hexdigest() == digest:  # else it was edited since it was read: that is the next version
            self.confirm(self.keep(data, "start", person=None, reason=None, utc_ms=utc_ms))

    def _thin(self) -> None:
        for path in sorted(self.folder.glob("*.toml"))[:-MOST]:
            path.unlink(missing_ok=True)
            path.with_suffix(".json").unlink(missing_ok=True)


def _version(path: Path) -> Version | None:
    try:
        data: Any = json.loads(path.with_suffix(".json").read_bytes())
        version = Version(**data)
    except (OSError, ValueError, TypeError):
        return None
    sound = (
        isinstance(version.number, int)
        and isinstance(version.digest, str)
        and version.name == path.stem
        and all(isinstance(text, str | None) for text in (version.person, version.reason))
        and isinstance(version.utc_ms, int | None)
        and isinstance(version.applied, bool)
    )
    return version if sound else None
