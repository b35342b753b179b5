"""Changes of the site file as evidence: which setting had which value, which it has now, and who changed it."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, time
from enum import Enum
from pathlib import PurePath
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from gateway.errors import StorageError
from gateway.logbook.fields import LONGEST_NAME, LONGEST_TEXT, Fields
from gateway.model import ClockClaim, Event
from gateway.site import Site

__all__ = ["AT_START", "WHEN_APPLIED", "Change", "SettingsWatch", "canonical", "diff"]

CHANGED: Final = "config.changed"
MEMORY_VERSION: Final = 1
AT_ONCE: Final = 500
"""Changes that one event holds at most."""
NOT_SETTINGS: Final = frozenset({"source", "digest"})
AT_START: Final = "stated at the start"
WHEN_APPLIED: Final = "stated when it was applied"
"""What a record says of how its person is known."""
SECRET_WORDS: Final = (
    "password", "passwd", "passphrase", "secret", "token", "credential", "api_key", "apikey", "pin_code", "auth",
)  # fmt: skip
WITHHELD: Final = "(withheld)"
"""Stands for a secret. No digest of it is kept either: a short password could be found out from one."""

Plain = bool | int | float | str | None


class Change(NamedTuple):
    """One setting: ``old`` is None where it was not there, ``new`` where it is there no longer."""

    path: str
    old: Plain
    new: Plain


def canonical(site: object) -> dict[str, Plain]:
    """A checked site as path to plain value: ``device[cold-room-1].period_ms``, ``point[p].critical``.

    Things with an id are named by it, so that their order in the file does not matter. Secrets are withheld, and of
    addresses only what leads to a machine is kept. Settings that are absent (None) are left out.
    """
    return dict(sorted(_walk("", site)))


def diff(old: Mapping[str, Plain], new: Mapping[str, Plain]) -> list[Change]:
    """What differs between two sites in canonical form, by path."""
    return [
        Change(path, old.get(path), new.get(path))
        for path in sorted(old.keys() | new.keys())
        if path not in old or path not in new or not _same(old[path], new[path])
    ]


class SettingsWatch:
    """Compares the site file with the last one on record.

    What is on record follows from the event stream (`take`): the first file with all settings, each change since.
    ``memory`` is what `memory` returned to an earlier process; it carries over what retention took of the stream.
    Keep a new one in the transaction of the last event or after it, never before: noted twice is a nuisance,
    never noted is a hole.
    """

    def __init__(self, memory: bytes | None = None) -> None:
        self._settings: dict[str, Plain] | None = None
        self._digest: str | None = None
        self._count = 0
        """How many changes were recorded."""
        if memory is not None:
            self._recall(memory)

    def take(self, event: Event) -> None:
        """Take an event of the stream, in order; other kinds, and events that are none of ours, are left aside."""
        if event.kind != CHANGED:
            return
        data = event.data
        try:
            changes = [(str(change["path"]), change["new"]) for change in data["changes"]]
            number = int(str(data["record"]).partition("-")[0].removeprefix("C"))
            begins, ends = data["first"] and data["part"] == 1, data["part"] == data["parts"]
            digest = str(data["digest"])
        except (KeyError, TypeError, ValueError):
            return
        self._count = max(self._count, number)
        if begins:
            self._settings = {}
        if self._settings is None:
            # The beginning is not here, and no memory either: what holds cannot be known from changes alone.
            return
        for path, new in changes:
            self._settings.pop(path, None)
            if new is not None:
                self._settings[path] = new
        self._digest = digest if ends else None

    def compare(
        self,
        site: Site,
        claim: ClockClaim,
        *,
        person: str | None = None,
        reason: str | None = None,
        owner: str | None = None,
        stated: str = AT_START,
    ) -> list[Event]:
        """The events ``config.changed`` that a start with this site file, or a change to it while the gateway runs,
        gives rise to; none where nothing changed.

        ``person`` and ``reason`` are as ``stated``; ``owner`` is the file's owner, recorded as a hint.
        The first file on record is recorded whole. Raises `RecordError` for a person or reason that is no text.
        """
        said = Fields({"person": person, "reason": reason})
        name = said.text("person", most=LONGEST_NAME)
        why = said.text("reason", most=LONGEST_TEXT, lines=True)
        settings = canonical(site)
        if self._settings is not None and self._digest == site.digest and settings == self._settings:
            return []
        changes = diff(self._settings or {}, settings)
        first = self._settings is None
        groups = [changes[at : at + AT_ONCE] for at in range(0, len(changes), AT_ONCE)] or [[]]
        events = []
        for part, group in enumerate(groups, 1):
            self._count += 1
            mark = hashlib.sha256(f"{claim.boot.hex()}{claim.boot_ms}/{self._count}".encode()).hexdigest()[:6]
            data = {
                "record": f"C{self._count}-{mark}",
                "person": name,
                "person_is": stated if name else "not known",
                "owner": owner,
                "text": why,
                "supersedes": None,
                "first": first,
                "digest": site.digest,
                "previous_digest": self._digest,
                "part": part,
                "parts": len(groups),
                "changes": [change._asdict() for change in group],
                "words": _words(len(changes), first),
            }
            events.append(Event(CHANGED, claim.boot_ms, data))
        self._settings, self._digest = settings, site.digest
        return events

    def memory(self) -> bytes:
        """The site on record, as a later process needs it."""
        kept = {
            "version": MEMORY_VERSION,
            "digest": self._digest,
            "count": self._count,
            "settings": self._settings,
        }
        return json.dumps(kept, ensure_ascii=False).encode()

    def _recall(self, memory: bytes) -> None:
        try:
            kept = json.loads(memory)
            if kept["version"] != MEMORY_VERSION:
                raise StorageError(f"a settings memory of version {kept['version']}", "the file is recorded anew")
            settings, digest, count = kept["settings"], kept["digest"], int(kept["count"])
            if not isinstance(settings, dict | None) or not isinstance(digest, str | None):
                raise TypeError(type(settings))
        except (ValueError, TypeError, KeyError) as error:
            what = f"the memory of the settings cannot be read ({error!r})"
            raise StorageError(what, "the file is recorded anew") from error
        self._settings, self._digest, self._count = settings, digest, count


def _words(count: int, first: bool) -> str:
    if first:
        return f"The first site file on record, with {count} settings."
    if not count:
        return "The site file was changed, but no setting that is shown: comments, order, spelling, or a secret."
    return f"{count} setting{'s' if count > 1 else ''} of the site file changed."


def _same(a: Plain, b: Plain) -> bool:
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _walk(path: str, value: object) -> Iterator[tuple[str, Plain]]:
    if is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            if path or field.name not in NOT_SETTINGS:
                yield from _walk(_join(path, field.name), getattr(value, field.name))
    elif isinstance(value, Mapping):
        for key in value:
            yield from _walk(f"{path}[{key}]", value[key])
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for number, item in enumerate(value):
            name = getattr(item, "id", None)
            yield from _walk(f"{path}[{name if isinstance(name, str) else number}]", item)
    elif isinstance(value, frozenset | set):
        yield path, ", ".join(sorted(str(item) for item in value))
    elif value is not None:
        yield path, WITHHELD if _is_secret(path) else _plain(value)


def _join(path: str, name: str) -> str:
    """Lists are named in the singular, as in the file: devices[a] is device[a]."""
    singular = {"buses": "bus", "devices": "device", "points": "point"}.get(name, name) if not path else name
    return f"{path}.{singular}" if path else singular


def _is_secret(path: str) -> bool:
    name = path.rpartition(".")[2].lower()
    return any(word in name for word in SECRET_WORDS)


def _plain(value: object) -> Plain:
    match value:
        case Enum():
            return _plain(value.value)
        case bool() | int() | float():
            return value
        case date() | time():
            return value.isoformat()
        case PurePath():
            return str(value)
        case bytes():
            return WITHHELD
        case _:
            return _without_secrets(str(value))


def _without_secrets(text: str) -> str:
    """Of an address scheme, host and port: user, path and query can hold a password or a token."""
    if "://" not in text:
        return text
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return WITHHELD
    rest = parts.path.strip("/") or parts.query or parts.username or parts.password or parts.fragment
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{f'/{WITHHELD}' if rest else ''}"
