"""`aurora-gateway report`: a day, a month, a lot or the calibration register, as page, PDF, JSON or CSV."""

import argparse
import sys
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from gateway.acquire.station import layout_of
from gateway.buffer.reader import Reader
from gateway.clock import Clock
from gateway.commands.foreign_report import foreign_report, known_report
from gateway.errors import AuroraError, StorageError
from gateway.identity import public_keys
from gateway.language import Language, language, local_time
from gateway.model import DeviceLayout
from gateway.report.calibrations import Instrument, Register, register_data, register_document, register_rows
from gateway.report.content import Document
from gateway.report.document import haccp_document
from gateway.report.electronic import as_csv, as_json, haccp_data, haccp_rows
from gateway.report.haccp import HaccpRecord, calibrations_of, certificates
from gateway.report.lots import Passport, Stay, lot_stays, passport_data, passport_document, passport_rows
from gateway.report.page import page
from gateway.report.pdf import pdf
from gateway.report.period import Period, day_period, month_period, zone_of
from gateway.reporting.data import Record
from gateway.site import PointSpec, Site

__all__ = ["report_site"]

FORMS = ("html", "pdf", "json", "csv")
"""Those that come with the gateway; others are plugins."""
SETTLING_MS = 10_000
"""How long the newest samples of a running gateway may be on their way to the disk: they are not missing."""


def report_site(site: Site, arguments: argparse.Namespace) -> int:
    """Write the report that was asked for; exit status 0, or an `AuroraError` with the remedy."""
    if arguments.format not in FORMS:
        known_report(arguments.format, arguments.kind)
    zone = zone_of(arguments.zone or site.time_zone)
    words = language(arguments.lang or site.language)
    path = site.data_dir / "journal.db"
    if not path.exists():
        raise AuroraError(f"there is no journal {path}: the gateway has not run with this site file yet")
    keys = public_keys(arguments.key)
    with closing(Reader(path)) as reader:
        try:
            record = Record.open(site, reader, keys)
            text = _make(record, arguments, zone, words)
        except StorageError as error:
            raise AuroraError(f"{path} cannot be read: {error}") from error
    _write(arguments.out, text)
    return 0


def _make(record: Record, arguments: argparse.Namespace, zone: ZoneInfo, words: Language) -> bytes:
    now_ms = _as_of(record, arguments.as_of)
    match arguments.kind:
        case "day" | "month":
            point = _point(record.site, arguments.point)
            if arguments.date is None:
                example = "2026-11-24" if arguments.kind == "day" else "2026-11"
                raise AuroraError(f"a report of a {arguments.kind} needs --date, for instance --date {example}")
            period = (day_period if arguments.kind == "day" else month_period)(arguments.date, zone, now_ms)
            haccp = record.haccp(point, period)
            if arguments.format not in {"html", "pdf", "csv"}:
                return _electronic(arguments, haccp_data(haccp), words)
            if arguments.format == "csv":
                return as_csv(haccp_rows(haccp)).encode()
            return _printed(haccp_document(haccp, words), arguments.format)
        case "lot":
            if not arguments.lot:
                raise AuroraError("a lot passport needs --lot and the lot's name, as it was recorded")
            passport = _passport(record, arguments.lot, now_ms, zone)
            if arguments.format not in {"html", "pdf", "csv"}:
                return _electronic(arguments, passport_data(passport), words)
            if arguments.format == "csv":
                return as_csv(passport_rows(passport)).encode()
            names = {point.id: point.name for point in record.site.points}
            return _printed(
                passport_document(passport, names, record.site.identity.member, words), arguments.format
            )
        case _:
            register = _register(record, now_ms, zone)
            if arguments.format not in {"html", "pdf", "csv"}:
                return _electronic(arguments, register_data(register), words)
            if arguments.format == "csv":
                return as_csv(register_rows(register)).encode()
            return _printed(register_document(register, words), arguments.format)


