"""How many alarms people get: the measures of ANSI/ISA-18.2 (clause on monitoring and assessment) and EEMUA 191.

Counted are annunciations: alarms that were raised or became visible again while nothing held them back. The counts
begin with the process.
"""

from collections import Counter, deque
from collections.abc import Iterable
from typing import NamedTuple

from gateway.model import Alarm, AlarmState

__all__ = ["AlarmRates", "RateReport"]

TEN_MINUTES_MS = 600_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
FLOOD_BEGINS = 10
"""Annunciations in ten minutes that are a flood ..."""
FLOOD_ENDS = 5
"""... until there are fewer than these in ten minutes."""
CHATTER = ((3, 60_000), (6, HOUR_MS))
"""Times and window from which an alarm chatters: ISA's three in a minute, and what slow temperatures do instead."""
STALE_MS = DAY_MS
"""An alarm that stands for so long has become furniture."""
MOST = 20_000
TOP = 10


class RateReport(NamedTuple):
    """The measures at one moment. About one alarm in ten minutes is what a person can handle, two the most."""

    last_10_min: int
    last_hour: int
    last_day: int
    flood: bool
    floods: int
    standing: int
    stale: tuple[str, ...]
    chattering: tuple[str, ...]
    frequent: tuple[tuple[str, int], ...]
    """The most frequent of the last day, with their counts."""
    shelved: int
    suppressed: int
    out_of_service: int
    unacknowledged: int


class AlarmRates:
    """Notes annunciations of the last day, at most 20 000."""

    def __init__(self) -> None:
        self._raised: deque[tuple[int, str]] = deque(maxlen=MOST)
        self._recent: deque[int] = deque(maxlen=MOST)
        self.flood = False
        self.floods = 0
        """Floods since the start."""
        self.total = 0
        """Annunciations since the start."""

    def raised(self, alarm: str, at_ms: int) -> None:
        """An alarm became visible."""
        self.total += 1
        self._raised.append((at_ms, alarm))
        self._recent.append(at_ms)
        self._settle(at_ms)

    def _settle(self, now_ms: int) -> None:
        while self._recent and self._recent[0] <= now_ms - TEN_MINUTES_MS:
            self._recent.popleft()
        while self._raised and self._raised[0][0] <= now_ms - DAY_MS:
            self._raised.popleft()
        if self.flood:
            self.flood = len(self._recent) >= FLOOD_ENDS
        elif len(self._recent) >= FLOOD_BEGINS:
            self.flood = True
            self.floods += 1

    def report(self, now_ms: int, alarms: Iterable[Alarm]) -> RateReport:
        """The measures at ``now_ms`` (boot ms), given the alarms that are not normal."""
        self._settle(now_ms)
        states = Counter(alarm.state for alarm in alarms)
        visible = [alarm for alarm in alarms if alarm.active and alarm.state not in _HELD]
        return RateReport(
            last_10_min=len(self._recent),
            last_hour=sum(at_ms > now_ms - HOUR_MS for at_ms, _ in self._raised),
            last_day=len(self._raised),
            flood=self.flood,
            floods=self.floods,
            standing=len(visible),
            stale=tuple(alarm.id for alarm in visible if now_ms - alarm.raised_ms >= STALE_MS),
            chattering=self._chattering(now_ms),
            frequent=tuple(Counter(alarm for _, alarm in self._raised).most_common(TOP)),
            shelved=states[AlarmState.SHELVED],
            suppressed=states[AlarmState.SUPPRESSED],
            out_of_service=states[AlarmState.OUT_OF_SERVICE],
            unacknowledged=states[AlarmState.UNACKNOWLEDGED] + states[AlarmState.RETURNED],
        )

    def _chattering(self, now_ms: int) -> tuple[str, ...]:
        found: set[str] = set()
        for times, window_ms in CHATTER:
            last: dict[str, deque[int]] = {}
            for at_ms, alarm in self._raised:
                if at_ms <= now_ms - HOUR_MS:
                    continue
                kept = last.setdefault(alarm, deque(maxlen=times))
                kept.append(at_ms)
                if len(kept) == times and kept[-1] - kept[0] <= window_ms:
                    found.add(alarm)
        return tuple(sorted(found))


_HELD = {AlarmState.SHELVED, AlarmState.SUPPRESSED, AlarmState.OUT_OF_SERVICE}
