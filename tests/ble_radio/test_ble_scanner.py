"""The scanner on real bleak and a real D-Bus, before a stand-in for bluetoothd: hearing, hanging, healing."""

import asyncio
from pathlib import Path

import pytest
from ble_listening import Listener, listener, running
from bluez_standin import PrivateBus, StandIn

from firmware_interfaces.ble.bluez import BluezRefused, reset_adapter
from firmware_interfaces.ble.ladder import Ladder, Step
from firmware_interfaces.ble.scanner import PATTERNS_A_MONITOR, RadioState, _patterns

RUUVI = bytes.fromhex("0512fc5394c37c0004fffc040cac364200cdcbb8334c884f")
TAG = "CB:B8:33:4C:88:4F"
BTHOME = "0000fcd2-0000-1000-8000-00805f9b34fb"


async def hear(bluez: StandIn, heard: Listener, **options: object) -> None:
    """A sender advertises until it is heard."""
    before = len(heard.reports)
    await heard.until_state(RadioState.SCANNING)
    assert bluez.heard(TAG, {0x0499: RUUVI}, **options)  # type: ignore[arg-type]
    await heard.until(lambda: len(heard.reports) > before)


async def test_hears_passively_what_bluez_reports(bluez: StandIn) -> None:
    async with running(listener()) as heard:
        await hear(bluez, heard, name="Ruuvi 884F", rssi=-71)
        report = heard.reports[0]
        assert (report.adapter, report.address, report.rssi, report.name) == ("hci0", TAG, -71, "Ruuvi 884F")
        assert report.manufacturer == {0x0499: RUUVI}
        assert heard.scanner.passive
        # One monitor with all of them would end the life of Debian 12's bluetoothd.
        assert len(bluez.monitors["hci0"].registered) == -(-len(list(_patterns())) // PATTERNS_A_MONITOR) > 1
        assert PATTERNS_A_MONITOR * 34 < 256
    assert not bluez.monitors["hci0"].registered


async def test_scans_actively_where_bluez_has_no_monitors(bus: PrivateBus) -> None:
    bluez = StandIn(passive=False)
    adapter = bluez.add_adapter("hci0")
    await bluez.start(bus.address)
    async with running(listener()) as heard:
        await hear(bluez, heard)
        assert not heard.scanner.passive
        assert adapter.filter["DuplicateData"] is True
    assert adapter.discovering == 0
    await bluez.stop()


async def test_a_changed_signal_strength_brings_no_old_payload(bluez: StandIn) -> None:
    async with running(listener(mode="active")) as heard:
        await hear(bluez, heard)
        bluez.signal_strength(TAG, -80)
        await heard.until(lambda: heard.reports[-1].rssi == -80)
        assert heard.reports[-1].manufacturer is None
        assert heard.reports[-1].service is None


async def test_only_the_kind_of_data_that_came_is_reported(bluez: StandIn) -> None:
    async with running(listener()) as heard:
        await hear(bluez, heard)
        bluez.heard(TAG, {}, {BTHOME: b"\x40\x01\x61"})
        await heard.until(lambda: bool(heard.reports[-1].service))
        assert heard.reports[-1].manufacturer is None


async def test_two_adapters_hear_on_their_own(bluez: StandIn) -> None:
    bluez.add_adapter("hci1")
    async with running(listener(adapter="hci0")) as one, running(listener(adapter="hci1")) as two:
        await hear(bluez, one, adapter="hci0")
        await hear(bluez, two, adapter="hci1")
        assert {report.adapter for report in one.reports} == {"hci0"}
        assert {report.adapter for report in two.reports} == {"hci1"}


async def test_no_dbus_is_a_state_that_heals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = PrivateBus(tmp_path)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", private.address)
    bluez = StandIn()
    bluez.add_adapter("hci0")
    async with running(listener()) as heard:
        await heard.until_state(RadioState.NO_DBUS)
        await private.start()
        await bluez.start(private.address)
        await hear(bluez, heard)
        await bluez.stop()
        await private.stop()
        await heard.until_state(RadioState.NO_DBUS)
        await private.start()
        await bluez.start(private.address)
        await hear(bluez, heard)
    await bluez.stop()
    await private.stop()


async def test_no_bluetoothd_is_a_state_that_heals(bus: PrivateBus) -> None:
    bluez = StandIn()
    bluez.add_adapter("hci0")
    async with running(listener()) as heard:
        await heard.until_state(RadioState.NO_BLUETOOTHD)
        await bluez.start(bus.address)
        await hear(bluez, heard)
        await bluez.stop()
        await heard.until_state(RadioState.NO_BLUETOOTHD)
        await bluez.start(bus.address)
        await hear(bluez, heard)
        assert heard.states == [
            RadioState.NO_BLUETOOTHD,
            RadioState.SCANNING,
            RadioState.NO_BLUETOOTHD,
            RadioState.SCANNING,
        ]
    await bluez.stop()


async def test_a_missing_adapter_is_a_state_that_heals(bluez: StandIn) -> None:
    async with running(listener(adapter="hci1")) as heard:
        await heard.until_state(RadioState.NO_ADAPTER)
        bluez.add_adapter("hci1")
        await hear(bluez, heard, adapter="hci1")
        bluez.remove_adapter("hci1")
        await heard.until_state(RadioState.NO_ADAPTER)
        bluez.add_adapter("hci1")
        await hear(bluez, heard, adapter="hci1")


async def test_an_adapter_without_power_is_switched_on(bluez: StandIn) -> None:
    bluez.adapters["hci0"].powered = False
    async with running(listener()) as heard:
        await hear(bluez, heard)
        assert bluez.adapters["hci0"].power_changes == [True]


async def test_an_adapter_that_loses_power_is_switched_on_again(bluez: StandIn) -> None:
    async with running(listener()) as heard:
        await hear(bluez, heard)
        bluez.adapters["hci0"].set_power(False)
        async with asyncio.timeout(10):
            while not bluez.adapters["hci0"].powered:
                await asyncio.sleep(0.01)
        await hear(bluez, heard)


async def test_a_blocked_adapter_is_named_and_heals(bluez: StandIn) -> None:
    adapter = bluez.adapters["hci0"]
    adapter.powered, adapter.blocked = False, True
    async with running(listener()) as heard:
        await heard.until_state(RadioState.POWERED_OFF)
        adapter.blocked = False
        await hear(bluez, heard)


async def test_silence_climbs_the_ladder_and_a_voice_ends_it(bluez: StandIn) -> None:
    adapter = bluez.adapters["hci0"]
    adapter.deaf = True

    def reset(name: str) -> None:
        assert name == "hci0"
        adapter.deaf = False

    quick = Ladder(silence_s=0.05, longest_s=0.2)
    async with running(listener(ladder=quick, mode="active", reset=reset)) as heard:
        await heard.until(lambda: len(heard.steps) >= 3)
        assert [step for step, _ in heard.steps[:3]] == [Step.RESTART, Step.POWER_CYCLE, Step.RESET]
        assert not any(words for _, words in heard.steps)
        assert adapter.power_changes == [False, True]
        quick.silence_s = quick.longest_s = 30.0
        await heard.until_state(RadioState.SCANNING)
        async with asyncio.timeout(10):
            while not bluez.heard(TAG, {0x0499: RUUVI}):
                await asyncio.sleep(0.01)
        await heard.until(lambda: bool(heard.reports))
        assert quick.rung == 0
        assert quick.taken[Step.RESET] >= 1
        assert set(heard.states) == {RadioState.SCANNING}


async def test_a_step_that_is_refused_is_reported_and_the_climb_goes_on(bluez: StandIn) -> None:
    def reset(name: str) -> None:
        raise BluezRefused(f"reset of {name}: not permitted")

    quick = Ladder(silence_s=0.02, longest_s=0.02)
    bluez.adapters["hci0"].deaf = True
    async with running(listener(ladder=quick, reset=reset)) as heard:
        await heard.until(lambda: len(heard.steps) >= 6)
        assert heard.steps[2] == (Step.RESET, "reset of hci0: not permitted")
        assert heard.steps[3][0] is Step.RESTART


def test_resetting_what_is_not_there_is_refused() -> None:
    with pytest.raises(BluezRefused, match="reset of hci250"):
        reset_adapter("hci250")
