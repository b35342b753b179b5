"""Devices: a folder of Modbus models, and the layout of an advertisement. Both are data; nothing here is ever
called."""

from pathlib import Path

from gateway.api import AdvertFormat, AdvertQuantity, Devices

DEVICES = Devices(
    title="a Modbus probe and a Bluetooth tag of an imagined maker",
    models=Path(__file__).parent / "models",
    adverts=(
        AdvertFormat(
            id="example-tag",
            title="Example tag",
            source="imagined for this example; company id 0xFFFF is for tests (Bluetooth Assigned Numbers)",
            company=0xFFFF,
            prefix=b"\xe1",
            size=6,
            counter_at=5,
            quantities=(
                AdvertQuantity(
                    key="temperature",
                    unit="degC",
                    at=1,
                    size=2,
                    signed=True,
                    places=2,
                    invalid=(0x8000,),
                    low=-40,
                    high=85,
                ),
                AdvertQuantity(
                    key="battery_voltage", unit="V", at=3, size=2, places=3, invalid=(0xFFFF,), low=0, high=4
                ),
            ),
        ),
    ),
)
