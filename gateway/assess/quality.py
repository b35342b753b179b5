"""Care that a value needs although the device gave it: calibration and clock. Never changes a value."""

from collections.abc import Sequence
from datetime import date

from gateway.model import ClockState, Column, Quality, Scan

__all__ = ["Care", "ScanQuality"]

GOOD = int(Quality.GOOD)


def _promote(to: Quality) -> bytes:
    """Translation table that turns good into ``to`` and leaves every other quality."""
    table = bytearray(range(256))
    table[GOOD] = to
    return bytes(table)


UNTRUSTED = _promote(Quality.CLOCK_UNTRUSTED)


class Care:
    """What a column's values lack, as far as the site file tells: a certificate that is missing or has expired."""

    def __init__(self, column: Column, critical: bool, valid_until: date | None) -> None:
        self.column = column
        self.critical = critical
        self.valid_until = valid_until

    def quality(self, today: date | None) -> Quality:
        """Quality of a good reading on ``today`` (None: not known, nothing is judged by it)."""
        if self.valid_until is None:
            return Quality.UNCALIBRATED if self.critical else Quality.GOOD
        if today is not None and today > self.valid_until:
            return Quality.CALIBRATION_EXPIRED
        return Quality.GOOD


class ScanQuality:
    """Lowers good values of a device to uncertain where care is due. Cheap: nothing per value in the usual case."""

    def __init__(self, cares: Sequence[Care]) -> None:
        self._cares = tuple(cares)
        self._marks: tuple[tuple[int, int], ...] = ()
        self._clock_untrusted = True

    def update(self, today: date | None, state: ClockState) -> None:
        """Called now and then: which columns are in care today, and whether the clock is to be believed."""
        marks = ((i, int(care.quality(today))) for i, care in enumerate(self._cares))
        self._marks = tuple((i, mark) for i, mark in marks if mark != GOOD)
        self._clock_untrusted = state == ClockState.UNTRUSTED

    def apply(self, scan: Scan) -> Scan:
        """The scan with its qualities lowered where care is due; bad stays bad."""
        if self._marks:
            quality = bytearray(scan.quality)
            for index, mark in self._marks:
                if quality[index] == GOOD:
                    quality[index] = mark
            scan.quality = bytes(quality)
        if self._clock_untrusted:
            scan.quality = scan.quality.translate(UNTRUSTED)
        return scan
