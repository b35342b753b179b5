"""What is on record: people's records by id, what supersedes them, and what follows from those that hold.

The index is rebuilt from the event stream at every start (`take`), so that it says what the signed record says,
after a kill -9 too. `memory` carries over what the stream may no longer hold because retention took it: lots that
are still in a zone, and the newest calibration and verification of each channel.
"""

import json
from bisect import insort
from collections.abc import Collection, Sequence
from typing import Any, Final

from gateway.errors import RecordError, StorageError
from gateway.logbook.comparison import good_after
from gateway.logbook.entry import CALIBRATION, KINDS, LOT, VERIFICATION, Entry, Moment
from gateway.logbook.forms import lot_key
from gateway.logbook.lots import Move, Stretch, replay
from gateway.model import Event

__all__ = ["Index"]

MEMORY_VERSION: Final = 1


class Index:
    """All records that this gateway holds, by id, with what supersedes them."""

    def __init__(self, memory: bytes | None = None) -> None:
        self._entries: dict[str, Entry] = {}
        self._following: dict[str, str] | None = None
        self.unreadable = 0
        """Record events of the stream that are no records as this version knows them."""
        self._order: list[tuple[int, str]] = []
        self._lots: dict[str, list[str]] = {}
        self._channels: dict[str, list[str]] = {}
        """Ids of lot records by lot, and of comparisons by channel."""
        self._stays: dict[str, list[Stretch]] = {}
        """Stretches by lot, as far as they have been asked for since they changed."""
        self._places: dict[str, int] = {}
        self._moments: dict[str, Moment] = {}
        """Number of the first record of a chain, and the moment that it is about, as a memory knows them."""
        self._offsets: dict[bytes, int] = {}
        """Boots whose UTC became known later: UTC minus boot time in milliseconds."""
        self._last = 0
        if memory is not None:
            self._recall(memory)

    # what is on record

    def take(self, event: Event, boot: bytes, utc_ms: int | None) -> None:
        """Take an event of the stream, in order; other kinds than records and clock corrections are left aside."""
        if event.kind == "clock.correction" and isinstance(event.data.get("boot"), bytes):
            self._offsets[event.data["boot"]] = int(event.data["offset_ms"])
            self._stays.clear()
        if event.kind in KINDS:
            try:
                self._add(Entry.read(event.kind, Moment(boot, event.at_ms, utc_ms), event.data))
            except RecordError:
                self.unreadable += 1

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, record: str) -> Entry:
        """A record by its id; raises `RecordError` for one that is not here."""
        entry = self._entries.get(record)
        if entry is None:
            raise RecordError(
                f"there is no record {record[:60]!r} here", "see the list of records; older ones are at the cluster"
            )
        return entry

    def newest(self, record: str) -> Entry:
        """The record that holds in the place of another one (or itself)."""
        entry = self.get(record)
        while (following := self._links().get(entry.id)) is not None:
            entry = self._entries[following]
        return entry

    def chain(self, record: str) -> list[Entry]:
        """A record with all that it supersedes and all that superseded it, oldest first."""
        before = {new: old for old, new in self._links().items()}
        entries = [self.newest(record)]
        while (old := before.get(entries[-1].id)) is not None:
            entries.append(self._entries[old])
        return entries[::-1]

    def _links(self) -> dict[str, str]:
        """Superseded record to the one that took its place. A chain has no branches: the newest record counts."""
        if self._following is None:
            self._following = {}
            for entry in self.entries():
                self._link(entry, self._following)
        return self._following

    def _link(self, entry: Entry, following: dict[str, str]) -> Entry | None:
        """Put a record at the end of its chain; the record that held there until now."""
        if (old := self._before(entry)) is None:
            return None
        end = old.id
        while end in following:
            end = following[end]
        following[end] = entry.id
        return self._entries[end]

    def _before(self, entry: Entry) -> Entry | None:
        """What a record supersedes, where it is here. Only an earlier record can be that."""
        old = self._entries.get(entry.supersedes or "")
        return old if old is not None and old.number < entry.number else None

    def holds(self, entry: Entry) -> bool:
        """Whether a record counts: not superseded, and no mere withdrawal."""
        return entry.id not in self._links() and not entry.withdrawn

    def when(self, entry: Entry) -> Moment:
        """When that happened which is recorded.

        A record that supersedes another one is about the same moment, unless it states its own.
        """
        while entry.data.get("done_ms") is None and (old := self._before(entry)) is not None:
            entry = old
        if entry.data.get("done_ms") is None and (moment := self._moments.get(entry.id)) is not None:
            return self._dated(moment)
        return self._dated(entry.when)

    def recorded(self, entry: Entry) -> Moment:
        """When a record was made."""
        return self._dated(entry.at)

    def entries(self, kind: str | None = None) -> list[Entry]:
        """All records, superseded ones too, in the order in which they were made."""
        entries = (self._entries[record] for _, record in self._order)
        return [entry for entry in entries if kind in {None, entry.kind}]

    # what follows from it

    def stretches(self, lot: str | None = None) -> list[Stretch]:
        """Where lots were (or one lot: its number, or its key with brackets), in the order in which they came."""
        found = [
            stretch
            for key in self._lots
            if lot is None or lot == key or key.endswith(f"(10){lot}")
            for stretch in self._stretches_of(key)
        ]
        return sorted(found, key=self._begin)

    def open_lots(self) -> list[Stretch]:
        """The lots that are in a zone."""
        found = [stretch for key in self._lots for stretch in self._stretches_of(key) if stretch.left is None]
        return sorted(found, key=self._begin)

    def _begin(self, stretch: Stretch) -> int:
        return self._root(self._entries[stretch.records[0]])

    def _stretches_of(self, key: str) -> list[Stretch]:
        if key not in self._stays:
            self._stays[key] = replay(self.moves({key}))
        return self._stays[key]

    def comparisons(self, channel: str) -> list[Entry]:
        """Calibrations and verifications of a channel that hold, oldest first."""
        entries = (self._entries[record] for record in self._channels.get(channel, ()))
        found = sorted((entry for entry in entries if self.holds(entry)), key=_place)
        moments = [self.when(entry).utc_ms for entry in found]
        if all(moment is not None for moment in moments):
            found = [entry for _, entry in sorted(zip(moments, found, strict=True), key=lambda pair: pair[0] or 0)]
        return found

    def register(self) -> list[dict[str, Any]]:
        """The calibration register: for each channel with a record, what holds now.

        ``certificate`` and ``valid_until`` are of the newest calibration, ``last_good`` the newest comparison with
        a good result, ``reviews`` the stretches that as-found failures put in question.
        """
        return [self._register_row(channel) for channel in sorted(self._channels) if self.comparisons(channel)]

    def _register_row(self, channel: str) -> dict[str, Any]:
        held = self.comparisons(channel)
        calibration = next((entry for entry in reversed(held) if entry.kind == CALIBRATION), None)
        good = next((entry for entry in reversed(held) if good_after(entry)), None)
        return {
            "channel": channel,
            "certificate": calibration and calibration.data["certificate"],
            "valid_until": calibration and calibration.data["valid_until"],
            "calibration": calibration and calibration.id,
            "last": held[-1].id,
            "last_ms": self.when(held[-1]).utc_ms,
            "last_good": good and good.id,
            "last_good_ms": good and self.when(good).utc_ms,
            "passed": good_after(held[-1]),
            "reviews": [entry.data["review"] for entry in held if entry.data["review"] is not None],
        }

    def moves(self, lots: Collection[str], coming: Entry | None = None) -> list[Move]:
        """The records of some lots that hold, each in the place of the first of its chain.

        ``coming`` is a record that is not here yet, with what it supersedes out of the way.
        """
        found: list[tuple[int, Move]] = []
        replaced = None if coming is None else coming.supersedes
        for entry in (self._entries[record] for lot in lots for record in self._lots.get(lot, ())):
            if self.holds(entry) and entry.id != replaced:
                found.append((self._root(entry), Move(entry, self.when(entry))))
        if coming is not None and not coming.withdrawn and lot_key(coming.data) in lots:
            found.append((self._root(coming), Move(coming, self.when(coming))))
        return [move for _, move in sorted(found, key=lambda pair: pair[0])]

    def _root(self, entry: Entry) -> int:
        """Number of the first record of a chain: the place of the chain among the others."""
        while (old := self._before(entry)) is not None:
            entry = old
        return self._places.get(entry.id, entry.number)

    # keeping

    def memory(self) -> bytes:
        """What a restart needs beyond the event stream."""
        wanted: dict[str, Entry] = {}
        for stretch in self.open_lots():
            for record in stretch.records:
                wanted[record] = self._entries[record]
        for row in self.register():
            for name in ("calibration", "last", "last_good"):
                if row[name] is not None:
                    wanted[row[name]] = self._entries[row[name]]
        entries = [
            {
                "kind": entry.kind,
                "place": self._root(entry),
                "at": _plain(self._dated(entry.at)),
                "when": _plain(self.when(entry)),
                "data": entry.data,
            }
            for entry in sorted(wanted.values(), key=_place)
        ]
        return json.dumps({"version": MEMORY_VERSION, "last": self._last, "entries": entries}).encode()

    def _recall(self, memory: bytes) -> None:
        try:
            kept = json.loads(memory)
            if kept["version"] != MEMORY_VERSION:
                raise StorageError(f"a logbook memory of version {kept['version']}", "it begins anew")
            for item in kept["entries"]:
                entry = Entry.read(str(item["kind"]), _moment(item["at"]), item["data"])
                self._places[entry.id] = int(item["place"])
                self._moments[entry.id] = _moment(item["when"])
                self._add(entry)
            self._last = max(self._last, int(kept["last"]))
        except (ValueError, TypeError, KeyError, RecordError) as error:
            raise StorageError(f"the memory of the logbook cannot be read ({error!r})", "it begins anew") from error

    def _add(self, entry: Entry) -> None:
        known = self._entries.get(entry.id)
        # The stream's own wording takes the place of what was carried over.
        self._entries[entry.id] = entry
        self._last = max(self._last, entry.number)
        if known is None:
            insort(self._order, _place(entry))
            if entry.kind == LOT:
                self._lots.setdefault(lot_key(entry.data), []).append(entry.id)
            elif entry.kind in {CALIBRATION, VERIFICATION}:
                self._channels.setdefault(entry.data["channel"], []).append(entry.id)
        if known is None and self._following is not None and self._order[-1] == _place(entry):
            for changed in (entry, self._link(entry, self._following)):
                if changed is not None and changed.kind == LOT:
                    self._stays.pop(lot_key(changed.data), None)
        else:
            self._following = None
            self._stays.clear()

    def _dated(self, moment: Moment) -> Moment:
        if moment.utc_ms is None and (offset := self._offsets.get(moment.boot)) is not None:
            return moment._replace(utc_ms=moment.boot_ms + offset)
        return moment


def _place(entry: Entry) -> tuple[int, str]:
    """Where a record stands among the others."""
    return entry.number, entry.id


def _plain(moment: Moment) -> list[str | int | None]:
    return [moment.boot.hex(), moment.boot_ms, moment.utc_ms]


def _moment(kept: Sequence[Any]) -> Moment:
    boot, boot_ms, utc_ms = kept
    return Moment(bytes.fromhex(boot), int(boot_ms), None if utc_ms is None else int(utc_ms))
