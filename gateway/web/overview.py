"""The first page: what is wrong, every point worst first, the health of the box; live."""

import json
from collections.abc import Iterable
from typing import Any
from zlib import crc32

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from gateway.access.roles import Right
from gateway.language import N_, Language, language
from gateway.web.frame import Frame
from gateway.web.sparkline import sparkline
from gateway.web.stream import Stream, event

__all__ = ["Overview"]

PARTS = ("alarms", "sum", "health", "devices", "foot")
"""What the page is made of beside the points; each is sent anew when it has changed."""
SEARCH_FROM = 9
"""So many points get a field to search them."""
SHOWN_ALARMS = 6
LINE_MARKS = "\x85\u2028\u2029"
"""What would end a line of the stream, and JSON leaves as it is."""
STATES = {
    "": N_("All points"),
    "care": N_("Needs care"),
    "critical": N_("Critical control points"),
}


class Overview:
    """Renders the present state, once for a page and in parts for its stream."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._trends: dict[tuple[str, str], tuple[int, Markup]] = {}
        self.stream = Stream(self._feed)

    def routes(self) -> list[Route]:
        """The overview, its stream, and the state as JSON."""
        look = self._frame.needs(Right.LOOK)
        return [
            Route("/", look(self._index)),
            Route("/events", look(self._events)),
            Route("/api/status", look(self._status)),
        ]

    async def _index(self, request: Request) -> Response:
        t = self._frame.language(request)
        status = self._frame.desk.status(t)
        wanted = request.query_params.get("q", "")[:100], request.query_params.get("state", "")
        return self._frame.page(
            request,
            "overview.html",
            **self.context(status, t),
            shown=list(_wanted(status["points"], *wanted)),
            search=len(status["points"]) >= SEARCH_FROM,
            states=STATES,
            wanted=wanted,
        )

    def context(self, status: dict[str, Any], t: Language) -> dict[str, Any]:
        """What the parts of the page are rendered from."""
        points, alarms = status["points"], status["alarms"]
        return {
            "status": status,
            "waiting": sum(alarm["waits"] for alarm in alarms),
            "faults": sum(point["severity"] == "bad" for point in points)
            + sum(fact["state"] == "bad" for fact in status["health"]),
            "first_alarms": alarms[:SHOWN_ALARMS],
            "troubled": [device for device in status["devices"] if device["state"] != "good"],
            "trend": lambda point: self.trend(point, t),
            "key": lambda point: self.key(point, t),
        }

    def trend(self, point: dict[str, Any], t: Language) -> Markup:
        """The picture of a point's last hours, drawn anew when it has changed."""
        trend = self._frame.desk.trend(point["id"])
        if trend is None:
            return Markup("")
        key = point["id"], t.tag
        kept = self._trends.get(key)
        if kept is None or kept[0] != trend.version:
            drawn = Markup(sparkline(trend, point["decimals"], point["unit"], t))  # noqa: S704 - made here, escaped
            kept = self._trends[key] = trend.version, drawn
        return kept[1]

    def key(self, point: dict[str, Any], t: Language) -> str:
        """A mark of all that a card shows but value and age: a page that has it needs no other card."""
        return f"{crc32(f'{_shape(point)}{self.trend(point, t)}'.encode()):x}"

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

    def _feed(self, key: str) -> "_StatusFeed | _TickFeed":
        kind, tag = key.split()
        return _TickFeed(self._frame) if kind == "tick" else _StatusFeed(self, self._frame, language(tag))


def _wanted(points: Iterable[dict[str, Any]], words: str, state: str) -> Iterable[dict[str, Any]]:
    """The points whose name, id or device has the words, in a state."""
    for point in points:
        if words.lower() not in f"{point['name']} {point['id']} {point['device']}".lower():
            continue
        if state == "care" and point["severity"] == "good" and not point["alarm"]:
            continue
        if state == "critical" and not point["critical"]:
            continue
        yield point


class _StatusFeed:
    """The overview in one language: a point's value goes out alone, its card when something else has changed."""

    def __init__(self, overview: Overview, frame: Frame, t: Language) -> None:
        self._overview, self._frame, self._t = overview, frame, t
        self._parts: dict[str, str] = {}
        self._keys: dict[str, Any] = {}
        self._cards: dict[str, tuple[str, str]] = {}
        self._values: dict[str, list[object]] = {}
        self._now: dict[str, object] = {}

    def changes(self) -> str:
        """Look, and tell what is new."""
        status = self._frame.desk.status(self._t)
        context = {**self._overview.context(status, self._t), "t": self._t}
        told: dict[str, Any] = dict(_now(status, context["waiting"]))
        self._now = dict(told)
        parts = {}
        for name, key in _part_keys(status, context).items():
            if self._keys.get(name) != key or name not in self._keys:
                self._keys[name] = key
                parts[name] = self._parts[name] = self._render(f"overview-{name}.html", **context)
        order = [point["id"] for point in status["points"]]
        if order != list(self._cards):
            told["order"] = order
        told |= self._points(status["points"], context)
        if parts:
            told["parts"] = parts
        return event("status", _packed(told))

    def _points(self, points: Iterable[dict[str, Any]], context: dict[str, Any]) -> dict[str, Any]:
        cards: dict[str, tuple[str, str]] = {}
        changed, values = {}, {}
        for point in points:
            name, shape = point["id"], self._overview.key(point, self._t)
            value: list[object] = [_reading(point, self._t), point.get("since_ms")]
            kept = self._cards.get(name)
            if kept is None or kept[0] != shape:
                kept = shape, self._render("overview-point.html", point=point, **context)
                changed[name] = kept
            elif self._values.get(name) != value:
                values[name] = value
            cards[name], self._values[name] = kept, value
        self._cards = cards
        return {key: found for key, found in (("cards", changed), ("values", values)) if found}

    def full(self) -> str:
        """All of it as the last look saw it."""
        values = {name: self._values[name] for name in self._cards}
        told = {**self._now, "parts": self._parts, "order": list(values), "cards": self._cards, "values": values}
        return event("status", _packed(told))

    def _render(self, template: str, **context: Any) -> str:
        return self._frame.template(template).render(**context)


class _TickFeed:
    """For every other page: that the gateway is there, and how many alarms wait."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._words = ""

    def changes(self) -> str:
        """A sign of life."""
        self._words = event("tick", str(self._frame.desk.waiting()))
        return self._words

    def full(self) -> str:
        """The same."""
        return self._words


def _now(status: dict[str, Any], waiting: int) -> dict[str, object]:
    return {"now": status.get("boot_ms", 0), "time": status["time_words"], "waiting": waiting}


def _part_keys(status: dict[str, Any], context: dict[str, Any]) -> dict[str, object]:
    """What each part depends on, without what a page counts by itself."""
    alarms = [
        {name: value for name, value in alarm.items() if name not in {"since_s", "raised_s", "until_s"}}
        for alarm in status["alarms"]
    ]
    return {
        "sum": (context["waiting"], context["faults"], len(status["points"])),
        "alarms": alarms,
        "health": status["health"],
        "devices": [(device["id"], device["state"], device["words"]) for device in status["devices"]],
        "foot": status["gateway"]["version"],
    }


def _shape(point: dict[str, Any]) -> tuple[object, ...]:
    """All that a card shows but value and age."""
    names = ("name", "severity", "words", "going_on", "alarm", "critical", "unit")
    return *(repr(point[name]) for name in names), point["age_s"] is None


def _reading(point: dict[str, Any], t: Language) -> str:
    return t.number(point["value"], point["decimals"])


def _packed(told: dict[str, Any]) -> str:
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    for mark in LINE_MARKS:
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text
