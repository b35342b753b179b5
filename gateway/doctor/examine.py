"""The whole examination, as the command makes it: every check, none of which can spoil another."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

from gateway.clock import Clock
from gateway.doctor import board, ports, record, storage, timing, uplink
from gateway.doctor.fact import Fact, bad, care, good, sheltered
from gateway.doctor.machine import Machine
from gateway.errors import Problem
from gateway.model import ClockClaim
from gateway.site import ClockSpec, Site

__all__ = ["examine"]

SHOWN = 5
"""Mistakes of a site file that are told here; `check` tells all."""


def examine(path: Path | None, machine: Machine | None = None) -> Iterator[Fact]:
    """Everything about this machine and, where there is one, the site file; facts come as they are found."""
    machine = machine or Machine()
    site, problems = _site(path)
    claim, keeper = asyncio.run(_time(site))
    if path is not None:
        yield from _configuration(path, site, problems)
    yield from sheltered("board", lambda: board.board(machine))
    yield from sheltered("temperature", lambda: board.standing(machine))
    yield from sheltered("watchdog", lambda: board.watchdog(machine))
    yield from sheltered("clock", lambda: timing.clock(claim, keeper))
    yield from sheltered("rtc", lambda: timing.hardware_clock(machine, claim))
    yield from sheltered("log", lambda: ports.log_storage(machine))
    yield from sheltered("port-thieves", lambda: ports.strangers(machine))
    if site is not None:
        yield from _of_site(site, machine, claim.utc_ms)


def _of_site(site: Site, machine: Machine, utc_ms: int | None) -> Iterator[Fact]:
    for name, check in (
        ("storage", lambda: storage.standing(site, machine)),
        ("permissions", lambda: storage.permissions(site)),
        ("journal", lambda: storage.journal_file(site)),
        ("key", lambda: record.key(site)),
        ("chain", lambda: record.chain(site)),
        ("ports", lambda: ports.ports(site, machine)),
        ("adapters", lambda: ports.adapters(site, machine)),
        ("bus-certificate", lambda: uplink.bus_certificates(site.buses, utc_ms)),
    ):
        yield from sheltered(name, check)
    cluster = site.cluster
    if cluster is None:
        yield good("cluster", "Cluster", "none is configured: records stay here")
        return
    yield from sheltered("receipt-key", lambda: uplink.receipt_key(cluster))
    yield from sheltered("certificate", lambda: uplink.certificates(cluster, utc_ms))
    yield from sheltered("broker", lambda: uplink.broker(cluster, utc_ms))


def _site(path: Path | None) -> tuple[Site | None, list[Problem]]:
    if path is None:
        return None, []
    from gateway.config import check_file

    return check_file(path)


def _configuration(path: Path, site: Site | None, problems: list[Problem]) -> Iterator[Fact]:
    if not problems:
        yield good("configuration", "Site file", f"{path}: no mistake")
        return
    for problem in problems[:SHOWN]:
        where = f"{path}, line {problem.line}: " if problem.line is not None else f"{path}: "
        words = f"{where}{problem.path}: {problem.what}"
        finding = bad if site is None else care
        yield finding("configuration", "Site file", words, problem.remedy)
    if len(problems) > SHOWN:
        words = f"{len(problems) - SHOWN} more"
        yield care("configuration", "Site file", words, f"aurora-gateway check {path}")


async def _time(site: Site | None) -> tuple[ClockClaim, str]:
    """The time as the gateway would judge it if it started now."""
    quiet = logging.getLogger("gateway.clock")
    level, quiet.level = quiet.level, logging.CRITICAL
    try:
        clock = Clock(site.clock if site is not None else ClockSpec())
        await clock.update()
    finally:
        quiet.level = level
    return clock.claim(), clock.keeper
