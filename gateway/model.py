"""The nouns that pass between the stations, and nothing else.

Times are integers of the boot-time clock (CLOCK_BOOTTIME: it counts suspend and is never set), because no
timer and no record may depend on a wall clock that can be wrong. The wall-clock time of a record follows from
the `ClockClaim` in the header of the batch that holds it.
"""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, Literal, NamedTuple

from firmware_interfaces.quality import Quality

__all__ = [
    "Alarm",
    "AlarmState",
    "Batch",
    "ClockClaim",
    "ClockState",
    "Column",
    "Condition",
    "DeviceLayout",
    "Event",
    "Head",
    "Layout",
    "Miss",
    "Quality",
    "Scan",
    "StoredBatch",
    "Stream",
    "Tier",
]

Stream = Literal["scan", "event"]
"""The two sequences of batches that a gateway signs."""


class ClockState(IntEnum):
    """How far the wall clock is to be believed."""

    TRUSTED = 0
    HOLDOVER = 1
    UNTRUSTED = 2


class ClockClaim(NamedTuple):
    """What the gateway can say about time at one instant.

    ``boot`` is the kernel's boot id (16 bytes), ``boot_ms`` the boot-time clock, ``utc_ms`` the wall clock at
    the same instant (Unix milliseconds; None while it is untrusted) and ``error_ms`` the largest error it can
    have (None while it is untrusted).
    """

    boot: bytes
    boot_ms: int
    utc_ms: int | None
    error_ms: int | None
    state: ClockState

    def utc_at(self, boot_ms: int) -> int | None:
        """Unix milliseconds of another instant of the same boot, None while the clock is untrusted."""
        return None if self.utc_ms is None else self.utc_ms + boot_ms - self.boot_ms


@dataclass(frozen=True, slots=True)
class Column:
    """One series of a device.

    ``decimals`` is the number of decimal places that the device delivers (its values are whole multiples of
    10**-decimals, and are recorded as exact integers); None for binary floating point. A calibrated channel
    has two columns: ``value`` (corrected, the one to use) and ``indicated`` (as the device gave it).
    """

    channel: str
    unit: str
    decimals: int | None
    role: Literal["value", "indicated"] = "value"


@dataclass(frozen=True, slots=True)
class DeviceLayout:
    """What the scans of one device hold. Slot k of its schedule is due at boot time k * period + phase."""

    id: str
    bus: str
    model: str
    model_hash: str
    period_ms: int
    phase_ms: int
    columns: tuple[Column, ...]
    calibration: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Channel to certificate number, validity and correction points, as they stand in the site file."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The devices of a gateway in the order of their index: what makes the numbers of a batch readable."""

    devices: tuple[DeviceLayout, ...]


@dataclass(slots=True)
class Scan:
    """One poll of one device.

    ``slot`` is its place in the device's schedule, ``at_ms`` the boot time at which the answer was complete,
    ``values`` one double per column (NaN exactly where the quality is bad), ``quality`` one `Quality` byte per
    column, ``raw`` the bytes from the bus, kept where any quality is bad.
    """

    device: int
    slot: int
    at_ms: int
    values: "array[float]"
    quality: bytes
    raw: bytes | None = None


@dataclass(slots=True)
class Miss:
    """``count`` slots of a device, from ``slot`` on, that brought no answer, and why (a bad quality)."""

    device: int
    slot: int
    count: int
    quality: int
    raw: bytes | None = None


@dataclass(slots=True)
class Event:
    """Anything else worth keeping as evidence.

    ``kind`` is a dotted name (``gap.opened``); ``data`` holds only what CBOR can carry.
    """

    kind: str
    at_ms: int
    data: dict[str, Any]


class Tier(StrEnum):
    """What kind of care an alarm asks for."""

    CRITICAL = "critical"
    """A critical limit: food may be unsafe. Nothing learned and no declared state ever holds it back on a CCP."""
    ALERT = "alert"
    """The working limit before it: there is still time."""
    MAINTENANCE = "maintenance"
    """The measuring itself needs care: silent sensor, calibration due, battery, clock, disk."""
    ADVISORY = "advisory"
    """Something learned looks unusual. Advice only."""


class AlarmState(StrEnum):
    """States of an alarm, named as in ANSI/ISA-18.2."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned to normal, unacknowledged"
    SHELVED = "shelved"
    SUPPRESSED = "suppressed by design"
    OUT_OF_SERVICE = "out of service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something is so, or is so no longer: what a judge says and an alarm is made of.

    ``alarm`` is ``subject/rule`` and stays the same for ever (``cold-room-1/high-critical``); ``at_ms`` the boot
    time at which it became so, ``since_ms`` when the excursion behind it began (before any delay). ``value`` and
    ``limit`` are in ``unit``, None where the condition is not about a value. ``words`` says it in one English
    sentence; ``detail`` holds only what CBOR can carry (the rule in force, with the profile and its hash).
    """

    alarm: str
    active: bool
    at_ms: int
    since_ms: int
    rule: str
    tier: Tier
    point: str | None = None
    device: str | None = None
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    words: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """An alarm at one moment, for pages and outputs; the record has it as ``alarm.*`` events.

    ``occurrence`` counts the times it was raised, from 1; ``group`` is the alarm id of the first-out that this one
    follows from, None where it stands alone; ``person`` and ``text`` are of the newest acknowledgement or
    corrective action; ``until_ms`` is the end of shelving or suppression (boot time).
    """

    id: str
    occurrence: int
    state: AlarmState
    active: bool
    condition: Condition
    raised_ms: int
    returned_ms: int | None = None
    group: str | None = None
    escalation: int = 0
    person: str = ""
    text: str = ""
    until_ms: int | None = None


class Head(NamedTuple):
    """The newest batch of a stream: its sequence and the hash of its leaf."""

    seq: int
    leaf: bytes


class Batch(NamedTuple):
    """A closed stretch of one stream, encoded, chained and signed (``body`` is a tagged COSE_Sign1)."""

    stream: Stream
    seq: int
    leaf: bytes
    body: bytes


class StoredBatch(NamedTuple):
    """A batch as the journal holds it: ``body`` is None when retention or a forced deletion took it."""

    stream: Stream
    seq: int
    leaf: bytes
    body: bytes | None
    first_ms: int
    last_ms: int
    values: int
