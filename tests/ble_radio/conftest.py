"""A private D-Bus with a stand-in for bluetoothd."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from bluez_standin import PrivateBus, StandIn


@pytest.fixture
async def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PrivateBus]:
    if shutil.which("dbus-daemon") is None:
        pytest.skip("dbus-daemon is not installed (Debian: dbus)")
    private = PrivateBus(tmp_path)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", private.address)
    await private.start()
    yield private
    await private.stop()


@pytest.fixture
async def bluez(bus: PrivateBus) -> AsyncIterator[StandIn]:
    standin = StandIn()
    standin.add_adapter("hci0")
    await standin.start(bus.address)
    yield standin
    await standin.stop()
