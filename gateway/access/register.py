"""People and tokens as an administrator sees them: who is known, let in, changed, shut out."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.access.door import Door, check_name, check_password, check_pin, fold
from gateway.access.roles import Rank
from gateway.access.secrets import fingerprint, new_code, new_token, tidy_code
from gateway.access.store import Person, Token
from gateway.errors import AccessError

__all__ = ["Register"]

TOKENS = 50
PEOPLE = 500

Request = Mapping[str, Any]


class Register:
    """The orders ``people.*``. Each request names the ``person`` who gives it; whether they may is asked before."""

    def __init__(self, door: Door) -> None:
        self.door = self._door = door
        self._book = door.book

    def handlers(self) -> dict[str, Callable[[Request], Awaitable[Mapping[str, Any]]]]:
        """By the name of the order."""
        return {
            "people.list": self._list,
            "people.invite": self._invite,
            "people.role": self._role,
            "people.remove": self._remove,
            "people.token": self._token,
            "people.revoke": self._revoke,
        }

    async def _list(self, _: Request) -> Mapping[str, Any]:
        sessions = [session.person for session in self._book.sessions.values()]
        people = [
            {
                "name": person.name,
                "role": person.role.value,
                "joined": bool(person.password),
                "pin": bool(person.pin),
                "by": person.by,
                "scope": person.scope,
                "sessions": sessions.count(person.name),
            }
            for person in sorted(self._book.people.values(), key=lambda person: person.name.casefold())
        ]
        tokens = [
            {
                "token": key[:12],
                "label": token.label,
                "role": token.role.value,
                "by": token.by,
                "scope": token.scope,
            }
            for key, token in sorted(self._book.tokens.items(), key=lambda entry: entry[1].label)
        ]
        return {"people": people, "tokens": tokens}

    async def _invite(self, request: Request) -> Mapping[str, Any]:
        """A new person, or a new code for one who has lost the password; their old password holds no more."""
        name, by = check_name(_text(request, "name")), _text(request, "person")
        known = self._book.people.get(fold(name))
        role = self._role_in(request) if known is None or "role" in request else known.role
        scope = known.scope if known is not None and "role" not in request else self._scope(request, role)
        if known is None and len(self._book.people) >= PEOPLE:
            raise AccessError(f"{PEOPLE} people are known", "remove one first")
        code = new_code()
        kept = await self._door.hashed(tidy_code(code))
        known = self._book.people.get(fold(name))
        self._keep_an_administrator(known, role, joined=False)
        self._book.people[fold(name)] = Person(name=name, role=role, code=kept, by=by, scope=scope)
        self._door.end_sessions(name)
        await self._door.keep()
        self._door.tell(
            "access.invited", name=name, role=role.value, person=by, again=known is not None, **_of(scope)
        )
        words = f"{name} can set a password with the code {code}; it is shown this once"
        return {"name": name, "role": role.value, "code": code, "words": words}

    async def _role(self, request: Request) -> Mapping[str, Any]:
        person, role = self._known(request), self._role_in(request)
        scope = self._scope(request, role)
        self._keep_an_administrator(person, role, joined=bool(person.password))
        was, person.role, person.scope = person.role, role, scope
        self._door.end_sessions(person.name)
        await self._door.keep()
        by = _text(request, "person")
        self._door.tell("access.role", name=person.name, old=was.value, new=role.value, person=by, **_of(scope))
        return {"words": f"{person.name} is {role.value} now"}

    async def _remove(self, request: Request) -> Mapping[str, Any]:
        person = self._known(request)
        self._keep_an_administrator(person, None, joined=False)
        del self._book.people[fold(person.name)]
        self._door.end_sessions(person.name)
        await self._door.keep()
        self._door.tell("access.removed", name=person.name, person=_text(request, "person"))
        return {"words": f"{person.name} cannot sign in any more; what they did stays on record"}

    async def _token(self, request: Request) -> Mapping[str, Any]:
        label, role = check_name(_text(request, "label")), self._role_in(request)
        scope = self._scope(request, role)
        if any(token.label == label for token in self._book.tokens.values()):
            raise AccessError(f"there is a token {label!r}", "choose another label, or revoke that one first")
        if len(self._book.tokens) >= TOKENS:
            raise AccessError(f"there are {TOKENS} tokens", "revoke one first")
        token, by = f"aurora_{new_token()}", _text(request, "person")
        self._book.tokens[fingerprint(token)] = Token(label=label, role=role, by=by, scope=scope)
        await self._door.keep()
        self._door.tell("access.token", label=label, role=role.value, person=by, **_of(scope))
        return {"label": label, "token": token, "words": f"the token of {label} is shown this once"}

    async def _revoke(self, request: Request) -> Mapping[str, Any]:
        label = _text(request, "label")
        keys = [key for key, token in self._book.tokens.items() if token.label == label]
        if not keys:
            raise AccessError(f"there is no token {label!r}", "see people.list")
        for key in keys:
            del self._book.tokens[key]
        await self._door.keep()
        self._door.tell("access.revoked", label=label, person=_text(request, "person"))
        return {"words": f"the token of {label} opens nothing any more"}

    # one's own

    async def change_password(self, name: str, old: str, new: str, address: str) -> None:
        """Somebody changes their own password; their sessions end. Raises `AccessError`."""
        check_password(new, name)
        person = await self._door.again(name, old, address)
        person.password = await self._door.hashed(new)
        self._door.end_sessions(person.name)
        await self._door.keep()
        self._door.tell("access.password", person=person.name)

    async def set_pin(self, name: str, password: str, pin: str, address: str) -> None:
        """Somebody sets the PIN they show at a shared device; an empty one takes it away. Raises `AccessError`."""
        if pin:
            check_pin(pin)
        person = await self._door.again(name, password, address)
        person.pin = await self._door.hashed(pin) if pin else ""
        await self._door.keep()
        self._door.tell("access.pin", person=person.name, set=bool(pin))

    def _known(self, request: Request) -> Person:
        name = _text(request, "name")
        person = self._book.people.get(fold(name))
        if person is None:
            raise AccessError(f"nobody is called {name!r} here", "see people.list")
        return person

    def _role_in(self, request: Request) -> Rank:
        kind = self._door.ranks.kind
        try:
            return kind(_text(request, "role"))
        except ValueError:
            raise AccessError("there is no such role", f"there are: {', '.join(kind)}") from None

    def _scope(self, request: Request, role: Rank) -> str:
        """The part of the house that goes with a rank that sees one alone; empty for the others."""
        if role not in self._door.ranks.bound:
            return ""
        return _text(request, "scope").strip()

    def _keep_an_administrator(self, person: Person | None, role: Rank | None, *, joined: bool) -> None:
        """Raises `AccessError` when the change would leave nobody who can let others in."""
        if person is None or person.role is not self._door.ranks.first or not person.password:
            return
        if role is self._door.ranks.first and joined:
            return
        others = (other for other in self._book.people.values() if other is not person)
        if not any(other.role is self._door.ranks.first and other.password for other in others):
            raise AccessError(f"{person.name} is the only administrator", "make somebody else one first")


def _text(request: Request, name: str) -> str:
    value = request.get(name)
    if not isinstance(value, str) or not value.strip():
        raise AccessError(f"{name} is missing", f'send "{name}": "..."')
    return value


def _of(scope: str) -> dict[str, str]:
    return {"scope": scope} if scope else {}
