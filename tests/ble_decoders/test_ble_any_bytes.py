"""Whatever is in the air: a decoder raises nothing but its named fault, and never gives a value that is none."""

import math
import os
import random
from collections.abc import Iterator

import pytest
from ble_tools import Decoder
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_interfaces.ble.decoders import combustion, pvvx, ruuvi
from firmware_interfaces.ble.decoders.dispatch import (
    BY_COMPANY,
    BY_SERVICE,
    decode_advert,
    full_uuid,
    short_uuid,
)
from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context, Decoded, Fault
from firmware_interfaces.quality import BAD

DECODERS: dict[str, Decoder] = {
    **{f"company-{company:04x}": decoder for company, decoder in BY_COMPANY.items()},
    **{f"service-{service:04x}": decoder for service, decoder in BY_SERVICE.items()},
    "food-safe": lambda data, _: combustion.decode_food_safe_status(data),
}
CONTEXTS = (Context(), Context(bytes(6), bytes(16)), Context(bytes(range(6))))
FUZZ = int(os.environ.get("BLE_FUZZ", "40000"))
"""Inputs over all decoders; `make fuzz` gives each a million."""

STARTS = """
05 03 06 e1 c5 40 44 41 2000 12 21 32 02050901 04 a101 a103 a303 a401 ca05 ca1b ca03 08 0d 17 1b 29 2a 2b
01b7 0101 01785634
"""


def sound(found: Decoded) -> None:
    """What every answer must be: a number exactly where the quality is not bad."""
    assert len(found.fields) == len(found.values) == len(found.quality)
    for value, mark in zip(found.values, found.quality, strict=True):
        assert math.isnan(value) == (mark >= BAD)
        assert not math.isinf(value)
    assert len({field.key for field in found.fields}) == len(found.fields)
    assert len(found.readings) == len(found.fields)


def attempt(decoder: Decoder, data: bytes, context: Context) -> None:
    try:
        found = decoder(data, context)
    except AdvertFault as fault:
        _ = fault.fault.words
    else:
        sound(found)


def adverts(generator: random.Random, count: int) -> Iterator[bytes]:
    """Random payloads; half of them begin as a known frame does."""
    starts = [bytes.fromhex(start) for start in STARTS.split()]
    for _ in range(count):
        data = generator.randbytes(generator.randrange(42))
        yield generator.choice(starts) + data if generator.random() < 0.5 else data


@pytest.mark.parametrize("name", DECODERS)
@given(data=st.binary(max_size=60), context=st.sampled_from(CONTEXTS))
@settings(max_examples=60, deadline=None)
def test_any_bytes_give_readings_or_the_named_fault(name: str, data: bytes, context: Context) -> None:
    attempt(DECODERS[name], data, context)


def test_fuzz() -> None:
    generator = random.Random(20261124)
    decoders = list(DECODERS.values())
    for number, data in enumerate(adverts(generator, FUZZ)):
        attempt(decoders[number % len(decoders)], data, CONTEXTS[number % 7 % 3])


@given(
    manufacturer=st.dictionaries(st.integers(0, 0xFFFF), st.binary(max_size=40), max_size=3),
    service=st.dictionaries(st.integers(0, 0xFFFF).map(full_uuid), st.binary(max_size=40), max_size=3),
)
@settings(deadline=None)
def test_any_advertisement_is_dispatched(manufacturer: dict[int, bytes], service: dict[str, bytes]) -> None:
    known = sum(company in BY_COMPANY for company in manufacturer) + sum(
        short_uuid(uuid) in BY_SERVICE for uuid in service
    )
    outcomes = decode_advert(manufacturer, service)
    assert len(outcomes) == known


def test_parts_of_one_advertisement_are_answered_one_by_one() -> None:
    outcomes = decode_advert(
        {0x0499: b"\x05", 0x004C: bytes(9)},
        {full_uuid(0x2A6E): b"\x34\x08", full_uuid(0x2A6F): b"\x23", full_uuid(0xFEED): b"\0"},
    )
    fault, temperature, humidity = outcomes
    assert isinstance(fault, AdvertFault)
    assert fault.fault is Fault.TRUNCATED
    assert isinstance(temperature, Decoded)
    assert isinstance(humidity, Decoded)
    assert (temperature.value("temperature"), humidity.value("humidity")) == (21.0, 35.0)
    assert humidity.value("temperature") is None
    assert humidity.battery is None


@pytest.mark.parametrize(
    "uuid", ["6e400001-b5a3-f393-e0a9-e50e24dcca9e", "", "zz", "0000fcd2-0000-1000-8000-00805f9b34fa"]
)
def test_other_uuids_have_no_short_form(uuid: str) -> None:
    assert short_uuid(uuid) is None


def test_nothing_is_kept_from_one_frame_to_the_next() -> None:
    good = bytes.fromhex("0512fc5394c37c0004fffc040cac364200cdcbb8334c884f")
    invalid = bytes.fromhex("058000ffffffff800080008000ffffffffffffffffffffff")
    first, _, last = ruuvi.decode(good), ruuvi.decode(invalid), ruuvi.decode(good)
    assert first == last
    assert all(reading.value is None for reading in ruuvi.decode(invalid).readings)
    for garbage in (b"\x05", b"", bytes(24)):
        with pytest.raises(AdvertFault):
            ruuvi.decode(garbage)


def test_every_fault_has_words() -> None:
    assert all(fault.words for fault in Fault)
    assert str(AdvertFault("pvvx", Fault.FOREIGN)).startswith("pvvx: ")
    with pytest.raises(AdvertFault, match="9 bytes"):
        pvvx.decode(bytes(9))
