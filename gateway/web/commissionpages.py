"""Commissioning: what is there, a trial, the draft of its lines, and putting them in force."""

import json
import math
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.access.roles import Right
from gateway.errors import AuroraError
from gateway.language import N_
from gateway.web.frame import Frame, PageError, text
from gateway.web.jobpages import LINE

__all__ = ["CommissionPages", "number", "typed_of"]

TYPES = ("modbus-tcp", "modbus-rtu", "modbus-rtu-over-tcp")
PLACE = ("bus", "unit", "model", "address", *LINE)
"""Fields that say which device on which line."""


class CommissionPages:
    """``/commission`` and the steps below it."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        frame.more.append(("/commission", N_("Commissioning"), Right.COMMISSION))

    def routes(self) -> list[Route]:
        """The overview, and a page for each step."""
        commission = self._frame.needs(Right.COMMISSION)
        return [
            Route("/commission", commission(self._see)),
            Route("/commission/walk", commission(self._walk), methods=["POST"]),
            Route("/commission/guess", commission(self._guess), methods=["POST"]),
            Route("/commission/try", commission(self._trial)),
            Route("/commission/try", commission(self._try), methods=["POST"]),
            Route("/commission/place", commission(self._place)),
            Route("/commission/place", commission(self._draft), methods=["POST"]),
            Route("/commission/apply", commission(self._apply), methods=["POST"]),
        ]

    async def _see(self, request: Request, problem: AuroraError | None = None) -> Response:
        seen = await self._frame.ask(request, "commission.see")
        code = 200 if problem is None else 409
        asked = (*TYPES, "modbus-tls")
        return self._frame.page(request, "commission.html", code=code, seen=seen, asked=asked, problem=problem)

    async def _walk(self, request: Request) -> Response:
        form = await self._frame.form(request)
        span = {name: number(form, name) for name in ("first", "last") if text(form, name)}
        try:
            job = await self._frame.ask(request, "commission.walk", form, **_line(form), **span)
        except AuroraError as error:
            return await self._see(request, error)
        return self._frame.go(f"/jobs/{job['job']}")

    async def _guess(self, request: Request) -> Response:
        form = await self._frame.form(request)
        job = await self._frame.ask(request, "commission.guess", form, unit=number(form, "unit"), **_line(form))
        return self._frame.go(f"/jobs/{job['job']}")

    # trial

    async def _trial(self, request: Request) -> Response:
        return await self._trial_page(request, dict(request.query_params))

    async def _trial_page(
        self, request: Request, typed: Mapping[str, Any], problem: AuroraError | None = None
    ) -> Response:
        models = await self._frame.ask(request, "commission.models")
        code = 200 if problem is None else 409
        return self._frame.page(
            request,
            "trial.html",
            code=code,
            models=models["modbus"],
            typed=typed_of(typed),
            types=TYPES,
            problem=problem,
        )

    async def _try(self, request: Request) -> Response:
        form = await self._frame.form(request)
        try:
            if text(form, "address"):
                asked: dict[str, Any] = {"address": text(form, "address"), "readings": 2}
            else:
                asked = {"unit": number(form, "unit"), "model": text(form, "model"), **_line(form)}
            job = await self._frame.ask(request, "commission.try", form, **asked)
        except AuroraError as error:
            return await self._trial_page(request, form, error)
        return self._frame.go(f"/jobs/{job['job']}")

    # draft and application

    async def _place(self, request: Request) -> Response:
        return await self._place_page(request, dict(request.query_params))

    async def _place_page(
        self, request: Request, typed: Mapping[str, Any], problem: AuroraError | None = None
    ) -> Response:
        found = typed_of(typed)
        models = await self._frame.ask(request, "commission.models")
        kind = "ble" if found.get("address") else "modbus"
        model = next((one for one in models[kind] if one["id"] == found.get("model")), None)
        profiles = await self._frame.ask(request, "commission.profiles", unit="degC")
        return self._frame.page(
            request,
            "place.html",
            code=200 if problem is None else 409,
            typed=found,
            chosen=_list(typed, "channels"),
            model=model,
            models=models[kind],
            profiles=profiles["profiles"],
            place=PLACE,
            problem=problem,
        )

    async def _draft(self, request: Request) -> Response:
        form = await self._frame.form(request)
        try:
            draft = await self._frame.ask(request, "commission.draft", form, **_drafted(form))
            proposal = await self._frame.ask(request, "site.propose", form, edits=draft["edits"])
        except AuroraError as error:
            return await self._place_page(request, form, error)
        return self._frame.page(
            request,
            "change.html",
            draft=draft,
            proposal=proposal,
            edits=json.dumps(draft["edits"]),
            then="first",
            device=draft["ids"]["device"],
        )

    async def _apply(self, request: Request) -> Response:
        """Puts edits in force that a page before has shown; then the first readings, or readings as left."""
        form = await self._frame.form(request)
        try:
            edits = json.loads(text(form, "edits"))
        except ValueError as error:
            raise PageError(400, "the change cannot be read", "begin again from the draft") from error
        done = await self._frame.ask(
            request, "site.apply", form, edits=edits, base=text(form, "base"), reason=text(form, "reason")
        )
        self._frame.say(request, str(done["words"]))
        if text(form, "then") == "first":
            job = await self._frame.ask(request, "commission.first", form, device=text(form, "device"), scans=3)
            return self._frame.go(f"/jobs/{job['job']}")
        return self._frame.go(f"/calibrate/{text(form, 'session')}" if text(form, "session") else "/commission")


def _drafted(form: FormData) -> dict[str, Any]:
    """The fields of a draft, as far as the form has them."""
    found: dict[str, Any] = {"name": text(form, "name")}
    for name in ("profile", "group", "device_id", "point_id", "channel"):
        if text(form, name):
            found[name] = text(form, name)
    if channels := _list(form, "channels"):
        found["channels"] = channels
    if text(form, "period_s"):
        found["period_s"] = number(form, "period_s")
    if text(form, "critical"):
        found["critical"] = True
    if text(form, "address"):
        found |= {"address": text(form, "address"), "model": text(form, "model")}
        return found | ({"bus": text(form, "bus")} if text(form, "bus") else {})
    return found | {"unit": number(form, "unit"), "model": text(form, "model"), **_line(form)}


def _line(form: FormData) -> dict[str, Any]:
    """The bus or the connection that a form names."""
    if text(form, "bus"):
        return {"bus": text(form, "bus")}
    kind = text(form, "type")
    connection: dict[str, Any] = {"type": kind}
    if kind == "modbus-rtu":
        connection["device"] = text(form, "device")
        for name in ("baud", "stop_bits"):
            if text(form, name):
                connection[name] = number(form, name)
        if text(form, "parity"):
            connection["parity"] = text(form, "parity")
    else:
        connection["host"] = text(form, "host")
        if text(form, "port"):
            connection["port"] = number(form, "port")
    return {"connection": connection}


def number(form: FormData, name: str) -> float | int:
    """A number of a form, with comma or point and either minus sign. Raises `PageError`."""
    typed = text(form, name).replace(",", ".").replace("\N{MINUS SIGN}", "-").replace("\N{NO-BREAK SPACE}", "")
    try:
        value = float(typed)
    except ValueError:
        raise PageError(409, f"{name}: {text(form, name)!r:.40} is no number", "write it as 4.5 or 4,5") from None
    if not math.isfinite(value):
        raise PageError(409, f"{name}: {text(form, name)!r:.40} is no number", "write it as 4.5 or 4,5")
    return int(value) if value.is_integer() else value


class Typed(dict[str, str]):
    """What was typed by field; empty for what was not."""

    def __missing__(self, name: str) -> str:
        return ""


def typed_of(given: Mapping[str, Any]) -> Typed:
    """The texts of a form or an address."""
    return Typed((name, value[:200]) for name, value in given.items() if isinstance(value, str) and name != "form")


def _list(given: Mapping[str, Any], name: str) -> list[str]:
    if isinstance(given, FormData):
        return [value for value in given.getlist(name) if isinstance(value, str)]
    return [given[name]] if isinstance(given.get(name), str) else []
