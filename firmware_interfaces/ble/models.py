"""Makes of sensors by name: which formats each sends, and which channels a site file can ask it for."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from firmware_interfaces.ble.decoders import (
    bluemaestro,
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
from firmware_interfaces.ble.decoders.bthome_objects import NUMBERS
from firmware_interfaces.ble.decoders.consumer import govee, mibeacon, qingping, thermobeacon
from firmware_interfaces.ble.decoders.frame import Frame
from firmware_interfaces.ble.decoders.nouns import Field
from firmware_interfaces.ble.gatt.readers import BATTERY, EnvironmentalReader, Reader, ThermometerReader
from firmware_interfaces.ble.gatt.values import ENVIRONMENTAL
from firmware_interfaces.ble.logs.combustion import CombustionLog
from firmware_interfaces.ble.logs.nouns import LogReader
from firmware_interfaces.ble.logs.pvvx import PvvxLog
from firmware_interfaces.ble.logs.ruuvi import RuuviLog
from firmware_interfaces.extra import extra

__all__ = ["MODELS", "RSSI", "BleModel", "model_of"]

RSSI = Field("rssi", "dBm", 0)
"""Signal strength at the gateway: a channel of every model."""

_NUMBERED = re.compile(r"(.+)_([2-9])")


class Channels(dict[str, Field]):
    """Channels by name. Where a frame may have a quantity several times, ``temperature_2`` is one as well."""

    def __init__(self, fields: Mapping[str, Field], *, numbered: bool) -> None:
        super().__init__(fields)
        self._numbered = numbered

    def __missing__(self, key: str) -> Field:
        match = _NUMBERED.fullmatch(key) if self._numbered else None
        if match is None or match[1] == RSSI.key or not dict.__contains__(self, match[1]):
            raise KeyError(key)
        return self[match[1]]._replace(key=key)

    def __contains__(self, key: object) -> bool:
        try:
            return isinstance(key, str) and bool(self[key])
        except KeyError:
            return False


@dataclass(frozen=True, slots=True)
class BleModel:
    """One make. ``formats`` are beginnings of the names that its decoders give; ``source`` is what they rest on."""

    id: str
    title: str
    formats: tuple[str, ...]
    channels: Channels
    source: str
    not_for_ccp: bool = False
    """Whether nobody answers for its format, so that no critical control point may rest on it."""
    reader: Callable[[], Reader] | None = None
    """How it is asked over a connection; None where it is heard."""
    log: Callable[[], LogReader] | None = None
    """How its own memory is read; None where it has none, or none that is documented."""

    @property
    def sha256(self) -> str:
        """Of what the model says, in hexadecimal: for the record of what a value was read by."""
        text = repr((self.id, self.formats, sorted(self.channels.items()), self.source))
        return sha256(text.encode()).hexdigest()

    def sends(self, format_: str) -> bool:
        """Whether a frame of this format is one of its own."""
        return format_.startswith(self.formats)


def _model(
    id_: str,
    title: str,
    formats: tuple[str, ...],
    fields: Iterable[Field],
    source: str,
    *,
    numbered: bool = False,
    not_for_ccp: bool = False,
    reader: Callable[[], Reader] | None = None,
    log: Callable[[], LogReader] | None = None,
) -> BleModel:
    """Channels of all its frames; of two with different decimal places, the finer, which holds both exactly."""
    channels: dict[str, Field] = {}
    for field in (*fields, RSSI):
        known = channels.get(field.key)
        if known is not None and known.unit != field.unit:
            raise ValueError(f"{id_}: {field.key} in {known.unit} and in {field.unit}")
        if known is None or (known.decimals or 0) < (field.decimals or 0):
            channels[field.key] = field
    return BleModel(id_, title, formats, Channels(channels, numbered=numbered), source, not_for_ccp, reader, log)


def _fields(frames: Iterable[Frame]) -> list[Field]:
    return [field for frame in frames for field in frame.fields]


_SIG = [frame for frames in sig.FRAMES.values() for frame in frames]
_EFENTO = [
    *(quantity.field for quantity in efento.SCALED.values()),
    *(kind.field for kind in efento.ZIGZAG.values()),
    Field("battery_low", "", 0),
]


class Models(dict[str, BleModel]):
    """Models by name. One that does not come with the gateway is looked for in other packages, once."""

    def known(self, name: str) -> BleModel | None:
        """A model that is known already."""
        return super().get(name)

    def __missing__(self, name: str) -> BleModel:
        extra()
        if not super().__contains__(name):
            raise KeyError(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        return self.get(name) is not None

    def get(self, name: object, default: Any = None) -> Any:
        """As of any dictionary."""
        try:
            return self[name]  # type: ignore[index]
        except (KeyError, TypeError):
            return default


MODELS: Models = Models(
    {
        model.id: model
        for model in (
            _model(
                "ruuvi-tag",
                "RuuviTag",
                ("ruuvi-3", "ruuvi-5", "ruuvi-c5"),
                _fields(ruuvi.FRAMES[number] for number in (3, 5, 0xC5)),
                "docs.ruuvi.com, data formats 3, 5 and C5",
                log=RuuviLog,
            ),
            _model(
                "ruuvi-air",
                "Ruuvi Air",
                ("ruuvi-6", "ruuvi-e1"),
                _fields(ruuvi.FRAMES[number] for number in (6, 0xE1)),
                "docs.ruuvi.com, data formats 6 and E1",
            ),
            _model(
                "bthome",
                "BTHome v2 sensor (Shelly BLU, b-parasite, own builds)",
                ("bthome-2",),
                (quantity.field for quantity in NUMBERS.values()),
                "bthome.io/format",
                numbered=True,
            ),
            _model(
                "sig",
                "Bluetooth SIG service data (temperature, humidity, pressure, battery)",
                ("sig-",),
                _fields(frame for frame in _SIG if frame.format.startswith("sig-")),
                "Bluetooth GATT Specification Supplement",
            ),
            _model(
                "ela-blue",
                "ELA Innovation Blue Puck and Blue Coin (T, RHT, MAG, MOV, DI, PIR)",
                ("ela-", "sig-"),
                _fields([*ela.FRAMES.values(), *_SIG]),
                "reelyactive advlib-ble-manufacturers; ble_monitor issue 1083",
            ),
            _model(
                "eddystone-tlm",
                "Eddystone beacon with telemetry",
                ("eddystone-tlm",),
                _fields(eddystone.FRAMES),
                "github.com/google/eddystone, tlm-plain.md",
            ),
            _model(
                "combustion-probe",
                "Combustion Predictive Thermometer",
                (combustion.FORMAT,),
                _fields(combustion.FRAMES),
                "github.com/combustion-inc/combustion-documentation, probe_ble_specification.rst",
                log=CombustionLog,
            ),
            _model(
                "efento",
                "Efento logger",
                ("efento-",),
                _EFENTO,
                "reelyactive advlib-ble-manufacturers; docs.efento.io",
                numbered=True,
            ),
            _model(
                "minew",
                "Minew S1, S3, S4, E8, E9 and Connect V3 beacons",
                ("minew-",),
                [
                    *_fields([*minew.SERVICE_FRAMES.values(), *minew.FRAMES.values()]),
                    Field("humidity", "%RH", 8),
                ],
                "reelyactive advlib-ble-services and advlib-ble-manufacturers",
            ),
            _model(
                "blue-maestro",
                "Blue Maestro Tempo Disc",
                ("bluemaestro-",),
                _fields(bluemaestro.FRAMES.values()),
                "Bluetooth-Devices/bluemaestro-ble",
            ),
            _model(
                "teltonika-eye",
                "Teltonika EYE sensor and beacon",
                (teltonika.FORMAT,),
                _fields([teltonika.LAYOUTS.frame(0xFF)]),
                "wiki.teltonika-gps.com, EYE SENSOR / BTSMP1",
            ),
            _model(
                "xiaomi-pvvx",
                "Xiaomi thermometer with the firmware of pvvx or atc1441",
                ("pvvx-", "atc1441"),
                _fields([*pvvx.FRAMES.values(), *pvvx.SEALED.values()]),
                "github.com/pvvx/ATC_MiThermometer",
                log=PvvxLog,
            ),
            _model(
                "gatt-environmental",
                "Sensor with the Environmental Sensing Service, asked over a connection",
                ("gatt-environmental",),
                [*(Field(row.key, row.unit, row.places) for row in ENVIRONMENTAL.values()), BATTERY],
                "Bluetooth Environmental Sensing Service 1.0",
                numbered=True,
                reader=EnvironmentalReader,
            ),
            _model(
                "gatt-thermometer",
                "Thermometer with the Health Thermometer Service, asked over a connection",
                ("gatt-thermometer",),
                [Field("temperature", "degC", None), BATTERY],
                "Bluetooth Health Thermometer Service 1.0; IEEE 11073-20601",
                reader=ThermometerReader,
            ),
            _model(
                "govee",
                "Govee H5051, H507x, H510x, H5177 to H5179",
                ("govee-",),
                _fields(govee.FRAMES.values()),
                "custom-components/ble_monitor; Bluetooth-Devices/govee-ble",
                not_for_ccp=govee.not_for_ccp,
            ),
            _model(
                "thermobeacon",
                "ThermoBeacon hygrometer",
                (thermobeacon.FRAME.format,),
                _fields([thermobeacon.FRAME]),
                "custom-components/ble_monitor",
                not_for_ccp=thermobeacon.not_for_ccp,
            ),
            _model(
                "qingping",
                "Qingping sensor",
                (qingping.FORMAT,),
                (quantity.field for quantities in qingping.OBJECTS.values() for quantity in quantities),
                "custom-components/ble_monitor",
                numbered=True,
                not_for_ccp=qingping.not_for_ccp,
            ),
            _model(
                "xiaomi",
                "Xiaomi sensor with the maker's firmware (MiBeacon)",
                (mibeacon.FORMAT,),
                (quantity.field for quantities in mibeacon.OBJECTS.values() for quantity, _ in quantities),
                "custom-components/ble_monitor; github.com/pvvx/ATC_MiThermometer",
                numbered=True,
                not_for_ccp=mibeacon.not_for_ccp,
            ),
        )
    }
)


def model_of_frame(id_: str, title: str, frame: Frame, source: str) -> BleModel:
    """A model of one frame, of which no critical control point may be a matter until somebody answers for it."""
    return _model(id_, title, (id_,), frame.fields, source, not_for_ccp=True)


def model_of(formats: Iterable[str]) -> BleModel | None:
    """The model that sends all of these formats: the first of the list where several do."""
    wanted = list(formats)
    return next((model for model in MODELS.values() if wanted and all(map(model.sends, wanted))), None)
