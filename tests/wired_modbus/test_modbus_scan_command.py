"""`aurora-gateway scan modbus` and `read --tls`, as an engineer types them."""

import fcntl
import json
import os
import socket
import sys
from pathlib import Path

import pytest
from modbus_peers import Authority, bare_pty, device_tls, holding, plant_beside
from test_modbus_survey import xy_md02

from gateway.cli import main
from gateway.commands.held import held_here
from gateway.config import check_site
from gateway.site import BusSpec

GATEWAY = '[gateway]\nmember = "m"\nsite = "s"\nid = "g"\n'
QUICK = ["--timeout", "20", "--pause", "0.001", "--units", "1-4"]


def test_what_it_prints_is_a_site_file(capsys: pytest.CaptureFixture[str]) -> None:
    with plant_beside({3: xy_md02(3), 4: holding({700: 1})}) as plant:
        assert main(["scan", "modbus", "--tcp", f"127.0.0.1:{plant.port}", *QUICK]) == 0
    out = capsys.readouterr()
    assert "unit 3 (function 3: illegal data address): recognised" in out.err
    assert "# Recognised: XY-MD02 / SHT20 air temperature and humidity, by unit_id = 3.0." in out.out
    assert "# Unit 4 answers" in out.out
    site, problems = check_site(GATEWAY + out.out, "site.toml", Path())
    assert problems == []
    assert site is not None
    assert [(device.model, device.unit) for device in site.devices] == [("xy-md02", 3)]
    assert site.buses[0].port == plant.port


def test_all_of_it_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    with plant_beside({3: xy_md02(3)}) as plant:
        assert main(["scan", "modbus", "--tcp", f"127.0.0.1:{plant.port}", *QUICK, "--json"]) == 0
    (unit,) = json.loads(capsys.readouterr().out)
    assert (unit["unit"], unit["certainty"], unit["candidates"][0]["model"]) == (3, "recognised", "xy-md02")


def test_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    with plant_beside({}) as plant:
        assert main(["scan", "modbus", "--tcp", f"127.0.0.1:{plant.port}", *QUICK]) == 1
    assert "# 0 units, 4 requests" in capsys.readouterr().out


def test_an_endpoint_in_use_on_this_computer_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with plant_beside({3: xy_md02(3)}) as plant, socket.create_connection(("127.0.0.1", plant.port)):
        assert main(["scan", "modbus", "--tcp", f"127.0.0.1:{plant.port}", *QUICK]) == 2
        assert plant.requests == []
    assert "is connected to 127.0.0.1" in capsys.readouterr().err


def test_a_serial_line_that_is_held_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with bare_pty() as device:
        assert held_here(BusSpec(id="x", kind="modbus-rtu", device=device)) is None
        port = os.open(device, os.O_RDWR | os.O_NOCTTY)
        fcntl.flock(port, fcntl.LOCK_EX)
        assert main(["scan", "modbus", "--serial", device, *QUICK]) == 2
        os.close(port)
    assert "is held by another program" in capsys.readouterr().err


def test_connections_over_ipv6_count(tmp_path: Path) -> None:
    """Lines of /proc/net/tcp6: the address in 32-bit words of this machine's byte order, IPv4 mapped as well."""
    (tmp_path / "net").mkdir()
    head = "  sl  local_address remote_address st\n"
    words = (0, 0, 0xFFFF0000, 0x0100007F) if sys.byteorder == "little" else (0, 0, 0xFFFF, 0x7F000001)
    mapped = "".join(f"{word:08X}" for word in words)
    for state, held in (("01", True), ("06", False)):
        line = f"   0: {mapped}:C001 {mapped}:01F6 {state} 00000000:00000000\n"
        (tmp_path / "net/tcp6").write_text(head + line)
        bus = BusSpec(id="x", kind="modbus-tcp", host="127.0.0.1", port=502)
        assert (held_here(bus, tmp_path) is not None) is held


def test_a_read_over_tls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    authority = Authority(tmp_path, "plant-authority")
    papers = authority.issue("gateway")
    tls = device_tls(authority.issue("device", host="127.0.0.1"))
    files = ["--ca", str(papers.ca), "--certificate", str(papers.certificate), "--key", str(papers.key)]
    with plant_beside({1: holding(dict.fromkeys(range(20), 7))}, tls=tls) as plant:
        words = ["read", "--tls", f"127.0.0.1:{plant.port}", "--model", "generic-registers-20"]
        assert main([*words, *files]) == 0
        assert "holding register  0..19: 7 7" in capsys.readouterr().out
        assert main(words) == 2
        assert "add --ca, --certificate and --key" in capsys.readouterr().err
