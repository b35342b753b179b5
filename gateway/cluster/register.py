"""Admission of batches: verify, store, let the trees grow, sign receipts. One call is one durable transaction.

What is checked before a batch counts: the client it came from is the enrolled gateway that it names as issuer,
it belongs to the stream of its topic, the key in force for its sequence signed it, and it continues the chain.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from gateway.cluster.account import Account, deletion, events_of
from gateway.cluster.store import STREAMS, Entry, Fork, Rejected, Store
from gateway.errors import SealError
from gateway.model import Event, Stream
from gateway.seal.batch import (
    EVENT_TYPE,
    NO_PREVIOUS,
    REGISTRATION_TYPE,
    OpenBatch,
    open_batch,
    read_registration,
    subject,
)
from gateway.seal.keys import Signer
from gateway.seal.receipt import issue_receipt, refusal

HOLD = 4096
"""How far ahead of the tree a batch may be and still be kept."""
MAX_WORDS = 200


class Message(NamedTuple):
    """One message from the broker: the client and the stream are those of its topic."""

    client: str
    stream: str
    payload: bytes


class Answer(NamedTuple):
    """One message to the receipt topic of a client."""

    client: str
    payload: bytes


class Register:
    """The gatekeeper of a store. ``iss`` names the cluster in its receipts; belongs to one thread."""

    def __init__(self, store: Store, signer: Signer, *, iss: str) -> None:
        self._store = store
        self._signer = signer
        self._iss = iss
        self._accounts: dict[str, Account] = {}

    def take(self, messages: Sequence[Message], now_ms: int) -> list[Answer]:
        """Admit messages that arrived together; the answers may be sent once this returns.

        ``now_ms`` is Unix milliseconds. Raises `StorageError` when nothing of it could be stored.
        """
        try:
            with self._store.transaction() as changed:
                if changed:
                    self._accounts.clear()
                group = _Group(self._store, self._accounts, now_ms)
                for message in messages:
                    group.admit(message)
                return group.close(self._signer, self._iss)
        except BaseException:
            self._accounts.clear()
            raise


class _Group:
    """The messages of one transaction."""

    def __init__(self, store: Store, accounts: dict[str, Account], now_ms: int) -> None:
        self._store = store
        self._accounts = accounts
        self._now_ms = now_ms
        self._touched: dict[tuple[str, Stream], None] = {}
        self._changed: dict[tuple[str, Stream], None] = {}
        self._early: dict[tuple[str, Stream], int] = {}
        self._refusals: dict[tuple[str, str, str], Answer] = {}

    def admit(self, message: Message) -> None:
        """Take one message in, or note why not."""
        account = self._account(message.client)
        if account is None:
            self._unknown(message)
            return
        batch: OpenBatch | None = None
        try:
            batch = open_batch(message.payload)
            self._verify(account, batch, message)
            self._place(account, batch, message.payload)
        except SealError as error:
            self._refuse(account, message, batch, error)

    def close(self, signer: Signer, iss: str) -> list[Answer]:
        """Write what has changed and sign one receipt for each stream that was touched."""
        answers = []
        for client, stream in self._touched:
            account = self._accounts[client]
            state = account.states[stream]
            name = subject(account.member.identity.urn, stream)
            if state.size:
                receipt = issue_receipt(
                    signer, iss=iss, sub=name, frontier=state.frontier, iat=self._now_ms // 1000
                )
                answers.append(Answer(client, receipt))
                if (client, stream) in self._changed:
                    state.receipt, state.receipt_ms = receipt, self._now_ms
            seq = self._early.get((client, stream))
            if seq is not None and seq > state.size:
                answers.append(Answer(client, refusal(name, seq, "gap", state.size)))
        for client, stream in self._touched | self._changed:
            account = self._accounts[client]
            self._store.save_state(account.member.id, stream, account.states[stream])
        return answers + list(self._refusals.values())

    def _account(self, client: str) -> Account | None:
        account = self._accounts.get(client)
        if account is None:
            member = self._store.member(client)
            if member is None:
                return None
            states = {stream: self._store.state(member.id, stream) for stream in STREAMS}
            account = self._accounts[client] = Account(member, self._store.terms(member.id), states)
        return account

    # Checks

    def _verify(self, account: Account, batch: OpenBatch, message: Message) -> None:
        identity = account.member.identity
        if batch.iss != identity.urn:
            raise SealError("wrong-issuer", f"from {identity.client}, but issued by {batch.iss}")
        if batch.stream != message.stream:
            raise SealError("wrong-stream", f"a batch of stream {batch.stream} on the topic of {message.stream}")
        key = account.key(batch)
        batch.verify(key)
        if batch.content_type == REGISTRATION_TYPE:
            registration = read_registration(batch.payload)
            if registration.thumbprint != key.thumbprint or registration.iss != identity.urn:
                raise SealError("bad-registration", "not for the gateway and the key that are enrolled")

    def _unknown(self, message: Message) -> None:
        self._reject(message, "unknown-gateway", "no gateway is enrolled for this client", None)
        try:
            batch = open_batch(message.payload)
        except SealError:
            return
        self._answer(message, "unknown-gateway", refusal(batch.sub, batch.seq, "unknown-gateway"))

    def _refuse(self, account: Account, message: Message, batch: OpenBatch | None, error: SealError) -> None:
        stream: Stream = "event" if message.stream == "event" else "scan"
        size = account.states[stream].size
        seq = batch.seq if batch is not None else None
        self._reject(message, error.kind, error.what, seq)
        name = subject(account.member.identity.urn, stream)
        self._answer(message, error.kind, refusal(name, size if seq is None else seq, error.kind, size))

    def _reject(self, message: Message, reason: str, what: str, seq: int | None) -> None:
        at = self._now_ms
        words = "".join(sign if sign.isprintable() else "?" for sign in what[:MAX_WORDS])
        self._store.reject(Rejected(message.client, message.stream, reason, 1, at, at, seq, words))

    def _answer(self, message: Message, reason: str, payload: bytes) -> None:
        # One of a kind is enough: the gateway begins again at its first batch without a receipt.
        self._refusals.setdefault((message.client, message.stream, reason), Answer(message.client, payload))

    # The tree

    def _place(self, account: Account, batch: OpenBatch, body: bytes) -> None:
        """Store a verified batch: into the tree, behind a hole, or as what it is already."""
        member, state = account.member, account.states[batch.stream]
        place = (account.client, batch.stream)
        self._touched[place] = None
        entry = Entry(batch.seq, batch.leaf, body, batch.clock.utc_ms, self._now_ms)
        if batch.seq > state.size + HOLD:
            raise SealError("too-far-ahead", f"batch {batch.seq}, the tree has {state.size}")
        known = None
        if batch.seq < state.size or state.held:
            known = self._store.find(member.id, batch.stream, batch.seq)
        if known is not None:
            self._again(account, batch, entry, known)
            return
        self._check_chain(account, batch, body)
        self._store.add(member.id, batch.stream, entry)
        self._changed |= dict.fromkeys((account.client, stream) for stream in STREAMS)
        account.note(batch, len(body), self._now_ms)
        if batch.seq > state.size:
            state.held += 1
            self._early.setdefault(place, batch.seq)
        else:
            state.frontier.append(batch.leaf)
        events = account.read(batch)
        for event in events:
            if event.kind == "deleted":
                self._delete(account, event.data)
        if batch.seq < state.size:
            self._rotate(account, batch, events)
        for stream in STREAMS:
            self._advance(account, stream)

    def _again(self, account: Account, batch: OpenBatch, entry: Entry, known: Entry) -> None:
        state = account.states[batch.stream]
        if known.leaf != batch.leaf:
            self._fork(account, batch.stream, entry, "another batch with this sequence")
        if known.body is not None:
            state.duplicates += 1
            return
        # The leaf of a hole was signed for by the gateway; here is the body after all.
        self._store.fill(account.member.id, batch.stream, entry)
        state.deleted -= 1
        self._changed[account.client, batch.stream] = None
        account.note(batch, len(entry.body or b""), self._now_ms)
        account.read(batch)

    def _check_chain(self, account: Account, batch: OpenBatch, body: bytes) -> None:
        """A batch has to name the leaf before it, where that is known; else the gateway has two histories."""
        state = account.states[batch.stream]
        if batch.seq == state.size:
            before = state.frontier.newest_leaf() if state.size else NO_PREVIOUS
        else:
            found = self._store.find(account.member.id, batch.stream, batch.seq - 1)
            if found is None:
                return
            before = found.leaf
        if batch.prev != before:
            entry = Entry(batch.seq, batch.leaf, body, batch.clock.utc_ms, self._now_ms)
            self._fork(account, batch.stream, entry, "does not continue the batch before it")

    def _fork(self, account: Account, stream: Stream, entry: Entry, why: str) -> None:
        """Keep the evidence and refuse."""
        fork = Fork(account.member.id, stream, entry.seq, entry.leaf, why, self._now_ms, entry.body or b"")
        self._store.add_fork(fork)
        raise SealError("fork", f"batch {entry.seq} of stream {stream}: {why}")

    def _advance(self, account: Account, stream: Stream) -> None:
        """Let the tree grow over what waited behind a hole that has closed."""
        state = account.states[stream]
        while state.held:
            entry = self._store.find(account.member.id, stream, state.size)
            if entry is None:
                return
            batch = open_batch(entry.body) if entry.body is not None else None
            if batch is not None and not self._still_good(account, batch, entry):
                return
            state.frontier.append(entry.leaf)
            state.held -= 1
            self._touch(account, stream)
            if batch is not None and batch.content_type == EVENT_TYPE:
                with suppress(SealError):
                    self._rotate(account, batch, events_of(batch))

    def _still_good(self, account: Account, batch: OpenBatch, entry: Entry) -> bool:
        """Check what could not be checked while the batches before were missing; a bad one is taken out."""
        state = account.states[batch.stream]
        before = state.frontier.newest_leaf() if state.size else NO_PREVIOUS
        why = ""
        if batch.prev != before:
            why = "does not continue the batch before it"
        else:
            try:
                account.key(batch)
            except SealError as error:
                why = error.what
        if not why:
            return True
        member = account.member
        self._store.drop(member.id, batch.stream, batch.seq)
        state.held -= 1
        fork = Fork(member.id, batch.stream, batch.seq, batch.leaf, why, self._now_ms, entry.body or b"")
        self._store.add_fork(fork)
        self._touch(account, batch.stream)
        return False

    def _touch(self, account: Account, stream: Stream) -> None:
        self._touched[account.client, stream] = None
        self._changed[account.client, stream] = None

    def _delete(self, account: Account, data: dict[str, Any]) -> None:
        """Leaves of batches that the gateway no longer has enter the tree without a body."""
        try:
            gone = deletion(data)
        except SealError:
            account.states["event"].unreadable += 1
            return
        state = account.states[gone.stream]
        for seq, leaf in enumerate(gone.leaves, gone.first):
            if self._store.find(account.member.id, gone.stream, seq) is None:
                self._store.add(account.member.id, gone.stream, Entry(seq, leaf, None, None, self._now_ms))
                state.held += 1
                state.deleted += 1
                self._touch(account, gone.stream)

    def _rotate(self, account: Account, batch: OpenBatch, events: list[Event]) -> None:
        """Changes of key take effect when their event is in the tree."""
        for event in events:
            if event.kind == "key.rotated" and account.rotate(batch, event, self._now_ms):
                self._store.save_terms(account.member.id, account.terms)
