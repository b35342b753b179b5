"""Signing in and out, and who a request is from."""

import asyncio
import hmac
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gateway.access.firstcode import first_code, forget_first_code, kept_code
from gateway.access.roles import GATEWAY, Rank, Ranks, Right
from gateway.access.secrets import check_secret, fingerprint, hash_secret, new_token, tidy_code
from gateway.access.store import Book, Person, Session
from gateway.access.throttle import Throttle
from gateway.errors import AccessError
from gateway.model import Event

__all__ = ["Caller", "Door", "check_name", "check_password", "check_pin", "fold"]

log = logging.getLogger(__name__)

T = TypeVar("T")

HOUR_MS = 3_600_000
LONGEST_MS = 30 * 24 * HOUR_MS
SHARED_MS = 365 * 24 * HOUR_MS
"""A shared device stays signed in, since whoever does something there shows a PIN."""
SEEN_MS = 300_000
"""So exactly is it kept when a session was last used."""
SESSIONS = 200
SESSIONS_EACH = 20
"""Of one person, the newest: nobody signs the others out by signing in."""
KNOWN = 500
"""So many pairs of an address and a name that were right are remembered."""
WAITING = 8
"""So many may wait to have a password checked, one at a time."""
REFUSALS_AN_HOUR = 60
"""So many refused attempts stand in the record of an hour; the others are counted."""
SHORTEST_PASSWORD, LONGEST_PASSWORD, LONGEST_NAME = 10, 200, 60
UNKNOWN = "scrypt$16384$8$5$AAAAAAAAAAAAAAAAAAAAAA==$" + "A" * 43 + "="
"""Checked in place of an unknown name's password, so that the time taken does not tell who is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks. ``form`` is the word that this session's forms must carry; empty for a token and for nobody."""

    person: str
    role: Rank
    session: str = ""
    form: str = ""
    shared: bool = False
    token: bool = False
    scope: str = ""
    """The one part of the house that they see; empty for all of it."""

    def may(self, right: Right) -> bool:
        """Whether they have a right, or may ask for it by showing a PIN."""
        return self.role.may(right) or (self.shared and right in {Right.HANDLE, Right.RECORD})


