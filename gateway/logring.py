"""The last log lines of this process, kept in memory for who looks at the gateway without a shell."""

import logging
import threading
from collections import deque

__all__ = ["LINES", "last_lines", "start_keeping"]

LINES = 400
LONGEST_LINE = 2000


class _Ring(logging.Handler):
    """Keeps lines as they are printed, long ones cut."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: deque[str] = deque(maxlen=LINES)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """One line more."""
        try:
            self.lines.append(self.format(record)[:LONGEST_LINE])
        except Exception:  # noqa: BLE001 - as every handler of the library does
            self.handleError(record)


_ring: _Ring | None = None
_once = threading.Lock()


def start_keeping() -> None:
    """From now on lines are kept; harmless when they are already."""
    global _ring
    with _once:
        if _ring is None:
            _ring = _Ring()
        root = logging.getLogger()
        if _ring not in root.handlers:  # Whoever sets the logs up anew takes away what was there.
            root.addHandler(_ring)


def last_lines() -> list[str]:
    """Oldest first; empty before `start_keeping`."""
    return [] if _ring is None else list(_ring.lines)