def _electronic(arguments: argparse.Namespace, data: Mapping[str, Any], words: Language) -> bytes:
    """JSON, or what a plugin makes of the same data."""
    if arguments.format == "json":
        return as_json(data).encode()
    return foreign_report(arguments.format, arguments.kind, data, words.tag)


def _printed(document: Document, form: str) -> bytes:
    return pdf(document) if form == "pdf" else page(document).encode()


def _as_of(record: Record, stated: str | None) -> int:
    """The end of what can be known: as stated, or now where the clock is to be believed, or the newest record."""
    if stated is not None:
        try:
            moment = datetime.fromisoformat(stated)
        except ValueError as error:
            raise AuroraError(f"{stated!r} is no time; write it as 2026-12-01T00:00+01:00") from error
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000)
    clock = Clock(record.site.clock)
    clock.refresh()
    now_ms = clock.claim().utc_ms
    if now_ms is not None:
        return now_ms - SETTLING_MS
    newest = record.newest_ms()
    if newest is None:
        raise AuroraError(
            "neither this machine nor the record knows the time; set the clock, or name the end (--as-of)"
        )
    return newest


def _point(site: Site, name: str | None) -> PointSpec:
    known = ", ".join(point.id for point in site.points) or "none: add a [[point]]"
    if name is None:
        raise AuroraError(f"name the point with --point; there are: {known}")
    for point in site.points:
        if point.id == name:
            return point
    raise AuroraError(f"no point {name!r} in {site.source}; there are: {known}")


def _passport(record: Record, lot: str, now_ms: int, zone: ZoneInfo) -> Passport:
    stays, stray, superseded = lot_stays(record.events, lot)
    points = {point.id: point for point in record.site.points}
    found: list[tuple[Stay, HaccpRecord | None]] = []
    for stay in stays:
        start = stay.enter.done_ms
        assert start is not None
        end = now_ms if stay.leave is None or stay.leave.done_ms is None else stay.leave.done_ms
        point = points.get(stay.point)
        if point is None or end <= start:
            found.append((stay, None))
        else:
            found.append((stay, record.haccp(point, Period("stretch", start, end, end, zone))))
    return Passport(lot=lot, stays=found, stray=stray, superseded=superseded, as_of_ms=now_ms, zone=zone)


def _register(record: Record, now_ms: int, zone: ZoneInfo) -> Register:
    """Every channel that feeds a point or has a calibration, as the record has its device, or the site file."""
    site = record.site
    instruments = []
    planned = layout_of(site).devices
    for spec, plan in zip(site.devices, planned, strict=True):
        layouts = record.device_layouts(spec.id)
        newest: DeviceLayout = layouts[-1][1] if layouts else plan
        for column in newest.columns:
            points = [p for p in site.points if (p.device, p.channel) == (spec.id, column.channel)]
            calibrated = column.channel in newest.calibration
            if column.role != "value" or not (points or calibrated):
                continue
            place = PointSpec(id="", name="", device=spec.id, channel=column.channel)
            used = certificates(layouts or [(None, newest)], column.channel, now_ms, now_ms)
            instruments.append(
                Instrument(
                    device=spec.id,
                    channel=column.channel,
                    model=newest.model,
                    unit=column.unit,
                    decimals=column.decimals,
                    points=tuple(point.name for point in points),
                    critical=any(point.critical for point in points),
                    certificate=used[-1],
                    entries=calibrations_of(record.events, points or [place], now_ms),
                )
            )
    return Register(
        identity=site.identity,
        day=local_time(now_ms, zone).date(),
        as_of_ms=now_ms,
        zone=zone,
        instruments=instruments,
        proof=record.prove(),
    )


def _write(out: Path | None, content: bytes) -> None:
    """To a file, which appears under its name only when it is whole, or to standard output."""
    if out is None:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
        return
    draft = out.with_name(out.name + ".partial")
    try:
        draft.write_bytes(content)
        draft.replace(out)
    except OSError as error:
        raise AuroraError(f"{out} cannot be written ({error.strerror})") from error
    finally:
        draft.unlink(missing_ok=True)
