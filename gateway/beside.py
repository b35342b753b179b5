"""What runs beside the path: uplink, page, people, outputs, rules, the look at the box.

Each is loaded after the first scan is stored, supervised, and begun anew when it ends of a defect; the path does
not notice.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.errors import AuroraError
from gateway.model import Event
from gateway.renewal import Renewal

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.seal.keys import FileSigner

__all__ = ["Beside"]

log = logging.getLogger(__name__)

RESTART_S = 1.0
LONGEST_RESTART_S = 30.0
"""A station that ends at once is started again after one second, then two, up to this, and the same reason is said
once; a longer life begins both anew."""
WITNESS = "witness"
"""Under this name the journal keeps what the witness of the cluster's log has seen."""
GIVE_BACK_S = 10.0
"""When everything is loaded and has run for a while."""


class Beside:
    """The stations of one gateway that are not the path. What others ask of them stands in the gateway's fields."""

    def __init__(self, gateway: "Gateway") -> None:
        self.renewal = Renewal()
        self._gateway = gateway
        self._witnessed: bytes | None = None

    async def run(self) -> None:
        """All of them, until cancelled. One that the site has no use for waits for a site that has."""
        stations = {
            "people": self._meet,
            "uplink": self._deliver,
            "web": self._serve,
            "rules": self._rule,
            "vitals": self._feel,
            "doctor": self._examine,
        }
        async with asyncio.TaskGroup() as group:
            group.create_task(_give_back(), name="give back")
            for name, station in stations.items():
                group.create_task(self.keep(name, station), name=name)

    async def keep(self, name: str, station: Callable[[], Awaitable[None]]) -> None:
        """Run a station for ever: one that ends of a defect is counted, named and begun again."""
        loop, counters = asyncio.get_running_loop(), self._gateway.counters
        pause_s, told = RESTART_S, ""
        while True:
            began = loop.time()
            try:
                try:
                    await self.renewal.run(name, station)
                finally:
                    if loop.time() - began > LONGEST_RESTART_S:
                        pause_s, told = RESTART_S, ""
            except AuroraError as error:
                why = str(error)
                if why != told:
                    log.error("%s: %s", name, why)
            except Exception as error:
                why = repr(error)
                if why != told:
                    log.exception("%s stopped", name)
            else:
                why = "ended"
            told = why
            counters.restarts[name] = counters.restarts.get(name, 0) + 1
            counters.last_restart = f"{name}: {why}"
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_RESTART_S)

    async def _deliver(self) -> None:
        gateway = self._gateway
        gateway.uplink = None
        if gateway.site.cluster is None:
            await _never()
            return
        from gateway.credentials import with_credentials
        from gateway.identity import open_identity
        from gateway.recertify import Recertifier
        from gateway.seal.cose import PublicKey
        from gateway.sync.uplink import Uplink
        from gateway.sync.witness import Witness

        settings = with_credentials(gateway.site.cluster)
        try:
            key = PublicKey.from_pem(settings.receipt_key.read_bytes())
        except OSError as error:
            raise AuroraError(f"{settings.receipt_key} cannot be read ({error.strerror})") from error

        async def record(event: Event) -> None:
            gateway.record(event)
            if event.kind == "checkpoint.refused":
                self.alarm_rewritten(event)

        def keep(memory: bytes) -> None:
            # The journal's own copy is that of the start; the uplink may begin anew before the next one.
            self._witnessed = memory
            gateway.journal.keep(WITNESS, memory)

        def signer() -> "FileSigner":
            # Seldom, and read anew: the key may have been changed.
            return open_identity(gateway.site).signer

        common: dict[str, Any] = {"clock": gateway.clock.claim, "on_event": record}
        recall = self._witnessed or gateway.journal.kept().get(WITNESS)
        identity, journal = gateway.site.identity, gateway.journal
        witness = Witness(identity, signer, journal, key, recall=recall, keep=keep, **common)
        certifier = Recertifier(gateway.site, signer, key.thumbprint, utc_ms=lambda: gateway.clock.claim().utc_ms)
        gateway.uplink = Uplink(settings, identity, journal, key, witness=witness, certifier=certifier, **common)
        await gateway.uplink.run()

    def alarm_rewritten(self, event: Event) -> None:
        """Raise that history was rewritten. It is over at once: what remains is that somebody must take note."""
        from gateway.assess.upkeep import history_rewritten

        for active in (True, False):
            condition = history_rewritten(event.at_ms, str(event.data["words"]), active=active)
            self._gateway.assess.condition(condition, WITNESS)

    async def _meet(self) -> None:
        from gateway.acquire.orders import DeviceOrders
        from gateway.onsite import Onsite
        from gateway.people import People

        gateway = self._gateway
        stated = await gateway.turning.stated(**gateway.started_by)
        if gateway.turning.ended:
            await _never()
        onsite = Onsite(gateway)
        devices = DeviceOrders(
            lambda: gateway.acquire.workers, store=gateway.journal.put_event, now_ms=gateway.clock.now_ms
        )
        gateway.device_orders = devices
        gateway.people = People(
            gateway.site,
            gateway.assess,
            gateway.journal,
            layout=gateway.layout,
            clock=gateway.clock.claim,
            event=gateway.record,
            orders={"device.write": devices.write, **onsite.handlers(), **gateway.turning.orders()},
            rules=lambda: {} if gateway.rulebook is None else gateway.rulebook.listing(),
            feed=partial(self.feed, "outputs"),
            **stated,
        )
        gateway.people.admit(lambda: gateway.register)
        try:
            await gateway.people.run()
        finally:
            await onsite.close()

    async def _serve(self) -> None:
        gateway = self._gateway
        gateway.page_address = None
        spec = gateway.site.web
        if spec is None:
            await _never()
            return
        from gateway.access import Door
        from gateway.access.register import Register
        from gateway.web.place import Place, own_names

        if gateway.register is None:
            boot, now_ms = gateway.clock.boot.hex(), gateway.clock.now_ms
            gateway.register = Register(Door(gateway.site.data_dir, boot=boot, now_ms=now_ms, event=gateway.record))
        tls: tuple[Path, Path] | None = None
        if spec.tls == "self":
            from gateway.access.certificate import own_certificate

            tls = own_certificate(gateway.site.data_dir, own_names() | set(spec.names))
        elif spec.certificate is not None and spec.key is not None:
            tls = (spec.certificate, spec.key)
        place = Place(spec.host, spec.port, tls)
        with closing(place.bind()) as listener:
            gateway.page_address = place.url
            log.info("status page on %s", place.url)
            # A page that nobody opens costs nothing; in a thread, because a Raspberry Pi loads it for seconds.
            await place.visited(listener)
            reception = await asyncio.to_thread(import_module, "gateway.reception")
            giving_back = asyncio.create_task(_give_back())
            try:
                await reception.page_of(gateway, place, gateway.register).run(listener)
            finally:
                giving_back.cancel()

    async def _rule(self) -> None:
        gateway = self._gateway
        self.feed("rules", None)
        gateway.rulebook = None
        if not gateway.site.rules:
            await _never()
            return
        from gateway.rulebook import Rulebook

        gateway.rulebook = Rulebook(gateway.site, gateway.layout, gateway.assess, gateway.clock.claim)
        self.feed("rules", gateway.rulebook.put)
        await gateway.rulebook.run()

    async def _feel(self) -> None:
        from gateway.operations.vitals import Vitals

        gateway = self._gateway
        endurance = gateway.site.buffer.card_endurance_bytes
        gateway.vitals = Vitals(gateway.site.data_dir, gateway.clock.boot.hex(), endurance_bytes=endurance)
        await gateway.vitals.run()

    async def _examine(self) -> None:
        from gateway.doctor.watch import Watch

        self._gateway.box = Watch(lambda: self._gateway.site)
        await self._gateway.box.run(self._gateway.clock.claim)

    def feed(self, name: str, taker: Any) -> None:
        """From now on ``taker`` is given every judged record beside the journal; None: nobody under this name."""
        if taker is None:
            self._gateway.feeds.pop(name, None)
        else:
            self._gateway.feeds[name] = taker


async def _never() -> None:
    await asyncio.get_running_loop().create_future()


async def _give_back() -> None:
    """Return to the system what the start has used and no longer needs; only glibc keeps it."""
    await asyncio.sleep(GIVE_BACK_S)
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        await asyncio.to_thread(trim, 0)
