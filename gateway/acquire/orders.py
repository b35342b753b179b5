"""Writes to devices by order of a person: the only way in which this gateway changes anything on a bus.

A write needs three consents: the model's (which channels, within which limits), the site file's (``write`` of the
device), and a person's, with a reason. The order is on record before anything is sent, its outcome after; a gateway
that cannot record does not write.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from firmware_interfaces.errors import BusError
from firmware_interfaces.modbus.device import ModbusDevice
from firmware_interfaces.modbus.encode import NotWritable, write_request
from firmware_interfaces.modbus.nouns import Channel
from firmware_interfaces.modbus.write import Written, before_write, write_once
from gateway.acquire.poller import Poller
from gateway.acquire.worker import BusWorker
from gateway.errors import OperatorError
from gateway.model import Event

log = logging.getLogger(__name__)

__all__ = ["KIND", "DeviceOrders"]

KIND = "device.write"
LONGEST_TEXT = 500
END_S = 3.0
"""How long a gateway that stops waits for an order that is under way."""


class _Place(NamedTuple):
    """Where a write goes."""

    worker: BusWorker
    poller: Poller
    device: ModbusDevice
    channel: Channel


class DeviceOrders:
    """Takes the orders of the control socket. ``store`` commits an event: true once it is on disk."""

    def __init__(
        self,
        workers: Callable[[], Iterable[BusWorker]],
        *,
        store: Callable[[Event], Awaitable[bool]],
        now_ms: Callable[[], int],
    ) -> None:
        self._workers = workers
        self._store = store
        self._now_ms = now_ms
        self._under_way: set[asyncio.Task[Mapping[str, Any]]] = set()
        self._closed = False

    async def close(self) -> None:
        """The gateway ends: no order is taken any more, and what is under way comes to its end and on record."""
        self._closed = True
        if self._under_way:
            await asyncio.wait(set(self._under_way), timeout=END_S)

    async def write(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write ``value`` to ``channel`` of ``device`` for ``person``, because of ``reason``.

        Raises `OperatorError` where nothing was sent. Whoever asked may go away: what has begun is brought to its
        end and recorded.
        """
        if self._closed:
            raise OperatorError("nothing was written: the gateway is stopping", "order it when it runs again")
        person, reason = _said(request, "person", "who orders it"), _said(request, "reason", "why it is written")
        place = self._place(request)
        poller, channel = place.poller, place.channel
        value = _value(request.get("value"))
        try:
            write_request(channel, value)
        except NotWritable as error:
            raise OperatorError(f"nothing was written: {error}", "see the model: aurora-gateway models") from error
        order = {
            "device": poller.spec.id,
            "channel": channel.key,
            "unit": channel.unit,
            "new": float(value),
            "person": person,
            "reason": reason,
        }
        task = asyncio.create_task(self._carry_out(place, value, order))
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def _carry_out(self, place: _Place, value: Decimal, order: dict[str, Any]) -> Mapping[str, Any]:
        worker, poller, device, channel = place
        limit_s = poller.patience.limit_s
        async with worker.lock:
            try:
                before = await before_write(device, channel, limit_s)
            except BusError as error:
                raise OperatorError(
                    f"nothing was written: the device cannot be read ({error})", "see the status page"
                ) from error
            order |= {"old": before.value, "ordered_ms": self._now_ms()}
            if not await self._store(Event(KIND, order["ordered_ms"], {**order, "result": "ordered"})):
                raise OperatorError("nothing was written: the journal does not take the order", "see its log")
            written = await _sent(device, channel, value, before, limit_s)
        outcome = {"result": written.result, "found": written.found, "words": written.words}
        recorded = await self._store(Event(KIND, self._now_ms(), {**order, **outcome}))
        return {**order, **outcome, "recorded": recorded}

    def _ended(self, task: "asyncio.Task[Mapping[str, Any]]") -> None:
        self._under_way.discard(task)
        if (
            not task.cancelled()
            and (error := task.exception()) is not None
            and not isinstance(error, OperatorError)
        ):
            log.error("an order ended with: %r", error)

    def _place(self, request: Mapping[str, Any]) -> _Place:
        name, key = _said(request, "device", "which device"), _said(request, "channel", "which channel")
        found = [(w, p) for w in self._workers() for p in w.pollers if p.spec.id == name]
        if not found:
            known = ", ".join(p.spec.id for w in self._workers() for p in w.pollers if p.spec.write) or "none"
            raise OperatorError(
                f"there is no device {name!r} that is asked", f"devices that may be written: {known}"
            )
        worker, poller = found[0]
        device = poller.device
        if not isinstance(device, ModbusDevice) or key not in poller.spec.write:
            allowed = ", ".join(poller.spec.write) or "nothing"
            raise OperatorError(
                f"the site file does not allow {key!r} of {name!r} to be written",
                f'it allows {allowed}; add it to write = ["..."] of the device',
            )
        if poller.breaker.open or not worker.link.connected:
            raise OperatorError(f"nothing was written: {name} does not answer at present", "see the status page")
        return _Place(worker, poller, device, device.model.channels[key])


async def _sent(device: ModbusDevice, channel: Channel, value: Decimal, before: Any, limit_s: float) -> Written:
    try:
        return await write_once(device, channel, value, before, limit_s)
    except Exception as error:  # noqa: BLE001 - the order is on record; so must be that its outcome is not known
        return Written("unknown", f"a defect of the gateway: {error!r}")


def _said(request: Mapping[str, Any], name: str, what: str) -> str:
    value = request.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_TEXT:
        raise OperatorError(
            f"nothing was written: it is not said {what}", f"say {name}, in at most {LONGEST_TEXT} signs"
        )
    return value.strip()


def _value(given: object) -> Decimal:
    try:
        value = Decimal(given if isinstance(given, str) else str(given))
    except InvalidOperation:
        value = Decimal("nan")
    if isinstance(given, bool) or not value.is_finite():
        raise OperatorError(f"nothing was written: {given!r} is not a value", "send a number")
    return value
