"""A lot's temperature history: for each zone that it was in, what was measured, beyond a limit, and not measured.

Figures come from the record alone; a gap stays a gap, and what cannot be placed in time is counted, not guessed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from firmware_interfaces.quality import UNCERTAIN
from gateway.logbook.entry import Moment
from gateway.logbook.lots import Stretch
from gateway.model import Quality
from gateway.recordkeeping.episodes import Episode, episodes
from gateway.recordkeeping.events import Recorded
from gateway.records import Reading
from gateway.site import DeviceSpec, Site

__all__ = ["Gap", "StretchHistory", "Violation", "lot_history"]

NOT_ON_RECORD = "not on record"


class Gap(NamedTuple):
    """Slots of the schedule without a usable value. ``from_ms`` on the line of time of the stretch; see ``utc``."""

    from_ms: int
    slots: int
    cause: str
    words: str


class Violation(NamedTuple):
    """A limit that was passed in the zone while the lot was there, as the alarm of the record says.

    Times are Unix milliseconds, None where they are not known (``returned_ms`` also while it lasts); ``certain`` is
    false where the record cannot say whether it fell into the stretch.
    """

    alarm: str
    rule: str
    tier: str
    since_ms: int | None
    raised_ms: int | None
    returned_ms: int | None
    value: float | None
    limit: float | None
    unit: str
    words: str
    certain: bool


@dataclass(slots=True)
class StretchHistory:
    """One stay of a lot in a zone. Temperatures in ``unit``; extremes are of single values, the mean of all."""

    stretch: Stretch
    device: str
    channel: str
    unit: str = ""
    utc: bool = True
    """Whether times are UTC; else they are of the boot clock of ``stretch.came.boot``."""
    values: int = 0
    uncertain: int = 0
    minimum: float | None = None
    minimum_ms: int | None = None
    maximum: float | None = None
    maximum_ms: int | None = None
    mean: float | None = None
    scheduled: int = 0
    gaps: list[Gap] = field(default_factory=list)
    unplaced: int = 0
    """Readings of the zone whose time is not known, so that they may or may not belong here."""
    violations: list[Violation] = field(default_factory=list)

    @property
    def coverage(self) -> float | None:
        """Percent of the scheduled samples that have a usable value; None where none was scheduled."""
        return None if not self.scheduled else 100 * self.values / self.scheduled

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        stretch = self.stretch
        return {
            "lot": stretch.lot,
            "point": stretch.point,
            "channel": f"{self.device}.{self.channel}",
            "from": _moment(stretch.came),
            "to": None if stretch.left is None else _moment(stretch.left),
            "quantity": stretch.quantity,
            "quantity_unit": stretch.unit,
            "records": list(stretch.records),
            "unit": self.unit,
            "utc": self.utc,
            "values": self.values,
            "uncertain": self.uncertain,
            "minimum": self.minimum,
            "minimum_ms": self.minimum_ms,
            "maximum": self.maximum,
            "maximum_ms": self.maximum_ms,
            "mean": self.mean,
            "scheduled": self.scheduled,
            "coverage_percent": self.coverage,
            "gaps": [gap._asdict() for gap in self.gaps],
            "unplaced": self.unplaced,
            "violations": [violation._asdict() for violation in self.violations],
        }


def lot_history(
    stretches: Sequence[Stretch],
    readings: Iterable[Reading],
    events: Iterable[Recorded],
    site: Site,
    now: Moment | None = None,
) -> list[StretchHistory]:
    """What the record says about each stretch, in their order.

    ``readings`` and ``events`` are those of the whole record, or of a part that holds the stretches. ``now`` ends
    stretches that still last (None: with the last reading). A zone is the channel and period that the site file
    gives its point today; stretches of points that the site no longer has are left out.
    """
    points = {point.id: point for point in site.points}
    devices = {device.id: device for device in site.devices}
    walks = []
    for stretch in stretches:
        if (point := points.get(stretch.point)) is not None:
            walks.append(_Walk(StretchHistory(stretch, point.device, point.channel), devices[point.device], now))
    by_device: dict[str, list[_Walk]] = {}
    for walk in walks:
        by_device.setdefault(walk.history.device, []).append(walk)
    for reading in readings:
        for walk in by_device.get(reading.device, ()):
            if not reading.channel or (reading.channel == walk.history.channel and reading.role == "value"):
                walk.add(reading)
    for walk in walks:
        walk.finish()
    _add_violations([walk.history for walk in walks], events)
    return [walk.history for walk in walks]


class _Sample(NamedTuple):
    """One slot or a run of missed ones; ``at_ms`` is when it was due, on the stretch's line of time."""

    at_ms: int
    slots: int
    quality: Quality
    value: float | None


