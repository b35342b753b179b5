"""What is on record: people's records by id, what supersedes them, and what follows from those that hold.

The index is rebuilt from the event stream at every start (`take`), so that it says what the signed record says,
after a kill -9 too. `memory` carries over what the stream may no longer hold because retention took it: lots that
are still in a zone, and the newest calibration and verification of each channel.
"""

import json
from typing import Any, Final

from gateway.errors import RecordError, StorageError
from gateway.logbook.comparison import good_after
from gateway.logbook.entry import CALIBRATION, KINDS, LOT, VERIFICATION, Entry, Moment
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
            following: dict[str, str] = {}
            for entry in self.entries():
                old = self._entries.get(entry.supersedes or "")
                if old is None or old.number >= entry.number:
                    continue
                end = old.id
                while end in following:
                    end = following[end]
                following[end] = entry.id
            self._following = following
        return self._following

    def holds(self, entry: Entry) -> bool:
        """Whether a record counts: not superseded, and no mere withdrawal."""
        return entry.id not in self._links() and not entry.withdrawn

    def when(self, entry: Entry) -> Moment:
        """When that happened which is recorded.

        A record that supersedes another one is about the same moment, unless it states its own.
        """
        while entry.data.get("done_ms") is None and entry.supersedes in self._entries:
            entry = self._entries[entry.supersedes]
        return self._dated(entry.when)

    def recorded(self, entry: Entry) -> Moment:
        """When a record was made."""
        return self._dated(entry.at)

    def entries(self, kind: str | None = None) -> list[Entry]:
        """All records, superseded ones too, in the order in which they were made."""
        return sorted(
            (entry for entry in self._entries.values() if kind in {None, entry.kind}),
            key=lambda e: (e.number, e.id),
        )

    # what follows from it

    def stretches(self, lot: str | None = None) -> list[Stretch]:
        """Where lots were (or one lot: its number, or its key with brackets)."""
        return [
            stretch
            for stretch in replay(self.moves())
            if lot is None or lot == stretch.lot or stretch.lot.endswith(f"(10){lot}")
        ]

    def open_lots(self) -> list[Stretch]:
        """The lots that are in a zone."""
        return [stretch for stretch in self.stretches() if stretch.left is None]

    def comparisons(self, channel: str) -> list[Entry]:
        """Calibrations and verifications of a channel that hold, oldest first."""
        found = [
            entry
            for entry in self.entries()
            if entry.kind in {CALIBRATION, VERIFICATION} and self.holds(entry) and entry.data["channel"] == channel
        ]
        moments = [self.when(entry).utc_ms for entry in found]
        if all(moment is not None for moment in moments):
            found = [entry for _, entry in sorted(zip(moments, found, strict=True), key=lambda pair: pair[0] or 0)]
        return found

    def register(self) -> list[dict[str, Any]]:
        """The calibration register: for each channel with a record, what holds now.

        ``certificate`` and ``valid_until`` are of the newest calibration, ``last_good`` the newest comparison with
        a good result, ``reviews`` the stretches that as-found failures put in question.
        """
        channels = sorted(
            {e.data["channel"] for e in self._entries.values() if e.kind in {CALIBRATION, VERIFICATION}}
        )
        return [self._register_row(channel) for channel in channels if self.comparisons(channel)]

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

    def moves(self, coming: Entry | None = None) -> list[Move]:
        """The lot records that hold, each in the place of the first of its chain, and what a coming one changes."""
        found: list[tuple[int, Move]] = []
        replaced = None if coming is None else coming.supersedes
        for entry in self.entries(LOT):
            if self.holds(entry) and entry.id != replaced:
                found.append((self._root(entry), Move(entry, self.when(entry))))
        if coming is not None and not coming.withdrawn:
            found.append((self._root(coming), Move(coming, self.when(coming))))
        return [move for _, move in sorted(found, key=lambda pair: pair[0])]

    def _root(self, entry: Entry) -> int:
        while entry.supersedes in self._entries:
            entry = self._entries[entry.supersedes]
        return entry.number

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
                "boot": entry.at.boot.hex(),
                "boot_ms": entry.at.boot_ms,
                "utc_ms": self._dated(entry.at).utc_ms,
                "data": {**entry.data, "done_ms": self._stated(entry)},
            }
            for entry in sorted(wanted.values(), key=lambda e: (e.number, e.id))
        ]
        return json.dumps({"version": MEMORY_VERSION, "last": self._last, "entries": entries}).encode()

    def _stated(self, entry: Entry) -> int | None:
        """When it was done, kept with the record where only the records that it supersedes say so."""
        done_ms: int | None = entry.data["done_ms"]
        if done_ms is None and entry.supersedes is not None:
            return self.when(entry).utc_ms
        return done_ms

    def _recall(self, memory: bytes) -> None:
        try:
            kept = json.loads(memory)
            if kept["version"] != MEMORY_VERSION:
                raise StorageError(f"a logbook memory of version {kept['version']}", "it begins anew")
            for item in kept["entries"]:
                at = Moment(bytes.fromhex(item["boot"]), int(item["boot_ms"]), item["utc_ms"])
                self._add(Entry.read(str(item["kind"]), at, item["data"]))
            self._last = max(self._last, int(kept["last"]))
        except (ValueError, TypeError, KeyError, RecordError) as error:
            raise StorageError(f"the memory of the logbook cannot be read ({error!r})", "it begins anew") from error

    def _add(self, entry: Entry) -> None:
        # The stream's own wording takes the place of what was carried over.
        self._entries[entry.id] = entry
        self._last = max(self._last, entry.number)
        self._following = None

    def _dated(self, moment: Moment) -> Moment:
        if moment.utc_ms is None and (offset := self._offsets.get(moment.boot)) is not None:
            return moment._replace(utc_ms=moment.boot_ms + offset)
        return moment
