"""What these tests are made of: a gateway that signs real batches, a store that has them, the tables as a whole."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.cluster.database import Database
from gateway.cluster.derive.follower import Follower, Options
from gateway.cluster.derive.segment import DAY_MS, decode
from gateway.model import Batch, ClockClaim, ClockState, Column, DeviceLayout, Event, Head, Layout, Miss, Scan
from gateway.seal.batch import (
    EVENT_TYPE,
    NO_PREVIOUS,
    REGISTRATION_TYPE,
    SCAN_TYPE,
    registration_payload,
    seal_batch,
)
from gateway.seal.columns import encode_scans, layout_cbor, layout_id
from gateway.seal.events import encode_events
from gateway.seal.keys import FileSigner
from gateway.site import Identity

START_MS = 1_795_392_000_000
"""A midnight in UTC."""
LATER_MS = START_MS + 40 * DAY_MS
EVENT, SCAN = 0, 1
NAN = float("nan")
IDENTITY = Identity(member="dairy", site="north", gateway="gw-1")
ROOM = DeviceLayout(
    "room",
    "line",
    "probe",
    "0" * 16,
    1000,
    0,
    (Column("air", "degC", 1), Column("air", "degC", 1, "indicated"), Column("hum", "%", None)),
)
LAYOUT = Layout((ROOM, DeviceLayout("door", "line", "probe", "0" * 16, 5000, 20, (Column("open", "", 0),))))
EAGER = Options(lag_ms=0, enough=1)


@dataclass
class Box:
    """A gateway. Its clock is moved by hand: ``boot`` and ``boot_ms``, and ``utc_ms`` while it is trusted."""

    signer: FileSigner
    identity: Identity = IDENTITY
    boot: bytes = bytes(range(16))
    boot_ms: int = 0
    utc_ms: int | None = START_MS
    batches: dict[int, list[Batch]] = field(default_factory=lambda: {EVENT: [], SCAN: []})

    def __post_init__(self) -> None:
        registration = registration_payload(
            self.signer.public, self.identity, config_digest=bytes(32), storage="file", software="test"
        )
        for stream in (EVENT, SCAN):
            self._seal(stream, registration, REGISTRATION_TYPE)

    def pass_ms(self, ms: int) -> None:
        """Time goes on."""
        self.boot_ms += ms
        if self.utc_ms is not None:
            self.utc_ms += ms

    def reboot(self, boot: bytes, utc_ms: int | None) -> None:
        """Begin a boot, with or without knowing the time."""
        self.boot, self.boot_ms, self.utc_ms = boot, 0, utc_ms

    @property
    def clock(self) -> ClockClaim:
        if self.utc_ms is None:
            return ClockClaim(self.boot, self.boot_ms, None, None, ClockState.UNTRUSTED)
        return ClockClaim(self.boot, self.boot_ms, self.utc_ms, 12, ClockState.TRUSTED)

    def _seal(self, stream: int, payload: bytes, content_type: str) -> Batch:
        done, beside = self.batches[stream], self.batches[1 - stream]
        batch = seal_batch(
            self.signer,
            iss=self.identity.urn,
            stream="scan" if stream else "event",
            seq=len(done),
            prev=done[-1].leaf if done else NO_PREVIOUS,
            other=Head(beside[-1].seq, beside[-1].leaf) if beside else None,
            clock=self.clock,
            payload=payload,
            content_type=content_type,
        )
        done.append(batch)
        return batch

    def happens(self, *events: tuple[str, dict[str, Any]]) -> Batch:
        """Events of this moment, in one batch."""
        payload = encode_events([Event(kind, self.boot_ms, data) for kind, data in events])
        return self._seal(EVENT, payload, EVENT_TYPE)

    def says_layout(self, layout: Layout = LAYOUT) -> Batch:
        return self.happens(("layout", {"id": layout_id(layout), "layout": layout_cbor(layout)}))

    def says_time(self, utc_ms: int) -> Batch:
        """The time has become known, and with it that of the whole boot."""
        self.utc_ms = utc_ms
        offset = utc_ms - self.boot_ms
        return self.happens(
            ("clock.correction", {"boot": self.boot, "offset_ms": offset, "error_ms": 50, "source": "chrony"}),
            ("clock.trusted", {"boot": self.boot, "offset_ms": offset, "error_ms": 50}),
        )

    def measures(self, *records: Scan | Miss, layout: Layout = LAYOUT) -> Batch:
        """Records as a scan batch."""
        return self._seal(SCAN, encode_scans(layout, records), SCAN_TYPE)

    def seal_anything(self, stream: int, payload: bytes) -> Batch:
        """A payload that need not be one."""
        return self._seal(stream, payload, SCAN_TYPE if stream else EVENT_TYPE)


def scan(slot: int, air: float | None, hum: float = 50.25, *, late_ms: int = 3) -> Scan:
    """A scan of the room; without ``air`` the device had none."""
    bad = air is None
    values = array("d", [NAN, NAN, hum] if air is None else [air, air + 0.1, hum])
    values = array("d", [round(value, 1) for value in values[:2]]) + values[2:] if not bad else values
    return Scan(
        0, slot, slot * 1000 + late_ms, values, bytes([0x85, 0x85, 0] if bad else 3), b"\1" if bad else None
    )


def settings_changed(changes: dict[str, Any], *, first: bool = False) -> tuple[str, dict[str, Any]]:
    """An event ``config.changed`` with what the follower reads of it."""
    listed = [{"path": path, "old": None, "new": new} for path, new in sorted(changes.items())]
    return "config.changed", {"record": "C1-aaaaaa", "first": first, "part": 1, "parts": 1, "changes": listed}


def alarm(name: str, kind: str, state: str, **data: Any) -> tuple[str, dict[str, Any]]:
    """An event of an alarm."""
    common = {"alarm": name, "tier": "critical", "point": "cold", "device": "room", "raised_ms": 0, "occurrence": 1}
    return f"alarm.{kind}", {**common, "state": state, "active": state != "normal", **data}


async def enrol(database: Database, name: str = "gw-1", member: str = "dairy") -> int:
    """Make a gateway known; returns its id."""
    async with database.transaction() as work:
        await work.execute("INSERT INTO member (name) VALUES ($1) ON CONFLICT DO NOTHING", member)
        ours = (await work.fetch("SELECT id FROM member WHERE name = $1", member))[0][0]
        sql = "INSERT INTO gateway (member, site, name, client, enrolled_ms) VALUES ($1, 'north', $2, $3, 0)"
        await work.execute(sql, ours, name, f"{member}.{name}")
        found = await work.fetch("SELECT id FROM gateway WHERE client = $1", f"{member}.{name}")
        gateway = int(found[0][0])
        for stream in (EVENT, SCAN):
            await work.execute("INSERT INTO stream (gateway, stream) VALUES ($1, $2)", gateway, stream)
    return gateway


async def store(
    database: Database, gateway: int, stream: int, batches: Sequence[Batch], without: Iterable[int] = ()
) -> None:
    """Put a stream's batches so far into the evidence, and into the tree; ``without`` have no body."""
    gone = set(without)
    async with database.transaction() as work:
        known = (await work.fetch("SELECT size FROM stream WHERE gateway = $1 AND stream = $2", gateway, stream))[
            0
        ][0]
        member = (await work.fetch("SELECT member FROM gateway WHERE id = $1", gateway))[0][0]
        await work.execute_each(
            """
            INSERT INTO batch (gateway, stream, seq, member, leaf, sealed_ms, received_ms, body)
            VALUES ($1, $2, $3, $4, $5, NULL, $6, $7)""",
            [
                (
                    gateway,
                    stream,
                    batch.seq,
                    member,
                    batch.leaf,
                    START_MS,
                    None if batch.seq in gone else batch.body,
                )
                for batch in batches[known:]
            ],
        )
        sql = "UPDATE stream SET size = $3 WHERE gateway = $1 AND stream = $2"
        await work.execute(sql, gateway, stream, len(batches))


