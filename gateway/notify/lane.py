"""One output at work: a task that takes what is due for it, sends it, and keeps what was not sent.

Nothing that an output does or suffers reaches beyond its lane. The most urgent goes first. When the other side is
away, the lane rests for ever longer times, up to two minutes, and nothing is lost.
"""

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any

from gateway.api import Output, OutputError, Standing
from gateway.model import Event
from gateway.notify.cell import Cell
from gateway.notify.limit import Limit
from gateway.notify.reach import Reach
from gateway.notify.stats import OutputStats
from gateway.notify.store import Row, Store
from gateway.notify.writer import Office, Writer, age_s, elapsed_s, masked
from gateway.site import OutputSpec

__all__ = ["Lane"]

log = logging.getLogger(__name__)
SETTLE_S = 1.5
LONGEST_REST_S = 120.0
FIRST_PROBE_S = 30.0
TURN_TRIES = 3
DIGEST_MOST = 500


class Lane:
    """The work of one output; `run` never returns."""

    def __init__(self, spec: OutputSpec, cell: Cell, office: Office) -> None:
        self.spec = spec
        self.cell = cell
        self.reach = Reach()
        self.stats = OutputStats(spec.type, faults=cell.faults)
        self._office = office
        self._writer = Writer(spec, office)
        self.rounds = 0
        """How often it has looked around."""
        self._delivery: asyncio.Future[None] | None = None
        self._wake = asyncio.Event()
        self._follow_now = True
        self._follow_due_s = 0.0
        self._rest_until_s = 0.0
        self._rests = 0
        self._limits: dict[tuple[str, bool], Limit] = {}
        self._probed_s = _now_s() - max(0.0, office.probe_s - FIRST_PROBE_S)
        self._probes = True

    def wake(self) -> None:
        """Something may be due."""
        self._follow_now = True
        self._wake.set()

    async def run(self) -> None:
        """Round after round, each when something is due."""
        while True:
            self._wake.clear()
            wait_s = await self._round()
            self.rounds += 1
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def settle(self) -> None:
        """After a stop: let a notice that is on its way arrive, for a moment."""
        if self._delivery is not None and not self._delivery.done():
            await asyncio.wait([self._delivery], timeout=SETTLE_S)
            self._delivery.cancel()

    async def _round(self) -> float:
        """Do what is due; returns the seconds until something may be, unless the lane is woken."""
        wait_s = self._office.idle_s
        if self.spec.follows:
            wait_s = min(wait_s, await self._follow())
        if self.spec.sends:
            next_ms = await self._office.db(self._office.desk.release, self.spec.id, self._office.clock())
            if next_ms is not None:
                wait_s = min(wait_s, max(0.0, (next_ms - self._office.clock().boot_ms) / 1000))
            wait_s = min(wait_s, await self._send_due())
            wait_s = min(wait_s, await self._sign_of_life())
        await self._probe()
        await self._count()
        return max(0.01, wait_s)

    # What stands

    async def _follow(self) -> float:
        """Show what stands, where it has changed, or was not looked at for a while."""
        now_s = _now_s()
        if not (self._follow_now and now_s >= self._rest_until_s) and now_s < self._follow_due_s:
            return self._follow_due_s - now_s
        self._follow_now = False
        claim = self._office.clock()
        speaking, active, over, next_ms = await self._office.db(self._office.desk.standing, self.spec.id, claim)
        standing = Standing(
            *(tuple(self._writer.of_standing(facts, claim) for facts in part) for part in (speaking, active, over))
        )
        try:
            await self.cell.call(lambda output: output.follow(standing))
        except OutputError as error:
            self.failed(error)
            wait_s = self._rest(error)
        else:
            self.succeeded()
            wait_s = self._office.idle_s
            if next_ms is not None:
                wait_s = min(wait_s, max(0.0, (next_ms - claim.boot_ms) / 1000))
        self._follow_due_s = _now_s() + wait_s
        return wait_s

    # Notices

    async def _send_due(self) -> float:
        """Send until nothing is due, the limit is reached, or the output fails."""
        while True:
            now_s = _now_s()
            if now_s < self._rest_until_s:
                return self._rest_until_s - now_s
            rows = await self._due()
            wait_s = self._office.idle_s
            batch: Sequence[Row] = ()
            for recipient in dict.fromkeys(row.recipient for row in rows):
                batch, limit_s = self._choose([row for row in rows if row.recipient == recipient])
                if batch:
                    break
                wait_s = min(wait_s, limit_s)
            if not batch:
                next_ms = await self._office.db(Store.next_due, self.spec.id, self._boot_ms())
                return wait_s if next_ms is None else min(wait_s, max(0, next_ms - self._boot_ms()) / 1000)
            # A stop must not come between the other side's confirmation and the note of it.
            self._delivery = asyncio.ensure_future(self._deliver(batch))
            await asyncio.shield(self._delivery)

    def _boot_ms(self) -> int:
        return self._office.clock().boot_ms

    async def _due(self) -> list[Row]:
        """What waits, without what is too old to be of use, which is given up and put on record."""
        claim = self._office.clock()
        most = DIGEST_MOST if self.spec.digests else 1
        rows: list[Row] = await self._office.db(Store.due, self.spec.id, claim.boot_ms, most)
        old = [row for row in rows if age_s(row, claim) > self.spec.give_up_s]
        if old:
            await self._give_up(old, f"not delivered within {self.spec.give_up_s / 3600:g} h", "")
        return [row for row in rows if row not in old]

    def _choose(self, rows: Sequence[Row]) -> tuple[Sequence[Row], float]:
        """What to send one recipient now: the most urgent alone, or with the last free place all of them together.

        Else nothing, and the seconds until there is a place. Critical ones have places of their own.
        """
        if not self.spec.digests:
            return rows[:1], 0.0
        limit, now_s = self._limit(rows[0]), _now_s()
        left = limit.left(now_s)
        if not left:
            return (), limit.wait_s(now_s)
        return (rows[:1] if left > 1 else rows[:DIGEST_MOST]), 0.0

    def _limit(self, row: Row) -> Limit:
        return self._limits.setdefault((row.recipient, row.rank == 0), Limit(self.spec.limit, self.spec.per_s))

    async def _deliver(self, batch: Sequence[Row]) -> None:
        """Send one notice for these rows, and put on record what became of it."""
        head, claim = batch[0], self._office.clock()
        notice = self._writer.of_row(head, claim, [self._writer.of_row(row, claim) for row in batch[1:]])
        try:
            await self.cell.call(lambda output: output.send(notice))
        except OutputError as error:
            self.failed(error)
            await self._put_off(batch, error)
            return
        self.succeeded()
        self._limit(head).take(_now_s())
        await self._office.db(_end, [row.id for row in batch], "sent", "")
        self.stats.sent += len(batch)
        self.stats.digests += len(batch) > 1
        for row in batch:
            self._tell("notify.sent", row, late_s=round(age_s(row, claim), 3), together=len(batch))

    async def _put_off(self, batch: Sequence[Row], error: OutputError) -> None:
        head = batch[0]
        if not error.retry:
            await self._give_up(batch if error.recipient else batch[:1], error.what, error.remedy)
            return
        if not head.tries:
            self._tell("notify.failed", head, final=False, what=error.what, remedy=error.remedy)
        ids = [row.id for row in batch] if error.recipient else [head.id]
        if error.recipient:
            rest_s = max(error.after_s, self._rest_s(head.tries))
        else:
            # Perhaps it is this notice that the output cannot stand: others get their turn before it does again.
            rest_s = self._rest(error) * (2 if head.tries >= TURN_TRIES else 0)
        due_ms = self._boot_ms() + round(rest_s * 1000)
        await self._office.db(_postpone, ids, due_ms, error.what)

    async def _give_up(self, rows: Sequence[Row], what: str, remedy: str) -> None:
        await self._office.db(_end, [row.id for row in rows], "failed", what)
        self.stats.given_up += len(rows)
        for row in rows:
            self.refused(row, what, remedy)

    def refused(self, row: Row, what: str, remedy: str) -> None:
        """Put on record that a notice will not be delivered."""
        self._tell("notify.failed", row, final=True, what=what, remedy=remedy)

    def _tell(self, kind: str, row: Row, **more: Any) -> None:
        data = {
            "output": self.spec.id,
            "recipient": masked(row.recipient),
            "alarm": row.alarm,
            "occurrence": row.facts.occurrence,
            "transition": row.transition,
            "tries": row.tries + 1,
            "key": self._writer.key(row.key),
            **more,
        }
        self._office.event(Event(kind, self._boot_ms(), data))

    # Signs of life

    async def test(self, recipients: Sequence[str], person: str) -> list[str]:
        """Send a test notice now, past the queue. Returns to whom; raises `OutputError`."""
        told = []
        for recipient in recipients or self.spec.to or ("",):
            notice = self._writer.bare("test", recipient, self._office.clock())
            failure: OutputError | None = None
            try:
                await self.cell.call(lambda output, notice=notice: output.send(notice))  # type: ignore[misc]
            except OutputError as error:
                failure = error
            data = {
                "output": self.spec.id,
                "recipient": masked(recipient),
                "person": person,
                "ok": failure is None,
                "what": failure.what if failure is not None else "",
            }
            self._office.event(Event("notify.test", self._boot_ms(), data))
            if failure is not None:
                self.failed(failure)
                self.wake()
                raise failure
            self.succeeded()
            told.append(recipient)
        self.wake()
        return told

    async def _sign_of_life(self) -> float:
        """Say regularly that the gateway is there; the other side notices when it is not."""
        if self.spec.alive_s is None:
            return self._office.idle_s
        claim, name = self._office.clock(), f"alive/{self.spec.id}"
        left_s = self.spec.alive_s - elapsed_s(await self._office.db(Store.get, name), claim, self.spec.alive_s)
        if left_s > 0 or _now_s() < self._rest_until_s:
            return max(left_s, self._rest_until_s - _now_s())
        for recipient in self.spec.to or ("",):
            notice = self._writer.bare("alive", recipient, claim)
            try:
                await self.cell.call(lambda output, notice=notice: output.send(notice))  # type: ignore[misc]
            except OutputError as error:
                self.failed(error)
                return self._rest(error)
            self.succeeded()
        moment = json.dumps([claim.boot.hex(), claim.boot_ms, claim.utc_ms])
        await self._office.db(_set, name, moment)
        return self.spec.alive_s

    async def _probe(self) -> None:
        """Where nothing was sent for a while, find out whether it could be."""
        now_s = _now_s()
        quiet_s = LONGEST_REST_S if self.reach.failing else self._office.probe_s
        if not self._probes or now_s < self._rest_until_s or now_s - max(self._probed_s, self.reach.at_s) < quiet_s:
            return
        self._probed_s = now_s

        async def probe(output: Output) -> None:
            if type(output).test is Output.test:
                self._probes = False
            else:
                await output.test()

        try:
            await self.cell.call(probe)
        except OutputError as error:
            self.failed(error)
            self._rest(error)
        else:
            if self._probes:
                self.succeeded()

    # How it goes

    def succeeded(self) -> None:
        """An attempt succeeded."""
        if self.reach.failing:
            log.info("output %s works again", self.spec.id)
        self.reach.ok(_now_s())
        self._rests, self._rest_until_s = 0, 0.0
        self.stats.failing, self.stats.last_sent_ms = False, self._boot_ms()

    def failed(self, error: OutputError) -> None:
        """An attempt failed: said once, until one succeeds."""
        if not self.reach.failing:
            log.warning("output %s: %s", self.spec.id, error)
        self.reach.fail(_now_s())
        self.stats.failures += 1
        self.stats.failing, self.stats.last_error = True, str(error)

    def _rest(self, error: OutputError) -> float:
        """Leave the output alone for a while; each time in a row for longer."""
        rest_s = max(error.after_s, self._rest_s(self._rests))
        self._rests += 1
        self._rest_until_s = _now_s() + rest_s
        return rest_s

    def _rest_s(self, tries: int) -> float:
        longest_s = min(LONGEST_REST_S, self._office.rest_s * 2.0 ** min(tries, 20))
        return longest_s * self._office.random.uniform(0.5, 1.0)

    async def _count(self) -> None:
        claim = self._office.clock()
        totals = await self._office.db(Store.totals, self.spec.id, claim.boot)
        self.stats.held, self.stats.queued = totals.held, totals.waiting
        self.stats.oldest_s = 0.0 if totals.oldest_ms is None else (claim.boot_ms - totals.oldest_ms) / 1000


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _end(store: Store, ids: Sequence[int], state: str, error: str) -> None:
    with store.change():
        store.mark(ids, state, error)


def _postpone(store: Store, ids: Sequence[int], due_ms: int, error: str) -> None:
    with store.change():
        store.postpone(ids, due_ms, error=error, tried=True)


def _set(store: Store, name: str, value: str) -> None:
    with store.change():
        store.set(name, value)
