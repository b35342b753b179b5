"""Signing in and out, the first password, one's own account, the language."""

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.access.register import Register
from gateway.access.roles import Right
from gateway.errors import AuroraError
from gateway.language import LANGUAGES
from gateway.web.border import address_of, cookie_name
from gateway.web.frame import LANGUAGE_COOKIE, Frame, Handler, PageError, text

__all__ = ["DoorPages"]

MONTH_S = 30 * 86_400
YEAR_S = 365 * 86_400


class DoorPages:
    """What stands before the other pages, and what belongs to whoever has signed in."""

    def __init__(self, frame: Frame, register: Register) -> None:
        self._frame = frame
        self._register = register

    def routes(self) -> list[Route]:
        """All of them."""
        look = self._frame.needs(Right.LOOK)
        return [
            Route("/sign-in", self._told(self._sign_in), methods=["GET", "POST"]),
            Route("/welcome", self._told(self._welcome), methods=["GET", "POST"]),
            Route("/sign-out", look(self._sign_out), methods=["POST"]),
            Route("/account", look(self._account)),
            Route("/account/password", look(self._password), methods=["POST"]),
            Route("/account/pin", look(self._pin), methods=["POST"]),
            Route("/language", self._told(self._language), methods=["POST"]),
            Route("/more", look(self._more)),
        ]

    def _told(self, handler: Handler) -> Handler:
        """For pages before the door: an error of theirs is a page, too."""

        async def guarded(request: Request) -> Response:
            try:
                return await handler(request)
            except PageError as error:
                return self._frame.error(request, error.status, error.what, error.remedy)

        return guarded

    async def _sign_in(self, request: Request) -> Response:
        frame, to = self._frame, request.query_params.get("to", "/")
        first = not frame.door.people_known
        if request.method != "POST":
            if first:
                return frame.go("/welcome")
            return frame.page(request, "sign-in.html", to=to, name="", problem=None)
        form = await self._open_form(request)
        name, shared = text(form, "name"), text(form, "shared") == "yes"
        try:
            token = await frame.door.sign_in(
                name, str(form.get("password", "")), address_of(request.scope), shared=shared
            )
        except AuroraError as error:
            return frame.page(request, "sign-in.html", code=403, to=to, name=name, problem=error)
        return self._enter(request, token, text(form, "to") or to, YEAR_S if shared else MONTH_S)

    async def _welcome(self, request: Request) -> Response:
        frame = self._frame
        first = not frame.door.people_known
        if request.method != "POST":
            return frame.page(request, "welcome.html", first=first, name="", problem=None)
        form = await self._open_form(request)
        name, password = text(form, "name"), str(form.get("password", ""))
        try:
            if password != str(form.get("again", "")):
                raise PageError(400, "the two passwords are not the same", "type the same one twice")
            token = await frame.door.welcome(name, text(form, "code"), password, address_of(request.scope))
        except AuroraError as error:
            return frame.page(request, "welcome.html", code=403, first=first, name=name, problem=error)
        return self._enter(request, token, "/", MONTH_S)

    async def _open_form(self, request: Request) -> FormData:
        """A form before the door needs no session; that it is our own, its origin says."""
        request.state.caller = None
        return await self._frame.form(request)

    def _enter(self, request: Request, token: str, to: str, age_s: int) -> Response:
        answer = self._frame.go(to)
        secure = request.url.scheme == "https"
        answer.set_cookie(
            cookie_name(request.url.scheme), token, max_age=age_s, secure=secure, httponly=True, samesite="strict"
        )
        return answer

    async def _sign_out(self, request: Request) -> Response:
        await self._frame.form(request)
        caller = self._frame.caller(request)
        if caller is not None:
            await self._frame.door.sign_out(caller)
        answer = self._frame.go("/" if self._frame.desk.open_view else "/sign-in")
        secure = request.url.scheme == "https"
        answer.delete_cookie(cookie_name(request.url.scheme), secure=secure, httponly=True, samesite="strict")
        return answer

    async def _account(self, request: Request) -> Response:
        return self._frame.page(request, "account.html", problem=None)

    async def _password(self, request: Request) -> Response:
        form = await self._frame.form(request)
        name, new = self._name(request), str(form.get("new", ""))
        try:
            if new != str(form.get("again", "")):
                raise PageError(400, "the two passwords are not the same", "type the same one twice")
            await self._register.change_password(
                name, str(form.get("password", "")), new, address_of(request.scope)
            )
        except AuroraError as error:
            return self._frame.page(request, "account.html", code=403, problem=error)
        return self._frame.go("/sign-in")

    async def _pin(self, request: Request) -> Response:
        form = await self._frame.form(request)
        try:
            await self._register.set_pin(
                self._name(request), str(form.get("password", "")), text(form, "pin"), address_of(request.scope)
            )
        except AuroraError as error:
            return self._frame.page(request, "account.html", code=403, problem=error)
        t = self._frame.language(request)
        self._frame.say(request, t("PIN set") if text(form, "pin") else t("PIN taken away"))
        return self._frame.go("/account")

    def _name(self, request: Request) -> str:
        caller = self._frame.caller(request)
        if caller is None or caller.token or caller.shared:
            raise PageError(403, "that belongs to a person's own session", "sign in under your own name")
        return caller.person

    async def _language(self, request: Request) -> Response:
        form = await self._open_form(request)
        tag = text(form, "language")
        if tag not in LANGUAGES:
            raise PageError(400, "there is no such language", f"there are: {', '.join(LANGUAGES)}")
        answer = self._frame.go(text(form, "to") or "/")
        answer.set_cookie(LANGUAGE_COOKIE, tag, max_age=YEAR_S, httponly=True, samesite="strict")
        return answer

    async def _more(self, request: Request) -> Response:
        return self._frame.page(request, "more.html")
