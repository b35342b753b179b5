"""The first page: what is wrong, every point, the health of the box; live."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from gateway.access.roles import Right
from gateway.language import language
from gateway.web.frame import Frame
from gateway.web.stream import Stream, event

__all__ = ["Overview"]


class Overview:
    """Renders the present state, once for a page and again for its stream."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._part = frame.template("status.html")
        self.stream = Stream(self._render)

    def routes(self) -> list[Route]:
        """The overview, its stream, and the state as JSON."""
        look = self._frame.needs(Right.LOOK)
        return [
            Route("/", look(self._index)),
            Route("/events", look(self._events)),
            Route("/api/status", look(self._status)),
        ]

    async def _index(self, request: Request) -> Response:
        status = self._frame.desk.status(self._frame.language(request))
        return self._frame.page(request, "overview.html", status=status)

    async def _status(self, request: Request) -> Response:
        return JSONResponse(self._frame.desk.status(self._frame.language(request)))

    async def _events(self, request: Request) -> Response:
        if self.stream.full:
            return self._frame.error(request, 503, "too many pages are open", "close one, and try again")
        tag = self._frame.language(request).tag
        kind = "status" if request.query_params.get("of", "status") == "status" else "tick"
        caller = self._frame.caller(request)
        events = self.stream.listen(f"{kind} {tag}", lambda: caller is None or self._frame.door.holds(caller))
        return StreamingResponse(events, media_type="text/event-stream")

    def _render(self, key: str) -> str:
        kind, tag = key.split()
        t = language(tag)
        status = self._frame.desk.status(t)
        if kind == "tick":
            waiting = sum(alarm["waits"] for alarm in status["alarms"])
            return event("tick", f"{waiting} {status['time_words']}")
        return event("status", self._part.render(status=status, t=t))
