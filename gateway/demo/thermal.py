"""The physics of refrigerated rooms: heat balances, a thermostat, defrosts, doors and a compressor that fails.

A room is three lumps of heat: air (with shelves and lining), product, evaporator coil. Each step is one of
explicit Euler, so what flows out of one lump flows into another to the last joule, and the ledger
(`Room.energy_j`, `Room.heat_in_j`) can be held against the first law. Frost is water that has given its latent
heat to the coil and takes it back when it melts; a coil that is melting stays at 0 degrees, as in life.

Temperatures in degrees Celsius, heat in joules, power in watts, time in seconds of the simulation. Magnitudes
are those of a walk-in room of about 30 cubic metres, chosen to be believable, not taken from one plant.
"""

import random
from dataclasses import dataclass
from enum import Enum

__all__ = ["STEP_S", "Mode", "Probe", "Room", "RoomSpec"]

STEP_S = 1.0
"""One step of the simulation; the fastest time constant (coil, about 80 s) is far above it."""

FUSION_J_KG = 334_000.0
"""Latent heat of melting ice."""


class Mode(Enum):
    """What the refrigeration controller is doing."""

    COOLING = "cooling"
    DEFROST = "defrost"
    DRIP = "drip"
    FAN_DELAY = "fan delay"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomSpec:
    """One room. The compressor starts at ``setpoint_c + differential_k`` and stops at ``setpoint_c``.

    ``*_w_k`` are conductances (W/K), ``*_j_k`` heat capacities (J/K). ``coil_w_k`` is the clean coil with the
    fan running, ``still_w_k`` without. Every ``defrost_every_s`` the coil is heated until it reaches
    ``defrost_end_c`` (at most ``defrost_most_s``), drips for ``drip_s`` and is cooled again for at most
    ``fan_delay_s`` before the fan starts. Doors open at random, ``door_every_s`` apart in the mean. From
    ``fails_at_s`` on the compressor loses capacity with the time constant ``fails_tau_s``.
    """

    name: str
    setpoint_c: float
    differential_k: float = 2.0
    wall_w_k: float = 25.0
    door_w_k: float = 350.0
    product_w_k: float = 70.0
    coil_w_k: float = 260.0
    still_w_k: float = 25.0
    air_j_k: float = 300e3
    product_j_k: float = 1.4e6
    coil_j_k: float = 20e3
    capacity_w: float = 2500.0
    power_w: float = 950.0
    heater_w: float = 1500.0
    fan_w: float = 90.0
    min_off_s: float = 120.0
    defrost_first_s: float = 2400.0
    defrost_every_s: float = 6 * 3600.0
    defrost_end_c: float = 8.0
    defrost_most_s: float = 1800.0
    drip_s: float = 180.0
    fan_delay_s: float = 180.0
    door_every_s: float = 1500.0
    door_open_s: tuple[float, float] = (15.0, 75.0)
    frost_kg_s: float = 2.5e-5
    door_frost_kg_s: float = 1.2e-3
    fails_at_s: float | None = None
    fails_tau_s: float = 1500.0


class Probe:
    """A sensor: lag, a fixed offset and slow noise, all small. ``broken`` is set from outside."""

    def __init__(self, rng: random.Random, start: float, *, tau_s: float = 15.0, noise: float = 0.03) -> None:
        self._rng = rng
        self._share = 1.0 if tau_s <= STEP_S else STEP_S / tau_s
        self._noise = noise
        self._wander = 0.0
        self._offset = rng.uniform(-2.0, 2.0) * noise
        self._follows = start
        self.broken = False

    def step(self, true: float) -> None:
        """Follow ``true`` for one step."""
        self._follows += self._share * (true - self._follows)
        self._wander += 0.05 * (self._rng.gauss(0.0, self._noise) * 3.0 - self._wander)

    @property
    def value(self) -> float:
        """What the sensor says (also while it is broken: how that shows is the device's affair)."""
        return self._follows + self._offset + self._wander


