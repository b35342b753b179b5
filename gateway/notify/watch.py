"""The dead man: says when an output, or all of them, reach nobody for too long. The conditions are for the alarm
engine, which tells whoever can still be told, and the record in any case."""

from collections.abc import Mapping

from gateway.model import Condition, Tier
from gateway.notify.reach import Reach

__all__ = ["NOBODY", "Watch"]

NOBODY = "outputs/nobody-reached"


class Watch:
    """Looks at the outputs now and then. After a start it says once of each that works that it does."""

    def __init__(self, after_s: float) -> None:
        self.nobody = False
        self._after_s = after_s
        self._said: dict[str, bool] = {}

    def look(self, reaches: Mapping[str, Reach], now_s: float, boot_ms: int) -> list[Condition]:
        """What has changed; ``now_s`` is monotonic, ``boot_ms`` the same moment on the boot clock."""
        found = []
        known = {name: reach for name, reach in reaches.items() if reach.known}
        for name, reach in known.items():
            away_s = reach.failed_for_s(now_s)
            words = f"Output {name} has delivered nothing for {_length(away_s)}"
            found += self._say(f"output-{name}/not-delivering", reach, away_s, boot_ms, words)
        if known:
            best = min(known.values(), key=lambda reach: reach.failed_for_s(now_s))
            away_s = best.failed_for_s(now_s)
            words = f"Nobody can be reached: every output that was tried has failed for {_length(away_s)}"
            found += self._say(NOBODY, best, away_s, boot_ms, words)
            self.nobody = self._said.get(NOBODY, False)
        return found

    def _say(self, alarm: str, reach: Reach, away_s: float, boot_ms: int, words: str) -> list[Condition]:
        active = away_s >= self._after_s
        if self._said.get(alarm) is active or (reach.failing and not active):
            return []
        self._said[alarm] = active
        since_ms = boot_ms - round(away_s * 1000)
        rule = alarm.partition("/")[2]
        return [
            Condition(
                alarm=alarm,
                active=active,
                at_ms=boot_ms,
                since_ms=since_ms,
                rule=rule,
                tier=Tier.MAINTENANCE,
                words=words if active else "It delivers again",
                detail={"after_s": self._after_s},
            )
        ]


def _length(seconds: float) -> str:
    return f"{round(seconds / 60)} minutes" if seconds >= 120 else f"{round(seconds)} seconds"
