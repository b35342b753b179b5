"""1-wire sensors on their master: conversions, what is missing, what hangs, and values that would be old."""

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sysfs_tree import POWER_ON, Sysfs, printed, scratchpad

from firmware_interfaces.errors import BadFrame, NoAnswer, NotConnected
from firmware_interfaces.onewire.master import Master
from firmware_interfaces.onewire.sensor import MODELS, OneWireLine, OneWireSensor
from firmware_interfaces.quality import Quality

A, B = "28-0316a2794bff", "28-0416b3895c01"
TYPE_K = "3b-000000000001"


def master_of(sysfs: Sysfs) -> Master:
    master = Master("w1_bus_master1", sysfs.w1)
    master.open()
    return master


async def line_of(sysfs: Sysfs) -> OneWireLine:
    line = OneWireLine("w1_bus_master1", sysfs.w1)
    await line.open(5.0)
    return line


class TestConversion:
    def test_all_sensors_convert_together(self, sysfs: Sysfs) -> None:
        sysfs.master()
        sysfs.sensor(A, scratchpad(4.0))
        sysfs.sensor(B, scratchpad(-18.5))
        master = master_of(sysfs)
        assert [master.read(A, 5.0), master.read(B, 5.0)] == [scratchpad(4.0), scratchpad(-18.5)]
        assert master.conversions == 1
        assert "trigger" in (sysfs.w1 / "w1_bus_master1/therm_bulk_read").read_text()

    def test_a_result_is_never_read_twice(self, sysfs: Sysfs) -> None:
        sysfs.master()
        sysfs.sensor(A, scratchpad(4.0))
        master = master_of(sysfs)
        master.read(A, 5.0)
        sysfs.sensor(A, scratchpad(5.0))
        assert master.read(A, 5.0) == scratchpad(5.0)
        assert master.conversions == 2

    def test_a_result_that_waited_too_long_is_converted_anew(
        self, sysfs: Sysfs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sysfs.master()
        sysfs.sensor(A, scratchpad(4.0))
        sysfs.sensor(B, scratchpad(6.0))
        monkeypatch.setattr("firmware_interfaces.onewire.master.FRESH_S", -1.0)
        master = master_of(sysfs)
        master.read(A, 5.0)
        master.read(B, 5.0)
        assert master.conversions == 2

    def test_without_the_kernels_bulk_file_each_reading_converts(self, sysfs: Sysfs) -> None:
        sysfs.master(bulk=False)
        sysfs.sensor(A, scratchpad(4.0))
        master = master_of(sysfs)
        assert master.read(A, 5.0) == scratchpad(4.0)
        assert not master.bulk
        assert "No such file" in master.why_not_bulk
        assert not (sysfs.w1 / "w1_bus_master1/therm_bulk_read").exists()

    def test_another_programs_old_result_is_read_away(self, sysfs: Sysfs, monkeypatch: pytest.MonkeyPatch) -> None:
        """While a bulk result waits, the first reading of a sensor shows the past, the second converts."""
        sysfs.master()
        path = sysfs.sensor(A, scratchpad(60.0)) / "w1_slave"
        master = master_of(sysfs)
        master.bulk = False
        sysfs.write("bus/w1/devices/w1_bus_master1/therm_bulk_read", "1\n")
        import firmware_interfaces.onewire.master as module

        plain, readings = module.read_text, []

        def read(place: Path) -> str:
            text = plain(place)
            if place == path:
                readings.append(text)
                path.write_text(printed(scratchpad(4.0)))
            return text

        monkeypatch.setattr(module, "read_text", read)
        assert master.read(A, 5.0) == scratchpad(4.0)
        assert len(readings) == 2

    def test_the_file_changes_between_readings(self, sysfs: Sysfs) -> None:
        sysfs.master()
        sensor = sysfs.sensor(A, scratchpad(4.0))
        master = master_of(sysfs)
        seen = []
        for celsius in (4.0, 4.0625, -55.0, 125.0):
            (sensor / "w1_slave").write_text(printed(scratchpad(celsius)))
            seen.append(master.read(A, 5.0))
        assert seen == [scratchpad(celsius) for celsius in (4.0, 4.0625, -55.0, 125.0)]

    def test_sensors_that_do_not_finish(self, sysfs: Sysfs) -> None:
        sysfs.master()
        (sysfs.sensor(A, scratchpad(4.0)) / "w1_slave").write_text("")
        with pytest.raises(NoAnswer, match="conversion"):
            master_of(sysfs).read(A, 0.1)


class TestWhatIsThere:
    def test_only_thermometers_are_listed(self, sysfs: Sysfs) -> None:
        sysfs.master()
        sysfs.sensor(A, scratchpad(4.0))
        sysfs.sensor(TYPE_K, scratchpad(4.0, config=0x75))
        sysfs.write("bus/w1/devices/26-00000000abcd/name", "a battery monitor\n")
        sysfs.write("bus/w1/devices/w1_bus_master1/w1_master_slaves", f"26-00000000abcd\n{A}\n{TYPE_K}\n")
        assert master_of(sysfs).sensors() == [A, TYPE_K]

    def test_an_empty_bus(self, sysfs: Sysfs) -> None:
        sysfs.master()
        assert master_of(sysfs).sensors() == []

    def test_a_master_that_is_not_there_is_named_with_those_that_are(self, sysfs: Sysfs) -> None:
        sysfs.master("w1_bus_master3")
        with pytest.raises(NotConnected, match="the kernel has w1_bus_master3"):
            Master("w1_bus_master1", sysfs.w1).open()

    def test_no_master_at_all(self, sysfs: Sysfs) -> None:
        with pytest.raises(NotConnected, match="dtoverlay=w1-gpio"):
            Master("w1_bus_master1", sysfs.w1).open()

    def test_facts_of_a_sensor(self, sysfs: Sysfs) -> None:
        sysfs.master()
        path = sysfs.sensor(A, scratchpad(4.0), resolution=11, conv_time=375, ext_power=0)
        facts = master_of(sysfs).facts(A)
        assert (facts.resolution_bits, facts.conversion_ms, facts.external_power) == (11, 375, False)
        for name in ("resolution", "conv_time", "ext_power"):
            (path / name).unlink()
        facts = master_of(sysfs).facts(A)
        assert (facts.resolution_bits, facts.conversion_ms, facts.external_power) == (None, None, None)


@pytest.fixture
def fifo(sysfs: Sysfs) -> Iterator[Path]:
    """A reading of sensor A that hangs until somebody writes."""
    sysfs.master(bulk=False)
    path = sysfs.sensor(A, scratchpad(4.0)) / "w1_slave"
    path.unlink()
    os.mkfifo(path)
    yield path
    # Whoever still waits is let go.
    with path.open("r+b", buffering=0) as end:
        end.write(printed(scratchpad(4.0)).encode() * 2)


class TestDevice:
    async def test_a_poll_off_the_loop(self, sysfs: Sysfs) -> None:
        sysfs.master()
        sysfs.sensor(A, scratchpad(4.0625))
        line = await line_of(sysfs)
        reading = await OneWireSensor(line, A, MODELS["ds18b20"]).poll(5.0)
        assert (list(reading.values), reading.quality) == ([4.0625], bytes((Quality.GOOD,)))
        assert reading.raw() == scratchpad(4.0625)
        assert any(thread.name == "1-wire w1_bus_master1" for thread in threading.enumerate())
        line.close()

    async def test_the_time_limit_allows_a_conversion_even_after_a_quick_reading(self, sysfs: Sysfs) -> None:
        sysfs.master()
        sysfs.sensor(A, scratchpad(4.0))
        line = await line_of(sysfs)
        assert (await OneWireSensor(line, A, MODELS["ds18b20"]).poll(5.0)).slowest_s >= 1.0
        line.close()

    async def test_power_on_is_a_sensor_fault_with_its_bytes(self, sysfs: Sysfs) -> None:
        sysfs.master()
        sysfs.sensor(A, POWER_ON)
        line = await line_of(sysfs)
        reading = await OneWireSensor(line, A, MODELS["ds18b20"]).poll(5.0)
        assert reading.quality == bytes((Quality.SENSOR_FAULT,))
        assert reading.values[0] != reading.values[0]
        assert reading.raw() == POWER_ON
        line.close()

    async def test_a_bad_checksum_keeps_the_bytes(self, sysfs: Sysfs) -> None:
        sysfs.master()
        damaged = b"\x00" + scratchpad(4.0)[1:]
        (sysfs.sensor(A, scratchpad(4.0)) / "w1_slave").write_text(printed(damaged, scratchpad(4.0)))
        line = await line_of(sysfs)
        with pytest.raises(BadFrame) as caught:
            await OneWireSensor(line, A, MODELS["ds18b20"]).poll(5.0)
        assert caught.value.raw == damaged
        assert line.stats.bad_frames == 1
        line.close()

    async def test_a_missing_sensor_does_not_answer_and_the_bus_stays(self, sysfs: Sysfs) -> None:
        sysfs.master()
        sysfs.sensor(A, scratchpad(4.0))
        sysfs.sensor(B, scratchpad(5.0))
        line = await line_of(sysfs)
        sysfs.unplug(A)
        with pytest.raises(NoAnswer, match=A):
            await OneWireSensor(line, A, MODELS["ds18b20"]).poll(5.0)
        with pytest.raises(NoAnswer):
            await OneWireSensor(line, A, MODELS["ds18b20"]).probe(5.0)
        assert (await OneWireSensor(line, B, MODELS["ds18b20"]).poll(5.0)).values[0] == 5.0
        assert line.connected
        line.close()

    async def test_a_master_that_goes_away_is_a_lost_bus(self, sysfs: Sysfs, tmp_path: Path) -> None:
        sysfs.master()
        sysfs.sensor(A, scratchpad(4.0))
        line = await line_of(sysfs)
        (sysfs.w1 / "w1_bus_master1").rename(tmp_path / "gone")
        with pytest.raises(NotConnected):
            await OneWireSensor(line, A, MODELS["ds18b20"]).poll(5.0)
        assert not line.connected

    async def test_a_reading_that_hangs_holds_up_nobody_else(self, sysfs: Sysfs, fifo: Path) -> None:
        sysfs.sensor(B, scratchpad(5.0))
        line = await line_of(sysfs)
        with pytest.raises(NoAnswer, match="no answer within"):
            await OneWireSensor(line, A, MODELS["ds18b20"]).poll(0.05)
        with pytest.raises(NoAnswer, match="has not returned"):
            await OneWireSensor(line, B, MODELS["ds18b20"]).poll(5.0)
        with fifo.open("r+b", buffering=0) as end:
            end.write(printed(scratchpad(4.0)).encode())
            async with asyncio.timeout(20):
                while line._thread is not None and line._thread.stuck:
                    await asyncio.sleep(0.01)
        assert (await OneWireSensor(line, B, MODELS["ds18b20"]).poll(5.0)).values[0] == 5.0
        line.close()

    async def test_the_wrong_chip_of_a_shared_family_is_named(self, sysfs: Sysfs) -> None:
        sysfs.master()
        sysfs.sensor(TYPE_K, scratchpad(20.0, config=0x75))
        line = await line_of(sysfs)
        with pytest.raises(BadFrame, match="is a ds1825, not a max31850"):
            await OneWireSensor(line, TYPE_K, MODELS["max31850"]).poll(5.0)
        line.close()

    async def test_it_introduces_itself(self, sysfs: Sysfs) -> None:
        sysfs.master()
        sysfs.sensor(A, scratchpad(4.0), ext_power=0)
        line = await line_of(sysfs)
        said = [one async for one in OneWireSensor(line, A, MODELS["ds18b20"]).introduce(5.0)]
        assert said[0].found == {"address": A}
        assert said[1].found["external_power"] is False
        line.close()
