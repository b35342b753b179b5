"""The way from a file to a `Site`: read, locate, check each table, check what they mean together, build."""

import logging
import re
import tomllib
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from gateway.config.ble import check_key_file
from gateway.config.build import build_buses, build_devices, build_site, check_files, check_load
from gateway.config.judging import build_points
from gateway.config.locate import locate
from gateway.config.models import ModelBook
from gateway.config.outputs import build_outputs, check_outputs, read_outputs
from gateway.config.relations import check_relations
from gateway.config.rules import build_rules, check_rules, read_rules
from gateway.config.scanners import build_scanners, check_scanners, read_scanners
from gateway.config.secure import check_rs485, check_writes, secured
from gateway.config.tables import read_tables
from gateway.config.words import Report
from gateway.errors import ConfigError, Problem
from gateway.site import Site

__all__ = ["check_file", "check_site", "load_site"]

LARGEST = 4_000_000
"""Bytes; a site file beyond this is not one."""

log = logging.getLogger(__name__)


def load_site(path: Path) -> Site:
    """The site of a file. Raises `ConfigError` with every mistake; logs what is no reason not to record."""
    site, problems = check_file(path)
    if site is None:
        raise ConfigError(str(path), problems)
    for problem in problems:
        log.warning("%s: %s", path, problem)
    return site


def check_file(path: Path) -> tuple[Site | None, list[Problem]]:
    """Like `check_site` for the file at ``path``; a file that cannot be read is a problem, too."""
    try:
        if path.stat().st_size > LARGEST:
            return None, [Problem("file", f"is larger than {LARGEST // 10**6} MB", "check that it is a site file")]
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return None, [Problem("file", why, "check the path and who may read the file")]
    try:
        # Editors on Windows put a byte order mark in front of UTF-8.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return None, [Problem("file", "is not UTF-8 text", "save it as UTF-8", line)]
    site, problems = check_site(text, str(path), path.absolute().parent)
    return (replace(site, digest=sha256(data).hexdigest()) if site is not None else None), problems


def check_site(text: str, source: str, base: Path) -> tuple[Site | None, list[Problem]]:
    """Check the text of a site file; relative paths in it are relative to ``base``.

    Returns the site and every mistake found, in the order of the file. The site is None when one of them leaves
    it unusable; files of the uplink that cannot be read do not.
    """
    try:
        document = tomllib.loads(text)
        lines = locate(text)
    except tomllib.TOMLDecodeError as error:
        return None, [_syntax(text, error)]
    except (ValueError, RecursionError):
        return None, [Problem("file", "holds a number or a nesting beyond all use", "check that it is a site file")]
    report = Report(lines)
    site = _checked(document, source, base, report)
    if site is None:
        return None, report.problems
    return replace(site, digest=sha256(text.encode()).hexdigest()), report.problems


def _checked(document: dict[str, Any], source: str, base: Path, report: Report) -> Site | None:
    models = ModelBook(base)
    tables = read_tables(document, report)
    check_relations(tables, models, report)
    buses = secured(tables, build_buses(tables, models, report), base, report)
    check_rs485(tables, report)
    check_writes(tables, models, report)
    devices = build_devices(tables, models, base)
    points = build_points(tables, models, report)
    check_load(tables, buses, devices, models, report)
    check_files(tables, base, report)
    for entry in tables.devices:
        if entry.table is not None:
            check_key_file(entry.at, entry.table, base, report)
    outputs = read_outputs(document, report)
    check_outputs(outputs, tables, base, report)
    rules = read_rules(document, report)
    check_rules(rules, tables, report)
    scanners = read_scanners(document, report)
    check_scanners(scanners, tables, report)
    if report.fatal:
        return None
    site = build_site(tables, buses, devices, points, base=base, source=source)
    site = replace(site, scanners=build_scanners(scanners))
    return replace(site, **build_outputs(outputs, base), **build_rules(rules, base))


_PLACE = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")


def _syntax(text: str, error: tomllib.TOMLDecodeError) -> Problem:
    """tomllib stops at the first mistake in the language itself, and says where."""
    words = str(error)
    place = _PLACE.search(words)
    what = "is not TOML: " + _PLACE.sub("", words)
    if place is None:
        return Problem("file", what, "mend it; nothing behind it was checked")
    line = int(place[1]) if place[1] else text.count("\n", 0, len(text.rstrip())) + 1
    column = f", column {place[2]}," if place[2] else ""
    return Problem("file", what, f"mend this line{column} and check again: nothing behind it was read", line)
