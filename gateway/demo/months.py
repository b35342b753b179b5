"""Months of a refrigerated room in a second, with the faults that a recogniser has to find.

The heat balances are those of `gateway.demo.thermal` (air, product, coil, frost) in steps of half a minute instead
of a second, so that a month costs half a second. What surrounds the room is made hard on purpose: doors that follow
the working day and the week, deliveries of warm goods, a hall that is warm by day and in summer, defrosts by clock
or by run time of the compressor, setpoints that people change, probes with lag, noise and a resolution.

Degrees Celsius, seconds of the simulation; the same arguments give the same values.
"""

import math
import random
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.demo.thermal import FUSION_J_KG, RoomSpec

__all__ = ["FAULTS", "KINDS", "STEP_S", "Fault", "Life", "Month", "simulate"]

STEP_S = 30.0
DAY_S = 86400.0
FAULTS = (
    "no-defrost",
    "endless-defrost",
    "door",
    "short-cycling",
    "weak",
    "icing",
    "drift",
    "stuck",
    "in-product",
    "frequent",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What happens to and around a room.

    ``busy`` openings an hour at work (a tenth of that at night, a third at the weekend), each of ``open_s``;
    ``deliveries`` a day, with the door open for ``delivery_s`` and ``delivery_kg`` of goods ``delivery_k`` warmer.
    ``defrost_run_s``: defrost after this run time of the compressor instead of by the clock. ``setpoints``: day to
    shift of the setpoint (K). ``where``: the probe hangs in the ``air`` or sits in the ``product``.
    """

    busy: float = 4.0
    open_s: tuple[float, float] = (10.0, 90.0)
    deliveries: float = 1.5
    delivery_s: tuple[float, float] = (240.0, 1500.0)
    delivery_w_k: float = 220.0
    delivery_k: float = 8.0
    ambient_c: float = 20.0
    day_k: float = 4.0
    season_k: float = 6.0
    weather_k: float = 2.0
    defrost_run_s: float | None = None
    setpoints: Mapping[float, float] = field(default_factory=dict)
    where: str = "air"
    noise: float = 0.05
    resolution: float = 0.1
    tau_s: float = 60.0
    first_day: int = 0


KINDS: Mapping[str, tuple[RoomSpec, Life]] = {
    "chill": (
        RoomSpec(
            name="chill",
            setpoint_c=2.0,
            frost_kg_s=2e-4,
            door_frost_kg_s=2e-3,
            defrost_end_c=16.0,
            heater_w=700.0,
            still_w_k=60.0,
            defrost_most_s=1800.0,
            capacity_w=2800.0,
        ),
        Life(),
    ),
    "busy-chill": (
        RoomSpec(
            name="busy-chill",
            setpoint_c=3.0,
            differential_k=3.0,
            frost_kg_s=2e-4,
            door_frost_kg_s=1.2e-3,
            defrost_end_c=18.0,
            heater_w=900.0,
            still_w_k=60.0,
            defrost_most_s=2100.0,
            capacity_w=4200.0,
            defrost_every_s=8 * 3600.0,
        ),
        Life(busy=14.0, deliveries=3.0),
    ),
    "freezer": (
        RoomSpec(
            name="freezer",
            setpoint_c=-21.0,
            wall_w_k=20.0,
            door_w_k=220.0,
            product_w_k=90.0,
            air_j_k=300e3,
            product_j_k=3e6,
            coil_j_k=25e3,
            capacity_w=3200.0,
            heater_w=1800.0,
            still_w_k=40.0,
            frost_kg_s=4e-5,
            door_frost_kg_s=1.5e-3,
            defrost_every_s=8 * 3600.0,
            defrost_end_c=12.0,
            defrost_most_s=2700.0,
        ),
        Life(busy=1.5, deliveries=0.7, delivery_w_k=150.0),
    ),
    "run-time-freezer": (
        RoomSpec(
            name="run-time-freezer",
            setpoint_c=-22.0,
            differential_k=3.0,
            wall_w_k=14.0,
            door_w_k=200.0,
            product_w_k=80.0,
            product_j_k=4e6,
            coil_j_k=25e3,
            capacity_w=3000.0,
            heater_w=1800.0,
            still_w_k=40.0,
            frost_kg_s=3e-5,
            door_frost_kg_s=1.2e-3,
            defrost_every_s=1e9,
            defrost_end_c=12.0,
            defrost_most_s=2700.0,
        ),
        Life(busy=1.0, deliveries=0.5, delivery_w_k=150.0, defrost_run_s=12 * 3600.0),
    ),
    "cabinet": (
        RoomSpec(
            name="cabinet",
            setpoint_c=1.0,
            differential_k=2.5,
            wall_w_k=9.0,
            door_w_k=40.0,
            product_w_k=16.0,
            air_j_k=45e3,
            product_j_k=350e3,
            coil_j_k=6e3,
            coil_w_k=60.0,
            still_w_k=10.0,
            capacity_w=550.0,
            heater_w=130.0,
            fan_w=20.0,
            frost_kg_s=3.5e-5,
            door_frost_kg_s=3e-4,
            defrost_end_c=16.0,
            defrost_most_s=1500.0,
            defrost_every_s=6 * 3600.0,
        ),
        Life(busy=9.0, open_s=(8.0, 40.0), deliveries=1.0, delivery_s=(120.0, 600.0), delivery_w_k=30.0),
    ),
    "product": (
        RoomSpec(
            name="product",
            setpoint_c=2.0,
            frost_kg_s=2e-4,
            door_frost_kg_s=2e-3,
            defrost_end_c=16.0,
            heater_w=700.0,
            still_w_k=60.0,
            defrost_most_s=1800.0,
            capacity_w=2800.0,
        ),
        Life(where="product"),
    ),
}


@dataclass(slots=True)
class Month:
    """What came out: the probe's values every ``period_s`` and the truth (start and end of each event, s)."""

    period_s: float
    t_s: "array[float]"
    x: "array[float]"
    defrosts: list[tuple[float, float]]
    doors: list[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault from ``at_s`` on. ``kind`` is one of the names in `simulate`; ``size`` as it says there."""

    kind: str
    at_s: float
    size: float = 0.0


def simulate(
    spec: RoomSpec,
    life: Life,
    *,
    days: float,
    seed: int,
    period_s: float = 60.0,
    fault: Fault | None = None,
) -> Month:
    """Live through ``days``. Periods are multiples of 30 s, or below it (the value is then drawn out linearly).

    Faults: ``no-defrost``; ``endless-defrost`` (the next defrost does not end); ``door`` (left open);
    ``short-cycling`` (the compressor's differential shrinks to ``size`` K and its least pause goes);
    ``weak`` (the capacity falls to the share ``size``); ``icing`` (``size`` kg more ice stay on the coil with each
    defrost); ``drift`` (the probe drifts by ``size`` K/h); ``stuck``; ``in-product`` (the probe falls into the
    goods); ``frequent`` (defrosts come ``size`` times as often). Raises `ValueError` for another name.
    """
    if fault is not None and fault.kind not in FAULTS:
        raise ValueError(f"{fault.kind!r} is no fault: {', '.join(FAULTS)}")
    return _Run(spec, life, seed, fault).live(days, period_s)


class _Run:
    def __init__(self, spec: RoomSpec, life: Life, seed: int, fault: Fault | None) -> None:
        self.spec, self.life = spec, life
        self.begins, self.size = (math.inf, 0.0) if fault is None else (fault.at_s, fault.size)
        self.fault = "" if fault is None else fault.kind
        self.wrong = ""
        self.rng = random.Random(f"{seed}/{spec.name}")
        # A stream of its own, so that the same room lives the same life however often somebody looks.
        self.noise = random.Random(f"{seed}/{spec.name}/probe")
        self.now = 0.0
        self.air = self.product = self.coil = spec.setpoint_c + spec.differential_k / 2
        self.frost = 0.1
        self.compressor = True
        self.stopped = -1e9
        self.mode, self.mode_since = "cool", 0.0
        self.next_defrost = spec.defrost_first_s + self.rng.uniform(0.0, 3600.0)
        self.run_s = 0.0
        self.load_j = 0.0
        self.weather = 0.0
        self.season = self.rng.uniform(0.0, 365.0)
        self.probe = self.air
        self.iced = 0.0
        self.held = self.probe
        self.defrosts: list[tuple[float, float]] = []
        self.doors: list[tuple[float, float]] = []
        self.coming: list[tuple[float, float, float]] = []
        self.planned = -1.0
        self.open_until = 0.0
        self.door_w_k = 0.0

    def plan_hour(self) -> None:
        """Doors and deliveries of the coming hour."""
        life, rng = self.life, self.rng
        hour, day = self.now / 3600.0 % 24.0, int(self.now // DAY_S) + life.first_day
        weekend = day % 7 >= 5
        share = (1.0 if 6 <= hour < 18 else 0.4 if 18 <= hour < 22 else 0.05) * (0.3 if weekend else 1.0)
        # Some hours are lively, some are not.
        rate = life.busy * share * rng.choice((0.2, 0.7, 1.0, 1.3, 2.2))
        at = self.now + rng.expovariate(max(rate, 1e-9) / 3600.0)
        while at < self.now + 3600.0:
            self.coming.append((at, rng.uniform(*life.open_s), self.spec.door_w_k))
            at += rng.expovariate(rate / 3600.0)
        if not weekend and 6 <= hour < 14 and rng.random() < life.deliveries / 8.0:
            self.coming.append((self.now + rng.uniform(0, 3000), rng.uniform(*life.delivery_s), life.delivery_w_k))
        self.coming.sort()
        self.weather += (rng.gauss(0.0, life.weather_k) - self.weather) * 0.05

    def live(self, days: float, period_s: float) -> Month:
        times, values = array("d"), array("d")
        every = max(1, round(period_s / STEP_S))
        inner = max(1, round(STEP_S / period_s)) if period_s < STEP_S else 1
        steps = round(days * DAY_S / STEP_S)
        before = self.probe
        for step in range(1, steps + 1):
            if self.now >= self.planned:
                self.planned = self.now + 3600.0
                self.plan_hour()
            self.step()
            if step % every == 0 or inner > 1:
                for k in range(1, inner + 1):
                    times.append(self.now - STEP_S + STEP_S * k / inner)
                    values.append(self.shown(before + (self.probe - before) * k / inner))
            before = self.probe
        return Month(period_s, times, values, self.defrosts, self.doors)

    def shown(self, true: float) -> float:
        """What the sensor says."""
        value = true + self.noise.gauss(0.0, self.life.noise)
        if self.wrong == "drift":
            value += self.size * (self.now - self.begins) / 3600.0
        if self.wrong != "stuck":
            self.held = round(round(value / self.life.resolution) * self.life.resolution, 6)
        return self.held

    def step(self) -> None:
        life, now = self.life, self.now
        self.wrong = self.fault if now >= self.begins else ""
        hour = now / 3600.0 % 24.0
        ambient = (
            life.ambient_c
            + life.day_k * math.sin(2 * math.pi * (hour - 9.0) / 24.0)
            + life.season_k * math.sin(2 * math.pi * (self.season + now / DAY_S) / 365.0)
            + self.weather
        )
        open_s = self.door()
        self.control()
        self.exchange(ambient, open_s)
        if life.where == "product" or self.wrong == "in-product":
            self.probe += (self.product - self.probe) * STEP_S / (1200.0 + STEP_S)
        else:
            self.probe += (self.air - self.probe) * STEP_S / (life.tau_s + STEP_S)
        self.now += STEP_S

    def door(self) -> float:
        """Seconds of this step with an open door."""
        while self.coming and self.coming[0][0] < self.now + STEP_S:
            at, lasts, w_k = self.coming.pop(0)
            at = max(at, self.now)
            if at + lasts > self.open_until:
                self.doors.append((at, at + lasts))
                self.open_until, self.door_w_k = at + lasts, w_k
                if w_k == self.life.delivery_w_k:
                    # Goods that come in are warmer than those that are there.
                    self.load_j += self.spec.product_j_k * 0.12 * self.life.delivery_k
        if self.wrong == "door":
            self.door_w_k = self.spec.door_w_k
            return STEP_S
        last = self.doors[-1] if self.doors else (0.0, 0.0)
        return max(0.0, min(self.open_until, self.now + STEP_S) - max(last[0], self.now))

    def control(self) -> None:
        spec, now = self.spec, self.now
        lasted = now - self.mode_since
        if self.mode == "cool":
            life = self.life
            due = now >= self.next_defrost if life.defrost_run_s is None else self.run_s >= life.defrost_run_s
            if due and self.wrong != "no-defrost":
                often = self.size if self.wrong == "frequent" else 1.0
                self.next_defrost = now + spec.defrost_every_s / often
                self.run_s = 0.0
                self.mode, self.mode_since = "heat", now
                self.defrosts.append((now, math.nan))
        elif self.mode == "heat":
            ended = self.coil >= spec.defrost_end_c or lasted >= spec.defrost_most_s
            if ended and self.wrong != "endless-defrost":
                if self.wrong == "icing":
                    self.iced += self.size
                self.mode, self.mode_since = "drip", now
        elif self.mode == "drip":
            if lasted >= spec.drip_s:
                self.mode, self.mode_since = "fan", now
        elif self.coil <= min(-2.0, spec.setpoint_c - 5.0) or lasted >= spec.fan_delay_s:
            self.mode, self.mode_since = "cool", now
            self.defrosts[-1] = (self.defrosts[-1][0], now)
        self.switch()

    def switch(self) -> None:
        spec = self.spec
        shift = 0.0
        for day, k in self.life.setpoints.items():
            if self.now >= day * DAY_S:
                shift = k
        low, high, rest = spec.setpoint_c + shift, spec.setpoint_c + shift + spec.differential_k, spec.min_off_s
        if self.wrong == "short-cycling":
            low, rest = high - self.size, 0.0
        measured = self.air + self.rng.gauss(0.0, 0.05)
        if self.mode in ("heat", "drip"):
            wanted = False
        elif self.mode == "fan" or measured >= high:
            wanted = True
        else:
            wanted = self.compressor and measured > low
        if self.compressor and not wanted:
            self.stopped = self.now
        if wanted and not self.compressor and self.now - self.stopped < rest:
            wanted = False
        self.compressor = wanted
        if wanted:
            self.run_s += STEP_S

    def exchange(self, ambient: float, open_s: float) -> None:
        spec = self.spec
        share = open_s / STEP_S
        cooling = 0.0
        fan = (1.0 - share) if self.mode == "cool" else 0.0
        if self.compressor:
            falls = 1.0 + 0.03 * (self.coil - spec.setpoint_c + 9.0)
            cooling = spec.capacity_w * min(1.3, max(0.0, falls)) * (self.size if self.wrong == "weak" else 1.0)
            if self.coil < min(0.0, self.air):
                rate = spec.door_frost_kg_s * share + spec.frost_kg_s * (1.0 - share)
                self.frost += rate * STEP_S
                self.coil += FUSION_J_KG * rate * STEP_S / spec.coil_j_k
        clean = spec.coil_w_k * fan + spec.still_w_k * (1.0 - fan)
        conductance = clean / (1.0 + (self.frost + self.iced) / 2.0) if fan > 0.0 else spec.still_w_k
        outside = (spec.wall_w_k + self.door_w_k * share) * (ambient - self.air)
        from_product = spec.product_w_k * (self.product - self.air)
        to_coil = conductance * (self.air - self.coil)
        heater = spec.heater_w if self.mode == "heat" else 0.0
        self.air += STEP_S * (outside + spec.fan_w * fan + from_product - to_coil) / spec.air_j_k
        taken = min(self.load_j, 0.004 * self.load_j * STEP_S / 30.0)
        self.load_j -= taken
        self.product += (taken - STEP_S * from_product) / spec.product_j_k
        self.coil += STEP_S * (to_coil + heater - cooling) / spec.coil_j_k
        if self.coil > 0.0 and self.frost > 0.0:
            melted = min(self.frost, self.coil * spec.coil_j_k / FUSION_J_KG)
            self.frost -= melted
            self.coil -= melted * FUSION_J_KG / spec.coil_j_k
