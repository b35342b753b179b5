"""The same tests on real hardware or on what stands in for it.

pytest hil_tests                                                # a simulated line, a virtual machine
pytest hil_tests --line /dev/serial/by-id/usb-... --unit 1      # an XY-MD02 on a real RS-485 adapter
pytest hil_tests --adapter hci0                                 # this machine's own Bluetooth adapter
pytest hil_tests/test_hil_service.py --container                # systemd at full speed, without udev
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from vm.fixtures import container, machine, say_what_was_not_run

__all__ = ["Line", "container", "line", "machine"]

ROOT = Path(__file__).parents[1]


class Line(NamedTuple):
    """A serial line with an XY-MD02 on it."""

    device: str
    unit: int
    baud: int


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--line", help="serial port with an XY-MD02 (default: simulated)")
    parser.addoption("--unit", type=int, default=1, help="its unit id")
    parser.addoption("--baud", type=int, default=9600)
    parser.addoption("--adapter", help="Bluetooth adapter of this machine (default: virtual ones)")
    parser.addoption("--container", action="store_true", help="a container at full speed instead of the machine")
    parser.addoption("--need-machine", action="store_true", help="fail where the virtual machine cannot be had")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    say_what_was_not_run(terminalreporter, config)


@pytest.fixture(scope="session")
def line(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    port = request.config.getoption("--line")
    if port:
        yield Line(port, request.config.getoption("--unit"), request.config.getoption("--baud"))
        return
    link = tmp_path_factory.mktemp("line") / "tty"
    words = [sys.executable, "-m", "gateway.demo.facility", "--tcp", "127.0.0.1:0", "--rtu", str(link)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as plant:
        assert plant.stdout is not None
        assert "facility ready" in plant.stdout.readline()
        yield Line(str(link), 1, 9600)
        plant.terminate()
