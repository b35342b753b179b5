"""A point: its chart for a day, a week, a month or any other time; alarms, events, values as a table and as CSV."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from firmware_interfaces.quality import BAD
from gateway.access.roles import Right
from gateway.chart import Chart, css, draw, svg
from gateway.cluster.derive import series
from gateway.cluster.derive.nouns import ClusterEvent
from gateway.cluster.fleet import details, queries
from gateway.cluster.fleet.details import PointRow
from gateway.cluster.fleet.frame import FleetFrame, Look, ident, number
from gateway.cluster.fleet.picture import Readings, chart_of, limits_of, of_hours, of_values
from gateway.errors import OperatorError
from gateway.language import local_time
from gateway.web.frame import PageError

__all__ = ["CLOSE_MS", "LONGEST_MS", "PointPages", "read_point", "readings_of"]

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
CLOSE_MS: Final = 2 * DAY_MS
"""Up to here a chart is made of every value, beyond of hours."""
LONGEST_MS: Final = 400 * DAY_MS
SPANS: Final = {"day": DAY_MS, "week": 7 * DAY_MS, "month": 31 * DAY_MS}
SETTLING_MS: Final = 120_000
"""What was measured just now is on its way, not missing."""
COLUMNS: Final = 240
ROWS: Final = 48
KINDS: Final = (
    "alarm.",
    "state.",
    "label.",
    "record.",
    "power_up",
    "config.changed",
    "clock.step",
    "clock.correction",
)
MOST_EVENTS: Final = 300


class Point(NamedTuple):
    """A point with what happened there in a stretch of time."""

    row: PointRow
    readings: Readings
    events: list[ClusterEvent]


async def read_point(look: Look, gateway: int, point: str) -> PointRow | None:
    """One point of a gateway within the scope."""
    if "\x00" in point:  # PostgreSQL takes it for no text.
        return None
    found = await details.points(look.work, look.scope, gateway, point)
    return found[0] if found else None


async def readings_of(look: Look, row: PointRow, start_ms: int, end_ms: int) -> Readings:
    """The readings of a stretch, close or by hours. ``row`` was found within the scope."""
    until = min(end_ms, max(start_ms, look.now_ms - SETTLING_MS))
    begins = min(until, max(start_ms, row.enrolled_ms))
    if row.channel_id is None:
        return of_values([], begins, until, 0)
    if end_ms - start_ms <= CLOSE_MS:
        found = [segment async for segment in series.values(look.work, row.channel_id, start_ms, end_ms)]
        return of_values(found, begins, until, row.period_ms or 0)
    first = start_ms // HOUR_MS * HOUR_MS
    hours = -(-(end_ms - first) // HOUR_MS)
    most = 800
    width = -(-hours // most) * HOUR_MS
    rows = await series.chart(look.work, row.channel_id, start_ms, end_ms, most=most)
    return of_hours(rows, max(first, begins // HOUR_MS * HOUR_MS), until, width)


class PointPages:
    """The page of a point."""

    def __init__(self, frame: FleetFrame) -> None:
        self._frame = frame

    def routes(self) -> list[Route]:
        """The page, its values as CSV, the style of charts."""
        look = self._frame.needs(Right.LOOK)
        return [
            Route("/gateways/{gateway}/points/{point}", look(self._show)),
            Route("/gateways/{gateway}/points/{point}/values.csv", look(self._values)),
            Route("/chart.css", self._style),
        ]

    async def _style(self, _: Request) -> Response:
        kept = {"cache-control": "public, max-age=31536000, immutable"}
        return Response(css(), media_type="text/css", headers=kept)

    async def _show(self, request: Request) -> Response:
        frame, gateway, name = self._frame, ident(request, "gateway"), str(request.path_params["point"])
        t, zone, problem, span = frame.language(request), frame.desk.zone, None, ""
        async with frame.look(request) as look:
            row = await read_point(look, gateway, name)
            owner = await queries.gateway_row(look.work, look.scope, look.now_ms, gateway)
            if row is None or owner is None:
                frame.nothing()
            try:
                start, end, span = self._stretch(request, look.now_ms)
            except OperatorError as error:
                start, end, problem = look.now_ms - DAY_MS, look.now_ms, error
            point = await self._read(look, row, start, end)
            alarms, _ = await details.alarms(look.work, look.scope, gateway=gateway, point=name)
        chart = chart_of(row, point.readings, point.events, (start, end), now_ms=look.now_ms, zone=zone, t=t)
        return frame.page(
            request,
            "fleet-point.html",
            code=200 if problem is None else 409,
            row=row,
            owner=owner,
            readings=point.readings,
            chart=chart,
            wide=svg(draw(chart, t, width=960, height=260), name="chart-w", extra="wide-chart"),
            narrow=svg(draw(chart, t, width=350, height=220), name="chart-n", extra="narrow-chart"),
            chart_css=f"/chart.css?{_style_mark()}",
            columns=";".join(_columns(chart)),
            offset_ms=_offset_ms(start, zone),
            table=list(_table(chart, min(end, look.now_ms))),
            events=[event for event in point.events if _of_point(event, row)][:MOST_EVENTS],
            alarms=alarms,
            limits=limits_of(row.settings),
            span=span,
            spans=[("day", t("Day")), ("week", t("Week")), ("month", t("Month"))],
            from_local=f"{local_time(start, zone):%Y-%m-%dT%H:%M}",
            to_local=f"{local_time(end, zone):%Y-%m-%dT%H:%M}",
            start_ms=start,
            end_ms=end,
            problem=problem,
        )

    async def _read(self, look: Look, row: PointRow, start_ms: int, end_ms: int) -> Point:
        readings = await readings_of(look, row, start_ms, end_ms)
        happened = await series.events(
            look.work,
            look.scope.member,
            gateway=row.gateway,
            kinds=KINDS,
            from_ms=start_ms,
            to_ms=end_ms,
            limit=MOST_EVENTS * 3,
        )
        return Point(row, readings, happened)

    def _stretch(self, request: Request, now_ms: int) -> tuple[int, int, str]:
        """Beginning, end, and the name of the choice; raises `OperatorError`."""
        asked = request.query_params
        if "from" in asked or "to" in asked:
            start, end = (self._frame.moment_ms(asked.get(name, "")) for name in ("from", "to"))
            if not 0 < end - start <= LONGEST_MS:
                raise OperatorError("that is no stretch of time for a chart", "give a beginning before its end")
            return start, end, ""
        span = asked.get("span", "day")
        if span not in SPANS:
            span = "day"
        return now_ms - SPANS[span], now_ms, span

    async def _values(self, request: Request) -> Response:
        frame, gateway, name = self._frame, ident(request, "gateway"), str(request.path_params["point"])
        start, end = number(request, "from_ms", most=2**45), number(request, "to_ms", most=2**45)
        if start is None or end is None or not 0 < end - start <= LONGEST_MS:
            raise PageError(400, "it is not said from when to when", "use the link on the point's page")
        async with frame.look(request) as look:
            row = await read_point(look, gateway, name)
        if row is None:
            frame.nothing()
        file = "".join(char if char.isascii() and char.isalnum() else "-" for char in f"{row.gateway_name}-{name}")
        return StreamingResponse(
            self._csv(request, row, start, end),
            media_type="text/csv; charset=utf-8",
            headers={"content-disposition": f'attachment; filename="{file}.csv"'},
        )

    async def _csv(self, request: Request, row: PointRow, start_ms: int, end_ms: int) -> AsyncIterator[str]:
        yield "utc_ms,utc,value,unit,quality\r\n"
        if row.channel_id is None:
            return
        unit = _cell(row.unit)
        async with self._frame.look(request) as look:
            async for segment in series.values(look.work, row.channel_id, start_ms, end_ms):
                yield "".join(_line(unit, *reading) for reading in zip(*segment, strict=True))


UTC: Final = ZoneInfo("UTC")


def _cell(text: str) -> str:
    """A text of a gateway as one cell that no spreadsheet computes and no line breaks."""
    text = "".join(sign for sign in text if sign.isprintable())
    if text.startswith(("=", "+", "-", "@")):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"') else text


def _line(unit: str, at_ms: int, value: float, mark: int) -> str:
    return f"{at_ms},{local_time(at_ms, UTC).isoformat()},{'' if mark >= BAD else repr(value)},{unit},{mark}\r\n"


def _of_point(event: ClusterEvent, row: PointRow) -> bool:
    """Whether an event is of the point, of its device, or of the whole gateway."""
    if event.point is not None:
        return event.point == row.point
    return event.data.get("device") in {None, row.device}


def _columns(chart: Chart) -> Iterator[str]:
    """Lowest and highest of each column for the cursor; empty where there is nothing."""
    width = (chart.end_ms - chart.start_ms) / COLUMNS
    found: list[tuple[float, float] | None] = [None] * COLUMNS
    for at, value in zip(chart.series.times, chart.series.values, strict=True):
        place = min(COLUMNS - 1, max(0, int((at - chart.start_ms) / width)))
        kept = found[place]
        found[place] = (value, value) if kept is None else (min(kept[0], value), max(kept[1], value))
    for column in found:
        yield "" if column is None else ",".join(f"{round(value, 3):g}" for value in dict.fromkeys(column))


def _table(chart: Chart, until_ms: int) -> Iterator[dict[str, Any]]:
    """The chart in words: equal stretches with lowest, highest and the time without values."""
    width = -(-(chart.end_ms - chart.start_ms) // ROWS // HOUR_MS) * HOUR_MS
    values: dict[int, list[float]] = {}
    for at, value in zip(chart.series.times, chart.series.values, strict=True):
        values.setdefault((at - chart.start_ms) // width, []).append(value)
    for place in range(-(-(until_ms - chart.start_ms) // width)):
        start = chart.start_ms + place * width
        missing = sum(max(0, min(gap.end_ms, start + width) - max(gap.start_ms, start)) for gap in chart.gaps)
        here = values.get(place, [])
        low, high = (min(here), max(here)) if here else (None, None)
        yield {"from_ms": start, "low": low, "high": high, "missing_ms": missing}


def _offset_ms(utc_ms: int, zone: ZoneInfo) -> int:
    return int((local_time(utc_ms, zone).utcoffset() or timedelta()).total_seconds() * 1000)


@lru_cache(maxsize=1)
def _style_mark() -> str:
    return sha256(css().encode()).hexdigest()[:8]
