"""What all pages share: templates in the reader's language, rights, forms, words that are said once."""

import json
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import lru_cache, wraps
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from starlette.datastructures import FormData, UploadFile
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from gateway.access.door import Caller
from gateway.access.roles import Right, right_of
from gateway.errors import AccessError, AuroraError, OperatorError
from gateway.language import LANGUAGES, N_, Language, language, local_time
from gateway.web.border import address_of
from gateway.web.desk import Desk
from gateway.web.words import age, size

__all__ = ["Frame", "Handler", "PageError", "wants_json"]

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
LANGUAGE_COOKIE = "language"
NOTES = 100
MOST_FIELDS = 200
UNREAD = frozenset({408, 413})
"""After these the rest of the body is not waited for."""
Handler = Callable[[Request], Awaitable[Response]]


class PageError(AuroraError):
    """A request that cannot be answered as asked; shown as a page (or as JSON) with this status."""

    def __init__(self, status: int, what: str, remedy: str = "") -> None:
        self.status = status
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}; {remedy}" if remedy else what)


class Frame:
    """Renders pages and carries orders for the person who asks."""

    def __init__(self, desk: Desk, *templates: Path) -> None:
        """``templates`` are folders of another house, whose templates go before those of the same name here."""
        self.desk = desk
        self.door = desk.door
        self.nav: list[tuple[str, str]] = [("/", N_("Overview"))]
        """The bar at the foot of every page: path and words of each part."""
        self.more: list[tuple[str, str, Right]] = [("/people", N_("People"), Right.ADMINISTER)]
        """What stands on the page behind the bar's last item."""
        self._notes: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._environment = Environment(
            loader=FileSystemLoader([*templates, HERE / "templates"]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.globals = self._environment.globals
        self.globals.update(asset=_asset, age=age, size=size, cluster=False)
        self._environment.filters.update(
            query=urlencode, path=lambda text: quote(str(text), safe=""), duration=_duration
        )

    def template(self, name: str) -> Template:
        """A template by its file name."""
        return self._environment.get_template(name)

    # who asks, in which language

    def language(self, request: Request) -> Language:
        """As chosen on the page, else the first the browser asks for that there is, else the site's."""
        wanted = [request.cookies.get(LANGUAGE_COOKIE, "")]
        for part in request.headers.get("accept-language", "").split(","):
            wanted.append(part.partition(";")[0].strip().partition("-")[0].lower())
        return language(next((tag for tag in wanted if tag in LANGUAGES), self.desk.language))

    def moment_ms(self, words: str) -> int:
        """What a field for a time brought, as Unix ms; without a zone it is the page's. Raises `OperatorError`."""
        try:
            moment = datetime.fromisoformat(words)
        except ValueError:
            moment = None
        if moment is None or not 1971 <= moment.year <= 9000:
            raise OperatorError("that is no time", "write it as 2026-11-24T06:00")
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self.desk.zone)
        return int(moment.timestamp() * 1000)

    @staticmethod
    def caller(request: Request) -> Caller | None:
        """Whose session or token the request shows."""
        caller: Caller | None = request.state.caller
        return caller

    def may(self, request: Request, right: Right) -> bool:
        """Whether this request may do what takes ``right``."""
        caller = self.caller(request)
        if caller is None:
            return right is Right.LOOK and self.desk.open_view
        return caller.may(right)

    def needs(self, right: Right) -> Callable[[Handler], Handler]:
        """A handler for those who have a right. Others are asked to sign in, or told that they may not; what a
        handler cannot do (`AuroraError`) is told as well.
        """

        def wrap(handler: Handler) -> Handler:
            @wraps(handler)
            async def guarded(request: Request) -> Response:
                try:
                    if not self.may(request, right):
                        return self._refuse(request, right)
                    return await handler(request)
                except PageError as error:
                    return self.error(request, error.status, error.what, error.remedy)
                except AuroraError as error:
                    what = getattr(error, "what", None) or str(error)
                    return self.error(request, 409, what, getattr(error, "remedy", ""))

            return guarded

        return wrap

    def _refuse(self, request: Request, right: Right) -> Response:
        caller = self.caller(request)
        if caller is None and request.method in {"GET", "HEAD"} and not wants_json(request):
            return RedirectResponse(f"/sign-in?{urlencode({'to': _here(request)})}", status_code=303)
        if caller is None:
            return self.error(request, 401, "this takes somebody who has signed in", "sign in, or show a token")
        self.door.refuse("right", caller.person, address_of(request.scope))
        return self.error(request, 403, f"{caller.person} may not do that", f"it takes the right to {right.value}")

    # answers

    def page(self, request: Request, template: str, /, *, code: int = 200, **context: Any) -> Response:
        """A template as a page, with what every page shows around it."""
        return HTMLResponse(self.template(template).render(**self.context(request), **context), status_code=code)

    def context(self, request: Request) -> dict[str, Any]:
        """What every template may use: ``t`` translates, ``me`` is the caller or None, ``form`` a hidden field."""
        caller, t = self.caller(request), self.language(request)
        note = self._notes.pop(caller.session, None) if caller and caller.session else None
        return {
            "t": t,
            "me": caller,
            "may": lambda right: self.may(request, Right(right)),
            "form": self._form_field(caller),
            "note": note,
            "gateway": self.desk.gateway,
            "waiting_alarms": self.desk.waiting(),
            "nav": [*self.nav, ("/more", N_("More"))],
            "more": self.more,
            "names_of_languages": [(tag, language(tag).name) for tag in LANGUAGES],
            "path": request.url.path,
            "here": _here(request),
            "zone": self.desk.zone,
            "moment": lambda utc_ms, **how: t.moment(utc_ms, self.desk.zone, **how),
            "clock_time": lambda utc_ms: f"{local_time(utc_ms, self.desk.zone):%H:%M}",
        }

    @staticmethod
    def _form_field(caller: Caller | None) -> Markup:
        if caller is None or not caller.form:
            return Markup("")
        return Markup('<input type="hidden" name="form" value="{}">').format(caller.form)

    def error(self, request: Request, status: int, what: str, remedy: str = "") -> Response:
        """What could not be done, and what would help; JSON for a program."""
        if wants_json(request):
            answer: Response = JSONResponse({"error": what, "remedy": remedy}, status_code=status)
        else:
            answer = self.page(request, "error.html", code=status, number=status, what=what, remedy=remedy)
        if status in UNREAD:
            answer.headers["connection"] = "close"
        return answer

    def say(self, request: Request, words: str, *, state: str = "good") -> None:
        """Show some words once, on the next page of this session."""
        caller = self.caller(request)
        if caller and caller.session:
            self._notes[caller.session] = (state, words)
            while len(self._notes) > NOTES:
                self._notes.popitem(last=False)

    @staticmethod
    def go(to: str) -> Response:
        """After a form: load another page of this gateway, so that a reload does not send the form again."""
        return RedirectResponse(to if to.startswith("/") and not to.startswith(("//", "/\\")) else "/", 303)

    @staticmethod
    def to(path: str, name: str) -> str:
        """The address of something by its name."""
        return f"{path}/{quote(name, safe='')}"

    # forms and orders

    async def form(self, request: Request, *, files: int = 0) -> FormData:
        """The fields of a form that one of our own pages has sent. Raises `PageError` for anything else."""
        kind, _, more = request.headers.get("content-type", "").lower().partition(";")
        if kind.strip() not in {"application/x-www-form-urlencoded", "multipart/form-data"}:
            raise PageError(415, "that is no form", "send it from the page")
        if more.partition("charset=")[2].partition(";")[0].strip('" ') not in {"", "utf-8"}:
            # The library would decode it by any name it knows, of which some make halves of characters.
            raise PageError(415, "the form is not UTF-8", "send it from the page")
        try:
            found = await request.form(max_files=files, max_fields=MOST_FIELDS)
        except ClientDisconnect as error:
            raise PageError(408, "the form did not arrive", "send it again; it may be too large") from error
        except Exception as error:
            raise PageError(400, "the form cannot be read", "send it from the page") from error
        caller = self.caller(request)
        if caller is not None and not self.door.fits(caller, text(found, "form")):
            self.door.refuse("form", caller.person, address_of(request.scope))
            raise PageError(
                403, "this form is not of your present session", "load the page again, and send it once more"
            )
        return found

    async def ask(
        self, request: Request, order: str, form: FormData | None = None, **fields: Any
    ) -> Mapping[str, Any]:
        """Have the gateway do something in the name of whoever asks. Raises `AuroraError` when it refuses.

        At a shared device the fields ``vouch_name`` and ``vouch_pin`` of the form say who that is.
        """
        right, caller = right_of(order), self.caller(request)
        if not self.may(request, right):
            raise PageError(403, "you may not do that", f"it takes the right to {right.value}")
        person = caller.person if caller else ""
        if caller and caller.shared and right is not Right.LOOK:
            if form is None:
                raise AccessError("at a shared device that takes name and PIN", "send vouch_name and vouch_pin")
            person = await self.door.vouch(caller, text(form, "vouch_name"), text(form, "vouch_pin"), right)
        return await self.desk.ask(order, {**fields, "person": person})


def _duration(seconds: float | None, t: Language) -> str:
    return "" if seconds is None else t.duration(seconds * 1000)


def text(form: FormData, name: str) -> str:
    """A field of a form as text, tidied; empty where it is absent or a file."""
    value = form.get(name)
    if not isinstance(value, str):
        return ""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise PageError(400, "a text holds half a character", "type it again") from error
    return value.replace("\r\n", "\n").strip()


def upload(form: FormData, name: str) -> UploadFile | None:
    """A file of a form; None where none was chosen."""
    value = form.get(name)
    return value if isinstance(value, UploadFile) and value.filename else None


def wants_json(request: Request) -> bool:
    """Whether a program asks, by the path or by what it accepts."""
    return request.url.path.startswith("/api/") or "application/json" in request.headers.get("accept", "")


async def json_body(request: Request) -> Mapping[str, Any]:
    """The JSON object of a request; raises `PageError` for anything else."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise PageError(415, "the body is not declared as JSON", "send content-type: application/json")
    try:
        found = json.loads(await request.body())
    except ClientDisconnect as error:
        raise PageError(408, "the body did not arrive", "send it again; it may be too large") from error
    except (ValueError, RecursionError) as error:
        raise PageError(400, "the body is not JSON", 'send one object: {"...": ...}') from error
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError) as error:
        raise PageError(400, "a text holds half a character", "type it again") from error
    if not isinstance(found, dict):
        raise PageError(400, "the body is no JSON object", 'send one object: {"...": ...}')
    return found


def _here(request: Request) -> str:
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{request.url.path}{query}"


@lru_cache(maxsize=50)
def _asset(name: str) -> str:
    """The path of a static file, with a mark of its content, so that a browser may keep it for ever."""
    return f"/static/{name}?{sha256((HERE / 'static' / name).read_bytes()).hexdigest()[:8]}"
