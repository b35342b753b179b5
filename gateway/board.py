"""The board under the gateway: its health for the status page and the metrics, read beside the loop now and then.

Nothing is said of a machine that tells nothing of itself, and nothing old is said for new.
"""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from firmware_interfaces.iio.board import BITS, BoardHealth, read_board

__all__ = ["WORDS", "BoardWatch"]

FRESH_MS = 30_000
OFTEN_MS = 5_000
HOT_C = 80.0
"""From here on a Raspberry Pi slows down (documentation, frequency management and thermal control)."""
WORDS = {
    "undervoltage": "TOO LITTLE SUPPLY VOLTAGE: replace power supply or cable",
    "frequency_capped": "clock frequency is capped",
    "throttled": "slowed down",
    "soft_temperature_limit": "soft temperature limit",
}


class BoardWatch:
    """Health of the board, read again when somebody asks and the last reading is older than `OFTEN_MS`."""

    def __init__(self, now_ms: Callable[[], int], sys: Path = Path("/sys"), model: Path | None = None) -> None:
        self._now_ms = now_ms
        self._sys = sys
        self._model = model or Path("/proc/device-tree/model")
        self._health = BoardHealth()
        self._read_ms: int | None = None
        self._reader: threading.Thread | None = None

    def health(self) -> BoardHealth | None:
        """What is known now; None while nothing is. Never waits: a reading begins for the next one who asks."""
        now = self._now_ms()
        if (self._read_ms is None or now - self._read_ms > OFTEN_MS) and not self._reading:
            self._reader = threading.Thread(target=self._read, name="board", daemon=True)
            self._reader.start()
        if self._read_ms is None or now - self._read_ms > FRESH_MS or not self._health.known:
            return None
        return self._health

    def settle(self) -> None:
        """Wait for a reading that has begun."""
        if self._reader is not None:
            self._reader.join()

    def facts(self) -> Iterator[tuple[str, str, str]]:
        """Name, words and state (good, uncertain, bad) for the status page."""
        health = self.health()
        if health is None:
            return
        troubles = [words for key, words in WORDS.items() if (health.flags or {}).get(key)]
        words = [] if health.soc_temperature is None else [f"{health.soc_temperature:.0f} \N{DEGREE SIGN}C"]
        state = "good"
        if troubles or (health.soc_temperature or 0.0) >= HOT_C:
            state = "bad" if (health.flags or {}).get("undervoltage") else "uncertain"
        if not troubles and any((health.flags or {}).get(key) is None for key in BITS):
            troubles = ["supply voltage not known"] if (health.flags or {}).get("undervoltage") is None else []
        yield "Board", "; ".join([*words, *troubles]) or "known", state

    @property
    def _reading(self) -> bool:
        return self._reader is not None and self._reader.is_alive()

    def _read(self) -> None:
        self._health, self._read_ms = read_board(self._sys, self._model), self._now_ms()
