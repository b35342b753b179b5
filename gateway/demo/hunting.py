"""A pasteuriser that hunts: its controller was made sharper and its probe answers late, as in a fouled well."""

import random
from collections import deque

from gateway.demo.pasteuriser import HEATER_SETPOINT_C, STEAM_W, WATER_J_K, Pasteuriser
from gateway.demo.thermal import STEP_S

__all__ = ["HuntingPasteuriser"]

GAIN = 0.12
"""Of the loop in `Pasteuriser`, valve opening per kelvin."""


class HuntingPasteuriser(Pasteuriser):
    """From ``hunts_at_s`` on the loop has ``gain`` (1/K) and sees the milk ``late_s`` after the fact."""

    def __init__(self, rng: random.Random, *, hunts_at_s: float, gain: float = 0.35, late_s: int = 30) -> None:
        super().__init__(rng)
        self._hunts_at_s = hunts_at_s
        self._gain = gain
        self._seen: deque[float] = deque([HEATER_SETPOINT_C] * late_s, maxlen=late_s)

    def _heat(self) -> None:
        integral = self._integral
        super()._heat()
        heated_c = self._tube[-1]
        late_c = self._seen[0]
        self._seen.append(heated_c)
        if self.time_s >= self._hunts_at_s:
            # What the base class gave is taken back, what the bad loop gives is given.
            proper = min(1.0, max(0.0, GAIN * (HEATER_SETPOINT_C - heated_c) + integral))
            opened = min(1.0, max(0.0, self._gain * (HEATER_SETPOINT_C - late_c) + integral))
            self.water_c += STEP_S * (opened - proper) * self.steam * STEAM_W / WATER_J_K
