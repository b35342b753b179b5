"""Who may not reset an adapter asks who may: by a file, answered by its end or by the reason."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from firmware_interfaces.ble.bluez import BluezRefused, reset_adapter
from firmware_interfaces.ble.resetting import ask_reset, carry_out, resetter


@contextmanager
def unit(folder: Path, reset: Callable[[str], None]) -> Iterator[None]:
    """Looks into the folder as the path unit does."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.01):
            carry_out(folder, reset)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_it_is_done_and_nothing_stays(tmp_path: Path) -> None:
    done: list[str] = []
    with unit(tmp_path, done.append):
        ask_reset(tmp_path, "hci1")
    assert done == ["hci1"]
    assert not list(tmp_path.iterdir())


def test_why_it_could_not_be_done_comes_back(tmp_path: Path) -> None:
    def refuse(name: str) -> None:
        raise BluezRefused(f"reset of {name}: the adapter is gone")

    with unit(tmp_path, refuse), pytest.raises(BluezRefused, match="the adapter is gone"):
        ask_reset(tmp_path, "hci0")
    assert not list(tmp_path.iterdir())


def test_where_nobody_does_it_the_request_is_withdrawn(tmp_path: Path) -> None:
    with pytest.raises(BluezRefused, match=r"aurora-radio-reset\.path"):
        ask_reset(tmp_path, "hci0", wait_s=0.05)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(BluezRefused, match="cannot be asked for"):
        ask_reset(tmp_path / "none", "hci0")


@pytest.mark.parametrize("name", ["hci", "hci0/../x", "eth0", "hci0\n", "hci12345", ""])
def test_only_an_adapter_s_name_is_taken(tmp_path: Path, name: str) -> None:
    with pytest.raises(BluezRefused, match="no adapter"):
        ask_reset(tmp_path, name)
    assert not list(tmp_path.iterdir())


def test_requests_of_another_form_are_thrown_away(tmp_path: Path) -> None:
    done: list[str] = []
    for name in ("reset-eth0", "reset-hci0", "other"):
        (tmp_path / name).touch()
    assert carry_out(tmp_path, done.append) == {"hci0": ""}
    assert done == ["hci0"]
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_only_a_service_asks(tmp_path: Path) -> None:
    assert resetter({}) is reset_adapter
    asking = resetter({"RUNTIME_DIRECTORY": f"{tmp_path}:/run/other"})
    assert isinstance(asking, partial)
    assert asking.args == (tmp_path,)
