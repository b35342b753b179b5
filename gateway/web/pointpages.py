"""A point: its value, its chart, its limits, what happened there; the state of the place; its values as a file."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gateway.access.roles import Right
from gateway.chart import css
from gateway.errors import AuroraError, OperatorError
from gateway.language import local_time
from gateway.web.frame import Frame, PageError, text

__all__ = ["PointPages"]

SPANS = {"24h": 24, "7d": 7 * 24, "30d": 30 * 24}
LONGEST_MS = 100 * 86_400_000
DONE = object()


class PointPages:
    """The page of a point, its export, and the style sheet of its chart."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._exporting = asyncio.Semaphore(1)

    def routes(self) -> list[Route]:
        """The page and what belongs to it."""
        look, handle = self._frame.needs(Right.LOOK), self._frame.needs(Right.HANDLE)
        return [
            Route("/chart.css", self._style),
            Route("/points/{point}", look(self._show)),
            Route("/points/{point}/export.csv", look(self._export)),
            Route("/points/{point}/state", handle(self._state), methods=["POST"]),
        ]

    async def _style(self, _: Request) -> Response:
        kept = {"cache-control": "public, max-age=31536000, immutable"}
        return Response(css(), media_type="text/css", headers=kept)

    async def _show(self, request: Request) -> Response:
        return await self._page(request, request.path_params["point"])

    async def _page(self, request: Request, name: str, problem: AuroraError | None = None) -> Response:
        frame, t = self._frame, self._frame.language(request)
        point = await frame.ask(request, "point.show", point=name, language=t.tag)
        raw = request.query_params.get("view") == "raw"
        span, chart = request.query_params.get("span", ""), None
        code = 200 if problem is None else 409
        try:
            wanted = self._wanted(request)
            span = next((one for one, hours in SPANS.items() if wanted == {"hours": hours}), "")
            chart = await frame.ask(request, "point.chart", point=name, language=t.tag, raw=raw, **wanted)
        except AuroraError as error:
            problem, code = problem or error, 409
        zone = frame.desk.zone
        return frame.page(
            request,
            "point.html",
            code=code,
            point=point,
            now=next(one for one in frame.desk.status(t)["points"] if one["id"] == name),
            chart=chart,
            chart_css=f"/chart.css?{_style_mark()}",
            columns="" if chart is None else ";".join(_columns(chart)),
            offset_ms=0 if chart is None else _offset_ms(chart["from_ms"], zone),
            raw=raw,
            span=span,
            spans=[("24h", f"24 {'h'}"), ("7d", f"7 {t.facts.day}"), ("30d", f"30 {t.facts.day}")],
            query="&".join(f"{key}={value}" for key, value in request.query_params.items() if key != "view"),
            from_local="" if chart is None else f"{local_time(chart['from_ms'], zone):%Y-%m-%dT%H:%M}",
            to_local="" if chart is None else f"{local_time(chart['to_ms'], zone):%Y-%m-%dT%H:%M}",
            problem=problem,
        )

    def _wanted(self, request: Request) -> dict[str, Any]:
        """The stretch of time that was asked for."""
        asked = request.query_params
        if "from" in asked or "to" in asked:
            start, end = (self._frame.moment_ms(asked.get(name, "")) for name in ("from", "to"))
            if start >= end or end - start > LONGEST_MS:
                raise OperatorError(
                    "that is no stretch of time for a chart", "give a beginning before its end, 100 days at most"
                )
            return {"from_ms": start, "to_ms": end}
        return {"hours": SPANS.get(asked.get("span", ""), 24)}

    async def _export(self, request: Request) -> Response:
        name, asked = request.path_params["point"], request.query_params
        start, end = (asked.get(key, "") for key in ("from_ms", "to_ms"))
        if not (start.isdecimal() and end.isdecimal() and len(start) < 15 and len(end) < 15):
            raise PageError(400, "it is not said from when to when", "use the link on the point's page")
        if int(end) - int(start) > LONGEST_MS:
            raise PageError(400, "that is more than 100 days", "take it in parts, or use aurora-gateway export")
        if self._exporting.locked():
            raise PageError(503, "a file is being written for somebody else", "try again in a minute")
        pieces = await asyncio.to_thread(self._frame.desk.export, name, int(start), int(end))
        file = f"{''.join(char if char.isalnum() else '-' for char in name if char.isascii())}.csv"
        return StreamingResponse(
            _streamed(pieces, self._exporting),
            media_type="text/csv; charset=utf-8",
            headers={"content-disposition": f'attachment; filename="{file}"'},
        )

    async def _state(self, request: Request) -> Response:
        frame, name = self._frame, request.path_params["point"]
        form = await frame.form(request)
        t, minutes = frame.language(request), text(form, "minutes")
        fields: dict[str, Any] = {"point": name, "kind": text(form, "kind"), "text": text(form, "text")}
        try:
            if text(form, "do") == "end":
                await frame.ask(request, "state.end", form, **fields)
                frame.say(request, t("The state is over."))
            else:
                if not minutes.isdecimal() or len(minutes) > 5:
                    raise OperatorError("it is not said for how long", "write a number of minutes")
                await frame.ask(request, "state.declare", form, for_s=int(minutes) * 60, **fields)
                frame.say(request, t("The state is declared."))
        except AuroraError as error:
            return await self._page(request, name, error)
        return frame.go(frame.to("/points", name))


async def _streamed(pieces: Iterator[bytes], turn: asyncio.Semaphore) -> AsyncIterator[bytes]:
    """Each piece is read in a thread: the loop does not wait for the card. One file is written at a time: the
    threads are the whole gateway's.
    """
    async with turn:
        try:
            while (piece := await asyncio.to_thread(next, pieces, DONE)) is not DONE:
                assert isinstance(piece, bytes)
                yield piece
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                with suppress(ValueError):  # The last piece is still being read; its end closes what it holds.
                    await asyncio.to_thread(close)


def _columns(chart: dict[str, Any] | Any) -> Iterator[str]:
    """Lowest and highest of each column for the cursor, as short as can be."""
    for column in chart["columns"]:
        yield "" if column is None else ",".join(f"{round(value, 3):g}" for value in dict.fromkeys(column))


def _offset_ms(utc_ms: int, zone: Any) -> int:
    offset = local_time(utc_ms, zone).utcoffset() or timedelta()
    return int(offset.total_seconds() * 1000)


@lru_cache(maxsize=1)
def _style_mark() -> str:
    return sha256(css().encode()).hexdigest()[:8]
