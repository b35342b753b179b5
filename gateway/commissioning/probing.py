"""Asking on a wire: which units answer, which model fits one, what a model reads from it."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firmware_interfaces.errors import BadFrame, DeviceRefused, NoAnswer, NotConnected
from firmware_interfaces.modbus.device import UNIT_BEHIND_GATEWAY_IS_SILENT, ModbusDevice
from firmware_interfaces.modbus.link import Link, data_size, read_request
from firmware_interfaces.modbus.model import DeviceModel, list_models, load_model
from firmware_interfaces.modbus.survey import marks_borne
from gateway.commissioning.line import (
    CONNECT_S,
    NETWORK,
    line_of,
    model_of_request,
    open_line,
    patience_s,
    whole,
    worker_of,
)
from gateway.commissioning.trial import frames_data, take_reading, verdict
from gateway.control import Handler
from gateway.errors import OperatorError
from gateway.jobs import Job
from gateway.logbook.fields import Fields
from gateway.onsite import Onsite, fields_of
from gateway.site import BusSpec

if TYPE_CHECKING:
    from firmware_interfaces.ble.sensors import Sensor
    from gateway.commissioning.lookout import Lookout

__all__ = ["Desk"]

WALK_TIMEOUT_S = 0.2
MOST_READINGS = 20
FRAMES_SHOWN = 40
GENERIC = "generic-"
"""Models so named fit whatever has registers: they are no guess."""
BEST = 5
SETTLE_S = 0.05
LISTEN_S = 120.0
"""How long a sensor that is only heard may take for a reading."""

Request = Mapping[str, Any]


class Desk:
    """The orders ``commission.walk``, ``.guess`` and ``.try``: each begins a job."""

    def __init__(self, onsite: Onsite) -> None:
        self._onsite = onsite
        self._gateway = onsite.gateway

    def handlers(self) -> dict[str, Handler]:
        """By the name of the order."""
        return {"commission.walk": self._walk, "commission.guess": self._guess, "commission.try": self._try}

    # which units there are

    async def _walk(self, request: Request) -> Mapping[str, Any]:
        """``bus`` or ``connection``, ``first``, ``last`` (unit ids), ``timeout_s`` for each."""
        fields = fields_of(request)
        bus = line_of(fields, self._gateway)
        first, last = whole(fields, "first", 1, 247, 1), whole(fields, "last", 1, 247, 247)
        timeout_s = _timeout(fields, min(WALK_TIMEOUT_S, patience_s(self._gateway, bus)))
        fields.done()
        if last < first:
            raise fields.wrong("last", f"is below {first}", "give the lower unit id first")

        async def work(job: Job) -> Mapping[str, Any]:
            return await self._walked(job, bus, range(first, last + 1), timeout_s)

        title = f"looking for units {first} to {last} on {_name(bus)}"
        return self._onsite.jobs.begin("walk", title, _name(bus), work, last - first + 1).of(request)

    async def _walked(self, job: Job, bus: BusSpec, units: range, timeout_s: float) -> Mapping[str, Any]:
        worker = worker_of(self._gateway, bus)
        known = {} if worker is None else {poller.device.unit: poller for poller in worker.pollers}
        async with open_line(self._gateway, bus) as link:
            for unit in units:
                if (poller := known.get(unit)) is not None:
                    answers = poller.stats.scans > 0 and not poller.breaker.open
                    why = "" if answers else f": {poller.stats.last_fault or 'no answer yet'}"
                    where = {"words": f"in the site file{why}", "device": poller.spec.id}
                    job.found.append({"unit": unit, "answers": answers, **where})
                elif (words := await _asked(link, unit, timeout_s, mine=worker is None)) is not None:
                    job.found.append({"unit": unit, "answers": True, "words": words, "device": None})
                job.done += 1
                job.words = f"unit {unit} asked"
        answering = [one for one in job.found if one["answers"]]
        job.words = f"{len(answering)} of {job.total} unit ids answer"
        return {"bus": bus.id if worker is None else worker.stats.id, "units": list(job.found)}

    # which model fits

    async def _guess(self, request: Request) -> Mapping[str, Any]:
        """``bus`` or ``connection``, ``unit``, ``timeout_s``: every model is tried on one unit."""
        fields = fields_of(request)
        bus = line_of(fields, self._gateway)
        unit = _unit(fields, bus)
        timeout_s = _timeout(fields, patience_s(self._gateway, bus))
        fields.done()
        names = [name for name in list_models() if not name.startswith(GENERIC)]

        async def work(job: Job) -> Mapping[str, Any]:
            return await self._guessed(job, bus, unit, timeout_s, names)

        title = f"looking for the model of unit {unit} on {_name(bus)}"
        return self._onsite.jobs.begin("guess", title, _name(bus), work, len(names)).of(request)

    async def _guessed(
        self, job: Job, bus: BusSpec, unit: int, timeout_s: float, names: list[str]
    ) -> Mapping[str, Any]:
        self._not_polled(bus, unit)
        async with open_line(self._gateway, bus) as link:
            for name in names:
                model = await asyncio.to_thread(load_model, name)
                job.words = f"trying {model.title}"
                with contextlib.suppress(NoAnswer, DeviceRefused, BadFrame):
                    await _rested(link, unit)
                    device = ModbusDevice(link, unit, model)
                    # A mark that the maker documents tells more than any number of values that could be.
                    borne = await marks_borne(device, timeout_s)
                    reading = await take_reading(device, timeout_s) if borne is not None else None
                    if reading is not None and (fit := _fit(model, reading, borne or {})) is not None:
                        job.found.append(fit)
                        job.found.sort(key=lambda one: -one["score"])
                job.done += 1
        best = job.found[:BEST]
        job.words = f"{len(best)} models could be it; the label decides" if best else "no model that is known fits"
        return {"unit": unit, "models": best}

    def _not_polled(self, bus: BusSpec, unit: int) -> None:
        worker = worker_of(self._gateway, bus)
        if worker is not None and any(poller.device.unit == unit for poller in worker.pollers):
            raise OperatorError(f"unit {unit} is in the site file", "its model is known; try that one")

    # what a model reads

    async def _try(self, request: Request) -> Mapping[str, Any]:
        """``bus`` or ``connection``, ``unit``, ``model``; or the ``address`` of a sensor that is heard."""
        fields = fields_of(request)
        readings = whole(fields, "readings", 1, MOST_READINGS, 3)
        address = fields.text("address")
        if address is not None:
            fields.done()
            return self._listen(address.upper(), readings)
        model = await asyncio.to_thread(model_of_request, fields, self._gateway)
        bus = line_of(fields, self._gateway, model.link)
        unit = _unit(fields, bus)
        timeout_s = _timeout(fields, patience_s(self._gateway, bus))
        pause_s = fields.number("pause_s", least=0.0)
        pause_s = 1.0 if pause_s is None else min(pause_s, 60.0)
        fields.done()

        async def work(job: Job) -> Mapping[str, Any]:
            return await self._tried(
                job, bus, unit, model=model, timeout_s=timeout_s, pause_s=min(pause_s or 0.0, 60.0)
            )

        title = f"trying {model.id} on unit {unit} of {_name(bus)}"
        return self._onsite.jobs.begin("try", title, f"{_name(bus)}/{unit}", work, readings).of(request)

    async def _tried(
        self, job: Job, bus: BusSpec, unit: int, *, model: DeviceModel, timeout_s: float, pause_s: float
    ) -> Mapping[str, Any]:
        async with open_line(self._gateway, bus, model.link.min_gap_ms) as link:
            device = ModbusDevice(link, unit, model)
            try:
                while job.done < job.total:
                    if job.done:
                        await asyncio.sleep(pause_s)
                    await _rested(link, unit)
                    job.found.append(await take_reading(device, timeout_s))
                    job.done += 1
            finally:
                # In a failure they are what there is to see.
                job.result = {"frames": frames_data(link.frames[-FRAMES_SHOWN:], link.time())}
            found = verdict(model, job.found)
            job.words = found["words"]
            return {**job.result, "model": model.id, "unit": unit, **found}

    # a sensor that is heard

    def _listen(self, address: str, readings: int) -> Mapping[str, Any]:
        sensor = self._sensor(address)
        if sensor is None:
            raise OperatorError(f"{address} has not been heard", "look at what is in the air first: commission.see")

        async def work(job: Job) -> Mapping[str, Any]:
            return await self._listened(job, address)

        title = f"listening to {address}"
        return self._onsite.jobs.begin("try", title, address, work, readings).of({"address": address})

    def _sensor(self, address: str) -> "Sensor | None":
        lookout: Lookout | None = self._onsite.desk("gateway.commissioning.sight").lookout
        ears = [worker.ear for worker in self._gateway.acquire.air] + ([lookout.ear] if lookout is not None else [])
        for ear in ears:
            if ear.everything is not None and (sensor := ear.everything.known.get(address)) is not None:
                return sensor
        return None

    async def _listened(self, job: Job, address: str) -> Mapping[str, Any]:
        from firmware_interfaces.ble.models import model_of

        seen = -1
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LISTEN_S):
                while job.done < job.total:
                    sensor = self._sensor(address)
                    if sensor is not None and sensor.measurements > max(seen, 0):
                        seen = sensor.measurements
                        job.found.append(_heard(sensor))
                        job.done += 1
                    await asyncio.sleep(SETTLE_S)
        sensor = self._sensor(address)
        model = None if sensor is None else model_of(sensor.formats)
        if not job.done:
            why = (sensor and sensor.last_fault) or "nothing new was heard of it"
            raise OperatorError(f"{address}: {why}", "see its battery and distance; an encrypted one needs its key")
        job.words = f"{job.done} readings heard"
        return {"address": address, "model": None if model is None else model.id, "fits": "fits", "marks": []}


def _heard(sensor: "Sensor") -> dict[str, Any]:
    return {
        "rssi": max(sensor.rssi.values(), default=None),
        "channels": [
            {
                "key": reading.key,
                "title": reading.key.replace("_", " "),
                "value": reading.value,
                "text": "no value" if reading.value is None else f"{reading.value:.{reading.decimals}f}",
                "unit": reading.unit,
                "decimals": reading.decimals,
                "quality": int(reading.quality),
                "severity": reading.quality.severity,
                "words": reading.quality.words,
                "raw": None,
                "marks": [],
            }
            for decoded in sensor.formats.values()
            for reading in decoded.readings
        ],
    }


async def _asked(link: Link, unit: int, timeout_s: float, *, mine: bool) -> str | None:
    """What a unit says when it is asked for one register; None where nobody is."""
    try:
        pdu = await link.request(unit, read_request(3, 0, 1), data_size(3, 1), timeout_s)
    except NoAnswer:
        return None
    except DeviceRefused as error:
        return None if error.code in UNIT_BEHIND_GATEWAY_IS_SILENT else f"answers: {error.words}"
    except BadFrame as error:
        return f"a damaged answer: two devices with this id, or another speed ({error})"
    except NotConnected as error:
        if not mine:
            what = f"the other side hung up when unit {unit} was asked"
            raise OperatorError(f"{what} ({error})", "the walk ends here, lest the polls suffer") from error
        await link.open(CONNECT_S)
        return None
    return f"answers: holding register 0 is {int.from_bytes(pdu[2:4], 'big')}"


async def _rested(link: Link, unit: int) -> None:
    """Wait until an answer that came too late can come no more."""
    wait_s = link.ready_at(unit) - link.time()
    if wait_s > 0:
        await asyncio.sleep(wait_s + SETTLE_S)


def _fit(model: DeviceModel, reading: Mapping[str, Any], borne: Mapping[str, object]) -> dict[str, Any] | None:
    """How well a model fits: the share of its channels that have a good value, and one for each of its marks that
    the unit has ``borne``; None where it does not.
    """
    found = verdict(model, [reading])
    good = sum(channel["severity"] == "good" for channel in reading["channels"])
    if found["fits"] == "no" or not good:
        return None
    score = good / len(reading["channels"]) * (1.0 if found["fits"] == "fits" else 0.5)
    return {
        "model": model.id,
        "title": model.title,
        "score": round(score + len(borne), 3),
        "words": found["words"],
        "marks": found["marks"],
        "channels": [
            {key: channel[key] for key in ("key", "text", "unit", "words")} for channel in reading["channels"][:6]
        ],
    }


def _timeout(fields: Fields, default_s: float) -> float:
    value = fields.number("timeout_s", least=0.02)
    return min(default_s if value is None else value, 10.0)


def _unit(fields: Fields, bus: BusSpec) -> int:
    low, high = (0, 255) if bus.kind in NETWORK else (1, 247)
    unit = whole(fields, "unit", low, high)
    if 247 < unit < 255:
        raise fields.wrong("unit", f"is {unit}", "a unit id is 1 to 247 (0 and 255 too on Modbus TCP)")
    return unit


def _name(bus: BusSpec) -> str:
    if bus.id != "new":
        return bus.id
    return bus.device or f"{bus.host}:{bus.port}"
