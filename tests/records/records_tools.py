"""A gateway whose people record, as the composition root would put it together, for tests.

Run as a program it is a daemon: `records_tools.py FOLDER PORT` prints a line once it takes requests, and lives
until it is killed.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from firmware_interfaces.modbus.model import load_model
from gateway.acquire.poller import device_layout
from gateway.buffer.journal import Journal
from gateway.clock import Clock
from gateway.control import Control
from gateway.identity import open_identity
from gateway.model import Layout, Miss, Quality
from gateway.recordkeeping.keeping import RecordKeeping
from gateway.site import BufferSpec, BusSpec, ClockSpec, DeviceSpec, Identity, PointSpec, Site

TOML = """\
[gateway]
member = "m"
site = "s"
id = "g"
data_dir = "."

[clock]
source = "host"
error_s = 1.0

[web]
listen = false

[[bus]]
id = "up"
type = "modbus-tcp"
host = "127.0.0.1"
port = {port}

[[device]]
id = "a"
bus = "up"
model = "xy-md02"
unit = 1
period_s = 0.1

[[point]]
id = "room"
name = "Cold room"
channel = "a.temperature"
critical = true

[[point]]
id = "dock"
name = "Dock"
channel = "a.humidity"
"""


def site_of(folder: Path, port: int) -> Site:
    """The site of the file above."""
    return Site(
        identity=Identity(member="m", site="s", gateway="g"),
        data_dir=folder,
        buses=(BusSpec(id="up", kind="modbus-tcp", host="127.0.0.1", port=port),),
        devices=(DeviceSpec(id="a", bus="up", model="xy-md02", unit=1, period_ms=100),),
        points=(
            PointSpec(id="room", name="Cold room", device="a", channel="temperature", critical=True),
            PointSpec(id="dock", name="Dock", device="a", channel="humidity"),
        ),
        buffer=BufferSpec(loss_window_ms=50),
        clock=ClockSpec(source="host", error_s=1.0),
        web=None,
        source=str(folder / "site.toml"),
        digest="00" * 32,
    )


class Kept:
    """Memories in files, where the journal would keep them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, name: str, memory: bytes) -> None:
        (self._folder / f"{name}.memory").write_bytes(memory)

    def kept(self) -> Mapping[str, bytes]:
        return {path.stem: path.read_bytes() for path in self._folder.glob("*.memory")}


class Desk(NamedTuple):
    """What a test needs of a gateway whose people record."""

    journal: Journal
    clock: Clock
    keeping: RecordKeeping


@asynccontextmanager
async def recording(site: Site, **who: Any) -> AsyncIterator[Desk]:
    """Journal, control socket and logbook of a gateway whose device does not answer; stopped in order."""
    clock, memories, control = Clock(site.clock), Kept(site.data_dir), Control(site.data_dir)
    await clock.update()
    layout = Layout(tuple(device_layout(device, load_model(device.model)) for device in site.devices))
    identity = open_identity(site)
    journal = await Journal.open(
        site.data_dir / "journal.db",
        signer=identity.signer,
        iss=site.identity.urn,
        layout=layout,
        spec=site.buffer,
        clock=clock.claim,
        registration=identity.registration,
    )
    tasks = [
        asyncio.create_task(journal.run()),
        asyncio.create_task(_poll(journal, clock, site.devices[0].period_ms)),
    ]
    keeping = RecordKeeping(site, layout, store=journal.put_event, clock=clock.claim, keep=memories.keep)
    try:
        await keeping.open(control, memories.kept(), **who)
        await control.open()
        yield Desk(journal, clock, keeping)
    finally:
        await control.close()
        tasks[1].cancel()
        await asyncio.wait(tasks[1:])
        await journal.close()
        await asyncio.wait(tasks)


async def _poll(journal: Journal, clock: Clock, period_ms: int) -> None:
    """Every slot of device 0 is missed, and accounted for."""
    slot = clock.now_ms() // period_ms + 1
    while True:
        while slot * period_ms <= clock.now_ms():
            journal.put(Miss(0, slot, 1, Quality.BUS_DOWN))
            slot += 1
        await asyncio.sleep(period_ms / 5000)


async def daemon(folder: Path, port: int, tolerance: float | None) -> None:
    site = site_of(folder, port)
    if tolerance is not None:
        site = replace(
            site, points=(replace(site.points[0], tolerance=tolerance), site.points[1]), digest="11" * 32
        )
    async with recording(site):
        print(json.dumps({"ready": True}), flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(daemon(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else None))
