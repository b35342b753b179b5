"""Taking another site over while the gateway runs: buses that are not touched do not notice.

Buses that change are halted, with all their slots up to then on record. The journal closes the open batch by the
old layout and goes on by the new one; between the last record of the one and the first of the other, without a
pause, the devices move to their new places in everything that knows them by number. Then the new buses begin where
the record of each device ends. Until that moment all can be taken back, and is when something fails.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gateway.acquire.poller import device_layout
from gateway.acquire.station import Acquire, models_of
from gateway.buffer.slots import index_moves
from gateway.change.plan import ChangeError, Plan, plan_of
from gateway.model import Layout, Scan
from gateway.site import Site

if TYPE_CHECKING:
    from gateway.app import Gateway

__all__ = ["take_over"]

log = logging.getLogger(__name__)

NUMBERED = ("rules", "outputs")
"""Feeds of judged records that know devices by their number: they take none until they go by the new layout."""


async def take_over(gateway: "Gateway", site: Site, *, person: str | None, reason: str | None) -> Plan:
    """Have a gateway go by another checked site; returns what that meant.

    Raises `ChangeError` for what cannot be changed while it runs, and whatever prevented the change: then the
    gateway goes on by its old site.
    """
    async with gateway.turning.lock:
        if gateway.turning.ended:
            raise ChangeError("the gateway is stopping", "start it: it reads the file then")
        models = await asyncio.to_thread(models_of, site)
        layout = Layout(tuple(device_layout(device, models[device.model]) for device in site.devices))
        plan = plan_of(gateway.site, site, gateway.layout, layout)
        if plan.refused:
            raise ChangeError("; ".join(why for why, _ in plan.refused), plan.refused[0][1])
        turn = _Turn(gateway, site, layout, plan, _why(person, reason))
        acquire = gateway.acquire
        if plan.stored or plan.halted or plan.fresh:
            turn.fresh = Acquire(
                site, models, gateway.assess, gateway.clock.now_ms, only=plan.fresh, beside=acquire
            )
            try:
                await acquire.halt(plan.halted)
                await gateway.journal.relayout(layout, site.buffer, turn.switch)
            except BaseException:
                if not turn.broken:
                    acquire.go_on()
                raise
        else:
            turn.switch({})
        gateway.models = models
        await _stations(gateway, plan, person, reason)
        log.info("the gateway runs by another site file, %s", " ".join(turn.why.split()))
    return plan


class _Turn:
    """One change of a gateway from its site to another."""

    def __init__(self, gateway: "Gateway", site: Site, layout: Layout, plan: Plan, why: str) -> None:
        self.fresh: Acquire | None = None
        """The buses that begin."""
        self.broken = False
        self.why = why
        self._gateway = gateway
        self._site = site
        self._layout = layout
        self._plan = plan

    def switch(self, newest: Mapping[str, int]) -> None:
        """The moment itself; ``newest`` is the newest slot on record by device."""
        gateway, site, layout = self._gateway, self._site, self._layout
        if self._plan.judged:
            # Raises before it has changed anything; nothing after it is expected to raise.
            kept = gateway.assess.reconfigure(site, layout, gateway.clock.claim(), self.why)
            for name, body in kept.items():
                gateway.journal.keep(name, body)
        if layout != gateway.layout:
            for name in NUMBERED:
                gateway.beside.feed(name, None)
        try:
            latest: list[Scan | None] = [None] * len(site.devices)
            for before, after in index_moves(gateway.layout, layout).items():
                latest[after] = gateway.latest[before]
            gateway.latest = latest
            gateway.site, gateway.layout = site, layout
            if self.fresh is not None:
                gateway.acquire.take_over(self.fresh, [device.id for device in site.devices], newest)
        except BaseException as error:
            self.broken = True
            gateway.acquire.abandon()
            gateway.turning.fail(error)
            raise


async def _stations(gateway: "Gateway", plan: Plan, person: str | None, reason: str | None) -> None:
    """What people meet goes by the new site; what fails there is begun anew by it, as ever."""
    people = gateway.people
    gateway.started_by = {"person": person, "reason": reason}
    if people is not None and people.ready:
        try:
            await people.adopt(gateway.site, gateway.layout, outputs=plan.outputs, person=person, reason=reason)
        except Exception:
            log.exception("people could not go over to the changed site file; they begin anew by it")
            gateway.beside.renewal.renew("people")
    else:
        gateway.beside.renewal.renew("people")
    if plan.rules:
        gateway.beside.renewal.renew("rules")
    if plan.vitals:
        gateway.beside.renewal.renew("vitals")
    if plan.uplink:
        gateway.beside.renewal.renew("uplink")
    if plan.web:
        gateway.beside.renewal.renew("web")


def _why(person: str | None, reason: str | None) -> str:
    return f"changed by {person or 'somebody not named'}{f': {reason}' if reason else ''}"
