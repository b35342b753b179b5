"""Models of serial instruments by name: TOML files for those with lines of text, code for the rest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

from firmware_interfaces.errors import ModelError, ModelProblem
from firmware_interfaces.modbus.section import did_you_mean
from firmware_interfaces.serial.meter import METERS, MeterModel
from firmware_interfaces.serial.nmea import CHANNELS, NmeaChannel
from firmware_interfaces.serial.nouns import TextModel
from firmware_interfaces.serial.port import LineSettings
from firmware_interfaces.serial.textfile import read_text_model

__all__ = [
    "GPS",
    "METERS",
    "NmeaModel",
    "SerialModel",
    "list_serial_models",
    "list_text_models",
    "load_meter_model",
    "load_serial_model",
    "settings_of",
]

MODELS = Path(__file__).parent / "models"
SUFFIX = ".toml"


@dataclass(frozen=True, slots=True)
class NmeaModel:
    """A receiver of satellite navigation."""

    id: str = "nmea-gps"
    title: str = "GNSS receiver with NMEA 0183: position, speed"
    maker: str = "all"
    source: str = "NMEA 0183, sentences RMC and GGA with checksum"
    channels: Mapping[str, NmeaChannel] = field(default_factory=lambda: CHANNELS)
    settings: LineSettings = field(default_factory=LineSettings)
    listens: bool = True

    @property
    def sha256(self) -> str:
        """Of what the model says."""
        return sha256(repr((self.id, sorted(CHANNELS.items()), self.source)).encode()).hexdigest()


GPS = NmeaModel()
SerialModel: TypeAlias = TextModel | NmeaModel


def list_text_models() -> list[str]:
    """Names of the models with lines of text that come with the package, sorted."""
    return sorted(path.stem for path in MODELS.glob(f"*{SUFFIX}"))


def list_serial_models() -> list[str]:
    """Names of all models that a bus of type ``serial`` knows, sorted."""
    return sorted([*list_text_models(), GPS.id])


def load_serial_model(name: str) -> SerialModel:
    """A model by its name, or from a file of one's own (a path that ends in .toml). Raises `ModelError`."""
    if name == GPS.id:
        return GPS
    if name.endswith(SUFFIX):
        path = Path(name)
    elif name in list_text_models():
        path = MODELS / f"{name}{SUFFIX}"
    else:
        remedy = did_you_mean(name, list_serial_models())
        raise ModelError(name, [ModelProblem("model", f"there is no serial model {name!r}", remedy)])
    try:
        data = path.read_bytes()
    except OSError as error:
        problem = ModelProblem("file", error.strerror or str(error), "check the path and who may read the file")
        raise ModelError(str(path), [problem]) from error
    return read_text_model(str(path), path.stem, data)


def load_meter_model(name: str) -> MeterModel:
    """A model of a meter on M-Bus. Raises `ModelError`."""
    if name not in METERS:
        remedy = did_you_mean(name, METERS)
        raise ModelError(name, [ModelProblem("model", f"there is no M-Bus model {name!r}", remedy)])
    return METERS[name]


def settings_of(model: SerialModel | MeterModel) -> LineSettings:
    """The settings of the line that an instrument comes with."""
    return model.line.settings if isinstance(model, TextModel) else model.settings
