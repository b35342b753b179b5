"""What people record: corrective actions, lots, verifications, notes; and the reports printed of it all."""

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from gateway.access.roles import Right
from gateway.errors import AuroraError, OperatorError
from gateway.language import N_, local_time
from gateway.web.frame import Frame, PageError, text

__all__ = ["RecordPages"]

FORMS: Mapping[str, tuple[str, str]] = {
    "corrective": (N_("Corrective action"), N_("What was wrong, what was done, and what became of the food.")),
    "lot": (N_("Lot in or out"), N_("A lot comes into a zone or leaves it.")),
    "verification": (N_("Verification"), N_("A channel is compared with a reference instrument.")),
    "note": (N_("Note"), N_("Anything worth keeping.")),
}
"""What can be recorded here: title and what it is for."""
KINDS = {
    "record.corrective": N_("Corrective action"),
    "record.lot": N_("Lot in or out"),
    "record.verification": N_("Verification"),
    "record.calibration": N_("Calibration"),
    "record.note": N_("Note"),
}
FIELDS: Mapping[str, tuple[str, ...]] = {
    "corrective": ("point", "text", "deviation", "product", "prevention"),
    "lot": ("direction", "point", "lot", "code", "unit", "text"),
    "verification": (
        "channel",
        "reference_instrument",
        "reference_certificate",
        "reference_valid_until",
        "environment",
        "text",
    ),
    "note": ("point", "lot", "text"),
}
REPORTS = {
    "day": N_("HACCP record of a day"),
    "month": N_("HACCP record of a month"),
    "lot": N_("Lot passport"),
    "calibration": N_("Calibration register"),
}
COMPARED = 3
"""Lines of a verification."""
MEDIA = {".pdf": "application/pdf", ".html": "text/html; charset=utf-8"}


class RecordPages:
    """The list, a form for each kind of record, and the reports."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        frame.nav.append(("/records", N_("Records")))

    def routes(self) -> list[Route]:
        """The list and its forms; the reports."""
        look, record = self._frame.needs(Right.LOOK), self._frame.needs(Right.RECORD)
        return [
            Route("/records", look(self._list)),
            Route("/records/new/{kind}", record(self._form), methods=["GET", "POST"]),
            Route("/reports", look(self._reports)),
            Route("/reports/make", record(self._make), methods=["POST"]),
            Route("/reports/{number}", look(self._printed)),
        ]

    # records

    async def _list(self, request: Request) -> Response:
        kind = request.query_params.get("kind", "")
        fields: dict[str, Any] = {"kind": kind} if kind in KINDS else {}
        found = await self._frame.ask(request, "record.list", **fields)
        names = self._names(request)
        return self._frame.page(request, "records.html", **found, kinds=KINDS, kind=kind, forms=FORMS, names=names)

    async def _form(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        if kind not in FORMS:
            return self._frame.error(request, 404, "there is no such page")
        if request.method != "POST":
            return await self._page(request, kind, typed=dict(request.query_params))
        form = await self._frame.form(request)
        try:
            answer = await self._frame.ask(request, f"record.{kind}", form, **_fields(kind, form))
        except AuroraError as error:
            return await self._page(request, kind, typed=dict(form), problem=error)
        t = self._frame.language(request)
        stored = t("Recorded as {record}.", record=answer["record"])
        if not answer.get("stored", True):
            stored = t(
                "Recorded as {record}; it waits in memory for a disk that can be written.", record=answer["record"]
            )
        self._frame.say(request, stored)
        return self._frame.go("/records")

    async def _page(
        self, request: Request, kind: str, *, typed: Mapping[str, Any], problem: AuroraError | None = None
    ) -> Response:
        found = await self._frame.ask(request, "record.list", most=1)
        return self._frame.page(
            request,
            f"record-{kind}.html",
            code=200 if problem is None else 409,
            kind=kind,
            title=FORMS[kind][0],
            purpose=FORMS[kind][1],
            names=self._names(request),
            channels=found["channels"],
            lots=found["lots"],
            compared=range(1, COMPARED + 1),
            typed={key: value for key, value in typed.items() if isinstance(value, str)},
            problem=problem,
        )

    def _names(self, request: Request) -> dict[str, str]:
        """The points by id."""
        points = self._frame.desk.status(self._frame.language(request))["points"]
        return {point["id"]: point["name"] for point in sorted(points, key=lambda one: str(one["name"]))}

    # reports

    async def _reports(self, request: Request, problem: AuroraError | None = None) -> Response:
        found = await self._frame.ask(request, "report.list")
        claim = self._frame.desk.status(self._frame.language(request)).get("utc_ms")
        today = "" if claim is None else f"{local_time(claim, self._frame.desk.zone):%Y-%m-%d}"
        return self._frame.page(
            request,
            "reports.html",
            code=200 if problem is None else 409,
            **found,
            kinds=REPORTS,
            names=self._names(request),
            today=today,
            busy=any(one["state"] in {"waiting", "under way"} for one in found["reports"]),
            asked=request.query_params.get("kind", ""),
            problem=problem,
        )

    async def _make(self, request: Request) -> Response:
        form, frame = await self._frame.form(request), self._frame
        kind = text(form, "kind")
        fields = {name: text(form, name) for name in ("kind", "point", "lot", "format") if text(form, name)}
        if day := text(form, "day"):
            fields["date"] = day if kind == "day" else day[:7]
        try:
            await frame.ask(request, "report.make", form, language=frame.language(request).tag, **fields)
        except AuroraError as error:
            return await self._reports(request, error)
        return frame.go("/reports")

    async def _printed(self, request: Request) -> Response:
        path = self._frame.desk.printed(request.path_params["number"])
        if path is None or not await asyncio.to_thread(path.exists):
            raise PageError(404, "there is no such report", "have it made again")
        # Handed over as a file: its own style would not be let through as a page of this gateway.
        return FileResponse(path, media_type=MEDIA[path.suffix], filename=f"report-{path.name}")


def _fields(kind: str, form: FormData) -> dict[str, Any]:
    """What the record takes, from the form; what was left empty is left out."""
    fields: dict[str, Any] = {name: text(form, name) for name in FIELDS[kind] if text(form, name)}
    fields["source"] = "scanner" if fields.get("code") else "page"
    if kind == "corrective" and (lots := text(form, "lots")):
        fields["lots"] = [lot.strip() for lot in lots.replace(",", "\n").split("\n") if lot.strip()]
    if kind == "lot" and (quantity := text(form, "quantity")):
        fields["quantity"] = _number(quantity, "quantity")
    if kind == "verification":
        fields["points"] = [line for n in range(1, COMPARED + 1) if (line := _line(form, n))]
        if tolerance := text(form, "tolerance"):
            fields["tolerance"] = _number(tolerance, "tolerance")
    return fields


def _line(form: FormData, number: int) -> dict[str, float]:
    names = {"reference": "reference", "as_found": "found", "as_left": "left"}
    return {
        name: _number(value, name) for name, short in names.items() if (value := text(form, f"{short}-{number}"))
    }


def _number(words: str, name: str) -> float:
    """As people write it: comma or point, either minus."""
    try:
        return float(words.replace("\N{MINUS SIGN}", "-").replace("\N{NO-BREAK SPACE}", "").replace(",", "."))
    except ValueError as error:
        raise OperatorError(f"{name}: {words[:20]!r} is no number", "write it as 4.5 or 4,5") from error
