"""What the tests of the cluster's page share: a fleet written row by row, where what arrives is not the subject."""

import json
from typing import Any

from gateway.cluster.database import Database, Work
from gateway.seal.cose import PublicKey
from gateway.seal.keys import FileSigner

NOW_MS = 1_795_363_200_000
"""2026-11-22 16:00 UTC, a whole hour."""
HOUR_MS, DAY_MS = 3_600_000, 86_400_000


async def add_member(work: Work, name: str) -> int:
    rows = await work.fetch("INSERT INTO member (name) VALUES ($1) RETURNING id", name)
    return int(rows[0][0])


async def add_gateway(work: Work, member: int, name: str, site: str = "north", **changes: Any) -> int:
    """A gateway that delivers everything, seconds ago; ``changes`` go to both of its streams."""
    rows = await work.fetch(
        "INSERT INTO gateway (member, site, name, client, enrolled_ms) "
        "SELECT $1, CAST($2 AS text), CAST($3 AS text), name || '.' || CAST($3 AS text), $4 "
        "FROM member WHERE id = $1 RETURNING id",
        member,
        site,
        name,
        NOW_MS - 30 * DAY_MS,
    )
    gateway = int(rows[0][0])
    kept = {"size": 100, "announced": 100, "clock_state": 0, "clock_error_ms": 12}
    kept |= {"sealed_ms": NOW_MS - 10_000, "received_ms": NOW_MS - 9_000, **changes}
    names = ", ".join(kept)
    places = ", ".join(f"${n}" for n in range(3, len(kept) + 3))
    for stream in (0, 1):
        await work.execute(
            f"INSERT INTO stream (gateway, stream, {names}) VALUES ($1, $2, {places})",
            *(gateway, stream),
            *kept.values(),
        )
    return gateway


async def add_alarm(work: Work, gateway: int, alarm: str, tier: str = "critical", **changes: Any) -> None:
    row = {"point": alarm.partition("/")[0], "device": "d", "state": "unacknowledged", "active": 1}
    row |= {"raised_ms": NOW_MS - HOUR_MS, "changed_ms": NOW_MS - HOUR_MS, "seq": 3, "data": "{}", **changes}
    if not isinstance(row["data"], str):
        row["data"] = json.dumps(row["data"])
    names, places = ", ".join(row), ", ".join(f"${n}" for n in range(4, len(row) + 4))
    await work.execute(
        f"INSERT INTO alarm (member, gateway, alarm, tier, {names}) "
        f"SELECT member, id, $2, $3, {places} FROM gateway WHERE id = $1",
        *(gateway, alarm, tier),
        *row.values(),
    )


async def add_channel(work: Work, gateway: int, device: str = "d", channel: str = "air", **changes: Any) -> int:
    row = {"role": "value", "unit": "degC", "decimals": 1, "period_ms": 60_000, "last_ms": NOW_MS - 60_000}
    row |= {"last_value": 3.4, "last_quality": 0, **changes}
    names, places = ", ".join(row), ", ".join(f"${n}" for n in range(4, len(row) + 4))
    rows = await work.fetch(
        f"INSERT INTO channel (member, gateway, device, channel, {names}) "
        f"SELECT member, id, $2, $3, {places} FROM gateway WHERE id = $1 RETURNING id",
        *(gateway, device, channel),
        *row.values(),
    )
    return int(rows[0][0])


async def add_point(work: Work, gateway: int, point: str, **changes: Any) -> None:
    row = {"name": point.title(), "device": "d", "channel": "air", "critical": 1, "settings": "{}", **changes}
    names, places = ", ".join(row), ", ".join(f"${n}" for n in range(3, len(row) + 3))
    await work.execute(
        f"INSERT INTO point (member, gateway, point, {names}) "
        f"SELECT member, id, $2, {places} FROM gateway WHERE id = $1",
        *(gateway, point),
        *row.values(),
    )


