"""Days of a gateway's life in minutes: does it hold its memory, its descriptors, its threads and its database?

    python -m bench.soak [--days N] [--period SECONDS] [--keep-days N]

The gateway runs in this process on an event loop whose time jumps to the next timer whenever nothing is under
way: no answer of a device, no write to the disk. So everything happens as in real life, in the same order, only the
waits are left out. Devices answer over real sockets, the journal writes real files. Receipts come from here, not
from a cluster (every ten minutes, for the whole backlog), so that retention has something to do; the network is no
part of this.
"""

import argparse
import asyncio
import ctypes
import gc
import json
import os
import selectors
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.idle import unit
from bench.meter import PAGE, stat_fields
from gateway.app import STREAMS, Gateway
from gateway.clock import Clock
from gateway.clock_sources import Reading, boot_id, boot_ns
from gateway.seal.tree import Frontier
from gateway.site import BufferSpec, BusSpec, ClockSpec, DeviceSpec, Identity, PointSpec, Site

RECEIPTS_S = 600.0
DAY_S = 86400.0
BUSY_S = 0.05
"""How long to wait for real while something is under way, before it is looked at again."""
FLAT = {"rss_mb": 4.0, "descriptors": 4, "threads": 2, "database_mb": 0.02, "objects": 0.02}
"""What may be added from the first sample after retention has begun to the last. Database and Python objects: a
share; the database beside `LEAF_BYTES` for each batch, of which retention leaves the hash."""
LEAF_BYTES = 100


class Jumping(selectors.EpollSelector):
    """Never waits for a timer: tells the loop to move its time on, unless something is under way."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead_s = 0.0
        self.busy: Callable[[], bool] = lambda: True

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if found or timeout is None or timeout <= 0:
            return found if timeout is not None else super().select(None)
        if self.busy():
            return super().select(min(timeout, BUSY_S))
        self.ahead_s += timeout
        return found


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self, selector: Jumping) -> None:
        self._jumping = selector
        super().__init__(selector)

    def time(self) -> float:
        return super().time() + self._jumping.ahead_s


class Ahead:
    """The machine's clocks, as far ahead as the loop is."""

    def __init__(self, selector: Jumping) -> None:
        self.boot_id = boot_id()
        self._selector = selector

    def boot_ns(self) -> int:
        return boot_ns() + int(self._selector.ahead_s * 1e9)

    def monotonic_ns(self) -> int:
        return self.boot_ns()

    def read(self) -> Reading:
        now = self.boot_ns()
        return Reading(now, now, now + 1_790_000_000 * 10**9, 1000)

    async def measure(self) -> None:
        pass


def site(folder: Path, port: int, period_s: float, keep_days: int) -> Site:
    return Site(
        identity=Identity(member="bench", site="soak", gateway="gw-1"),
        data_dir=folder,
        buses=(BusSpec(id="line", kind="modbus-tcp", host="127.0.0.1", port=port),),
        devices=(
            DeviceSpec(
                id="unit", bus="line", model="generic-registers-20", unit=1, period_ms=round(period_s * 1000)
            ),
        ),
        points=(PointSpec(id="room", name="Room", device="unit", channel="r0"),),
        buffer=BufferSpec(keep_days=keep_days),
        clock=ClockSpec(source="host", error_s=1.0),
        web=None,
        digest="00" * 32,
    )


def state(gateway: Gateway, days: float) -> dict[str, float]:
    pid = os.getpid()
    files = [path.stat().st_size for path in gateway.site.data_dir.glob("journal.db*")]
    return {
        "days": round(days, 2),
        "rss_mb": round(int(stat_fields(pid)[21]) * PAGE / 1e6, 2),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": int(stat_fields(pid)[17]),
        "objects": sys.getallocatedblocks(),
        "malloc_mb": round(malloc_used() / 1e6, 2),
        "database_mb": round(sum(files) / 1e6, 3),
        "batches": sum(0 if (head := gateway.journal.head(s)) is None else head.seq + 1 for s in STREAMS),
        "scans": gateway.acquire.pollers[0].stats.scans,
        "missed": sum(gateway.acquire.pollers[0].stats.missed.values()),
        "stripped": gateway.journal.stats.stripped["age"],
    }


class Mallinfo2(ctypes.Structure):
    """What glibc says of its arenas (mallinfo(3)); ``uordblks`` and ``hblkhd`` are bytes in use."""

    _names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in _names.split()]


def malloc_used() -> int:
    """Bytes that are in use of what malloc gave: libraries, SQLite, and the arenas of Python's own allocator."""
    asked = ctypes.CDLL(None).mallinfo2
    asked.restype = Mallinfo2
    found = asked()
    return int(found.uordblks + found.hblkhd)


