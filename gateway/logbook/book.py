"""The logbook: makes the events of people's records. Nothing is edited, only superseded."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

from gateway.errors import RecordError
from gateway.logbook.comparison import review
from gateway.logbook.entry import CALIBRATION, CORRECTIVE, KINDS, LOT, NOTE, VERIFICATION, Entry, Moment
from gateway.logbook.fields import LONGEST_TEXT, Fields
from gateway.logbook.forms import COMMON, INPUTS, SOURCES, Place, lot_key, specific
from gateway.logbook.index import Index
from gateway.logbook.lots import contradictions
from gateway.model import ClockClaim, Event, Layout
from gateway.site import Site

__all__ = ["Logbook"]

NEEDS_TEXT: Final = {NOTE: "say what you noted", CORRECTIVE: "say what was done about it"}


class Logbook(Index):
    """All records that this gateway holds, and the making of new ones.

    ``memory`` is what `memory` returned to an earlier process; `take` the event stream afterwards. Raises
    `StorageError` for a memory that it does not know.
    """

    def __init__(self, site: Site, layout: Layout, memory: bytes | None = None) -> None:
        super().__init__(memory)
        self.place = Place.of(site, layout)

    def make(self, kind: str, request: Mapping[str, Any], claim: ClockClaim) -> Event:
        """The event of a new record; give it to `take` once it is stored. Raises `RecordError`."""
        if kind not in KINDS:
            raise RecordError(f"{kind!r:.60} is no kind of record", f"there are: {', '.join(KINDS)}")
        if isinstance(name := request.get("supersedes"), str) and name:
            if (old := self.get(name)).kind != kind:
                raise RecordError(
                    f"{name} is a {old.kind}, not a {kind}", "a record supersedes one of its own kind"
                )
            return self.supersede(request, claim)
        return self._make(kind, request, claim, None)

    def supersede(self, request: Mapping[str, Any], claim: ClockClaim) -> Event:
        """The event of a record that takes the place of another one of the same kind.

        What the request does not give is taken from the superseded record; ``withdraw`` takes it out without a new
        one. Who does it and why must be given. Raises `RecordError`.
        """
        fields = Fields(request)
        name = fields.text("supersedes", need="name the record that is wrong")
        assert name is not None
        old = self.get(name)
        if (newest := self.newest(name)).id != name:
            raise RecordError(
                f"{name} has been superseded already", f"supersede {newest.id}, which holds in its place"
            )
        if old.withdrawn:
            raise RecordError(f"{name} only withdraws a record", "make a new record of what holds")
        given = {
            key: value for key, value in request.items() if key not in {"do", "supersedes", "withdraw", "reason"}
        }
        reason = fields.text("reason", need="say why the other record does not hold", most=LONGEST_TEXT, lines=True)
        withdraw = fields.flag("withdraw")
        if withdraw and (extra := given.keys() - {"person", "source"}):
            raise RecordError(
                f"a withdrawal changes nothing, but {sorted(extra)[0]} was given",
                "withdraw, or supersede with what is right",
            )
        kept = {key: old.data[key] for key in (*INPUTS[old.kind], "text") if old.data.get(key) is not None}
        if given.keys() & {"lot", "gtin", "serial", "sscc", "code"}:
            for key in ("lot", "gtin", "serial", "sscc", "code"):
                kept.pop(key, None)
        if "tolerance" in kept and old.data.get("tolerance_source") != "stated in this record":
            del kept["tolerance"]
        return self._make(old.kind, {**kept, **given}, claim, (old, reason or "", withdraw))

    def _make(
        self, kind: str, request: Mapping[str, Any], claim: ClockClaim, replacing: tuple[Entry, str, bool] | None
    ) -> Event:
        """``replacing``: the record that is superseded, why, and whether nothing takes its place."""
        old, reason, withdrawn = replacing or (None, None, False)
        fields = Fields(request)
        person = fields.person()
        text = fields.text("text", need=NEEDS_TEXT.get(kind, ""), most=LONGEST_TEXT, lines=True)
        done_ms = self._done(fields, claim)
        number = self._last + 1
        data: dict[str, Any] = {
            "record": f"R{number}-{_mark(claim, number)}",
            "person": person,
            "text": text,
            "supersedes": None if old is None else old.id,
            "reason": reason,
            "withdrawn": withdrawn,
            "done_ms": done_ms,
            "source": fields.choice("source", SOURCES, default="command"),
        }
        about = done_ms
        if about is None:
            about = claim.utc_ms if old is None else self.when(old).utc_ms
        if withdrawn:
            assert old is not None
            data |= {key: value for key, value in old.data.items() if key not in COMMON}
        else:
            data |= specific(kind, fields, self.place, _day(about))
            fields.done()
        entry = Entry(number, kind, Moment(claim.boot, claim.boot_ms, claim.utc_ms), data)
        if kind in {CALIBRATION, VERIFICATION} and not withdrawn:
            self._judge(entry, old, about)
        if kind == LOT:
            self._check_moves(entry, old)
        return Event(kind, claim.boot_ms, data)

    def _done(self, fields: Fields, claim: ClockClaim) -> int | None:
        done_ms = fields.instant("done")
        if done_ms is not None and claim.utc_ms is not None and done_ms > claim.utc_ms + (claim.error_ms or 0):
            raise RecordError("done lies in the future", "record what has been done, not what will be")
        if done_ms is not None and done_ms < 0:
            raise RecordError("done lies before 1970", "see the year")
        return done_ms

    def _judge(self, entry: Entry, old: Entry | None, about_ms: int | None) -> None:
        """An as-found failure says what it puts in question, and asks what was done about it."""
        data = entry.data
        assert isinstance(data, dict)
        if data["as_found_passed"] is not False:
            return
        if data["text"] is None:
            raise RecordError(
                f"the error as found is {data['as_found_error']:g} {data['unit']}, beyond {data['tolerance']:g}",
                "give a text that says what was done about it",
            )
        earlier = [other for other in self.comparisons(data["channel"]) if old is None or other.id != old.id]
        if about_ms is not None:
            earlier = [other for other in earlier if (self.when(other).utc_ms or 0) <= about_ms]
        data["review"] = review(earlier, data["channel"], about_ms, {e.id: self.when(e).utc_ms for e in earlier})

    def _check_moves(self, entry: Entry, old: Entry | None) -> None:
        """A lot record must fit those that hold: with it, the lot's way must still be one."""
        keys = {lot_key(entry.data)} | ({lot_key(old.data)} if old is not None else set())
        known = contradictions(self.moves(keys))
        for record, error in contradictions(self.moves(keys, entry)).items():
            # What was so before (a record whose beginning retention took) is no reason to refuse this one.
            if record not in known:
                raise error


def _mark(claim: ClockClaim, number: int) -> str:
    """Six hexadecimal digits that keep an id unique even where the count was lost with the journal."""
    return hashlib.sha256(claim.boot + f"{claim.boot_ms}/{number}".encode()).hexdigest()[:6]


def _day(utc_ms: int | None) -> date | None:
    return None if utc_ms is None else datetime.fromtimestamp(utc_ms / 1000, UTC).date()
