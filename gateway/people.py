"""Where people meet a running gateway: orders over the control socket, records they make, outputs that tell them.

Loaded after the first scan is stored. What fails here is begun again and never reaches the path of the values.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from gateway.assess.station import Assess
from gateway.buffer.journal import Journal
from gateway.control import Control, Handler
from gateway.errors import AuroraError, OperatorError
from gateway.logbook.settings import AT_START, WHEN_APPLIED
from gateway.model import Alarm, ClockClaim, Condition, Event, Layout, Miss, Scan
from gateway.recordkeeping.keeping import RecordKeeping
from gateway.site import ScannerSpec, Site
from gateway.viewing.orders import Viewing

if TYPE_CHECKING:
    from gateway.notify.station import Notifier
    from gateway.scanners import Scanner

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

    ``person`` and ``reason`` are who started the gateway with a changed site file, and why, as far as was
    ``stated``. ``orders`` are further requests that the control socket takes. ``rules`` tells how the rules of
    plugins do. ``feed`` is told where judged records go for outputs that take values; None for nowhere.
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
        rules: Callable[[], Mapping[str, Any]] = dict,
        stated: str = AT_START,
        orders: Mapping[str, Handler] | None = None,
        feed: Callable[[Callable[[Scan | Miss], None] | None], None] = lambda _: None,
    ) -> None:
        self._rules = rules
        self._feed = feed
        self.control = Control(site.data_dir)
        self._journal = journal
        self.scanners: list[Scanner] = []
        self.records = RecordKeeping(site, layout, store=journal.put_event, clock=clock, keep=journal.keep)
        self._site = site
        self._layout = layout
        self._assess = assess
        self._clock = clock
        self._event = event
        self._started: dict[str, Any] = {"person": person, "reason": reason, "stated": stated}
        self._orders = orders or {}
        self.notifier = self._notifier() if site.outputs else None
        self._group: asyncio.TaskGroup | None = None
        self._telling: asyncio.Task[None] | None = None
        self._scanning: dict[ScannerSpec, tuple[Scanner, asyncio.Task[None]]] = {}

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

    def _give_values(self) -> None:
        """To the present outputs, where some of them take values."""
        wanted = self.notifier is not None and any(output.values for output in self._site.outputs)
        self._feed(self.notifier.values if wanted and self.notifier is not None else None)

    def hear(self, event: Event) -> None:
        """An event is on its way to the journal."""
        if self.notifier is not None:
            self.notifier.alarm(event)
        self.records.hear(event, self._clock())

    async def run(self) -> None:
        """Until cancelled."""
        for name, order in {**Orders(self._assess).handlers(), **self._orders}.items():
            self.control.handle(name, order)
        self.control.handle("plugins.list", self._plugins)
        for name in NOBODY:
            self.control.handle(name, partial(self._ask_outputs, name))
        notifier = self.notifier
        viewing = Viewing(self._site, self._assess, self._clock, lambda: self.records.book)
        self.viewing = viewing
        for name, handler in viewing.handlers().items():
            self.control.handle(name, handler)
        if notifier is not None:
            await notifier.open()
        try:
            if notifier is not None:
                await notifier.resync(self._assess.alarms)
            self._give_values()
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self._open_records(), name="logbook")
                group.create_task(self.control.run(), name="control")
                if notifier is not None:
                    self._telling = group.create_task(notifier.run(), name="outputs")
                self._scan(group)
        finally:
            self._group = None
            self._feed(None)
            viewing.close()
            for opened in {notifier, self.notifier}:
                if opened is not None:
                    await opened.close()

    @property
    def ready(self) -> bool:
        """Whether `adopt` can be called."""
        return self._group is not None

    async def adopt(
        self, site: Site, layout: Layout, *, outputs: bool, person: str | None, reason: str | None
    ) -> None:
        """Go by another site from now on, and record what changed; ``outputs``: theirs is another one."""
        self._started = {"person": person, "reason": reason, "stated": WHEN_APPLIED}
        values = any(output.values for output in (*self._site.outputs, *site.outputs))
        moved, scanners = values and layout != self._layout, self._site.scanners
        self._site, self._layout = site, layout
        if outputs or moved:
            await self._change_outputs(site)
        if scanners != site.scanners and self._group is not None:
            await self._let_go(set(scanners) - set(site.scanners))
            self._scan(self._group)
        if self.viewing is not None:
            self.viewing.adopt(site)
        await self.records.adopt(site, layout, person, reason)

    async def _let_go(self, gone: set[ScannerSpec]) -> None:
        """End the scanners that are not as they were; each gives its port back before another one takes it."""
        ending = [(spec, *self._scanning.pop(spec)) for spec in gone if spec in self._scanning]
        for _, _, task in ending:
            task.cancel()
        if ending:
            await asyncio.wait([task for _, _, task in ending])

    def _scan(self, group: asyncio.TaskGroup) -> None:
        """Read codes with the scanners of the present site; those that are as they were go on."""
        new = [spec for spec in self._site.scanners if spec not in self._scanning]
        for scanner in _scanners(new, self._record, self._event, self._clock) if new else ():
            task = group.create_task(scanner.run(), name=f"scanner {scanner.spec.id}")
            self._scanning[scanner.spec] = scanner, task
        self.scanners = [self._scanning[spec][0] for spec in self._site.scanners]

    async def _change_outputs(self, site: Site) -> None:
        """Another notifier takes the place of the present one: what is queued lies on the disk, and what happens
        meanwhile stands in the alarms by which it begins."""
        old, telling = self.notifier, self._telling
        self._feed(None)
        self.notifier = new = self._notifier() if site.outputs else None
        self._telling = None
        if telling is not None:
            telling.cancel()
            await asyncio.wait((telling,))
        if old is not None:
            await old.close()
        if new is not None:
            await new.open()
            await new.resync(self._assess.alarms)
            assert self._group is not None
            self._telling = self._group.create_task(new.run(), name="outputs")
        self._give_values()

    def _notifier(self) -> "Notifier":
        """For the present site. Loaded on need: a gateway that tells nobody does not carry what tells."""
        from gateway.notify.station import Notifier
        from gateway.recall import recall

        site, journal = self._site, self._journal
        values = any(output.values for output in site.outputs)
        return Notifier(
            site,
            self._clock,
            self._event,
            self._condition,
            layout=self._layout,
            timezone=site.time_zone,
            recall=partial(recall, journal, site.data_dir / "journal.db") if values else None,
        )

    async def _ask_outputs(self, name: str, request: Request) -> Mapping[str, Any]:
        handlers = NOBODY if self.notifier is None else self.notifier.handlers()
        answer: Mapping[str, Any] = await handlers[name](request)
        return answer

    async def _plugins(self, _: Request) -> Mapping[str, Any]:
        """Outputs and rules, and how they do."""
        outputs = {} if self.notifier is None else self.notifier.plugins()
        return {"plugins": {**outputs, **self._rules()}}

    async def _open_records(self) -> None:
        """Read what people have recorded; while the journal cannot be read, alarms and outputs go on without."""
        told = ""
        while True:
            try:
                await self.records.open(self.control, self._journal.kept(), **self._started)
            except AuroraError as error:
                if str(error) != told:
                    log.error("records cannot be made yet: %s", error)
                told = str(error)
                await asyncio.sleep(RECORDS_RETRY_S)
            else:
                return

    async def _record(self, kind: str, request: Request) -> Mapping[str, Any]:
        """A record that no person typed: what a scanner read."""
        if self.records.requests is None:
            raise OperatorError("records cannot be made yet", "scan it again in a minute")
        return await self.records.requests.record(kind, request)

    def _condition(self, condition: Condition) -> None:
        self._assess.condition(condition, OUTPUTS)


def _scanners(
    specs: Sequence[ScannerSpec],
    record: Callable[[str, Request], Awaitable[Mapping[str, Any]]],
    event: Callable[[Event], None],
    clock: Callable[[], ClockClaim],
) -> "list[Scanner]":
    """Loaded on need, like what tells people."""
    from gateway.scanners import Scanner

    return [Scanner(spec, record, event, lambda: clock().boot_ms) for spec in specs]


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
