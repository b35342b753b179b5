"""`aurora-gateway export`: the journal in open formats, or the signed batches themselves.

A file appears under its name only when it is complete. What a format cannot carry is counted and said.
"""

import argparse
import csv
import json
import math
import re
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import IO, Any, NamedTuple

from gateway.buffer.reader import Reader
from gateway.buffer.schema import STREAMS
from gateway.errors import AuroraError
from gateway.holdings import bodies, readings_of, stored
from gateway.identity import key_directory
from gateway.model import Stream
from gateway.records import Archive, Reading, StoredEvent
from gateway.seal.keys import load_or_create
from gateway.site import Site

__all__ = ["CSV_HEAD", "csv_row", "export_site"]

SENML_UNITS = {
    "degC": "Cel",
    "K": "K",
    "%RH": "%RH",
    "%": "%",
    "Pa": "Pa",
    "hPa": "hPa",
    "V": "V",
    "A": "A",
    "W": "W",
    "Hz": "Hz",
    "kWh": "kWh",
    "Wh": "Wh",
    "VA": "VA",
    "var": "var",
    "ohm": "Ohm",
    "s": "s",
    "pH": "pH",
}
"""Units of ours that SenML has a name for (RFC 8428 section 12.1, RFC 8798); others are left out there."""


class Window(NamedTuple):
    """What to export: times in Unix milliseconds (None: open), devices (empty: all)."""

    since_ms: int | None
    until_ms: int | None
    devices: frozenset[str]

    def take(self, readings: Iterable[Reading]) -> Iterator[Reading]:
        """The readings of the window. One whose time is not known is in only when no time was asked for; how many
        are left out for that is said on standard error.
        """
        always = self.since_ms is None and self.until_ms is None
        since = -math.inf if self.since_ms is None else self.since_ms
        until = math.inf if self.until_ms is None else self.until_ms
        unknown = 0
        for reading in readings:
            if self.devices and reading.device not in self.devices:
                continue
            if always or (reading.utc_ms is not None and since <= reading.utc_ms < until):
                yield reading
            elif reading.utc_ms is None:
                unknown += 1
        if unknown:
            print(
                f"{unknown} rows are left out because their time is not known (the clock was not set); "
                "an export without --since and --until has them",
                file=sys.stderr,
            )


