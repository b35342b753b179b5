"""From a device that was found to its lines in the site file, and the first readings that prove them."""

import asyncio
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from firmware_interfaces.modbus.model import DeviceModel
from gateway.assess.sentences import duration
from gateway.commissioning.line import MODBUS, line_data, line_of, model_of_request, place_of, whole
from gateway.commissioning.names import HEARD_S, free_id, suggest_period
from gateway.commissioning.profiles import choices
from gateway.commissioning.trial import value_text
from gateway.commissioning.watching import LOOK_S, latest
from gateway.control import Handler
from gateway.errors import OperatorError
from gateway.jobs import Job
from gateway.logbook.fields import Fields
from gateway.model import Quality, Scan
from gateway.onsite import Onsite, fields_of
from gateway.site import BusSpec

__all__ = ["Desk"]

MOST_SCANS = 50
PERIODS_WAITED = 10
SHORTEST_WAIT_S = 30.0

Request = Mapping[str, Any]


class _Made(NamedTuple):
    """What a draft is made of: edits, ids of bus and device, channels with units, notes, and the period with its
    reason."""

    edits: list[Any]
    ids: dict[str, Any]
    channels: dict[str, str]
    notes: list[str]
    suggested: dict[str, Any]


class Desk:
    """The orders ``commission.profiles``, ``.draft`` and ``.first``."""

    def __init__(self, onsite: Onsite) -> None:
        self._onsite = onsite
        self._gateway = onsite.gateway

    def handlers(self) -> dict[str, Handler]:
        """By the name of the order."""
        return {
            "commission.profiles": self._profiles,
            "commission.draft": self._draft,
            "commission.first": self._first,
        }

    async def _profiles(self, request: Request) -> Mapping[str, Any]:
        """``unit``: those in it come first."""
        fields = fields_of(request)
        unit = fields.text("unit") or ""
        fields.done()
        return {"profiles": await asyncio.to_thread(choices, self._file(), unit)}

    def _file(self) -> Path | None:
        return Path(self._gateway.site.source) if self._gateway.site.source else None

    # the lines for the site file

    async def _draft(self, request: Request) -> Mapping[str, Any]:
        """``edits`` for the order ``site.propose``: a device with a point, and its bus where that is new.

        ``name`` is the point's; ``bus`` or ``connection`` with ``unit``, or ``address`` of a sensor that is heard;
        ``model``, ``channel`` (of the point), ``channels``, ``profile``, ``critical``, ``group``, ``period_s``, and
        ``bus_id``, ``device_id``, ``point_id`` where what is suggested does not please. ``device`` instead of all
        that gives one that is there already another point.
        """
        fields = fields_of(request)
        name = fields.text("name", need="give the place its name, as people call it") or ""
        site = self._gateway.site
        device = fields.known("device", [one.id for one in site.devices], "device")
        made = await self._device(fields, name) if device is None else self._there_already(device)
        point, notes = self._point(fields, name, made.ids["device"], made.channels)
        fields.done()
        return {
            "edits": [*made.edits, {"op": "add", "path": ["point"], "values": point}],
            "ids": {**made.ids, "point": point["id"]},
            **made.suggested,
            "notes": [*made.notes, *notes],
            "reason": f"commissioning of {name}",
        }

    def _there_already(self, device: str) -> "_Made":
        spec = next(one for one in self._gateway.site.devices if one.id == device)
        suggested = {"period_s": spec.period_ms / 1000, "period_why": "as it is", "load": None}
        return _Made([], {"bus": None, "device": device}, self._channels_of(device), [], suggested)

    async def _device(self, fields: Fields, name: str) -> "_Made":
        address = fields.text("address")
        if address is not None:
            return self._heard(fields, name, address.upper())
        model = await asyncio.to_thread(model_of_request, fields, self._gateway)
        bus = line_of(fields, self._gateway, model.link)
        unit = whole(fields, "unit", 0, 255)
        edits, bus_id = self._bus(fields, bus)
        channels = _chosen(fields, {key: one.unit for key, one in model.channels.items()})
        period_s, why, load = await self._period(fields, bus, bus_id, model, list(channels))
        device = self._named(fields, "device_id", name, [one.id for one in self._gateway.site.devices], "device")
        values: dict[str, Any] = {"id": device, "bus": bus_id, "model": fields.text("model"), "unit": unit}
        values["period_s"] = int(period_s) if period_s == int(period_s) else period_s
        if len(channels) < len(model.channels):
            values["channels"] = list(channels)
        edits.append({"op": "add", "path": ["device"], "values": values})
        ids = {"bus": bus_id, "device": device}
        return _Made(edits, ids, channels, [], {"period_s": period_s, "period_why": why, "load": load})

    def _heard(self, fields: Fields, name: str, address: str) -> "_Made":
        from firmware_interfaces.ble.models import MODELS, RSSI

        if not re.fullmatch(r"(?:[0-9A-F]{2}:){5}[0-9A-F]{2}", address):
            raise fields.wrong("address", f"is {address!r:.40}", "write it as CB:B8:33:4C:88:4F")
        site, model_id = self._gateway.site, fields.known("model", MODELS, "Bluetooth model", need="name a model")
        model = MODELS[model_id or ""]
        known = [bus.id for bus in site.buses if bus.kind == "ble"]
        bus = fields.known("bus", known, "Bluetooth bus") or next(iter(known), None)
        edits: list[Any] = []
        if bus is None:
            bus = self._named(fields, "bus_id", "air", [one.id for one in site.buses], "air")
            values: dict[str, Any] = {"id": bus, "type": "ble"}
            if (adapter := fields.text("adapter")) is not None:
                values["adapters"] = [adapter]
            edits.append({"op": "add", "path": ["bus"], "values": values})
        channels = _chosen(fields, {key: one.unit for key, one in model.channels.items()}, need=True)
        device = self._named(fields, "device_id", name, [one.id for one in site.devices], "sensor")
        period_s = fields.number("period_s", least=0.1) or HEARD_S
        wanted = list(dict.fromkeys([*channels, RSSI.key]))
        values = {"id": device, "bus": bus, "model": model.id, "address": address}
        values |= {"period_s": int(period_s) if period_s == int(period_s) else period_s, "channels": wanted}
        if (key_file := fields.text("key_file")) is not None:
            values["key_file"] = key_file
        edits.append({"op": "add", "path": ["device"], "values": values})
        notes = (
            [f"nobody answers for the format of a {model.title}: no critical point"] if model.not_for_ccp else []
        )
        suggested = {"period_s": period_s, "period_why": "a sensor that speaks by itself", "load": None}
        return _Made(edits, {"bus": bus, "device": device}, channels, notes, suggested)

    def _bus(self, fields: Fields, bus: BusSpec) -> tuple[list[Any], str]:
        """The bus of the site file that has this line, or the edit that adds it."""
        site = self._gateway.site
        for known in site.buses:
            if known.id == bus.id or (known.kind in MODBUS and place_of(known) == place_of(bus)):
                return [], known.id
        taken = [one.id for one in site.buses]
        ident = self._named(fields, "bus_id", "line" if bus.device else bus.host, taken, "bus")
        return [{"op": "add", "path": ["bus"], "values": {**line_data(bus), "id": ident}}], ident

    @staticmethod
    def _named(fields: Fields, field: str, name: str, taken: list[str], otherwise: str) -> str:
        given = fields.text(field)
        if given is None:
            return free_id(name, taken, otherwise)
        if given in taken:
            raise fields.wrong(field, f"is {given!r:.40}, and there is one of that id", "choose another one")
        return given

    async def _period(
        self, fields: Fields, bus: BusSpec, bus_id: str, model: DeviceModel, channels: list[str]
    ) -> tuple[float, str, float | None]:
        site = self._gateway.site
        on_it = [device for device in site.devices if device.bus == bus_id]
        models = self._gateway.models
        others = [(one, found) for one in on_it if isinstance(found := models.get(one.model), DeviceModel)]
        spec = next((known for known in site.buses if known.id == bus_id), bus)
        suggested = suggest_period(spec, model, channels, others, longest_s=self._longest_s(fields))
        given = fields.number("period_s", least=0.1)
        return suggested if given is None else (given, "as you say", suggested[2])

    def _longest_s(self, fields: Fields) -> float | None:
        """The longest time between two values that the profile of the request allows."""
        profile = fields.text("profile")
        content = next((one for one in choices(self._file()) if one["id"] == profile), None)
        times = [] if content is None else [_seconds(content[key]) for key in ("interval", "stale")]
        return min((one for one in times if one is not None), default=None)

    # the point

    def _point(
        self, fields: Fields, name: str, device: str, channels: Mapping[str, str]
    ) -> tuple[dict[str, Any], list[str]]:
        site = self._gateway.site
        default = next((key for key, unit in channels.items() if unit == "degC"), next(iter(channels)))
        channel = fields.known("channel", channels, f"channel of {device}") or default
        known = {one["id"]: one for one in choices(self._file(), channels[channel])}
        profile = fields.known("profile", known, "profile")
        critical, group = fields.flag("critical"), fields.text("group")
        ident = self._named(fields, "point_id", name, [one.id for one in site.points], "point")
        values: dict[str, Any] = {"id": ident, "name": name, "channel": f"{device}.{channel}"}
        notes = []
        if critical:
            values["critical"] = True
            notes.append("until it has a calibration, the values of a critical point are marked uncertain")
        if profile is not None:
            values["profile"] = profile
            unit, its = known[profile]["unit"], channels[channel]
            if unit != its:
                notes.append(f"profile {profile} is in {unit or 'no unit'}, and {channel} in {its or 'none'}")
        else:
            notes.append("without a profile it is recorded, and not judged")
        if group is not None:
            values["group"] = group
        if any(point.name == name for point in site.points):
            notes.append(f"there is a point called {name} already")
        return values, notes

    def _channels_of(self, device: str) -> dict[str, str]:
        (layout,) = (one for one in self._gateway.acquire.layout.devices if one.id == device)
        return {column.channel: column.unit for column in layout.columns if column.role == "value"}

    # first readings

    async def _first(self, request: Request) -> Mapping[str, Any]:
        """``device``, ``scans``: waits for so many in which every channel has a value."""
        fields = fields_of(request)
        pollers = {poller.spec.id: poller for poller in self._gateway.acquire.pollers}
        device = fields.known("device", pollers, "device in use", need="name a device") or ""
        scans = whole(fields, "scans", 1, MOST_SCANS, 5)
        fields.done()
        period_s = pollers[device].layout.period_ms / 1000

        async def work(job: Job) -> Mapping[str, Any]:
            return await self._first_scans(job, device, max(SHORTEST_WAIT_S, PERIODS_WAITED * scans * period_s))

        return self._onsite.jobs.begin("first", f"first readings of {device}", device, work, scans).of(request)

    async def _first_scans(self, job: Job, device: str, wait_s: float) -> Mapping[str, Any]:
        last: Scan | None = latest(self._gateway, device)
        job.words = "waiting for its next scan"
        try:
            async with asyncio.timeout(wait_s):
                while job.done < job.total:
                    scan = latest(self._gateway, device)
                    if scan is not None and scan is not last:
                        last = scan
                        good = self._look_at(job, device, scan)
                        job.done += good
                        job.words = f"{job.done} of {len(job.found)} scans good"
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            poller = next((one for one in self._gateway.acquire.pollers if one.spec.id == device), None)
            why = (poller and poller.stats.last_fault) or job.words
            what = f"{device}: {job.done} good scans in {duration(wait_s * 1000)}: {why}"
            raise OperatorError(what, "try the device with its model, and see the frames") from None
        job.words = f"{job.done} good scans of {len(job.found)}"
        return {"device": device, "good": job.done, "seen": len(job.found)}

    def _look_at(self, job: Job, device: str, scan: Scan) -> bool:
        (layout,) = (one for one in self._gateway.acquire.layout.devices if one.id == device)
        channels = []
        for column, value, mark in zip(layout.columns, scan.values, scan.quality, strict=True):
            known = None if math.isnan(value) else value
            channels.append(
                {
                    "key": column.channel,
                    "role": column.role,
                    "value": known,
                    "text": value_text(known, column.decimals),
                    "unit": column.unit,
                    "decimals": column.decimals,
                    "severity": Quality(mark).severity,
                    "words": Quality(mark).words,
                }
            )
        job.found.append({"slot": scan.slot, "at_ms": scan.at_ms, "channels": channels})
        return all(channel["value"] is not None for channel in channels)


def _chosen(fields: Fields, known: Mapping[str, str], *, need: bool = False) -> dict[str, str]:
    """The channels of a request with their units; all of the model's where none are named and none must be."""
    wanted = fields.items("channels")
    channel = fields.text("channel")
    if not wanted and not need:
        return dict(known)
    names = [str(name) for name in (wanted or ([] if channel is None else [channel]))]
    for name in names:
        if name not in known:
            raise fields.wrong("channels", f"names {name!r:.40}", f"there are: {', '.join(known)}")
    if not names:
        raise fields.wrong("channels", "is missing", "name those that the sensor was heard to have")
    if channel is not None and channel not in names:
        names.append(channel)
    return {name: known[name] for name in names if name in known}


def _seconds(text: object) -> float | None:
    """A duration as profiles write it: "15min"."""
    match = re.fullmatch(r"([\d.]+)\s*(s|min|h|d)", text) if isinstance(text, str) else None
    if match is None:
        return None
    return float(match[1]) * {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}[match[2]]
