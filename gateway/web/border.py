"""The border of the page: what a request must be before anything looks at it, and who it is from.

Pure ASGI, so that a stream passes through it unwrapped.
"""

import asyncio
import ipaddress
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.access import Door
from gateway.access.door import Caller

__all__ = ["COOKIE", "SAFE", "Border", "cookie_name"]

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""
COOKIE = "aurora"
BODY_BYTES = 64 << 10
PHOTO_BYTES = 12 << 20
"""The largest body where a photo may come."""
PHOTO_PATHS = ("/photos", "/api/v1/photos")
BODY_S = 20.0
"""A client that has not sent its body within so long is cut off."""
PHOTO_S = 120.0


def cookie_name(scheme: str) -> str:
    """Over TLS a browser keeps others from setting it (RFC 6265bis, 4.1.3); without TLS it refuses that name."""
    return f"__Host-{COOKIE}" if scheme == "https" else COOKIE


class Border:
    """Answers to the box's own names alone (DNS rebinding), takes changes from its own pages alone (CSRF), limits
    bodies in size and time, and finds out who asks: ``request.state.caller``, None for nobody known.
    """

    def __init__(self, app: ASGIApp, door: Door, names: frozenset[str]) -> None:
        self._app = app
        self._door = door
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        headers = Headers(scope=scope)
        refusal: Response | None
        scope.setdefault("state", {})["caller"] = None
        if not self._known(headers.get("host", "")):
            refusal = PlainTextResponse(
                "400: this gateway does not go by that name; use its IP address\n", status_code=400
            )
        else:
            refusal = self._admit(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        limited = _Limited(scope, headers, receive)
        if limited.too_long:
            await _too_large(scope, receive, send)
            return
        await self._app(scope, receive if scope["method"] in SAFE else limited, send)

    def _known(self, host: str) -> bool:
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        name = name.strip("[]").lower()
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _admit(self, scope: Scope, headers: Headers) -> Response | None:
        """Who asks; an answer where the request is refused at once."""
        bearer = headers.get("authorization", "")
        if bearer:
            kind, _, token = bearer.partition(" ")
            caller = self._door.program(token.strip()) if kind.lower() == "bearer" else None
            if caller is None:
                self._door.refuse("token", "", address_of(scope))
                challenge = {"www-authenticate": "Bearer"}
                words = {"error": "this token opens nothing here", "remedy": "ask an administrator for one"}
                return JSONResponse(words, status_code=401, headers=challenge)
            scope["state"]["caller"] = caller
            return None  # No browser adds a token by itself, so no other site can make it send one.
        if scope["method"] not in SAFE and not _own_origin(scope, headers):
            self._door.refuse("origin", "", address_of(scope))
            return PlainTextResponse("403: this did not come from a page of this gateway\n", status_code=403)
        scope["state"]["caller"] = self._caller(scope, headers)
        return None

    def _caller(self, scope: Scope, headers: Headers) -> Caller | None:
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return None
        found = cookies.get(cookie_name(scope["scheme"]))
        return self._door.caller(found.value) if found else None


def address_of(scope: Scope) -> str:
    """Where a request comes from."""
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def _own_origin(scope: Scope, headers: Headers) -> bool:
    """Every browser names the origin of a request that changes something; what names none is no browser's form."""
    origin = headers.get("origin", "")
    return bool(origin) and origin.lower() == f"{scope['scheme']}://{headers.get('host', '').lower()}"


class _Limited:
    """A body that may be neither too long nor too slow."""

    def __init__(self, scope: Scope, headers: Headers, receive: Receive) -> None:
        photo = scope["path"].startswith(PHOTO_PATHS)
        self._most = PHOTO_BYTES if photo else BODY_BYTES
        self._until = asyncio.get_running_loop().time() + (PHOTO_S if photo else BODY_S)
        self._receive = receive
        self._taken = 0
        length = headers.get("content-length", "0")
        self.too_long = not length.isdecimal() or int(length) > self._most

    async def __call__(self) -> Message:
        """ASGI receive: a body beyond its limits ends the request as a client that has gone."""
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            return {"type": "http.disconnect"}
        self._taken += len(message.get("body", b""))
        return {"type": "http.disconnect"} if self._taken > self._most else message


async def _too_large(scope: Scope, receive: Receive, send: Send) -> None:
    answer = JSONResponse(
        {"error": "the request is too large", "remedy": f"send at most {BODY_BYTES} bytes"},
        status_code=413,
        headers={"connection": "close"},
    )
    await answer(scope, receive, send)
