"""`aurora-gateway decode`: what a captured advertisement says, or why it says nothing, as JSON."""

import argparse
import json
import re
from typing import Any

from firmware_interfaces.ble.advert import Advert, address_bytes, split_advert
from firmware_interfaces.ble.decoders.cipher import KEY_BYTES
from firmware_interfaces.ble.decoders.dispatch import Outcome, decode_advert, full_uuid
from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context
from firmware_interfaces.ble.models import model_of
from firmware_interfaces.extra import extra
from gateway.errors import AuroraError

__all__ = ["as_json", "decode_ble"]

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def decode_ble(arguments: argparse.Namespace) -> int:
    """Print the outcome of each part of the advertisement; exit status 0 with readings, 1 without."""
    extra()
    advert = _advert(arguments)
    context = _context(arguments, advert)
    outcomes = decode_advert(advert.manufacturer, advert.service, context)
    frames = [as_json(outcome) for outcome in outcomes]
    answer: dict[str, Any] = {"frames": frames}
    if not frames:
        answer["fault"] = "foreign"
        answer["words"] = "no decoder is listed for any of its company ids and services"
    print(json.dumps(answer, indent=2))
    return 0 if any(frame.get("readings") for frame in frames) else 1


def as_json(outcome: Outcome) -> dict[str, Any]:
    """One outcome in words of JSON: a reading without a value has null and its quality."""
    if isinstance(outcome, AdvertFault):
        return {"format": outcome.format, "fault": outcome.fault.value, "words": str(outcome)}
    frame: dict[str, Any] = {
        "format": outcome.format,
        "readings": [
            {
                "key": reading.key,
                "value": reading.value,
                "unit": reading.unit,
                "decimals": reading.decimals,
                "quality": reading.quality.name.lower(),
            }
            for reading in outcome.readings
        ],
        "sequence": outcome.sequence,
    }
    model = model_of([outcome.format])
    if model is not None and model.not_for_ccp:
        frame["not_for_ccp"] = True
    for name in ("counter", "identity", "note"):
        value = getattr(outcome, name)
        if value not in {None, ""}:
            frame[name] = value
    return frame


def _advert(arguments: argparse.Namespace) -> Advert:
    if arguments.raw is not None:
        if arguments.manufacturer or arguments.service:
            raise AuroraError("--raw is the whole advertisement; leave out --manufacturer and --service")
        try:
            advert = split_advert(_hex("--raw", arguments.raw))
        except AdvertFault as fault:
            raise AuroraError(f"--raw: {fault}; give all bytes of the advertising data") from fault
    else:
        advert = Advert()
        for text in arguments.manufacturer:
            company, data = _pair("--manufacturer", text, "0x0499=0512FC53...")
            if (number := _number(company)) is None:
                what = f"--manufacturer: {company!r} is not a company id of 16 bits"
                raise AuroraError(f"{what}; write 0x0499=0512FC53...")
            advert.manufacturer[number] = data
        for text in arguments.service:
            uuid, data = _pair("--service", text, "FCD2=4002CA09")
            advert.service[_service(uuid)] = data
    if not advert.manufacturer and not advert.service:
        raise AuroraError("there is nothing to decode; give --manufacturer ID=HEX, --service UUID=HEX or --raw HEX")
    if arguments.name is not None:
        advert.name = arguments.name
    return advert


def _context(arguments: argparse.Namespace, advert: Advert) -> Context:
    address = key = None
    if arguments.address is not None:
        try:
            address = address_bytes(arguments.address)
        except ValueError as error:
            raise AuroraError(f"--address: {error}; write it as CB:B8:33:4C:88:4F") from None
    if arguments.key is not None:
        key = _hex("--key", arguments.key)
        if len(key) != KEY_BYTES:
            raise AuroraError(f"--key: has {len(key)} bytes; a key has {KEY_BYTES}, that is 32 hexadecimal digits")
    return Context(address, key, advert.name)


def _pair(option: str, text: str, example: str) -> tuple[str, bytes]:
    name, found, data = text.partition("=")
    if not found:
        raise AuroraError(f"{option}: {text!r} has no '='; write {example}")
    return name.strip(), _hex(option, data)


def _hex(option: str, text: str) -> bytes:
    plain = re.sub(r"[\s:]|^0[xX]", "", text.strip())
    try:
        return bytes.fromhex(plain)
    except ValueError:
        odd = len(plain) % 2 and re.fullmatch(r"[0-9a-fA-F]*", plain)
        what = f"has {len(plain)} digits, an odd number" if odd else "holds what is no hexadecimal digit"
        raise AuroraError(f"{option}: {text!r} {what}; two digits 0-9, a-f make a byte") from None


def _number(text: str) -> int | None:
    """A number of 16 bits in hexadecimal, with or without 0x."""
    digits = text.lower().removeprefix("0x")
    return int(digits, 16) if re.fullmatch(r"[0-9a-f]{1,4}", digits) else None


def _service(text: str) -> str:
    number = _number(text)
    if number is not None:
        return full_uuid(number)
    if _UUID.fullmatch(text.lower()):
        return text.lower()
    raise AuroraError(f"--service: {text!r} is not a UUID; write FCD2=..., or all 36 characters of the UUID")
