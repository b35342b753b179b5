"""What there is: sensors in the air and units on the wires, as the running gateway hears them, and serial ports."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firmware_interfaces.modbus.model import list_models, load_model
from gateway.acquire.worker import BusWorker
from gateway.commissioning.line import line_data
from gateway.commissioning.ports import serial_ports
from gateway.control import Handler
from gateway.onsite import Onsite

if TYPE_CHECKING:
    from firmware_interfaces.ble.sensors import Sensor
    from gateway.acquire.ear import Ear
    from gateway.commissioning.lookout import Lookout

__all__ = ["Desk"]

Request = Mapping[str, Any]


class Desk:
    """The orders ``commission.see``, ``.ports`` and ``.models``."""

    def __init__(self, onsite: Onsite) -> None:
        self._gateway = onsite.gateway
        self.lookout: Lookout | None = None
        self._modbus: list[dict[str, Any]] | None = None
        """What the model files say, once somebody has asked."""

    def handlers(self) -> dict[str, Handler]:
        """By the name of the order."""
        return {"commission.see": self._see, "commission.ports": self._ports, "commission.models": self._models}

    async def close(self) -> None:
        """Stop listening with an adapter of our own."""
        if self.lookout is not None:
            await self.lookout.close()

    async def _see(self, request: Request) -> Mapping[str, Any]:
        """``air`` may be false: then nobody begins to listen."""
        if self._gateway.acquire.air and self.lookout is not None:
            # The site has come to listen by itself meanwhile: an adapter has one owner.
            await self.lookout.close()
            self.lookout = None
        return {
            "buses": [self._bus(worker) for worker in self._gateway.acquire.workers],
            "ports": await self._port_list(),
            "air": self._air() if request.get("air", True) else None,
        }

    async def _ports(self, _: Request) -> Mapping[str, Any]:
        return {"ports": await self._port_list()}

    async def _port_list(self) -> list[dict[str, Any]]:
        site = self._gateway.site
        holders = [(bus.device, bus.id) for bus in site.buses if bus.device]
        holders += [(scanner.device, scanner.id) for scanner in site.scanners]
        # By the device itself: a site file names it by a path that stays, which is a link to it.
        used = await asyncio.to_thread(lambda: {str(Path(device).resolve()): name for device, name in holders})
        ports = await asyncio.to_thread(serial_ports)
        for port in ports:
            port["bus"] = used.get(f"/dev/{port['name']}")
        return ports

    # wires

    def _bus(self, worker: BusWorker) -> dict[str, Any]:
        spec = next((bus for bus in self._gateway.site.buses if bus.id == worker.stats.id), None)
        return {
            **(line_data(spec) if spec is not None else {"id": worker.stats.id, "type": worker.stats.kind}),
            "connected": worker.stats.connected,
            "fault": "" if worker.stats.connected else worker.stats.last_fault,
            "devices": [
                {
                    "id": poller.spec.id,
                    "unit": poller.device.unit,
                    "model": poller.spec.model_name,
                    "answers": not poller.breaker.open and poller.stats.scans > 0,
                    "fault": poller.stats.last_fault if poller.breaker.open else "",
                    "points": self._points_of(poller.spec.id),
                }
                for poller in worker.pollers
            ],
        }

    def _points_of(self, device: str) -> list[str]:
        return [point.name for point in self._gateway.site.points if point.device == device]

    # the air

    def _air(self) -> dict[str, Any]:
        now = asyncio.get_running_loop().time()
        ears = [(worker.stats.id, worker.ear) for worker in self._gateway.acquire.air]
        states = [
            f"{worker.stats.id}: {'listening' if worker.stats.connected else worker.stats.last_fault or 'starting'}"
            for worker in self._gateway.acquire.air
        ]
        if not ears:
            lookout = self._own()
            ears, states = [("", lookout.ear)], [lookout.words]
        sensors: list[dict[str, Any]] = []
        for bus, ear in ears:
            sensors += [self._sensor(bus, sensor, now) for sensor in ear.look(now).known.values()]
        return {
            "states": states,
            "since_s": max((now - ear.since for _, ear in ears if ear.since is not None), default=None),
            "reports": sum(ear.reports for _, ear in ears),
            "foreign": sum(_foreign(ear) for _, ear in ears),
            "sensors": sorted(
                sensors, key=lambda sensor: (sensor["device"] is not None, -(sensor["rssi"] or -999))
            ),
        }

    def _own(self) -> "Lookout":
        """The adapter that nobody uses: listened to while somebody looks."""
        from gateway.commissioning.lookout import Lookout

        if self.lookout is None or self.lookout.over:
            self.lookout = Lookout()
        return self.lookout

    def _sensor(self, bus: str, sensor: "Sensor", now: float) -> dict[str, Any]:
        from firmware_interfaces.ble.models import model_of

        model = model_of(sensor.formats)
        devices = [device.id for device in self._gateway.site.devices if device.address == sensor.address]
        adapter = max(sensor.rssi, key=lambda name: sensor.rssi[name], default="")
        return {
            "bus": bus,
            "address": sensor.address,
            "name": sensor.name,
            "model": None if model is None else model.id,
            "title": "no readings yet" if model is None else model.title,
            "not_for_ccp": model is not None and model.not_for_ccp,
            "rssi": sensor.rssi.get(adapter),
            "adapter": adapter,
            "age_s": round(now - sensor.last_heard, 1),
            "heard": sensor.heard,
            "measurements": sensor.measurements,
            "fault": sensor.last_fault,
            "values": [
                {
                    "key": reading.key,
                    "value": reading.value,
                    "decimals": reading.decimals,
                    "unit": reading.unit,
                    "severity": reading.quality.severity,
                    "words": reading.quality.words,
                }
                for decoded in sensor.formats.values()
                for reading in decoded.readings
            ],
            "device": devices[0] if devices else None,
        }

    # what it could be

    async def _models(self, _: Request) -> Mapping[str, Any]:
        """All models by which a device can be read: of those that are asked, and of those that are heard."""
        own = sorted({device.model for device in self._gateway.site.devices if device.model.endswith(".toml")})
        if self._modbus is None:
            self._modbus = await asyncio.to_thread(lambda: [_asked(name) for name in list_models()])
        more = await asyncio.to_thread(lambda: [_asked(name) for name in own])
        return {"modbus": [*self._modbus, *more], "ble": _heard_models()}


def _asked(name: str) -> dict[str, Any]:
    model = load_model(name)
    return {
        "id": name,
        "title": model.title,
        "maker": model.maker,
        "channels": [{"key": one.key, "title": one.title, "unit": one.unit} for one in model.channels.values()],
        "baud": model.link.baud,
        "parity": model.link.parity,
        "stop_bits": model.link.stop_bits,
    }


def _heard_models() -> list[dict[str, Any]]:
    from firmware_interfaces.ble.models import MODELS

    return [
        {
            "id": model.id,
            "title": model.title,
            "not_for_ccp": model.not_for_ccp,
            "channels": [
                {"key": key, "title": key.replace("_", " "), "unit": one.unit}
                for key, one in model.channels.items()
            ],
        }
        for model in MODELS.values()
    ]


def _foreign(ear: "Ear") -> int:
    return 0 if ear.everything is None else ear.everything.foreign
