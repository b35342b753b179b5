"""What a right file becomes, and what its tables must be to each other."""

import subprocess
import sys
import tomllib
from datetime import date
from hashlib import sha256
from pathlib import Path

import pytest

from firmware_interfaces.modbus.model import load_model
from gateway.config import check_file, check_site, explain, load_site, sample_site
from gateway.config.wire import line_load, poll_s, reads_of
from gateway.errors import ConfigError, Problem
from gateway.site import BufferSpec, BusSpec, ClockSpec, DeviceSpec, Site, WebSpec

NO_DEFAULT = {"broker", "error_s", "card_endurance", "names"}
GATEWAY = '[gateway]\nmember = "dairy"\nsite = "plant"\nid = "gw-1"\n'
TCP = '[[bus]]\nid = "net"\ntype = "modbus-tcp"\nhost = "10.0.0.1"\n'
RTU = '[[bus]]\nid = "line"\ntype = "modbus-rtu"\ndevice = "/dev/ttyUSB0"\n'
CLUSTER = (
    '[cluster]\nbroker = "mqtts://broker.example"\nca = "ca.pem"\ncertificate = "gw.pem"\nkey = "gw.key"\n'
    'receipt_key = "cluster.pem"\n'
)


def device(name: str = "room", *, bus: str = "net", model: str = "xy-md02", unit: int = 1, more: str = "") -> str:
    more = more or "period_s = 10"
    return f'[[device]]\nid = "{name}"\nbus = "{bus}"\nmodel = "{model}"\nunit = {unit}\n{more}\n'


def site_of(text: str, base: Path = Path("/nowhere")) -> Site:
    site, found = check_site(text, "site.toml", base)
    assert found == []
    assert site is not None
    return site


def only_problem(text: str, base: Path = Path("/nowhere")) -> Problem:
    site, found = check_site(text, "site.toml", base)
    assert site is None
    (problem,) = found
    return problem


# What it becomes -------------------------------------------------------------------------------------------------


def test_defaults_are_those_of_the_nouns() -> None:
    site = site_of(GATEWAY + TCP + device())
    assert site.data_dir == Path("/var/lib/aurora-gateway")
    assert (site.buffer, site.clock, site.web, site.cluster) == (BufferSpec(), ClockSpec(), WebSpec(), None)
    assert site.buses == (BusSpec(id="net", kind="modbus-tcp", host="10.0.0.1"),)
    assert site.devices == (DeviceSpec(id="room", bus="net", model="xy-md02", unit=1, period_ms=10_000),)


def test_every_setting_arrives(tmp_path: Path) -> None:
    for name in ("ca.pem", "gw.pem", "gw.key", "cluster.pem"):
        (tmp_path / name).touch()
    text = (
        GATEWAY
        + 'data_dir = "data"\n'
        + CLUSTER
        + "in_flight = 3\n"
        + "[buffer]\nloss_window_s = 0.25\nbatch_values = 20\nbatch_min_age_s = 1\nbatch_max_age_s = 9\n"
        + 'keep_days = 7\nmax_size = "1.5 GiB"\n[clock]\nsource = "host"\nerror_s = 0.5\n'
        + '[web]\nlisten = "[::1]:9000"\n'
        + RTU
        + 'baud = 19200\nparity = "E"\nstop_bits = 2\ntimeout_s = 0.2\ngap_ms = 7\nconnect_pause_ms = 50\n'
        + device(bus="line", unit=247, more='period = "1.5min"\nphase_s = 0.25\nchannels = ["temperature"]')
        + '[device.calibration.temperature]\ncertificate = "K-1"\nvalid_until = 2027-06-30\n'
        + "points = [[0, 0.1], [9, 9.2]]\n"
        + '[[point]]\nid = "p"\nname = "P"\nchannel = "room.temperature"\ncritical = true\n'
    )
    site = site_of(text, tmp_path)
    assert site.data_dir == tmp_path / "data"
    assert site.cluster is not None
    assert (site.cluster.host, site.cluster.port, site.cluster.in_flight) == ("broker.example", 8883, 3)
    assert site.cluster.receipt_key == tmp_path / "cluster.pem"
    assert site.cluster.key == tmp_path / "gw.key"
    assert site.buffer == BufferSpec(
        loss_window_ms=250,
        batch_values=20,
        batch_min_age_s=1,
        batch_max_age_s=9,
        keep_days=7,
        max_bytes=3 * 2**29,
    )
    assert site.clock == ClockSpec(source="host", error_s=0.5)
    assert site.web == WebSpec(host="::1", port=9000)
    (bus,) = site.buses
    assert (bus.baud, bus.parity, bus.stop_bits, bus.timeout_s, bus.gap_ms) == (19200, "E", 2, 0.2, 7)
    assert bus.connect_pause_ms == 50
    (room,) = site.devices
    assert (room.period_ms, room.phase_ms, room.channels) == (90_000, 250, ("temperature",))
    calibration = room.calibration["temperature"]
    assert (calibration.valid_until, calibration.points) == (date(2027, 6, 30), ((0.0, 0.1), (9.0, 9.2)))
    assert (site.points[0].device, site.points[0].channel, site.points[0].critical) == ("room", "temperature", True)


