"""One input of a chip: the number that the kernel shows, and what it is in the unit of its kind.

IIO: value = (raw + offset) * scale, or ``_input``, which is that already (Documentation/ABI/testing/sysfs-bus-iio);
hwmon: ``_input`` in thousandths (Documentation/hwmon/sysfs-interface.rst). Calculated exactly, rounded once.
"""

import re
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NamedTuple

from firmware_interfaces.errors import BadFrame, BusError, NoAnswer
from firmware_interfaces.filethread import read_text
from firmware_interfaces.iio.tree import Chip, Subsystem
from firmware_interfaces.quality import Quality

__all__ = ["Kind", "Sample", "kind_of", "list_inputs", "read_input"]


class Kind(NamedTuple):
    """A quantity: its unit here, and what the kernel's number is multiplied with to have it."""

    unit: str
    factor: Decimal


MILLI = Decimal("0.001")
IIO_KINDS = {
    "voltage": Kind("V", MILLI),
    "current": Kind("mA", Decimal(1)),
    "temp": Kind("degC", MILLI),
    "resistance": Kind("ohm", Decimal(1)),
    "humidityrelative": Kind("%RH", MILLI),
    "pressure": Kind("kPa", Decimal(1)),
}
HWMON_KINDS = {
    "in": Kind("V", MILLI),
    "temp": Kind("degC", MILLI),
    "curr": Kind("mA", Decimal(1)),
    "humidity": Kind("%RH", MILLI),
}
IIO_NAME = re.compile(r"(voltage|current|temp|resistance|humidityrelative|pressure)(\d{0,3}(?:-voltage\d{1,3})?)")
HWMON_NAME = re.compile(r"(in|temp|curr|humidity)(\d{1,3})")
NUMBER = re.compile(r"[+-]?\d{1,18}(?:\.\d{1,18})?")


class Sample(NamedTuple):
    """A number in the unit of its kind, None exactly where the quality is bad; ``raw`` is what the kernel said."""

    value: Decimal | None
    quality: Quality
    raw: str
    words: str = ""


def kind_of(subsystem: Subsystem, name: str) -> Kind | None:
    """What an input of this name measures (``voltage0``, ``temp1``); None where no input is called so."""
    match = (IIO_NAME if subsystem == "iio" else HWMON_NAME).fullmatch(name)
    if match is None:
        return None
    return (IIO_KINDS if subsystem == "iio" else HWMON_KINDS)[match[1]]


def list_inputs(subsystem: Subsystem, chip: Chip) -> list[str]:
    """Names of the inputs that a chip has and that can be read here."""
    found = set()
    for path in chip.path.iterdir():
        stem = path.name.removeprefix("in_") if subsystem == "iio" else path.name
        for ending in ("_raw", "_input") if subsystem == "iio" else ("_input",):
            name = stem.removesuffix(ending)
            if name != stem and kind_of(subsystem, name) is not None:
                found.add(name)
    return sorted(found, key=lambda name: (re.sub(r"\d.*", "", name), [int(n) for n in re.findall(r"\d+", name)]))


def read_input(subsystem: Subsystem, chip: Chip, name: str) -> Sample:
    """One reading. Raises `BusError` where the kernel does not give it."""
    kind = kind_of(subsystem, name)
    if kind is None:
        raise ValueError(f"{name} is no input")
    return _iio(chip.path, name, kind) if subsystem == "iio" else _hwmon(chip.path, name, kind)


def _iio(path: Path, name: str, kind: Kind) -> Sample:
    done = path / f"in_{name}_input"
    if done.exists():
        text = read_text(done)
        return Sample(_number(done, text) * kind.factor, Quality.GOOD, f"{done.name}={text.strip()}")
    raw_path = path / f"in_{name}_raw"
    scale = _factor(path, name, "scale")
    offset = _factor(path, name, "offset")
    text = read_text(raw_path)
    raw = _number(raw_path, text)
    said = [f"{raw_path.name}={text.strip()}"]
    if scale is None:
        raise BadFrame(f"{path.name}: {name} has no scale, so its number means nothing", said[0].encode())
    said.append(f"scale={scale}")
    if offset is not None:
        said.append(f"offset={offset}")
    return Sample((raw + (offset or 0)) * scale * kind.factor, Quality.GOOD, " ".join(said))


def _factor(path: Path, name: str, what: str) -> Decimal | None:
    """Scale or offset: of the input itself, or shared by all of its type."""
    kind = re.match(r"[a-z]+", name)
    assert kind is not None
    differential = "-voltage" in name
    shared = f"in_{kind[0]}-{kind[0]}_{what}" if differential else f"in_{kind[0]}_{what}"
    for place in (path / f"in_{name}_{what}", path / shared, path / f"in_{kind[0]}_{what}"):
        if place.exists():
            return _number(place, read_text(place))
    return None


def _hwmon(path: Path, name: str, kind: Kind) -> Sample:
    place = path / f"{name}_input"
    text = read_text(place)
    raw = f"{place.name}={text.strip()}"
    try:
        fault = read_text(path / f"{name}_fault").strip()
    except NoAnswer:
        fault = "0"
    except BusError as error:
        return Sample(None, Quality(error.quality), raw, f"whether {name} is faulty cannot be read: {error}")
    if fault != "0":
        return Sample(None, Quality.SENSOR_FAULT, f"{raw} {name}_fault={fault}", "the chip reports a faulty sensor")
    return Sample(_number(place, text) * kind.factor, Quality.GOOD, raw)


def _number(path: Path, text: str) -> Decimal:
    plain = text.strip()
    if not NUMBER.fullmatch(plain):
        raise BadFrame(f"{path.parent.name}: {path.name} is not a number", text.encode()[:60])
    try:
        return Decimal(plain)
    except InvalidOperation as error:
        raise BadFrame(f"{path.parent.name}: {path.name} is not a number", text.encode()[:60]) from error