def _instant(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise AuroraError(f"{text!r} is no time; write it as 2026-11-01 or 2026-11-01T06:00") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def export_site(site: Site, arguments: argparse.Namespace) -> int:
    """Write what was asked for; exit status 0, or 2 with the reason."""
    unknown = sorted(set(arguments.device) - {device.id for device in site.devices})
    if unknown:
        raise AuroraError(
            f"no device {', '.join(unknown)} in {site.source}; there are: "
            + ", ".join(device.id for device in site.devices)
        )
    path = site.data_dir / "journal.db"
    if not path.exists():
        raise AuroraError(f"there is no journal {path}: the gateway has not run with this site file yet")
    window = Window(_instant(arguments.since), _instant(arguments.until), frozenset(arguments.device))
    with closing(Reader(path)) as journal:
        if arguments.format == "batches":
            return _batches(site, journal, _needed(arguments.out, "a folder for the batches"))
        archive = Archive()
        events = list(archive.add_events(bodies(journal, "event", upto=journal.heads()["event"], gone=say_gone)))
        readings = window.take(chain(readings_of(archive, journal, say_gone), archive.backfilled()))
        if arguments.format == "sqlite":
            out = _needed(arguments.out, "a file for the database")
            with _draft(out) as draft:
                _sqlite(draft, readings, events, archive)
            return 0
        if arguments.format == "epcis":
            _epcis(site, journal, archive, window, arguments)
            return 0
        writer: Callable[[IO[str], Iterable[Reading], Site], None] = {
            "csv": _csv,
            "jsonl": _jsonl,
            "senml": _senml,
        }[arguments.format]
        if arguments.out is None:
            writer(sys.stdout, readings, site)
            return 0
        with _draft(arguments.out) as draft, draft.open("w", encoding="utf-8", newline="") as file:
            writer(file, readings, site)
    return 0


def _needed(out: Path | None, what: str) -> Path:
    if out is None:
        raise AuroraError(f"this format needs --out: {what}")
    return out


@contextmanager
def _draft(out: Path) -> Iterator[Path]:
    """A path beside ``out`` that takes its name when the block ends well."""
    draft = out.with_name(out.name + ".partial")
    draft.unlink(missing_ok=True)
    try:
        yield draft
        draft.replace(out)
    except OSError as error:
        raise AuroraError(f"{out} cannot be written ({error.strerror})") from error
    finally:
        draft.unlink(missing_ok=True)


def say_gone(stream: Stream, count: int) -> None:
    """Say on standard error how many batches retention has taken."""
    print(f"{count} {stream} batches are no longer held here (retention); the cluster has them", file=sys.stderr)


# formats


def _number(reading: Reading) -> str:
    if reading.value is None:
        return ""
    return repr(reading.value) if reading.decimals is None else f"{reading.value:.{reading.decimals}f}"


def _time(utc_ms: int | None) -> str:
    if utc_ms is None:
        return ""
    return datetime.fromtimestamp(utc_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


CSV_HEAD = [
    "time_utc",
    "error_ms",
    "device",
    "channel",
    "role",
    "value",
    "unit",
    "severity",
    "reason",
    "slot",
    "slots",
    "boot",
    "boot_ms",
    "batch",
]


def _csv(file: IO[str], readings: Iterable[Reading], _: Site) -> None:
    """One line a value or missed run; an empty value is no value, and the reason says why."""
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(CSV_HEAD)
    lines.writerows(map(csv_row, readings))


def csv_row(r: Reading) -> list[object]:
    """A reading under `CSV_HEAD`."""
    error = "" if r.error_ms is None else r.error_ms
    return [
        _time(r.utc_ms),
        error,
        r.device,
        r.channel,
        r.role,
        _number(r),
        r.unit,
        r.quality.severity,
        r.quality.name.lower(),
        r.slot,
        r.slots,
        r.boot.hex(),
        r.boot_ms,
        r.batch,
    ]


def _jsonl(file: IO[str], readings: Iterable[Reading], _: Site) -> None:
    for r in readings:
        row = {
            **r._asdict(),
            "boot": r.boot.hex(),
            "quality": r.quality.name.lower(),
            "severity": r.quality.severity,
        }
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _senml(file: IO[str], readings: Iterable[Reading], site: Site) -> None:
    """A SenML pack (RFC 8428, JSON). It has no form for quality, missing values, unknown time."""
    left = 0
    base = re.sub(r"[^A-Za-z0-9\-:./_]", "_", site.identity.urn) + ":"
    file.write("[")
    first = True
    for r in readings:
        if r.value is None or r.utc_ms is None or r.role != "value":
            left += 1
            continue
        record: dict[str, object] = {} if not first else {"bn": base}
        record["n"] = re.sub(r"[^A-Za-z0-9\-:./_]", "_", f"{r.device}:{r.channel}")
        if r.unit in SENML_UNITS:
            record["u"] = SENML_UNITS[r.unit]
        record["t"] = r.utc_ms / 1000
        record["v"] = r.value
        file.write(("\n" if first else ",\n") + json.dumps(record))
        first = False
    file.write("\n]\n")
    if left:
        print(
            f"{left} rows have no form in SenML (no value, no known time, indicated values) and are left out; "
            "csv, jsonl and sqlite have them",
            file=sys.stderr,
        )


SCHEMA = """
CREATE TABLE reading (time_utc TEXT, error_ms INTEGER, device TEXT NOT NULL, channel TEXT NOT NULL,
    role TEXT NOT NULL, value REAL, unit TEXT, severity TEXT NOT NULL, reason TEXT NOT NULL,
    slot INTEGER NOT NULL, boot TEXT NOT NULL, boot_ms INTEGER NOT NULL, batch INTEGER);
CREATE TABLE missed (time_utc TEXT, device TEXT NOT NULL, slots INTEGER NOT NULL, reason TEXT NOT NULL,
    slot INTEGER NOT NULL, boot TEXT NOT NULL, boot_ms INTEGER NOT NULL, batch INTEGER);
CREATE TABLE event (time_utc TEXT, kind TEXT NOT NULL, data TEXT NOT NULL, boot TEXT NOT NULL,
    boot_ms INTEGER NOT NULL, batch INTEGER NOT NULL);
CREATE TABLE device (id TEXT NOT NULL, bus TEXT, model TEXT, model_sha256 TEXT, period_ms INTEGER,
    calibration TEXT, layout TEXT NOT NULL);
"""


def _sqlite(draft: Path, readings: Iterable[Reading], events: Iterable[StoredEvent], archive: Archive) -> None:
    """A plain database: one row a value, one a missed run, one an event."""
    with closing(sqlite3.connect(draft)) as db:
        db.executescript(SCHEMA)
        for r in readings:
            if r.channel:
                db.execute(
                    "INSERT INTO reading VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
                    (
                        _time(r.utc_ms) or None,
                        r.error_ms,
                        r.device,
                        r.channel,
                        r.role,
                        r.value,
                        r.unit,
                        r.quality.severity,
                        r.quality.name.lower(),
                        r.slot,
                        r.boot.hex(),
                        r.boot_ms,
                        r.batch,
                    ),
                )
            else:
                db.execute(
                    "INSERT INTO missed VALUES (?,?,?,?,?,?,?,?)",
                    (
                        _time(r.utc_ms) or None,
                        r.device,
                        r.slots,
                        r.quality.name.lower(),
                        r.slot,
                        r.boot.hex(),
                        r.boot_ms,
                        r.batch,
                    ),
                )
        for stored in events:
            data = json.dumps(stored.event.data, default=_hex, ensure_ascii=False)
            db.execute(
                "INSERT INTO event VALUES (?,?,?,?,?,?)",
                (
                    _time(stored.utc_ms) or None,
                    stored.event.kind,
                    data,
                    stored.boot.hex(),
                    stored.event.at_ms,
                    stored.batch,
                ),
            )
        for name, layout in archive.layouts.items():
            for device in layout.devices:
                calibration = json.dumps({k: dict(v) for k, v in device.calibration.items()})
                db.execute(
                    "INSERT INTO device VALUES (?,?,?,?,?,?,?)",
                    (
                        device.id,
                        device.bus,
                        device.model,
                        device.model_hash,
                        device.period_ms,
                        calibration,
                        name.hex(),
                    ),
                )
        db.execute("CREATE INDEX reading_by_channel ON reading (device, channel, time_utc)")
        db.commit()


def _hex(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _epcis(site: Site, journal: Reader, archive: Archive, window: Window, arguments: argparse.Namespace) -> None:
    from gateway.epcis.export import places_of, write_epcis

    options: dict[str, Any] = {
        **window._asdict(),
        "interval_s": arguments.interval,
        "places": places_of(arguments.place, site),
    }
    if arguments.out is None:
        write_epcis(sys.stdout, site, journal, archive, **options)
        return
    with _draft(arguments.out) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        write_epcis(file, site, journal, archive, **options)


def _batches(site: Site, journal: Reader, out: Path) -> int:
    """The evidence itself: batches, newest receipts and public keys, ready for `aurora-gateway verify`."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        # In this order a running daemon adds nothing that what is written here would speak of and not hold.
        states = {stream: journal.state(stream) for stream in STREAMS}
        for stream, upto in journal.heads().items():
            for batch in stored(journal, stream, upto=upto):
                if batch.body is not None:
                    (out / f"{stream}-{batch.seq:08}.cose").write_bytes(batch.body)
            state = states[stream]
            if state is not None and state.receipt is not None:
                (out / f"{stream}.receipt").write_bytes(state.receipt)
        (out / "gateway.pem").write_bytes(load_or_create(key_directory(site)).public.pem())
        if site.cluster is not None:
            (out / "cluster.pem").write_bytes(site.cluster.receipt_key.read_bytes())
    except OSError as error:
        raise AuroraError(f"{out} cannot be written ({error.strerror})") from error
    return 0
