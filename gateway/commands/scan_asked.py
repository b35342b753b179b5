"""Sensors in the air that say nothing themselves but can be asked: each is asked once, over a connection."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from firmware_interfaces.ble.decoders.dispatch import full_uuid
from firmware_interfaces.ble.gatt.central import Central
from firmware_interfaces.ble.models import MODELS, BleModel
from firmware_interfaces.ble.sensors import Sensor
from firmware_interfaces.errors import BadFrame, BusError

__all__ = ["OFFERS", "Answered", "ask_all"]

OFFERS: Mapping[str, str] = {full_uuid(0x181A): "gatt-environmental", full_uuid(0x1809): "gatt-thermometer"}
"""Models by the service that a sensor offers; a sensor with both is taken for the first."""
WAIT_S = 120.0
CONNECT_S, READ_S = 15.0, 15.0


@dataclass(slots=True)
class Answered:
    """One sensor: what it said (as a frame of ``sensor``), or ``why`` it said nothing."""

    sensor: Sensor
    model: BleModel
    why: str = ""


async def ask_all(in_the_air: Mapping[str, Sensor], adapter: str) -> list[Answered]:
    """Ask all of these senders that offer a service which is known, a few at a time, over ``adapter``.

    One that somebody is connected to is left alone: ending our connection would end the other's, too.
    """
    central = Central()
    try:
        offers = await central.offers([adapter])
        asked = []
        for address, sensor in in_the_air.items():
            offer = offers.get(address)
            name = next((name for uuid, name in OFFERS.items() if offer and uuid in offer.services), None)
            if offer is not None and name is not None:
                one = Answered(sensor, MODELS[name])
                one.why = "somebody is connected to it" if offer.connected else ""
                asked.append(one)
        await asyncio.gather(*(_ask(central, one, adapter) for one in asked if not one.why))
    except BusError:
        # Whoever cannot reach bluetoothd could not listen either, which is said.
        return []
    finally:
        central.close()
    return asked


async def _ask(central: Central, one: Answered, adapter: str) -> None:
    assert one.model.reader is not None
    address = one.sensor.address
    try:
        async with central.linked(address, [adapter], wait_s=WAIT_S, connect_s=CONNECT_S) as link:
            async with asyncio.timeout(READ_S):
                decoded, _ = await one.model.reader().read(link, _Everything())
            one.sensor.formats[decoded.format] = decoded
            one.sensor.measurements += 1
    except TimeoutError:
        one.why = f"it sent nothing within {READ_S:g} s"
    except (BusError, BadFrame) as error:
        one.why = str(error)


class _Everything(frozenset[str]):
    """All channels, whatever their names."""

    def __contains__(self, _: object) -> bool:
        return True
