"""200 Bluetooth sensors that advertise once a second, for an hour: CPU share, and whether memory grows.

``python -m bench.ble_air`` replays them as fast as it can, from the bytes of the D-Bus signals to scans and misses:
all of the gateway's own way but the socket and the journal. One sensor in ten encrypts.
"""

import argparse
import io
import os
import sys
import time
from collections.abc import Callable

from dbus_fast import Message, MessageType, Variant
from dbus_fast._private.unmarshaller import Unmarshaller

from firmware_interfaces.ble.bluez import Bluez
from firmware_interfaces.ble.decoders.dispatch import full_uuid
from firmware_interfaces.ble.models import MODELS
from gateway.acquire.air import AirWorker
from gateway.acquire.airpoller import AirPoller
from gateway.acquire.metronome import Metronome
from gateway.model import Event, Miss, Scan
from gateway.site import BusSpec, DeviceSpec

SENSORS, PERIOD_MS = 200, 10_000
KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")


class Sink:
    """Counts."""

    def __init__(self) -> None:
        self.scans = self.missed = 0

    def scan(self, _: Scan) -> None:
        self.scans += 1

    def miss(self, miss: Miss) -> None:
        self.missed += miss.count

    def event(self, _: Event) -> None:
        """None is expected."""


def signal_of(number: int, second: int) -> bytes:
    """The signal in which BlueZ reports one advertisement."""
    address = f"CB_00_00_00_{number >> 8:02X}_{number & 255:02X}"
    changed = {"RSSI": Variant("n", -60 - number % 30)}
    if number % 10 == 9:
        data = {full_uuid(0xFCD2): Variant("ay", bytes.fromhex("4000") + bytes((second & 255, 2, second & 127, 3)))}
        changed["ServiceData"] = Variant("a{sv}", data)
    else:
        frame = bytearray.fromhex("0512fc5394c37c0004fffc040cac364200cdcbb8334c884f")
        frame[16:18] = (second % 65_535).to_bytes(2, "big")
        changed["ManufacturerData"] = Variant("a{qv}", {0x0499: Variant("ay", bytes(frame))})
    message = Message(
        path=f"/org/bluez/hci0/dev_{address}",
        interface="org.freedesktop.DBus.Properties",
        member="PropertiesChanged",
        message_type=MessageType.SIGNAL,
        signature="sa{sv}as",
        body=["org.bluez.Device1", changed, []],
        sender=":1.5",
        serial=1,
    )
    return bytes(message._marshall(False))


def rss_kb() -> int:
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def replay(seconds: int, say: Callable[[str], None]) -> tuple[float, int]:
    """CPU seconds, and kilobytes that were added after the first tenth."""
    now = 0
    sink = Sink()
    pollers = []
    for number in range(SENSORS):
        model = "bthome" if number % 10 == 9 else "ruuvi-tag"
        spec = DeviceSpec(
            id=f"sensor-{number}",
            bus="air",
            model=model,
            unit=0,
            period_ms=PERIOD_MS,
            channels=("temperature", "rssi"),
            address=f"CB:00:00:00:{number >> 8:02X}:{number & 255:02X}",
        )
        pollers.append(AirPoller(number, spec, MODELS[model]))
    worker = AirWorker(BusSpec(id="air", kind="ble"), pollers, sink=sink, now_ms=lambda: now, metronome=Metronome())
    worker.start({}, 0)
    worker.stats.connected = True
    bluez = Bluez(lambda report: worker._report(report, now / 1000), print)
    used = 0.0
    early = 0
    for second in range(seconds):
        signals = [signal_of(number, second) for number in range(SENSORS)]
        start = time.process_time()
        for number, data in enumerate(signals):
            now = second * 1000 + number * 5
            message = Unmarshaller(io.BytesIO(data)).unmarshall()
            assert message is not None
            bluez._signal(message)
        if second % 10 == 9:
            now = (second + 1) * 1000
            for poller in pollers:
                worker._serve(poller, now)
        used += time.process_time() - start
        if second == seconds // 10:
            early = rss_kb()
    say(f"{sink.scans} scans, {sink.missed} slots missed, {len(worker.sensors.known)} sensors known")
    return used, rss_kb() - early


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=3600)
    arguments = parser.parse_args()
    used, grown = replay(arguments.seconds, print)
    share = used / arguments.seconds
    print(
        f"{SENSORS} sensors, {arguments.seconds} s: {used:.1f} s of CPU, {share:.2%} of one core (aim: below 10 %)"
    )
    print(f"memory grew by {grown} kB after the first tenth")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return 0 if share < 0.1 and grown < 2000 else 1


if __name__ == "__main__":
    sys.exit(main())
