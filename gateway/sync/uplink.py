"""The uplink: batches to the broker, receipts back, for ever and through every kind of bad network.

A PUBACK is not delivery. A batch counts as delivered when the cluster's signed receipt fits the root that the
gateway computes itself from its own leaves; everything else that comes back only decides when to send again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Any, Protocol

from gateway.errors import AuroraError, SealError
from gateway.model import ClockClaim, Event, Stream
from gateway.mqtt import (
    NO_MATCHING_SUBSCRIBERS,
    REFUSED,
    Backoff,
    Endpoint,
    Link,
    LinkError,
    Received,
    beside,
    connect,
)
from gateway.seal.batch import subject
from gateway.seal.cose import PublicKey
from gateway.seal.receipt import Receipt, Refusal, parse_answer
from gateway.site import ClusterSpec, Identity
from gateway.sync.lane import Lane, Verdict
from gateway.sync.outbox import Outbox
from gateway.sync.stats import UplinkStats
from gateway.sync.witness import REFUSED as REWRITTEN
from gateway.sync.witness import Witness

log = logging.getLogger(__name__)

TOPICS = "aurora/v1"
RECEIPT_TIMEOUT_S = 20.0
RECERTIFY_S = 3600.0
"""How often it is looked whether the certificate ends soon."""
MAX_IN_FLIGHT = 20
"""What Mosquitto has under way to one client; more gains nothing."""
FRUITLESS_LIMIT = 3
"""Time-outs in a row after which a connection is given up: its subscription may be gone."""
LEAVES_PER_EVENT = 1000
ANSWERS_AT_ONCE = 64


class Certifier(Protocol):
    """Asks for the gateway's next certificate, and puts it in place; both block."""

    def request(self) -> bytes | None:
        """What is to be sent to the cluster now; None for nothing."""

    def take(self, answer: bytes) -> None:
        """Use what the cluster answered; raises `SealError` for what is not to be believed."""


