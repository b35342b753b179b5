"""Gathers what the overview shows of gateways and could not read at every look: coverage, calibration, certificate.

The hours of a day are 24 rows a channel in `roll`: for ten thousand gateways some millions. So they are read some
gateways at a time, with pauses between, and the overview reads one row a gateway; it says how old that is.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from gateway.cluster.database import Database, Work
from gateway.errors import StorageError

__all__ = ["Glance", "gather", "soonest"]

log = logging.getLogger(__name__)

HOUR_MS = 3_600_000
HOURS = 24
FORGOTTEN_MS = 7 * 24 * HOUR_MS
"""A channel without values for so long has been taken out of the site, as far as the coverage goes."""
AT_ONCE = 200
ROUND_S = 300.0
"""Between the beginnings of two rounds over all gateways, at least."""
REST = 4.0
"""So many times as long as a portion took is rested after it: at most a fifth of one core of the database."""

COVERAGE = """
SELECT gateway, CAST(sum(expected) AS bigint),
    CAST(sum(CASE WHEN got > expected THEN expected ELSE got END) AS bigint)
FROM (
    SELECT c.gateway,
        CASE WHEN g.enrolled_ms > CAST($3 AS bigint) * 3600000 THEN CAST($4 AS bigint) * 3600000 - g.enrolled_ms
            ELSE (CAST($4 AS bigint) - CAST($3 AS bigint)) * 3600000 END / c.period_ms AS expected,
        COALESCE((SELECT sum(good + uncertain) FROM roll
            WHERE roll.channel = c.id AND roll.hour >= CAST($3 AS bigint)
                AND roll.hour < CAST($4 AS bigint)), 0) AS got
    FROM channel c JOIN gateway g ON g.id = c.gateway
    WHERE c.gateway >= $1 AND c.gateway <= $2 AND c.role = 'value' AND c.period_ms > 0 AND c.last_ms >= $5
        AND g.enrolled_ms < CAST($4 AS bigint) * 3600000) due
GROUP BY gateway
"""
ALARMS = """
SELECT gateway, alarm, data FROM alarm
WHERE gateway >= $1 AND gateway <= $2 AND state <> 'normal' AND alarm LIKE '%/calibration-%'
"""
RECORDS = """
SELECT gateway, data FROM event WHERE gateway >= $1 AND gateway <= $2 AND kind = 'record.calibration'
ORDER BY gateway, utc_ms
"""
CERTIFICATES = """
SELECT g.id, max(c.until_ms) FROM gateway g JOIN certificate c ON c.client = g.client
WHERE g.id >= $1 AND g.id <= $2 AND c.revoked_ms IS NULL GROUP BY g.id
"""
KEEP = """
INSERT INTO glance (gateway, expected, got, calibration_ms, calibration, certificate_ms, gathered_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (gateway) DO UPDATE SET expected = excluded.expected, got = excluded.got,
    calibration_ms = excluded.calibration_ms, calibration = excluded.calibration,
    certificate_ms = excluded.certificate_ms, gathered_ms = excluded.gathered_ms
"""


async def gather(database: Database, now_ms: int, after: int = -1, at_once: int = AT_ONCE) -> int | None:
    """Gather for some gateways whose ids are above ``after``; the last id, or None when there are no more."""
    hour = now_ms // HOUR_MS
    async with database.transaction(write=False) as work:
        found = await work.fetch("SELECT id FROM gateway WHERE id > $1 ORDER BY id LIMIT $2", after, at_once)
        if not found:
            return None
        first, last = int(found[0][0]), int(found[-1][0])
        covered = await work.fetch(COVERAGE, first, last, hour - HOURS, hour, now_ms - FORGOTTEN_MS)
        due = await _due(work, first, last)
        ends = {int(row[0]): int(row[1]) for row in await work.fetch(CERTIFICATES, first, last)}
    coverage = {int(row[0]): (int(row[1]), int(row[2])) for row in covered}
    rows = [
        (gateway, *coverage.get(gateway, (0, 0)), *due.get(gateway, (None, None)), ends.get(gateway), now_ms)
        for gateway in (int(row[0]) for row in found)
    ]
    async with database.transaction() as work:
        await work.execute_each(KEEP, rows)
    return last


async def _due(work: Work, first: int, last: int) -> dict[int, tuple[int, str]]:
    records: dict[int, list[Any]] = {}
    for gateway, data in await work.fetch(RECORDS, first, last):
        records.setdefault(int(gateway), []).append(json.loads(data))
    alarms: dict[int, list[tuple[str, Any]]] = {}
    for gateway, alarm, data in await work.fetch(ALARMS, first, last):
        alarms.setdefault(int(gateway), []).append((alarm, json.loads(data)))
    found = {gateway: soonest(records.get(gateway, []), alarms.get(gateway, [])) for gateway in {*records, *alarms}}
    return {gateway: due for gateway, due in found.items() if due is not None}


def soonest(records: Iterable[Any], alarms: Iterable[tuple[str, Any]]) -> tuple[int, str] | None:
    """When the first certificate runs out (Unix ms of the end of its last day, UTC), and of which channel.

    ``records`` are the data of ``record.calibration``, oldest first: the newest of a channel holds. ``alarms`` are
    those that the gateway has raised about certificates of its site file, which no record may have. None where
    neither says anything.
    """
    until: dict[str, int] = {}
    for data in records:
        if isinstance(data, dict) and isinstance(channel := data.get("channel"), str):
            _note(until, channel, data)
    for alarm, data in alarms:
        if isinstance(data, dict) and isinstance(detail := data.get("detail"), dict):
            _note(until, alarm.rpartition("/")[0], detail)
    if not until:
        return None
    channel = min(until, key=lambda name: (until[name], name))
    return until[channel], channel


def _note(until: dict[str, int], channel: str, data: Mapping[str, Any]) -> None:
    """What a gateway wrote is not to be believed: a day that is none says nothing."""
    try:
        last = date.fromisoformat(str(data.get("valid_until")))
        until[channel] = int((datetime.combine(last, time(), UTC) + timedelta(days=1)).timestamp()) * 1000
    except (ValueError, OverflowError):
        return


class Glance:
    """Gathers in rounds for as long as the page is served. ``clock`` gives Unix ms."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock
        self.rounds = 0
        """Complete ones since the start."""

    async def once(self) -> None:
        """One round without pauses."""
        after: int | None = -1
        while after is not None:
            after = await gather(self._database, self._clock(), after)
        self.rounds += 1

    async def run(self) -> None:
        """Round after round until cancelled. A store that fails is told of once, and tried again."""
        loop, troubled = asyncio.get_running_loop(), False
        while True:
            began = loop.time()
            try:
                await self._round()
                if troubled:
                    log.info("coverage and calibrations can be gathered again")
                troubled = False
            except StorageError as error:
                if not troubled:
                    log.warning("coverage and calibrations cannot be gathered: %s", error)
                troubled = True
            await asyncio.sleep(max(0.0, began + ROUND_S - loop.time()))

    async def _round(self) -> None:
        loop, after = asyncio.get_running_loop(), -1
        while True:
            began = loop.time()
            found = await gather(self._database, self._clock(), after)
            if found is None:
                break
            after = found
            await asyncio.sleep((loop.time() - began) * REST)
        self.rounds += 1
