"""What an engineer sees of the air: through the adapters of the running gateway, or with one that nobody uses."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bluez_standin import StandIn
from test_ble_gateway import TAG, ruuvi, site_of

from gateway.app import Gateway
from gateway.clock import Clock
from gateway.errors import AuroraError
from gateway.onsite import Onsite
from gateway.site import BusSpec, DeviceSpec, Site

STRANGER = "D4:9F:AA:00:11:22"


@asynccontextmanager
async def onsite_of(site: Site) -> AsyncIterator[Onsite]:
    gateway, stop = Gateway(site, Clock(site.clock)), asyncio.Event()
    task = asyncio.create_task(gateway.run(stop))
    onsite = Onsite(gateway)
    try:
        while not task.done() and not hasattr(gateway, "journal"):
            await asyncio.sleep(0.01)
        yield onsite
    finally:
        await onsite.close()
        stop.set()
        async with asyncio.timeout(20):
            await task


async def order(onsite: Onsite, do: str, **fields: Any) -> dict[str, Any]:
    return dict(await onsite.handlers()[do]({"do": do, **fields}))


async def speaking(bluez: StandIn, until: Callable[[], Any], *senders: str) -> None:
    """The senders advertise until something comes true."""
    number = 0
    async with asyncio.timeout(30):
        while not await until():
            number += 1
            for sender in senders:
                bluez.heard(sender, {0x0499: ruuvi(number)}, rssi=-70 if sender == TAG else -48)
            await asyncio.sleep(0.05)


async def test_a_stranger_is_heard_by_the_gateways_own_adapter(bluez: StandIn, tmp_path: Path) -> None:
    async with onsite_of(site_of(tmp_path)) as onsite:

        async def both() -> bool:
            seen = (await order(onsite, "commission.see"))["air"]["sensors"]
            return len(seen) == 2 and onsite.gateway.acquire.pollers[0].stats.scans > 0

        await speaking(bluez, both, TAG, STRANGER)
        air = (await order(onsite, "commission.see"))["air"]
        assert air["states"] == ["air: listening"]
        stranger, own = air["sensors"]
        assert (stranger["address"], stranger["device"], stranger["model"]) == (STRANGER, None, "ruuvi-tag")
        assert (stranger["rssi"], stranger["adapter"]) == (-48, "hci0")
        values = {value["key"]: value["value"] for value in stranger["values"]}
        assert (values["temperature"], values["humidity"]) == (24.3, 53.49)
        assert (own["address"], own["device"]) == (TAG, "chiller")
        assert STRANGER not in onsite.gateway.acquire.air[0].sensors.known, "nothing of a stranger becomes a value"


async def test_a_trial_waits_for_new_measurements(bluez: StandIn, tmp_path: Path) -> None:
    async with onsite_of(site_of(tmp_path)) as onsite:

        async def seen() -> bool:
            return bool((await order(onsite, "commission.see"))["air"]["sensors"])

        await speaking(bluez, seen, STRANGER)
        job = (await order(onsite, "commission.try", address=STRANGER, readings=2))["job"]

        async def ended() -> bool:
            return bool((await order(onsite, "job.show", job=job))["state"] != "running")

        await speaking(bluez, ended, STRANGER)
        tried = await order(onsite, "job.show", job=job)
        assert tried["state"] == "done", tried
        assert tried["result"]["model"] == "ruuvi-tag"
        assert [reading["channels"][0]["text"] for reading in tried["found"]] == ["24.30", "24.30"] or [
            reading["channels"][0]["value"] for reading in tried["found"]
        ] == [24.3, 24.3]


async def test_the_last_adverts_come_with_their_signal_and_their_decode(bluez: StandIn, tmp_path: Path) -> None:
    async with onsite_of(site_of(tmp_path)) as onsite:

        async def three() -> bool:
            return len((await order(onsite, "diagnose.air", device="chiller"))["adverts"]) >= 3

        await speaking(bluez, three, TAG)
        adverts = (await order(onsite, "diagnose.air", device="chiller"))["adverts"]
        assert adverts[-1]["rssi"] == -70
        assert adverts[-1]["parts"][0].startswith("company 0x0499: 05 12 fc")
        assert adverts[-1]["words"][0].startswith("ruuvi-5: temperature 24.3")
        (bus,) = (await order(onsite, "diagnose.buses"))["buses"]
        (device,) = bus["devices"]
        assert device["rssi"] == {"hci0": -70}
        assert set(device["rssi_history"]) == {-70}
        assert bus["adapters"][0]["name"] == "hci0"


async def test_a_site_without_bluetooth_listens_while_somebody_looks(bluez: StandIn, tmp_path: Path) -> None:
    site = replace(
        site_of(tmp_path),
        buses=(BusSpec(id="up", kind="modbus-tcp", host="127.0.0.1", port=9),),
        devices=(DeviceSpec(id="a", bus="up", model="xy-md02", unit=1, period_ms=1000),),
    )
    async with onsite_of(site) as onsite:

        async def seen() -> bool:
            return bool((await order(onsite, "commission.see"))["air"]["sensors"])

        await speaking(bluez, seen, STRANGER)
        air = (await order(onsite, "commission.see"))["air"]
        assert air["states"] == ["listening with hci0"]
        assert air["sensors"][0]["bus"] == ""
    assert not bluez.adapters["hci0"].discovering
    assert not bluez.monitors["hci0"].registered, "the adapter is let go"


async def test_without_bluetooth_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    async with onsite_of(site_of(tmp_path)) as onsite:
        async with asyncio.timeout(20):
            while "D-Bus" not in (await order(onsite, "commission.see"))["air"]["states"][0]:
                await asyncio.sleep(0.02)
        with pytest.raises(AuroraError, match="has not been heard"):
            await order(onsite, "commission.try", address=STRANGER)
