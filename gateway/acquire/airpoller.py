"""One Bluetooth sensor on the grid, whether it is heard or asked."""

from firmware_interfaces.ble.decoders.nouns import AdvertFault
from firmware_interfaces.ble.models import RSSI, BleModel
from firmware_interfaces.ble.sensors import News
from gateway.acquire.heard import HeardPoller
from gateway.acquire.interval import Interval
from gateway.model import Quality
from gateway.site import DeviceSpec

__all__ = ["AirPoller"]

LATER = bytes((Quality.OVERDUE, *range(1, 256)))
"""Turns good into overdue: the value is the newest that came, and one newer should have."""


class AirPoller(HeardPoller):
    """One sensor that is heard by radio."""

    unasked = frozenset({RSSI.key})

    def __init__(self, index: int, spec: DeviceSpec, model: BleModel) -> None:
        super().__init__(index, spec, model)
        self.model = model
        self.interval = Interval(spec.interval_s)

    def heard(self, news: News, at_ms: int) -> None:
        """Keep a measurement or a fault."""
        if isinstance(news.outcome, AdvertFault):
            self.keep_fault(str(news.outcome), news.raw, at_ms)
            return
        decoded = news.outcome
        self.interval.heard(news.at, decoded.sequence)
        values = {
            field.key: (value, mark)
            for field, value, mark in zip(decoded.fields, decoded.values, decoded.quality, strict=True)
        }
        if news.rssi is not None:
            values[RSSI.key] = (float(news.rssi), Quality.GOOD)
        self.keep(values, news.raw, at_ms)

    def follow(self, old: HeardPoller, *, same_line: bool) -> None:
        """As of all that are heard; the pace that was learned stays with its sensor."""
        super().follow(old, same_line=same_line)
        if isinstance(old, AirPoller) and self.spec == old.spec:
            self.interval = old.interval

    def timely(self, slot: int, at_ms: int, marks: bytes) -> bytes:
        """Good is overdue where the sensor, by its own interval, should have been heard again."""
        late_s = (self.grid.due_ms(slot) - at_ms) / 1000
        return marks.translate(LATER) if self.interval.overdue(late_s) else marks
