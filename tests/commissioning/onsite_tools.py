"""A gateway that an engineer stands before: real Modbus units on loopback, orders as the pages give them."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from gateway.app import Gateway
from gateway.clock import Clock
from gateway.config.check import check_file
from gateway.demo.modbus_server import Bus, Registers, RtuEndpoint, Table, TcpEndpoint
from gateway.onsite import Onsite

SITE = """\
[gateway]
member = "m"
site = "s"
id = "g"
data_dir = "data"

[clock]
source = "host"
error_s = 1.0

[web]
listen = false

[buffer]
loss_window_s = 0.05

[[bus]]
id = "line-1"
type = "modbus-tcp"
host = "127.0.0.1"
port = {port}

# The probe by the door.
[[device]]
id = "room"
bus = "line-1"
model = "xy-md02"
unit = 1
period_s = 1

[[point]]
id = "cold-room"
name = "Cold room"
channel = "room.temperature"
profile = "chilled-meat"
"""


def probe(tenths: int, humidity: int = 655, unit: int = 1) -> Registers:
    """An XY-MD02: input registers 1 and 2 hold temperature and humidity in tenths, 0x101 its unit id."""
    return Registers(
        {
            Table.INPUT: {1: tenths, 2: humidity},
            Table.HOLDING: {0x101: unit, 0x102: 9600, 0x103: 0, 0x104: 0},
        }
    )


class Bench(NamedTuple):
    """A gateway with its orders, and the units that it can ask."""

    gateway: Gateway
    onsite: Onsite
    plant: Bus
    port: int

    async def order(self, do: str, /, **fields: Any) -> dict[str, Any]:
        """As a page gives it."""
        return dict(await self.onsite.handlers()[do]({"do": do, "person": "Ana", **fields}))

    async def job(self, do: str, /, **fields: Any) -> dict[str, Any]:
        """Begin a job and wait for its end."""
        begun = await self.order(do, **fields)
        return await self.ended(begun["job"])

    async def ended(self, job: str) -> dict[str, Any]:
        async with asyncio.timeout(40):
            while (found := await self.order("job.show", job=job))["state"] == "running":
                await asyncio.sleep(0.01)
        return found

    async def scans(self, count: int) -> None:
        """Wait for so many more answers of the first device."""
        stats = self.gateway.acquire.pollers[0].stats
        goal = stats.scans + count
        await until(lambda: stats.scans >= goal)

    @property
    def input(self) -> Table:
        """Of the table with what a probe shows."""
        return Table.INPUT

    def set(self, tenths: int, unit: int = 1) -> None:
        """What a probe shows from now on."""
        self.plant.units[unit].tables[Table.INPUT][1] = tenths


async def until(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@asynccontextmanager
async def bench(
    folder: Path, units: Mapping[int, Registers] | None = None, text: str = SITE
) -> AsyncIterator[Bench]:
    """A gateway whose first device has answered, with units on a Modbus TCP endpoint; stopped in order."""
    plant = Bus(dict(units or {1: probe(41)}))
    kind = RtuEndpoint if "modbus-rtu-over-tcp" in text else TcpEndpoint
    endpoint = kind(plant, "127.0.0.1", 0)
    await endpoint.open()
    path = folder / "site.toml"
    text = text.replace("{page}", str(free_port()))
    path.write_text(re.sub(r"port = [{}a-z0-9]+", f"port = {endpoint.port}", text), encoding="utf-8")
    site, problems = check_file(path)
    assert site is not None, problems
    gateway, stop = Gateway(site, Clock(site.clock)), asyncio.Event()
    task = asyncio.create_task(gateway.run(stop))
    onsite = Onsite(gateway)
    try:
        await until(lambda: task.done() or hasattr(gateway, "journal"))
        made = Bench(gateway, onsite, plant, endpoint.port)
        await made.scans(1)
        yield made
    finally:
        await onsite.close()
        stop.set()
        async with asyncio.timeout(20):
            await task
        await endpoint.close()
