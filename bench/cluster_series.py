"""Bytes that a value costs in the cluster's PostgreSQL, and how long it takes to read a month of a point.

    python -m bench.cluster_series [--millions 10 100] [--folder /var/tmp] [--derive 1]

A server of its own is filled with gateways of ten channels, a value each 10 s for 30 days: slow drift in tenths, a
jitter of some milliseconds. The evidence is batches of 500 values, encoded and signed as a gateway does it; days
and hours are written directly, in order of time over all channels, as they would have grown. At each size the bytes
of every table with indices are printed, and the time in which a month of a channel (259 200 values) comes out of
it, as columns of Python and as 720 hours: warm (median and least of 21 channels), and cold, after the
server was started anew and the system has forgotten its files. ``--derive`` lets the follower itself work on so
many millions of values and tells its speed.

Times are for ratios: they depend on the machine. It must not be a memory file system for the cold ones.
"""

import argparse
import asyncio
import os
import pwd
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from gateway.cluster.database import Database, Work, open_database
from gateway.cluster.derive.days import CLOSE_AFTER_MS
from gateway.cluster.derive.follower import Follower, Options
from gateway.cluster.derive.scans import hours_of
from gateway.cluster.derive.segment import DAY_MS, Segment, encode
from gateway.cluster.derive.series import chart, values
from gateway.model import Batch, ClockClaim, ClockState, Column, DeviceLayout, Event, Head, Layout, Scan
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

CHANNELS, PERIOD_MS, ROWS, DAYS = 10, 10_000, 50, 30
A_DAY = DAY_MS // PERIOD_MS
START_MS = 1_792_800_000_000 // DAY_MS * DAY_MS
LAYOUT = Layout(
    (
        DeviceLayout(
            "room",
            "line",
            "probe",
            "0" * 16,
            PERIOD_MS,
            0,
            tuple(Column(f"t{n}", "degC", 1) for n in range(CHANNELS)),
        ),
    )
)
EVIDENCE, DERIVED = ("batch", "stream"), ("day", "roll", "channel", "event", "layout")
GROUP = 20
"""Gateways that are filled at once: their days are laid down beside each other."""