def test_the_page_can_be_switched_off() -> None:
    site = site_of(GATEWAY + "[web]\nlisten = false\n" + TCP + device())
    assert site.web is None
    assert "switched off" in explain(site)


def test_digest_and_text_are_those_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    data = b"\xef\xbb\xbf" + (GATEWAY + TCP + device()).replace("\n", "\r\n").encode()
    path.write_bytes(data)
    assert load_site(path).digest == sha256(data).hexdigest()


def test_the_sample_with_its_cluster_uncommented(tmp_path: Path) -> None:
    lines = sample_site().splitlines()
    start = lines.index("# [cluster]")
    while lines[start].startswith("# "):
        lines[start] = lines[start].removeprefix("# ")
        start += 1
    for name in ("ca.pem", "gateway.pem", "gateway.key", "cluster.pem"):
        (tmp_path / name).touch()
    site = site_of("\n".join(lines), tmp_path)
    assert site.cluster is not None
    assert "broker.example:8883, mutual TLS, as green-valley-dairy.gw-0001" in explain(site)


def test_the_daemon_lives_without_pydantic() -> None:
    code = "import sys, gateway.config, gateway.clock, gateway.site; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Files of the uplink ---------------------------------------------------------------------------------------------


def test_missing_files_of_the_uplink_are_said_and_recording_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "site.toml"
    path.write_text(GATEWAY + CLUSTER + TCP + device())
    site, found = check_file(path)
    assert site is not None
    assert [problem.path for problem in found] == [
        "cluster.ca",
        "cluster.certificate",
        "cluster.key",
        "cluster.receipt_key",
    ]
    assert load_site(path).cluster is not None
    assert len(caplog.records) == 4


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ('ca = "ca.pem"\n', "", "cluster.ca", "is missing"),
        ("mqtts://broker.example", "mqtt://broker.example", "cluster.ca", "no meaning without TLS"),
        ("mqtts://", "https://", "cluster.broker", "not a way to reach"),
        ("mqtts://broker.example", "broker.example:8883", "cluster.broker", "no scheme"),
        ("broker.example", "broker.example:99999", "cluster.broker", "not an address"),
        ('broker = "mqtts://broker.example"', "broker = 5", "cluster.broker", "not a string in quotes"),
        ('receipt_key = "cluster.pem"', "", "cluster.receipt_key", "is missing"),
    ],
)
def test_an_uplink_that_cannot_be(old: str, new: str, where: str, what: str) -> None:
    site, found = check_site(GATEWAY + CLUSTER.replace(old, new) + TCP + device(), "x", Path("/nowhere"))
    assert site is None
    assert any(problem.path == where and what in problem.what for problem in found), found


# Buses -----------------------------------------------------------------------------------------------------------


def test_a_line_takes_its_settings_from_the_models_of_its_devices() -> None:
    link = load_model("comet-t33xx").link
    assert link.stop_bits == 2
    (bus,) = site_of(GATEWAY + RTU + device(bus="line", model="comet-t33xx")).buses
    assert (bus.parity, bus.stop_bits) == (link.parity, 2)


def made_for(folder: Path, name: str, baud: int) -> str:
    """A member's own model: a copy of a built-in one with another factory speed."""
    import firmware_interfaces.modbus.model as module

    text = (Path(module.__file__).parent / "models/xy-md02.toml").read_text().replace('"xy-md02"', f'"{name}"', 1)
    lines = [line for line in text.splitlines() if not line.startswith("baud")]
    lines.insert(lines.index("[link]") + 1, f"baud = {baud}")
    (folder / f"{name}.toml").write_text("\n".join(lines))
    return f"{name}.toml"


