"""Admission of batches: verify, store, let the trees grow. One group of messages is one durable transaction.

What is checked before a batch counts: the client it came from is the enrolled gateway that it names as issuer,
it belongs to the stream of its topic, the key in force for its sequence signed it, and it continues the chain.
Any number of registers may work on one database: each locks the streams that its group touches.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.cluster.account import Account
from gateway.cluster.database import Database
from gateway.cluster.group import Group
from gateway.cluster.nouns import KeyTerm
from gateway.cluster.opening import NO_KEYS, Keys, Message, Opened, Opener, open_message
from gateway.cluster.store import Store
from gateway.errors import SealError, UnfitError
from gateway.model import Stream
from gateway.seal.batch import subject
from gateway.seal.keys import Signer
from gateway.seal.receipt import issue_receipt
from gateway.seal.tree import Frontier

log = logging.getLogger(__name__)

MAX_REMEMBERED = 50_000
"""Gateways whose keys are remembered at most; beyond it the memory begins anew."""


class Answer(NamedTuple):
    """One message to the receipt topic of a client."""

    client: str
    payload: bytes


class Grown(NamedTuple):
    """A stream that a receipt is due for: the name in it, the tree to vouch for, and as of when (Unix ms).

    That time belongs to the transaction, not to the sending: a gateway takes a newer receipt for a smaller tree as
    proof of a loss, so whatever way two receipts come, the larger tree must not be the older one.
    """

    sub: str
    frontier: Frontier
    at_ms: int


@dataclass(slots=True)
class Outcome:
    """What a transaction came to; its answers may be sent, because it is on the disk."""

    grown: dict[tuple[str, Stream], Grown] = field(default_factory=dict)
    refusals: list[Answer] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    """Messages that were not taken, by reason."""

    def and_then(self, later: "Outcome") -> "Outcome":
        """Both, one after the other."""
        return Outcome(
            {**self.grown, **later.grown}, self.refusals + later.refusals, self.rejected + later.rejected
        )


class _Known(NamedTuple):
    """What is remembered of a gateway; only ``version`` says whether the keys still are these."""

    id: int
    version: int
    terms: list[KeyTerm]
    keys: Keys


class Register:
    """The gatekeeper of a database. ``iss`` names the cluster in its receipts.

    ``patience_ms`` is how long a hole may stay before a gateway is asked for it: with several receivers a batch
    often overtakes the one before it. With an ``opener`` signatures are checked in a process beside.
    """

    def __init__(
        self, database: Database, signer: Signer, *, iss: str, patience_ms: int = 0, opener: Opener | None = None
    ) -> None:
        self._database = database
        self._signer = signer
        self._iss = iss
        self._patience_ms = patience_ms
        self._opener = opener
        self._known: dict[str, _Known] = {}

    async def open(self, messages: Iterable[Message]) -> list[Opened]:
        """Take messages apart, and check the signatures for which the key is remembered: the work of the processor.

        It needs no database, so that it can go on while another group is written.
        """
        asked = [(message, self._keys(message.client)) for message in messages]
        if self._opener is not None:
            return await self._opener.open(asked)
        return [open_message(message, keys) for message, keys in asked]

    async def admit(self, opened: Sequence[Opened], now_ms: int) -> Outcome:
        """Write what arrived together. ``now_ms`` is Unix milliseconds.

        Raises `StorageError` when the store fails. A message that the store cannot hold is found by smaller and
        smaller groups and refused alone: one gateway must not keep the others from being heard.
        """
        try:
            return await self._admit(opened, now_ms)
        except UnfitError as error:
            if len(opened) > 1:
                half = len(opened) // 2
                first = await self.admit(opened[:half], now_ms)
                return first.and_then(await self.admit(opened[half:], now_ms))
            log.error("a message of %s is refused: %s", opened[0].client, error)
            unfit = opened[0]._replace(error=SealError("unfit", "holds what the cluster cannot store"))
            return await self._admit([unfit], now_ms)

    async def _admit(self, opened: Sequence[Opened], now_ms: int) -> Outcome:
        async with self._database.transaction() as work:
            store = Store(work)
            accounts = await self._accounts(store, {one.client for one in opened})
            group = Group(store, accounts, now_ms, self._patience_ms)
            await group.admit(opened)
            await group.write()
        for account in accounts.values():
            self._remember(account)
        grown = {}
        for client, stream in group.touched:
            account = accounts[client]
            state = account.states[stream]
            if state.size and state.receipt_ms is not None:
                name = subject(account.gateway.identity.urn, stream)
                grown[client, stream] = Grown(name, state.frontier, state.receipt_ms)
        return Outcome(grown, [Answer(client, payload) for client, payload in group.refusals()], group.rejected())

    def receipt(self, grown: Grown) -> bytes:
        """Vouch for a tree that a finished transaction has left."""
        iat = grown.at_ms // 1000
        return issue_receipt(self._signer, iss=self._iss, sub=grown.sub, frontier=grown.frontier, iat=iat)

    async def take(self, messages: Sequence[Message], now_ms: int) -> list[Answer]:
        """Open and admit a group, and answer it at once."""
        outcome = await self.admit(await self.open(messages), now_ms)
        receipts = [Answer(client, self.receipt(grown)) for (client, _), grown in outcome.grown.items()]
        return receipts + outcome.refusals

    def _keys(self, client: str) -> Keys:
        known = self._known.get(client)
        return NO_KEYS if known is None else known.keys

    async def _accounts(self, store: Store, clients: Iterable[str]) -> dict[str, Account]:
        """The enrolled among the clients, their streams locked and their keys as they are now."""
        gateways = await store.gateways_of(sorted(clients))
        numbers = sorted(gateway.id for gateway in gateways.values())
        if not numbers:
            return {}
        rights = await store.lock(numbers)
        states = await store.states(numbers)
        accounts = {}
        for client, gateway in gateways.items():
            version, revoked_ms = rights[gateway.id]
            known = self._known.get(client)
            current = known is not None and (known.id, known.version) == (gateway.id, version)
            terms = known.terms if known is not None and current else await store.terms(gateway.id)
            enrolled = gateway.at(version, revoked_ms)
            accounts[client] = Account(enrolled, list(terms), states[gateway.id])
        return accounts

    def _remember(self, account: Account) -> None:
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        known = self._known.get(account.client)
        version = account.gateway.version
        if known is None or (known.id, known.version) != (account.gateway.id, version):
            keys = Keys.of(term.public for term in account.terms)
            self._known[account.client] = _Known(account.gateway.id, version, account.terms, keys)
