"""How far each output has got: kept in table ``handed`` after each delivery, and where a restart goes on."""

import json
from dataclasses import dataclass, field
from typing import Any, Self

from gateway.cluster.database import Database, Work

__all__ = ["Places"]


@dataclass(slots=True)
class Stand:
    """The next event of a gateway is after ``(seq, place)``, and ``told`` recipients have it already; ``scan`` is
    the next scan batch."""

    seq: int = -1
    place: int = -1
    told: int = 0
    scan: int = 0


@dataclass(slots=True)
class Places:
    """Of one output of one member, by id of the gateway; ``refused`` counts what the other side will never take."""

    output: str
    member: int
    gateways: dict[int, Stand] = field(default_factory=dict)
    refused: int = 0
    known: bool = False
    """Whether the output had a place before."""

    @classmethod
    async def load(cls, work: Work, output: str, member: int) -> Self:
        """As they were kept."""
        found = await work.fetch("SELECT place FROM handed WHERE output = $1 AND member = $2", output, member)
        if not found:
            return cls(output, member)
        kept: dict[str, Any] = json.loads(found[0][0])
        gateways = {int(gateway): Stand(*place) for gateway, place in kept["gateways"].items()}
        return cls(output, member, gateways, int(kept["refused"]), known=True)

    async def begin(self, work: Work, gateway: int, *, history: bool) -> Stand:
        """The place at a gateway; one that is new to an output that is not begins at its beginning."""
        stand = self.gateways.get(gateway)
        if stand is None:
            stand = Stand()
            if not (self.known or history):
                found = await work.fetch("SELECT event_next, scan_next FROM progress WHERE gateway = $1", gateway)
                if found:
                    stand = Stand(int(found[0][0]) - 1, 2**31, 0, int(found[0][1]))
            self.gateways[gateway] = stand
        return stand

    async def save(self, database: Database, now_ms: int) -> None:
        """Keep them."""
        content = {
            "gateways": {
                str(gateway): [stand.seq, stand.place, stand.told, stand.scan]
                for gateway, stand in self.gateways.items()
            },
            "refused": self.refused,
        }
        async with database.transaction() as work:
            await work.execute(
                "INSERT INTO handed (output, member, place, at_ms) VALUES ($1, $2, $3, $4) "
                "ON CONFLICT (output, member) DO UPDATE SET place = excluded.place, at_ms = excluded.at_ms",
                self.output,
                self.member,
                json.dumps(content, separators=(",", ":")),
                now_ms,
            )
        self.known = True