async def store_all(database: Database, gateway: int, box: Box) -> None:
    for stream in (EVENT, SCAN):
        await store(database, gateway, stream, box.batches[stream])


async def derived(database: Database, box: Box, options: Options = EAGER, now_ms: int = LATER_MS) -> int:
    """A gateway with all batches of a box, and its tables."""
    gateway = await enrol(database)
    await store_all(database, gateway, box)
    await Follower(database, options).catch_up(now_ms)
    return gateway


OF_CHANNEL = (
    "SELECT h.device, h.channel, h.role, {} FROM {} t JOIN channel h ON h.id = t.channel WHERE h.gateway = $1"
)
TABLES = {
    "layout": "SELECT name, body FROM layout WHERE gateway = $1",
    "boot": "SELECT boot, offset_ms, error_ms FROM boot WHERE gateway = $1",
    "event": "SELECT seq, place, boot, boot_ms, utc_ms, error_ms, kind, point, data FROM event WHERE gateway = $1",
    "alarm": """SELECT alarm, point, device, tier, state, active, raised_ms, changed_ms, seq, data FROM alarm
        WHERE gateway = $1""",
    "setting": "SELECT path, value FROM setting WHERE gateway = $1",
    "point": "SELECT point, name, device, channel, critical, settings FROM point WHERE gateway = $1",
    "channel": """SELECT device, channel, role, unit, decimals, period_ms, last_ms, last_value, last_quality
        FROM channel WHERE gateway = $1""",
    "unread": "SELECT stream, seq, why, need FROM unread WHERE gateway = $1",
    "roll": OF_CHANNEL.format("hour, good, uncertain, bad, low, high, total", "roll"),
    "day": OF_CHANNEL.format("day, count, body", "day"),
    "chunk": OF_CHANNEL.format("day", "chunk"),
    "value": OF_CHANNEL.format("utc_ms, value, quality", "value"),
}


async def tables(database: Database, gateway: int) -> dict[str, list[tuple[Any, ...]]]:
    """All that is derived of a gateway, apart from ids."""
    async with database.transaction(write=False) as work:
        return {
            name: sorted(
                (tuple(bytes(cell) if isinstance(cell, bytes) else cell for cell in row) for row in found), key=repr
            )
            for name, found in [(name, await work.fetch(sql, gateway)) for name, sql in TABLES.items()]
        }


def day_values(
    rows: list[tuple[Any, ...]], device: str, channel: str, role: str = "value"
) -> list[tuple[Any, ...]]:
    """Time, value and quality of the rows of ``day`` of one channel; None stands for no value."""
    found = []
    for row in sorted(row for row in rows if row[:3] == (device, channel, role)):
        for at_ms, value, mark in zip(*decode(row[5]), strict=True):
            found.append((at_ms, None if value != value else value, mark))
    return found
