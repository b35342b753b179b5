"""The checks that a running gateway makes of its own box: once a minute, in a thread, beside the path."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Final

from gateway.doctor import board, storage, timing
from gateway.doctor.fact import Fact, good, sheltered
from gateway.doctor.machine import Machine
from gateway.doctor.wear import Wear, read_wear, save_wear, seen
from gateway.model import ClockClaim
from gateway.site import Site

__all__ = ["Watch"]

log = logging.getLogger(__name__)

PERIOD_S: Final = 60.0
LEVELS: Final = {"good": 0, "care": 1, "bad": 2}
SAVE_MS: Final = 3_600_000
"""What the card was written is kept once an hour: the count itself must not wear the card."""


class Watch:
    """``facts`` is what was found last; ``shown`` is what the status page has room for."""

    def __init__(self, site: Site, machine: Machine | None = None) -> None:
        self.facts: tuple[Fact, ...] = ()
        self._site = site
        self._machine = machine or Machine()
        self._wear: Wear | None = None
        self._saved_ms = -SAVE_MS
        self._grave: dict[str, str] = {}

    @property
    def shown(self) -> list[Fact]:
        """What asks for a person, or one line that nothing does; nothing before the first look."""
        if not self.facts:
            return []
        asks = [fact for fact in self.facts if fact.state in {"bad", "care"}]
        return asks or [
            good("box", "Box", "temperature, power, memory, disk and certificates are as they should be")
        ]

    def levels(self) -> Iterator[tuple[str, int]]:
        """Check and 0 (good), 1 (care) or 2 (bad), each check once; what is unknown is left out."""
        found: dict[str, int] = {}
        for fact in self.facts:
            if fact.state in LEVELS:
                found[fact.id] = max(found.get(fact.id, 0), LEVELS[fact.state])
        yield from sorted(found.items())

    async def run(self, claim: Callable[[], ClockClaim]) -> None:
        """Look now and then, until cancelled."""
        while True:
            await asyncio.to_thread(self.look, claim())
            await asyncio.sleep(PERIOD_S)

    def look(self, claim: ClockClaim) -> None:
        """Make all checks; reads files, so it belongs in a thread."""
        site, machine = self._site, self._machine
        self._count(claim)
        facts = sheltered("board", lambda: board.standing(machine))
        facts += sheltered("storage", lambda: storage.standing(site, machine))
        facts += sheltered("rtc", lambda: timing.hardware_clock(machine, claim))
        if site.cluster is not None:
            facts += self._certificates(claim)
        self._tell(facts)
        self.facts = tuple(facts)

    def _certificates(self, claim: ClockClaim) -> list[Fact]:
        from gateway.doctor import uplink

        cluster = self._site.cluster
        assert cluster is not None
        return sheltered("certificate", lambda: uplink.certificates(cluster, claim.utc_ms))

    def _count(self, claim: ClockClaim) -> None:
        """Add up what the card was written."""
        mount = self._machine.mount_of(self._site.data_dir)
        card = self._machine.card(mount) if mount is not None else None
        if card is None or card.written is None or card.kind != "SD":
            return
        before = self._wear or read_wear(self._site.data_dir)
        self._wear = seen(before, cid=card.cid, boot=claim.boot.hex(), counter=card.written, boot_ms=claim.boot_ms)
        if claim.boot_ms - self._saved_ms >= SAVE_MS:
            self._saved_ms = claim.boot_ms
            try:
                save_wear(self._site.data_dir, self._wear)
            except OSError as error:
                log.debug("the card's wear cannot be kept (%s)", error.strerror)

    def _tell(self, facts: list[Fact]) -> None:
        """One line when something becomes bad, one when it is over."""
        grave = {fact.id: fact.words for fact in facts if fact.state == "bad"}
        for check, words in grave.items():
            if check not in self._grave:
                log.error("%s: %s", check, words)
        for check in self._grave.keys() - grave.keys():
            log.info("%s: is over", check)
        self._grave = grave
