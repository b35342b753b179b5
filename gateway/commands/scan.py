"""`aurora-gateway scan`: which sensors are in the air, what they say, and their lines for the site file."""

import argparse
import asyncio
import contextlib
import json
import re
import sys
from dataclasses import dataclass, field
from typing import Any

from firmware_interfaces.ble.bluez import Report
from firmware_interfaces.ble.ladder import Ladder, Step
from firmware_interfaces.ble.models import RSSI, BleModel, model_of
from firmware_interfaces.ble.scanner import RadioState, Scanner
from firmware_interfaces.ble.sensors import News, Sensor, Sensors
from firmware_interfaces.extra import extra
from gateway.commands.decode import as_json
from gateway.commands.scan_asked import Answered, ask_all

__all__ = ["Heard", "listen", "scan_ble", "site_lines"]

PERIOD = "1min"
BUS = "air"


@dataclass(slots=True)
class Heard:
    """What a scan brought."""

    sensors: Sensors
    states: list[tuple[RadioState, str]] = field(default_factory=list)
    adapter: str = ""
    passive: bool = False
    reports: int = 0
    others: dict[str, Sensor] = field(default_factory=dict)
    """Senders whose advertisements say nothing, by address."""
    asked: list[Answered] = field(default_factory=list)
    """Those of them that offer a service by which they can be asked."""

    @property
    def known(self) -> list[Sensor]:
        """The sensors, strongest first."""
        found = [*self.sensors.known.values(), *(one.sensor for one in self.asked)]
        return sorted(found, key=lambda sensor: -max(sensor.rssi.values(), default=-999))

    def model(self, sensor: Sensor) -> BleModel | None:
        """The model of one of the sensors; None where it is not known."""
        found = model_of(sensor.formats)
        return found or next((one.model for one in self.asked if one.sensor is sensor), None)

    def why(self, sensor: Sensor) -> str:
        """Why a sensor that was to be asked has not answered; empty where it has."""
        return next((one.why for one in self.asked if one.sensor is sensor), "")


def scan_ble(arguments: argparse.Namespace) -> int:
    """Listen, then print; exit status 0 when a sensor was heard, 1 when none was, 2 when nobody could listen."""
    extra()
    mode = "active" if arguments.active else "auto"
    heard = asyncio.run(listen(arguments.seconds, arguments.adapter, mode, ask=not arguments.no_connect))
    if not any(state is RadioState.SCANNING for state, _ in heard.states):
        state, words = heard.states[-1] if heard.states else (RadioState.IDLE, "")
        print(f"aurora-gateway scan: {state.words}" + (f" ({words})" if words else ""), file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps([_sensor_json(heard, sensor) for sensor in heard.known], indent=2))
    else:
        _print(heard)
    return 0 if heard.known else 1


async def listen(seconds: float, adapter: str | None, mode: Any, *, ask: bool = True) -> Heard:
    """Listen for so long; then, unless it is not to ``ask``, ask those that do not speak by themselves."""
    news: list[News] = []
    heard = Heard(Sensors(news.append))

    def report(report: Report, now: float) -> None:
        heard.reports += 1
        heard.sensors.report(report, now)
        other = heard.others.setdefault(report.address, Sensor(report.address))
        other.name = report.name or other.name
        other.heard += 1
        if report.rssi is not None:
            other.rssi[report.adapter] = report.rssi

    def state(state: RadioState, words: str) -> None:
        heard.states.append((state, words))
        if state is RadioState.SCANNING:
            heard.adapter, heard.passive = scanner.scanning_with, scanner.passive

    def step(_: Step, __: str) -> None:
        """A scan by hand is too short for the ladder."""

    scanner = Scanner(
        report,
        adapter=adapter,
        mode=mode,
        everybody=ask,
        on_state=state,
        on_step=step,
        ladder=Ladder(silence_s=max(seconds, 60.0)),
    )
    listening = asyncio.create_task(scanner.run())
    try:
        await asyncio.wait([listening], timeout=seconds)
        if listening.done():
            listening.result()
        for address in heard.sensors.known:
            heard.others.pop(address, None)
        if ask and heard.adapter:
            # Scanning goes on: BlueZ soon forgets whom it does not hear.
            heard.asked = await ask_all(heard.others, heard.adapter)
    finally:
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening
    return heard


def _print(heard: Heard) -> None:
    way = "passively" if heard.passive else "actively"
    known = heard.known
    print(
        f"{heard.adapter}, {way}: {len(known)} sensor{'' if len(known) == 1 else 's'}, "
        f"{heard.reports} reports, {heard.sensors.foreign} of them foreign"
    )
    for sensor in known:
        model = heard.model(sensor)
        name = "no readings" if model is None else model.title + (" (not for CCPs)" if model.not_for_ccp else "")
        print(f"\n{sensor.address}  {max(sensor.rssi.values(), default=0):4} dBm  {name}  {sensor.name}".rstrip())
        for format_, decoded in sensor.formats.items():
            values = ", ".join(
                f"{reading.key} {reading.value:g} {reading.unit}".rstrip()
                if reading.value is not None
                else f"{reading.key}: {reading.quality.words}"
                for reading in decoded.readings
            )
            print(f"    {format_}: {values}")
        for fault in (sensor.last_fault, heard.why(sensor)):
            if fault:
                print(f"    {fault}")
    lines = [line for sensor in known if (model := heard.model(sensor)) for line in site_lines(sensor, model)]
    if lines:
        print("\n# For the site file:")
        print("\n".join([*bus_lines(heard.adapter), *lines]))


def bus_lines(adapter: str) -> list[str]:
    """The table of the adapter."""
    return ["[[bus]]", f'id = "{BUS}"', 'type = "ble"', f'adapters = ["{adapter}"]']


def site_lines(sensor: Sensor, model: BleModel) -> list[str]:
    """The table of a sensor: with the channels that it was heard to have, and its signal strength. Of one that was
    asked and did not answer, all that its model may have, which the lines say."""
    keys = dict.fromkeys(reading.key for decoded in sensor.formats.values() for reading in decoded.readings)
    channels = [key for key in keys or model.channels if key in model.channels and key != RSSI.key]
    unsure = [] if keys else ["# It did not answer: strike out the channels that it does not have."]
    tail = sensor.address.replace(":", "")[-4:].lower()
    channel_list = ", ".join(f'"{key}"' for key in [*channels, RSSI.key])
    ident = re.sub(r"[^a-z0-9-]+", "-", f"{model.id}-{tail}")
    return [
        "",
        "[[device]]",
        f'id = "{ident}"',
        f'bus = "{BUS}"',
        f'model = "{model.id}"',
        f'address = "{sensor.address}"',
        f'period = "{PERIOD}"',
        *unsure,
        f"channels = [{channel_list}]",
    ]


def _sensor_json(heard: Heard, sensor: Sensor) -> dict[str, Any]:
    model = heard.model(sensor)
    return {
        "address": sensor.address,
        "name": sensor.name,
        "model": None if model is None else model.id,
        "rssi": sensor.rssi,
        "heard": sensor.heard,
        "measurements": sensor.measurements,
        "faults": sensor.faults,
        "last_fault": sensor.last_fault or heard.why(sensor),
        "frames": [as_json(decoded) for decoded in sensor.formats.values()],
    }
