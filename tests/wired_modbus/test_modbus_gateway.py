"""Lines with particular wants in a gateway: what the site file says of them, and that polling keeps every slot."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from modbus_peers import Authority, device_tls, holding, plant_of

from firmware_interfaces.modbus.rs485 import Rs485
from firmware_interfaces.modbus.rtu import SerialLink
from gateway.acquire.modbus import make_link
from gateway.acquire.station import Acquire, models_of
from gateway.config import check_site, explain
from gateway.errors import Problem
from gateway.model import Event, Miss, Quality, Scan
from gateway.site import Site

GATEWAY = '[gateway]\nmember = "m"\nsite = "s"\nid = "g"\n'
DEVICE = '[[device]]\nid = "a"\nbus = "b"\nmodel = "generic-registers-20"\nunit = 1\nperiod = "100ms"\n'
TCP = '[[bus]]\nid = "b"\ntype = "modbus-tcp"\nhost = "127.0.0.1"\nport = 1502\n'
RTU = '[[bus]]\nid = "b"\ntype = "modbus-rtu"\ndevice = "/dev/ttyS1"\n'
TLS = (
    '[[bus]]\nid = "b"\ntype = "modbus-tls"\nhost = "127.0.0.1"\n'
    'ca = "plant-authority.pem"\ncertificate = "gateway.pem"\nkey = "gateway.key"\n'
)


def checked(text: str, base: Path = Path("/nowhere")) -> tuple[Site | None, list[Problem]]:
    return check_site(GATEWAY + text, "site.toml", base)


def site_of(text: str, base: Path = Path("/nowhere")) -> Site:
    site, problems = checked(text, base)
    assert site is not None, "\n".join(map(str, problems))
    assert problems == []
    return site


class Memory:
    """What acquire brought."""

    def __init__(self) -> None:
        self.records: list[Scan | Miss] = []
        self.events: list[Event] = []

    def scan(self, scan: Scan) -> None:
        self.records.append(scan)

    def miss(self, miss: Miss) -> None:
        self.records.append(miss)

    def event(self, event: Event) -> None:
        self.events.append(event)

    def scans(self) -> int:
        return sum(isinstance(record, Scan) for record in self.records)


@asynccontextmanager
async def acquiring(site: Site) -> AsyncIterator[tuple[Acquire, Memory]]:
    loop, memory = asyncio.get_running_loop(), Memory()

    def now_ms() -> int:
        return int(loop.time() * 1000)

    acquire = Acquire(site, models_of(site), memory, now_ms)
    task = asyncio.create_task(acquire.run({}, now_ms()))
    try:
        yield acquire, memory
    finally:
        task.cancel()
        await asyncio.wait([task])
        expected = memory.records[0].slot
        for record in memory.records:
            assert record.slot == expected
            expected += record.count if isinstance(record, Miss) else 1


async def until(condition: Callable[[], Any], within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


def on_port(site: Site, port: int) -> Site:
    return replace(site, buses=(replace(site.buses[0], port=port),))


TWENTY = dict.fromkeys(range(20), 7)


class TestPolling:
    async def test_a_released_connection_is_no_lost_bus(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.acquire.modbus.RELEASE_AFTER_S", 0.01)
        site = site_of(TCP + 'connection = "release"\n' + DEVICE)
        async with plant_of({1: holding(TWENTY)}) as plant, acquiring(on_port(site, plant.port)) as (_, memory):
            await until(lambda: plant.connects >= 4)
            plant.most_clients = 0
            await until(lambda: any(isinstance(r, Miss) and r.quality == Quality.BUS_DOWN for r in memory.records))
            assert [event.kind for event in memory.events] == ["bus.lost"]
            plant.most_clients = 1
            before = memory.scans()
            await until(lambda: memory.scans() > before)
        assert [event.kind for event in memory.events] == ["bus.lost", "bus.back"]

    async def test_registers_over_tls(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path, "plant-authority")
        authority.issue("gateway")
        tls = device_tls(authority.issue("device", host="127.0.0.1"))
        site = site_of(TLS + DEVICE, tmp_path)
        async with (
            plant_of({1: holding(TWENTY)}, tls=tls) as plant,
            acquiring(on_port(site, plant.port)) as (acquire, memory),
        ):
            await until(lambda: memory.scans() > 2)
            assert acquire.buses[0].stats.connected

    async def test_a_certificate_that_is_not_believed_stands_on_the_bus(self, tmp_path: Path) -> None:
        Authority(tmp_path, "plant-authority").issue("gateway")
        (tmp_path / "other").mkdir()
        tls = device_tls(Authority(tmp_path / "other", "stranger").issue("device", host="127.0.0.1"))
        site = site_of(TLS + DEVICE, tmp_path)
        async with (
            plant_of({1: holding(TWENTY)}, tls=tls) as plant,
            acquiring(on_port(site, plant.port)) as (acquire, memory),
        ):
            await until(lambda: "is not believed" in acquire.buses[0].stats.last_fault)
            await until(lambda: memory.records)
        assert memory.scans() == 0


class TestSiteFile:
    def test_what_is_said_of_a_secured_line(self, tmp_path: Path) -> None:
        Authority(tmp_path, "plant-authority").issue("gateway")
        bus = site_of(TLS + 'server_name = "c7"\n' + DEVICE, tmp_path).buses[0]
        assert (bus.port, bus.server_name, bus.ca) == (802, "c7", tmp_path / "plant-authority.pem")

    def test_files_that_are_not_there_yet_are_no_reason_not_to_record(self) -> None:
        site, problems = checked(TLS + DEVICE)
        assert site is not None
        assert [problem.path for problem in problems] == ["bus[1].ca", "bus[1].certificate", "bus[1].key"]
        assert "until then the bus is down" in problems[0].remedy

    def test_direction_control(self) -> None:
        bus = site_of(RTU + "rs485 = { rts_on_send = false, delay_after_ms = 3 }\n" + DEVICE).buses[0]
        assert bus.rs485 == {"rts_on_send": False, "delay_after_ms": 3}
        link = make_link(bus)
        assert isinstance(link, SerialLink)
        assert link.rs485 == Rs485(rts_on_send=False, delay_after_ms=3)
        assert site_of(RTU + DEVICE).buses[0].rs485 is None

    def test_it_is_explained(self) -> None:
        words = explain(site_of(TCP + 'connection = "release"\n' + DEVICE))
        assert "Modbus TCP 127.0.0.1:1502, connection given back after each poll" in words

    @pytest.mark.parametrize(
        ("text", "path", "words"),
        [
            (TLS.replace('key = "gateway.key"\n', ""), "bus[1].key", "is missing"),
            (TLS + "verify = false\n", "bus[1].verify", "is not a setting"),
            (TCP + 'ca = "x.pem"\n', "bus[1].ca", "is not a setting"),
            (TCP + 'connection = "drop"\n', "bus[1].connection", "is not allowed"),
            (RTU + 'connection = "release"\n', "bus[1].connection", "is not a setting"),
            (RTU + "rs485 = { delay_before_ms = 101 }\n", "bus[1].rs485.delay_before_ms", "100"),
            (RTU + "rs485 = { rts = true }\n", "bus[1].rs485.rts", "is not a setting"),
            (RTU + "rs485 = true\n", "bus[1].rs485", ""),
        ],
    )
    def test_mistakes_are_named(self, text: str, path: str, words: str) -> None:
        site, problems = checked(text + DEVICE)
        assert site is None
        assert [p for p in problems if p.path == path and words in f"{p.what}; {p.remedy}"], list(
            map(str, problems)
        )

    @pytest.mark.parametrize(
        ("write", "path", "words"),
        [
            ('["r0"]', "device[1].write[1]", "does not allow 'r0' to be written; it allows none"),
            ('["r99"]', "device[1].write[1]", "has no channel 'r99'"),
            ("[]", "device[1].write", ""),
            ("true", "device[1].write", ""),
        ],
    )
    def test_what_may_not_be_written(self, write: str, path: str, words: str) -> None:
        site, problems = checked(TCP + DEVICE + f"write = {write}\n")
        assert site is None
        assert [p for p in problems if p.path == path and words in f"{p.what}; {p.remedy}"], list(
            map(str, problems)
        )
