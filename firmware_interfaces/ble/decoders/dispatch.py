"""From an advertisement to its decoders, by one look into a table: what is foreign costs next to nothing."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from firmware_interfaces.ble.decoders import (
    bluemaestro,
    bthome,
    combustion,
    eddystone,
    efento,
    ela,
    minew,
    pvvx,
    ruuvi,
    sig,
    teltonika,
)
from firmware_interfaces.ble.decoders.consumer import govee, mibeacon, qingping, thermobeacon
from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context, Decoded

__all__ = ["BY_COMPANY", "BY_SERVICE", "Decoder", "Outcome", "decode_advert", "full_uuid", "short_uuid"]

Decoder = Callable[[bytes, Context], Decoded]
Outcome = Decoded | AdvertFault

BASE_UUID = "0000{:04x}-0000-1000-8000-00805f9b34fb"
NO_CONTEXT = Context()


def full_uuid(short: int) -> str:
    """A 16-bit UUID as Bluetooth stacks write it (Core Specification, Vol 3, Part B, section 2.5.1)."""
    return BASE_UUID.format(short)


def short_uuid(uuid: str) -> int | None:
    """The 16-bit number of a UUID, None where it has none."""
    short = uuid[4:8]
    try:
        number = int(short, 16)
    except ValueError:
        return None
    return number if uuid.lower() == full_uuid(number) else None


BY_COMPANY: dict[int, Decoder] = {
    ruuvi.COMPANY: ruuvi.decode,
    ela.COMPANY: ela.decode,
    efento.COMPANY: efento.decode,
    minew.COMPANY: minew.decode,
    bluemaestro.COMPANY: bluemaestro.decode,
    combustion.COMPANY: combustion.decode,
    teltonika.COMPANY: teltonika.decode,
    0xEC88: govee.decode_ec88,
    0x8801: govee.decode_8801,
    govee.BORROWED: govee.decode_borrowed,
    **dict.fromkeys(thermobeacon.COMPANIES, thermobeacon.decode),
}

BY_SERVICE: dict[int, Decoder] = {
    bthome.SERVICE: bthome.decode,
    eddystone.SERVICE: eddystone.decode,
    pvvx.SERVICE: pvvx.decode,
    minew.SERVICE: minew.decode_service,
    qingping.SERVICE: qingping.decode,
    mibeacon.SERVICE: mibeacon.decode,
    0x2A6E: sig.decode_temperature,
    0x2A6F: sig.decode_humidity,
    0x2A6D: sig.decode_pressure,
    0x2A19: sig.decode_battery,
    0x180F: sig.decode_battery,
}

_BY_UUID: dict[str, Decoder] = {full_uuid(short): decoder for short, decoder in BY_SERVICE.items()}


class _Tables(NamedTuple):
    company: dict[int, Decoder]
    uuid: dict[str, Decoder]


TABLES = _Tables(BY_COMPANY, _BY_UUID)


def decode_advert(
    manufacturer: Mapping[int, bytes],
    service: Mapping[str, bytes],
    context: Context = NO_CONTEXT,
    tables: _Tables = TABLES,
) -> list[Outcome]:
    """What an advertisement says, one outcome for each part that a decoder knows; empty for a foreign one.

    ``manufacturer`` is payload by company id, ``service`` data by the full UUID in lower case.
    """
    companies, uuids = tables
    outcomes: list[Outcome] = []
    for company in manufacturer:
        if company in companies:
            try:
                outcomes.append(companies[company](manufacturer[company], context))
            except AdvertFault as fault:
                outcomes.append(fault)
    for uuid in service:
        if uuid in uuids:
            try:
                outcomes.append(uuids[uuid](service[uuid], context))
            except AdvertFault as fault:
                outcomes.append(fault)
    return outcomes
