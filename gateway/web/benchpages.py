"""Calibration: sessions under way, readings beside the reference, the correction, the record."""

import base64
import json
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.access.roles import Right
from gateway.errors import AuroraError, OperatorError
from gateway.language import N_
from gateway.web.commissionpages import number, typed_of
from gateway.web.frame import Frame, text, upload

__all__ = ["BenchPages"]

NUMBERS = ("tolerance", "uncertainty")
TEXTS = (
    "channel", "kind", "reference_instrument", "reference_certificate", "reference_valid_until", "environment",
)  # fmt: skip


class BenchPages:
    """``/calibrate``: all that are under way, and one by one."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        frame.more.append(("/calibrate", N_("Calibration"), Right.COMMISSION))

    def routes(self) -> list[Route]:
        """The list, the session, and its forms."""
        commission = self._frame.needs(Right.COMMISSION)
        forms = {"take": self._take, "draft": self._draft, "finish": self._finish, "abandon": self._abandon}
        return [
            Route("/calibrate", commission(self._list)),
            Route("/calibrate", commission(self._begin), methods=["POST"]),
            Route("/calibrate/{session}", commission(self._show)),
            *(
                Route(f"/calibrate/{{session}}/{name}", commission(do), methods=["POST"])
                for name, do in forms.items()
            ),
            Route("/photos/calibration/{session}", commission(self._photo), methods=["POST"]),
        ]

    async def _list(self, request: Request) -> Response:
        return await self._list_page(request)

    async def _list_page(
        self, request: Request, problem: AuroraError | None = None, form: FormData | None = None
    ) -> Response:
        found = await self._frame.ask(request, "calibrate.list")
        t = self._frame.language(request)
        channels = [
            f"{device['id']}.{channel['name']}"
            for device in self._frame.desk.status(t)["devices"]
            for channel in device["channels"]
        ]
        return self._frame.page(
            request,
            "calibrations.html",
            code=200 if problem is None else 409,
            sessions=found["sessions"],
            channels=channels,
            typed=typed_of(form or {}),
            problem=problem,
        )

    async def _begin(self, request: Request) -> Response:
        form = await self._frame.form(request)
        try:
            asked: dict[str, Any] = {name: text(form, name) for name in TEXTS if text(form, name)}
            asked |= {name: number(form, name) for name in NUMBERS if text(form, name)}
            session = await self._frame.ask(request, "calibrate.begin", form, **asked)
        except AuroraError as error:
            return await self._list_page(request, error, form)
        return self._frame.go(f"/calibrate/{session['id']}")

    async def _show(self, request: Request) -> Response:
        return await self._session(request)

    async def _session(self, request: Request, problem: AuroraError | None = None) -> Response:
        name = request.path_params["session"]
        session = await self._frame.ask(request, "calibrate.show", session=name)
        code = 200 if problem is None else 409
        return self._frame.page(request, "calibration.html", code=code, session=session, problem=problem)

    async def _take(self, request: Request) -> Response:
        form, name = await self._frame.form(request), request.path_params["session"]
        try:
            asked: dict[str, Any] = {
                "reference": number(form, "reference"),
                "which": text(form, "which") or "found",
            }
            if text(form, "window_s"):
                asked["window_s"] = number(form, "window_s")
            job = await self._frame.ask(request, "calibrate.take", form, session=name, **asked)
        except AuroraError as error:
            return await self._session(request, error)
        return self._frame.go(f"/jobs/{job['job']}")

    async def _photo(self, request: Request) -> Response:
        form, name = await self._frame.form(request, files=1), request.path_params["session"]
        try:
            file = upload(form, "photo")
            if file is None:
                raise OperatorError("no photo was chosen", "choose or take one")
            content = base64.b64encode(await file.read()).decode()
            await self._frame.ask(request, "calibrate.photo", form, session=name, content=content)
        except AuroraError as error:
            return await self._session(request, error)
        finally:
            await form.close()
        return self._frame.go(f"/calibrate/{name}")

    async def _draft(self, request: Request) -> Response:
        form, name = await self._frame.form(request), request.path_params["session"]
        asked = {key: text(form, key) for key in ("certificate", "valid_until", "laboratory") if text(form, key)}
        try:
            draft = await self._frame.ask(request, "calibrate.draft", form, session=name, **asked)
            proposal = await self._frame.ask(request, "site.propose", form, edits=draft["edits"])
        except AuroraError as error:
            return await self._session(request, error)
        return self._frame.page(
            request,
            "change.html",
            draft=draft,
            proposal=proposal,
            edits=json.dumps(draft["edits"]),
            then="left",
            session=name,
        )

    async def _finish(self, request: Request) -> Response:
        form, name = await self._frame.form(request), request.path_params["session"]
        asked = {"text": text(form, "text")} if text(form, "text") else {}
        try:
            done = await self._frame.ask(request, "calibrate.finish", form, session=name, **asked)
        except AuroraError as error:
            return await self._session(request, error)
        t = self._frame.language(request)
        self._frame.say(request, t("It is on record as {record}.", record=done["record"]))
        return self._frame.go("/calibrate")

    async def _abandon(self, request: Request) -> Response:
        form, name = await self._frame.form(request), request.path_params["session"]
        done = await self._frame.ask(request, "calibrate.abandon", form, session=name)
        self._frame.say(request, str(done["words"]))
        return self._frame.go("/calibrate")
