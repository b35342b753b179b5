"""Wired sensors in a gateway: from a site file to scans and misses, each slot exactly once."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest
from sysfs_tree import POWER_ON, Sysfs, printed, scratchpad

from gateway.acquire.station import Acquire, models_of
from gateway.board import BoardWatch
from gateway.cli import main
from gateway.config import check_site, explain
from gateway.errors import Problem
from gateway.model import Event, Miss, Quality, Scan
from gateway.site import Site

A, B = "28-0316a2794bff", "28-0416b3895c01"
GATEWAY = '[gateway]\nmember = "m"\nsite = "s"\nid = "g"\n'


def onewire(sysfs: Sysfs, more: str = "") -> str:
    return f'[[bus]]\nid = "probes"\ntype = "onewire"\nsysfs = "{sysfs.root}"\n{more}'


def probe(name: str, address: str, model: str = "ds18b20", more: str = "") -> str:
    return (
        f'[[device]]\nid = "{name}"\nbus = "probes"\nmodel = "{model}"\naddress = "{address}"\n'
        f'period = "200ms"\n{more}'
    )


INPUTS = """\
[[bus]]
id = "loops"
type = "iio"
sysfs = "{root}"

[[bus]]
id = "board"
type = "hwmon"
sysfs = "{root}"

[[device]]
id = "compressor"
bus = "loops"
model = "iio-inputs"
address = "1-0048"
period = "200ms"

[device.inputs.pressure]
input = "voltage0"
signal = "4-20mA"
shunt_ohm = 100
span = [0, 10]
unit = "bar"

[device.inputs.supply]
input = "voltage1"

