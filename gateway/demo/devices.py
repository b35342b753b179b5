"""The simulated devices: what each make of controller, transmitter or meter shows of the plant in its registers.

Addresses are those on the wire (from 0). Sources: parameter lists of the manufacturers as collected in public
driver collections (Danfoss EKC 202D and Eliwell IDPlus: wb-mqtt-serial; Eastron SDM120: mbmd; R4DCB08: protocol
document by chmelat/r4dcb08; PTA8C04: lamaplc.com; XY-MD02: domoticx.com; Waveshare DI: product wiki). What a device
answers where these sources are silent (a broken probe of XY-MD02, PTA8C04 and EKC) is said at the place.
"""

import random
import struct
from collections.abc import Callable, Mapping
from typing import NamedTuple

from gateway.demo.modbus_server import DEVICE_FAILURE, Cell, CellError, Registers, Table
from gateway.demo.pasteuriser import Pasteuriser
from gateway.demo.thermal import STEP_S, Mode, Probe, Room

__all__ = [
    "Device",
    "Meter",
    "digital_inputs",
    "ekc202d",
    "idplus",
    "pta8c04",
    "r4dcb08",
    "sdm120",
    "xymd02",
]

NO_SENSOR = 0x8000
"""What R4DCB08 and Eliwell show for a probe that is missing or broken."""


class Sensed(NamedTuple):
    """A probe and the true quantity that it follows."""

    probe: Probe
    true: Callable[[], float]


class Device(Registers):
    """Registers with the probes behind them; ``probes`` are numbered from 1, as on the terminals."""

    def __init__(
        self,
        model: str,
        tables: Mapping[Table, Mapping[int, Cell]],
        probes: tuple[Sensed, ...] = (),
        *,
        max_read: int = 125,
    ) -> None:
        super().__init__(tables, max_read=max_read)
        self.model = model
        self.probes = probes

    def step(self) -> None:
        """Let the probes follow the plant for one step."""
        for probe, true in self.probes:
            probe.step(true())


def word(value: float, scale: float = 10.0) -> int:
    """``value`` as a signed 16-bit register, held at the ends of its range."""
    return max(-0x7FFF, min(0x7FFF, round(value * scale))) & 0xFFFF


def flags(bits: Mapping[int, bool]) -> int:
    """A register with some of its bits set."""
    return sum(1 << bit for bit, on in bits.items() if on)


def float_cells(start: int, value: Callable[[], float]) -> dict[int, Cell]:
    """An IEEE 754 single in two registers, high word first."""

    def half(index: int) -> Callable[[], int]:
        return lambda: int(struct.unpack(">HH", struct.pack(">f", value()))[index])

    return {start: half(0), start + 1: half(1)}


def sensed(rng: random.Random, true: Callable[[], float], *, tau_s: float = 15.0, noise: float = 0.03) -> Sensed:
    """A probe that has already settled at its quantity."""
    return Sensed(Probe(rng, true(), tau_s=tau_s, noise=noise), true)


def reading(item: Sensed, broken: int) -> Callable[[], int]:
    """A register in tenths, ``broken`` while the probe is."""
    probe = item.probe
    return lambda: broken if probe.broken else word(probe.value)


def or_failure(item: Sensed) -> Callable[[], int]:
    """A register in tenths; the device refuses to answer (exception 4) while the probe is broken."""
    probe = item.probe

    def cell() -> int:
        if probe.broken:
            raise CellError(DEVICE_FAILURE)
        return word(probe.value)

    return cell


def ekc202d(room: Room, rng: random.Random) -> Device:
    """Danfoss EKC 202D with EKA 178A: S3 return air, S4 supply air, S5 evaporator, door contact.

    The thermostat uses S3 alone (share of S4 0 %), the door alarm has no delay. A broken probe shows 0.0 and its
    error register: the nastiest thing that it could show, because only the error register tells it from a
    temperature (the source names the error registers and no invalid value).
    """
    s3 = sensed(rng, lambda: room.air_c)
    s4 = sensed(rng, lambda: room.supply_c, tau_s=10.0)
    s5 = sensed(rng, lambda: room.coil_c, tau_s=5.0)
    slow = sensed(rng, lambda: room.air_c, tau_s=600.0)
    spec = room.spec
    cells: dict[int, Cell] = {
        99: word(spec.setpoint_c),
        103: 0,
        104: 0,
        112: 0,
        113: 0,
        122: 0,
        1010: reading(s5, 0),
        1035: lambda: int(room.mode is Mode.DEFROST),
        2002: 232,
        2010: 8452,
        2529: reading(s3, 0),
        2530: reading(s4, 0),
        2531: reading(s3, 0),
        2577: lambda: 0 if s3.probe.broken else word(slow.probe.value),
        20001: lambda: int(s3.probe.broken),
        20002: lambda: int(s4.probe.broken),
        20003: lambda: int(s5.probe.broken),
        20004: lambda: int(slow.probe.value > spec.setpoint_c + 6.0),
        20005: lambda: int(slow.probe.value < spec.setpoint_c - 4.0),
        20006: lambda: int(room.door_open),
    }
    return Device("danfoss-ekc202d", {Table.HOLDING: cells}, (s3, s4, s5, slow))


