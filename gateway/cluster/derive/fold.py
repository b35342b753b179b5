"""What event batches say, as changes of the tables. Pure: the same events in any groups give the same tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.cluster.derive.plain import Offset, as_json, clean, dated, name, offset_of
from gateway.cluster.derive.settings import Settings, take
from gateway.errors import SealError
from gateway.model import ClockClaim, Event, Layout
from gateway.seal.backfill import BACKFILL, Backfill, read_backfill
from gateway.seal.batch import EVENT_TYPE, OpenBatch
from gateway.seal.columns import decode_events, layout_from_cbor, layout_id

__all__ = ["AlarmRow", "EventRow", "Folded", "alarm_of"]

ALARM = "alarm."
MOST_ALARM = 400
MOST_MS = 2**53


class EventRow(NamedTuple):
    """A row of ``event``, without whose it is."""

    seq: int
    place: int
    boot: bytes
    boot_ms: int
    utc_ms: int | None
    error_ms: int | None
    kind: str
    point: str | None
    data: str


class AlarmRow(NamedTuple):
    """A row of ``alarm``: an alarm as its newest event left it."""

    alarm: str
    point: str | None
    device: str | None
    tier: str
    state: str
    active: bool
    raised_ms: int | None
    changed_ms: int | None
    seq: int
    data: str


class LateValues(NamedTuple):
    """Values that a sensor had kept, out of one event batch."""

    seq: int
    clock: ClockClaim
    backfill: Backfill


@dataclass(slots=True)
class Folded:
    """The changes that event batches give rise to, in the order of their sequence.

    ``boots`` and ``settings`` are what the tables know already; the rest is new.
    """

    boots: dict[bytes, Offset]
    settings: Settings | None
    rows: list[EventRow] = field(default_factory=list)
    layouts: dict[bytes, tuple[bytes, Layout]] = field(default_factory=dict)
    """Name to bytes and meaning, in the order in which they came into force."""
    corrected: dict[bytes, Offset] = field(default_factory=dict)
    alarms: dict[str, AlarmRow] = field(default_factory=dict)
    late: list[LateValues] = field(default_factory=list)
    unread: list[tuple[int, str]] = field(default_factory=list)
    """Batches with something that could not be read, and why."""

    def add(self, batch: OpenBatch) -> None:
        """Fold one batch in; what cannot be read of it is noted, never raised."""
        if batch.content_type != EVENT_TYPE:
            return
        try:
            events = decode_events(batch.payload)
        except SealError as error:
            self.unread.append((batch.seq, str(error)))
            return
        for place, event in enumerate(events):
            try:
                self._apply(batch, event)
            except SealError as error:
                self.unread.append((batch.seq, f"{event.kind}: {error}"))
            self._note(batch, place, event)

    def _note(self, batch: OpenBatch, place: int, event: Event) -> None:
        offset = offset_of(batch.clock, self.boots)
        utc_ms = dated(offset, event.at_ms)
        row = EventRow(
            batch.seq,
            place,
            batch.clock.boot,
            event.at_ms,
            utc_ms,
            None if offset is None or utc_ms is None else offset[1],
            clean(event.kind)[:MOST_ALARM],
            name(event.data.get("point")),
            as_json(event.data),
        )
        self.rows.append(row)
        alarm = alarm_of(row, event.data, offset)
        if alarm is not None:
            self.alarms[alarm.alarm] = alarm

    def _apply(self, batch: OpenBatch, event: Event) -> None:
        match event.kind:
            case "layout":
                self._layout(event.data)
            case "clock.correction":
                self._correct(event.data)
            case "config.changed":
                self.settings = take(self.settings, event.data)
            case kind if kind == BACKFILL:
                self.late.append(LateValues(batch.seq, batch.clock, read_backfill(event.data)))

    def _layout(self, data: Mapping[str, Any]) -> None:
        written = data.get("layout")
        if not isinstance(written, bytes):
            raise SealError("bad-layout", "there is none in the event")
        layout = layout_from_cbor(written)
        for device in layout.devices:
            if name(device.id) is None or not all(name(column.channel) for column in device.columns):
                raise SealError("bad-layout", "a name is empty or too long")
        known = layout_id(layout)
        self.layouts.pop(known, None)
        self.layouts[known] = written, layout

    def _correct(self, data: Mapping[str, Any]) -> None:
        match data:
            case {"boot": bytes(boot), "offset_ms": int(offset_ms), "error_ms": int(error_ms)} if (
                len(boot) == 16 and abs(offset_ms) <= MOST_MS and 0 <= error_ms <= MOST_MS
            ):
                # The first one counts: what it has dated is not dated anew when a restart corrects the same boot.
                if boot not in self.boots:
                    self.boots[boot] = self.corrected[boot] = offset_ms, error_ms
            case _:
                raise SealError("bad-event", "no correction of a boot's time")


def alarm_of(row: EventRow, data: Mapping[str, Any], offset: Offset | None) -> AlarmRow | None:
    """The alarm after an event of it; None for other events, and for one that says no state."""
    alarm, tier, state = name(data.get("alarm"), MOST_ALARM), name(data.get("tier")), name(data.get("state"))
    if not row.kind.startswith(ALARM) or alarm is None or tier is None or state is None:
        return None
    return AlarmRow(
        alarm,
        row.point,
        name(data.get("device")),
        tier,
        state,
        data.get("active") is True,
        dated(offset, data.get("raised_ms")),
        row.utc_ms,
        row.seq,
        row.data,
    )
