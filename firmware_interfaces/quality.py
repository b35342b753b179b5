"""Quality: why a value may or may not be trusted, as one byte.

Two levels as in the OPC UA status codes: the upper two bits are the severity (good, uncertain, bad), the
lower six the reason. The codes stand in signed records that are kept for years: one is never given a second
meaning. Bad means that there is no value; uncertain means that there is one, to be used with the named care.
"""

from enum import IntEnum

BAD = 0x80
UNCERTAIN = 0x40


class Quality(IntEnum):
    """Severity and reason of one value or of one stretch of schedule (0..255)."""

    GOOD = 0x00

    UNCALIBRATED = 0x41
    CALIBRATION_EXPIRED = 0x42
    CLOCK_UNTRUSTED = 0x43
    RECOVERED = 0x44
    BACKFILLED = 0x45
    DEVICE_UNCERTAIN = 0x46
    OVERDUE = 0x47

    TIMEOUT = 0x81
    BUS_DOWN = 0x82
    DEVICE_EXCEPTION = 0x83
    BAD_FRAME = 0x84
    SENSOR_FAULT = 0x85
    OUT_OF_RANGE = 0x86
    NOT_SUPPORTED = 0x87
    BACKED_OFF = 0x88
    LATE = 0x89
    GATEWAY_DOWN = 0x8A
    NOT_STORED = 0x8B
    STALE = 0x8C
    NOT_STARTED = 0x8D
    GATEWAY_FAULT = 0x8E

    @property
    def bad(self) -> bool:
        """Whether there is no value."""
        return self >= BAD

    @property
    def severity(self) -> str:
        """``good``, ``uncertain`` or ``bad``."""
        return "bad" if self >= BAD else "uncertain" if self >= UNCERTAIN else "good"

    @property
    def words(self) -> str:
        """What it means, for a page or a log line."""
        return WORDS[self]


WORDS: dict[Quality, str] = {
    Quality.GOOD: "good",
    Quality.UNCALIBRATED: "no calibration on record for a critical point",
    Quality.CALIBRATION_EXPIRED: "calibration certificate has expired",
    Quality.CLOCK_UNTRUSTED: "time of the value is not known to be right",
    Quality.RECOVERED: "salvaged from a damaged store",
    Quality.BACKFILLED: "read later from the sensor's own memory",
    Quality.DEVICE_UNCERTAIN: "device itself calls the value uncertain",
    Quality.OVERDUE: "sensor should have sent something newer by then",
    Quality.TIMEOUT: "device did not answer in time",
    Quality.BUS_DOWN: "no connection to the bus",
    Quality.DEVICE_EXCEPTION: "device answered with an exception",
    Quality.BAD_FRAME: "answer was damaged or not for this request",
    Quality.SENSOR_FAULT: "device reports a sensor fault",
    Quality.OUT_OF_RANGE: "outside what the sensor can measure",
    Quality.NOT_SUPPORTED: "device does not have this register",
    Quality.BACKED_OFF: "device is not answering; it is probed now and then",
    Quality.LATE: "bus was busy, the sample's time had passed",
    Quality.GATEWAY_DOWN: "gateway was not running",
    Quality.NOT_STORED: "value could not be stored",
    Quality.STALE: "no news from the sensor within its interval",
    Quality.NOT_STARTED: "gateway had not begun to poll the device",
    Quality.GATEWAY_FAULT: "a defect in the gateway prevented the reading",
}