class Uplink:
    """Delivers the batches of one gateway; `run` never returns and never gives up.

    ``receipt_key`` is the cluster's key, ``clock`` the gateway's clock (its boot time stamps events),
    ``on_event`` takes the events that belong in the record: ``fork`` (``proven`` by a signature or only claimed),
    ``sync.refused``, ``sync.lost`` (the cluster proved that it has lost batches), ``deleted``. A ``witness`` is
    given the cluster's checkpoints, a ``certifier`` sees to it that the certificate is renewed in time.
    """

    def __init__(
        self,
        settings: ClusterSpec,
        identity: Identity,
        outbox: Outbox,
        receipt_key: PublicKey,
        *,
        clock: Callable[[], ClockClaim],
        on_event: Callable[[Event], Awaitable[object]],
        receipt_timeout_s: float = RECEIPT_TIMEOUT_S,
        keepalive_s: int = 15,
        random: Random | None = None,
        witness: Witness | None = None,
        certifier: Certifier | None = None,
    ) -> None:
        self.stats = UplinkStats()
        self._endpoint = Endpoint(
            host=settings.host,
            port=settings.port,
            client=identity.client,
            ca=settings.ca,
            certificate=settings.certificate,
            key=settings.key,
            keepalive_s=keepalive_s,
        )
        self._window = max(1, min(settings.in_flight, MAX_IN_FLIGHT))
        self._outbox = outbox
        self._key = receipt_key
        self._clock = clock
        self.stats.offline_since_ms = clock().boot_ms
        self._on_event = on_event
        self._timeout = receipt_timeout_s
        chance = random or Random()  # noqa: S311  # jitter, not a secret
        self._backoff = Backoff(chance, 0.1, 10.0)
        self._event = Lane("event", subject(identity.urn, "event"), outbox, chance)
        self._scan = Lane("scan", subject(identity.urn, "scan"), outbox, chance)
        self._lanes = (self._event, self._scan)
        self._topics: dict[Stream, str] = {
            lane.stream: f"{TOPICS}/{identity.client}/{lane.stream}" for lane in self._lanes
        }
        self._answers = f"{TOPICS}/{identity.client}/receipt"
        self._checkpoints = f"{TOPICS}/{identity.client}/checkpoint"
        self._witness = witness
        self._certifier = certifier
        self._requests = f"{TOPICS}/{identity.client}/request"
        self._certificates = f"{TOPICS}/{identity.client}/certificate"
        self._unacknowledged: dict[int, tuple[Lane, int, float]] = {}
        self._wake = asyncio.Event()
        self._told: set[str] = set()
        self._lost = False

    async def run(self) -> None:
        """Connect, deliver, and begin again when the connection ends; until cancelled."""
        while True:
            try:
                await self._session()
            except AuroraError as error:
                self._down(error)
            await asyncio.sleep(self._backoff.next())

    def _down(self, error: AuroraError) -> None:
        self.stats.last_error = str(error)
        if self.stats.connected:
            self.stats.connected = False
            self.stats.since_ms = self.stats.offline_since_ms = self._clock().boot_ms
        if not self._lost:
            self._lost = True
            log.warning("uplink lost: %s", error)

    async def _session(self) -> None:
        """One connection, from the first batch without a receipt on."""
        self._unacknowledged.clear()
        for lane in self._lanes:
            lane.restart()
        async with connect(self._endpoint, on_puback=self._puback) as link:
            await link.subscribe(self._answers)
            if self._witness is not None:
                # A broker whose rules do not know of checkpoints yet is no reason not to deliver.
                with suppress(LinkError):
                    await link.subscribe(self._checkpoints)
            self.stats.connects += 1
            self.stats.connected = True
            self.stats.since_ms = now_ms = self._clock().boot_ms
            if self.stats.offline_since_ms is not None:
                self.stats.offline_ms += now_ms - self.stats.offline_since_ms
                self.stats.offline_since_ms = None
            work = [self._listen(link), self._watch(), self._send(link)]
            if self._certifier is not None:
                work.append(self._recertify(link, self._certifier))
            await beside(*work)

    async def _recertify(self, link: Link, certifier: Certifier) -> None:
        """Ask for the next certificate over the line that this one still opens."""
        try:
            await link.subscribe(self._certificates)
        except LinkError:
            # A broker whose rules do not know of certificates is no reason not to deliver.
            await asyncio.Event().wait()
        while True:
            request = await asyncio.to_thread(certifier.request)
            if request is not None:
                link.send(self._requests, request)
            await asyncio.sleep(RECERTIFY_S)

    async def _watch(self) -> None:
        while True:
            await self._outbox.changed.wait()
            self._outbox.changed.clear()
            self._wake.set()

    # Sending

    async def _send(self, link: Link) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            self._expire(loop.time())
            while await self._send_one(link, loop.time()):
                pass
            if any(lane.missing for lane in self._lanes):
                await self._declare_missing()
            try:
                async with asyncio.timeout_at(self._deadline(loop.time())):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _send_one(self, link: Link, now: float) -> bool:
        """Send the next batch, of the event stream if it has one; False when there is none or no room."""
        for lane in self._lanes:
            # One place of the window is the event stream's, so that an alarm need not wait for a receipt.
            window = self._window if lane is self._event else self._window - 1
            if not lane.sends(now, self._in_flight(), window):
                continue
            batch = await lane.next()
            if batch is None or batch.body is None:
                continue
            message = link.send(self._topics[lane.stream], batch.body)
            lane.sent[batch.seq] = now
            self._unacknowledged[message] = (lane, batch.seq, now)
            self.stats.published[lane.stream] += 1
            self.stats.published_bytes += len(batch.body)
            self.stats.in_flight = self._in_flight()
            return True
        return False

    def _in_flight(self) -> int:
        return len(self._event.sent) + len(self._scan.sent)

    def _deadline(self, now: float) -> float | None:
        """When to look again without having been woken."""
        times = [next(iter(lane.sent.values())) + self._timeout for lane in self._lanes if lane.sent]
        times += [lane.resume_at for lane in self._lanes if lane.resume_at > now and not lane.stopped]
        times += [sent + self._timeout for _, _, sent in list(self._unacknowledged.values())[:1]]
        return min(times, default=None)

    def _expire(self, now: float) -> None:
        """Send again what has waited too long; give the connection up when it does not even bring PUBACKs."""
        for _, _, sent in list(self._unacknowledged.values())[:1]:
            if now - sent >= self._timeout:
                raise LinkError(f"no answer from the broker in {self._timeout:g} s")
        for lane in self._lanes:
            oldest = next(iter(lane.sent.values()), now)
            if now - oldest >= self._timeout:
                lane.fruitless += 1
                self.stats.timeouts += 1
                lane.rest(now, lane.patience)
                if lane.fruitless % FRUITLESS_LIMIT == 0:
                    raise LinkError(f"no receipt for stream {lane.stream} in {lane.fruitless} attempts")

    def _puback(self, message: int, reason: int) -> None:
        lane, seq, _ = self._unacknowledged.pop(message, (None, 0, 0.0))
        if lane is None or reason < NO_MATCHING_SUBSCRIBERS:
            return
        self.stats.refused[f"puback {reason}"] += 1
        if seq in lane.sent:
            self.stats.last_error = (
                f"the broker refuses batches of stream {lane.stream} (reason {reason})"
                if reason >= REFUSED
                else "no receiver of the cluster is connected to the broker"
            )
            lane.rest(asyncio.get_running_loop().time(), lane.patience)
            self._wake.set()

    # Answers

    async def _listen(self, link: Link) -> None:
        while True:
            for message in await link.receive(ANSWERS_AT_ONCE):
                await self._answer(message)
            self.stats.in_flight = self._in_flight()
            self._wake.set()

    async def _answer(self, message: Received) -> None:
        if self._witness is not None and message.topic == self._checkpoints:
            await self._look(self._witness, message.payload)
            return
        if self._certifier is not None and message.topic == self._certificates:
            try:
                await asyncio.to_thread(self._certifier.take, message.payload)
            except SealError as error:
                self._distrust(error)
            return
        try:
            answer = parse_answer(message.payload)
        except SealError as error:
            self._distrust(error)
            return
        lane = next((lane for lane in self._lanes if lane.subject == answer.sub), None)
        if lane is None:
            self._distrust(SealError("foreign-answer", f"an answer about {answer.sub}"))
        elif isinstance(answer, Refusal):
            await self._refused(lane, answer)
        else:
            await self._received(lane, answer, message.payload)

    async def _look(self, witness: Witness, payload: bytes) -> None:
        """A checkpoint of the cluster: cosigned by the witness, or proof that history was rewritten."""
        try:
            await witness.take(payload)
        except SealError as error:
            if error.kind not in REWRITTEN:
                self._distrust(error)
                return
            self.stats.forks += 1
            self.stats.last_error = f"the cluster's checkpoint is refused: {error.what}"
            log.error("the cluster's checkpoint is refused: %s", error.what)
        self.stats.witnessed = witness.memory.seen.size

    async def _received(self, lane: Lane, receipt: Receipt, data: bytes) -> None:
        before = lane.size
        # Whether it is to be believed or not: somebody there keeps up.
        lane.allowed += 1
        try:
            verdict = await lane.judge(receipt, data, self._key)
        except SealError as error:
            if error.kind == "fork":
                await self._forked(lane, receipt, data)
            elif error.kind == "ahead":
                await self._suspect(lane, receipt.tree_size, error.what)
            else:
                self._distrust(error)
            return
        if verdict is Verdict.KNOWN:
            return
        self._backoff.reset()
        self.stats.receipts[lane.stream] += 1
        self.stats.receipt_ms[lane.stream] = self._clock().boot_ms
        if self._lost:
            self._lost = False
            log.warning("uplink is back: the cluster vouches for %d batches of stream %s", lane.size, lane.stream)
        if verdict is Verdict.LOST:
            self.stats.rewinds += 1
            log.error("the cluster has lost stream %s from batch %d on", lane.stream, lane.size)
            await self._tell("sync.lost", {"stream": lane.stream, "had": before, "has": lane.size, "receipt": data})

    async def _forked(self, lane: Lane, receipt: Receipt, data: bytes) -> None:
        """The cluster signed another history: keep everything, send no more of this stream, raise it."""
        lane.stopped = True
        lane.restart()
        self.stats.forks += 1
        self.stats.last_error = f"fork: the cluster has signed another history of stream {lane.stream}"
        log.error("fork: the cluster has signed another history of stream %s; it is no longer sent", lane.stream)
        await self._tell(
            "fork", {"stream": lane.stream, "size": receipt.tree_size, "proven": True, "receipt": data}
        )

    async def _suspect(self, lane: Lane, size: int, what: str) -> None:
        """A fork that the cluster claims and that cannot be proven: raise it once and slow the stream down."""
        self.stats.refused["fork"] += 1
        self.stats.last_error = f"fork: {what}"
        lane.rest(asyncio.get_running_loop().time(), lane.disbelief)
        data = {"stream": lane.stream, "size": size, "proven": False, "words": what}
        if await self._tell_once(f"fork {lane.stream}", "fork", data):
            self.stats.forks += 1
            log.error("fork claimed for stream %s: %s", lane.stream, what)

    async def _refused(self, lane: Lane, refusal: Refusal) -> None:
        """A refusal is unsigned: it may change when something is sent, never what is kept."""
        now = asyncio.get_running_loop().time()
        waited_for = refusal.seq in lane.sent
        if refusal.reason == "fork":
            if waited_for:
                await self._suspect(lane, refusal.seq, f"the cluster holds another batch {refusal.seq}")
            return
        self.stats.refused[refusal.reason] += 1
        if refusal.reason == "gap":
            self._follow(lane, refusal.next_seq, now)
            return
        self.stats.last_error = f"the cluster refuses batch {refusal.seq} of stream {lane.stream}: {refusal.reason}"
        if waited_for:
            lane.rest(now, lane.disbelief)
        data = {"stream": lane.stream, "seq": refusal.seq, "reason": refusal.reason}
        if await self._tell_once(f"{refusal.reason} {lane.stream}", "sync.refused", data):
            log.warning("%s", self.stats.last_error)

    def _follow(self, lane: Lane, next_seq: int | None, now: float) -> None:
        """The cluster waits for an earlier batch: send from there, less and less often while it does not help."""
        if next_seq is not None and next_seq < lane.cursor and now >= lane.resume_at:
            lane.rewind(next_seq)
            lane.allowed = 1
            lane.resume_at = now + lane.patience.next()

    def _distrust(self, error: SealError) -> None:
        self.stats.bad_answers[error.kind] += 1
        self.stats.last_error = f"an answer is not to be believed ({error})"
        if self.stats.bad_answers[error.kind] == 1:
            log.warning("an answer from the broker is not to be believed (%s)", error)

    # Events for the record

    async def _declare_missing(self) -> None:
        """What the cluster has lost and retention has taken here: sign the leaves, so that the hole is proven."""
        for lane in self._lanes:
            while lane.missing:
                run = _run(lane.missing)
                await self._declare(lane.stream, run)
                del lane.missing[: len(run)]

    async def _declare(self, stream: Stream, run: list[tuple[int, bytes]]) -> None:
        data = {
            "stream": stream,
            "first": run[0][0],
            "last": run[-1][0],
            "leaves": [leaf for _, leaf in run],
            "reason": "lost by the cluster when the gateway no longer kept it",
        }
        await self._tell_once(f"deleted {stream} {run[0][0]}", "deleted", data)

    async def _tell_once(self, key: str, kind: str, data: dict[str, Any]) -> bool:
        """Record an event unless one with this key has been recorded since the start; whether it was."""
        if key in self._told:
            return False
        await self._tell(kind, data)
        self._told.add(key)
        return True

    async def _tell(self, kind: str, data: dict[str, Any]) -> None:
        await self._on_event(Event(kind, self._clock().boot_ms, data))


def _run(missing: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """The first unbroken run of sequences, of a length that fits one event."""
    first = missing[0][0]
    return [pair for place, pair in enumerate(missing[:LEAVES_PER_EVENT]) if pair[0] == first + place]
