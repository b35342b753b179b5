"""How often a secret may be tried: a few times at once, then after pauses that double."""

from collections import OrderedDict
from dataclasses import dataclass

__all__ = ["Throttle"]

FREE = 5
"""Wrong tries without a pause."""
FIRST_S = 2.0
LONGEST_S = 900.0
FORGET_S = 3600.0
KEYS = 2000
"""So many keys are remembered; the one tried longest ago goes first."""


@dataclass(slots=True)
class _Tries:
    wrong: int = 0
    last_s: float = 0.0


class Throttle:
    """Counts wrong tries under a key (an address, a name). Times are seconds of any clock that never goes back."""

    def __init__(self) -> None:
        self._tries: OrderedDict[str, _Tries] = OrderedDict()

    def wait_s(self, key: str, now_s: float) -> float:
        """How long this key must wait before its next try; 0 when it may try now."""
        tries = self._tries.get(key)
        if tries is None or tries.wrong < FREE:
            return 0.0
        pause = min(FIRST_S * 2.0 ** min(tries.wrong - FREE, 30), LONGEST_S)
        return max(0.0, tries.last_s + pause - now_s)

    def wrong(self, key: str, now_s: float) -> int:
        """A try was wrong; returns how many in a row that makes."""
        tries = self._tries.setdefault(key, _Tries())
        self._tries.move_to_end(key)
        if now_s - tries.last_s > FORGET_S:
            tries.wrong = 0
        tries.wrong += 1
        tries.last_s = now_s
        while len(self._tries) > KEYS:
            self._tries.popitem(last=False)
        return tries.wrong

    def right(self, key: str) -> None:
        """A try was right: the count begins anew."""
        self._tries.pop(key, None)
