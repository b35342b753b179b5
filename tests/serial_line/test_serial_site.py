"""Serial buses in a site file: what is right, and every mistake with its place and remedy."""

from pathlib import Path

import pytest

from gateway.config import explain
from gateway.config.check import check_site

HEAD = """
[gateway]
member = "m"
site = "s"
id = "g"
"""
BUS = """
[[bus]]
id = "packing"
type = "serial"
device = "/dev/serial/by-id/usb-scale"
"""
SCALE = """
[[device]]
id = "scale"
bus = "packing"
model = "mt-sics"
period = "1s"
channels = ["weight"]
"""
METERS = """
[[bus]]
id = "meters"
type = "mbus"
device = "/dev/serial/by-id/usb-mbus"

[[device]]
id = "boiler"
bus = "meters"
model = "mbus-heat"
unit = 8
period = "1min"

[[device]]
id = "water"
bus = "meters"
model = "mbus-water"
address = "21050076"
period = "1min"
"""
OWN = r"""
id = "level"
title = "Level of a tank"
maker = "ours"
source = "manual of the transmitter, page 7"

[line]
baud = 19200
parity = "E"
data_bits = 7
address = "{unit:02d}"

[[poll]]
command = "L{unit:02d}?"
pattern = 'L(?P<address>\d\d)=(?P<level>[0-9.]+)'

[[channel]]
key = "level"
unit = "m"

[[test]]
replies = ["L01=2.5"]
expect = { level = 2.5 }
"""


TANK = """
[[device]]
id = "tank"
bus = "packing"
model = "level.toml"
period = "5s"
"""


def problems(text: str, base: Path = Path("/nowhere")) -> list[str]:
    return [
        f"{problem.path}: {problem.what}; {problem.remedy}" for problem in check_site(text, "site.toml", base)[1]
    ]


def test_a_right_file() -> None:
    site, found = check_site(HEAD + BUS + SCALE + METERS, "site.toml", Path("/srv"))
    assert found == []
    assert site is not None
    packing, meters = site.buses
    assert (packing.kind, packing.baud, packing.parity, packing.data_bits) == ("serial", 9600, "N", 8)
    assert (meters.kind, meters.baud, meters.parity, meters.timeout_s) == ("mbus", 2400, "E", 2.0)
    assert [(device.unit, device.address) for device in site.devices] == [(0, ""), (8, ""), (0, "21050076")]
    words = explain(site)
    assert "bus packing: serial port /dev/serial/by-id/usb-scale, 9600 baud, 8N1" in words
    assert "bus meters: M-Bus on serial port /dev/serial/by-id/usb-mbus, 2400 baud, 8E1" in words
    assert "scale: Scale with MT-SICS, weight at this moment, 1 value every 1 s" in words


def test_a_model_of_ones_own_brings_its_settings(tmp_path: Path) -> None:
    (tmp_path / "level.toml").write_text(OWN)
    text = (
        HEAD + BUS + '\n[[device]]\nid = "tank"\nbus = "packing"\nmodel = "level.toml"\nunit = 3\nperiod = "5s"\n'
    )
    site, found = check_site(text, "site.toml", tmp_path)
    assert found == []
    assert site is not None
    (bus,) = site.buses
    assert (bus.baud, bus.parity, bus.data_bits) == (19200, "E", 7)


def test_a_slow_answer_is_waited_for() -> None:
    site, _ = check_site(HEAD + BUS + SCALE.replace('"mt-sics"', '"mt-sics-stable"'), "site.toml", Path("/srv"))
    assert site is not None
    assert site.buses[0].timeout_s == 10.0


SECOND = SCALE.replace('id = "scale"', 'id = "other"')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            BUS + SCALE + "unit = 1\n",
            "device[1].unit: has no meaning for a mt-sics, which has no address",
        ),
        (BUS + SCALE + 'address = "1"\n', "device[1].address: has no meaning on this bus; take it away"),
        (
            BUS + SCALE.replace("mt-sics", "mt-sisc"),
            "device[1].model: there is no serial model 'mt-sisc'; did you mean 'mt-sics'?",
        ),
        (BUS + SCALE.replace('"weight"', '"wieght"'), "device[1].channels[1]: mt-sics has no channel 'wieght'"),
        (BUS + "baud = 9601\n" + SCALE, "bus[1].baud: 9601 is not a speed of serial ports; use one of 300, 600"),
        (BUS + "data_bits = 9\n" + SCALE, "bus[1].data_bits: 9 is not allowed"),
        (BUS.replace("device =", "devise =") + SCALE, "bus[1].devise: is not a setting of a serial [[bus]]"),
        (
            BUS + SCALE + SECOND.replace("mt-sics", "atlas-ezo-ph").replace("weight", "ph"),
            "bus[1]: atlas-ezo-ph and mt-sics cannot share a port with others: they do not know who is meant",
        ),
        (
            BUS + SCALE + SECOND,
            "device[2].unit: unit 0 of bus 'packing' is 'scale' already, with the same",
        ),
        (
            BUS + SCALE + BUS.replace("packing", "again") + SECOND.replace("packing", "again"),
            "bus[2].device: is the line of bus 'packing' as well; give each bus a port of its own",
        ),
        (
            BUS + SCALE + BUS.replace("packing", "rtu").replace('"serial"', '"modbus-rtu"'),
            "bus[2].device: is the line of bus 'packing' as well",
        ),
        (METERS.replace("unit = 8\n", ""), "device[1].unit: is missing; add unit = 1 (primary address) or address"),
        (METERS.replace("unit = 8", "unit = 251"), "device[1].unit: 251 is not a primary address; write 0 to 250"),
        (METERS.replace("unit = 8", 'unit = 8\naddress = "1"'), "device[1].address: and unit are both given"),
        (METERS.replace('"21050076"', '"2105"'), "device[2].address: '2105' is not a secondary address"),
        (METERS.replace("mbus-water", "mbus-meter"), "device[2].channels: is missing: the model has more channels"),
        (METERS.replace("mbus-water", "mt-sics"), "device[2].model: there is no M-Bus model 'mt-sics'"),
    ],
)
def test_each_mistake_has_its_place_and_its_remedy(text: str, expected: str) -> None:
    found = problems(HEAD + text)
    assert any(problem.startswith(expected) for problem in found), found


def test_an_address_is_wanted_where_the_instrument_has_one(tmp_path: Path) -> None:
    (tmp_path / "level.toml").write_text(OWN)
    text = HEAD + BUS + TANK
    assert problems(text, tmp_path) == ["device[1].unit: is missing: a level has an address; add unit = 1"]


def test_the_mistakes_of_a_model_file_stand_at_the_device(tmp_path: Path) -> None:
    (tmp_path / "level.toml").write_text(OWN.replace("(?P<level>", "(?P<depth>"))
    text = (
        HEAD + BUS + '\n[[device]]\nid = "tank"\nbus = "packing"\nmodel = "level.toml"\nunit = 3\nperiod = "5s"\n'
    )
    (problem,) = problems(text, tmp_path)
    assert problem.startswith("device[1].model: level.toml: channel[1].group: no pattern has a group 'level'")


def test_an_output_is_not_put_on_the_line_of_an_instrument() -> None:
    siren = """
[[output]]
id = "siren"
type = "siren-modbus"
device = "/dev/serial/by-id/usb-scale"
unit = 1
coil = 0
"""
    assert any("is the line of bus 'packing'" in problem for problem in problems(HEAD + BUS + SCALE + siren))
