"""What the gateway costs while nothing happens: 20 channels at 10 s, as most sites have.

    python -m bench.idle [--minutes N] [--period SECONDS]

Starts the daemon as systemd does (with its notification socket), waits until it has settled, and measures processor
time, memory and bytes to the disk over some minutes. Prints start to ready and stop to stopped as well.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.meter import measure

ROOT = Path(__file__).parents[1]
SETTLE_S = 20.0
"""Imports, the first minute check and the giving back of memory are over by then."""
SITE = """
[gateway]
member = "bench"
site = "idle"
id = "gw-1"
data_dir = "data"
[clock]
source = "host"
error_s = 1.0
[web]
listen = "127.0.0.1:{page}"
[[bus]]
id = "line"
type = "modbus-tcp"
host = "127.0.0.1"
port = {port}
[[device]]
id = "unit"
bus = "line"
model = "generic-registers-20"
unit = 1
period_s = {period}
[[point]]
id = "room"
name = "Room"
channel = "unit.r0"
"""
UNIT = """
import asyncio, struct, sys
async def answer(reader, writer):
    word = 200
    try:
        while True:
            request = await reader.readexactly(12)
            count, word = request[11], 180 + (word + 7) % 41
            body = bytes((request[6], request[7], 2 * count)) + struct.pack(">H", word) * count
            writer.write(request[:4] + struct.pack(">H", len(body)) + body)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def unit() -> Iterator[int]:
    """A Modbus TCP unit whose values move a little; gives its port."""
    with subprocess.Popen([sys.executable, "-c", UNIT], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.terminate()


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def run(minutes: float, period: float, work: Path) -> dict[str, object]:
    """One measurement; figures in the units of their names."""
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(work / "notify.sock"))
    notify.settimeout(30)
    with unit() as port:
        (work / "site.toml").write_text(SITE.format(port=port, page=free_port(), period=period))
        environment = {**os.environ, "NOTIFY_SOCKET": str(work / "notify.sock"), "WATCHDOG_USEC": "30000000"}
        began = time.monotonic()
        words = [sys.executable, "-m", "gateway.cli", "run", str(work / "site.toml"), "--log", "warning"]
        with subprocess.Popen(words, cwd=ROOT, env=environment) as daemon:
            while b"READY=1" not in notify.recv(4096):
                pass
            ready_s, ready_cpu_s = time.monotonic() - began, measure(daemon.pid).cpu_s
            time.sleep(SETTLE_S)
            before, on_disk, at = measure(daemon.pid), size(work / "data"), time.monotonic()
            time.sleep(minutes * 60)
            after, passed = measure(daemon.pid), time.monotonic() - at
            grown = size(work / "data") - on_disk
            stopping = time.monotonic()
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(30)
            stopped_s = time.monotonic() - stopping
    notify.close()
    day = 86400 / passed
    return {
        "channels": 20,
        "period_s": period,
        "measured_s": round(passed, 1),
        "cpu_percent_of_a_core": round((after.cpu_s - before.cpu_s) / passed * 100, 3),
        "rss_mb": round(after.rss_bytes / 1e6, 1),
        "threads": after.threads,
        "written_mb_a_day": round((after.write_bytes - before.write_bytes) * day / 1e6, 1),
        "files_grow_mb_a_day": round(grown * day / 1e6, 1),
        "start_to_ready_s": round(ready_s, 2),
        "start_to_ready_cpu_s": round(ready_cpu_s, 2),
        "stop_to_stopped_s": round(stopped_s, 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--period", type=float, default=10.0, help="seconds between polls")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aurora-idle-") as folder:
        print(json.dumps(run(arguments.minutes, arguments.period, Path(folder)), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