[[device]]
id = "box"
bus = "board"
model = "raspberry-pi"
period = "200ms"
channels = ["soc_temperature", "undervoltage"]
"""


def checked(text: str) -> tuple[Site | None, list[Problem]]:
    return check_site(GATEWAY + text, "site.toml", Path("/nowhere"))


def site_of(text: str) -> Site:
    site, problems = checked(text)
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

    def scans(self, device: int = 0) -> list[Scan]:
        return [one for one in self.records if isinstance(one, Scan) and one.device == device]

    def misses(self, device: int, cause: Quality) -> list[Miss]:
        return [
            one for one in self.records if isinstance(one, Miss) and one.device == device and one.quality == cause
        ]

    def assert_accounted(self) -> None:
        for device in {record.device for record in self.records}:
            mine = [record for record in self.records if record.device == device]
            expected = mine[0].slot
            for record in mine:
                assert record.slot == expected
                expected += record.count if isinstance(record, Miss) else 1


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
        memory.assert_accounted()


async def until(condition: Callable[[], object], within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


class TestPath:
    async def test_probes_become_scans(self, sysfs: Sysfs) -> None:
        sysfs.master()
        sysfs.sensor(A, scratchpad(4.0625))
        sysfs.sensor(B, POWER_ON)
        async with acquiring(site_of(onewire(sysfs) + probe("a", A) + probe("b", B))) as (acquire, memory):
            await until(lambda: memory.scans(0) and memory.scans(1))
            await until(lambda: {event.kind for event in memory.events} >= {"device.identity", "device.audit"})
            assert acquire.buses[0].stats.connected
        good, bad = memory.scans(0)[0], memory.scans(1)[0]
        assert (list(good.values), good.quality, good.raw) == ([4.0625], b"\0", None)
        assert (bad.quality, bad.raw) == (bytes((Quality.SENSOR_FAULT,)), POWER_ON)
        assert acquire.layout.devices[0].columns[0].decimals == 4

    async def test_a_probe_that_is_unplugged_and_comes_back(self, sysfs: Sysfs) -> None:
        sysfs.master()
        sysfs.sensor(A, scratchpad(4.0))
        sysfs.sensor(B, scratchpad(5.0))
        async with acquiring(site_of(onewire(sysfs) + probe("a", A) + probe("b", B))) as (_, memory):
            await until(lambda: memory.scans(0) and memory.scans(1))
            sysfs.unplug(A)
            await until(lambda: memory.misses(0, Quality.TIMEOUT))
            before = len(memory.scans(1))
            await until(lambda: len(memory.scans(1)) > before + 2)
            seen = len(memory.scans(0))
            sysfs.sensor(A, scratchpad(4.5))
            await until(lambda: len(memory.scans(0)) > seen)
        assert memory.scans(0)[seen].values[0] == 4.5

    async def test_a_bad_checksum_is_a_miss_with_its_bytes(self, sysfs: Sysfs) -> None:
        sysfs.master()
        damaged = b"\x00" + scratchpad(4.0)[1:]
        (sysfs.sensor(A, scratchpad(4.0)) / "w1_slave").write_text(printed(damaged, scratchpad(4.0)))
        async with acquiring(site_of(onewire(sysfs) + probe("a", A))) as (_, memory):
            await until(lambda: memory.misses(0, Quality.BAD_FRAME))
        assert memory.misses(0, Quality.BAD_FRAME)[0].raw == damaged
        assert memory.scans() == []

    async def test_a_master_that_comes_late(self, sysfs: Sysfs) -> None:
        async with acquiring(site_of(onewire(sysfs) + probe("a", A))) as (_, memory):
            await until(lambda: memory.misses(0, Quality.BUS_DOWN))
            sysfs.master()
            sysfs.sensor(A, scratchpad(4.0))
            await until(memory.scans)
        assert [event.kind for event in memory.events][:2] == ["bus.lost", "bus.back"]

    async def test_loops_and_the_board(self, sysfs: Sysfs) -> None:
        sysfs.iio(0, "ads1115", "1-0048", in_voltage0_raw="9600", in_voltage1_raw="26400", in_voltage_scale="0.125")
        sysfs.raspberry(celsius=61.0, throttled="50001")
        (sysfs.root / "class/hwmon").mkdir(parents=True)
        async with acquiring(site_of(INPUTS.format(root=sysfs.root))) as (acquire, memory):
            await until(lambda: memory.scans(0) and memory.scans(1))
        assert list(memory.scans(0)[0].values) == [5.0, 3.3]
        assert list(memory.scans(1)[0].values) == [61.0, 1.0]
        columns = acquire.layout.devices[0].columns
        assert [(c.channel, c.unit, c.decimals) for c in columns] == [("pressure", "bar", 3), ("supply", "V", 6)]


class TestSiteFile:
    def test_it_is_explained(self, sysfs: Sysfs) -> None:
        words = explain(site_of(onewire(sysfs) + probe("a", A)))
        assert "bus probes: 1-wire, w1_bus_master1" in words
        assert f"a: DS18B20 1-wire thermometer, {A}, 1 value every 0.2 s" in words

    def test_any_spelling_of_an_address_is_one(self, sysfs: Sysfs) -> None:
        rom = "28FF4B79A21603" + "CA"
        from firmware_interfaces.onewire.scratchpad import crc8

        rom = "28FF4B79A21603" + f"{crc8(bytes.fromhex('28FF4B79A21603')):02X}"
        assert site_of(onewire(sysfs) + probe("a", rom)).devices[0].address == A
        _, problems = checked(onewire(sysfs) + probe("a", rom) + probe("b", A))
        assert [problem.path for problem in problems] == ["device[2].address"]

    @pytest.mark.parametrize(
        ("old", "new", "path", "words"),
        [
            (f'address = "{A}"', 'address = "28-xyz"', "device[1].address", "not the address of a 1-wire"),
            (f'address = "{A}"\n', "", "device[1].address", "is missing"),
            ('"ds18b20"', '"ds18s20"', "device[1].model", "not the address of a ds18s20"),
            ('"ds18b20"', '"ds18b21"', "device[1].model", "there is no 1-wire model"),
            ('model = "ds18b20"', 'model = "ds18b20"\nunit = 1', "device[1].unit", "has no meaning"),
            ('type = "onewire"', 'type = "onewire"\nmaster = "bus1"', "bus[1].master", "write w1_bus_master1"),
            ('type = "onewire"', 'type = "onewire"\nbaud = 9600', "bus[1].baud", ""),
            ('type = "onewire"', 'type = "onewyre"', "bus[1].type", "did you mean 'onewire'"),
            ('"200ms"', '"200ms"\nwrite = ["temperature"]', "device[1].write", "only read"),
        ],
    )
    def test_mistakes_of_probes_are_named(self, sysfs: Sysfs, old: str, new: str, path: str, words: str) -> None:
        text = onewire(sysfs) + probe("a", A)
        assert old in text
        site, problems = checked(text.replace(old, new, 1))
        assert site is None
        assert [p for p in problems if p.path == path and words in f"{p.what}; {p.remedy}"], problems

    @pytest.mark.parametrize(
        ("old", "new", "path", "words"),
        [
            ('"voltage0"', '"volts0"', "device[1].inputs.pressure.input", "is no input of the kernel's iio"),
            ('input = "voltage0"\n', "", "device[1].inputs.pressure.input", "is missing"),
            ("shunt_ohm = 100\n", "", "device[1].inputs.pressure.shunt_ohm", "this input measures volts"),
            ("shunt_ohm = 100", "shunt_ohm = 0", "device[1].inputs.pressure.shunt_ohm", "not a resistance"),
            ("span = [0, 10]\n", "", "device[1].inputs.pressure.span", "is missing"),
            ("span = [0, 10]", "span = [5, 5]", "device[1].inputs.pressure.span", "is not a span"),
            ("span = [0, 10]", 'span = ["a", 5]', "device[1].inputs.pressure.span", "is not a span"),
            ('unit = "bar"\n', "", "device[1].inputs.pressure.unit", "is missing"),
            ('"4-20mA"', '"4-20 mA"', "device[1].inputs.pressure.signal", "is not a signal"),
            ('"4-20mA"', "[1]", "device[1].inputs.pressure.signal", "is not a signal"),
            ('unit = "bar"', 'unit = "bar"\ndecimals = 12', "device[1].inputs.pressure.decimals", "0 to 9"),
            ('unit = "bar"', 'unit = "bar"\nfactor = 2', "device[1].inputs.pressure.factor", "is not known here"),
            ('"voltage1"', '"voltage1"\nunit = "bar"', "device[1].inputs.supply.unit", "this input is in V"),
            ('"voltage1"', '"voltage1"\nspan = [0, 1]', "device[1].inputs.supply.span", "without a signal"),
            ("inputs.supply", "inputs.Supply", "device[1].inputs.Supply", "not the name of a channel"),
            ('"1-0048"\n', '"1-0048"\nkey_file = "x"\n', "device[1].key_file", "has no meaning"),
            ('address = "1-0048"\n', "", "device[1].address", "is missing"),
            ('"raspberry-pi"', '"raspberry"', "device[2].model", "did you mean 'raspberry-pi'"),
            ('"undervoltage"', '"undervolt"', "device[2].channels[2]", "did you mean 'undervoltage'"),
            ('type = "hwmon"', 'type = "iio"', "bus[2].type", "is that of bus 'loops' as well"),
        ],
    )
    def test_mistakes_of_inputs_are_named(self, sysfs: Sysfs, old: str, new: str, path: str, words: str) -> None:
        text = INPUTS.format(root=sysfs.root)
        assert old in text
        site, problems = checked(text.replace(old, new, 1))
        assert site is None
        assert [p for p in problems if p.path == path and words in f"{p.what}; {p.remedy}"], problems

    def test_without_inputs_there_is_nothing_to_read(self, sysfs: Sysfs) -> None:
        text = INPUTS.format(root=sysfs.root)
        start, end = text.index("[device.inputs.pressure]"), text.index('[[device]]\nid = "box"')
        _, problems = checked(text[:start] + text[end:])
        assert [(p.path, p.what) for p in problems] == [("device[1].inputs", "is missing")]


class TestScan:
    def test_thermometers_with_their_lines(self, sysfs: Sysfs, capsys: pytest.CaptureFixture[str]) -> None:
        sysfs.master()
        sysfs.sensor(A, scratchpad(4.0625))
        sysfs.sensor("3b-000000000001", scratchpad(21.5, config=0x75), ext_power=0)
        assert main(["scan", "onewire", "--sysfs", str(sysfs.root)]) == 0
        out = capsys.readouterr().out
        assert "# 4.0625 degC, 12 bits" in out
        assert "# 21.5 degC, 12 bits, parasitic power" in out
        site = site_of(out.replace('master = "w1_bus_master1"', f'sysfs = "{sysfs.root}"'))
        assert [(d.model, d.address) for d in site.devices] == [("ds18b20", A), ("ds1825", "3b-000000000001")]

    def test_no_master(self, sysfs: Sysfs, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["scan", "onewire", "--sysfs", str(sysfs.root)]) == 2
        assert "dtoverlay=w1-gpio" in capsys.readouterr().err

    def test_inputs_with_their_lines(self, sysfs: Sysfs, capsys: pytest.CaptureFixture[str]) -> None:
        sysfs.iio(0, "ads1115", "1-0048", in_voltage0_raw="9600", in_voltage_scale="0.125")
        sysfs.raspberry(celsius=55.5)
        assert main(["scan", "iio", "--sysfs", str(sysfs.root)]) == 0
        out = capsys.readouterr().out
        assert '[device.inputs.voltage0]\ninput = "voltage0"  # 1.200000 now' in out or "1.2" in out
        buses = (
            f'[[bus]]\nid = "iio"\ntype = "iio"\nsysfs = "{sysfs.root}"\n[[bus]]\nid = "hwmon"\ntype = "hwmon"\n'
        )
        assert [device.id for device in site_of(buses + out).devices] == ["ads1115", "board"]


class TestRead:
    def test_a_thermometer(self, sysfs: Sysfs, capsys: pytest.CaptureFixture[str]) -> None:
        sysfs.master("w1_bus_master2")
        sysfs.sensor(A, scratchpad(-18.5), master="w1_bus_master2")
        assert main(["read", "--onewire", A, "--sysfs", str(sysfs.root)]) == 0
        out = capsys.readouterr().out
        assert scratchpad(-18.5).hex(" ") in out
        assert re.search(r"temperature +-18.5000 degC +good", out)

    def test_a_thermometer_that_did_not_convert(self, sysfs: Sysfs, capsys: pytest.CaptureFixture[str]) -> None:
        sysfs.master()
        sysfs.sensor(A, POWER_ON)
        assert main(["read", "--onewire", A, "--sysfs", str(sysfs.root)]) == 1
        assert re.search(r"temperature +no value degC +device reports a sensor fault", capsys.readouterr().out)

    def test_what_is_not_there(self, sysfs: Sysfs, capsys: pytest.CaptureFixture[str]) -> None:
        sysfs.master()
        assert main(["read", "--onewire", A, "--sysfs", str(sysfs.root)]) == 2
        assert main(["read", "--onewire", "28-x", "--sysfs", str(sysfs.root)]) == 2
        assert main(["read", "--iio", "1-0048", "--sysfs", str(sysfs.root)]) == 2
        err = capsys.readouterr().err
        assert f"{A} is not there" in err
        assert "is not the address of a 1-wire thermometer" in err
        assert "1-0048 is not there" in err

    def test_a_chip_and_the_board(self, sysfs: Sysfs, capsys: pytest.CaptureFixture[str]) -> None:
        sysfs.iio(0, "ads1115", "1-0048", in_voltage0_raw="9600", in_voltage_scale="0.125")
        sysfs.raspberry(celsius=55.5)
        (sysfs.root / "class/hwmon").mkdir(parents=True)
        assert main(["read", "--iio", "1-0048", "--sysfs", str(sysfs.root)]) == 0
        assert main(["read", "--board", "--sysfs", str(sysfs.root)]) == 0
        out = capsys.readouterr().out
        assert re.search(r"voltage0 +1.200000 V +good", out)
        assert re.search(r"soc_temperature +55.500 degC +good", out)

    def test_models_are_listed(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["models", "ds18b20", "iio-inputs", "raspberry-pi"]) == 0
        out = capsys.readouterr().out
        assert "DS18B20 data sheet" in out
        assert "undervoltage" in out


class TestBoardWatch:
    def test_facts_of_a_board_in_trouble(self, sysfs: Sysfs) -> None:
        model = sysfs.raspberry(celsius=61.2, throttled="1")
        watch = BoardWatch(count(0, 100).__next__, sysfs.root, model)
        watch.health()
        watch.settle()
        ((name, words, state),) = watch.facts()
        assert (name, state) == ("Board", "bad")
        assert words.startswith("61 \N{DEGREE SIGN}C; TOO LITTLE SUPPLY VOLTAGE")

    def test_a_board_that_is_well_and_a_machine_that_tells_nothing(self, sysfs: Sysfs) -> None:
        watch = BoardWatch(count(0, 100).__next__, sysfs.root, sysfs.raspberry(celsius=50))
        watch.health()
        watch.settle()
        assert list(watch.facts()) == [("Board", "50 \N{DEGREE SIGN}C", "good")]
        other = BoardWatch(count(0, 100).__next__, sysfs.root / "none", sysfs.root / "none")
        other.health()
        other.settle()
        assert other.health() is None

    def test_what_is_old_is_not_said(self, sysfs: Sysfs) -> None:
        now = [0]
        watch = BoardWatch(lambda: now[0], sysfs.root, sysfs.raspberry())
        watch.health()
        watch.settle()
        assert watch.health() is not None
        now[0] = 40_000
        slow = sysfs.root / "class/thermal/thermal_zone0/temp"
        slow.unlink()
        os.mkfifo(slow)
        assert watch.health() is None
        with slow.open("w") as end:
            end.write("50000\n")
        watch.settle()
        assert watch.health() is not None
