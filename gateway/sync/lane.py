"""One stream on its way to the cluster: what is to be sent next, and what the receipts prove."""

from collections import deque
from enum import Enum, auto
from random import Random

from gateway.errors import SealError
from gateway.model import StoredBatch, Stream
from gateway.mqtt import Backoff
from gateway.seal.cose import PublicKey
from gateway.seal.receipt import Receipt, check_receipt
from gateway.seal.tree import Frontier
from gateway.sync.outbox import Outbox

READ_AHEAD = 16
"""Batches read from the journal at once."""
LEAVES_AT_ONCE = 4096


class Verdict(Enum):
    """What a receipt that verified said."""

    NEWS = auto()
    """The cluster vouches for more than before."""
    KNOWN = auto()
    """It says nothing new (not verified, for nothing follows from it)."""
    LOST = auto()
    """The cluster proved that it holds less than it had vouched for."""


class Lane:
    """The state of one stream.

    ``size`` batches are vouched for and ``frontier`` is their tree; ``cursor`` is the next batch to send;
    ``sent`` maps each batch sent on this connection and not yet vouched for to the time it was sent.
    A connection begins with one batch under way, and each answer ``allowed`` one more: a thousand gateways that
    come back in one moment find out together what the cluster takes, and do not fill the broker's queues. After
    fruitless sending the lane rests until ``resume_at`` and then begins so again.
    """

    def __init__(self, stream: Stream, subject: str, outbox: Outbox, random: Random) -> None:
        self.stream = stream
        self.subject = subject
        self._outbox = outbox
        self.patience = Backoff(random, 0.25, 30.0)
        self.disbelief = Backoff(random, 2.0, 60.0)
        self.size, frontier = outbox.delivered(stream)
        self.frontier = Frontier.from_bytes(frontier) if frontier else Frontier()
        if self.frontier.size != self.size:
            raise SealError("bad-frontier", f"journal: frontier of {self.frontier.size} for {self.size} batches")
        self.vouched = self.size
        """The largest size ever proven."""
        self.cursor = self.size
        self.sent: dict[int, float] = {}
        self.missing: list[tuple[int, bytes]] = []
        """Sequence and leaf of batches that were vouched for once, are lost there, and are gone here too."""
        self.stopped = False
        self.allowed = 1
        self.resume_at = 0.0
        self.fruitless = 0
        """Time-outs since the last receipt."""
        self._issued = 0
        self._ready: deque[StoredBatch] = deque()
        self._leaves: dict[int, bytes] = {}
        self._turn = 0

    def rewind(self, to: int) -> None:
        """Send again from ``to`` on."""
        self.cursor = to
        self.sent.clear()
        self._ready.clear()
        self._turn += 1

    def restart(self) -> None:
        """Begin a connection: send from the first batch without a receipt."""
        self.rewind(self.size)
        self.allowed = 1

    def rest(self, now: float, backoff: Backoff) -> None:
        """Send nothing for a while, then one batch at a time until a receipt comes."""
        self.restart()
        self.resume_at = now + backoff.next()

    def sends(self, now: float, in_flight: int, window: int) -> bool:
        """Whether a batch may go out, with ``in_flight`` batches of all streams under way."""
        if self.stopped or now < self.resume_at:
            return False
        return not self.sent or (len(self.sent) < self.allowed and in_flight < window)

    async def next(self) -> StoredBatch | None:
        """The next batch that has a body; None when there is none or when the lane was rewound meanwhile."""
        turn = self._turn
        while True:
            if not self._ready:
                head = self._outbox.head(self.stream)
                if head is None or head.seq < self.cursor:
                    return None
                found = await self._outbox.pending(self.stream, self.cursor, READ_AHEAD)
                if turn != self._turn or not found:
                    return None
                self._ready.extend(found)
            batch = self._ready.popleft()
            self.cursor = batch.seq + 1
            if batch.body is not None:
                self._leaves[batch.seq] = batch.leaf
                return batch
            if batch.seq < self.vouched:
                self.missing.append((batch.seq, batch.leaf))

    async def judge(self, receipt: Receipt, data: bytes, key: PublicKey) -> Verdict:
        """Check a receipt and go on from what it proves.

        Raises `SealError`: ``fork`` when the cluster has signed another tree, ``ahead`` when it claims more
        batches than the journal holds, and other kinds for a receipt that is not to be believed.
        """
        if receipt.tree_size == self.size or (receipt.tree_size < self.size and receipt.iat <= self._issued):
            for seq in [seq for seq in self.sent if seq < self.size]:
                del self.sent[seq]
            return Verdict.KNOWN
        if receipt.tree_size < self.size:
            frontier = await self._past(receipt, key)
            verdict = Verdict.LOST
        else:
            frontier = await self._rolled(receipt.tree_size)
            verdict = Verdict.NEWS
        check_receipt(receipt, key, frontier.newest_leaf(), frontier.root())
        await self._outbox.acknowledge(self.stream, receipt.tree_size, frontier.to_bytes(), data)
        self._accept(frontier, receipt.iat)
        return verdict

    def _accept(self, frontier: Frontier, issued: int) -> None:
        lost = frontier.size < self.size
        self.frontier = frontier
        self.size = frontier.size
        self._issued = issued
        if lost:
            self._leaves.clear()
            self.rewind(self.size)
        else:
            self.vouched = max(self.vouched, self.size)
            if self.cursor < self.size:
                self.rewind(self.size)
            for seq in [seq for seq in self.sent if seq < self.size]:
                del self.sent[seq]
            for seq in [seq for seq in self._leaves if seq < self.size]:
                del self._leaves[seq]
        self.fruitless = 0
        self.resume_at = 0.0
        self.patience.reset()
        self.disbelief.reset()

    async def _rolled(self, size: int) -> Frontier:
        """The tree of the first ``size`` batches, rolled forward from what is vouched for."""
        head = self._outbox.head(self.stream)
        if head is None or size > head.seq + 1:
            raise SealError("ahead", f"the cluster claims {size} batches, more than the journal holds")
        frontier = self.frontier.copy()
        wanted = range(self.size, size)
        known = [self._leaves[seq] for seq in wanted if seq in self._leaves] if size <= self.cursor else []
        if len(known) == len(wanted):
            for leaf in known:
                frontier.append(leaf)
            return frontier
        return await self._extended(frontier, size)

    async def _past(self, receipt: Receipt, key: PublicKey) -> Frontier:
        """The tree of an earlier size, made anew from the leaves once the signature has proven to be worth it."""
        (newest,) = await self._outbox.leaves(self.stream, receipt.leaf_index, receipt.tree_size)
        check_receipt(receipt, key, newest)
        return await self._extended(Frontier(), receipt.tree_size)

    async def _extended(self, frontier: Frontier, size: int) -> Frontier:
        while frontier.size < size:
            upto = min(size, frontier.size + LEAVES_AT_ONCE)
            for leaf in await self._outbox.leaves(self.stream, frontier.size, upto):
                frontier.append(leaf)
        return frontier
