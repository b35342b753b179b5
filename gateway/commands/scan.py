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

    @property
    def known(self) -> list[Sensor]:
        """The sensors, strongest first."""
        return sorted(self.sensors.known.values(), key=lambda sensor: -max(sensor.rssi.values(), default=-999))


def scan_ble(arguments: argparse.Namespace) -> int:
    """Listen, then print; exit status 0 when a sensor was heard, 1 when none was, 2 when nobody could listen."""
    extra()
    heard = asyncio.run(listen(arguments.seconds, arguments.adapter, "active" if arguments.active else "auto"))
    if not any(state is RadioState.SCANNING for state, _ in heard.states):
        state, words = heard.states[-1] if heard.states else (RadioState.IDLE, "")
        print(f"aurora-gateway scan: {state.words}" + (f" ({words})" if words else ""), file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps([_sensor_json(sensor) for sensor in heard.known], indent=2))
    else:
        _print(heard)
    return 0 if heard.sensors.known else 1


async def listen(seconds: float, adapter: str | None, mode: Any) -> Heard:
    """Listen for so long."""
    news: list[News] = []
    heard = Heard(Sensors(news.append))

    def report(report: Report, now: float) -> None:
        heard.reports += 1
        heard.sensors.report(report, now)

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
        on_state=state,
        on_step=step,
        ladder=Ladder(silence_s=max(seconds, 60.0)),
    )
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await scanner.run()
    return heard


def _print(heard: Heard) -> None:
    way = "passively" if heard.passive else "actively"
    known = heard.known
    print(
        f"{heard.adapter}, {way}: {len(known)} sensor{'' if len(known) == 1 else 's'}, "
        f"{heard.reports} reports, {heard.sensors.foreign} of them foreign"
    )
    for sensor in known:
        model = model_of(sensor.formats)
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
        if sensor.last_fault:
            print(f"    {sensor.last_fault}")
    lines = [line for sensor in known if (model := model_of(sensor.formats)) for line in site_lines(sensor, model)]
    if lines:
        print("\n# For the site file:")
        print("\n".join([*bus_lines(heard.adapter), *lines]))


def bus_lines(adapter: str) -> list[str]:
    """The table of the adapter."""
    return ["[[bus]]", f'id = "{BUS}"', 'type = "ble"', f'adapters = ["{adapter}"]']


def site_lines(sensor: Sensor, model: BleModel) -> list[str]:
    """The table of a sensor: with the channels that it was heard to have, and its signal strength."""
    keys = dict.fromkeys(reading.key for decoded in sensor.formats.values() for reading in decoded.readings)
    channels = [key for key in keys if key in model.channels]
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
        f"channels = [{channel_list}]",
    ]


def _sensor_json(sensor: Sensor) -> dict[str, Any]:
    model = model_of(sensor.formats)
    return {
        "address": sensor.address,
        "name": sensor.name,
        "model": None if model is None else model.id,
        "rssi": sensor.rssi,
        "heard": sensor.heard,
        "measurements": sensor.measurements,
        "faults": sensor.faults,
        "last_fault": sensor.last_fault,
        "frames": [as_json(decoded) for decoded in sensor.formats.values()],
    }
