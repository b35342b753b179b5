"""Calibrations under way: kept in a file of their own, so that neither a restart nor an empty phone loses one."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from gateway.errors import OperatorError, StorageError
from gateway.wholefile import write_whole

__all__ = ["Session", "Sessions", "Taken"]

FILE = "calibrations.json"
FORM = 1
MOST = 20


@dataclass(slots=True, kw_only=True)
class Taken:
    """One comparison: what the reference showed, and the means of steady readings beside it."""

    reference: float
    shown: float
    indicated: float
    readings: int
    window_s: float
    spread: float
    drift: float
    limit: float
    utc_ms: int | None


@dataclass(slots=True, kw_only=True)
class Session:
    """A comparison of one channel with a reference: as found, corrected where it must be, as left."""

    id: str
    kind: Literal["calibration", "verification"]
    channel: str
    unit: str
    decimals: int | None
    person: str
    began_utc_ms: int | None
    reference_instrument: str
    reference_certificate: str
    reference_valid_until: str
    tolerance: float
    tolerance_source: str
    limit: float
    environment: str | None = None
    uncertainty: float | None = None
    found: list[Taken] = field(default_factory=list)
    left: list[Taken] = field(default_factory=list)
    points: list[list[float]] = field(default_factory=list)
    """The correction as drafted: (indicated, reference) pairs, rising."""
    certificate: str | None = None
    valid_until: str | None = None
    laboratory: str | None = None
    photo: dict[str, Any] | None = None

    @property
    def device(self) -> str:
        """Id of the device."""
        return self.channel.partition(".")[0]

    @property
    def key(self) -> str:
        """The channel's name within its device."""
        return self.channel.partition(".")[2]


class Sessions:
    """All that are under way on one gateway."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE
        self._number, self._open = _read(self._path)

    @property
    def all(self) -> list[Session]:
        """The newest first."""
        return list(reversed(self._open.values()))

    def get(self, name: str) -> Session:
        """By its id; raises `OperatorError`."""
        session = self._open.get(name)
        if session is None:
            raise OperatorError(f"there is no calibration {name!r:.40} under way", "see calibrate.list")
        return session

    def new_id(self) -> str:
        """For the next one; raises `OperatorError` when too many are open."""
        if len(self._open) >= MOST:
            raise OperatorError(f"{MOST} calibrations are under way", "finish or abandon one first")
        self._number += 1
        return f"K{self._number}"

    def put(self, session: Session) -> None:
        """Keep a session as it is now. Writes a file. Raises `StorageError`."""
        self._open[session.id] = session
        self._write()

    def drop(self, name: str) -> None:
        """It is over. Writes a file."""
        self._open.pop(name, None)
        self._write()

    def _write(self) -> None:
        body = {"form": FORM, "number": self._number, "open": [asdict(one) for one in self._open.values()]}
        try:
            write_whole(self._path, json.dumps(body, ensure_ascii=False, indent=1).encode(), 0o600)
        except OSError as error:
            raise StorageError(f"{self._path} cannot be written ({error.strerror})", "see the disk") from error


def _read(path: Path) -> tuple[int, dict[str, Session]]:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return 0, {}
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{path} cannot be read ({error})", "remove it: calibrations under way are lost"
        ) from error
    try:
        if body["form"] != FORM:
            raise StorageError(f"{path} is of form {body['form']}, not {FORM}", "a newer gateway has written it")
        return int(body["number"]), {one["id"]: _session(one) for one in body["open"]}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise StorageError(
            f"{path} is damaged ({error!r})", "remove it: calibrations under way are lost"
        ) from error


def _session(data: Mapping[str, Any]) -> Session:
    known = {one.name for one in fields(Session)}
    parts = {name: [Taken(**taken) for taken in data[name]] for name in ("found", "left")}
    return Session(**{**{name: value for name, value in data.items() if name in known}, **parts})