class Door:
    """One house's. ``now_ms`` is the boot clock, ``boot`` its id; ``event`` takes what belongs on record.

    ``book`` and ``keep`` are for a house that keeps its book elsewhere than in a file of ``data_dir``.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        boot: str,
        now_ms: Callable[[], int],
        event: Callable[[Event], None],
        ranks: Ranks = GATEWAY,
        book: Book | None = None,
        keep: Callable[[Book], Awaitable[None]] | None = None,
    ) -> None:
        self.book = Book.open(data_dir, ranks.kind) if book is None else book
        self.ranks = ranks
        self.refused = 0
        """Attempts that were refused since the start."""
        self._data_dir = data_dir
        self._boot = boot
        self._now_ms = now_ms
        self._event = event
        self._keep = keep
        self._throttle = Throttle()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._hashing = asyncio.Semaphore(1)
        self._waiting = 0
        self._writing = asyncio.Lock()
        self._hour, self._recorded, self._unrecorded = -1, 0, 0
        for key in [key for key, session in self.book.sessions.items() if session.boot != boot]:
            del self.book.sessions[key]  # Their age is counted by a clock that a reboot has ended.
        if not self.people_known:
            log.warning("nobody can sign in yet: the code for the first administrator is %s", first_code(data_dir))

    @property
    def people_known(self) -> bool:
        """Whether an administrator has signed in before; until then the label's code makes one."""
        return any(person.role is self.ranks.first and person.password for person in self.book.people.values())

    # who asks

    def caller(self, token: str | None) -> Caller | None:
        """Whose session a cookie names; None for nobody's, or one that is over."""
        key = fingerprint(token) if token else ""
        session = self.book.sessions.get(key)
        if token is None or session is None:
            return None
        person, now = self.book.people.get(fold(session.person)), self._now_ms()
        if person is None or self._over(session, person.role, now):
            del self.book.sessions[key]
            return None
        if now - session.seen_ms > SEEN_MS:
            session.seen_ms = now
        shared = self.ranks.shared if session.shared else None
        return Caller(
            person=person.name,
            role=person.role if shared is None else shared,
            session=key,
            form=fingerprint(f"form {token}"),
            shared=shared is not None,
            scope=person.scope,
        )

    def program(self, token: str) -> Caller | None:
        """Which program shows this token."""
        found = self.book.tokens.get(fingerprint(token))
        if found is None:
            return None
        return Caller(person=f"{found.label} (token)", role=found.role, token=True, scope=found.scope)

    def holds(self, caller: Caller) -> bool:
        """Whether this caller would be let in now: a stream that is open ends when its session does."""
        if caller.token:
            return any(f"{token.label} (token)" == caller.person for token in self.book.tokens.values())
        session = self.book.sessions.get(caller.session)
        person = self.book.people.get(fold(session.person)) if session else None
        return session is not None and person is not None and not self._over(session, person.role, self._now_ms())

    @staticmethod
    def fits(caller: Caller, form: str) -> bool:
        """Whether a form was made for this session."""
        return bool(caller.form) and hmac.compare_digest(caller.form, form)

    # signing in

    async def sign_in(self, name: str, password: str, address: str, *, shared: bool = False) -> str:
        """A new session's cookie. Raises `AccessError` for a wrong name or password, and while one must wait."""
        person = await self.again(name, password, address)
        return await self._begin(person, address, shared and self.ranks.shared is not None)

    async def again(self, name: str, password: str, address: str) -> Person:
        """Somebody shows their password (once more, for what a found phone should not be able to do).

        Raises `AccessError`.
        """
        name = name[: LONGEST_NAME + 1]
        person = self.book.people.get(fold(name))
        kept = person.password if person and person.password else UNKNOWN
        right = await self._try(address, name, lambda: check_secret(password, kept))
        if not right or person is None or not person.password or self._changed(person, kept):
            raise self._wrong(address, name, "sign-in", AccessError("name or password is wrong", "try again"))
        return person

    async def welcome(self, name: str, code: str, password: str, address: str) -> str:
        """Somebody sets their password with the code they were given; the label's makes the first administrator.

        Returns a new session's cookie; raises `AccessError`.
        """
        name = check_name(name)
        check_password(password, name)
        typed, person = tidy_code(code), self.book.people.get(fold(name))
        first = not self.people_known
        label = kept_code(self._data_dir) if first else None
        invited = person.code if person and person.code else UNKNOWN
        by_label = label is not None and hmac.compare_digest(typed.encode(), label.encode())
        if not await self._try(address, name, lambda: by_label or check_secret(typed, invited)):
            error = AccessError("name and code do not belong together", "see the label, or ask for a new code")
            raise self._wrong(address, name, "code", error)
        made = await self._hash(password)
        # The waits were long: what the code was good for may be gone.
        if self.people_known if by_label else self.book.people.get(fold(name)) is not person:
            raise AccessError("that code holds no more", "ask for a new one")
        if by_label or person is None:
            person = Person(name=name, role=self.ranks.first, by=self.ranks.first_by)
        person.password, person.code = made, ""
        self.book.people[fold(name)] = person
        self.end_sessions(person.name)
        await self.keep()
        if first and self.people_known:
            forget_first_code(self._data_dir)
        self.tell("access.joined", person=person.name, role=person.role.value, by=person.by, address=address)
        return await self._begin(person, address, shared=False)

    async def sign_out(self, caller: Caller) -> None:
        """This session is over."""
        if self.book.sessions.pop(caller.session, None) is not None:
            await self.keep()
            self.tell("access.signed_out", person=caller.person)

    async def vouch(self, caller: Caller, name: str, pin: str, right: Right) -> str:
        """Who does something at a shared device: the person whose PIN this is, if they may.

        Raises `AccessError` when name and PIN do not belong together, or the person has not that right.
        """
        name = name[: LONGEST_NAME + 1]
        person = self.book.people.get(fold(name))
        kept = person.pin if person and person.pin else UNKNOWN
        if (
            not await self._try(f"session {caller.session}", name, lambda: check_secret(pin, kept))
            or person is None
        ):
            error = AccessError("name and PIN do not belong together", "set a PIN under your own name first")
            raise self._wrong(f"session {caller.session}", name, "PIN", error)
        if not person.role.may(right):
            raise AccessError(f"{person.name} may not do that", f"it takes the right to {right.value}")
        return person.name

    async def _begin(self, person: Person, address: str, shared: bool) -> str:
        token, now = new_token(), self._now_ms()
        sessions = self.book.sessions
        mine = [key for key, one in sessions.items() if one.person == person.name and not one.shared]
        for key in sorted(mine, key=lambda key: sessions[key].seen_ms)[: max(0, len(mine) - SESSIONS_EACH + 1)]:
            del sessions[key]
        while len(sessions) >= SESSIONS:
            del sessions[min(sessions, key=lambda key: sessions[key].seen_ms)]
        sessions[fingerprint(token)] = Session(
            person=person.name, boot=self._boot, began_ms=now, seen_ms=now, shared=shared
        )
        await self.keep()
        self.tell("access.signed_in", person=person.name, role=person.role.value, address=address, shared=shared)
        return token

    def _changed(self, person: Person, kept: str) -> bool:
        """Whether somebody was shut out, or given a new code, while their password was being checked."""
        return self.book.people.get(fold(person.name)) is not person or person.password != kept

    async def _try(self, address: str, name: str, check: Callable[[], bool]) -> bool:
        keys, now_s = self._keys(address, name), self._now_ms() / 1000
        wait_s = max(self._throttle.wait_s(key, now_s) for key in keys)
        if wait_s:
            raise AccessError(f"too many wrong tries: wait {wait_s:.0f} s", "ask an administrator for a new code")
        right = await self._slowly(check)
        now_s = self._now_ms() / 1000
        if any(self._throttle.wait_s(key, now_s) for key in keys):
            raise AccessError("too many wrong tries at this moment", "try again in a few seconds")
        if right:
            for key in keys:
                self._throttle.right(key)
            self._known[address, fold(name)] = None
            while len(self._known) > KNOWN:
                self._known.popitem(last=False)
        return right

    def _keys(self, address: str, name: str) -> tuple[str, ...]:
        """What wrong tries are counted by. Where a name was right before, others who try it elsewhere do not count:
        nobody can lock a person out by trying their name.
        """
        who = f"{fold(name)} at {address}" if (address, fold(name)) in self._known else fold(name)
        return f"address {address}", f"name {who}"

    def _wrong(self, address: str, name: str, what: str, error: AccessError) -> AccessError:
        now_s = self._now_ms() / 1000
        for key in self._keys(address, name):
            self._throttle.wrong(key, now_s)
        self.refuse(what, name, address)
        return error

    def refuse(self, what: str, name: str, address: str) -> None:
        """Count a refused attempt, and put it on record unless too many came within the hour."""
        self.refused += 1
        hour = self._now_ms() // HOUR_MS
        if hour != self._hour:
            self._hour, self._recorded = hour, 0
        if self._recorded >= REFUSALS_AN_HOUR:
            self._unrecorded += 1
            return
        self._recorded += 1
        more, self._unrecorded = self._unrecorded, 0
        self.tell("access.refused", what=what, name=name[:LONGEST_NAME], address=address, more=more)

    async def _hash(self, secret: str) -> str:
        return await self._slowly(lambda: hash_secret(secret))

    async def hashed(self, secret: str) -> str:
        """A secret as it is kept, made off the loop."""
        return await self._hash(secret)

    async def _slowly(self, work: Callable[[], T]) -> T:
        """One at a time, off the loop: each takes 16 MiB and a fifth of a second."""
        if self._waiting >= WAITING:
            raise AccessError("too many are signing in at this moment", "try again in a few seconds")
        self._waiting += 1
        try:
            async with self._hashing:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1

    # what is kept

    def end_sessions(self, name: str) -> None:
        """All sessions of a person are over: their password, role or right to be here has changed."""
        for key in [key for key, session in self.book.sessions.items() if fold(session.person) == fold(name)]:
            del self.book.sessions[key]

    async def keep(self) -> None:
        """Write the book; raises `AuroraError` when the disk refuses."""
        async with self._writing:
            if self._keep is not None:
                await self._keep(self.book)
                return
            text = self.book.text()
            await asyncio.to_thread(self.book.write, text)

    def _over(self, session: Session, role: Rank, now_ms: int) -> bool:
        if session.shared:
            return now_ms - session.began_ms > SHARED_MS
        return now_ms - session.seen_ms > self.ranks.idle_ms[role] or now_ms - session.began_ms > LONGEST_MS

    def tell(self, kind: str, **data: object) -> None:
        """Put something on record."""
        self._event(Event(kind, self._now_ms(), dict(data)))


def fold(name: str) -> str:
    """The form under which a name is known: case and spaces make no other person."""
    return " ".join(name.split()).casefold()


def check_name(name: str) -> str:
    """A person's name, tidied; raises `AccessError` for what cannot be one."""
    tidy = " ".join(name.split())
    if not tidy or len(tidy) > LONGEST_NAME or not tidy.isprintable():
        raise AccessError("that is no name", f"write 1 to {LONGEST_NAME} letters, as it shall stand in the record")
    return tidy


def check_password(password: str, name: str) -> None:
    """Raises `AccessError` for a password that is too short or too easy to guess."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise AccessError(
            f"the password has {len(password)} characters",
            f"take {SHORTEST_PASSWORD} to {LONGEST_PASSWORD}; a few words are good",
        )
    if fold(password) in {fold(name), ""} or len(set(password)) < 4:
        raise AccessError("the password is too easy to guess", "a few words that nobody expects are good")


def check_pin(pin: str) -> None:
    """Raises `AccessError` for what is no PIN."""
    if not (4 <= len(pin) <= 10 and pin.isascii() and pin.isdigit()) or len(set(pin)) == 1:
        raise AccessError("that is no PIN", "take 4 to 10 digits, not all the same")
