"""How long a scrape holds the loop: a gateway with about 2000 series, scraped again and again.

A task counts the time between its turns. `python -m bench.scrape`.
"""

import asyncio
import gc
import statistics
import tempfile
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any

import uvloop

from gateway.app import Gateway
from gateway.clock import Clock
from gateway.metrics import Exposition
from gateway.site import BufferSpec, BusSpec, ClockSpec, DeviceSpec, Identity, PointSpec, Site

DEVICES = 80
SCRAPES = 200


def site_of(folder: Path, port: int) -> Site:
    devices = tuple(
        DeviceSpec(id=f"probe-{n:03}", bus="plant", model="xy-md02", unit=1 + n, period_ms=10_000, phase_ms=n * 100)
        for n in range(DEVICES)
    )
    return Site(
        identity=Identity(member="m", site="s", gateway="g"),
        data_dir=folder,
        buses=(BusSpec(id="plant", kind="modbus-tcp", host="127.0.0.1", port=port),),
        devices=devices,
        points=(PointSpec(id="p", name="P", device="probe-000", channel="temperature"),),
        buffer=BufferSpec(),
        clock=ClockSpec(source="host", error_s=0.5),
        web=None,
        digest="00" * 32,
    )


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            request = await reader.readexactly(12)
            words = request[11]
            body = bytes((request[6], request[7], 2 * words)) + b"\0\1" * words
            writer.write(request[:4] + len(body).to_bytes(2, "big") + body)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


class Turns:
    """The longest time between two turns of a task that always wants one: wall clock, and of this thread alone."""

    def __init__(self) -> None:
        self.longest_s = self.longest_cpu_s = 0.0

    async def run(self) -> None:
        before, before_cpu = perf_counter(), thread_time()
        while True:
            await asyncio.sleep(0)
            now, cpu = perf_counter(), thread_time()
            self.longest_s = max(self.longest_s, now - before)
            self.longest_cpu_s = max(self.longest_cpu_s, cpu - before_cpu)
            before, before_cpu = now, cpu


async def holds(work: Any) -> tuple[list[float], list[float]]:
    """For each of many scrapes the longest hold of the loop, in milliseconds: wall clock, processor time."""
    wall, cpu = [], []
    for _ in range(SCRAPES):
        turns = Turns()
        task = asyncio.create_task(turns.run())
        await asyncio.sleep(0)
        found = work()
        if asyncio.iscoroutine(found):
            await found
        await asyncio.sleep(0)
        task.cancel()
        wall.append(turns.longest_s * 1000)
        cpu.append(turns.longest_cpu_s * 1000)
    return wall, cpu


async def main() -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    with tempfile.TemporaryDirectory() as folder:
        site = site_of(Path(folder), server.sockets[0].getsockname()[1])
        gateway, stop = Gateway(site, Clock(site.clock)), asyncio.Event()
        running = asyncio.create_task(gateway.run(stop))
        while not (hasattr(gateway, "journal") and all(p.stats.scans for p in gateway.acquire.pollers)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        # As the daemon does.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        exposition = Exposition(gateway)
        text, _ = exposition.text()
        series = sum(not line.startswith(b"#") for line in text.splitlines())
        print(f"{DEVICES} devices, {series} series, {len(text) / 1000:.0f} kB, {SCRAPES} scrapes")
        for name, work in (("in slices", exposition.page), ("at one go", exposition.text)):
            wall, cpu = await holds(work)
            print(
                f"{name}: longest hold, median {statistics.median(wall):.2f} ms,"
                f" 99 of 100 below {sorted(wall)[int(0.99 * len(wall))]:.2f} ms, largest {max(wall):.2f} ms;"
                f" processor time: median {statistics.median(cpu):.2f} ms, largest {max(cpu):.2f} ms"
            )
        stop.set()
        await running
    server.close()


if __name__ == "__main__":
    uvloop.run(main())
