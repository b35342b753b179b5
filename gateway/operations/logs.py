"""Where log lines go: to systemd's journal where it listens, else to standard error; never in floods."""

import logging
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from gateway.operations.journald import SOCKET, JournalHandler, journal_is_there

__all__ = ["LINES_PER_MINUTE", "STATS", "LogStats", "RateLimit", "set_up_logs"]

LINES_PER_MINUTE = 30
"""Of one template; a whole plant that is lost (hundreds of devices) is told in part, and the rest is counted."""
MINUTE_S = 60.0
MOST_TEMPLATES = 1000
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@dataclass(slots=True)
class LogStats:
    """Lines since the start of the process."""

    lines: Counter[str] = field(default_factory=Counter)
    """Written, by level."""
    suppressed: int = 0
    handler: JournalHandler | None = None

    @property
    def lost(self) -> int:
        """Lines that the journal did not take."""
        return 0 if self.handler is None else self.handler.lost


STATS = LogStats()


class RateLimit(logging.Filter):
    """Lets so many lines of each template pass in a minute; the rest is counted, and told with the next."""

    def __init__(
        self, stats: LogStats, most: int = LINES_PER_MINUTE, now_s: Callable[[], float] = monotonic
    ) -> None:
        super().__init__()
        self._stats, self._most, self._now_s = stats, most, now_s
        self._windows: dict[tuple[str, str], list[float]] = {}
        """By logger and template: when its minute began, lines in it, lines that were held back."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this line is written."""
        now_s = self._now_s()
        key = record.name, str(record.msg)
        window = self._windows.get(key)
        if window is None or now_s - window[0] >= MINUTE_S:
            held = 0 if window is None else int(window[2])
            self._windows.pop(key, None)
            if len(self._windows) >= MOST_TEMPLATES:
                self._windows.pop(next(iter(self._windows)))
            self._windows[key] = window = [now_s, 0, 0]
            if held:
                logging.getLogger(__name__).warning("%d more lines like this were not written: %s", held, key[1])
        window[1] += 1
        if window[1] > self._most:
            window[2] += 1
            self._stats.suppressed += 1
            return False
        self._stats.lines[record.levelname.lower()] += 1
        return True


def set_up_logs(level: str, *, path: Path = SOCKET, descriptor: int = 2) -> logging.Handler:
    """Have all loggers write to the journal if systemd connected ``descriptor`` to it, else to standard error."""
    handler: logging.Handler
    if journal_is_there(descriptor) and path.exists():
        handler = STATS.handler = JournalHandler(path)
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter(FORMAT))
    handler.addFilter(RateLimit(STATS))
    root = logging.getLogger()
    root.setLevel(level.upper())
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    logging.getLogger("pymodbus").setLevel(logging.ERROR)
    return handler
