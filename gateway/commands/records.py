"""`aurora-gateway record`: calibrations, verifications, lots, notes and corrective actions, and what is on record.

New records go through the running daemon, which alone writes to the journal. Lists are read from the journal
itself, whether the daemon runs or not. The options are in `recordoptions`.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from gateway.buffer.reader import Reader
from gateway.clock import Clock
from gateway.control import ask
from gateway.errors import AuroraError, RecordError
from gateway.holdings import bodies, readings_of
from gateway.logbook.entry import Moment
from gateway.logbook.index import Index
from gateway.recordkeeping.events import (
    LISTED,
    Recorded,
    recorded_events,
    rows,
    write_csv,
    write_json,
)
from gateway.recordkeeping.lots import lot_history
from gateway.records import Archive
from gateway.site import Site

__all__ = ["LISTS", "make_record"]

NOT_FIELDS = frozenset({"site", "command", "reading"})


def make_record(do: str, site: Site, arguments: argparse.Namespace) -> int:
    """Have the daemon make a record of the options that were given, and say what came of it."""
    request = {
        name: value
        for name, value in vars(arguments).items()
        if name not in NOT_FIELDS and value is not None and value != []
    }
    if getattr(arguments, "reading", None):
        request["points"] = arguments.reading
    print(_made(ask(site.data_dir, {**request, "do": do, "source": "command"})))
    return 0


def _made(answer: Mapping[str, Any]) -> str:
    data = answer.get("data") or {}
    lines = [f"{answer['record']} is recorded" if answer.get("stored") else _WAITS.format(answer["record"])]
    if data.get("supersedes"):
        lines.append(f"it takes the place of {data['supersedes']}")
    for which, words in (("as_found", "as found"), ("as_left", "as left")):
        if data.get(f"{which}_error") is not None:
            passed = "within" if data[f"{which}_passed"] else "NOT within"
            error, unit = data[f"{which}_error"], data["unit"]
            lines.append(
                f"error {words} {error:+g} {unit}: {passed} {data['tolerance']:g} ({data['tolerance_source']})"
            )
    if data.get("review"):
        lines.append(data["review"]["words"])
    return "\n".join(lines)


_WAITS = "{} is taken, and waits in memory: the disk cannot be written now (see the status page)"


def _journal(site: Site) -> Reader:
    path = site.data_dir / "journal.db"
    if not path.exists():
        raise AuroraError(f"there is no journal {path}: the gateway has not run with this site file yet")
    return Reader(path)


def _list(site: Site, arguments: argparse.Namespace) -> int:
    kinds = [kind for kind in LISTED if not arguments.kind or kind.partition(".")[2] in arguments.kind]
    with closing(_journal(site)) as journal:
        listed = rows(recorded_events(journal), kinds)
        if arguments.record is not None:
            chain = {entry.id for entry in _index(journal).chain(arguments.record)}
            listed = [row for row in listed if row["record"] in chain]
    if arguments.format == "csv":
        write_csv(sys.stdout, listed)
    elif arguments.format == "json":
        write_json(sys.stdout, listed)
    else:
        for row in listed:
            print(_line(row))
    return 0


def _line(row: Mapping[str, Any]) -> str:
    at = row["happened_utc"] or row["recorded_utc"] or "(time not known)"
    about = " ".join(
        str(row[name]) for name in ("direction", "lot", "point", "channel", "certificate") if row[name]
    )
    results = (("as found", row["as_found_passed"]), ("as left", row["as_left_passed"]))
    passed = ", ".join(f"{when} {'passed' if ok else 'FAILED'}" for when, ok in results if ok is not None)
    fate = (
        ""
        if row["holds"]
        else f"[superseded by {row['superseded_by']}]"
        if row["superseded_by"]
        else "[withdrawal]"
    )
    words = row["text"] or row["data"].get("words") or ""
    if row["kind"] == "config.changed" and not row["data"]["first"]:
        words = " ".join([words, *(f"[{c['path']}: {c['old']} -> {c['new']}]" for c in row["data"]["changes"])])
    parts = (row["record"], at, row["kind"].partition(".")[2], about, passed, row["person"] or "", words, fate)
    return "  ".join(part.replace("\n", " / ") for part in parts if part)


def _index(journal: Reader) -> Index:
    index = Index()
    for recorded in recorded_events(journal):
        index.take(recorded.event, recorded.boot, recorded.utc_ms)
    return index


def _lots(site: Site, arguments: argparse.Namespace) -> int:
    with closing(_journal(site)) as journal:
        index = _index(journal)
    for stretch in index.open_lots() if arguments.lot is None else index.stretches(arguments.lot):
        quantity = "" if stretch.quantity is None else f"  {stretch.quantity:g} {stretch.unit}"
        until = "" if stretch.left is None else f" until {_when(stretch.left)}"
        print(f"{stretch.lot}  {stretch.point}  since {_when(stretch.came)}{until}{quantity}")
    return 0


def _when(moment: Moment) -> str:
    if moment.utc_ms is None:
        return "(time not known)"
    return datetime.fromtimestamp(moment.utc_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _history(site: Site, arguments: argparse.Namespace) -> int:
    clock = Clock(site.clock)
    clock.refresh()
    claim = clock.claim()
    now = Moment(claim.boot, claim.boot_ms, claim.utc_ms)
    with closing(_journal(site)) as journal:
        archive, index = Archive(), Index()
        stored = archive.add_events(bodies(journal, "event"))
        events = [Recorded(item.event, item.boot, item.utc_ms, item.batch) for item in stored]
        for recorded in events:
            index.take(recorded.event, recorded.boot, recorded.utc_ms)
        stretches = index.stretches(arguments.lot)
        if not stretches:
            raise RecordError(f"no lot {arguments.lot!r} is on record", "see: aurora-gateway record SITE lots")
        found = lot_history(stretches, readings_of(archive, journal), events, site, now)
    print(json.dumps([history.plain() for history in found], ensure_ascii=False, indent=1))
    return 0


def _register(site: Site, _: argparse.Namespace) -> int:
    with closing(_journal(site)) as journal:
        print(json.dumps(_index(journal).register(), ensure_ascii=False, indent=1))
    return 0


LISTS: Mapping[str, Callable[[Site, argparse.Namespace], int]] = {
    "list": _list,
    "lots": _lots,
    "history": _history,
    "register": _register,
}
"""What each action that only reads does."""
