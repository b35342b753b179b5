"""The messages of one transaction: each finds its place in the tree, waits behind a hole, or is refused."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from gateway.cluster.account import Account, deletion, events_of
from gateway.cluster.nouns import STREAMS, Entry, Fork, Place, Rejected
from gateway.cluster.opening import Opened
from gateway.cluster.store import Store
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
from gateway.seal.receipt import refusal

HOLD = 4096
"""How far ahead of the tree a batch may be and still be kept."""
MAX_WORDS = 200
MOST_GONE = 16_384
"""Deletions that one batch may sign for: each is a row, written under the lock."""


class Group:
    """What one transaction does; the accounts are its own, and their streams are locked."""

    def __init__(self, store: Store, accounts: dict[str, Account], now_ms: int, patience_ms: int) -> None:
        self.touched: dict[tuple[str, Stream], None] = {}
        """The streams that a receipt is due for."""
        self._store = store
        self._accounts = accounts
        self._now_ms = now_ms
        self._patience_ms = patience_ms
        self._changed: dict[tuple[str, Stream], None] = {}
        self._early: dict[tuple[str, Stream], int] = {}
        self._refusals: dict[tuple[str, str, str], bytes] = {}
        self._rejected: list[Rejected] = []
        self._known: dict[Place, Entry] = {}
        """Batches that are stored, as far as they have been looked for."""
        self._absent: set[Place] = set()
        self._new: dict[Place, Entry] = {}
        """Batches to be stored at the end, in one journey."""

    async def admit(self, opened: Sequence[Opened]) -> None:
        """Take the messages in, or note why not, in their order."""
        await self._look_ahead(opened)
        for one in opened:
            account = self._accounts.get(one.client)
            if account is None:
                self._unknown(one)
                continue
            try:
                if one.batch is None or one.error is not None:
                    raise one.error or SealError("not-cose", "nothing in it")
                self._verify(account, one, one.batch)
                await self._place(account, one.batch, one.payload, one.values)
            except SealError as error:
                self._refuse(account, one, error)

    async def write(self) -> None:
        """Write what is new and what has changed."""
        member = {account.gateway.id: account.gateway.member for account in self._accounts.values()}
        entries = [
            (member[place.gateway], place.gateway, place.stream, entry) for place, entry in self._new.items()
        ]
        await self._store.add(entries)
        for client, stream in self.touched:
            # Never back, whatever the clocks of several receivers say.
            state = self._accounts[client].states[stream]
            state.receipt_ms = max(self._now_ms, state.receipt_ms or 0)
        changed = dict.fromkeys([*self.touched, *self._changed])
        states = [(self._accounts[client], stream) for client, stream in changed]
        await self._store.save_states(
            (account.gateway.id, stream, account.states[stream]) for account, stream in states
        )
        if self._rejected:
            await self._store.reject(self._rejected)

    def refusals(self) -> Iterator[tuple[str, bytes]]:
        """The answers for what was not taken, and for holes that have been waited for long enough."""
        for (client, stream), seq in self._early.items():
            account = self._accounts[client]
            state = account.states[stream]
            opened_ms = self._now_ms if state.hole_ms is None else state.hole_ms
            # A receiver whose clock is behind does not wait for it to catch up.
            if seq > state.size and not 0 <= self._now_ms - opened_ms < self._patience_ms:
                yield client, refusal(subject(account.gateway.identity.urn, stream), seq, "gap", state.size)
        for (client, _, _), payload in self._refusals.items():
            yield client, payload

    def rejected(self) -> Counter[str]:
        """Messages that were not taken, by reason."""
        return Counter(one.reason for one in self._rejected)

    async def _look_ahead(self, opened: Iterable[Opened]) -> None:
        """Ask in one journey for what may be there already: what is not the next of its tree."""
        wanted = set()
        for one in opened:
            account = self._accounts.get(one.client)
            if account is None or one.batch is None:
                continue
            state, seq = account.states[one.batch.stream], one.batch.seq
            if seq < state.size or state.held:
                wanted |= {Place(account.gateway.id, one.batch.stream, n) for n in (seq, seq - 1) if n >= 0}
        if wanted:
            self._known |= await self._store.find(sorted(wanted))
            self._absent |= wanted - self._known.keys()

    async def _find(self, account: Account, stream: Stream, seq: int) -> Entry | None:
        place = Place(account.gateway.id, stream, seq)
        found = self._new.get(place) or self._known.get(place)
        state = account.states[stream]
        if found is None and place not in self._absent and (seq < state.size or state.held):
            self._known |= await self._store.find([place])
            found = self._known.get(place)
        return found

    # Checks

    def _verify(self, account: Account, one: Opened, batch: OpenBatch) -> None:
        identity = account.gateway.identity
        if batch.iss != identity.urn:
            raise SealError("wrong-issuer", f"from {identity.client}, but issued by {batch.iss}")
        if batch.stream != one.stream:
            raise SealError("wrong-stream", f"a batch of stream {batch.stream} on the topic of {one.stream}")
        key = account.key(batch)
        if key != one.verified:
            batch.verify(key)
        if batch.content_type == REGISTRATION_TYPE:
            registration = read_registration(batch.payload)
            if registration.thumbprint != key.thumbprint or registration.iss != identity.urn:
                raise SealError("bad-registration", "not for the gateway and the key that are enrolled")

    def _unknown(self, one: Opened) -> None:
        self._reject(one, "unknown-gateway", "no gateway is enrolled for this client", None)
        if one.batch is not None:
            self._answer(one, "unknown-gateway", refusal(one.batch.sub, one.batch.seq, "unknown-gateway"))

    def _refuse(self, account: Account, one: Opened, error: SealError) -> None:
        stream: Stream = "event" if one.stream == "event" else "scan"
        size = account.states[stream].size
        seq = one.batch.seq if one.batch is not None else None
        self._reject(one, error.kind, error.what, seq)
        name = subject(account.gateway.identity.urn, stream)
        self._answer(one, error.kind, refusal(name, size if seq is None else seq, error.kind, size))

    def _reject(self, one: Opened, reason: str, what: str, seq: int | None) -> None:
        at = self._now_ms
        words = "".join(sign if sign.isprintable() else "?" for sign in what[:MAX_WORDS])
        self._rejected.append(Rejected(one.client, one.stream, reason, 1, at, at, seq, words))

    def _answer(self, one: Opened, reason: str, payload: bytes) -> None:
        # One of a kind is enough: the gateway begins again at its first batch without a receipt.
        self._refusals.setdefault((one.client, one.stream, reason), payload)

    # The tree

    async def _place(self, account: Account, batch: OpenBatch, body: bytes, values: int | None) -> None:
        """Store a verified batch: into the tree, behind a hole, or as what it is already."""
        state = account.states[batch.stream]
        self.touched[account.client, batch.stream] = None
        if batch.seq > state.size + HOLD:
            raise SealError("too-far-ahead", f"batch {batch.seq}, the tree has {state.size}")
        entry = Entry(batch.seq, batch.leaf, body, batch.clock.utc_ms, self._now_ms)
        known = await self._find(account, batch.stream, batch.seq)
        if known is not None:
            await self._again(account, batch, entry, known)
            return
        await self._check_chain(account, batch, entry)
        self._new[Place(account.gateway.id, batch.stream, batch.seq)] = entry
        self._changed |= dict.fromkeys((account.client, stream) for stream in STREAMS)
        account.note(batch, len(body), self._now_ms)
        if batch.seq > state.size:
            self._hold(account, batch.stream)
            self._early.setdefault((account.client, batch.stream), batch.seq)
        else:
            self._grow(account, batch.stream, batch.leaf)
        events = account.read(batch, values)
        left = MOST_GONE
        for event in events:
            if event.kind == "deleted":
                left -= await self._delete(account, event.data, left)
        if batch.seq < state.size:
            await self._rotate(account, batch, events)
        for stream in STREAMS:
            await self._advance(account, stream)

    def _hold(self, account: Account, stream: Stream) -> None:
        state = account.states[stream]
        state.held += 1
        if state.hole_ms is None:
            state.hole_ms = self._now_ms

    def _grow(self, account: Account, stream: Stream, leaf: bytes) -> None:
        account.states[stream].frontier.append(leaf)

    def _release(self, account: Account, stream: Stream) -> None:
        """One batch waits no longer."""
        state = account.states[stream]
        state.held -= 1
        # Another hole may be behind this one: its time begins now.
        state.hole_ms = self._now_ms if state.held else None

    async def _again(self, account: Account, batch: OpenBatch, entry: Entry, known: Entry) -> None:
        state = account.states[batch.stream]
        if known.leaf != batch.leaf:
            await self._fork(account, batch.stream, entry, "another batch with this sequence")
        place = Place(account.gateway.id, batch.stream, batch.seq)
        # What retention took does not come back.
        if known.body is not None or await self._store.erased(place):
            state.duplicates += 1
            return
        # The leaf of a hole was signed for by the gateway; here is the body after all.
        if place in self._new:
            self._new[place] = entry
        else:
            await self._store.fill(account.gateway.id, batch.stream, entry)
            self._known[place] = entry
        state.deleted -= 1
        self._changed[account.client, batch.stream] = None
        account.note(batch, len(entry.body or b""), self._now_ms)
        account.read(batch)

    async def _check_chain(self, account: Account, batch: OpenBatch, entry: Entry) -> None:
        """A batch has to name the leaf before it, where that is known; else the gateway has two histories."""
        state = account.states[batch.stream]
        if batch.seq == state.size:
            before = state.frontier.newest_leaf() if state.size else NO_PREVIOUS
        else:
            found = await self._find(account, batch.stream, batch.seq - 1)
            if found is None:
                return
            before = found.leaf
        if batch.prev != before:
            await self._fork(account, batch.stream, entry, "does not continue the batch before it")

    async def _fork(self, account: Account, stream: Stream, entry: Entry, why: str) -> None:
        """Keep the evidence and refuse."""
        await self._keep_fork(account, stream, entry, why)
        raise SealError("fork", f"batch {entry.seq} of stream {stream}: {why}")

    async def _keep_fork(self, account: Account, stream: Stream, entry: Entry, why: str) -> None:
        number = account.gateway.id
        fork = Fork(number, stream, entry.seq, entry.leaf, why, self._now_ms, entry.body or b"")
        await self._store.add_fork(fork)

    async def _advance(self, account: Account, stream: Stream) -> None:
        """Let the tree grow over what waited behind a hole that has closed."""
        state = account.states[stream]
        while state.held:
            entry = await self._find(account, stream, state.size)
            if entry is None:
                self._absent.add(Place(account.gateway.id, stream, state.size))
                return
            batch = open_batch(entry.body) if entry.body is not None else None
            if batch is not None and not await self._still_good(account, batch, entry):
                return
            self._grow(account, stream, entry.leaf)
            self._release(account, stream)
            self._touch(account, stream)
            if batch is not None and batch.content_type == EVENT_TYPE:
                with suppress(SealError):
                    await self._rotate(account, batch, events_of(batch))

    async def _still_good(self, account: Account, batch: OpenBatch, entry: Entry) -> bool:
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
        place = Place(account.gateway.id, batch.stream, batch.seq)
        if self._new.pop(place, None) is None:
            await self._store.drop(*place)
            self._known.pop(place, None)
        self._absent.add(place)
        self._release(account, batch.stream)
        await self._keep_fork(account, batch.stream, entry, why)
        self._touch(account, batch.stream)
        return False

    def _touch(self, account: Account, stream: Stream) -> None:
        self.touched[account.client, stream] = None
        self._changed[account.client, stream] = None

    async def _delete(self, account: Account, data: dict[str, Any], left: int) -> int:
        """Leaves of batches that the gateway no longer has enter the tree without a body; gives how many."""
        try:
            gone = deletion(data)
            if len(gone.leaves) > left:
                raise SealError("bad-event", f"more than {MOST_GONE} deletions in one batch")
        except SealError:
            account.states["event"].unreadable += 1
            return 0
        number, state = account.gateway.id, account.states[gone.stream]
        places = [Place(number, gone.stream, gone.first + n) for n in range(len(gone.leaves))]
        self._known |= await self._store.find([place for place in places if place not in self._new])
        for place, leaf in zip(places, gone.leaves, strict=True):
            if place in self._new or place in self._known:
                continue
            self._new[place] = Entry(place.seq, leaf, None, None, self._now_ms)
            self._hold(account, gone.stream)
            state.deleted += 1
            self._touch(account, gone.stream)
        return len(gone.leaves)

    async def _rotate(self, account: Account, batch: OpenBatch, events: list[Event]) -> None:
        """Changes of key take effect when their event is in the tree."""
        for event in events:
            if event.kind == "key.rotated" and account.rotate(batch, event, self._now_ms):
                await self._store.save_terms(account.gateway.id, account.terms)
