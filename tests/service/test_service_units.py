"""The units, judged by systemd's own tools."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "systemd"
EXPOSURE = 17
"""Tenths: what serial lines, Bluetooth, network and reading the clock leave (systemd-analyze security)."""


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("SYSTEMD-ANALYZE IS NOT HERE: the units are not judged (Debian package systemd)")
    return subprocess.run([tool, *map(str, words)], capture_output=True, text=True, check=False, timeout=50)


@pytest.fixture
def rendered(tmp_path: Path) -> Path:
    """The units with a program that is there: verify looks for it."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("aurora-gateway", "aurora-cluster"):
        (programs / name).symlink_to(sys.executable)
    for unit in (path for kind in ("service", "path", "target", "timer") for path in UNITS.glob(f"*.{kind}")):
        text = unit.read_text().replace("/opt/aurora-gateway/bin", str(programs))
        (tmp_path / unit.name).write_text(text)
    return tmp_path


LASTING = sorted(path.name for path in UNITS.glob("*.service") if "retry" not in path.name)


@pytest.mark.parametrize("unit", LASTING)
def test_exposure_is_low(unit: str) -> None:
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", UNITS / unit)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr


@pytest.mark.parametrize(
    "unit", sorted(path.name for path in UNITS.iterdir() if path.suffix in {".service", ".path", ".timer"})
)
def test_systemd_finds_nothing_wrong(rendered: Path, unit: str) -> None:
    done = analyze("verify", "--recursive-errors=yes", "--man=no", rendered / unit)
    # Of a machine without Bluetooth or other units that come first, nothing has to be there.
    assert done.returncode == 0, done.stderr
    assert unit not in done.stderr, done.stderr


def test_a_misspelt_setting_would_be_found(rendered: Path) -> None:
    unit = rendered / "aurora-gateway.service"
    unit.write_text(unit.read_text().replace("WatchdogSec=", "WatchdogSek="))
    done = analyze("verify", "--recursive-errors=yes", "--man=no", unit)
    assert "WatchdogSek" in done.stderr


def test_a_long_watchdog_would_not_be_armed_on_a_raspberry_pi() -> None:
    text = (UNITS / "system.conf.d/50-aurora.conf").read_text()
    for name in ("RuntimeWatchdogSec", "RebootWatchdogSec"):
        (seconds,) = re.findall(rf"^{name}=(\d+)s$", text, re.MULTILINE)
        assert int(seconds) <= 15


class TestRules:
    """udevadm has no offline check in Debian 12; this is the grammar of udev(7) that the file uses."""

    PART = re.compile(r'[A-Z_]+(\{[^}"]+\})?(==|!=|\+=|=)"[^"]*"')

    @staticmethod
    def rules() -> list[list[str]]:
        lines = (UNITS / "udev.rules.d/77-aurora.rules").read_text().splitlines()
        return [line.split(", ") for line in lines if line and not line.startswith("#")]

    def test_each_part_is_key_operator_value(self) -> None:
        for rule in self.rules():
            for part in rule:
                assert self.PART.fullmatch(part), part

    def test_each_goto_has_its_label(self) -> None:
        words = [part for rule in self.rules() for part in rule]
        labels = {part[7:-1] for part in words if part.startswith("LABEL=")}
        assert {part[6:-1] for part in words if part.startswith("GOTO=")} == labels

    def test_every_adapter_is_kept_from_modem_manager(self) -> None:
        assert any('ENV{ID_MM_DEVICE_IGNORE}="1"' in rule for rule in self.rules())
