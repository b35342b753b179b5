"""One output of one member at work: takes what is new for it, in order, delivers, and keeps how far it has got.

At least once: the place is kept after the delivery, so that what was delivered in the moment of a crash comes a
second time, with the same key. Nothing that an output does or suffers reaches beyond its lane: each has a task of
its own here, and its plugin a thread of its own.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from functools import partial
from random import Random
from typing import NamedTuple

from gateway import api
from gateway.cluster.database import Database, Row, Work
from gateway.cluster.derive import series
from gateway.cluster.derive.plain import END_MS
from gateway.cluster.handon.outputs import MemberOutput
from gateway.cluster.handon.places import Places, Stand
from gateway.errors import RecordError, SealError, StorageError
from gateway.model import ClockClaim, ClockState, Event
from gateway.notify.cell import Cell
from gateway.notify.facts import KINDS, Facts
from gateway.notify.words import dressed
from gateway.records import Archive, Reading
from gateway.seal.columns import layout_from_cbor
from gateway.site import Identity

__all__ = ["Lane"]

log = logging.getLogger(__name__)
PAGE = 200
SCANS = 20
FIRST_REST_S, LONGEST_REST_S = 5.0, 300.0


class Told(NamedTuple):
    """What became of a round: whether there is more, or how long to rest."""

    more: bool = False
    rest_s: float = 0.0


class Lane:
    """`run` never returns. ``utc_ms`` stamps, ``elapsed_s`` measures (the loop's clock where it is not given: a
    clock that is set must not give anything up), ``rest_s`` is the first rest on failing.
    """

    def __init__(
        self,
        database: Database,
        output: MemberOutput,
        *,
        utc_ms: Callable[[], int],
        random: Random,
        poll_s: float = 5.0,
        rest_s: float = FIRST_REST_S,
        elapsed_s: Callable[[], float] | None = None,
    ) -> None:
        self.output = output
        self.failures = 0
        """Failures in a row; 0 while all is well."""
        self.delivered = 0
        self._database = database
        self._utc_ms = utc_ms
        self._random = random
        self._poll_s = poll_s
        self._rest_s = rest_s
        self._places: Places | None = None
        self._elapsed_s = elapsed_s or asyncio.get_running_loop().time
        self._failing_since_s: float | None = None
        self._cell: Cell | None = None

    async def run(self) -> None:
        """Round after round."""
        try:
            while True:
                try:
                    told = await self.round()
                except StorageError as error:
                    told = self._failed(f"the store: {error}", 0.0)
                except Exception as error:  # noqa: BLE001 - a defect of one output must not end those of other members
                    told = self._failed(f"a defect: {error!r}", 0.0)
                if not told.more:
                    await asyncio.sleep(told.rest_s or self._poll_s)
        finally:
            if self._cell is not None:
                await self._cell.close()

    async def round(self) -> Told:
        """Deliver what is new at each gateway of the member, up to a page of each."""
        async with self._database.transaction(write=False) as work:
            gateways = [
                gateway
                for gateway in await series.gateways(work)
                if gateway.member_name == self.output.member
                and (not self.output.sites or gateway.site in self.output.sites)
            ]
            if not gateways:
                return Told()
            if self._places is None:
                self._places = await Places.load(work, self.output.spec.id, gateways[0].member)
            fresh = not self._places.known
            for gateway in gateways:
                await self._places.begin(work, gateway.id, history=self.output.history)
        if fresh:
            await self._places.save(self._database, self._utc_ms())
        more = False
        for gateway in gateways:
            stand = self._places.gateways[gateway.id]
            for part in (self._events, self._values):
                told = await part(gateway, stand)
                if told.rest_s:
                    return told
                more |= told.more
        return Told(more)

    # Alarms

    async def _events(self, gateway: series.Gateway, stand: Stand) -> Told:
        if not self.output.spec.sends:
            return Told()
        async with self._database.transaction(write=False) as work:
            rows = await work.fetch(
                "SELECT seq, place, boot, boot_ms, utc_ms, error_ms, kind, data FROM event WHERE gateway = $1 "
                "AND (seq > $2 OR (seq = $2 AND place > $3)) ORDER BY seq, place LIMIT $4",
                gateway.id,
                stand.seq,
                stand.place,
                PAGE,
            )
            names = {point.point: point.name for point in await series.points(work, gateway.member, gateway.id)}
        changed = False
        for row in rows:
            notice = self._notice(gateway, row, names)
            if notice is not None:
                told = await self._tell(notice, stand)
                if told.rest_s:
                    return told
                changed = True
            stand.seq, stand.place, stand.told = int(row[0]), int(row[1]), 0
            if notice is not None:
                await self._save()
        if rows and not changed:
            await self._save()
        return Told(len(rows) == PAGE)

    def _notice(self, gateway: series.Gateway, row: Row, names: Mapping[str, str]) -> api.Notice | None:
        """An event as a notice; None for one that this output is not told of, or that is no event of an alarm."""
        seq, place, boot, boot_ms, utc_ms, error_ms, kind, data = row
        transition = KINDS.get(kind, "")
        if transition not in self.output.transitions:
            return None
        state = ClockState.UNTRUSTED if utc_ms is None else ClockState.TRUSTED
        claim = ClockClaim(bytes(boot), int(boot_ms), utc_ms, error_ms, state)
        try:
            facts = Facts.of_event(Event(kind, int(boot_ms), json.loads(data)), claim)
            for moment in (facts.since_utc_ms, facts.raised_utc_ms):
                if moment is not None and not 0 <= moment < END_MS:
                    raise ValueError(moment)
        except (KeyError, TypeError, ValueError, OverflowError):
            log.warning("%s: event %s.%s of an alarm cannot be read, and is not told", gateway.client, seq, place)
            return None
        if facts.tier not in self.output.tiers:
            return None
        now_ms = self._utc_ms()
        late_s = 0.0 if utc_ms is None else (now_ms - utc_ms) / 1000
        return facts.notice(
            key=f"{gateway.client}:{seq}.{place}",
            transition=transition,
            name=names.get(facts.point, facts.point),
            late_s=round(late_s, 3) if late_s > self.output.spec.late_s else 0.0,
            sent_utc_ms=now_ms,
            member=gateway.member_name,
            site=gateway.site,
            gateway=gateway.name,
            language=self.output.spec.language,
        )

    async def _tell(self, notice: api.Notice, stand: Stand) -> Told:
        recipients = self.output.spec.to or ("",)
        for number, recipient in enumerate(recipients):
            if number < stand.told:
                continue
            one = dressed(_addressed(notice, recipient), UTC)
            told = await self._deliver(partial(_send, one), notice.key)
            if told.rest_s:
                return told
            stand.told = number + 1
            if number + 1 < len(recipients):
                await self._save()
        return Told()

    # Values

    async def _values(self, gateway: series.Gateway, stand: Stand) -> Told:
        if not self.output.spec.values:
            return Told()
        async with self._database.transaction(write=False) as work:
            bodies = await work.fetch(
                "SELECT b.seq, b.body FROM batch b JOIN progress p ON p.gateway = b.gateway "
                "WHERE b.gateway = $1 AND b.stream = 1 AND b.seq >= $2 AND b.seq < p.scan_next "
                "ORDER BY b.seq LIMIT $3",
                gateway.id,
                stand.scan,
                SCANS,
            )
            readings = await _readings(work, gateway, [bytes(body) for _, body in bodies if body is not None])
        if not bodies:
            return Told()
        if readings:
            told = await self._deliver(partial(_take, readings), f"values of {gateway.client}")
            if told.rest_s:
                return told
        stand.scan = int(bodies[-1][0]) + 1
        await self._save()
        return Told(len(bodies) == SCANS)

    # Delivery

    async def _deliver(self, work: Callable[[api.Output], Awaitable[None]], what: str) -> Told:
        """Have the output do it; what will never be taken, or was not for too long, is given up and counted."""
        assert self._places is not None
        if self._cell is None:
            self._cell = Cell(self.output.spec, Identity(member=self.output.member, site="", gateway=""))
        try:
            await self._cell.call(work)
        except api.OutputError as error:
            if error.retry and not self._too_long():
                return self._failed(str(error), error.after_s)
            self._places.refused += 1
            log.error("%s of %s gives up %s: %s", self.output.spec.id, self.output.member, what, error)
        else:
            self.delivered += 1
        if self.failures:
            log.info("%s of %s delivers again", self.output.spec.id, self.output.member)
        self.failures, self._failing_since_s = 0, None
        return Told()

    def _too_long(self) -> bool:
        since_s = self._failing_since_s
        return since_s is not None and self._elapsed_s() - since_s > self.output.spec.give_up_s

    def _failed(self, why: str, after_s: float) -> Told:
        if not self.failures:
            log.warning("%s of %s does not deliver: %s", self.output.spec.id, self.output.member, why)
            self._failing_since_s = self._elapsed_s()
        longest_s = min(self._rest_s * 2 ** min(self.failures, 10), LONGEST_REST_S)
        self.failures += 1
        return Told(rest_s=max(after_s, longest_s * (0.5 + self._random.random() / 2), 0.001))

    async def _save(self) -> None:
        assert self._places is not None
        await self._places.save(self._database, self._utc_ms())


async def _send(notice: api.Notice, output: api.Output) -> None:
    await output.send(notice)


async def _take(readings: Sequence[api.Reading], output: api.Output) -> None:
    await output.take(readings)


def _addressed(notice: api.Notice, recipient: str) -> api.Notice:
    """The notice for one recipient; its key differs from that of another's."""
    if not recipient:
        return notice
    mark = hashlib.sha256(recipient.encode()).hexdigest()[:8]
    return replace(notice, recipient=recipient, key=f"{notice.key}:{mark}")


