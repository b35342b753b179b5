"""How buses and devices do: success, latency, breakers, the last frames and advertisements."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from firmware_interfaces.modbus.link import Link
from gateway.acquire.poller import DURATION_BUCKETS_S, DeviceStats, Poller
from gateway.acquire.worker import BusWorker
from gateway.control import Handler
from gateway.model import Quality
from gateway.onsite import Onsite, fields_of

if TYPE_CHECKING:
    from gateway.acquire.air import AirWorker
    from gateway.acquire.airpoller import AirPoller
    from gateway.acquire.ear import Advert

__all__ = ["Desk"]

SHARES = (0.5, 0.95, 0.99)

Request = Mapping[str, Any]


class Desk:
    """The orders ``diagnose.buses``, ``.frames`` and ``.air``."""

    def __init__(self, onsite: Onsite) -> None:
        self._gateway = onsite.gateway

    def handlers(self) -> dict[str, Handler]:
        """By the name of the order."""
        return {"diagnose.buses": self._buses, "diagnose.frames": self._frames, "diagnose.air": self._air}

    async def _buses(self, _: Request) -> Mapping[str, Any]:
        return self.buses()

    def buses(self) -> dict[str, Any]:
        """All buses with their devices."""
        acquire = self._gateway.acquire
        asked = [self._asked(worker) for worker in acquire.workers]
        return {"buses": asked + [self._heard(worker) for worker in acquire.air]}

    def _asked(self, worker: BusWorker) -> dict[str, Any]:
        link, loop_s = worker.link, asyncio.get_running_loop().time()
        stats = link.stats
        return {
            **_bus(worker),
            "where": str(link),
            "requests": stats.requests,
            "answers": stats.answers,
            "timeouts": stats.timeouts,
            "bad_frames": stats.bad_frames,
            "exceptions": stats.exceptions,
            "late_answers": stats.late_answers,
            "stray_frames": stats.stray_frames,
            "bytes_sent": stats.bytes_sent,
            "bytes_received": stats.bytes_received,
            "success": _share(stats.answers + stats.exceptions, stats.requests),
            "guests": worker.guests.served,
            "devices": [
                {
                    **self._device(poller),
                    "unit": poller.device.unit,
                    "timeout_s": round(poller.patience.timeout_s, 3),
                    "refused": [
                        f"function {refusal.read.function}, {refusal.read.address}: exception {refusal.code}"
                        for refusal in getattr(poller.device, "refusals", ())
                    ],
                    "rests_s": max(0.0, round(link.ready_at(poller.device.unit) - loop_s, 1)),
                }
                for poller in worker.pollers
            ],
        }

    def _heard(self, worker: "AirWorker") -> dict[str, Any]:
        return {
            **_bus(worker),
            "where": "Bluetooth LE",
            "adapters": [
                {
                    "name": scanner.scanning_with or scanner.adapter or "first",
                    "state": scanner.state.words,
                    "passive": scanner.passive,
                    "reports": scanner.reports,
                }
                for scanner in worker.scanners
            ],
            "foreign": worker.sensors.foreign,
            "devices": [{**self._device(poller), **_signal(worker, poller)} for poller in worker.pollers],
        }

    def _device(self, poller: "Poller | AirPoller") -> dict[str, Any]:
        stats, now_ms = poller.stats, self._gateway.clock.now_ms()
        missed = sum(stats.missed.values())
        return {
            "id": poller.spec.id,
            "model": poller.spec.model_name,
            "period_s": poller.layout.period_ms / 1000,
            "scans": stats.scans,
            "missed": missed,
            "success": _share(stats.scans, stats.scans + missed),
            "causes": {Quality(cause).words: count for cause, count in sorted(stats.missed.items())},
            "latency": _latency(stats),
            "late_s": _share(stats.late_s, stats.served),
            "late_max_s": round(stats.late_max_s, 4),
            "breaker": {"open": poller.breaker.open, "opened": poller.breaker.opened},
            "answered_s": None if stats.last_answer_ms is None else (now_ms - stats.last_answer_ms) / 1000,
            "fault": stats.last_fault,
            "defects": stats.defects,
        }

    async def _frames(self, request: Request) -> Mapping[str, Any]:
        """``bus``; ``unit`` and ``limit`` where not all that the ring holds is wanted."""
        fields = fields_of(request)
        workers = {worker.stats.id: worker for worker in self._gateway.acquire.workers}
        name = fields.known("bus", workers, "bus in use", need="name a bus")
        unit, limit = fields.number("unit", least=0), fields.number("limit", least=1)
        fields.done()
        return {"bus": name, "frames": self.frames(workers[name or ""], unit, 64 if limit is None else int(limit))}

    @staticmethod
    def frames(worker: BusWorker, unit: float | None = None, limit: int = 64) -> list[dict[str, Any]]:
        """The last frames of a bus in hex and in words, oldest first."""
        from gateway.diagnostics.frames import plain, take_apart

        now = asyncio.get_running_loop().time()
        if not isinstance(worker.link, Link):
            return [plain(frame).data(now) for frame in worker.link.frames][-limit:]

        channels: dict[int, list[Any]] = {}
        for poller in worker.pollers:
            channels.setdefault(poller.device.unit, []).extend(poller.device.channels)
        told = take_apart(worker.link.kind, worker.link.frames, channels)
        return [one.data(now) for one in told if unit is None or one.unit == unit][-limit:]

    async def _air(self, request: Request) -> Mapping[str, Any]:
        """``device``: the last advertisements of a sensor, with their signal strengths."""
        fields = fields_of(request)
        heard = {
            poller.spec.id: (worker, poller) for worker in self._gateway.acquire.air for poller in worker.pollers
        }
        name = fields.known("device", heard, "sensor that is heard", need="name a device")
        fields.done()
        worker, poller = heard[name or ""]
        return {"device": name, "adverts": adverts(worker, poller)}


def adverts(worker: "AirWorker", poller: "AirPoller") -> list[dict[str, Any]]:
    """The last advertisements of a sensor, oldest first, each with what the decoders make of it."""
    now = asyncio.get_running_loop().time()
    address = poller.spec.address
    return [
        {
            "age_s": round(now - advert.at, 2),
            "adapter": advert.adapter,
            "rssi": advert.rssi,
            "parts": [f"company {company:#06x}: {data.hex(' ')}" for company, data in advert.manufacturer.items()]
            + [f"service {uuid}: {data.hex(' ')}" for uuid, data in advert.service.items()],
            "words": _decoded(worker, address, advert),
        }
        for advert in worker.ear.recent.get(address, ())
    ]


def _decoded(worker: "AirWorker", address: str, advert: "Advert") -> list[str]:
    from firmware_interfaces.ble.advert import address_bytes
    from firmware_interfaces.ble.decoders.dispatch import decode_advert
    from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context

    context = Context(address_bytes(address), worker.keys.get(address))
    words = []
    for outcome in decode_advert(advert.manufacturer, advert.service, context):
        if isinstance(outcome, AdvertFault):
            words.append(str(outcome))
            continue
        values = (
            f"{one.key} {one.value:.{one.decimals}f} {one.unit}".rstrip()
            if one.value is not None
            else f"{one.key}: {one.quality.words}"
            for one in outcome.readings
        )
        words.append(f"{outcome.format}: {', '.join(values)}")
    return words


def _signal(worker: "AirWorker", poller: "AirPoller") -> dict[str, Any]:
    sensor = worker.sensors.known.get(poller.spec.address)
    strengths = [one.rssi for one in worker.ear.recent.get(poller.spec.address, ()) if one.rssi is not None]
    return {
        "address": poller.spec.address,
        "rssi": {} if sensor is None else dict(sensor.rssi),
        "rssi_history": strengths,
        "repeats": 0 if sensor is None else sensor.repeats,
        "replays": 0 if sensor is None else sensor.replays,
        "faults": 0 if sensor is None else sensor.faults,
    }


def _bus(worker: "BusWorker | AirWorker") -> dict[str, Any]:
    stats = worker.stats
    return {
        "id": stats.id,
        "type": stats.kind,
        "connected": stats.connected,
        "connects": stats.connects,
        "lost": stats.lost,
        "fault": stats.last_fault,
    }


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 6) if whole else None


def _latency(stats: DeviceStats) -> dict[str, Any]:
    """Mean and last of the polls in seconds, and within what half, 95 and 99 of a hundred were answered.

    The counts are kept in steps: what is given is the upper end of the step, None beyond the last.
    """
    return {
        "mean_s": _share(stats.poll_s, stats.scans),
        "last_s": round(stats.poll_last_s, 4) if stats.scans else None,
        "within": {f"{share:.0%}": _within(stats.buckets, share) for share in SHARES} if stats.scans else {},
        "steps": list(_steps(stats.buckets)),
    }


def _within(buckets: Sequence[int], share: float) -> float | None:
    wanted, seen = share * sum(buckets), 0
    for count, upper in zip(buckets, (*DURATION_BUCKETS_S, None), strict=True):
        seen += count
        if seen >= wanted:
            return upper
    return None


def _steps(buckets: Sequence[int]) -> Iterator[dict[str, Any]]:
    for count, upper in zip(buckets, (*DURATION_BUCKETS_S, None), strict=True):
        yield {"upto_s": upper, "polls": count}
