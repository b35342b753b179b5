"""The desk: gateways that are known ask for their next certificate over the line they have, and get it.

No person decides here, because nothing new is decided: the request is signed by the signing key in force, it comes
over the topic that the certificate in force opens, and the answer is good for the same gateway only. Everything
else that is asked for over the line is left; a person brings it (`gateway.cluster.identity.requests`).
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from random import Random

from gateway.cluster.database import Database
from gateway.cluster.identity import requests
from gateway.cluster.identity.authority import Authority
from gateway.cluster.identity.requests import Approved
from gateway.cluster.identity.rows import Staff, signs_on
from gateway.cluster.store import Store
from gateway.errors import AuroraError, OperatorError, SealError
from gateway.mqtt import Backoff, Endpoint, Link, Received, connect
from gateway.seal.keys import FileSigner
from gateway.seal.request import LARGEST, read_request
from gateway.seal.setupfile import write_setup

__all__ = ["CLIENT", "Desk", "answer_of", "renewed"]

log = logging.getLogger(__name__)

CLIENT = "aurora-desk"
TOPICS = "aurora/v1"
AT_ONCE = 20
PAUSE_MS = 60_000
"""A gateway is listened to once in this time: looking at a request costs a tenth of a second."""
MOST_REMEMBERED = 50_000
PERSON = "desk"
"""Under this name deeds of the desk are kept."""


async def renewed(
    database: Database, client: str, data: bytes, *, staff: Staff, authority: Authority, life: timedelta
) -> Approved:
    """Certify the next TLS key of a gateway; the same request again has the same answer.

    Raises `OperatorError` for everything that is not a renewal whose time has come.
    """
    if len(data) > LARGEST:
        raise OperatorError("the request is too large", "nothing")
    try:
        request = read_request(data)
    except SealError as error:
        raise OperatorError(f"the request does not hold ({error})", "nothing") from error
    names = request.names
    if f"{names.get('member')}.{names.get('gateway')}" != client:
        raise OperatorError(f"a request of {names} on the topic of {client}", "find out who writes there")
    async with database.transaction(write=False) as work:
        gateway = await Store(work).gateway(client)
        held = await Store(work).terms(gateway.id) if gateway is not None else []
        certificates = await work.fetch(
            "SELECT issued_ms, until_ms FROM certificate WHERE client = $1 AND revoked_ms IS NULL "
            "ORDER BY until_ms DESC LIMIT 1",
            client,
        )
    if gateway is None or gateway.revoked_ms is not None or not held:
        raise OperatorError(f"{client} is not enrolled, or revoked", "a person decides")
    if held[-1].public != request.public or not signs_on(held[-1]):
        raise OperatorError("the request is not signed by the key in force", "a person decides")
    found = await requests.take_in(database, data, staff)
    if found.state == "approved":
        return await requests.approved(database, found.code)
    if certificates:
        issued_ms, until_ms = certificates[0]
        if until_ms - staff.now_ms > (until_ms - issued_ms) // 2:
            raise OperatorError("the certificate is not half through its life", "a person decides")
    return await requests.approve(database, found.code, staff, authority, life=life)


def answer_of(signer: FileSigner, authority: Authority, done: Approved, answers: dict[str, str]) -> bytes:
    """The signed file that the gateway applies. Without answers it brings certificates alone.

    Written again it is the same answer: whoever has applied it refuses it, and nobody else can use it.
    """
    files = {"ca.pem": authority.pem, "broker.pem": done.certificate}
    return write_setup(signer, box=done.thumbprint, serial=done.at_ms, answers=answers, files=files)


class Desk:
    """A client of the broker that renews; `run` never returns. ``utc_ms`` is the time that certificates begin."""

    def __init__(
        self,
        endpoint: Endpoint,
        database: Database,
        signer: FileSigner,
        authority: Authority,
        *,
        life: timedelta,
        utc_ms: Callable[[], int],
        random: Random | None = None,
    ) -> None:
        self.connected = False
        self.answered = 0
        self._endpoint = endpoint
        self._database = database
        self._signer = signer
        self._authority = authority
        self._life = life
        self._utc_ms = utc_ms
        self._backoff = Backoff(random or Random(), 0.1, 10.0)  # noqa: S311  # jitter, not a secret
        self._heard: dict[str, int] = {}
        self._lost = False

    async def run(self) -> None:
        """Connect, answer, and begin again when broker or store fail."""
        while True:
            try:
                async with connect(self._endpoint, manual=True, receive_maximum=AT_ONCE) as link:
                    await self._serve(link)
            except AuroraError as error:
                self.connected = False
                if not self._lost:
                    self._lost = True
                    log.error("the desk is closed: %s", error)
            await asyncio.sleep(self._backoff.next())

    async def _serve(self, link: Link) -> None:
        await link.subscribe(f"{TOPICS}/+/request")
        self.connected = True
        self._backoff.reset()
        if self._lost:
            self._lost = False
            log.warning("the desk is open again")
        while True:
            for message in await link.receive(AT_ONCE):
                await self._answer(link, message)
                link.acknowledge(message)

    async def _answer(self, link: Link, message: Received) -> None:
        client, now_ms = message.topic.split("/")[2], self._utc_ms()
        # A clock that was set back makes nobody wait longer.
        if 0 <= now_ms - self._heard.get(client, -PAUSE_MS) < PAUSE_MS:
            return
        if len(self._heard) >= MOST_REMEMBERED:
            self._heard.clear()
        self._heard[client] = now_ms
        staff = Staff(PERSON, now_ms, self._signer)
        try:
            done = await renewed(
                self._database,
                client,
                message.payload,
                staff=staff,
                authority=self._authority,
                life=self._life,
            )
        except OperatorError as error:
            log.warning("%s: not renewed: %s", client, error.what)
            return
        link.send(f"{TOPICS}/{client}/certificate", answer_of(self._signer, self._authority, done, {}))
        self.answered += 1
        log.info("%s: renewed", client)