def idplus(room: Room, rng: random.Random) -> Device:
    """Eliwell IDPlus: probes at every other register, states as bits; function 3 only, 15 registers at most."""
    pb1 = sensed(rng, lambda: room.air_c)
    pb2 = sensed(rng, lambda: room.coil_c, tau_s=5.0)
    slow = sensed(rng, lambda: room.air_c, tau_s=600.0)
    spec = room.spec
    cells: dict[int, Cell] = {
        295: reading(pb1, NO_SENSOR),
        297: reading(pb2, NO_SENSOR),
        299: NO_SENSOR,
        16416: word(spec.setpoint_c),
        32876: lambda: flags(
            {
                1: pb1.probe.broken,
                2: pb2.probe.broken,
                5: slow.probe.value > spec.setpoint_c + 6.0,
                6: slow.probe.value < spec.setpoint_c - 4.0,
                7: room.door_open,
            }
        ),
        32877: 0,
        32886: lambda: flags({3: room.compressor, 5: room.mode is Mode.DEFROST}),
        32896: lambda: flags({3: room.door_open}),
    }
    return Device("eliwell-idplus", {Table.HOLDING: cells}, (pb1, pb2, slow), max_read=15)


class Meter:
    """Single-phase electricity of the refrigeration plant, behind an Eastron SDM120."""

    def __init__(self, power_w: Callable[[], float], rng: random.Random) -> None:
        self._power_w = power_w
        self._rng = rng
        self.power_w = power_w()
        self.voltage_v = 230.0
        self.frequency_hz = 50.0
        self.energy_kwh = 1234.5

    @property
    def power_factor(self) -> float:
        """Motors pull it down, heaters up; one figure serves here."""
        return 0.87

    @property
    def current_a(self) -> float:
        """Apparent power over voltage."""
        return self.power_w / (self.voltage_v * self.power_factor)

    def step(self) -> None:
        """Count energy for one step; mains voltage and frequency wander a little."""
        self.power_w = self._power_w()
        self.energy_kwh += self.power_w * STEP_S / 3.6e6
        self.voltage_v += 0.02 * (230.0 - self.voltage_v) + self._rng.gauss(0.0, 0.15)
        self.frequency_hz += 0.02 * (50.0 - self.frequency_hz) + self._rng.gauss(0.0, 0.002)


def sdm120(meter: Meter) -> Device:
    """Eastron SDM120: singles in input registers."""
    quantities: dict[int, Callable[[], float]] = {
        0x00: lambda: meter.voltage_v,
        0x06: lambda: meter.current_a,
        0x0C: lambda: meter.power_w,
        0x12: lambda: meter.power_w / meter.power_factor,
        0x1E: lambda: meter.power_factor,
        0x46: lambda: meter.frequency_hz,
        0x48: lambda: meter.energy_kwh,
        0x4A: lambda: 0.0,
        0x156: lambda: meter.energy_kwh,
    }
    cells: dict[int, Cell] = {}
    for start, value in quantities.items():
        cells |= float_cells(start, value)
    return Device("eastron-sdm120", {Table.INPUT: cells})


def xymd02(unit: int, room: Room, rng: random.Random) -> Device:
    """XY-MD02 air temperature and humidity; registers begin at 1 on the wire.

    No invalid value is documented; a broken sensor is answered with exception 4 here.
    """
    temperature = sensed(rng, lambda: room.air_c, tau_s=40.0, noise=0.05)
    humidity = sensed(rng, lambda: room.humidity, tau_s=60.0, noise=0.4)
    return Device(
        "xy-md02",
        {
            Table.INPUT: {1: or_failure(temperature), 2: or_failure(humidity)},
            Table.HOLDING: {0x101: unit, 0x102: 9600, 0x103: 0, 0x104: 0},
        },
        (temperature, humidity),
    )


def r4dcb08(unit: int, cores: tuple[Callable[[], float], ...], rng: random.Random) -> Device:
    """R4DCB08: up to eight DS18B20 in the product; inputs without a probe show 0x8000, corrections are 0."""
    probes = tuple(sensed(rng, core, tau_s=60.0, noise=0.02) for core in cores)
    cells: dict[int, Cell] = dict.fromkeys(range(8), NO_SENSOR)
    cells |= dict.fromkeys(range(8, 16), 0)
    cells |= {0xFD: 0, 0xFE: unit, 0xFF: 3}
    cells |= {i: reading(probe, NO_SENSOR) for i, probe in enumerate(probes)}
    return Device("r4dcb08", {Table.HOLDING: cells}, probes)


def pta8c04(line: Pasteuriser, rng: random.Random) -> Device:
    """PTA8C04 on the pasteuriser: 1 inlet, 2 holding tube outlet, 3 cooling outlet, 4 hot water (PT100).

    No invalid value is documented; an open PT100 reads as the upper end of the scale here. Time constant of the
    probes 3 s, as pasteuriser thermometers must have.
    """
    truths: tuple[Callable[[], float], ...] = (
        lambda: line.inlet_c,
        lambda: line.holding_c,
        lambda: line.cooler_c,
        lambda: line.water_c,
    )
    probes = tuple(sensed(rng, true, tau_s=3.0, noise=0.02) for true in truths)

    def resistance(item: Sensed) -> Callable[[], int]:
        # IEC 60751 above 0 degrees: R = 100 (1 + A t + B t^2) ohm
        return lambda: word(100.0 * (1 + 3.9083e-3 * item.probe.value - 5.775e-7 * item.probe.value**2))

    cells: dict[int, Cell] = {i: reading(probe, 0x7FFF) for i, probe in enumerate(probes)}
    cells |= {32 + i: resistance(probe) for i, probe in enumerate(probes)}
    cells |= dict.fromkeys(range(64, 68), 0)
    cells[250] = 0
    return Device("pta8c04", {Table.HOLDING: cells}, probes)


def digital_inputs(line: Pasteuriser) -> Device:
    """Waveshare 8-channel input module: DI1 valve in forward flow, DI2 valve in diversion, DI3 milk pump runs."""
    cells: dict[int, Cell] = dict.fromkeys(range(8), 0)
    cells |= {0: lambda: int(line.forward), 1: lambda: int(not line.forward), 2: 1}
    return Device("waveshare-di8", {Table.DISCRETE: cells})
