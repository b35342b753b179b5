"""Requests of people who look at a bus that is in use: they go through its own link, between its polls.

A request is sent only when, even if nobody answers it, it is over before the next poll is due. On RTU a unit that
lets a request time out must rest (`RtuLink.ready_at`): one that is polled is asked only where its rest fits, too.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from firmware_interfaces.errors import BusError, NotConnected
from firmware_interfaces.modbus.limits import TICK_S
from firmware_interfaces.modbus.link import Frame, Link
from gateway.errors import OperatorError

__all__ = ["FRAMES_KEPT", "GuestLink", "Guests", "Request"]

MARGIN_S = 0.03
"""Spared before the next poll: what the loop itself may take."""
PATIENCE_S = 30.0
"""How long a request waits for room between the polls."""
FRAMES_KEPT = 4096


@dataclass(slots=True, eq=False, kw_only=True)
class Request:
    """What a guest asks of ``unit``: ``send`` does it, and is over within ``needed_s`` even if nobody answers.

    ``rest_s`` is for how long the unit may not be asked again after that; ``patience_s`` how long the request waits
    for room.
    """

    unit: int
    send: Callable[[], Awaitable[bytes]]
    needed_s: float
    rest_s: float = 0.0
    patience_s: float = PATIENCE_S


class _Asked(NamedTuple):
    request: Request
    answer: "asyncio.Future[bytes]"


class Guests:
    """The waiting requests of one bus. ``wake`` rouses its worker from its nap."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.widest_s = 0.0
        """The longest time between two polls that was seen while somebody waited."""
        self.served = 0
        self._wake = wake
        self._waiting: deque[_Asked] = deque()

    @property
    def waiting(self) -> int:
        """How many requests wait for room."""
        return len(self._waiting)

    async def ask(self, request: Request) -> bytes:
        """What ``send`` gives, when its turn has come.

        Raises what that raises, and `OperatorError` when the polls leave no room in time.
        """
        asked = _Asked(request, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        self._wake()
        try:
            async with asyncio.timeout(request.patience_s):
                return await asked.answer
        except TimeoutError:
            if asked not in self._waiting:
                raise OperatorError("the bus does not come to an end with a request", "see its state") from None
            raise OperatorError(
                f"the polls of this bus leave no room: at most {self.widest_s:.2f} s between two of them, and "
                f"{request.needed_s + request.rest_s:.2f} s are needed",
                "give a shorter time limit, or try when the bus is less busy",
            ) from None
        finally:
            if asked in self._waiting:
                self._waiting.remove(asked)

    async def serve(self, free_s: float, polled_in_s: Callable[[int], float]) -> bool:
        """Send the first request that fits into ``free_s`` seconds; false when none does.

        ``polled_in_s`` says how soon a unit's own poll is due.
        """
        self.widest_s = max(self.widest_s, free_s)
        for asked in self._waiting:
            own_s = polled_in_s(asked.request.unit)
            if free_s >= asked.request.needed_s and (math.isinf(own_s) or own_s >= asked.request.rest_s):
                break
        else:
            return False
        self._waiting.remove(asked)
        await self._send(asked)
        # Lets the one who asked go on: who walks along the units asks for the next one at once.
        await asyncio.sleep(0)
        return True

    async def _send(self, asked: _Asked) -> None:
        outcome: bytes | BusError
        try:
            outcome = await asked.request.send()
        except BusError as error:
            outcome = error
        except BaseException:
            _fail(asked, NotConnected("the bus was given up"))
            raise
        self.served += 1
        if isinstance(outcome, BusError):
            _fail(asked, outcome)
        elif not asked.answer.done():
            asked.answer.set_result(outcome)


def _fail(asked: _Asked, error: BusError) -> None:
    if not asked.answer.done():
        asked.answer.set_exception(error)


class GuestLink(Link):
    """A running Modbus bus as a link of its own, for whoever reads a device by its model (`ModbusDevice`)."""

    def __init__(self, link: Link, guests: Guests, patience_s: float = PATIENCE_S) -> None:
        super().__init__(frames_kept=FRAMES_KEPT)
        self.kind = link.kind
        self._host = link
        self._guests = guests
        self._patience_s = patience_s

    def __str__(self) -> str:
        return str(self._host)

    @property
    def connected(self) -> bool:
        """Whether the bus is."""
        return self._host.connected

    def time(self) -> float:
        """As the bus counts it."""
        return self._host.time()

    def ready_at(self, unit: int) -> float:
        """As of the bus."""
        return self._host.ready_at(unit)

    async def open(self, timeout_s: float) -> None:  # noqa: ARG002 - the bus connects by itself
        """Nothing to do where the bus is connected; raises `NotConnected` where it is not."""
        if not self._host.connected:
            raise NotConnected(f"{self._host}: not connected")

    def close(self) -> None:
        """Nothing: the bus goes on."""

    async def request(self, unit: int, pdu: bytes, size: int, timeout_s: float) -> bytes:
        """As `Link.request`, in the idle time of the bus."""
        host, frames = self._host, list[Frame]()
        if not host.connected:
            raise NotConnected(f"{host}: not connected")

        async def send() -> bytes:
            began = host.time()
            try:
                return await host.request(unit, pdu, size, timeout_s)
            finally:
                frames.extend(frame for frame in host.frames if frame.at >= began)

        asked = Request(
            unit=unit,
            send=send,
            needed_s=timeout_s + host.gap_s + TICK_S + MARGIN_S,
            rest_s=0.0 if host.kind == "tcp" else 2 * getattr(host, "limit_s", 0.0),
            patience_s=self._patience_s,
        )
        try:
            return await self._guests.ask(asked)
        except OperatorError:
            if not host.connected:
                raise NotConnected(f"{host}: connection lost") from None
            raise
        finally:
            self._frames.extend((frame.at, frame.sent, frame.data) for frame in frames)
