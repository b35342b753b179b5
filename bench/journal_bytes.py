"""Bytes that the journal writes per value, for several page sizes and sizes of the write-ahead log.

    python -m bench.journal_bytes [--seconds 35] [--folder /var/tmp] [--page 512 --page 4096] [--log 1024]

50 devices with 20 columns each, polled once a second: slow drift, a third of a decimal of noise, a jitter of some
milliseconds. Counted is `write_bytes` of /proc/self/io (whole pages of 4 KiB that were dirtied, log and
checkpoints included) from the first commit to before the closing; every commit is synced. The folder must not be
on a memory file system, where nothing is counted. The processor time is that of the writer's thread: codec,
signature, SQLite and the kernel's part of fsync. Variants run side by side, each in a process of its own.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import time
from array import array
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.buffer import schema
from gateway.buffer.journal import Journal
from gateway.model import ClockClaim, ClockState, Column, DeviceLayout, Layout, Scan
from gateway.seal.batch import registration_payload
from gateway.seal.keys import FileSigner
from gateway.site import BufferSpec, Identity

DEVICES, COLUMNS = 50, 20
IDENTITY = Identity(member="bench", site="bench", gateway="bench")


def layout() -> Layout:
    columns = tuple(Column(f"channel-{index}", "degC", 1) for index in range(COLUMNS))
    return Layout(
        tuple(
            DeviceLayout(f"device-{index}", "line", "probe", "00" * 8, 1000, index * 1000 // DEVICES, columns)
            for index in range(DEVICES)
        )
    )


def clock() -> ClockClaim:
    boot_ms = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    return ClockClaim(bytes(16), boot_ms, 1_795_360_000_000 + boot_ms, 20, ClockState.TRUSTED)


def written() -> int:
    for line in Path("/proc/self/io").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(": ")
        if name == "write_bytes":
            return int(value)
    message = "/proc/self/io has no write_bytes"
    raise RuntimeError(message)


async def poll(journal: Journal, seconds: float) -> int:
    """Put a scan every 20 ms, each device once a second; returns the number of values."""
    source = random.Random(1)
    levels = [[source.uniform(-25, 90) for _ in range(COLUMNS)] for _ in range(DEVICES)]
    loop = asyncio.get_running_loop()
    start, values = loop.time(), 0
    first_slot = clock().boot_ms // 1000 + 1
    for count in range(int(seconds * DEVICES)):
        await asyncio.sleep(start + count / DEVICES - loop.time())
        device, slot = count % DEVICES, first_slot + count // DEVICES
        level = levels[device]
        level[:] = [value + source.gauss(0, 0.005) for value in level]
        scanned = array("d", [round(value + source.gauss(0, 0.035), 1) for value in level])
        at_ms = slot * 1000 + device * 1000 // DEVICES + source.randrange(4, 20)
        journal.put(Scan(device, slot, at_ms, scanned, bytes(COLUMNS)))
        values += COLUMNS
    return values


async def measure(folder: Path, seconds: float) -> dict[str, float]:
    signer = FileSigner.create(folder / "key")
    registration = registration_payload(
        signer.public, IDENTITY, config_digest=bytes(32), storage=signer.storage, software="bench"
    )
    journal = await Journal.open(
        folder / "journal.db",
        signer=signer,
        iss=IDENTITY.urn,
        layout=layout(),
        spec=BufferSpec(),
        clock=clock,
        registration=registration,
    )
    task = asyncio.create_task(journal.run())
    await poll(journal, 3)
    cpu = await journal._write_thread.run(time.thread_time)
    before, stats = written(), journal.stats
    values = await poll(journal, seconds)
    after, end = written(), journal.stats
    cpu = await journal._write_thread.run(time.thread_time) - cpu
    await journal.close()
    await task
    commits = end.commits - stats.commits
    return {
        "bytes_per_value": (after - before) / values,
        "file_bytes_per_value": (folder / "journal.db").stat().st_size / (values + 3000),
        "commits_per_s": commits / seconds,
        "commit_ms": (end.commit_seconds - stats.commit_seconds) / commits * 1000,
        "writer_cpu_us": cpu / values * 1e9,
    }


def run_one(page: int, log_kib: int, folder: Path, seconds: float) -> None:
    schema.PAGE_SIZE = page
    schema.wal_bytes = lambda max_bytes: min(log_kib << 10, max_bytes // 16)
    with TemporaryDirectory(dir=folder) as place:
        print(json.dumps(asyncio.run(measure(Path(place), seconds))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=35.0)
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--page", type=int, action="append")
    parser.add_argument("--log", type=int, action="append", help="KiB of write-ahead log before it is copied back")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    pages, logs = args.page or [512, 1024, 2048, 4096], args.log or [schema.wal_bytes(1 << 40) >> 10]
    if args.one:
        run_one(pages[0], logs[0], args.folder, args.seconds)
        return
    variants = [(page, log) for page in pages for log in logs]
    runs = []
    for page, log in variants:
        command = [sys.executable, "-m", "bench.journal_bytes", "--one", f"--page={page}", f"--log={log}"]
        command += [f"--seconds={args.seconds}", f"--folder={args.folder}"]
        runs.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ))
    print("  page  log KiB  B/value  file B/value  commits/s  commit ms  writer CPU us/1000 values")
    for (page, log), run in zip(variants, runs, strict=True):
        result = json.loads(run.communicate()[0])
        print(
            f"{page:6} {log:8} {result['bytes_per_value']:8.2f} {result['file_bytes_per_value']:13.2f} "
            f"{result['commits_per_s']:10.2f} {result['commit_ms']:10.2f} {result['writer_cpu_us']:26.0f}"
        )


if __name__ == "__main__":
    main()
