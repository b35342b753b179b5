"""Ruuvi: data formats 3 (RAWv1), 5 (RAWv2), C5 (cut RAWv2), 6 and E1 (Ruuvi Air), below company 0x0499.

Source: docs.ruuvi.com, Bluetooth advertisements (github.com/ruuvi/docs). All fields are big-endian. "Not
available" is the largest unsigned and the smallest signed number; format 3 has no such marker.
"""

import math

from firmware_interfaces.ble.decoders.frame import Frame, Quantity, Sequence_, State
from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context, Decoded, Fault
from firmware_interfaces.quality import Quality

__all__ = ["COMPANY", "FRAMES", "decode"]

COMPANY = 0x0499

UNAVAILABLE_16 = (0xFFFF,)
UNAVAILABLE_SIGNED = (0x8000,)


def _temperature_3(data: bytes) -> tuple[float, int]:
    """Format 3: sign and magnitude in byte 2, hundredths in byte 3."""
    whole, hundredths = data[2], data[3]
    if hundredths > 99:
        return math.nan, Quality.OUT_OF_RANGE
    value = ((whole & 0x7F) * 100 + hundredths) / 100
    return (-value + 0.0 if whole & 0x80 else value), Quality.GOOD


def _acceleration(at: int, invalid: tuple[int, ...]) -> list[Quantity]:
    return [
        Quantity(
            key=f"acceleration_{axis}", unit="g", at=at + 2 * place, size=2, signed=True, places=3, invalid=invalid
        )
        for place, axis in enumerate("xyz")
    ]


def _pressure(at: int, invalid: tuple[int, ...] = UNAVAILABLE_16) -> Quantity:
    return Quantity(key="pressure", unit="Pa", at=at, size=2, addend=50000, invalid=invalid)


def _power(at: int) -> list[Quantity]:
    """Battery above 1.6 V in 11 bits, transmission power above -40 dBm in 5."""
    return [
        Quantity(
            key="battery_voltage",
            unit="V",
            at=at,
            size=2,
            shift=5,
            mask=0x7FF,
            addend=1600,
            places=3,
            invalid=(0x7FF,),
        ),
        Quantity(key="tx_power", unit="dBm", at=at, size=2, mask=0x1F, multiplier=2, addend=-40, invalid=(0x1F,)),
    ]


def _climate(states: tuple[State, ...] = ()) -> list[Quantity]:
    """Temperature, humidity and pressure, as 5, C5, 6 and E1 have them."""
    return [
        Quantity(
            key="temperature",
            unit="degC",
            at=1,
            size=2,
            signed=True,
            multiplier=5,
            places=3,
            invalid=UNAVAILABLE_SIGNED,
            states=states,
        ),
        Quantity(
            key="humidity",
            unit="%RH",
            at=3,
            size=2,
            multiplier=25,
            places=4,
            invalid=UNAVAILABLE_16,
            states=states,
        ),
        Quantity(key="pressure", unit="Pa", at=5, size=2, addend=50000, invalid=UNAVAILABLE_16, states=states),
    ]


def _calibrating(flags: int) -> tuple[State, ...]:
    """Bit 0 of the flags: calibration in progress, "sensor data not fully accurate yet"."""
    return (State(flags, 0, 1, ((1, Quality.DEVICE_UNCERTAIN),), Quality.GOOD),)


def _air(flags: int, pm: dict[str, int], co2: int, voc: int) -> list[Quantity]:
    """Particles, CO2, and the two indexes of 9 bits whose lowest bit lies in the flags (6: VOC, 7: NOx)."""
    states = _calibrating(flags)

    def voc_index(data: bytes) -> tuple[float, int]:
        raw = data[voc] << 1 | data[flags] >> 6 & 1
        if raw == 0x1FF:
            return math.nan, Quality.SENSOR_FAULT
        return float(raw), Quality.DEVICE_UNCERTAIN if data[flags] & 1 else Quality.GOOD

    return [
        *(
            Quantity(key=key, unit="ug/m3", at=at, size=2, places=1, invalid=UNAVAILABLE_16, states=states)
            for key, at in pm.items()
        ),
        Quantity(key="co2", unit="ppm", at=co2, size=2, invalid=UNAVAILABLE_16, states=states),
        Quantity(key="voc_index", derive=voc_index),
        Quantity(
            key="nox_index",
            bytes_at=(voc + 1, flags),
            shift=7,
            mask=0x1FF,
            invalid=(0x1FF,),
            states=states,
        ),
    ]


LUX = tuple(round(math.exp(code * math.log(65536) / 254) - 1, 2) for code in range(255))
"""Format 6: luminosity of a code, to the hundredth that the document allows at most."""


def _luminosity_6(data: bytes) -> tuple[float, int]:
    code = data[13]
    if code == 255:
        return math.nan, Quality.SENSOR_FAULT
    return LUX[code], Quality.DEVICE_UNCERTAIN if data[16] & 1 else Quality.GOOD


FRAMES: dict[int, Frame] = {
    3: Frame(
        "ruuvi-3",
        14,
        "big",
        [
            Quantity(key="temperature", unit="degC", places=2, derive=_temperature_3),
            Quantity(key="humidity", unit="%RH", at=1, multiplier=5, places=1),
            _pressure(4, invalid=()),
            *_acceleration(6, invalid=()),
            Quantity(key="battery_voltage", unit="V", at=12, size=2, places=3),
        ],
    ),
    5: Frame(
        "ruuvi-5",
        24,
        "big",
        [
            *_climate(),
            *_acceleration(7, UNAVAILABLE_SIGNED),
            *_power(13),
            Quantity(key="movement_counter", at=15, invalid=(0xFF,)),
        ],
        Sequence_(16, 2, "big", 0xFFFF),
    ),
    0xC5: Frame(
        "ruuvi-c5",
        18,
        "big",
        [*_climate(), *_power(7), Quantity(key="movement_counter", at=9, invalid=(0xFF,))],
        Sequence_(10, 2, "big", 0xFFFF),
    ),
    6: Frame(
        "ruuvi-6",
        20,
        "big",
        [
            *_climate(_calibrating(16)),
            *_air(16, {"pm2_5": 7}, co2=9, voc=11),
            Quantity(key="luminosity", unit="lx", places=2, derive=_luminosity_6),
        ],
        Sequence_(15, 1, "big"),
    ),
    0xE1: Frame(
        "ruuvi-e1",
        40,
        "big",
        [
            *_climate(_calibrating(28)),
            *_air(28, {"pm1": 7, "pm2_5": 9, "pm4": 11, "pm10": 13}, co2=15, voc=17),
            Quantity(
                key="luminosity",
                unit="lx",
                at=19,
                size=3,
                places=2,
                invalid=(0xFFFFFF,),
                states=_calibrating(28),
            ),
        ],
        Sequence_(25, 3, "big", 0xFFFFFF),
    ),
}


def decode(data: bytes, context: Context = Context()) -> Decoded:  # noqa: ARG001, B008 - one shape for all formats
    """Readings of the payload behind the company id."""
    frame = FRAMES.get(data[0]) if data else None
    if frame is None:
        fault = Fault.UNKNOWN_VERSION if data else Fault.TRUNCATED
        raise AdvertFault("ruuvi", fault, f"data format {data[0]}" if data else "empty")
    return frame.decode(data)