class Room:
    """A cold room or freezer with its refrigeration, stepped through time. Same ``rng``, same history."""

    def __init__(self, spec: RoomSpec, rng: random.Random) -> None:
        self.spec = spec
        self._rng = rng
        start = spec.setpoint_c + spec.differential_k / 2
        self.air_c = self.product_c = self.coil_c = start
        self.second_core_c = start
        self.humidity = 85.0
        self.frost_kg = 0.3
        self.time_s = 0.0
        self.mode = Mode.COOLING
        self.compressor = True
        self.health = 1.0
        self.heat_in_j = 0.0
        self._since_s = 0.0
        self._stopped_s = -spec.min_off_s
        self._defrost_at_s = spec.defrost_first_s
        self._failing_from_s = spec.fails_at_s
        self._door_closes_s = 0.0
        self._door_opens_s = self._next_opening()
        self.thermostat = Probe(rng, start, tau_s=30.0)

    @property
    def door_open(self) -> bool:
        """Whether the door stands open."""
        return self.time_s < self._door_closes_s

    @property
    def fan(self) -> bool:
        """Whether the evaporator fan runs (an open door stops it, as the door contact does on real rooms)."""
        return self.mode is Mode.COOLING and not self.door_open

    @property
    def heater(self) -> bool:
        """Whether the defrost heater is on."""
        return self.mode is Mode.DEFROST

    @property
    def supply_c(self) -> float:
        """Air leaving the coil (what a controller calls S4; the return air is S3, the coil itself S5)."""
        return self.air_c + (0.6 * (self.coil_c - self.air_c) if self.fan else 0.0)

    @property
    def power_w(self) -> float:
        """Electric power drawn now. A compressor that has lost its refrigerant still takes half."""
        compressor = self.spec.power_w * (0.5 + 0.5 * self.health) if self.compressor else 0.0
        return compressor + (self.spec.heater_w if self.heater else 0.0) + (self.spec.fan_w if self.fan else 0.0)

    @property
    def energy_j(self) -> float:
        """Heat content above 0 degrees, frost counted as the latent heat it has given away."""
        spec = self.spec
        lumps = spec.air_j_k * self.air_c + spec.product_j_k * self.product_c + spec.coil_j_k * self.coil_c
        return lumps - FUSION_J_KG * self.frost_kg

    def open_door(self, seconds: float) -> None:
        """Open the door now, for ``seconds``."""
        self._door_closes_s = max(self._door_closes_s, self.time_s + seconds)

    def fail(self) -> None:
        """Let the compressor begin to lose capacity now."""
        self._failing_from_s = self.time_s

    def repair(self) -> None:
        """Give the compressor its full capacity back, for good."""
        self._failing_from_s = None
        self.health = 1.0

    def defrost(self) -> None:
        """Start a defrost at the next step."""
        self._defrost_at_s = self.time_s

    def step(self, ambient_c: float) -> None:
        """Go on by `STEP_S` seconds with ``ambient_c`` outside."""
        if self.time_s >= self._door_opens_s:
            self.open_door(self._rng.uniform(*self.spec.door_open_s))
            self._door_opens_s = self.time_s + self._next_opening()
        if self._failing_from_s is not None and self.time_s >= self._failing_from_s:
            self.health -= self.health * STEP_S / self.spec.fails_tau_s
        self.thermostat.step(self.air_c)
        self._control()
        self._exchange(ambient_c)
        self._moisten()
        self.time_s += STEP_S

    def _next_opening(self) -> float:
        return 60.0 + self._rng.expovariate(1.0 / self.spec.door_every_s)

    def _control(self) -> None:
        """Thermostat with hysteresis and a least off-time, and the sequence of a defrost."""
        spec, now = self.spec, self.time_s
        lasted = now - self._since_s
        if self.mode is Mode.COOLING:
            if now >= self._defrost_at_s:
                self._defrost_at_s = now + spec.defrost_every_s
                self._enter(Mode.DEFROST)
        elif self.mode is Mode.DEFROST:
            if self.coil_c >= spec.defrost_end_c or lasted >= spec.defrost_most_s:
                self._enter(Mode.DRIP)
        elif self.mode is Mode.DRIP:
            if lasted >= spec.drip_s:
                self._enter(Mode.FAN_DELAY)
        elif self.coil_c <= min(-2.0, spec.setpoint_c - 5.0) or lasted >= spec.fan_delay_s:
            self._enter(Mode.COOLING)
        self._switch(self.thermostat.value)

    def _enter(self, mode: Mode) -> None:
        self.mode, self._since_s = mode, self.time_s

    def _switch(self, measured_c: float) -> None:
        spec, running = self.spec, self.compressor
        if self.mode in (Mode.DEFROST, Mode.DRIP):
            wanted = False
        elif self.mode is Mode.FAN_DELAY or measured_c >= spec.setpoint_c + spec.differential_k:
            wanted = True
        else:
            wanted = running and measured_c > spec.setpoint_c
        if running and not wanted:
            self._stopped_s = self.time_s
        if wanted and not running and self.time_s - self._stopped_s < spec.min_off_s:
            wanted = False
        self.compressor = wanted

    def _exchange(self, ambient_c: float) -> None:
        """One step of the heat balances, and the ledger of what crossed the border of the room."""
        spec = self.spec
        outside = (spec.wall_w_k + (spec.door_w_k if self.door_open else 0.0)) * (ambient_c - self.air_c)
        fan_heat = spec.fan_w if self.fan else 0.0
        from_product = spec.product_w_k * (self.product_c - self.air_c)
        # Frost insulates: two kilograms halve what the coil takes from the air.
        conductance = spec.coil_w_k / (1.0 + self.frost_kg / 2.0) if self.fan else spec.still_w_k
        to_coil = conductance * (self.air_c - self.coil_c)
        heater = spec.heater_w if self.heater else 0.0
        cooling = self._cooling()
        freezing = self._frost_rate() * STEP_S
        self.frost_kg += freezing
        self.air_c += STEP_S * (outside + fan_heat + from_product - to_coil) / spec.air_j_k
        self.product_c -= STEP_S * from_product / spec.product_j_k
        self.coil_c += (STEP_S * (to_coil + heater - cooling) + FUSION_J_KG * freezing) / spec.coil_j_k
        self.heat_in_j += STEP_S * (outside + fan_heat + heater - cooling)
        self.second_core_c += STEP_S * (self.air_c - self.second_core_c) / 5400.0
        self._melt()

    def _cooling(self) -> float:
        """Heat the compressor takes from the coil (W): less, the colder the coil already is."""
        if not self.compressor:
            return 0.0
        nominal_c = self.spec.setpoint_c - 9.0
        return self.spec.capacity_w * self.health * min(1.3, max(0.0, 1.0 + 0.03 * (self.coil_c - nominal_c)))

    def _frost_rate(self) -> float:
        """Kilograms of water a second that freeze onto the coil."""
        if self.coil_c >= min(0.0, self.air_c) or not self.compressor:
            return 0.0
        return self.spec.door_frost_kg_s if self.door_open else self.spec.frost_kg_s

    def _melt(self) -> None:
        if self.coil_c > 0.0 and self.frost_kg > 0.0:
            melted = min(self.frost_kg, self.coil_c * self.spec.coil_j_k / FUSION_J_KG)
            self.frost_kg -= melted
            self.coil_c -= melted * FUSION_J_KG / self.spec.coil_j_k

    def _moisten(self) -> None:
        """Relative humidity: a running coil dries the air, an open door and a defrost wet it."""
        target = 96.0 if self.door_open or self.heater else 78.0 if self.compressor else 89.0
        self.humidity += STEP_S * (target - self.humidity) / 240.0
