"""The serial ports of a machine, from a tree as the kernel makes it."""

from pathlib import Path

from gateway.commissioning.ports import serial_ports


def tree(root: Path) -> tuple[Path, Path]:
    dev, sysfs = root / "dev", root / "sys"
    usb = sysfs / "devices" / "usb1" / "1-2"
    port = usb / "1-2:1.0" / "ttyUSB0"
    driver = sysfs / "bus" / "usb-serial" / "drivers" / "ftdi_sio"
    for folder in (dev / "serial" / "by-id", port, driver, sysfs / "class" / "tty"):
        folder.mkdir(parents=True)
    (usb / "product").write_text("USB-RS485 Cable\n")
    (usb / "manufacturer").write_text("FTDI\n")
    (port / "driver").symlink_to(driver)
    for name in ("ttyUSB0", "ttyS0", "ttyS1", "tty0"):
        (sysfs / "class" / "tty" / name).mkdir()
        (dev / name).touch()
    (sysfs / "class" / "tty" / "ttyUSB0" / "device").symlink_to(port)
    board = sysfs / "devices" / "serial8250"
    board.mkdir()
    (sysfs / "class" / "tty" / "ttyS0" / "device").symlink_to(board)
    (sysfs / "class" / "tty" / "ttyS0" / "type").write_text("4\n")
    (sysfs / "class" / "tty" / "ttyS1" / "device").symlink_to(board)
    (sysfs / "class" / "tty" / "ttyS1" / "type").write_text("0\n")
    (dev / "serial" / "by-id" / "usb-FTDI_USB-RS485_A50285BI-if00-port0").symlink_to(dev / "ttyUSB0")
    return dev, sysfs


def test_ports_with_hardware_behind_them_are_named_lastingly(tmp_path: Path) -> None:
    board, usb = serial_ports(*tree(tmp_path))
    assert (board["name"], board["port"], board["product"]) == ("ttyS0", str(tmp_path / "dev" / "ttyS0"), "")
    assert usb["name"] == "ttyUSB0"
    assert usb["port"].endswith("/serial/by-id/usb-FTDI_USB-RS485_A50285BI-if00-port0")
    assert (usb["product"], usb["driver"], usb["usable"]) == ("FTDI USB-RS485 Cable", "ftdi_sio", True)


def test_a_machine_without_ports_has_none(tmp_path: Path) -> None:
    assert serial_ports(tmp_path / "dev", tmp_path / "sys") == []
