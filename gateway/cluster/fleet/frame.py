"""What the cluster's pages share beyond those of a gateway: the scope of whoever asks, the store, quiet reloads."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from gateway.access.door import Caller
from gateway.access.roles import Right
from gateway.cluster.database import Database, Work
from gateway.cluster.fleet.admission import Admission
from gateway.cluster.fleet.details import member_named
from gateway.cluster.fleet.happened import event_words
from gateway.cluster.fleet.marks import RED, VISIT, reasons
from gateway.cluster.fleet.scope import ALL, NOTHING, Scope
from gateway.language import N_
from gateway.web.desk import Desk
from gateway.web.frame import Frame, PageError

__all__ = ["FleetFrame", "House", "Look", "ident", "number", "query", "scope_of"]

T = TypeVar("T")

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class House:
    """One cluster's page: the store, and what the pages of the door need."""

    database: Database
    desk: Desk
    now_ms: Callable[[], int]
    """Unix milliseconds."""
    admission: Admission
    keep_s: float = 5.0
    """So long what was read for one is shown to others who may see the same."""


class Look(NamedTuple):
    """An open transaction to read in, and what may be seen in it."""

    work: Work
    scope: Scope
    now_ms: int


class FleetFrame(Frame):
    """Renders pages of the fleet for whoever asks."""

    def __init__(self, house: House) -> None:
        super().__init__(house.desk, HERE / "templates")
        self.house = house
        self._kept: dict[Hashable, tuple[float, Any]] = {}
        self.nav = [("/", N_("Fleet")), ("/alarms", N_("Alarms")), ("/members", N_("Members"))]
        self.more = [
            ("/requests", N_("Requests to be admitted"), Right.LOOK),
            ("/refused", N_("Refused messages"), Right.LOOK),
            ("/deeds", N_("What was done"), Right.ADMINISTER),
            ("/people", N_("People"), Right.ADMINISTER),
        ]
        self.globals.update(
            cluster=True,
            own=_own,
            said=_said,
            event_words=event_words,
            reasons=reasons,
            is_red=_is_red,
            is_visit=_is_visit,
        )

    @asynccontextmanager
    async def look(self, request: Request) -> AsyncIterator[Look]:
        """Read in one unchanging view of the store, within the scope of whoever asks."""
        async with self.house.database.transaction(write=False) as work:
            yield Look(work, await scope_of(work, self.caller(request)), self.house.now_ms())

    async def shared(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """What costs something to read, read once for all who ask for the same within a few seconds.

        The key has to name the scope.
        """
        now_s = asyncio.get_running_loop().time()
        until, found = self._kept.get(key, (0.0, None))
        if until > now_s:
            return found  # type: ignore[no-any-return]
        self._kept = {one: kept for one, kept in self._kept.items() if kept[0] > now_s}
        fresh = await read()
        self._kept[key] = (now_s + self.house.keep_s, fresh)
        return fresh

    def context(self, request: Request) -> dict[str, Any]:
        """What every template may use."""
        now_ms = self.house.now_ms()
        found = super().context(request)
        found["ago"] = lambda utc_ms: None if utc_ms is None else max(0, now_ms - utc_ms) / 1000
        found["now_ms"] = now_ms
        return found

    def page(self, request: Request, template: str, /, *, code: int = 200, **context: Any) -> Response:
        """A template as a page; nothing but a word that nothing has changed where a page asks again for itself."""
        body = self.template(template).render(**self.context(request), **context)
        answer = HTMLResponse(body, status_code=code)
        if request.method == "GET" and code == 200:
            mark = f'W/"{sha256(body.encode()).hexdigest()[:24]}"'
            if request.headers.get("if-none-match") == mark:
                answer = HTMLResponse("", status_code=304)
            answer.headers["etag"] = mark
        return answer

    def person(self, request: Request) -> str:
        """Who does something, for the record."""
        caller = self.caller(request)
        return caller.person if caller else ""

    @staticmethod
    def nothing() -> NoReturn:
        """There is no such thing, or not for whoever asks: which of both, nobody is told."""
        raise PageError(404, "there is no such thing", "look for it in the overview")


async def scope_of(work: Work, caller: Caller | None) -> Scope:
    """What somebody may see: whoever is bound to a member sees that one, whatever else may be wrong."""
    if caller is None:
        return NOTHING
    if caller.scope:
        member = await member_named(work, caller.scope)
        return NOTHING if member is None else Scope(member)
    return NOTHING if caller.role.value == "member" else ALL


def number(request: Request, name: str, least: int = 0, most: int = 2**53) -> int | None:
    """A whole number of the query; None where it is absent or none."""
    text = request.query_params.get(name, "")
    return (
        int(text) if text.isascii() and text.isdecimal() and len(text) < 17 and least <= int(text) <= most else None
    )


def ident(request: Request, name: str) -> int:
    """An id in the path; raises `PageError` for what cannot be one."""
    text = str(request.path_params[name])
    if not (text.isascii() and text.isdecimal() and len(text) < 17):
        FleetFrame.nothing()
    return int(text)


def query(**fields: object) -> str:
    """A query of what is given."""
    return urlencode({name: value for name, value in fields.items() if value not in (None, "", 0)})


def _said(data: Any, name: str) -> str:
    """A text of what a gateway has recorded; empty where it holds none: nothing is taken for granted of it."""
    found = data.get(name) if isinstance(data, Mapping) else None
    return found[:500] if isinstance(found, str) else ""


def _is_red(marks: int) -> bool:
    return bool(marks & RED)


def _is_visit(marks: int) -> bool:
    return bool(marks & VISIT)


@lru_cache(maxsize=20)
def _own(name: str) -> str:
    """The path of a static file of this page, with a mark of its content."""
    return f"/fleet/{name}?{sha256((HERE / 'static' / name).read_bytes()).hexdigest()[:8]}"
