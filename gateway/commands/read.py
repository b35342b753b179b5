"""`aurora-gateway read`: one poll of one device, raw registers beside values."""

import argparse
import asyncio
from urllib.parse import urlsplit

from firmware_interfaces.modbus.device import ModbusDevice
from firmware_interfaces.modbus.model import DeviceModel, load_model
from firmware_interfaces.quality import BAD
from gateway.acquire.modbus import make_link
from gateway.commissioning.trial import take_reading
from gateway.errors import AuroraError
from gateway.site import BusSpec

__all__ = ["endpoint", "read_once"]

FRAMES_KEPT = 4096
"""More than one poll of any model takes, with identity and correction registers."""

GOODBYE_S = 0.1
"""TLS is closed by words on both sides; without this time the end of the command cuts them off."""


def endpoint(text: str, default_port: int) -> tuple[str, int]:
    """Host and port of ``HOST[:PORT]``. Raises `AuroraError`."""
    try:
        place = urlsplit(f"//{text}")
        host, port = place.hostname, place.port
    except ValueError:
        host, port = None, None
    if not host or place.netloc != text or "@" in text or port == 0:
        raise AuroraError(f"{text!r} is not HOST:PORT; write for example 10.0.0.20:502 or [fd00::20]:502")
    return host, port or default_port


def _bus(arguments: argparse.Namespace, model: DeviceModel) -> BusSpec:
    if arguments.serial:
        facts = model.link
        return BusSpec(
            id="read",
            kind="modbus-rtu",
            device=arguments.serial,
            baud=arguments.baud or facts.baud or 9600,
            parity=arguments.parity or facts.parity or "N",
            stop_bits=arguments.stop_bits or facts.stop_bits or 1,
        )
    if arguments.tls:
        files = arguments.ca, arguments.certificate, arguments.key
        if None in files:
            raise AuroraError("Modbus over TLS has certificates on both sides: add --ca, --certificate and --key")
        host, port = endpoint(arguments.tls, 802)
        secured = dict(zip(("ca", "certificate", "key"), files, strict=True))
        name = arguments.server_name
        return BusSpec(id="read", kind="modbus-tls", host=host, port=port, server_name=name, **secured)
    kind = "modbus-tcp" if arguments.tcp else "modbus-rtu-over-tcp"
    host, port = endpoint(arguments.tcp or arguments.rtu_over_tcp, 502)
    return BusSpec(id="read", kind=kind, host=host, port=port)  # type: ignore[arg-type]


def read_once(arguments: argparse.Namespace) -> int:
    """Print what the device says; exit status 1 when a channel has no value, 2 when there was no answer."""
    if arguments.onewire or arguments.iio or arguments.hwmon or arguments.board:
        from gateway.commands.read_files import read_files

        return read_files(arguments)
    if not arguments.model:
        raise AuroraError("name the model: --model NAME (aurora-gateway models lists them)")
    from gateway.commands.read_serial import find_serial_model, read_serial

    if (other := find_serial_model(arguments.model)) is not None:
        return read_serial(arguments, other)
    model = load_model(arguments.model)
    if not (1 <= arguments.unit <= 247 or ((arguments.tcp or arguments.tls) and arguments.unit in {0, 255})):
        raise AuroraError(f"unit {arguments.unit}: a Modbus unit id is 1 to 247 (0 and 255 too on Modbus TCP)")
    return asyncio.run(_read(_bus(arguments, model), model, arguments.unit, arguments.timeout))


async def _read(bus: BusSpec, model: DeviceModel, unit: int, timeout_s: float) -> int:
    link = make_link(bus, model.link.min_gap_ms, frames_kept=FRAMES_KEPT)
    try:
        await link.open(timeout_s + 2)
        found = await take_reading(ModbusDevice(link, unit, model), timeout_s)
        for name in ("identity", "corrections"):
            for register in found[name]:
                print(f"{name:12} {register['key']:20} {register['text']}")
    finally:
        for frame in link.frames:
            print(f"{'sent' if frame.sent else 'received':12} {frame.data.hex(' ')}")
        link.close()
        await asyncio.sleep(GOODBYE_S)
    for read in found["reads"]:
        print(f"{read['table']:17} {read['address']}..{read['address'] + read['count'] - 1}: {read['text']}")
    for channel in found["channels"]:
        print(f"{channel['key']:24} {channel['text']:>12} {channel['unit']:6} {channel['words']}")
    return 1 if max(channel["quality"] for channel in found["channels"]) >= BAD else 0
