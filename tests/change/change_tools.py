"""A site file with real Modbus units behind it, and a gateway that runs by it."""

import asyncio
import resource
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from app_tools import Record, Unit, record_of, running, until

from gateway.app import Gateway
from gateway.change.aside import Answer, Question, answer
from gateway.cli import main
from gateway.config import check_file
from gateway.model import Quality
from gateway.site import Site

HEAD = """\
# The plant of the tests. This comment stays.
[gateway]
member = "m"
site = "s"
id = "g"
data_dir = "data"

[buffer]
loss_window_s = 0.05

[web]
listen = false
"""
WHO = {"person": "Jo Smith", "reason": "one more room"}


def bus_text(name: str, port: int) -> str:
    return f'\n[[bus]]\nid = "{name}"\ntype = "modbus-tcp"\nhost = "127.0.0.1"\nport = {port}\ntimeout_s = 0.5\n'


def device_text(name: str, bus: str, *, unit: int = 1, period_s: float = 0.1, more: str = "") -> str:
    return (
        f'\n[[device]]\nid = "{name}"\nbus = "{bus}"\nmodel = "generic-registers-20"\nunit = {unit}\n'
        f"period_s = {period_s}\n{more}"
    )


def point_text(name: str, device: str) -> str:
    return f'\n[[point]]\nid = "{name}"\nname = "{name.title()}"\nchannel = "{device}.r0"\n'


def device_values(name: str, bus: str, *, unit: int = 1, period_s: float = 0.1) -> dict[str, Any]:
    """A device as an edit has it."""
    return {"id": name, "bus": bus, "model": "generic-registers-20", "unit": unit, "period_s": period_s}


def write_site(folder: Path, text: str) -> Site:
    path = folder / "site.toml"
    path.write_bytes(text.encode())
    site, problems = check_file(path)
    assert site is not None, problems
    return site


async def checked_here(question: Question) -> Answer:
    """The child's work in this process, which has loaded the checker anyway; the child has tests of its own."""
    return await asyncio.to_thread(answer, question)


def verified(site: Site, folder: Path) -> None:
    """The exported record is whole: `aurora-gateway verify` finds no slot missing or doubled."""
    out = str(folder / "batches")
    assert main(["export", site.source, "--format", "batches", "--out", out]) == 0
    assert main(["verify", out]) == 0


def whole(site: Site, folder: Path, *devices: str) -> Record:
    """The record of a gateway that has stopped, in which no slot of these devices is missing or doubled."""
    record = record_of(site)
    for device in devices:
        record.count(device)
    verified(site, folder)
    return record


class Plant:
    """A running gateway with its site file; `do` asks it for something as the status page does."""

    def __init__(self, gateway: Gateway, path: Path) -> None:
        self.gateway = gateway
        self.path = path
        self._orders = gateway.turning.orders()

    async def do(self, name: str, **request: Any) -> dict[str, Any]:
        return dict(await self._orders[name](request))

    async def apply(self, edits: Sequence[Mapping[str, Any]] = (), **request: Any) -> dict[str, Any]:
        shown = await self.do("site.show")
        asked = {"edits": list(edits)} if edits else {}
        return await self.do("site.apply", **{**WHO, "base": shown["digest"], **asked, **request})

    def poller(self, device: str) -> Any:
        return next(poller for poller in self.gateway.acquire.pollers if poller.spec.id == device)

    async def more(self, device: str, count: int = 3) -> None:
        """Wait for some more scans of a device."""
        goal = self.poller(device).stats.scans + count
        await until(lambda: self.poller(device).stats.scans >= goal)


@asynccontextmanager
async def plant(folder: Path, text: str, *, first: str | None = "a") -> AsyncIterator[Plant]:
    """A gateway in this process that runs by a site file, once the device ``first`` has answered."""
    site = write_site(folder, text)
    async with running(site) as gateway:
        here = Plant(gateway, folder / "site.toml")
        await until(lambda: gateway.people is not None and gateway.people.records.book is not None)
        if first is not None:
            await here.more(first)
        yield here


@asynccontextmanager
async def two_units() -> AsyncIterator[tuple[Unit, Unit]]:
    async with Unit(1) as one, Unit(2) as two:
        yield one, two


def two_buses(one: int, two: int, *, more: str = "") -> str:
    """Devices a and b on buses of their own, with a point each."""
    return (
        HEAD
        + bus_text("one", one)
        + bus_text("two", two)
        + device_text("a", "one")
        + device_text("b", "two")
        + point_text("p", "a")
        + point_text("q", "b")
        + more
    )


def causes(slots: Sequence[tuple[int, int, Quality]]) -> dict[Quality, int]:
    """Missed slots by cause."""
    found: dict[Quality, int] = {}
    for _, count, quality in slots:
        if quality.bad:
            found[quality] = found.get(quality, 0) + count
    return found


@contextmanager
def no_file_may_grow() -> Iterator[None]:
    """The kernel refuses to write, as a full disk would (works without privileges)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
