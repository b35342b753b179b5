"""One Bluetooth sensor on the grid, whether it is heard or asked."""

from firmware_interfaces.ble.decoders.nouns import AdvertFault
from firmware_interfaces.ble.models import RSSI, BleModel
from firmware_interfaces.ble.sensors import News
from gateway.acquire.heard import HeardPoller
from gateway.model import Quality
from gateway.site import DeviceSpec

__all__ = ["AirPoller"]


class AirPoller(HeardPoller):
    """One sensor that is heard by radio."""

    unasked = frozenset({RSSI.key})

    def __init__(self, index: int, spec: DeviceSpec, model: BleModel) -> None:
        super().__init__(index, spec, model)
        self.model = model

    def heard(self, news: News, at_ms: int) -> None:
        """Keep a measurement or a fault."""
        if isinstance(news.outcome, AdvertFault):
            self.keep_fault(str(news.outcome), news.raw, at_ms)
            return
        decoded = news.outcome
        values = {
            field.key: (value, mark)
            for field, value, mark in zip(decoded.fields, decoded.values, decoded.quality, strict=True)
        }
        if news.rssi is not None:
            values[RSSI.key] = (float(news.rssi), Quality.GOOD)
        self.keep(values, news.raw, at_ms)