def test_devices_made_for_different_speeds_on_one_line(tmp_path: Path) -> None:
    slow, fast = made_for(tmp_path, "slow", 9600), made_for(tmp_path, "fast", 19200)
    devices = device("a", bus="line", model=slow) + device("b", bus="line", model=fast, unit=2)
    problem = only_problem(GATEWAY + RTU + devices, tmp_path)
    assert (problem.path, problem.line) == ("bus[1].baud", 5)
    assert "(a 9600, b 19200)" in problem.what
    assert site_of(GATEWAY + RTU + "baud = 19200\n" + devices, tmp_path).buses[0].baud == 19200


def test_a_members_own_model_is_named_by_its_whole_path(tmp_path: Path) -> None:
    site = site_of(GATEWAY + TCP + device(model=made_for(tmp_path, "mine", 9600)), tmp_path)
    assert site.devices[0].model == str(tmp_path / "mine.toml")
    assert load_model(site.devices[0].model).id == "mine"


def test_the_mistakes_of_a_model_file_are_told_once(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("id = 5\n")
    text = GATEWAY + TCP + device("a", model="mine.toml") + device("b", model="mine.toml", unit=2)
    _, found = check_site(text, "x", tmp_path)
    assert found
    assert {problem.path for problem in found} == {"device[1].model"}
    assert len({problem.what for problem in found}) == len(found)


@pytest.mark.parametrize("second", [TCP, RTU])
def test_two_buses_on_one_line_would_disturb_each_other(second: str) -> None:
    again = second.replace("net", "other").replace('"line"', '"other"')
    problem = only_problem(GATEWAY + TCP + RTU + again + device())
    assert problem.path.startswith("bus[3].")
    assert "as well" in problem.what


@pytest.mark.parametrize(
    ("bus", "unit", "allowed"),
    [
        ("net", 0, True),
        ("net", 255, True),
        ("net", 248, False),
        ("line", 0, False),
        ("line", 255, False),
        ("line", 247, True),
    ],
)
def test_unit_ids(bus: str, unit: int, allowed: bool) -> None:
    site, found = check_site(GATEWAY + TCP + RTU + device(bus=bus, unit=unit), "x", Path("/nowhere"))
    assert (site is not None) is allowed
    assert [problem.path for problem in found] == ([] if allowed else ["device[1].unit"])


def test_one_unit_may_be_listed_twice_for_different_channels_only() -> None:
    fast = device("fast", more='period_s = 1\nchannels = ["temperature"]')
    slow = device("slow", more='period_s = 60\nchannels = ["humidity"]')
    assert len(site_of(GATEWAY + TCP + fast + slow).devices) == 2
    both = only_problem(GATEWAY + TCP + fast + device("all"))
    assert "is 'fast' already, with the same channels (temperature)" in both.what
    other = only_problem(GATEWAY + TCP + fast + device("other", model="danfoss-ekc202d"))
    assert "is 'fast' already, a xy-md02" in other.what


@pytest.mark.parametrize(
    ("more", "where", "what"),
    [
        ('period_s = 10\nperiod = "10s"', "period", "given twice"),
        ('period = "ten seconds"', "period", "not a duration"),
        ('period = "1ms"', "period", "below the least"),
        ("period_s = 0.1005", "period_s", "finer than a millisecond"),
        ("period_s = 10\nphase_s = 10", "phase_s", "not below the period"),
        ('period_s = 10\nchannels = ["humidity", "humidity"]', "channels[2]", "listed twice"),
        ("period_s = 10\nchannels = []", "channels", "has 0 entries"),
        (
            'period_s = 10\nchannels = ["humidity"]\ncalibration.temperature = { certificate = "K", '
            "valid_until = 2027-01-01, points = [[0, 0]] }",
            "calibration.temperature",
            "not among the channels",
        ),
        ("period_s = 10\ncalibration = 3", "calibration", "not a table"),
        ("period_s = 10\ncalibration.temperature = 3", "calibration.temperature", "not a table"),
    ],
)
def test_a_device_that_cannot_be(more: str, where: str, what: str) -> None:
    problem = only_problem(GATEWAY + TCP + device(more=more))
    assert problem.path == f"device[1].{where}"
    assert what in problem.what


@pytest.mark.parametrize(
    ("table", "where"),
    [
        ("[clock]\nsource = 'host'", "clock.error_s"),
        ("[clock]\nerror_s = 1", "clock.error_s"),
        ("[clock]\nsource = 'gps'", "clock.source"),
        ("[buffer]\nbatch_min_age_s = 5\nbatch_max_age_s = 4", "buffer.batch_min_age_s"),
        ("[buffer]\nmax_size = '4 gigs'", "buffer.max_size"),
        ("[buffer]\nmax_size = '1 kB'", "buffer.max_size"),
        ("[web]\nlisten = true", "web.listen"),
        ("[web]\nlisten = '8080'", "web.listen"),
        ("[web]\nlisten = 'localhost:0'", "web.listen"),
        ("[webb]\nlisten = '8080'", "webb"),
        ("[point]\nid = 'p'", "point"),
    ],
)
def test_other_tables_that_cannot_be(table: str, where: str) -> None:
    problem = only_problem(GATEWAY + table + "\n" + TCP + device())
    assert problem.path == where
    assert problem.line is not None
    assert problem.remedy


# Load of a line --------------------------------------------------------------------------------------------------


def test_a_poll_takes_the_time_of_its_characters_and_silences() -> None:
    model = load_model("xy-md02")
    bus = BusSpec(id="l", kind="modbus-rtu", baud=9600, parity="N", stop_bits=1)
    (read,) = reads_of(model, ())
    character = 10 / 9600
    silences = 3.5 * character + max(3.5 * character, model.link.min_gap_ms / 1000)
    assert poll_s(bus, model, [read]) == pytest.approx((8 + 5 + 2 * read.count) * character + silences)
    devices = [
        (DeviceSpec(id=str(unit), bus="l", model="xy-md02", unit=unit, period_ms=1000), model) for unit in (1, 2)
    ]
    assert line_load(bus, devices) == pytest.approx(2 * poll_s(bus, model, [read]))


def test_a_period_shorter_than_one_poll_says_the_number() -> None:
    more = "period_s = 0.5"
    problem = only_problem(GATEWAY + RTU + "baud = 1200\n" + device(bus="line", model="eastron-sdm630", more=more))
    assert problem.path == "device[1].period_s"
    assert "reads at 1200 baud" in problem.what
    assert "too short for one poll, which takes the line" in problem.what


def test_a_converters_speed_counts_only_where_it_is_given() -> None:
    over = '[[bus]]\nid = "line"\ntype = "modbus-rtu-over-tcp"\nhost = "h"\nport = 4001\n'
    busy = device(bus="line", model="eastron-sdm630", more="period_s = 0.1")
    assert "taken to run at" in explain(site_of(GATEWAY + over + busy))
    assert only_problem(GATEWAY + over + "baud = 1200\n" + busy).path == "device[1].period_s"


def test_the_summary_names_a_critical_point_without_calibration() -> None:
    point = '[[point]]\nid = "p"\nname = "P"\nchannel = "room.temperature"\ncritical = true\n'
    words = explain(site_of(GATEWAY + TCP + device() + point))
    assert "no calibration on record" in words
    assert "0.2 values a second, 17,280 a day" in words


# The page that documents it --------------------------------------------------------------------------------------


def test_every_setting_stands_in_the_documentation_and_in_the_sample() -> None:
    from gateway.config import shape

    page = (Path(__file__).parents[2] / "docs/configuration.md").read_text(encoding="utf-8")
    sample = sample_site()
    for name in shape.__all__:
        table = getattr(shape, name)
        if not isinstance(table, type):
            continue
        for setting in table.model_fields:
            assert f"`{setting}`" in page, f"docs/configuration.md does not name {setting} of {name}"
            assert setting in sample, f"sample.toml does not show {setting} of {name}"


def test_defaults_shown_in_the_sample_are_the_defaults() -> None:
    """Taking the # from every line "# name = value" changes nothing."""
    plain = sample_site()
    shown = []
    for line in plain.splitlines():
        words = line.removeprefix("# ")
        left = words.partition(" = ")[0]
        is_default = line.startswith("# ") and left.isidentifier() and left not in NO_DEFAULT
        is_cluster = (
            any(f'"{name}.' in words for name in ("ca", "gateway", "cluster", "page")) or left == "in_flight"
        )
        shown.append(words if is_default and not is_cluster and left != "gap_ms" else line)
    text = "\n".join(shown)
    assert len(tomllib.loads(text)["buffer"]) == 6
    first, second = site_of(plain), site_of(text)
    assert (first.buffer, first.clock, first.web, first.buses) == (
        second.buffer,
        second.clock,
        second.web,
        second.buses,
    )


def test_a_file_that_cannot_be_used_raises_with_all_problems(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text("[gateway]\n")
    with pytest.raises(ConfigError) as caught:
        load_site(path)
    assert [problem.path for problem in caught.value.problems].count("bus") == 1
    assert {"gateway.member", "gateway.site", "gateway.id", "bus", "device"} == {
        problem.path for problem in caught.value.problems
    }
