"""What the tests share: one machine for all of them, and a loud word where there is none."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vm.container import Container
from vm.image import NoMachine, image
from vm.machine import Machine

NOT_RUN = pytest.StashKey[str]()

__all__ = ["NOT_RUN", "container", "machine", "new_machine", "say_what_was_not_run"]


def new_machine(request: pytest.FixtureRequest, folder: Path, kind: type[Machine] = Machine) -> Machine:
    """A machine that runs and has the project on it. The caller stops it.

    Where there cannot be one, the test is skipped, and the end of the run says so in red; with --need-machine it
    fails instead.
    """
    try:
        made = kind(image(), folder)
        began = time.monotonic()
        made.start()
        print(f"\n{kind.__name__.lower()} up after {time.monotonic() - began:.0f} s")
    except NoMachine as error:
        request.config.stash[NOT_RUN] = str(error)
        if request.config.getoption("--need-machine"):
            pytest.fail(f"no virtual machine: {error}")
        pytest.skip(f"NO VIRTUAL MACHINE: {error}")
    made.install()
    return made


@pytest.fixture(scope="session")
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    kind = Container if request.config.getoption("--container") else Machine
    made = new_machine(request, tmp_path_factory.mktemp("machine"), kind)
    yield made
    made.stop()


@pytest.fixture(scope="session")
def container(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    made = new_machine(request, tmp_path_factory.mktemp("container"), Container)
    assert isinstance(made, Container)
    yield made
    made.stop()


def say_what_was_not_run(terminal: pytest.TerminalReporter, config: pytest.Config) -> None:
    """At the end of a run, where nobody overlooks it."""
    why = config.stash.get(NOT_RUN, "")
    if why:
        terminal.section("NOT RUN: everything that needs the virtual machine", red=True)
        terminal.write_line(why)