class _Walk:
    """Collects the samples of one stretch."""

    def __init__(self, history: StretchHistory, device: DeviceSpec, now: Moment | None) -> None:
        self.history = history
        self._period_ms = device.period_ms
        self._phase_ms = device.phase_ms
        came, left = history.stretch.came, history.stretch.left or now
        history.utc = came.utc_ms is not None and (left is None or left.utc_ms is not None)
        self._boot = came.boot
        self._samples: list[_Sample] = []
        self._from_ms = came.utc_ms if history.utc and came.utc_ms is not None else came.boot_ms
        self._to_ms: int | None = None
        if left is not None and history.utc:
            self._to_ms = left.utc_ms
        elif left is not None and left.boot == came.boot:
            self._to_ms = left.boot_ms

    def add(self, reading: Reading) -> None:
        """Take a reading of the zone where it belongs here."""
        at_ms = reading.utc_ms
        if not self.history.utc:
            at_ms = reading.boot_ms if reading.boot == self._boot else None
        if at_ms is None:
            self.history.unplaced += reading.slots
            return
        late_ms = reading.boot_ms - (reading.slot * self._period_ms + self._phase_ms)
        if 0 <= late_ms < self._period_ms:
            # The slot's own place in the schedule; of another schedule than today's, the answer's time must do.
            at_ms -= late_ms
        first, count = 0, reading.slots
        if at_ms < self._from_ms:
            first = -(-(self._from_ms - at_ms) // self._period_ms)
        if self._to_ms is not None:
            count = min(count, -(-(self._to_ms - at_ms) // self._period_ms))
        if (reading.slots == 1 and at_ms < self._from_ms) or count <= first:
            return
        if reading.channel and reading.unit:
            self.history.unit = reading.unit
        at_ms += first * self._period_ms
        self._samples.append(_Sample(at_ms, count - first, reading.quality, reading.value))

    def finish(self) -> None:
        """Figures and gaps of all that was added."""
        history = self.history
        self._samples.sort(key=lambda sample: sample.at_ms)
        total = 0.0
        due_ms: int | None = None
        for sample in self._samples:
            if due_ms is None:
                missing = (sample.at_ms - self._from_ms) // self._period_ms
            else:
                # Between two batches the claim about UTC may have moved a little.
                missing = round((sample.at_ms - due_ms) / self._period_ms)
            self._hole(sample.at_ms - missing * self._period_ms, missing)
            history.scheduled += sample.slots
            due_ms = sample.at_ms + sample.slots * self._period_ms
            if sample.value is None:
                self._gap(sample.at_ms, sample.slots, sample.quality.name.lower(), sample.quality.words)
                continue
            total += sample.value
            history.values += 1
            history.uncertain += sample.quality >= UNCERTAIN
            if history.minimum is None or sample.value < history.minimum:
                history.minimum, history.minimum_ms = sample.value, sample.at_ms
            if history.maximum is None or sample.value > history.maximum:
                history.maximum, history.maximum_ms = sample.value, sample.at_ms
        if self._to_ms is not None:
            due_ms = self._from_ms if due_ms is None else due_ms
            self._hole(due_ms, -(-(self._to_ms - due_ms) // self._period_ms))
        history.mean = total / history.values if history.values else None

    def _hole(self, from_ms: int, slots: int) -> None:
        """Slots that are not on record."""
        if slots > 0:
            self.history.scheduled += slots
            self._gap(from_ms, slots, NOT_ON_RECORD, "the journal does not hold this time")

    def _gap(self, from_ms: int, slots: int, cause: str, words: str) -> None:
        gaps = self.history.gaps
        if gaps and gaps[-1].cause == cause:
            last = gaps[-1]
            # A gap goes on where less than a whole slot lies between: the same cause, without a value in between.
            if from_ms - (last.from_ms + last.slots * self._period_ms) < self._period_ms:
                gaps[-1] = last._replace(slots=last.slots + slots)
                return
        gaps.append(Gap(from_ms, slots, cause, words))


def _add_violations(histories: Iterable[StretchHistory], events: Iterable[Recorded]) -> None:
    known = episodes(events)
    for history in histories:
        for episode in known:
            if episode.point == history.stretch.point and (found := _within(episode, history.stretch)) is not None:
                history.violations.append(found)


def _within(episode: Episode, stretch: Stretch) -> Violation | None:
    """The violation that an alarm is of a stretch, None where it lies outside."""
    starts = True if stretch.left is None else episode.since.before(stretch.left)
    ends = True if episode.returned is None else stretch.came.before(episode.returned)
    if starts is False or ends is False:
        return None
    data = episode.data
    return Violation(
        str(data["alarm"]),
        str(data.get("rule") or ""),
        str(data["tier"]),
        episode.since.utc_ms,
        episode.raised.utc_ms,
        None if episode.returned is None else episode.returned.utc_ms,
        data.get("value"),
        data.get("limit"),
        str(data.get("unit") or ""),
        str(data.get("words") or ""),
        bool(starts and ends),
    )


def _moment(moment: Moment) -> dict[str, Any]:
    return {"utc_ms": moment.utc_ms, "boot": moment.boot.hex(), "boot_ms": moment.boot_ms}
