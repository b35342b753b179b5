"""The checks that a running gateway makes of its own box: once a minute, in a thread, beside the path."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Final

from gateway.doctor import board, storage, timing
from gateway.doctor.fact import Fact, good, sheltered
from gateway.doctor.machine import Machine
from gateway.model import ClockClaim
from gateway.site import Site

__all__ = ["Watch"]

log = logging.getLogger(__name__)

PERIOD_S: Final = 60.0
ELSEWHERE: Final = frozenset({"temperature", "power"})
"""The page shows them as the board's own line."""
LEVELS: Final = {"good": 0, "care": 1, "bad": 2}


class Watch:
    """``facts`` is what was found last; ``shown`` is what the status page has room for. ``site`` gives the one in
    force."""

    def __init__(self, site: Callable[[], Site], machine: Machine | None = None) -> None:
        self.facts: tuple[Fact, ...] = ()
        self._site = site
        self._machine = machine or Machine()
        self._grave: dict[str, str] = {}

    @property
    def shown(self) -> list[Fact]:
        """What asks for a person, or one line that nothing does; nothing before the first look."""
        asks = [fact for fact in self.facts if fact.state in {"bad", "care"} and fact.id not in ELSEWHERE]
        # Only what was seen to be well is said to be well.
        well = dict.fromkeys(fact.name for fact in self.facts if fact.state == "good")
        if asks or not well:
            return asks
        return [good("box", "Box", f"as it should be: {', '.join(well)}")]

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
        site, machine = self._site(), self._machine
        facts = sheltered("board", lambda: board.standing(machine))
        facts += sheltered("storage", lambda: storage.standing(site, machine))
        facts += sheltered("rtc", lambda: timing.hardware_clock(machine, claim))
        if site.cluster is not None or any(bus.certificate for bus in site.buses):
            facts += self._certificates(claim)
        self._tell(facts)
        self.facts = tuple(facts)

    def _certificates(self, claim: ClockClaim) -> list[Fact]:
        from gateway.doctor import uplink

        cluster, buses = self._site().cluster, self._site().buses
        facts = sheltered("bus-certificate", lambda: uplink.bus_certificates(buses, claim.utc_ms))
        if cluster is not None:
            facts += sheltered("certificate", lambda: uplink.certificates(cluster, claim.utc_ms))
        return facts

    def _tell(self, facts: list[Fact]) -> None:
        """One line when something becomes bad, one when it is over."""
        grave = {fact.id: fact.words for fact in facts if fact.state == "bad"}
        for check, words in grave.items():
            if check not in self._grave:
                log.error("%s: %s", check, words)
        for check in self._grave.keys() - grave.keys():
            log.info("%s: is over", check)
        self._grave = grave
