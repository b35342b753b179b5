"""The commands, as an engineer types them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from app_tools import ROOT, command

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
        for words in ("port", "danfoss-ekc202d", "unit", "period_s", "bus"):
            assert words in done.stderr, words
        assert done.stderr.count("line ") >= 5
        assert done.stderr.strip().endswith("problems")

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
        assert len(done.stdout.splitlines()) >= 15

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
        assert "2531..2531" in done.stdout
        assert "degC" in done.stdout

    def test_a_serial_line_with_the_model_s_own_settings(self, plant: Plant) -> None:
        done = command("read", "--serial", plant.line, "--unit", "1", "--model", "xy-md02")
        assert done.returncode == 0, done.stderr
        assert "%RH" in done.stdout
        assert "correction" in done.stdout

    @pytest.mark.parametrize(
        ("words", "complaint"),
        [
            (("--tcp", "127.0.0.1:1", "--model", "xy-md02"), "127.0.0.1:1"),
            (("--tcp", "127.0.0.1:x", "--model", "xy-md02"), "HOST:PORT"),
            (("--serial", "/dev/nowhere", "--model", "xy-md02"), "/dev/nowhere"),
            (("--tcp", "127.0.0.1", "--model", "xymd02"), "xy-md02"),
            (("--tcp", "127.0.0.1", "--model", "xy-md02", "--unit", "300"), "1 to 247"),
        ],
    )
    def test_what_is_wrong_is_said_in_one_line(self, words: tuple[str, ...], complaint: str) -> None:
        done = command("read", *words)
        assert done.returncode == 2
        assert complaint in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_unit_that_is_not_there(self, plant: Plant) -> None:
        done = command("read", "--serial", plant.line, "--unit", "99", "--model", "xy-md02", "--timeout", "0.3")
        assert done.returncode == 2
        assert "no answer" in done.stderr


class TestRun:
    @staticmethod
    def start(folder: Path, port: int) -> "subprocess.Popen[str]":
        (folder / "site.toml").write_text(SITE.format(port=port))
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


def test_version_and_help() -> None:
    assert command("--version").stdout.startswith("aurora-gateway ")
    assert command().returncode == 2
