"""Who may use the cluster's page: ranks, the book of people in table ``staff``, deeds in table ``deed``."""

import json
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.access.roles import Rank, Ranks, Right
from gateway.access.store import Book, Person, Session, Token, plain
from gateway.cluster.database import Database, Work
from gateway.errors import AccessError, StorageError
from gateway.language import N_
from gateway.model import Event

__all__ = ["STAFF", "Deeds", "StaffBook", "StaffRole", "note"]

log = logging.getLogger(__name__)

HOUR_MS: Final = 3_600_000
WAITING: Final = 1000
"""So many deeds wait for a store that does not take them; older ones are lost, and counted."""


class StaffRole(Rank):
    """What somebody is at the cluster's page."""

    VIEWER = "viewer"
    MEMBER = "member"
    """Of one member, whose name is the scope; looks at its own and at nothing else."""
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"

    @property
    def rights(self) -> frozenset[Right]:
        """All that this rank may do."""
        return _RIGHTS[self]


_LOOK = frozenset({Right.LOOK})
_RIGHTS: Final = {
    StaffRole.VIEWER: _LOOK,
    StaffRole.MEMBER: _LOOK,
    # To commission is here: to admit a gateway, and to cut one off.
    StaffRole.OPERATOR: _LOOK | {Right.COMMISSION},
    StaffRole.ADMINISTRATOR: _LOOK | {Right.COMMISSION, Right.ADMINISTER},
}
STAFF: Final = Ranks(
    kind=StaffRole,
    first=StaffRole.ADMINISTRATOR,
    first_by=N_("the first code"),
    shared=None,
    idle_ms={
        StaffRole.VIEWER: 24 * HOUR_MS,
        StaffRole.MEMBER: 24 * HOUR_MS,
        StaffRole.OPERATOR: 12 * HOUR_MS,
        StaffRole.ADMINISTRATOR: 12 * HOUR_MS,
    },
    bound=frozenset({StaffRole.MEMBER}),
)


@dataclass(slots=True)
class _Kind:
    parts: str
    of: Callable[..., Any]


_KINDS: Final = {"person": _Kind("people", Person), "session": _Kind("sessions", Session)}
_KINDS["token"] = _Kind("tokens", Token)


class StaffBook:
    """The book of people: a row of ``staff`` for each person, session and token, named by kind and key."""

    def __init__(self, database: Database, path: Path) -> None:
        self._database = database
        self._path = path
        self._kept: dict[str, str] = {}

    async def load(self) -> Book:
        """What the table holds. Raises `AccessError` for a row that is damaged: nobody is let in by guessing."""
        async with self._database.transaction(write=False) as work:
            self._kept = {row[0]: row[1] for row in await work.fetch("SELECT name, content FROM staff")}
        book = Book(self._path)
        for name, content in self._kept.items():
            kind, _, key = name.partition("/")
            try:
                found = json.loads(content)
                if "role" in found:
                    found["role"] = StaffRole(found["role"])
                getattr(book, _KINDS[kind].parts)[key] = _KINDS[kind].of(**found)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise AccessError(
                    f"row {name!r} of table staff is damaged ({error!r})", "put back a copy, or delete the row"
                ) from error
        return book

    async def keep(self, book: Book) -> None:
        """Write what has changed; raises `StorageError`."""
        rows = {
            f"{kind}/{key}": json.dumps(plain(entry), ensure_ascii=False)
            for kind, form in _KINDS.items()
            for key, entry in getattr(book, form.parts).items()
        }
        changed = [(name, content) for name, content in rows.items() if self._kept.get(name) != content]
        gone = [(name,) for name in self._kept if name not in rows]
        async with self._database.transaction() as work:
            await work.execute_each("DELETE FROM staff WHERE name = $1", gone)
            await work.execute_each(
                "INSERT INTO staff (name, content) VALUES ($1, $2) "
                "ON CONFLICT (name) DO UPDATE SET content = excluded.content",
                changed,
            )
        self._kept = rows


async def note(work: Work, at_ms: int, person: str, what: str, data: Mapping[str, Any]) -> None:
    """Put a deed on record, in the transaction in which it is done."""
    text = json.dumps(data, ensure_ascii=False, sort_keys=True)
    await work.execute(
        "INSERT INTO deed (at_ms, person, what, data) VALUES ($1, $2, $3, $4)", at_ms, person, what, text
    )


class Deeds:
    """What happens at the door, on its way to table ``deed``."""

    def __init__(self, database: Database) -> None:
        self.lost = 0
        """Deeds that the store did not take in time."""
        self._database = database
        self._waiting: deque[Event] = deque()
        self._troubled = False

    def note(self, event: Event) -> None:
        """Something happened; `flush` writes it."""
        if len(self._waiting) >= WAITING:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(event)

    @property
    def waiting(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._waiting)

    async def flush(self) -> None:
        """Write what waits. A store that does not take it is told of once; the deeds wait on."""
        taken, self._waiting = self._waiting, deque()
        try:
            async with self._database.transaction() as work:
                for event in taken:
                    data = dict(event.data)
                    person = str(data.pop("person", "") or data.get("name", ""))
                    await note(work, event.at_ms, person, event.kind, data)
            self._troubled = False
        except StorageError as error:
            self._waiting.extendleft(reversed(taken))
            if not self._troubled:
                log.error("what was done cannot be recorded: %s", error)
            self._troubled = True
