"""How many advertisements a core decodes a second; and a million random ones that must not do any harm.

``python -m bench.ble_decoders`` measures (best of several rounds, CPU time); ``--fuzz N`` runs N random inputs
through each decoder instead. The aims: 300 000 a CPU-second of known formats (100 000 encrypted), 1 000 000 foreign
ones.
"""

import argparse
import math
import os
import random
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from firmware_interfaces.ble.decoders.dispatch import BY_COMPANY, BY_SERVICE, Decoder, decode_advert, full_uuid
from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context
from firmware_interfaces.quality import BAD

KNOWN_AIM = 300_000
SEALED_AIM = 100_000
"""Encrypted formats: most of their time is the cipher's."""
FOREIGN_AIM = 1_000_000

KEY = Context(bytes.fromhex("5448E68F80A5"), bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932"))

Advert = tuple[Mapping[int, bytes], Mapping[str, bytes], Context]


def manufacturer(company: int, data: str) -> Advert:
    return {company: bytes.fromhex(data)}, {}, Context()


def service(uuid: int, data: str, context: Context | None = None) -> Advert:
    return {}, {full_uuid(uuid): bytes.fromhex(data)}, context or Context()


KNOWN: dict[str, Advert] = {
    "Ruuvi 5": manufacturer(0x0499, "0512fc5394c37c0004fffc040cac364200cdcbb8334c884f"),
    "Ruuvi 6": manufacturer(0x0499, "06170c5668c79e007000c90501d9ffcd004c884f"),
    "BTHome v2": service(0xFCD2, "400009016102ca0903bf13"),
    "BTHome v2 encrypted": service(0xFCD2, "41a47266c95f730011223378237214", KEY),
    "ELA T": manufacturer(0x0757, "123906"),
    "SIG temperature": service(0x2A6E, "3408"),
    "Eddystone TLM": service(0xFEAA, "20000bb815000000004500000258"),
    "Combustion": manufacturer(0x09C7, "01785634128900da00d70d073305d518741ab8bb800004"),
    "Efento": manufacturer(0x026C, "0205090100002c07803c0001020645c1003d0e8000005d5d"),
    "Minew": service(0xFFE1, "a1016315803200aabbccddeeff"),
    "Blue Maestro": manufacturer(0x0133, "176403841770005f02d2002f0100"),
    "Teltonika EYE": manufacturer(0x089A, "01b708b4120ccb0bffc767"),
    "MiBeacon": service(0xFE95, "5020aa01da219335342d580d1004fe004802"),
    "Govee H5075": manufacturer(0xEC88, "0003215d6400"),
    "pvvx custom": service(0x181A, "b2188d38c1a42b089011f70a43200f"),
}
FOREIGN: dict[str, Advert] = {
    "foreign, manufacturer": manufacturer(0x004C, "1005031c8c1f0e"),
    "foreign, service": service(0xFEED, "30585b0501c4248138c1a4280100"),
}


def rate(advert: Advert, rounds: int = 15, count: int = 10_000) -> float:
    """Advertisements a CPU-second, best round."""
    best = min(timed(decode_advert, advert, count) for _ in range(rounds))
    return count / best


def timed(function: Callable[..., Any], arguments: tuple[Any, ...], count: int) -> float:
    start = time.process_time()
    for _ in range(count):
        function(*arguments)
    return time.process_time() - start


FIRST = [bytes.fromhex(start) for start in ("05", "06", "e1", "40", "41", "2000", "02", "04", "a101", "ca03", "01")]
"""How frames begin that decoders look into."""
NAMED = (KEY, Context(), Context(name="GVH5101_1234"), Context(bytes(6), name="sps"))


def fuzz(decoder: Decoder, count: int, seed: int = 6) -> int:
    """Random payloads to a decoder; returns how many gave readings. Any other exception ends it, and so does
    a value that is not finite with a quality that is not bad.
    """
    generator = random.Random(seed)
    decoded = 0
    for number in range(count):
        data = generator.randbytes(generator.randrange(41))
        if number & 1:
            data = FIRST[number % len(FIRST)] + data
        try:
            found = decoder(data, NAMED[number % len(NAMED)])
        except AdvertFault:
            continue
        decoded += 1
        for value, mark in zip(found.values, found.quality, strict=True):
            if math.isfinite(value) is (mark >= BAD):
                raise AssertionError(f"{found.format}: {value} with quality {mark:#04x} out of {data.hex()}")
    return decoded


def fuzz_all(count: int) -> None:
    """Each decoder with so many inputs."""
    decoders = {f"company 0x{number:04X}": decoder for number, decoder in BY_COMPANY.items()}
    decoders |= {f"service 0x{number:04X}": decoder for number, decoder in BY_SERVICE.items()}
    for name, decoder in decoders.items():
        start = time.process_time()
        decoded = fuzz(decoder, count)
        took = time.process_time() - start
        print(
            f"{name:16} {count} random inputs, {decoded} of them whole frames, no harm done ({took:.1f} s)",
            flush=True,
        )


def _aim(title: str, advert: Advert) -> int:
    if title in FOREIGN:
        return FOREIGN_AIM
    return SEALED_AIM if advert[2].key else KNOWN_AIM


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fuzz", type=int, metavar="N", help="random inputs for each, for example 1000000")
    arguments = parser.parse_args()
    if arguments.fuzz:
        fuzz_all(arguments.fuzz)
        return 0
    missed = 0
    for title, advert in (KNOWN | FOREIGN).items():
        found = rate(advert)
        aim = _aim(title, advert)
        missed += found < aim
        print(f"{title:24} {found:>12,.0f} a CPU-second   aim {aim:>9,}   {'' if found >= aim else 'MISSED'}")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
