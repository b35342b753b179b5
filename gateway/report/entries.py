"""What people, the clock and the machine entered in the record: calibrations, actions, states, lots, changes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.report.samples import Happening

__all__ = ["CHANGES", "ClockNote", "Entry", "Label", "ProcessOutcome", "State", "changes", "clock_notes", "entries"]
__all__ += ["labels", "outcomes", "states"]

CHANGES = (
    "config.changed",
    "power_up",
    "power_down",
    "key.rotated",
    "deleted",
    "storage.salvaged",
    "storage.outage",
    "storage.tail_lost",
    "events.lost",
)
"""Events of the gateway itself that an inspector should see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A record of a person. What it superseded is kept and shown with it; nothing is edited."""

    kind: str
    at_ms: int | None
    """When it was entered."""
    done_ms: int | None
    """When it was done, as the person stated, or when it was entered."""
    record: str
    person: str
    text: str
    supersedes: str | None
    superseded_by: str | None
    withdrawn: bool
    batch: int
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether nothing took its place and it does not only withdraw another."""
        return self.superseded_by is None and not self.withdrawn


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A state that a person declared of a point: start-up, defrost, cleaning, loading."""

    kind: str
    start_ms: int | None
    end_ms: int | None
    """When it ended, None while it goes on."""
    until_ms: int | None
    """When it was to end at the latest."""
    person: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A defrost or an open door that the gateway recognised."""

    kind: str
    channel: str
    start_ms: int
    peak_ms: int | None
    end_ms: int | None
    baseline: float | None
    peak: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessOutcome:
    """A process calculation's result, or its refusal (``refused``) with the reason in words."""

    at_ms: int | None
    calculation: str
    refused: bool
    passed: bool | None
    result: float | None
    unit: str
    source: str
    words: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockNote:
    """Something that happened to the clock."""

    at_ms: int | None
    kind: str
    by_ms: int | None
    error_ms: int | None
    source: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that happened to the gateway itself, or was changed in it."""

    at_ms: int | None
    kind: str
    person: str
    text: str
    batch: int
    data: Mapping[str, Any] = field(default_factory=dict)


def text_of(value: object) -> str:
    """A text as it stands, nothing for what is none."""
    return value if isinstance(value, str) else ""


def number_of(value: object) -> float | None:
    """A number, None for what is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def entries(events: Iterable[Happening], kinds: Iterable[str]) -> list[Entry]:
    """The records of these kinds, in the order in which they were entered, with what took their place."""
    wanted = set(kinds)
    found = [event for event in events if event.kind in wanted]
    replaced = {
        text_of(event.data.get("supersedes")): text_of(event.data.get("record"))
        for event in found
        if event.data.get("supersedes")
    }
    return [
        Entry(
            kind=event.kind,
            at_ms=event.utc_ms,
            done_ms=done if (done := _whole(event.data.get("done_ms"))) is not None else event.utc_ms,
            record=text_of(event.data.get("record")),
            person=text_of(event.data.get("person")),
            text=text_of(event.data.get("text")),
            supersedes=text_of(event.data.get("supersedes")) or None,
            superseded_by=replaced.get(text_of(event.data.get("record"))) or None,
            withdrawn=event.data.get("withdrawn") is True,
            batch=event.batch,
            data=event.data,
        )
        for event in found
    ]


def states(events: Iterable[Happening], point: str, start_ms: int, until_ms: int) -> list[State]:
    """The declared states of a point that reach into a stretch."""
    found: list[State] = []
    open_ones: dict[str, Happening] = {}

    def close(event: Happening, end_ms: int | None) -> None:
        declared = State(
            kind=text_of(event.data.get("kind")),
            start_ms=event.utc_ms,
            end_ms=end_ms,
            until_ms=event.utc_at(event.data.get("until_ms")),
            person=text_of(event.data.get("person")),
            text=text_of(event.data.get("text")),
        )
        begins = declared.start_ms is None or declared.start_ms < until_ms
        if begins and (end_ms is None or end_ms > start_ms):
            found.append(declared)

    for event in events:
        if event.data.get("point") != point:
            continue
        kind = text_of(event.data.get("kind"))
        if event.kind == "state.declared":
            if (before := open_ones.pop(kind, None)) is not None:
                close(before, event.utc_ms)
            open_ones[kind] = event
        elif event.kind == "state.ended" and (declared := open_ones.pop(kind, None)) is not None:
            close(declared, event.utc_ms)
    for event in open_ones.values():
        close(event, None)
    return sorted(found, key=lambda state: state.start_ms or 0)


def labels(events: Iterable[Happening], device: str, start_ms: int, until_ms: int) -> list[Label]:
    """Defrosts and doors of a device that reach into a stretch."""
    found = []
    for event in events:
        if event.kind not in {"label.defrost", "label.door"} or event.data.get("device") != device:
            continue
        begin, end = event.utc_at(event.data.get("start_ms")), event.utc_at(event.data.get("end_ms"))
        if begin is None or begin >= until_ms or (end is not None and end <= start_ms):
            continue
        found.append(
            Label(
                kind=event.kind.removeprefix("label."),
                channel=text_of(event.data.get("channel")),
                start_ms=begin,
                peak_ms=event.utc_at(event.data.get("peak_ms")),
                end_ms=end,
                baseline=number_of(event.data.get("baseline")),
                peak=number_of(event.data.get("peak")),
            )
        )
    return sorted(found, key=lambda label: label.start_ms)


def outcomes(events: Iterable[Happening], point: str) -> list[ProcessOutcome]:
    """Results and refusals of process calculations of a point."""
    return [
        ProcessOutcome(
            at_ms=event.utc_ms,
            calculation=text_of(event.data.get("calculation")),
            refused=event.kind == "process.refused",
            passed=passed if isinstance(passed := event.data.get("passed"), bool) else None,
            result=number_of(event.data.get("result", event.data.get("value"))),
            unit=text_of(event.data.get("unit")),
            source=text_of(event.data.get("source")),
            words=text_of(event.data.get("words")),
            data=event.data,
        )
        for event in events
        if event.kind in {"process.result", "process.refused"} and event.data.get("point") == point
    ]


def clock_notes(events: Iterable[Happening]) -> list[ClockNote]:
    """What happened to the clock."""
    return [
        ClockNote(
            at_ms=event.utc_ms,
            kind=event.kind,
            by_ms=_whole(event.data.get("by_ms")),
            error_ms=_whole(event.data.get("error_ms")),
            source=text_of(event.data.get("source")),
            reason=text_of(event.data.get("reason")),
        )
        for event in events
        if event.kind.startswith("clock.")
    ]


def changes(events: Iterable[Happening]) -> list[Change]:
    """What happened to the gateway itself."""
    return [
        Change(
            at_ms=event.utc_ms,
            kind=event.kind,
            person=text_of(event.data.get("person")),
            text=text_of(event.data.get("text")),
            batch=event.batch,
            data=event.data,
        )
        for event in events
        if event.kind in CHANGES
    ]
