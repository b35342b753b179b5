"""A tree like the kernel's sysfs under a test's own folder: 1-wire masters, IIO and hwmon chips, a Raspberry Pi."""

from pathlib import Path

from firmware_interfaces.onewire.scratchpad import crc8


def scratchpad(celsius: float, *, config: int = 0x7F, byte6: int | None = None) -> bytes:
    """What a DS18B20 holds after a conversion that found this temperature."""
    raw = round(celsius * 16) & 0xFFFF
    low = raw & 0xFF
    pad = bytes((low, raw >> 8, 0x4B, 0x46, config, 0xFF, 0x10 - (low & 15) if byte6 is None else byte6, 0x10))
    return pad + bytes((crc8(pad),))


POWER_ON = scratchpad(85.0, byte6=0x0C)


def printed(now: bytes, retained: bytes | None = None, *, milli: int | None = None) -> str:
    """The two lines of w1_slave: after a bad checksum the second is what was read well before."""
    good = not crc8(now)
    kept = now if good or retained is None else retained
    raw = int.from_bytes(kept[:2], "little", signed=True)
    value = raw * 1000 // 16 if milli is None else milli
    return f"{now.hex(' ')} : crc={crc8(now[:8]):02x} {'YES' if good else 'NO'}\n{kept.hex(' ')} t={value}\n"


PI_4 = "Raspberry Pi 4 Model B"


class Sysfs:
    """Files of the kernel under ``root``, as far as the gateway reads them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.w1 = root / "bus/w1/devices"

    def write(self, place: str, text: str) -> Path:
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    # 1-wire

    def master(self, name: str = "w1_bus_master1", *, bulk: bool = True) -> Path:
        self.write(f"bus/w1/devices/{name}/w1_master_slaves", "not found.\n")
        if bulk:
            self.write(f"bus/w1/devices/{name}/therm_bulk_read", "0\n")
        return self.w1 / name

    def sensor(self, address: str, pad: bytes, *, master: str = "w1_bus_master1", **facts: int) -> Path:
        self.write(f"bus/w1/devices/{address}/w1_slave", printed(pad))
        for name, value in {"resolution": 12, "conv_time": 750, "ext_power": 1, **facts}.items():
            self.write(f"bus/w1/devices/{address}/{name}", f"{value}\n")
        self._list(master)
        return self.w1 / address

    def unplug(self, address: str, master: str = "w1_bus_master1") -> None:
        for path in (self.w1 / address).iterdir():
            path.unlink()
        (self.w1 / address).rmdir()
        self._list(master)

    def _list(self, master: str) -> None:
        names = sorted(path.name for path in self.w1.iterdir() if not path.name.startswith("w1_"))
        text = "".join(f"{name}\n" for name in names) or "not found.\n"
        (self.w1 / master / "w1_master_slaves").write_text(text)

    # IIO and hwmon: the numbered folders are links to folders below the chip's own place

    def iio(self, number: int, name: str, place: str, **attributes: str) -> Path:
        return self._chip(f"devices/i2c-1/{place}/iio:device{number}", "bus/iio/devices", name, attributes)

    def hwmon(self, number: int, name: str, place: str, **attributes: str) -> Path:
        return self._chip(f"devices/i2c-1/{place}/hwmon/hwmon{number}", "class/hwmon", name, attributes)

    def _chip(self, folder: str, listed: str, name: str, attributes: dict[str, str]) -> Path:
        path = self.root / folder
        path.mkdir(parents=True, exist_ok=True)
        for attribute, text in {"name": name, **attributes}.items():
            (path / attribute).write_text(f"{text}\n")
        (self.root / listed).mkdir(parents=True, exist_ok=True)
        link = self.root / listed / path.name
        if not link.is_symlink():
            link.symlink_to(path)
        return path

    def raspberry(
        self, *, celsius: float = 48.3, throttled: str = "0", name: str = "Raspberry Pi 4 Model B"
    ) -> Path:
        self.write("class/thermal/thermal_zone0/type", "cpu-thermal\n")
        self.write("class/thermal/thermal_zone0/temp", f"{round(celsius * 1000)}\n")
        self.write("devices/platform/soc/soc:firmware/get_throttled", f"{throttled}\n")
        return self.write("model", f"{name}\0")