async def _readings(work: Work, gateway: series.Gateway, bodies: list[bytes]) -> list[api.Reading]:
    """Scan batches as a plugin takes them, oldest first; the device is named with its gateway, as ``gw-1/room``."""
    layouts = await work.fetch("SELECT name, body FROM layout WHERE gateway = $1", gateway.id)
    boots = await work.fetch("SELECT boot, offset_ms, error_ms FROM boot WHERE gateway = $1", gateway.id)
    archive = Archive(
        layouts={bytes(name): layout_from_cbor(bytes(body)) for name, body in layouts},
        corrections={bytes(boot): (int(offset_ms), int(error_ms)) for boot, offset_ms, error_ms in boots},
    )
    points: dict[tuple[str, str], list[str]] = {}
    for point in await series.points(work, gateway.member, gateway.id):
        points.setdefault((point.device, point.channel), []).append(point.point)
    found: list[api.Reading] = []
    for body in bodies:
        try:
            readings = list(archive.readings([body]))
        except (SealError, RecordError, ValueError, OverflowError):
            continue  # the ledger counts what cannot be read
        found += _grouped(gateway.name, readings, points)
    return found


def _grouped(
    gateway: str, readings: list[Reading], points: Mapping[tuple[str, str], list[str]]
) -> list[api.Reading]:
    """Columns of one scan as one reading; only calibrated ones where there are both."""
    groups: dict[tuple[str, int], list[Reading]] = {}
    for reading in readings:
        groups.setdefault((reading.device, reading.slot), []).append(reading)
    found = []
    for (device, slot), parts in groups.items():
        first = parts[0]
        values = tuple(
            api.Value(
                part.channel, part.value, part.unit, part.decimals, part.quality.severity,
                part.quality.name.lower(), tuple(points.get((device, part.channel), ())),
            )
            for part in parts
            if part.channel and part.role == "value"
        )  # fmt: skip
        found.append(
            api.Reading(
                f"{gateway}/{device}",
                slot,
                first.slots,
                first.boot_ms,
                first.utc_ms,
                bool(first.channel),
                True,
                values,
            )
        )
    return found
