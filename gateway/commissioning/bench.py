"""Calibration at the site: readings as found beside a reference, the correction that follows, readings as left."""

import asyncio
import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any, Literal, cast

from gateway.commissioning.outcome import correction_points, record_request
from gateway.commissioning.photos import keep_photo
from gateway.commissioning.sessions import Session, Sessions, Taken
from gateway.commissioning.steady import FEWEST, Steadiness, criterion
from gateway.commissioning.watching import stand_still
from gateway.control import Handler
from gateway.errors import OperatorError
from gateway.jobs import Job
from gateway.logbook.comparison import Tolerance, check_days
from gateway.logbook.fields import Fields
from gateway.model import Column, DeviceLayout
from gateway.onsite import Onsite, fields_of

__all__ = ["Desk"]

WINDOW_S = 60.0
PATIENCE = 5.0
"""So many windows readings may take to come to rest."""
MOST_POINTS = 10
LARGE = 10.0
"""A correction beyond so many tolerances is that of a broken or a wrong sensor."""

Request = Mapping[str, Any]


class Desk:
    """The orders ``calibrate.*``."""

    def __init__(self, onsite: Onsite) -> None:
        self._onsite = onsite
        self._gateway = onsite.gateway
        self._sessions: Sessions | None = None
        self._writing = asyncio.Lock()
        self._finishing = asyncio.Lock()

    def handlers(self) -> dict[str, Handler]:
        """By the name of the order."""
        return {
            "calibrate.list": self._list,
            "calibrate.show": self._show,
            "calibrate.begin": self._begin,
            "calibrate.take": self._take,
            "calibrate.photo": self._photo,
            "calibrate.draft": self._draft,
            "calibrate.finish": self._finish,
            "calibrate.abandon": self._abandon,
        }

    async def _list(self, request: Request) -> Mapping[str, Any]:
        fields_of(request).done()
        return {"sessions": [self._data(session) for session in (await self._book()).all]}

    async def _show(self, request: Request) -> Mapping[str, Any]:
        fields = fields_of(request)
        session = await self._session(fields)
        fields.done()
        return self._data(session)

    async def _book(self) -> Sessions:
        if self._sessions is None:
            self._sessions = await asyncio.to_thread(Sessions, self._gateway.site.data_dir)
        return self._sessions

    async def _session(self, fields: Fields) -> Session:
        name = fields.text("session", need="name the calibration that is under way") or ""
        return (await self._book()).get(name)

    async def _keep(self, session: Session) -> dict[str, Any]:
        book = await self._book()
        async with self._writing:
            await asyncio.to_thread(book.put, session)
        return self._data(session)

    # beginning

    async def _begin(self, request: Request) -> Mapping[str, Any]:
        """``channel`` (device.channel), ``kind`` (calibration, verification), and the reference: ``instrument``,
        ``certificate``, ``valid_until``; ``tolerance``, ``environment``, ``uncertainty`` where they are known."""
        person = Fields(request).person()
        fields = fields_of(request)
        columns = {f"{one.id}.{column.channel}": column for one, column in self._columns()}
        channel = fields.known("channel", columns, "channel", need="name the channel as device.channel") or ""
        column = columns[channel]
        kind = fields.choice("kind", ("calibration", "verification"), default="calibration")
        instrument = fields.text("reference_instrument", need="name make and serial number of the reference") or ""
        certificate = fields.text("reference_certificate", need="give the number of its certificate") or ""
        until = fields.day("reference_valid_until", need="a reference without a valid certificate proves nothing")
        assert until is not None
        check_days(until, None, self._today())
        tolerance = Tolerance.of(fields.number("tolerance", least=0.0), self._tolerance(channel), column.unit)
        environment, uncertainty = fields.text("environment"), fields.number("uncertainty", least=0.0)
        fields.done()
        decimals = self._indicated_decimals(channel, column)
        book = await self._book()
        session = Session(
            id=book.new_id(),
            kind=cast("Literal['calibration', 'verification']", kind),
            channel=channel,
            unit=column.unit,
            decimals=decimals,
            person=person,
            began_utc_ms=self._gateway.clock.claim().utc_ms,
            reference_instrument=instrument,
            reference_certificate=certificate,
            reference_valid_until=until.isoformat(),
            tolerance=tolerance.value,
            tolerance_source=tolerance.source,
            limit=criterion(tolerance.value, decimals),
            environment=environment,
            uncertainty=uncertainty,
        )
        return await self._keep(session)

    def _columns(self) -> Iterator[tuple[DeviceLayout, Column]]:
        for device in self._gateway.acquire.layout.devices:
            yield from ((device, column) for column in device.columns if column.role == "value")

    def _indicated_decimals(self, channel: str, column: Column) -> int | None:
        """Decimal places that the device itself delivers: a corrected value has more."""
        name, _, key = channel.partition(".")
        for device in self._gateway.acquire.layout.devices:
            for one in device.columns:
                if device.id == name and one.channel == key and one.role == "indicated":
                    return one.decimals
        return column.decimals

    def _tolerance(self, channel: str) -> float | None:
        points = self._gateway.site.points
        return next((one.tolerance for one in points if f"{one.device}.{one.channel}" == channel), None)

    def _today(self) -> date | None:
        utc_ms = self._gateway.clock.claim().utc_ms
        return None if utc_ms is None else datetime.fromtimestamp(utc_ms / 1000, UTC).date()

    # readings

    async def _take(self, request: Request) -> Mapping[str, Any]:
        """``session``, ``reference`` (what it shows), ``which`` (found, left), ``window_s``, ``patience_s``: a job.

        It ends once the readings of a window stand still, or says by how much they do not.
        """
        fields = fields_of(request)
        session = await self._session(fields)
        reference = fields.number("reference", need="give what the reference instrument shows")
        assert reference is not None
        which = fields.choice("which", ("found", "left"), default="found")
        window_s = fields.number("window_s", least=1.0) or WINDOW_S
        patience_s = fields.number("patience_s", least=1.0) or PATIENCE * window_s
        fields.done()
        if which == "left" and not self._in_force(session):
            raise OperatorError(
                "the correction is not in force yet" if session.points else "there is no correction yet",
                "apply the draft, then take the readings as left",
            )
        if which == "found" and session.points and self._in_force(session):
            raise OperatorError("the correction is in force: nothing is as found any more", "take readings as left")
        if len(getattr(session, which)) >= MOST_POINTS:
            raise OperatorError(f"{MOST_POINTS} readings are taken already", "finish with these")

        async def work(job: Job) -> Mapping[str, Any]:
            figures = await stand_still(self._gateway, job, session, window_s=window_s, patience_s=patience_s)
            (await self._book()).get(session.id)  # It may have been finished or given up meanwhile.
            if which == "found" and session.points and self._in_force(session):
                raise OperatorError("the correction came into force meanwhile", "take readings as left")
            taken = self._taken(session, reference, figures)
            kept: list[Taken] = getattr(session, which)
            # The same reference once more takes the place of the reading before.
            kept[:] = sorted(
                [*(one for one in kept if one.reference != reference), taken], key=lambda x: x.reference
            )
            return {"session": await self._keep(session), "taken": asdict(taken)}

        title = f"readings of {session.channel} beside {reference:g} {session.unit}"
        return self._onsite.jobs.begin("take", title, session.channel, work, FEWEST).of(request)

    def _taken(self, session: Session, reference: float, figures: Steadiness) -> Taken:
        return Taken(
            reference=reference,
            shown=figures.shown,
            indicated=figures.indicated,
            readings=figures.count,
            window_s=round(figures.window_s, 1),
            spread=figures.spread,
            drift=figures.drift,
            limit=session.limit,
            utc_ms=self._gateway.clock.claim().utc_ms,
        )

    def _in_force(self, session: Session) -> bool:
        """Whether the gateway corrects by the points of this session."""
        layout = next((one for one in self._gateway.acquire.layout.devices if one.id == session.device), None)
        used = None if layout is None else layout.calibration.get(session.key)
        return used is not None and bool(session.points) and [list(p) for p in used["points"]] == session.points

    # photograph

    async def _photo(self, request: Request) -> Mapping[str, Any]:
        """``session``, ``content``: a JPEG or PNG file in base64."""
        fields = fields_of(request)
        session = await self._session(fields)
        text = fields.raw("content")
        fields.done()
        try:
            content = base64.b64decode(text or "", validate=True)
        except (binascii.Error, ValueError) as error:
            raise fields.wrong("content", "is not base64", "send the file in base64") from error
        return await self.keep_photo(session.id, content)

    async def keep_photo(self, name: str, content: bytes) -> dict[str, Any]:
        """Put a photograph with a session: its file's bytes, as a form sends them. Raises `OperatorError`."""
        session = (await self._book()).get(name)
        session.photo = dict(await asyncio.to_thread(keep_photo, self._gateway.site.data_dir, content))
        return await self._keep(session)

    # the correction

    async def _draft(self, request: Request) -> Mapping[str, Any]:
        """``session``, ``valid_until``, ``certificate`` or photo, ``laboratory``: edits for ``site.propose``."""
        fields = fields_of(request)
        session = await self._session(fields)
        until = fields.day("valid_until", need="say until when this calibration holds")
        certificate, laboratory = fields.text("certificate"), fields.text("laboratory")
        fields.done()
        assert until is not None
        check_days(None, until, self._today())
        if certificate is None and session.photo is None:
            raise fields.wrong("certificate", "is missing", "give its number, or a photo of it")
        points = correction_points(session)
        session.points = points
        session.certificate = certificate or f"photo {str((session.photo or {}).get('sha256', ''))[:12]}"
        session.valid_until, session.laboratory = until.isoformat(), laboratory
        session.kind = "calibration"
        kept = await self._keep(session)
        value = {"certificate": session.certificate, "valid_until": session.valid_until, "points": points}
        path = ["device", session.device, "calibration", session.key]
        return {
            "edits": [{"op": "set", "path": path, "value": value}],
            "reason": f"calibration of {session.channel}, {session.certificate}",
            "notes": list(self._notes(session)),
            "session": kept,
        }

    def _notes(self, session: Session) -> Iterator[str]:
        unit = session.unit
        for indicated, reference in session.points:
            offset = reference - indicated
            yield f"at {indicated:g} {unit} the correction is {offset:+.3g}"
            if abs(offset) > LARGE * session.tolerance:
                yield f"{offset:+.3g} {unit} is large: a sensor that is so wrong is replaced, not corrected"
        if len(session.points) == 1:
            yield "one point: the same correction everywhere, proven at that temperature alone"
        layout = next(one for one in self._gateway.acquire.layout.devices if one.id == session.device)
        if (used := layout.calibration.get(session.key)) is not None:
            yield f"it takes the place of certificate {used['certificate']}, with {len(used['points'])} points"

    # the record

    async def _finish(self, request: Request) -> Mapping[str, Any]:
        """``session``, ``text``: into the signed record, as a calibration where a correction is in force."""
        async with self._finishing:  # A second order finds no session any more.
            fields = fields_of(request)
            session = await self._session(fields)
            text = fields.text("text", most=2000, lines=True)
            fields.done()
            if not session.found:
                raise OperatorError("there are no readings as found", "take them beside the reference first")
            corrected = bool(session.points)
            if corrected and not session.left:
                raise OperatorError(
                    "there are no readings as left", "apply the draft, and take them: that proves it"
                )
            kind = "record.calibration" if corrected else "record.verification"
            person = Fields(request).person()
            answer = await self._gateway.people.control.carry_out(kind, record_request(session, person, text))
            book = await self._book()
            async with self._writing:
                await asyncio.to_thread(book.drop, session.id)
            return {"kind": kind, **answer}

    async def _abandon(self, request: Request) -> Mapping[str, Any]:
        fields = fields_of(request)
        session = await self._session(fields)
        fields.done()
        book = await self._book()
        async with self._writing:
            await asyncio.to_thread(book.drop, session.id)
        return {"words": f"the calibration of {session.channel} is abandoned; nothing of it is on record"}

    def _data(self, session: Session) -> dict[str, Any]:
        data = asdict(session)
        for name in ("found", "left"):
            for taken in data[name]:
                taken["error"] = round(taken["shown"] - taken["reference"], 9)
                taken["passed"] = abs(taken["error"]) <= session.tolerance
        data["in_force"] = self._in_force(session)
        data["criterion"] = (
            f"readings stand still when {FEWEST} or more within the window spread by at most {session.limit:g} "
            f"{session.unit} (a fifth of the tolerance, or two steps of the resolution) and drift by half of that"
        )
        return data
