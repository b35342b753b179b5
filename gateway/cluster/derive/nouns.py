"""What the derived tables are read as: nouns without any reading of their own."""

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["Channel", "ClusterAlarm", "ClusterEvent", "Gateway", "Point", "Rolled"]


class Gateway(NamedTuple):
    """A gateway, and how far the tables follow its evidence.

    ``events`` and ``scans`` are the batches in its trees, ``events_read`` and ``scans_read`` those that the tables
    know; ``unread`` counts those of them that could not be read, or wait for a layout or for the time.
    """

    id: int
    member: int
    member_name: str
    site: str
    name: str
    client: str
    revoked_ms: int | None
    events: int
    scans: int
    events_read: int
    scans_read: int
    unread: int


class Channel(NamedTuple):
    """One series: a channel of a device in one role; ``last_value`` is None where that reading was bad."""

    id: int
    member: int
    gateway: int
    device: str
    channel: str
    role: str
    unit: str
    decimals: int | None
    period_ms: int
    last_ms: int | None
    last_value: float | None
    last_quality: int | None


class Point(NamedTuple):
    """A point of a gateway's newest settings, with the series that feeds it (None: nothing came of it yet).

    ``settings`` is all that the site file says of the point: ``profile`` with ``limits`` and so on.
    """

    member: int
    gateway: int
    point: str
    name: str
    device: str
    channel: str
    critical: bool
    settings: Mapping[str, Any]
    series: Channel | None


class Rolled(NamedTuple):
    """A stretch of a series: how many readings of each severity, and the values of those that are not bad."""

    start_ms: int
    good: int
    uncertain: int
    bad: int
    low: float | None
    high: float | None
    mean: float | None


class ClusterEvent(NamedTuple):
    """An event; ``utc_ms`` and ``error_ms`` are None while the gateway's time is not known.

    ``seq`` and ``place`` say where it stands: batch of the event stream, and place in that batch. Bytes in ``data``
    are hexadecimal texts.
    """

    member: int
    gateway: int
    seq: int
    place: int
    boot: bytes
    boot_ms: int
    utc_ms: int | None
    error_ms: int | None
    kind: str
    point: str | None
    data: Mapping[str, Any]


class ClusterAlarm(NamedTuple):
    """An alarm as its newest event left it: ``state`` is one of `gateway.model.AlarmState`."""

    member: int
    gateway: int
    alarm: str
    point: str | None
    device: str | None
    tier: str
    state: str
    active: bool
    raised_ms: int | None
    changed_ms: int | None
    seq: int
    data: Mapping[str, Any]
