"""The notary: makes the day's checkpoint, offers it to every gateway as a witness, collects what they say.

Its own MQTT client, because a receiver has other things to do: ``aurora-notary``. An offer is a retained message on
the gateway's own topic, so that a gateway which comes back after a month finds the newest one. Two notaries beside
each other do no harm: they would say the same.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from random import Random

from gateway.cluster.database import Database, Work
from gateway.cluster.proof.cosigned import collect
from gateway.cluster.proof.log import Stored, consistency, daily, inclusion, name_of, newest, stream_name
from gateway.errors import AuroraError
from gateway.mqtt import Backoff, Endpoint, LinkError, connect
from gateway.seal.checkpoint import StreamHead
from gateway.seal.cose import MessageSigner
from gateway.seal.offer import Offer, Proven, write_offer
from gateway.seal.witness import Request, write_request

__all__ = ["Notary", "offers"]

log = logging.getLogger(__name__)

TOPICS = "aurora/v1"
EVERY_S = 60.0
"""How often it is looked whether a gateway has answered, or a new day has begun."""
AT_ONCE = 200

_WAITING = f"""
SELECT gateway.id, gateway.client, member.name, gateway.site, gateway.name, coalesce(heard.size, 0)
FROM gateway JOIN member ON member.id = gateway.member LEFT JOIN heard ON heard.gateway = gateway.id
WHERE gateway.revoked_ms IS NULL AND gateway.id > $1 AND coalesce(heard.size, 0) < $2
ORDER BY gateway.id LIMIT {AT_ONCE}"""  # a number of our own
_HEADS = """
SELECT stream, size, root, place FROM log_leaf WHERE gateway = $1 AND stream = $2 AND place < $3
ORDER BY size DESC LIMIT 1"""


class Notary:
    """`run` never returns and never gives up. ``origin`` names the log, ``utc_ms`` is Unix milliseconds."""

    def __init__(
        self,
        endpoint: Endpoint,
        database: Database,
        signer: MessageSigner,
        *,
        origin: str,
        utc_ms: Callable[[], int],
        every_s: float = EVERY_S,
        random: Random | None = None,
    ) -> None:
        self.connected = False
        self.published = 0
        self.collected = 0
        self._endpoint = endpoint
        self._database = database
        self._signer = signer
        self._origin = origin
        self._utc_ms = utc_ms
        self._every_s = every_s
        self._backoff = Backoff(random or Random(), 0.5, 30.0)  # noqa: S311  # jitter, not a secret

    async def run(self) -> None:
        """Connect, offer, collect; begin again when the connection ends; until cancelled."""
        told = ""
        while True:
            try:
                await self._session()
            except AuroraError as error:
                self.connected = False
                if str(error) != told:
                    told = str(error)
                    log.warning("notary: %s", error)
            await asyncio.sleep(self._backoff.next())

    async def _session(self) -> None:
        """One connection. What was offered on it is remembered, so that nothing is said twice."""
        said: dict[str, tuple[int, int]] = {}
        async with connect(self._endpoint) as link:
            self.connected = True
            while True:
                await daily(self._database, self._signer, self._utc_ms(), origin=self._origin)
                self.collected += await collect(self._database)
                async for client, begins, size, payload in offers(self._database, said):
                    link.send(f"{TOPICS}/{client}/checkpoint", payload, retain=True)
                    said[client] = begins, size
                    self.published += 1
                self._backoff.reset()
                try:
                    async with asyncio.timeout(self._every_s):
                        # Nothing is subscribed: this waits for the end of the connection.
                        await link.receive(1)
                except TimeoutError:
                    continue
                raise LinkError("the broker sent what nobody asked for")


async def offers(
    database: Database, said: Mapping[str, tuple[int, int]] | None = None
) -> AsyncIterator[tuple[str, int, int, bytes]]:
    """Client, size that the proof begins at, size of the checkpoint, and payload for each gateway behind it.

    Not again for those to which the same was ``said``.
    """
    known = {} if said is None else said
    last = 0
    while True:
        found: list[tuple[str, int, int, bytes]] = []
        async with database.transaction(write=False) as work:
            stored = await newest(work)
            waiting = [] if stored is None else await work.fetch(_WAITING, last, stored.size)
            if stored is None or not waiting:
                return
            proofs: dict[int, bytes] = {}
            for gateway, client, member, site, name, size in waiting:
                last, begins = int(gateway), int(size)
                if known.get(client) == (begins, stored.size):
                    continue
                if begins not in proofs:
                    path = await consistency(work, begins, stored.size)
                    proofs[begins] = write_request(Request(begins, tuple(path), stored.note.encode()))
                heads = await _heads(work, last, (member, site, name), stored)
                found.append((client, begins, stored.size, write_offer(Offer(proofs[begins], heads))))
        for one in found:
            yield one


async def _heads(work: Work, gateway: int, names: tuple[str, str, str], stored: Stored) -> tuple[Proven, ...]:
    """The newest leaf of each stream of a gateway, with its path."""
    identity = name_of(*names)
    rows = await work.fetch_each(_HEADS, [(gateway, stream, stored.size) for stream in (0, 1)])
    return tuple(
        [
            Proven(
                StreamHead(stream_name(identity, int(stream)), int(size), bytes(root)),
                int(place),
                tuple(await inclusion(work, int(place), stored.size)),
            )
            for stream, size, root, place in rows
        ]
    )
