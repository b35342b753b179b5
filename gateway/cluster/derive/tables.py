"""The derived tables as they are written, for one gateway within the follower's transaction."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gateway.cluster.database import Work
from gateway.cluster.derive.fold import EventRow, Folded, LateValues, alarm_of
from gateway.cluster.derive.plain import END_MS, Offset, as_json, clean, name
from gateway.cluster.derive.scans import Name, Readings, hours_of
from gateway.cluster.derive.segment import DAY_MS, Segment, encode, pieces
from gateway.cluster.derive.settings import Settings, points_of, take
from gateway.errors import SealError
from gateway.model import Column, Layout
from gateway.seal.columns import layout_from_cbor

__all__ = ["Series", "Tables"]

EVENT, SCAN = 0, 1
"""How tables name the streams."""


class Series(NamedTuple):
    """What writing needs of a channel."""

    id: int
    decimals: int | None
    period_ms: int


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of one gateway."""

    work: Work
    gateway: int
    member: int

    async def boots(self) -> dict[bytes, Offset]:
        """Corrections by boot."""
        sql = "SELECT boot, offset_ms, error_ms FROM boot WHERE gateway = $1"
        return {bytes(boot): (offset, error) for boot, offset, error in await self.work.fetch(sql, self.gateway)}

    async def settings(self) -> Settings | None:
        """Settings on record; None before the first file."""
        rows = await self.work.fetch("SELECT path, value FROM setting WHERE gateway = $1", self.gateway)
        return {path: json.loads(value) for path, value in rows} or None

    async def layout(self, identity: bytes) -> Layout | None:
        """A layout by its name."""
        sql = "SELECT body FROM layout WHERE gateway = $1 AND name = $2"
        rows = await self.work.fetch(sql, self.gateway, identity)
        return layout_from_cbor(bytes(rows[0][0])) if rows else None

    async def series(self) -> dict[Name, Series]:
        """The channels that there are."""
        sql = "SELECT device, channel, role, id, decimals, period_ms FROM channel WHERE gateway = $1"
        rows = await self.work.fetch(sql, self.gateway)
        return {(device, channel, role): Series(*rest) for device, channel, role, *rest in rows}

    async def write_events(self, folded: Folded, before: Settings | None) -> None:
        """Everything that events have changed; ``before`` are the settings as the tables have them."""
        await self.work.execute_each(
            """
            INSERT INTO event (member, gateway, seq, place, boot, boot_ms, utc_ms, error_ms, kind, point, data)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)""",
            [(self.member, self.gateway, *row) for row in folded.rows],
        )
        await self._layouts(folded.layouts)
        await self._alarms(folded)
        await self._correct(folded.corrected)
        if folded.settings is not None and folded.settings != before:
            await self.write_settings(folded.settings, before or {})
        await self.note_unread(EVENT, ((seq, why, None) for seq, why in folded.unread))

    async def _layouts(self, layouts: Mapping[bytes, tuple[bytes, Layout]]) -> None:
        await self.work.execute_each(
            "INSERT INTO layout (gateway, name, body) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            [(self.gateway, identity, body) for identity, (body, _) in layouts.items()],
        )
        await self._channels(
            CHANNEL
            + "DO UPDATE SET unit = excluded.unit, decimals = excluded.decimals, period_ms = excluded.period_ms",
            [
                (device.id, device.period_ms, column)
                for _, layout in layouts.values()
                for device in layout.devices
                for column in device.columns
            ],
        )

    async def _alarms(self, folded: Folded) -> None:
        await self.work.execute_each(
            """
            INSERT INTO alarm (member, gateway, alarm, point, device, tier, state, active, raised_ms, changed_ms,
                seq, data)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (gateway, alarm) DO UPDATE
            SET point = excluded.point, device = excluded.device, tier = excluded.tier, state = excluded.state,
                active = excluded.active, raised_ms = excluded.raised_ms, changed_ms = excluded.changed_ms,
                seq = excluded.seq, data = excluded.data
            WHERE alarm.seq <= excluded.seq""",
            [(self.member, self.gateway, *row[:5], int(row.active), *row[6:]) for row in folded.alarms.values()],
        )

    async def _correct(self, corrected: Mapping[bytes, Offset]) -> None:
        """Give boots their time, and with it the events and alarms that had none."""
        for boot, (offset_ms, error_ms) in corrected.items():
            await self.work.execute(
                "INSERT INTO boot (gateway, boot, offset_ms, error_ms) VALUES ($1, $2, $3, $4)",
                self.gateway,
                boot,
                offset_ms,
                error_ms,
            )
            await self.work.execute(
                """
                UPDATE event SET utc_ms = boot_ms + $3, error_ms = $4
                WHERE gateway = $1 AND boot = $2 AND utc_ms IS NULL AND boot_ms + $3 BETWEEN 0 AND $5""",
                self.gateway,
                boot,
                offset_ms,
                error_ms,
                END_MS - 1,
            )
            rows = await self.work.fetch(
                """
                SELECT e.seq, e.place, e.boot, e.boot_ms, e.utc_ms, e.error_ms, e.kind, e.point, e.data
                FROM alarm a JOIN event e ON e.gateway = a.gateway AND e.seq = a.seq
                WHERE a.gateway = $1 AND e.boot = $2 AND a.changed_ms IS NULL ORDER BY e.seq, e.place""",
                self.gateway,
                boot,
            )
            for row in map(EventRow._make, rows):
                alarm = alarm_of(row, json.loads(row.data), (offset_ms, error_ms))
                if alarm is not None:
                    sql = "UPDATE alarm SET raised_ms = $3, changed_ms = $4 WHERE gateway = $1 AND alarm = $2"
                    times = alarm.raised_ms, alarm.changed_ms
                    await self.work.execute(sql, self.gateway, alarm.alarm, *times)

    async def write_settings(self, settings: Settings, before: Settings) -> None:
        """Settings, and the points that they describe."""
        gone = [path for path in before if path not in settings]
        new = [
            (path, as_json(value))
            for path, value in settings.items()
            if as_json(before.get(path)) != as_json(value)
        ]
        await self.work.execute_each(
            "DELETE FROM setting WHERE gateway = $1 AND path = $2", [(self.gateway, path) for path in gone]
        )
        await self.work.execute_each(
            """
            INSERT INTO setting (member, gateway, path, value) VALUES ($1, $2, $3, $4)
            ON CONFLICT (gateway, path) DO UPDATE SET value = excluded.value""",
            [(self.member, self.gateway, path, value) for path, value in new],
        )
        await self.work.execute("DELETE FROM point WHERE gateway = $1", self.gateway)
        await self.work.execute_each(
            """
            INSERT INTO point (member, gateway, point, name, device, channel, critical, settings)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
            [(self.member, self.gateway, *row[:4], int(row.critical), row.settings) for row in points_of(settings)],
        )

    async def fold_settings_again(self) -> None:
        """Settings from all events on record, after one has come out of turn."""
        sql = "SELECT data FROM event WHERE gateway = $1 AND kind = 'config.changed' ORDER BY seq, place"
        settings: Settings | None = None
        for (data,) in await self.work.fetch(sql, self.gateway):
            settings = take(settings, json.loads(data))
        await self.write_settings(settings or {}, await self.settings() or {})

    async def has_events(self, seq: int) -> bool:
        """Whether the events of a batch are in the tables."""
        sql = "SELECT 1 FROM event WHERE gateway = $1 AND seq = $2 LIMIT 1"
        return bool(await self.work.fetch(sql, self.gateway, seq))

    async def add_late(self, late: LateValues) -> None:
        """Make the channels of what a sensor had kept, where no layout has made them."""
        backfill = late.backfill
        if name(backfill.device) is None or not all(name(column.channel) for column in backfill.columns):
            raise SealError("bad-event", "a name is empty or too long")
        await self._channels(
            CHANNEL + "DO NOTHING", [(backfill.device, backfill.period_ms, column) for column in backfill.columns]
        )

    async def _channels(self, sql: str, channels: Iterable[tuple[str, int, Column]]) -> None:
        await self.work.execute_each(
            sql,
            [
                (
                    self.member,
                    self.gateway,
                    clean(device),
                    clean(column.channel),
                    column.role,
                    clean(column.unit),
                    column.decimals,
                    period_ms,
                )
                for device, period_ms, column in channels
            ],
        )

    async def note_unread(self, stream: int, batches: Iterable[tuple[int, str, bytes | None]]) -> None:
        """Batches that are not, or not wholly, in the tables: sequence, why, and what they wait for."""
        await self.work.execute_each(
            """
            INSERT INTO unread (member, gateway, stream, seq, why, need) VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (gateway, stream, seq) DO UPDATE SET why = excluded.why, need = excluded.need""",
            [(self.member, self.gateway, stream, seq, clean(why)[:300], need) for seq, why, need in batches],
        )

    async def forget_unread(self, stream: int, batches: Iterable[int]) -> None:
        """Batches that are in the tables after all."""
        sql = "DELETE FROM unread WHERE gateway = $1 AND stream = $2 AND seq = $3"
        await self.work.execute_each(sql, [(self.gateway, stream, seq) for seq in batches])

    async def write_readings(self, readings: Readings, place: int, *, values: bool) -> list[int]:
        """Values into chunks, hours and newest values, and with ``values`` into rows; the days that they lie in."""
        known = await self.series()
        chunks, rolls, newest, rows, days = [], [], [], [], set()
        for whose, segment in readings.segments():
            series = known[whose]
            rolls += [(self.member, series.id, *roll) for roll in hours_of(segment)]
            for day, piece in pieces(segment, DAY_MS):
                body = encode(piece, series.decimals, series.period_ms)
                chunks.append((self.member, series.id, day, place, len(piece.times), body))
                days.add(day)
            newest.append((series.id, *_last(segment)))
            if values:
                rows += [(self.member, series.id, *row) for row in _rows(segment)]
        await self.work.execute_each(CHUNK, chunks)
        await self.work.execute_each(ROLL, rolls)
        await self.work.execute_each(NEWEST, newest)
        await self.work.execute_each(VALUE, rows)
        return sorted(days)


def _last(segment: Segment) -> tuple[int, float | None, int]:
    """The newest reading; of several at one time the first in the order of segments."""
    place = segment.times.index(segment.times[-1])
    mark = segment.quality[place]
    return segment.times[place], None if mark >= 0x80 else segment.values[place], mark


def _rows(segment: Segment) -> Iterable[tuple[int, float | None, int]]:
    """Readings as rows; the first one of each time, which segments have put in order."""
    before = -1
    for at_ms, value, mark in zip(*segment, strict=True):
        if at_ms != before:
            yield at_ms, None if mark >= 0x80 else value, mark
        before = at_ms


CHANNEL = """
INSERT INTO channel (member, gateway, device, channel, role, unit, decimals, period_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (gateway, device, channel, role) """
CHUNK = """
INSERT INTO chunk (member, channel, day, place, count, body) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (channel, day, place) DO UPDATE SET count = excluded.count, body = excluded.body"""
ROLL = """
INSERT INTO roll (member, channel, hour, good, uncertain, bad, low, high, total)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (channel, hour) DO UPDATE
SET good = roll.good + excluded.good, uncertain = roll.uncertain + excluded.uncertain,
    bad = roll.bad + excluded.bad,
    low = CASE WHEN roll.low IS NULL OR excluded.low < roll.low THEN excluded.low ELSE roll.low END,
    high = CASE WHEN roll.high IS NULL OR excluded.high > roll.high THEN excluded.high ELSE roll.high END,
    total = roll.total + excluded.total"""
NEWEST = """
UPDATE channel SET last_ms = $2, last_value = $3, last_quality = $4
WHERE id = $1 AND (last_ms IS NULL OR last_ms < $2
    OR (last_ms = $2 AND (last_quality > $4 OR (last_quality = $4 AND last_value > $3))))"""
VALUE = """
INSERT INTO value (member, channel, utc_ms, value, quality) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (channel, utc_ms) DO UPDATE SET value = excluded.value, quality = excluded.quality
WHERE value.quality > excluded.quality OR (value.quality = excluded.quality AND value.value > excluded.value)"""