async def receipts(gateway: Gateway) -> None:
    """Vouch for everything now and then, as a cluster does."""
    frontiers = {stream: Frontier() for stream in STREAMS}
    while True:
        await asyncio.sleep(RECEIPTS_S)
        for stream, frontier in frontiers.items():
            head = gateway.journal.head(stream)
            if head is None or head.seq + 1 <= frontier.size:
                continue
            for leaf in await gateway.journal.leaves(stream, frontier.size, head.seq + 1):
                frontier.append(leaf)
            await gateway.journal.acknowledge(stream, frontier.size, frontier.to_bytes(), b"")


async def live(
    gateway: Gateway, selector: Jumping, days: float, *, sample_s: float, trace: bool = False
) -> list[dict[str, float]]:
    """Run for so many days of the loop."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    running = asyncio.create_task(gateway.run(stop))
    while not hasattr(gateway, "journal"):  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.01)
    link = gateway.acquire.workers[0].link

    def busy() -> bool:
        stats = link.stats
        asked = stats.requests - stats.answers - stats.timeouts - stats.exceptions - stats.bad_frames
        threads = gateway.journal._write_thread, gateway.journal._read_thread
        waiting = any(not thread._queue.empty() for thread in threads)
        return bool(not link.connected or asked > 0 or gateway.journal._committing.locked() or waiting)

    while gateway.acquire.pollers[0].stats.scans < 2:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.1)
    selector.busy = busy
    vouching, began, samples = asyncio.create_task(receipts(gateway)), loop.time(), []
    half: tracemalloc.Snapshot | None = None
    while (passed := loop.time() - began) < days * DAY_S:
        samples.append(state(gateway, passed / DAY_S))
        print(json.dumps(samples[-1]), flush=True)
        await asyncio.sleep(sample_s)
        if trace and half is None and loop.time() - began > days * DAY_S / 2:
            half = taken()
    if half is not None:
        for difference in taken().compare_to(half, "traceback")[:12]:
            print(difference, *difference.traceback.format()[-6:], sep="\n", flush=True)
    samples.append(state(gateway, (loop.time() - began) / DAY_S))
    print(json.dumps(samples[-1]), flush=True)
    selector.busy = lambda: True
    vouching.cancel()
    stop.set()
    await running
    return samples


def taken() -> tracemalloc.Snapshot:
    """What is allocated and can still be reached."""
    gc.collect()
    own = [tracemalloc.Filter(False, tracemalloc.__file__), tracemalloc.Filter(False, "<frozen *")]
    return tracemalloc.take_snapshot().filter_traces(own)


def verdict(samples: list[dict[str, float]], keep_days: int) -> dict[str, Any]:
    """What grew after retention had begun: from the first sample half a day later to the last."""
    after = [sample for sample in samples if sample["days"] >= keep_days + 0.5]
    if len(after) < 2:
        return {"flat": False, "why": "too short: run for some days more than are kept"}
    grown = {name: round(after[-1][name] - after[0][name], 3) for name in FLAT}
    limits = FLAT | {name: FLAT[name] * after[0][name] for name in ("database_mb", "objects")}
    limits["database_mb"] += LEAF_BYTES * (after[-1]["batches"] - after[0]["batches"]) / 1e6
    return {"flat": all(grown[name] <= limits[name] for name in FLAT), "grown": grown, "from_day": after[0]["days"]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--period", type=float, default=10.0, help="seconds between polls")
    parser.add_argument("--keep-days", type=int, default=1)
    parser.add_argument("--sample-hours", type=float, default=6.0)
    parser.add_argument("--trace", action="store_true", help="also say where memory grew in the second half")
    arguments = parser.parse_args()
    began = time.monotonic()
    if arguments.trace:
        tracemalloc.start(4)
    with tempfile.TemporaryDirectory(prefix="aurora-soak-") as folder, unit() as port:
        selector = Jumping()
        loop = JumpingLoop(selector)
        asyncio.set_event_loop(loop)
        here = site(Path(folder), port, arguments.period, arguments.keep_days)
        gateway = Gateway(here, Clock(here.clock, Ahead(selector)))
        life = live(
            gateway, selector, arguments.days, sample_s=arguments.sample_hours * 3600, trace=arguments.trace
        )
        samples = loop.run_until_complete(life)
        loop.close()
    found = verdict(samples, arguments.keep_days)
    print(json.dumps({**found, "took_s": round(time.monotonic() - began, 1)}))
    return 0 if found["flat"] else 1


if __name__ == "__main__":
    sys.exit(main())
