"""The commands, as an engineer types them."""

import asyncio
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from app_tools import ROOT, Unit, command

from firmware_interfaces.ble.models import MODELS
from firmware_interfaces.modbus.model import list_models
from firmware_interfaces.serial.models import METERS, list_serial_models

SITE = """\
[gateway]
member = "m"
site = "s"
id = "g"
data_dir = "data"

[web]
listen = false

[[bus]]
id = "b"
type = "modbus-tcp"
host = "127.0.0.1"
port = {port}

[[device]]
id = "room"
bus = "b"
model = "danfoss-ekc202d"
unit = 1
period_s = 0.5
channels = ["air", "door_alarm"]
"""


class Plant(NamedTuple):
    """The simulated facility: a TCP port and a serial line."""

    port: int
    line: Path


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    line = tmp_path_factory.mktemp("plant") / "tty"
    words = [sys.executable, "-m", "gateway.demo.facility", "--tcp", "127.0.0.1:0", "--rtu", str(line)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        yield Plant(int(ready.split("127.0.0.1:")[1].split()[0]), line)
        process.terminate()


class TestCheck:
    def test_five_mistakes_are_five_lines_with_line_numbers(self, tmp_path: Path) -> None:
        text = SITE.format(port=0).replace("danfoss-ekc202d", "danfos-ekc202d").replace("unit = 1", 'unit = "1"')
        text = text.replace("period_s", "periods").replace('bus = "b"', 'bus = "c"')
        (tmp_path / "site.toml").write_text(text)
        done = command("check", tmp_path / "site.toml")
        assert done.returncode == 1
        *lines, last = done.stderr.splitlines()
        for line in lines:
            assert re.fullmatch(rf"{tmp_path}/site\.toml: line \d+: [^;]+; .+", line), "place, mistake and remedy"
        places = {line.split(": ")[2] for line in lines}
        assert {"bus[1].port", "device[1].bus", "device[1].model", "device[1].unit"} <= places
        assert "danfoss-ekc202d" in done.stderr, "the nearest model is offered"
        assert "period_s" in done.stderr, "the nearest key is offered"
        assert last == f"{len(lines)} problems"
        assert done.stdout == ""

    def test_the_sample_passes_its_own_check(self, tmp_path: Path) -> None:
        (tmp_path / "site.toml").write_text(command("check", "--sample").stdout)
        done = command("check", tmp_path / "site.toml")
        assert done.returncode == 0, done.stderr
        assert "values a second" in done.stdout

    def test_nothing_to_check(self) -> None:
        assert command("check").returncode == 2
        assert "--sample" in command("check").stderr


class TestModels:
    def test_all_models_pass_their_own_tests(self) -> None:
        done = command("models")
        assert done.returncode == 0
        named = [line.split()[0] for line in done.stdout.splitlines()]
        heard = len(list_models()) + len(MODELS)
        assert named[:heard] == [*list_models(), *MODELS]
        assert {"ds18b20", "iio-inputs", "raspberry-pi", *list_serial_models(), *METERS} <= set(named[heard:])
        assert "FAIL" not in done.stdout

    def test_a_model_that_is_heard_shows_its_channels_and_source(self) -> None:
        done = command("models", "govee")
        assert done.returncode == 0
        assert "not for critical points" in done.stdout
        assert "source: custom-components/ble_monitor" in done.stdout
        assert re.search(r"^ +temperature +degC", done.stdout, re.MULTILINE)

    def test_a_model_that_fails_its_own_test(self, tmp_path: Path) -> None:
        source = (ROOT / "firmware_interfaces/modbus/models/xy-md02.toml").read_text(encoding="utf-8")
        broken = source.replace("scale = 0.1", "scale = 0.2")
        assert broken != source
        (tmp_path / "xy-md02.toml").write_text(broken)
        done = command("models", tmp_path / "xy-md02.toml")
        assert done.returncode == 1
        assert "FAIL" in done.stdout


class TestRead:
    def test_registers_beside_values_over_tcp(self, plant: Plant) -> None:
        done = command("read", "--tcp", f"127.0.0.1:{plant.port}", "--unit", "1", "--model", "danfoss-ekc202d")
        assert done.returncode == 0, done.stderr
        raw = re.search(r"^holding register +2531\.\.2531: (-?\d+)$", done.stdout, re.MULTILINE)
        air = re.search(r"^air +(-?\d+\.\d) degC +good$", done.stdout, re.MULTILINE)
        assert raw is not None
        assert air is not None
        assert int(raw[1]) / 10 == float(air[1])
        assert re.search(r"^received +00 ", done.stdout, re.MULTILINE), "the frames as they came"

    def test_a_serial_line_with_the_model_s_own_settings(self, plant: Plant) -> None:
        done = command("read", "--serial", plant.line, "--unit", "1", "--model", "xy-md02")
        assert done.returncode == 0, done.stderr
        raw = re.search(r"^input register +1\.\.2: (\d+) (\d+)$", done.stdout, re.MULTILINE)
        shown = re.findall(r"^(?:temperature|humidity) +(\d+\.\d) (?:degC|%RH) +good$", done.stdout, re.MULTILINE)
        assert raw is not None
        assert [int(word) / 10 for word in raw.groups()] == [float(value) for value in shown]
        assert "correction" in done.stdout

    async def test_a_device_that_is_set_up_otherwise_than_its_model_needs(self) -> None:
        async with Unit(1) as unit:
            words = ("read", "--tcp", f"127.0.0.1:{unit.port}", "--model", "danfoss-ekc202d")
            done = await asyncio.to_thread(command, *words)
        assert re.search(r"fahrenheit +1.0: NOT what the model needs, 0", done.stdout), "it shows Fahrenheit"
        sent = re.findall(r"^sent +([0-9a-f ]+)$", done.stdout, re.MULTILINE)
        assert [int(frame[:5].replace(" ", ""), 16) for frame in sent] == list(range(1, len(sent) + 1)), (
            "no frame is left out"
        )
        assert len(sent) > 15, "this model is read one register at a time"

    def test_a_channel_without_a_value_is_no_number_and_status_1(self, plant: Plant) -> None:
        """The third probe of the freezer's controller is not fitted."""
        done = command("read", "--tcp", f"127.0.0.1:{plant.port}", "--unit", "3", "--model", "eliwell-idplus")
        assert done.returncode == 1
        assert re.search(r"^pb3 +no value degC +device reports a sensor fault$", done.stdout, re.MULTILINE)

    @pytest.mark.parametrize(
        ("words", "complaint"),
        [
            (("--tcp", "127.0.0.1:1", "--model", "xy-md02"), "127.0.0.1:1"),
            (("--tcp", "127.0.0.1:x", "--model", "xy-md02"), "HOST:PORT"),
            (("--serial", "/dev/nowhere", "--model", "xy-md02"), "/dev/nowhere"),
            (("--tcp", "127.0.0.1", "--model", "xymd02"), "xy-md02"),
            (("--tcp", "127.0.0.1:70000", "--model", "xy-md02"), "HOST:PORT"),
            (("--tcp", "::1", "--model", "xy-md02"), "HOST:PORT"),
            (("--tcp", "[::1]:1", "--model", "xy-md02"), "::1"),
            (("--tcp", "127.0.0.1", "--model", "xy-md02", "--unit", "300"), "1 to 247"),
            (("--serial", "/dev/null", "--model", "xy-md02", "--unit", "255"), "1 to 247"),
            (("--tcp", "127.0.0.1:1", "--model", "xy-md02", "--unit", "255"), "127.0.0.1:1"),
            (("--serial", "/dev/null", "--model", "xy-md02"), "/dev/null"),
            (("--tcp", "127.0.0.1", "--model", "xy-md02", "--timeout", "0"), "length of time"),
            (("--tcp", "127.0.0.1", "--model", "xy-md02", "--timeout", "soon"), "seconds"),
            (("--tcp", "127.0.0.1"), "--model"),
            (("--model", "xy-md02"), "--tcp"),
        ],
    )
    def test_what_is_wrong_is_said_in_one_line(self, words: tuple[str, ...], complaint: str) -> None:
        done = command("read", *words)
        assert done.returncode == 2
        assert complaint in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
        assert done.stdout == ""

    def test_a_unit_that_is_not_there(self, plant: Plant) -> None:
        done = command("read", "--serial", plant.line, "--unit", "99", "--model", "xy-md02", "--timeout", "0.3")
        assert done.returncode == 2
        assert "no answer" in done.stderr


class TestRun:
    @staticmethod
    def start(folder: Path, port: int, period: str = "0.5") -> "subprocess.Popen[str]":
        text = SITE.format(port=port).replace("period_s = 0.5", f"period_s = {period}")
        (folder / "site.toml").write_text(text)
        words = [sys.executable, "-m", "gateway.cli", "run", str(folder / "site.toml")]
        return subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)

    @staticmethod
    def rows(folder: Path) -> list[dict[str, object]]:
        done = command("export", folder / "site.toml", "--format", "jsonl")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def until_stored(self, folder: Path, scans: int) -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if (folder / "data/journal.db").exists():
                done = command("export", folder / "site.toml", "--format", "jsonl")
                if done.returncode == 0 and done.stdout.count('"air"') >= scans:
                    return
        pytest.fail("nothing was stored")

    def test_it_stops_in_order_and_leaves_a_whole_record(self, plant: Plant, tmp_path: Path) -> None:
        daemon = self.start(tmp_path, plant.port)
        self.until_stored(tmp_path, 3)
        daemon.send_signal(signal.SIGTERM)
        _, log = daemon.communicate(timeout=10)
        assert daemon.returncode == 0, log
        assert (
            command("export", tmp_path / "site.toml", "--format", "batches", "--out", tmp_path / "e").returncode
            == 0
        )
        done = command("verify", tmp_path / "e")
        assert done.returncode == 0, done.stdout

    def test_after_kill_9_the_slots_go_on_where_they_were(self, plant: Plant, tmp_path: Path) -> None:
        daemon = self.start(tmp_path, plant.port)
        self.until_stored(tmp_path, 3)
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.communicate()
        before = len(self.rows(tmp_path))
        daemon = self.start(tmp_path, plant.port)
        self.until_stored(tmp_path, before // 2 + 3)
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=10)
        slots = sorted({(int(str(r["slot"])), int(str(r["slots"]))) for r in self.rows(tmp_path)})
        expected = slots[0][0]
        for slot, count in slots:
            assert slot == expected, "every slot stands in the record exactly once, over the kill"
            expected += count

    def test_a_changed_period_begins_a_grid_of_its_own(self, plant: Plant, tmp_path: Path) -> None:
        for period, scans in (("0.5", 3), ("0.2", 8)):
            daemon = self.start(tmp_path, plant.port, period)
            self.until_stored(tmp_path, scans)
            daemon.send_signal(signal.SIGTERM)
            _, log = daemon.communicate(timeout=10)
            assert daemon.returncode == 0, log
        assert sum(int(str(r["slots"])) for r in self.rows(tmp_path) if not r["channel"]) < 20, "none are invented"
        command("export", tmp_path / "site.toml", "--format", "batches", "--out", tmp_path / "e")
        done = command("verify", tmp_path / "e")
        assert done.returncode == 0, done.stdout

    def test_the_sqlite_export_takes_what_is_not_in_a_batch_yet(self, plant: Plant, tmp_path: Path) -> None:
        daemon = self.start(tmp_path, plant.port)
        self.until_stored(tmp_path, 2)
        done = command("export", tmp_path / "site.toml", "--format", "sqlite", "--out", tmp_path / "out.db")
        assert done.returncode == 0, done.stderr
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=10)

    def test_a_second_daemon_on_the_same_data_is_refused(self, plant: Plant, tmp_path: Path) -> None:
        daemon = self.start(tmp_path, plant.port)
        self.until_stored(tmp_path, 1)
        second = command("run", tmp_path / "site.toml")
        assert second.returncode == 2
        assert "another process" in second.stderr
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=10)

    def test_a_broken_site_file_is_refused_with_every_problem(self, tmp_path: Path) -> None:
        (tmp_path / "site.toml").write_text("[gateway]\nmember = 3\n")
        done = command("run", tmp_path / "site.toml")
        assert done.returncode == 2
        assert "gateway.member" in done.stderr