async def add_hours(work: Work, channel: int, hours: int, good: int, bad: int = 0) -> None:
    """The last full hours, each with so many values."""
    last = NOW_MS // HOUR_MS
    await work.execute_each(
        "INSERT INTO roll (member, channel, hour, good, uncertain, bad, low, high, total) "
        "SELECT member, id, $2, $3, 0, $4, 2.0, 4.5, $5 FROM channel WHERE id = $1",
        [(channel, last - n, good, bad, good * 3.0) for n in range(1, hours + 1)],
    )


async def add_key(work: Work, gateway: int, public: PublicKey) -> None:
    await work.execute(
        "INSERT INTO term (gateway, place, public, origin, since_ms, event_first, scan_first) "
        "VALUES ($1, 0, $2, 'enrolled', $3, 0, 0)",
        gateway,
        public.pem().decode(),
        NOW_MS - 30 * DAY_MS,
    )


WARM = {"words": "too warm", "rule": "high-critical"}


class Fleet:
    """Two members: the dairy has a gateway that is well and one with every kind of trouble, the bakery has one."""

    def __init__(self) -> None:
        self.dairy = self.bakery = 0
        self.well = self.ill = self.other = 0

    @classmethod
    async def made(cls, database: Database, signer: FileSigner | None = None) -> "Fleet":
        fleet = cls()
        async with database.transaction() as work:
            fleet.dairy, fleet.bakery = await add_member(work, "dairy"), await add_member(work, "bakery")
            fleet.well = await add_gateway(work, fleet.dairy, "gw-1")
            fleet.ill = await add_gateway(
                work,
                fleet.dairy,
                "gw-2",
                site="south",
                received_ms=NOW_MS - 3 * DAY_MS,
                announced=140,
                held=15,
                hole_ms=NOW_MS - 2 * DAY_MS,
                clock_state=2,
                clock_ahead_ms=90_000,
                unreadable=1,
                late=7,
            )
            fleet.other = await add_gateway(work, fleet.bakery, "oven")
            for gateway in (fleet.well, fleet.ill, fleet.other):
                if signer is not None:
                    await add_key(work, gateway, signer.public)
                channel = await add_channel(work, gateway)
                await add_hours(work, channel, 24, 60 if gateway != fleet.ill else 40, 20)
                await add_point(work, gateway, "room", name="Cold room")
            await add_alarm(
                work, fleet.ill, "room/high-critical", data={"words": "too warm", "rule": "high-critical"}
            )
            await add_alarm(work, fleet.ill, "d/battery-low", "maintenance", point=None)
            await add_alarm(work, fleet.ill, "room/high-alert", "alert", state="normal", active=0)
            await add_alarm(work, fleet.other, "room/high-alert", "alert")
            due = {"detail": {"valid_until": "2026-12-01"}, "rule": "calibration-due-30d"}
            await add_alarm(work, fleet.ill, "d.air/calibration-due-30d", "maintenance", point=None, data=due)
            await work.execute(
                "INSERT INTO fork VALUES ($1, 1, 41, $2, 'chain', $3, $2)", fleet.ill, b"\x01" * 32, NOW_MS - DAY_MS
            )
            await work.execute_each(
                "INSERT INTO rejected VALUES ($1, 'scan', $2, 3, $3, $3, 5, 'no such thing')",
                [("dairy.gw-2", "bad-signature", NOW_MS - HOUR_MS), ("nobody.gw-0", "unknown-gateway", NOW_MS)],
            )
            await work.execute_each(
                "INSERT INTO request (thumbprint, code, member, site, gateway, content, asked_ms, state) "
                "VALUES ($1, $2, $3, 'north', 'gw-7', '', $4, $5)",
                [
                    (b"\x07" * 32, "ABCD-EFGH-JKLM", "dairy", NOW_MS - HOUR_MS, "open"),
                    (b"\x08" * 32, "BBCD-EFGH-JKLM", "bakery", NOW_MS - HOUR_MS, "open"),
                    (b"\x09" * 32, "CBCD-EFGH-JKLM", "bakery", NOW_MS - HOUR_MS, "refused"),
                ],
            )
        return fleet
