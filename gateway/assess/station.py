"""The assess station: every scan passes here before it is stored. Values never change."""

from collections.abc import Callable
from datetime import UTC, date, datetime

from gateway.assess.gaps import GapTracker
from gateway.assess.quality import Care, ScanQuality
from gateway.model import ClockClaim, Column, DeviceLayout, Event, Layout, Miss, Quality, Scan
from gateway.site import Site

__all__ = ["Assess"]


def _cares(site: Site, device: DeviceLayout) -> list[Care]:
    critical = {point.channel for point in site.points if point.device == device.id and point.critical}

    def care(column: Column) -> Care:
        calibration = device.calibration.get(column.channel)
        valid_until = date.fromisoformat(str(calibration["valid_until"])) if calibration else None
        return Care(column, column.channel in critical, valid_until)

    return [care(column) for column in device.columns]


class Assess:
    """Judges scans and follows gaps. ``store`` takes the judged record, ``event`` what is worth an event."""

    def __init__(
        self,
        site: Site,
        layout: Layout,
        store: Callable[[Scan | Miss], None],
        event: Callable[[Event], None],
        now_ms: Callable[[], int],
    ) -> None:
        self.gaps = tuple(GapTracker(device.id, device.period_ms) for device in layout.devices)
        self.values: tuple[dict[int, int], ...] = tuple({} for _ in layout.devices)
        """Values judged since the start by quality, per device."""
        self._judges = tuple(ScanQuality(_cares(site, device)) for device in layout.devices)
        self._store = store
        self._event = event
        self._now_ms = now_ms

    def update(self, claim: ClockClaim) -> None:
        """Take note of the date and of the clock's state; called every few seconds."""
        today = None if claim.utc_ms is None else datetime.fromtimestamp(claim.utc_ms / 1000, UTC).date()
        for judge in self._judges:
            judge.update(today, claim.state)

    def scan(self, scan: Scan) -> None:
        """An answered poll; one without a single value continues a gap."""
        scan = self._judges[scan.device].apply(scan)
        self._store(scan)
        best = self._count(scan)
        gap = self.gaps[scan.device]
        event = gap.missed(scan.slot, 1, best, scan.at_ms) if best >= Quality.TIMEOUT else gap.answered(scan.at_ms)
        if event is not None:
            self._event(event)

    def _count(self, scan: Scan) -> int:
        """Tally the qualities of a scan; returns the best of them."""
        quality, counts = scan.quality, self.values[scan.device]
        first = quality[0]
        if quality.count(first) == len(quality):
            counts[first] = counts.get(first, 0) + len(quality)
            return first
        for code in set(quality):
            counts[code] = counts.get(code, 0) + quality.count(code)
        return min(quality)

    def miss(self, miss: Miss) -> None:
        """Slots without an answer."""
        self._store(miss)
        opened = self.gaps[miss.device].missed(miss.slot, miss.count, miss.quality, self._now_ms())
        if opened is not None:
            self._event(opened)

    def event(self, event: Event) -> None:
        """Events of acquire pass through."""
        self._event(event)