def test_a_change_of_key_that_the_disk_refuses_changes_nothing(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(SITE.format(port=1))
    assert command("keys", site, "rotate").returncode == 0
    before = command("keys", site).stdout

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))

    words = [sys.executable, "-m", "gateway.cli", "keys", str(site), "rotate"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=small_files)
    assert done.returncode == 2
    assert "the key is unchanged" in done.stderr.splitlines()[-1]
    assert command("keys", site).stdout == before
    assert command("keys", site, "rotate").returncode == 0, "and it succeeds when the disk is well"
    assert command("keys", site).stdout != before


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("export", "{site}", "--format", "csv"), "has not run with this site file yet"),
        (("keys", "{folder}/nowhere.toml"), "No such file"),
        (("verify", "--key", "{site}", "{folder}"), "site.toml: no public key in PEM form"),
        (("run", "{folder}"), "Is a directory"),
        (("demo", "--port", "70000", "--dir", "{folder}"), "ports are 0 to 65535"),
        (("demo", "--seconds", "-1", "--dir", "{folder}"), "length of time"),
        (("sing",), "invalid choice"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(tmp_path: Path, words: tuple[str, ...], complaint: str) -> None:
    (tmp_path / "site.toml").write_text(SITE.format(port=1))
    done = command(*(word.format(site=tmp_path / "site.toml", folder=tmp_path) for word in words))
    assert done.returncode == 2
    assert complaint in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_version_and_help() -> None:
    assert command("--version").stdout.startswith("aurora-gateway ")
    assert command().returncode == 2
