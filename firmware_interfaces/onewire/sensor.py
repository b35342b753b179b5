"""1-wire sensors as devices that are asked: one on each address, all on one master."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from firmware_interfaces.asked import Introduction
from firmware_interfaces.errors import BadFrame, NoAnswer
from firmware_interfaces.fileline import FileChannel, FileLine, FileModel, FileReading, Found
from firmware_interfaces.onewire.address import family_of
from firmware_interfaces.onewire.master import ROOT, Master
from firmware_interfaces.onewire.scratchpad import Temperature, decode
from firmware_interfaces.quality import Quality

__all__ = ["CODES", "MODELS", "OneWireLine", "OneWireSensor", "model_for"]

SLOWEST_S = 1.0
"""A conversion and its reading, at the highest resolution: what a time limit must allow even after quick answers
(of several sensors that converted together, only the first one waits)."""
TEMPERATURE = FileChannel("temperature", "degC", 4, "Temperature")
COLD_JUNCTION = FileChannel("cold_junction", "degC", 4, "Temperature of the chip, where the thermocouple ends")


def _model(id_: str, title: str, source: str, *channels: FileChannel) -> FileModel:
    return FileModel(id_, title, source, {channel.key: channel for channel in channels})


W1_THERM = "Documentation/w1/slaves/w1_therm.rst"
MODELS: dict[str, FileModel] = {
    model.id: model
    for model in (
        _model("ds18b20", "DS18B20 1-wire thermometer", f"DS18B20 data sheet 19-7487; {W1_THERM}", TEMPERATURE),
        _model("ds18s20", "DS18S20 1-wire thermometer", f"DS18S20 data sheet; {W1_THERM}", TEMPERATURE),
        _model("ds1822", "DS1822 1-wire thermometer", f"DS1822 data sheet; {W1_THERM}", TEMPERATURE),
        _model("ds1825", "DS1825 1-wire thermometer", f"DS1825 data sheet; {W1_THERM}", TEMPERATURE),
        _model("ds28ea00", "DS28EA00 1-wire thermometer", f"DS28EA00 data sheet; {W1_THERM}", TEMPERATURE),
        _model(
            "max31850",
            "MAX31850 thermocouple on 1-wire",
            f"MAX31850 data sheet; {W1_THERM}",
            TEMPERATURE,
            COLD_JUNCTION,
        ),
    )
}
CODES = {"ds18s20": 0x10, "ds1822": 0x22, "ds18b20": 0x28, "ds1825": 0x3B, "max31850": 0x3B, "ds28ea00": 0x42}
"""Family code of the addresses of each model."""


def model_for(address: str, pad: bytes | None = None) -> str:
    """The model of an address; ``pad`` tells the two apart that share a family code."""
    code = family_of(address)
    if code == CODES["max31850"] and pad is not None and pad[4] & 0x80:
        return "max31850"
    return next(name for name, known in CODES.items() if known == code)


class OneWireLine(FileLine):
    """One master of the kernel."""

    __slots__ = ("master",)

    def __init__(self, master: str = "w1_bus_master1", root: Path = ROOT) -> None:
        self.master = Master(master, root)
        super().__init__("onewire", str(self.master), self.master.open)


class OneWireSensor:
    """One sensor. Its address is the kernel's name for it (`kernel_name`)."""

    unit = 0

    def __init__(self, line: OneWireLine, address: str, model: FileModel, channels: Sequence[str] = ()) -> None:
        self.line = line
        self.address = address
        self.model = model
        self.channels = tuple(model.channels[key] for key in channels or model.channels)

    def forget_refusals(self) -> None:
        """Nothing is remembered."""

    async def probe(self, timeout_s: float) -> None:
        """Whether the kernel still has it. Raises `NoAnswer`."""
        path = self.line.master.root / self.address

        def there() -> None:
            if not path.is_dir():
                raise NoAnswer(f"{self.address} is not on {self.line.master}")

        await self.line.ask(f"{self.address}?", there, timeout_s)

    async def poll(self, timeout_s: float) -> FileReading:
        """One conversion, or one's share in the conversion of all. Raises `BusError`."""
        started = asyncio.get_running_loop().time()
        master = self.line.master
        pad = await self.line.ask(self.address, lambda: master.read(self.address, timeout_s), timeout_s)
        ended = asyncio.get_running_loop().time()
        self.line.heard(ended, pad)
        temperature, cold = decode(family_of(self.address), pad)
        if (cold is not None) is not (self.model.id == "max31850"):
            raise BadFrame(f"{self.address} is a {model_for(self.address, pad)}, not a {self.model.id}", pad)
        if temperature.quality == Quality.BAD_FRAME:
            raise BadFrame(f"{self.address}: {temperature.words}", pad)
        found = {TEMPERATURE.key: temperature, COLD_JUNCTION.key: cold}
        return FileReading.of(
            [_found(found[channel.key]) for channel in self.channels], pad, max(ended - started, SLOWEST_S)
        )

    async def introduce(self, timeout_s: float) -> AsyncIterator[Introduction]:
        """Its address, resolution, conversion time and power. Raises `BusError`."""
        master = self.line.master
        facts = await self.line.ask(f"{self.address} facts", lambda: master.facts(self.address), timeout_s)
        yield Introduction("identity", {"address": self.address})
        yield Introduction(
            "audit",
            {
                "resolution_bits": facts.resolution_bits,
                "conversion_ms": facts.conversion_ms,
                "external_power": facts.external_power,
                "bulk_conversion": master.bulk,
            },
        )


def _found(temperature: Temperature | None) -> Found:
    if temperature is None:
        return Found(None, Quality.NOT_SUPPORTED)
    return Found(*temperature)
