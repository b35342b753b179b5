"""What the page costs: `python -m bench.page`. A daemon with 50 points, phones on its stream, its end.

Prints CPU time of the daemon (from /proc), bytes on the wire, resident memory, seconds to stop.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import sys
import tempfile
import time
from pathlib import Path

import httpx

DEVICES = 10
REGISTERS = 5
"""Points are the first registers of each device."""


class Unit:
    """A Modbus TCP unit whose registers rise with time."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readexactly(12)
                word = (int(time.time() * 2) % 60 + request[6]).to_bytes(2, "big")
                body = bytes((request[6], request[7], 2 * request[11])) + word * request[11]
                writer.write(request[:4] + len(body).to_bytes(2, "big") + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def site_text(port: int, page: int) -> str:
    """Fifty points with limits, one scan a second a device."""
    parts = [
        f'[gateway]\nmember = "m"\nsite = "s"\nid = "g"\ndata_dir = "data"\n'
        f'[clock]\nsource = "host"\nerror_s = 1.0\n[web]\nlisten = "127.0.0.1:{page}"\nopen_view = true\n'
        f'[[bus]]\nid = "up"\ntype = "modbus-tcp"\nhost = "127.0.0.1"\nport = {port}\n'
        '[[profile]]\nid = "store"\nunit = ""\ntitle = "Store"\n[profile.limits]\n'
        "high-alert = { limit = 40, hysteresis = 1 }\n"
    ]
    for device in range(1, DEVICES + 1):
        parts.append(
            f'[[device]]\nid = "d{device}"\nbus = "up"\nunit = {device}\n'
            'model = "generic-registers-20"\nperiod_s = 1\n'
        )
    for device in range(1, DEVICES + 1):
        for register in range(REGISTERS):
            profile = 'profile = "store"\n' if register == 0 else ""
            parts.append(
                f'[[point]]\nid = "p{device}-{register}"\nname = "Cold room {device}.{register}"\n'
                f'channel = "d{device}.r{register}"\n{profile}'
            )
    return "\n".join(parts)


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Resident memory."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1000


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def listen(client: httpx.AsyncClient, heard: list[int]) -> None:
    """One phone."""
    async with client.stream("GET", "/events?of=status") as stream:
        async for chunk in stream.aiter_bytes():
            heard[0] += len(chunk)


async def measure(seconds: float, phones: int) -> dict[str, float]:
    """All figures."""
    figures: dict[str, float] = {}
    server = await asyncio.start_server(Unit().serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        page = free_port()
        site = Path(folder, "site.toml")
        await asyncio.to_thread(site.write_text, site_text(port, page))
        daemon = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.cli", "run", str(site), "--log", "warning"
        )
        pid = daemon.pid
        limits = httpx.Limits(max_connections=phones + 5)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{page}", timeout=30, limits=limits) as client:
            for _ in range(200):
                try:
                    await client.get("/metrics")
                    break
                except httpx.HTTPError:
                    await asyncio.sleep(0.2)
            await asyncio.sleep(15)
            figures["memory before any page, MB"] = memory_mb(pid)
            answer = await client.get("/")
            figures["first view HTML on the wire, bytes"] = int(answer.num_bytes_downloaded)
            figures["first view HTML, bytes"] = len(answer.content)
            for name in ("page.css", "page.js"):
                found = re.search(rf"/static/{name}\?\w+", answer.text)
                assert found
                figures[f"{name} on the wire, bytes"] = (await client.get(found[0])).num_bytes_downloaded
            figures["memory after the overview, MB"] = memory_mb(pid)
            await idle(figures, "no page open", pid, seconds)
            before, began = cpu_s(pid), time.monotonic()
            for _ in range(20):
                await client.get("/")
            rest = figures["no page open: CPU share of a core, %"] / 100 * (time.monotonic() - began)
            figures["first view server CPU, ms"] = (cpu_s(pid) - before - rest) * 1000 / 20
            await client.get("/points/p1-0")
            figures["memory after a chart, MB"] = memory_mb(pid)
            before, began = cpu_s(pid), time.monotonic()
            for _ in range(20):
                await client.get("/points/p1-0")
            rest = figures["no page open: CPU share of a core, %"] / 100 * (time.monotonic() - began)
            figures["point page with chart server CPU, ms"] = (cpu_s(pid) - before - rest) * 1000 / 20
            heard = [0]
            tasks = [asyncio.create_task(listen(client, heard)) for _ in range(phones)]
            await asyncio.sleep(3)
            heard[0] = 0
            await idle(figures, f"{phones} phones", pid, seconds)
            figures["stream, bytes a second a phone"] = heard[0] / seconds / phones
            figures["memory with the phones, MB"] = memory_mb(pid)
            began = time.monotonic()
            daemon.send_signal(signal.SIGTERM)
            await daemon.wait()
            figures["seconds to stop with the phones on"] = time.monotonic() - began
            await asyncio.gather(*tasks, return_exceptions=True)
        server.close()
    return {name: round(value, 2) for name, value in figures.items()}


async def idle(figures: dict[str, float], what: str, pid: int, seconds: float) -> None:
    before = cpu_s(pid)
    await asyncio.sleep(seconds)
    figures[f"{what}: CPU share of a core, %"] = (cpu_s(pid) - before) / seconds * 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--phones", type=int, default=20)
    arguments = parser.parse_args()
    print(json.dumps(asyncio.run(measure(arguments.seconds, arguments.phones)), indent=2))


if __name__ == "__main__":
    main()