class Server:
    """PostgreSQL with its own settings as they come, on the disk."""

    def __init__(self, where: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="aurora-series-", dir=where))
        self.programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]))
        self.user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self.user is not None:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        self.run("initdb", "-D", self.folder / "data", "-U", "aurora", "-A", "trust", "-E", "UTF8", "--locale=C")
        with (self.folder / "data/postgresql.conf").open("a") as file:
            file.write(f"listen_addresses = ''\nunix_socket_directories = '{self.folder}'\nmax_wal_size = 4GB\n")
        self.url = f"postgresql://aurora@/postgres?host={self.folder}"

    def run(self, program: str, *words: object) -> None:
        user = self.user
        subprocess.run(
            [str(self.programs / program), *map(str, words)],
            user=None if user is None else user.pw_uid,
            group=None if user is None else user.pw_gid,
            extra_groups=None if user is None else [],
            stdout=subprocess.DEVNULL,
            check=True,
            cwd="/",
        )

    def start(self) -> None:
        self.run("pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "log", "start")

    def close(self) -> None:
        self.run("pg_ctl", "-D", self.folder / "data", "-w", "-m", "fast", "stop")

    def forget(self) -> None:
        """Start anew, with nothing of its files in the system's memory."""
        self.close()
        os.sync()
        for path in self.folder.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self.start()


class Gateway:
    """Signs what its ten channels measured."""

    def __init__(self, number: int, signer: FileSigner) -> None:
        self.number, self.signer = number, signer
        self.identity = Identity(member="bench", site="bench", gateway=f"gw-{number}")
        self.random = random.Random(number)
        self.level = [self.random.randrange(-200, 80) for _ in range(CHANNELS)]
        self.heads: dict[int, Head | None] = {0: None, 1: None}
        self.id = 0
        self.channels: list[int] = []

    def seal(self, stream: int, payload: bytes, kind: str, at_ms: int) -> Batch:
        head = self.heads[stream]
        batch = seal_batch(
            self.signer,
            iss=self.identity.urn,
            stream="scan" if stream else "event",
            seq=0 if head is None else head.seq + 1,
            prev=NO_PREVIOUS if head is None else head.leaf,
            other=self.heads[1 - stream],
            clock=ClockClaim(bytes(16), at_ms - START_MS, at_ms, 12, ClockState.TRUSTED),
            payload=payload,
            content_type=kind,
        )
        self.heads[stream] = Head(batch.seq, batch.leaf)
        return batch

    def begin(self) -> Iterator[tuple[int, Batch]]:
        content = registration_payload(
            self.signer.public, self.identity, config_digest=bytes(32), storage="file", software="bench"
        )
        for stream in (0, 1):
            yield stream, self.seal(stream, content, REGISTRATION_TYPE, START_MS)
        event = Event("layout", 0, {"id": layout_id(LAYOUT), "layout": layout_cbor(LAYOUT)})
        yield 0, self.seal(0, encode_events([event]), EVENT_TYPE, START_MS)

    def day(self, day: int) -> tuple[list[Batch], list[Segment]]:
        """The batches of a day, and what they mean."""
        slots = range(day * A_DAY, (day + 1) * A_DAY)
        at = [slot * PERIOD_MS + self.random.randrange(8) for slot in slots]
        columns = []
        for channel in range(CHANNELS):
            steps = self.random.choices((-1, 0, 0, 0, 0, 0, 1), k=A_DAY)
            count, column = self.level[channel], array("d")
            for step in steps:
                count += step
                column.append(count / 10)
            self.level[channel] = count
            columns.append(column)
        rows = list(zip(*columns, strict=True))
        quality = bytes(CHANNELS)
        batches = []
        for first in range(0, A_DAY, ROWS):
            scans = [
                Scan(0, slots[place], at[place], array("d", rows[place]), quality)
                for place in range(first, min(first + ROWS, A_DAY))
            ]
            sealed_ms = START_MS + scans[-1].at_ms + 100
            batches.append(self.seal(1, encode_scans(LAYOUT, scans), SCAN_TYPE, sealed_ms))
        times = array("q", [START_MS + at_ms for at_ms in at])
        return batches, [Segment(times, column, bytes(A_DAY)) for column in columns]


async def enrol(work: Work, gateway: Gateway) -> None:
    sql = (
        "INSERT INTO gateway (member, site, name, client, enrolled_ms) VALUES (1, 'bench', $1, $2, 0) RETURNING id"
    )
    gateway.id = int((await work.fetch(sql, gateway.identity.gateway, gateway.identity.client))[0][0])
    await work.execute_each(
        "INSERT INTO stream (gateway, stream) VALUES ($1, $2)", [(gateway.id, 0), (gateway.id, 1)]
    )
    await work.execute_each(
        BATCH, [(gateway.id, stream, b.seq, b.leaf, START_MS, b.body) for stream, b in gateway.begin()]
    )
    await work.execute("UPDATE stream SET size = 2 WHERE gateway = $1 AND stream = 0", gateway.id)


async def fill(database: Database, gateways: list[Gateway]) -> None:
    """A month of gateways, day by day."""
    async with database.transaction() as work:
        for gateway in gateways:
            await enrol(work, gateway)
            sql = """INSERT INTO channel (member, gateway, device, channel, role, unit, decimals, period_ms)
                VALUES (1, $1, 'room', $2, 'value', 'degC', 1, $3) RETURNING id"""
            rows = await work.fetch_each(sql, [(gateway.id, f"t{n}", PERIOD_MS) for n in range(CHANNELS)])
            gateway.channels = [int(row[0]) for row in rows]
    for day in range(DAYS):
        for gateway in gateways:
            batches, segments = gateway.day(day)
            async with database.transaction() as work:
                await work.execute_each(
                    BATCH, [(gateway.id, 1, b.seq, b.leaf, START_MS + (day + 1) * DAY_MS, b.body) for b in batches]
                )
                days, rolls = [], []
                for channel, segment in zip(gateway.channels, segments, strict=True):
                    body = encode(segment, 1, PERIOD_MS)
                    days.append((channel, START_MS // DAY_MS + day, len(segment.times), body))
                    rolls += [(channel, *roll) for roll in hours_of(segment)]
                await work.execute_each("INSERT INTO day VALUES (1, $1, $2, $3, $4)", days)
                await work.execute_each("INSERT INTO roll VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8)", rolls)
                sql = "UPDATE stream SET size = $2 WHERE gateway = $1 AND stream = 1"
                await work.execute(sql, gateway.id, batches[-1].seq + 1)
    async with database.transaction() as work:
        sql = """INSERT INTO progress (gateway, event_next, scan_next)
            SELECT gateway, 2, size FROM stream WHERE stream = 1 AND gateway = $1"""
        await work.execute_each(sql, [(gateway.id,) for gateway in gateways])


async def sizes(database: Database) -> None:
    """Bytes per value of each table, with TOAST and indices."""
    sql = """
        SELECT coalesce(p.relname, c.relname), sum(pg_total_relation_size(c.oid)) FROM pg_class c
        LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class p ON p.oid = i.inhparent
        WHERE c.relkind = 'r' AND c.relnamespace = 'aurora'::regnamespace GROUP BY 1"""
    async with database.transaction(write=False) as work:
        found = {name: int(size) for name, size in await work.fetch(sql)}
        body = await work.fetch("SELECT sum(length(body)), sum(count) FROM day")
    count = int(body[0][1])
    shown = {name: found[name] / count for name in (*EVIDENCE, *DERIVED)}
    print("  B/value: " + ", ".join(f"{name} {size:.3f}" for name, size in shown.items() if size >= 0.0005))
    evidence, derived = (sum(shown[name] for name in names) for names in (EVIDENCE, DERIVED))
    print(f"  B/value: evidence {evidence:.2f}, derived {derived:.2f}, together {evidence + derived:.2f}")
    print(f"  B/value: bodies of days alone {int(body[0][0]) / count:.3f}")


async def month(database: Database, channel: int) -> tuple[float, float, float]:
    """Milliseconds for all values of a month, and for its hours; those of this process's CPU for both."""
    end_ms = START_MS + DAYS * DAY_MS
    async with database.transaction(write=False) as work:
        begun, used = time.perf_counter(), time.process_time()
        count = 0
        async for segment in values(work, channel, START_MS, end_ms):
            count += len(segment.times)
        between = time.perf_counter()
        hours = await chart(work, channel, START_MS, end_ms)
        ended, cpu = time.perf_counter(), time.process_time() - used
    assert (count, len(hours)) == (DAYS * A_DAY, DAYS * 24)
    return (between - begun) * 1000, (ended - between) * 1000, cpu * 1000


async def buffers(database: Database, channel: int) -> None:
    for name, sql in (
        ("values", "SELECT md5(body) FROM day WHERE channel = $1 AND day >= $2 AND day <= $3 ORDER BY day"),
        (
            "hours",
            "SELECT hour, low, high, total FROM roll WHERE channel = $1 AND hour >= $2 * 24 AND hour < $3 * 24",
        ),
    ):
        async with database.transaction(write=False) as work:
            first = START_MS // DAY_MS
            rows = await work.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", channel, first, first + DAYS - 1)
        lines = [row[0].strip() for row in rows]
        print(f"  {name}: {next(line for line in lines if 'Buffers' in line)}; {lines[0].split('  ')[0]}")


async def measure(server: Server, gateways: list[Gateway], millions: float) -> None:
    channels = [channel for gateway in gateways for channel in gateway.channels]
    count = len(channels) * DAYS * A_DAY
    print(f"{count / 1e6:.1f} M values, {len(channels)} channels ({millions:g} M asked for)")
    chooser = random.Random(1)
    database = await open_database(server.url)
    async with database.transaction() as work:
        for table in ("day", "roll", "batch"):
            await work.execute(f"ANALYZE {table}")
    await sizes(database)
    await month(database, channels[0])
    found = [await month(database, chooser.choice(channels)) for _ in range(21)]
    warm = [statistics.median(times) for times in zip(*found, strict=True)]
    await database.close()
    cold = []
    for _ in range(5):
        server.forget()
        database = await open_database(server.url)
        async with database.transaction(write=False) as work:
            await work.fetch("SELECT 1")
        cold.append(await month(database, chooser.choice(channels)))
        await database.close()
    middle = [statistics.median(times) for times in zip(*cold, strict=True)]
    least = [min(times) for times in zip(*found, strict=True)]
    names = "values", "hours", "CPU of the reader"
    shown = [
        f"{name} {quick:.1f} ms warm (least {best:.1f}), {slow:.1f} cold"
        for name, quick, best, slow in zip(names, warm, least, middle, strict=True)
    ]
    print(f"  month of a channel: {'; '.join(shown)}")
    server.forget()
    database = await open_database(server.url)
    await buffers(database, chooser.choice(channels))
    await database.close()


async def derive(server: Server, signer: FileSigner, millions: float) -> None:
    """How fast the follower itself is: a gateway with a backlog of so many values."""
    database = await open_database(server.url)
    gateway = Gateway(10**6, signer)
    days = max(1, round(millions * 1e6 / A_DAY / CHANNELS))
    async with database.transaction() as work:
        await enrol(work, gateway)
        for day in range(days):
            batches, _ = gateway.day(day)
            await work.execute_each(BATCH, [(gateway.id, 1, b.seq, b.leaf, START_MS, b.body) for b in batches])
        await work.execute(
            "UPDATE stream SET size = $2 WHERE gateway = $1 AND stream = 1", gateway.id, batches[-1].seq + 1
        )
    begun, used = time.perf_counter(), time.process_time()
    await Follower(database, Options(lag_ms=0)).catch_up(START_MS + (days + 1) * DAY_MS + CLOSE_AFTER_MS)
    took, cpu = time.perf_counter() - begun, time.process_time() - used
    count = days * A_DAY * CHANNELS
    speed, share = count / took / 1000, cpu / count * 1e6
    print(f"follower: {count} values in {took:.1f} s, {speed:.0f} k values/s; {share:.2f} us of CPU a value")
    await database.close()


async def run(arguments: argparse.Namespace) -> None:
    server = Server(arguments.folder)
    server.start()
    try:
        with closing(server):
            signer = FileSigner.create(server.folder / "gateway.key")
            database = await open_database(server.url)
            await database.prepare(START_MS)
            async with database.transaction() as work:
                await work.execute("INSERT INTO member (name) VALUES ('bench')")
            await database.close()
            if arguments.derive:
                await derive(server, signer, arguments.derive)
            gateways: list[Gateway] = []
            for millions in sorted(arguments.millions):
                wanted = max(1, round(millions * 1e6 / (CHANNELS * DAYS * A_DAY)))
                begun = time.perf_counter()
                while len(gateways) < wanted:
                    new = [Gateway(len(gateways) + n, signer) for n in range(min(GROUP, wanted - len(gateways)))]
                    database = await open_database(server.url)
                    await fill(database, new)
                    await database.close()
                    gateways += new
                print(f"filled in {time.perf_counter() - begun:.0f} s")
                await measure(server, gateways, millions)
    finally:
        shutil.rmtree(server.folder, ignore_errors=True)


BATCH = """
INSERT INTO batch (gateway, stream, seq, member, leaf, sealed_ms, received_ms, body)
VALUES ($1, $2, $3, 1, $4, $5, $5, $6)"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--millions", type=float, nargs="+", default=[10.0], help="values to fill, each time measured"
    )
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="where the server's data lies")
    parser.add_argument("--derive", type=float, default=1.0, help="millions of values for the follower; 0: none")
    asyncio.run(run(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
