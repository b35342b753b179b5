"""A small HTST milk pasteuriser: heater, holding tube, flow-diversion valve, cooler.

Milk (5000 l/h) is warmed by regeneration, heated by hot water to about 75 degrees, held for 15 s and cooled. The
legal pair is 72 degrees for 15 s (Regulation (EC) No 853/2004, annex III, section IX); below it the valve sends
the milk back to the balance tank. Now and then the steam supply dips, so that the valve has something to do.
"""

import random
from collections import deque

from gateway.demo.thermal import STEP_S

__all__ = ["Pasteuriser"]

DIVERT_BELOW_C = 72.0
FORWARD_ABOVE_C = 72.5
HOLD_S = 15
HEATER_SETPOINT_C = 75.0

MILK_W_K = 5400.0
"""Heat capacity flow of the milk: 1.39 kg/s of 3.9 kJ/(kg K)."""

WATER_J_K = 840e3
STEAM_W = 130e3
REGENERATION = 0.85
PLATES = 0.8
DIP_EVERY_S = 2700.0
DIP_S = (80.0, 240.0)


class Pasteuriser:
    """The line in time. Same ``rng``, same history."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.time_s = 0.0
        self.inlet_c = 4.5
        self.water_c = 72.0
        self.holding_c = 70.0
        self.cooler_c = 5.0
        self.forward = False
        self.steam = 1.0
        self._tube: deque[float] = deque([70.0] * HOLD_S, maxlen=HOLD_S)
        self._integral = 0.4
        self._warm_since_s: float | None = None
        self._dip_at_s = 600.0 + rng.expovariate(1 / DIP_EVERY_S)
        self._dip_ends_s = 0.0

    def dip(self, seconds: float) -> None:
        """Let the steam supply fail to a quarter for ``seconds``, from now on."""
        self._dip_ends_s = max(self._dip_ends_s, self.time_s + seconds)

    def step(self) -> None:
        """Go on by one step."""
        if self.time_s >= self._dip_at_s:
            self.dip(self._rng.uniform(*DIP_S))
            self._dip_at_s = self.time_s + 600.0 + self._rng.expovariate(1 / DIP_EVERY_S)
        self.steam = 0.25 if self.time_s < self._dip_ends_s else 1.0
        self._heat()
        self._valve()
        # Diverted milk comes back warm and mixes in the balance tank; the cooler then stands still.
        self.inlet_c += STEP_S * ((4.5 if self.forward else 18.0) - self.inlet_c) / 300.0
        towards, tau_s = (3.4 + 0.1 * (self.inlet_c - 4.5), 25.0) if self.forward else (9.0, 900.0)
        self.cooler_c += STEP_S * (towards - self.cooler_c) / tau_s
        self.time_s += STEP_S

    def _heat(self) -> None:
        regenerated_c = self.inlet_c + REGENERATION * (self.holding_c - self.inlet_c)
        heated_c = regenerated_c + PLATES * (self.water_c - regenerated_c)
        error = HEATER_SETPOINT_C - heated_c
        wanted = 0.12 * error + self._integral
        valve = min(1.0, max(0.0, wanted))
        if valve == wanted:  # no wind-up while the steam valve is at its stop
            self._integral += 0.0008 * error * STEP_S
        taken_w = MILK_W_K * (heated_c - regenerated_c)
        self.water_c += STEP_S * (valve * self.steam * STEAM_W - taken_w) / WATER_J_K
        leaving_c = self._tube[0] - 0.4
        self._tube.append(heated_c)
        self.holding_c += STEP_S * (leaving_c - self.holding_c) / 3.0

    def _valve(self) -> None:
        """Divert at once, let forward only after a full holding time above the cut-in temperature."""
        if self.holding_c < FORWARD_ABOVE_C:
            self._warm_since_s = None
        elif self._warm_since_s is None:
            self._warm_since_s = self.time_s
        if self.holding_c < DIVERT_BELOW_C:
            self.forward = False
        elif self._warm_since_s is not None and self.time_s - self._warm_since_s >= HOLD_S:
            self.forward = True
