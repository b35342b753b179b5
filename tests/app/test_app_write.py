"""A person has the running gateway write to a device: over the control socket, and on record before and after."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from app_tools import Record, more_scans, record_of, running, site_of, until

from gateway.app import Gateway
from gateway.commands.write import add_write_command
from gateway.control import ControlError, ask
from gateway.demo.modbus_server import Bus, Registers, Table, TcpEndpoint
from gateway.site import DeviceSpec, Site

MODEL = """\
id = "cooler"
title = "A cooler"
maker = "Acme"
source = "Acme manual, page 3"

[link]
address_base = 0

[[channel]]
key = "setpoint"
function = 3
address = 99
type = "int16"
scale = 0.1
unit = "degC"
writable = { limits = [-30, 10] }

[[test]]
title = "a setpoint"
holding = { 99 = 40 }
expect = { setpoint = 4.0 }
"""


@asynccontextmanager
async def cooler(folder: Path, *, write: tuple[str, ...] = ("setpoint",)) -> AsyncIterator[tuple[Gateway, Bus]]:
    """A running gateway, and the bus of its one device: unit 1, whose setpoint is 4.0."""
    bus = Bus({1: Registers({Table.HOLDING: {99: 40}}, writable=[(Table.HOLDING, 99)])})
    endpoint = TcpEndpoint(bus, "127.0.0.1", 0)
    await endpoint.open()
    try:
        async with running(site_with(folder, endpoint.port, write)) as gateway:
            await more_scans(gateway, 1)
            await until((folder / "control.sock").exists)
            yield gateway, bus
    finally:
        await endpoint.close()


def site_with(folder: Path, port: int, write: tuple[str, ...]) -> Site:
    model = folder / "cooler.toml"
    model.write_text(MODEL)
    device = DeviceSpec(id="a", bus="up", model=str(model), unit=1, period_ms=200, write=write)
    site = site_of(folder, port, devices=(device,))
    return replace(site, points=())


async def order(folder: Path, **changes: Any) -> dict[str, Any]:
    request = {"do": "device.write", "device": "a", "channel": "setpoint", "value": "-1.5"}
    request |= {"person": "J. Smith", "reason": "night setback"}
    return await asyncio.to_thread(ask, folder, {**request, **changes})


def writes(record: Record) -> list[dict[str, Any]]:
    return [dict(event.data) for event in record.events if event.kind == "device.write"]


async def test_who_wrote_what_why_and_how_it_ended_is_on_record(tmp_path: Path) -> None:
    async with cooler(tmp_path) as (gateway, bus):
        answer = await order(tmp_path)
        assert (answer["result"], answer["old"], answer["new"], answer["found"]) == ("done", 4.0, -1.5, -1.5)
        assert bus.units[1].tables[Table.HOLDING][99] == 0x10000 - 15
        await more_scans(gateway, 2)
        assert gateway.latest[0] is not None
        assert gateway.latest[0].values[0] == -1.5
        site = gateway.site
    first, last = writes(record_of(site))
    assert (first["result"], last["result"]) == ("ordered", "done")
    for event in (first, last):
        assert (event["person"], event["reason"]) == ("J. Smith", "night setback")
        assert (event["device"], event["channel"], event["old"], event["new"]) == ("a", "setpoint", 4.0, -1.5)
    assert first["ordered_ms"] == last["ordered_ms"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"person": ""}, "it is not said who orders it"),
        ({"person": None}, "it is not said who orders it"),
        ({"reason": "  "}, "it is not said why it is written"),
        ({"value": "11"}, "outside what the model allows"),
        ({"value": "4.05"}, "between the steps"),
        ({"value": "cold"}, "is not a value"),
        ({"value": True}, "is not a value"),
        ({"channel": "air"}, "does not allow 'air'"),
        ({"device": "b"}, "there is no device 'b'"),
    ],
)
async def test_what_is_refused_never_reaches_the_device(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    async with cooler(tmp_path) as (gateway, bus):
        with pytest.raises(ControlError, match=words):
            await order(tmp_path, **changes)
        assert bus.units[1].tables[Table.HOLDING][99] == 40
        site = gateway.site
    assert writes(record_of(site)) == []


async def test_a_device_that_the_site_file_does_not_open_is_only_read(tmp_path: Path) -> None:
    async with cooler(tmp_path, write=()) as (_, bus):
        with pytest.raises(ControlError, match="the site file does not allow"):
            await order(tmp_path)
        assert bus.units[1].tables[Table.HOLDING][99] == 40


async def test_a_device_that_refuses(tmp_path: Path) -> None:
    async with cooler(tmp_path) as (gateway, bus):
        bus.units[1].writable = frozenset([(Table.HOLDING, 1)])
        answer = await order(tmp_path)
        assert answer["result"] == "refused"
        site = gateway.site
    assert [event["result"] for event in writes(record_of(site))] == ["ordered", "refused"]


async def test_polling_goes_on_around_an_order(tmp_path: Path) -> None:
    async with cooler(tmp_path) as (gateway, _):
        for value in ("1", "2", "3"):
            assert (await order(tmp_path, value=value))["result"] == "done"
        await more_scans(gateway, 2)
        site = gateway.site
    record_of(site).count("a")


async def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import argparse

    async with cooler(tmp_path) as (gateway, _):
        parser = argparse.ArgumentParser()
        add_write_command(parser.add_subparsers(), lambda _: gateway.site)
        words = ["write", "site.toml", "a.setpoint", "2.5", "--person", "JS", "--reason", "trial"]
        arguments = parser.parse_args(words)
        assert await asyncio.to_thread(arguments.command, arguments) == 0
    assert capsys.readouterr().out == "a.setpoint: 4.0 -> 2.5 degC: done (done and read back)\n"
