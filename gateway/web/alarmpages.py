"""Alarms: what waits for a person, what is known, what is held back; and what people do about each."""

from collections.abc import Iterable, Mapping
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.access.roles import Right
from gateway.errors import AuroraError, OperatorError
from gateway.language import N_, Language
from gateway.web.frame import Frame, text

__all__ = ["AlarmPages"]

SECTIONS = (
    ("waits", N_("Wait for a person"), ("unacknowledged", "returned to normal, unacknowledged")),
    ("known", N_("Acknowledged"), ("acknowledged",)),
    ("held", N_("Shelved or out of service"), ("shelved", "out of service")),
    ("design", N_("Suppressed by design"), ("suppressed by design",)),
)
"""By ISA-18.2 state: the word of the section, and what it holds."""

REASONS: Mapping[str, tuple[str, ...]] = {
    "food": (
        N_("Door was open"),
        N_("Loading or unloading"),
        N_("Defrost"),
        N_("Cleaning"),
        N_("Refrigeration is being looked at"),
    ),
    "measuring": (
        N_("Sensor or wiring is being looked at"),
        N_("Device was switched off"),
        N_("Power was off"),
        N_("Work on the network"),
        N_("Calibration is arranged"),
    ),
}
"""Short lists to choose from, for alarms of the food and of the measuring."""

FALLBACK = (
    N_("Find the cause and put it right."),
    N_("Check the temperature of the product itself."),
    N_("Decide what becomes of the food: released, held, reworked, or destroyed."),
)
"""What a corrective action owes where nothing says more."""

HOURS = (1, 2, 4, 8)
DAYS = (1, 8, 24, 72)
ORDERS = {
    "acknowledge": N_("Acknowledged."),
    "confirm": N_("The corrective action stands in the record."),
    "shelve": N_("Shelved."),
    "unshelve": N_("Not shelved any more."),
    "out-of-service": N_("Out of service."),
    "in-service": N_("Back in service."),
}
LONGEST_TEXT = 500


class AlarmPages:
    """The list, a page for each alarm, and what can be done there."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        frame.nav.append(("/alarms", N_("Alarms")))

    def routes(self) -> list[Route]:
        """The list and the pages; what people do is posted to one address."""
        look, handle = self._frame.needs(Right.LOOK), self._frame.needs(Right.HANDLE)
        return [
            Route("/alarms", look(self._list)),
            Route("/alarms/do", handle(self._do), methods=["POST"]),
            Route("/alarms/{alarm:path}", look(self._show)),
        ]

    async def _list(self, request: Request) -> Response:
        status = self._frame.desk.status(self._frame.language(request))
        sections = [
            (mark, words, [alarm for alarm in status["alarms"] if alarm["state"] in states])
            for mark, words, states in SECTIONS
        ]
        return self._frame.page(request, "alarms.html", sections=sections, status=status)

    async def _show(self, request: Request) -> Response:
        return await self._page(request, request.path_params["alarm"])

    async def _page(
        self,
        request: Request,
        name: str,
        *,
        problem: AuroraError | None = None,
        typed: Mapping[str, Any] | None = None,
    ) -> Response:
        frame, tag = self._frame, self._frame.language(request).tag
        alarm = await frame.ask(request, "alarm.show", alarm=name, language=tag)
        try:
            steps = (await frame.ask(request, "alarm.history", alarm=name, language=tag))["steps"]
        except AuroraError:
            steps = None  # The journal cannot be read: all else can still be done.
        return frame.page(
            request,
            "alarm.html",
            code=200 if problem is None else 409,
            alarm=alarm,
            steps=steps,
            reasons=REASONS["food" if alarm["tier"] in {"critical", "alert"} else "measuring"],
            suggestions=await self._suggestions(request, alarm),
            can=_can(alarm),
            shelving=[h for h in HOURS if h * 3600 <= _longest_shelving(alarm)],
            outing=[h for h in DAYS if h <= 24 or not _sacred(alarm)],
            problem=problem,
            typed=typed or {},
        )

    async def _suggestions(self, request: Request, alarm: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Steps with the language they are in: the profile's own words, or ours."""
        t = self._frame.language(request)
        steps: Iterable[str] = ()
        if self._frame.may(request, Right.HANDLE):
            try:
                steps = (await self._frame.desk.ask("alarm.advice", {"alarm": alarm["alarm"]}))["steps"]
            except AuroraError:
                steps = ()
        steps = list(steps) or (list(alarm["actions"]) if alarm["tier"] in {"critical", "alert"} else [])
        return [_in_language(step, t) for step in steps or FALLBACK]

    async def _do(self, request: Request) -> Response:
        frame = self._frame
        form = await frame.form(request)
        order, name, t = text(form, "do"), text(form, "alarm"), frame.language(request)
        if order not in ORDERS:
            return frame.error(request, 404, "there is no such page")
        try:
            await frame.ask(request, f"alarm.{order}", form, **_fields(form, order))
        except AuroraError as error:
            return await self._page(request, name, problem=error, typed=dict(form))
        frame.say(request, t(ORDERS[order]))
        return frame.go(frame.to("/alarms", name) if order in {"acknowledge", "shelve", "unshelve"} else "/alarms")


def _fields(form: FormData, order: str) -> dict[str, Any]:
    """What the order takes, from the form."""
    reason, more = text(form, "reason"), text(form, "text")
    if order == "acknowledge" and not reason and not more:
        raise OperatorError("no reason is given", "choose one, or write what is known")
    steps = [str(step) for step in form.getlist("step")]
    fields: dict[str, Any] = {
        "alarm": text(form, "alarm"),
        "text": "; ".join(part for part in (reason, *steps, more) if part)[:LONGEST_TEXT],
        "seen": text(form, "seen"),
    }
    if order == "acknowledge" and text(form, "group") == "yes":
        fields["group"] = True
    if order in {"shelve", "out-of-service"} and (hours := text(form, "hours")):
        if not hours.isdecimal() or len(hours) > 4:
            raise OperatorError("it is not said for how long", "choose a time")
        fields["for_s"] = int(hours) * 3600
    return fields


def _sacred(alarm: Mapping[str, Any]) -> bool:
    return bool(alarm["critical_point"]) and alarm["tier"] == "critical"


def _longest_shelving(alarm: Mapping[str, Any]) -> float:
    return min(float(alarm["longest_s"]), 3600.0) if _sacred(alarm) else float(alarm["longest_s"])


def _can(alarm: Mapping[str, Any]) -> set[str]:
    """What makes sense in its state; the gateway itself refuses what it does not allow."""
    state = alarm["state"]
    held = state in {"shelved", "out of service", "suppressed by design"}
    can = set()
    if state in {"unacknowledged", "returned to normal, unacknowledged"}:
        can.add("acknowledge")
    if alarm["occurrence"]:
        can.add("confirm")
    if not held and (state == "acknowledged" or not _sacred(alarm)) and state != "normal":
        can.add("shelve")
    if state == "shelved":
        can.add("unshelve")
    can.add("in-service" if state == "out of service" else "out-of-service")
    return can


def _in_language(text_: str, t: Language) -> tuple[str, str]:
    said = t(text_)
    return said, t.tag if said != text_ or text_ in FALLBACK else "en"
