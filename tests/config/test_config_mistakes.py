"""Every mistake in a site file is named at once: where it is, what is wrong, what would be right."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config import check_file, check_site, explain, load_site, load_site_aside, sample_site
from gateway.errors import ConfigError, Problem
from gateway.site import Site

BASE = """\
[gateway]
member = "dairy"
site = "plant"
id = "gw-1"

[[bus]]
id = "plant"
type = "modbus-tcp"
host = "10.0.0.1"

[[device]]
id = "room"
bus = "plant"
model = "xy-md02"
unit = 1
period_s = 10

[[point]]
id = "cold"
name = "Cold room"
channel = "room.temperature"
"""


def check(text: str, base: Path = Path("/nowhere")) -> tuple[Site | None, list[Problem]]:
    return check_site(text, "site.toml", base)


def problems(text: str) -> list[Problem]:
    site, found = check(text)
    assert site is None
    assert found
    for problem in found:
        assert problem.what
        assert problem.remedy, f"{problem} does not say what would be right"
    return found


def change(old: str, new: str) -> str:
    assert old in BASE
    return BASE.replace(old, new)


def test_a_right_file_has_no_problems_and_becomes_nouns() -> None:
    site, found = check(BASE)
    assert found == []
    assert site is not None
    assert site.identity.urn == "urn:aurora:dairy:gw-1"
    assert site.buses[0].port == 502
    assert site.devices[0].period_ms == 10_000
    assert site.points[0].channel == "temperature"
    assert site.cluster is None


def test_five_different_mistakes_are_named_together() -> None:
    text = (
        change('type = "modbus-tcp"', 'type = "modbus-tpc"')
        .replace('model = "xy-md02"', 'model = "xy-md20"')
        .replace("unit = 1", "unit = 300")
        .replace("period_s = 10", "perod_s = 10")
        .replace('channel = "room.temperature"', 'channel = "rom.temperature"')
    )
    found = problems(text)
    lines = {problem.line for problem in found}
    assert {8, 14, 15, 16, 21} <= lines, found
    words = " ".join(str(problem) for problem in found)
    for hint in ("modbus-tcp", "xy-md02", "247", "period_s", "room"):
        assert hint in words, f"{hint} is not suggested in: {words}"


@pytest.mark.parametrize(
    ("old", "new", "where", "hint"),
    [
        ('member = "dairy"', 'member = "Dairy Ltd."', "gateway.member", "letters"),
        ('member = "dairy"', "", "gateway.member", "add"),
        ('id = "gw-1"', 'id = "gw-1"\nidd = "x"', "gateway.idd", "id"),
        ('host = "10.0.0.1"', "", "bus[1].host", "host"),
        ('host = "10.0.0.1"', 'host = "10.0.0.1"\nport = 70000', "bus[1].port", "65535"),
        ('host = "10.0.0.1"', 'host = "10.0.0.1"\ntimeout_s = -1', "bus[1].timeout_s", ""),
        ('host = "10.0.0.1"', 'host = "10.0.0.1"\nbaud = 9600', "bus[1].baud", ""),
        ("unit = 1", 'unit = "one"', "device[1].unit", "number"),
        ("unit = 1", "unit = 1.5", "device[1].unit", "number"),
        ("unit = 1", "unit = true", "device[1].unit", "number"),
        ("period_s = 10", "period_s = 0", "device[1].period_s", ""),
        ("period_s = 10", "period_s = nan", "device[1].period_s", ""),
        ("period_s = 10", "period_s = inf", "device[1].period_s", ""),
        ('bus = "plant"', 'bus = "plnat"', "device[1].bus", "plant"),
        ("period_s = 10", 'period_s = 10\nchannels = ["temprature"]', "device[1].channels", "temperature"),
        ('channel = "room.temperature"', 'channel = "room.humidty"', "point[1].channel", "humidity"),
        ('channel = "room.temperature"', 'channel = "temperature"', "point[1].channel", ""),
    ],
)
def test_a_mistake_is_named_with_place_and_remedy(old: str, new: str, where: str, hint: str) -> None:
    found = problems(change(old, new))
    assert any(problem.path.startswith(where) and hint in str(problem) for problem in found), found


@pytest.mark.parametrize(
    "calibration",
    [
        'certificate = "C"\nvalid_until = 2027-13-40\npoints = [[0.0, 0.1]]',
        'certificate = "C"\nvalid_until = "soon"\npoints = [[0.0, 0.1]]',
        'certificate = "C"\nvalid_until = 2027-01-01\npoints = []',
        'certificate = "C"\nvalid_until = 2027-01-01\npoints = [[1.0, 1.0], [0.0, 0.1]]',
        'certificate = "C"\nvalid_until = 2027-01-01\npoints = [[1.0]]',
        "valid_until = 2027-01-01\npoints = [[0.0, 0.1]]",
    ],
)
def test_a_calibration_that_cannot_be_used(calibration: str) -> None:
    text = change("period_s = 10\n", f"period_s = 10\n\n[device.calibration.temperature]\n{calibration}\n")
    problems(text)


def test_a_calibration_of_a_channel_that_is_not_there() -> None:
    table = '[device.calibration.temprature]\ncertificate = "C"\nvalid_until = 2027-01-01\npoints = [[0.0, 0.1]]\n'
    found = problems(change("period_s = 10\n", f"period_s = 10\n\n{table}"))
    assert any("temperature" in problem.remedy for problem in found)


def test_names_are_used_once() -> None:
    again = BASE[BASE.index("[[device]]") : BASE.index("[[point]]")]
    found = problems(BASE.replace("[[point]]", again + "[[point]]"))
    assert any(problem.path.startswith("device[2]") for problem in found)


def test_broken_toml_is_one_problem_with_its_line() -> None:
    found = problems(BASE.replace('site = "plant"', 'site = "plant'))
    assert [problem.line for problem in found] == [3]


@pytest.mark.parametrize("text", ["", "a = 1", "[gateway]", "[[gateway]]\nmember = 1", "bus = 3\ndevice = []"])
def test_files_that_are_nothing_like_a_site(text: str) -> None:
    problems(text)


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    assert check_file(tmp_path / "none.toml")[1]
    (tmp_path / "raw.toml").write_bytes(b"\xff\xfe\x00")
    assert check_file(tmp_path / "raw.toml")[1]


def test_a_line_that_cannot_carry_its_devices_is_said(tmp_path: Path) -> None:
    devices = "".join(
        f'[[device]]\nid = "d{unit}"\nbus = "line"\nmodel = "xy-md02"\nunit = {unit}\nperiod_s = 0.1\n'
        for unit in range(1, 9)
    )
    text = (
        BASE[: BASE.index("[[bus]]")]
        + '[[bus]]\nid = "line"\ntype = "modbus-rtu"\ndevice = "/dev/ttyS9"\n'
        + devices
    )
    assert any("line" in str(problem) and "%" in str(problem) for problem in problems(text))


def test_a_mistake_in_a_member_s_own_model_is_reported_too(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('id = "mine"\n')
    site, found = check(change('model = "xy-md02"', 'model = "mine.toml"'), tmp_path)
    assert site is None
    assert any("mine.toml" in str(problem) for problem in found)


def test_the_sample_is_right_and_explained(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(sample_site())
    site, found = check_file(tmp_path / "site.toml")
    assert found == []
    assert site is not None
    words = explain(site)
    for device in site.devices:
        assert device.id in words
    assert "values a second" in words


@pytest.mark.parametrize("load", [load_site, lambda path: load_site_aside(path)()])
def test_loading_gives_the_site_or_every_problem(tmp_path: Path, load: Callable[[Path], Site]) -> None:
    path = tmp_path / "site.toml"
    path.write_text(BASE)
    assert load(path).source == str(path)
    assert len(load(path).digest) == 64
    path.write_text(BASE.replace("unit = 1", "unit = 0.5").replace("host", "hots"))
    with pytest.raises(ConfigError) as wrong:
        load(path)
    assert len(wrong.value.problems) >= 2
