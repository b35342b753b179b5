"""Where people meet a running gateway: orders over the control socket, records they make, outputs that tell them.

Loaded after the first scan is stored. What fails here is begun again and never reaches the path of the values.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from gateway.assess.station import Assess
from gateway.buffer.journal import Journal
from gateway.control import Control
from gateway.errors import AuroraError, OperatorError
from gateway.model import Alarm, ClockClaim, Condition, Event, Layout
from gateway.recordkeeping.keeping import RecordKeeping
from gateway.site import Site
from gateway.viewing.orders import Viewing

if TYPE_CHECKING:
    from gateway.notify.station import Notifier

__all__ = ["People", "SeenError", "alarm_data", "seen_of"]

log = logging.getLogger(__name__)

RECORDS_RETRY_S = 30.0

OUTPUTS = "outputs"
"""The judge of the conditions that come from the outputs."""

REGISTER = tuple(f"people.{order}" for order in ("list", "invite", "role", "remove", "token", "revoke"))
"""The orders of `gateway.access.register.Register`, which is loaded with the page."""

Request = Mapping[str, Any]


class People:
    """Built anew whenever it is begun again; `hear` is given every event of the gateway, in order.

    ``person`` and ``reason`` are who started the gateway with a changed site file, and why, as far as was said.
    """

    def __init__(
        self,
        site: Site,
        assess: Assess,
        journal: Journal,
        *,
        layout: Layout,
        clock: Callable[[], ClockClaim],
        event: Callable[[Event], None],
        person: str | None = None,
        reason: str | None = None,
    ) -> None:
        self.control = Control(site.data_dir)
        self.notifier = _notifier(site, clock, event, self._condition) if site.outputs else None
        self.records = RecordKeeping(site, layout, store=journal.put_event, clock=clock, keep=journal.keep)
        self.viewing: Viewing | None = None
        self._site = site
        self._assess = assess
        self._journal = journal
        self._clock = clock
        self._person, self._reason = person, reason

    def admit(self, register: Callable[[], Any]) -> None:
        """Take orders about who may sign in at the page, whenever ``register`` has one."""
        for name in REGISTER:

            async def order(request: Request, name: str = name) -> Mapping[str, Any]:
                found = register()
                if found is None:
                    raise OperatorError("the status page is not running", "switch it on: [web] listen = ...")
                answer: Mapping[str, Any] = await found.handlers()[name](request)
                return answer

            self.control.handle(name, order)

    def hear(self, event: Event) -> None:
        """An event is on its way to the journal."""
        if self.notifier is not None:
            self.notifier.alarm(event)
        self.records.hear(event, self._clock())

    async def run(self) -> None:
        """Until cancelled."""
        for name, order in Orders(self._assess).handlers().items():
            self.control.handle(name, order)
        notifier = self.notifier
        for name, handler in (NOBODY if notifier is None else notifier.handlers()).items():
            self.control.handle(name, handler)
        viewing = Viewing(self._site, self._assess, self._clock, lambda: self.records.book)
        self.viewing = viewing
        for name, handler in viewing.handlers().items():
            self.control.handle(name, handler)
        if notifier is not None:
            await notifier.open()
        try:
            if notifier is not None:
                await notifier.resync(self._assess.alarms)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._open_records(), name="logbook")
                group.create_task(self.control.run(), name="control")
                if notifier is not None:
                    group.create_task(notifier.run(), name="outputs")
        finally:
            viewing.close()
            if notifier is not None:
                await notifier.close()

    async def _open_records(self) -> None:
        """Read what people have recorded; while the journal cannot be read, alarms and outputs go on without."""
        told = ""
        while True:
            try:
                await self.records.open(
                    self.control, self._journal.kept(), person=self._person, reason=self._reason
                )
            except AuroraError as error:
                if str(error) != told:
                    log.error("records cannot be made yet: %s", error)
                told = str(error)
                await asyncio.sleep(RECORDS_RETRY_S)
            else:
                return

    def _condition(self, condition: Condition) -> None:
        self._assess.condition(condition, OUTPUTS)


def _notifier(
    site: Site,
    clock: Callable[[], ClockClaim],
    event: Callable[[Event], None],
    condition: Callable[[Condition], None],
) -> "Notifier":
    """Loaded on need: a gateway that tells nobody does not carry what tells."""
    from gateway.notify.station import Notifier

    return Notifier(site, clock, event, condition, timezone=site.time_zone)


async def _no_outputs(_: Request) -> Mapping[str, Any]:
    return {"outputs": {}, "unreachable": False, "durable": True, "dropped": 0}


async def _no_output(_: Request) -> Mapping[str, Any]:
    raise OperatorError("the site file has no outputs", "add [[output]] and [[notify]]: docs/notifications.md")


NOBODY: dict[str, Callable[[Request], Awaitable[Mapping[str, Any]]]] = {
    "notify.list": _no_outputs,
    "notify.test": _no_output,
}


class Orders:
    """What a person may ask of the alarms, as requests of the control socket."""

    def __init__(self, assess: Assess) -> None:
        self._assess = assess

    def handlers(self) -> dict[str, Callable[[Request], Awaitable[Mapping[str, Any]]]]:
        """By the name of the request."""
        assess = self._assess
        orders: dict[str, Callable[[Request], Alarm]] = {
            "alarm.acknowledge": lambda r: assess.acknowledge(*_who(r), group=r.get("group") is True),
            "alarm.confirm": lambda r: assess.confirm(*_who(r)),
            "alarm.shelve": lambda r: assess.shelve(*_who(r), _seconds(r)),
            "alarm.unshelve": lambda r: assess.unshelve(*_who(r)),
            "alarm.out-of-service": lambda r: assess.out_of_service(
                *_who(r), _seconds(r) if "for_s" in r else None
            ),
            "alarm.in-service": lambda r: assess.in_service(*_who(r)),
        }
        return {
            "alarm.list": self._list,
            "state.declare": self._declare,
            "state.end": self._end,
            **{name: partial(self._order, order) for name, order in orders.items()},
        }

    async def _order(self, order: Callable[[Request], Alarm], request: Request) -> Mapping[str, Any]:
        self._unchanged(request)
        alarm = order(request)
        return {**alarm_data(alarm), "words": f"{alarm.id} is {alarm.state.value} now"}

    def _unchanged(self, request: Request) -> None:
        """Refuse to act on an alarm that is not any more as ``seen``: somebody else was quicker."""
        seen = request.get("seen")
        if seen is None:
            return
        for alarm in self._assess.engine.everything:
            if alarm.id == request.get("alarm") and seen_of(alarm) != seen:
                by = f" by {alarm.person}" if alarm.person else ""
                what = f"{alarm.id} is {alarm.state.value} now{by}"
                raise SeenError(what, "look at it again before you do that")

    async def _list(self, request: Request) -> Mapping[str, Any]:
        alarms = self._assess.engine.everything if request.get("all") is True else self._assess.alarms
        return {"alarms": [alarm_data(alarm) for alarm in alarms]}

    async def _declare(self, request: Request) -> Mapping[str, Any]:
        seconds = _seconds(request)
        point, kind = _text(request, "point"), _text(request, "kind")
        self._assess.declare_state(point, kind, _text(request, "person"), _text(request, "text"), seconds)
        return {"words": f"{kind} of {point} is declared for {seconds:g} s"}

    async def _end(self, request: Request) -> Mapping[str, Any]:
        point, kind = _text(request, "point"), _text(request, "kind")
        self._assess.end_state(point, kind, _text(request, "person"), _text(request, "text"))
        return {"words": f"{kind} of {point} is over"}


class SeenError(OperatorError):
    """Somebody else was quicker."""


def seen_of(alarm: Alarm) -> str:
    """A mark of what people have done about an alarm: each of their steps and a new raising change it."""
    return f"{alarm.occurrence}/{alarm.state.value}/{alarm.person}/{alarm.text}"


def alarm_data(alarm: Alarm) -> dict[str, Any]:
    """An alarm as plain data; times in boot milliseconds."""
    condition = alarm.condition
    return {
        "alarm": alarm.id,
        "occurrence": alarm.occurrence,
        "state": alarm.state.value,
        "active": alarm.active,
        "tier": condition.tier.value,
        "rule": condition.rule,
        "point": condition.point,
        "device": condition.device,
        "value": condition.value,
        "limit": condition.limit,
        "unit": condition.unit,
        "words": condition.words,
        "since_ms": condition.since_ms,
        "raised_ms": alarm.raised_ms,
        "returned_ms": alarm.returned_ms,
        "group": alarm.group,
        "escalation": alarm.escalation,
        "person": alarm.person,
        "text": alarm.text,
        "until_ms": alarm.until_ms,
        "seen": seen_of(alarm),
    }


def _who(request: Request) -> tuple[str, str, str]:
    return _text(request, "alarm"), _text(request, "person"), _text(request, "text")


def _text(request: Request, name: str) -> str:
    """A word of a request; what may be left out is empty then, and what may not is refused by the alarms."""
    value = request.get(name, "")
    if not isinstance(value, str):
        raise OperatorError(f"{name} is no text", f'send "{name}": "..."')
    return value


def _seconds(request: Request) -> float:
    value = request.get("for_s")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise OperatorError("it is not said for how long", 'send "for_s": a number of seconds')
    return float(value)
