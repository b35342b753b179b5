"""The orders behind the pages: a point with its chart, an alarm with its history, the records, printed reports.

They are answered over the control socket and the JSON API as well. Reading the journal happens in a thread, one
reading at a time; what that needs is loaded when it is first asked for.
"""

import asyncio
import ctypes
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gateway.assess.station import Assess
from gateway.errors import OperatorError
from gateway.language import LANGUAGES, Language, language
from gateway.logbook.book import Logbook
from gateway.model import Alarm, ClockClaim
from gateway.site import PointSpec, Site
from gateway.viewing.said import alarm_sentence

__all__ = ["Viewing"]

Request = Mapping[str, Any]
Handler = Callable[[Request], Awaitable[Mapping[str, Any]]]

IDLE_S = 130.0
"""A little longer than a shelf keeps what nobody asks for."""
HOUR_MS = 3_600_000
LONGEST_MS = 100 * 24 * HOUR_MS


class Viewing:
    """Answers for one gateway. ``book`` gives the logbook, None while it cannot be read."""

    def __init__(
        self, site: Site, assess: Assess, clock: Callable[[], ClockClaim], book: Callable[[], Logbook | None]
    ) -> None:
        self._book = book
        self._site = site
        self._assess = assess
        self._clock = clock
        self._shelf: Any = None
        self._printer: Any = None
        self._reading = asyncio.Lock()
        self._tidying: asyncio.TimerHandle | None = None

    def handlers(self) -> dict[str, Handler]:
        """By the name of the order."""
        return {
            "point.show": self._point,
            "point.chart": self._chart,
            "alarm.show": self._alarm,
            "alarm.history": self._history,
            "record.list": self._records,
            "report.make": self._make,
            "report.list": self._reports,
        }

    def adopt(self, site: Site) -> None:
        """Show another site from now on. Reports that are being made are of the old one, and end."""
        self._site = site
        if self._printer is not None:
            self._printer.close()
            self._printer = None

    def close(self) -> None:
        """End what is under way."""
        if self._tidying is not None:
            self._tidying.cancel()
        if self._printer is not None:
            self._printer.close()

    # points

    async def _point(self, request: Request) -> Mapping[str, Any]:
        """What a point is, and what it is held to. Needs ``point``; ``language`` is a tag."""
        point, t = self._find(request), _language(request, self._site)
        profile = point.profile
        device = next(device for device in self._site.devices if device.id == point.device)
        calibration = device.calibration.get(point.channel)
        return {
            "point": point.id,
            "name": point.name,
            "critical": point.critical,
            "device": point.device,
            "channel": point.channel,
            "model": device.model,
            "bus": device.bus,
            "period_s": device.period_ms / 1000,
            "profile": None if profile is None else profile.title,
            "sources": [] if profile is None else list(profile.sources),
            "limits": list(_limits(point, t)),
            "certificate": None if calibration is None else calibration.certificate,
            "valid_until": None if calibration is None else calibration.valid_until.isoformat(),
            "states": {} if profile is None else {kind: one.longest_s for kind, one in profile.states.items()},
            "declared": [
                {"kind": state.kind, "until_ms": state.hold.until_ms}
                for state in self._assess.engine.states.declared
                if state.point == point.id
            ],
            "now_ms": self._clock().boot_ms,
            "points": [{"point": one.id, "name": one.name} for one in self._site.points],
        }

    async def _chart(self, request: Request) -> Mapping[str, Any]:
        """The chart of ``point``: its last ``hours``, or ``from_ms`` to ``to_ms`` (Unix); ``raw``, ``language``."""
        point, t = self._find(request), _language(request, self._site)
        claim = self._clock()
        if claim.utc_ms is None and "to_ms" not in request:
            raise OperatorError("the time is not known", "set the clock, or say from when to when")
        now_ms = claim.utc_ms or _whole(request, "to_ms")
        end_ms = _whole(request, "to_ms") if "to_ms" in request else now_ms
        start_ms = (
            _whole(request, "from_ms") if "from_ms" in request else end_ms - _whole(request, "hours", 24) * HOUR_MS
        )
        if not 0 <= start_ms < end_ms or end_ms - start_ms > LONGEST_MS:
            raise OperatorError(
                "that is no stretch of time for a chart", "give a beginning before its end, 100 days at most"
            )
        if start_ms >= now_ms:
            raise OperatorError("that time has not come", "choose one that has")

        def make() -> Mapping[str, Any]:
            from gateway.viewing.charts import chart_data

            stretch = start_ms, end_ms
            now = max(now_ms, start_ms + 1)
            return chart_data(
                self._site, self._opened(), point, stretch, now_ms=now, t=t, raw=request.get("raw") is True
            )

        return await self._read(make)

    def _find(self, request: Request) -> PointSpec:
        name = request.get("point")
        for point in self._site.points:
            if point.id == name:
                return point
        raise OperatorError("there is no such point", "see the overview")

    # alarms

    async def _alarm(self, request: Request) -> Mapping[str, Any]:
        """One alarm as it is now, with what follows from it."""
        t, alarm = _language(request, self._site), self._alarm_of(request)
        everything = self._assess.engine.everything
        point = next((one for one in self._site.points if one.id == alarm.condition.point), None)
        return {
            **self._plain(alarm, t),
            "now_ms": self._clock().boot_ms,
            "critical_point": point is not None and point.critical,
            "longest_s": self._site.alarms.longest_shelving_s,
            "states": {}
            if point is None or point.profile is None
            else {
                kind: one.longest_s
                for kind, one in point.profile.states.items()
                if alarm.condition.rule in one.rules
            },
            "source": alarm.condition.detail.get("source"),
            "profile": None if point is None or point.profile is None else point.profile.title,
            "delay_s": alarm.condition.detail.get("delay_s"),
            "actions": [] if point is None or point.profile is None else list(point.profile.actions),
            "members": [
                self._plain(one, t)
                for one in everything
                if one.group == alarm.id and one.state.value != "normal" and one.id != alarm.id
            ],
        }

    def _alarm_of(self, request: Request) -> Alarm:
        for alarm in self._assess.engine.everything:
            if alarm.id == request.get("alarm"):
                return alarm
        raise OperatorError("there is no such alarm", "see the list of alarms")

    def _plain(self, alarm: Alarm, t: Language) -> dict[str, Any]:
        from gateway.people import alarm_data

        names = {point.id: point.name for point in self._site.points}
        condition = alarm.condition
        return {
            **alarm_data(alarm),
            "place": names.get(condition.point or "") or condition.device or t("Gateway"),
            "sentence": alarm_sentence(alarm, t),
        }

    async def _history(self, request: Request) -> Mapping[str, Any]:
        """What has been recorded of an alarm, newest first: steps with times (Unix ms), people and their words."""
        alarm, t = self._alarm_of(request), _language(request, self._site)

        def read() -> Mapping[str, Any]:
            from gateway.viewing.histories import history

            return {"alarm": alarm.id, "steps": history(self._opened(), alarm.id, t)}

        return await self._read(read)

    # records

    async def _records(self, request: Request) -> Mapping[str, Any]:
        """What people have recorded, newest first: of one ``kind`` or all, at most ``most``; the lots in zones."""
        book = self._book()
        if book is None:
            raise OperatorError("the records cannot be read yet", "try again in a moment")
        from gateway.viewing.notes import record_rows

        kind = request.get("kind")
        return record_rows(book, kind if isinstance(kind, str) and kind else None, _whole(request, "most", 100))

    # reports

    async def _make(self, request: Request) -> Mapping[str, Any]:
        """Have a report made: ``kind`` day, month, lot or calibration; answered at once with its number."""
        answer: Mapping[str, Any] = await self._printing().make(request)
        return answer

    async def _reports(self, _: Request) -> Mapping[str, Any]:
        """The reports that are being made or lie ready."""
        return {"reports": self._printing().plain(), "pdf": self._printing().pdf}

    def printed(self, name: str) -> Path | None:
        """The file of a report that lies ready, by its number."""
        found: Path | None = None if self._printer is None else self._printer.path(name)
        return found

    def _printing(self) -> Any:
        if self._printer is None:
            from gateway.viewing.printing import Printer

            self._printer = Printer(self._site)
        return self._printer

    # reading

    def _opened(self) -> Any:
        if self._shelf is None:
            from gateway.viewing.shelf import Shelf

            self._shelf = Shelf(self._site.data_dir / "journal.db")
        return self._shelf

    async def _read(self, work: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        async with self._reading:
            try:
                return await asyncio.to_thread(work)
            finally:
                self._tidy_later()

    def _tidy_later(self) -> None:
        if self._tidying is not None:
            self._tidying.cancel()
        loop = asyncio.get_running_loop()
        self._tidying = loop.call_later(IDLE_S, lambda: loop.run_in_executor(None, self._tidy))

    def _tidy(self) -> None:
        """What was read for pages that nobody looks at any more goes back to the system."""
        if self._shelf is not None and self._shelf.give_back():
            with suppress(AttributeError, OSError):
                ctypes.CDLL(None).malloc_trim(0)


def _limits(point: PointSpec, t: Language) -> Iterable[dict[str, Any]]:
    from gateway.report.names import RULES, TIERS, named
    from gateway.reporting.data import limits_of

    for limit in limits_of(point):
        yield {
            "rule": limit.rule,
            "what": named(RULES, limit.rule, t),
            "tier": limit.tier,
            "tier_words": named(TIERS, limit.tier, t),
            "value": limit.value,
            "unit": t.unit(limit.unit),
            "delay_s": limit.delay_s,
        }


def _language(request: Request, site: Site) -> Language:
    tag = request.get("language")
    return language(tag if isinstance(tag, str) and tag in LANGUAGES else site.language)


def _whole(request: Request, name: str, default: int | None = None) -> int:
    value = request.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 1 << 52:
        raise OperatorError(f"{name} is no whole number", f'send "{name}": milliseconds since 1970, or hours')
    return value
