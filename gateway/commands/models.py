"""`aurora-gateway models`: device models, and their own test cases."""

from collections.abc import Sequence

from firmware_interfaces.asked import Model
from firmware_interfaces.ble.models import MODELS, BleModel
from firmware_interfaces.extra import extra
from firmware_interfaces.fileline import FileModel
from firmware_interfaces.modbus.model import DeviceModel, TestFailure, list_models, load_model, run_tests
from firmware_interfaces.serial.models import METERS, list_serial_models
from firmware_interfaces.serial.nouns import TextModel
from firmware_interfaces.serial.texttest import run_text_tests
from gateway.commands.read_serial import find_serial_model

__all__ = ["models_command"]


def models_command(names: Sequence[str]) -> int:
    """Exit status 1 when a model fails a test case of its own."""
    failed = 0
    files = _of_files()
    known = (*list_models(), *extra().modbus, *MODELS, *files, *list_serial_models(), *METERS)
    for name in names or known:
        if name in MODELS:
            _heard(MODELS[name], whole=bool(names))
        elif name in files:
            _behind_files(files[name], whole=bool(names))
        elif (serial := find_serial_model(name)) is None:
            model = load_model(name)
            failed += _tested(model, len(model.tests), run_tests(model), whole=bool(names))
        elif isinstance(serial, TextModel):
            failed += _tested(serial, len(serial.tests), run_text_tests(serial), whole=bool(names))
        else:
            _written(serial, whole=bool(names))
    return 1 if failed else 0


def _tested(model: DeviceModel | TextModel, tests: int, failures: Sequence[TestFailure], *, whole: bool) -> bool:
    """One model that is a file with test cases; True when it fails one."""
    state = f"{tests} of its own tests pass" if not failures else "its own tests FAIL"
    print(f"{model.id:28} {model.title}; {len(model.channels)} channels, {state}")
    for failure in failures:
        print(f"    {failure}")
    if whole:
        print(f"    source: {model.source}")
        for channel in model.channels.values():
            print(f"    {channel.key:24} {channel.unit:8} {channel.title}")
    return bool(failures)


def _written(model: Model, *, whole: bool) -> None:
    """One model that is code: a protocol that describes itself."""
    print(f"{model.id:28} {model.title}; {len(model.channels)} channels")
    if whole:
        print(f"    source: {model.source}")
        for channel in model.channels.values():
            print(f"    {channel.key:24} {channel.unit}".rstrip())


def _heard(model: BleModel, *, whole: bool) -> None:
    """One Bluetooth model, in the words of the others."""
    how = "heard" if model.reader is None else "asked"
    mark = "; not for critical points" if model.not_for_ccp else ""
    print(f"{model.id:28} {model.title}; {len(model.channels)} channels, {how} by Bluetooth{mark}")
    if whole:
        print(f"    source: {model.source}")
        for channel in model.channels.values():
            places = "floating point" if channel.decimals is None else f"{channel.decimals} decimal places"
            print(f"    {channel.key:24} {channel.unit:8} {places}")


def _of_files() -> dict[str, FileModel]:
    """Models of sensors behind the kernel's files."""
    from firmware_interfaces.iio.device import BOARD, INPUTS, inputs_model
    from firmware_interfaces.onewire.sensor import MODELS as ONEWIRE

    described = {INPUTS[kind]: inputs_model(kind, "{}") for kind in INPUTS}
    return {**ONEWIRE, **described, BOARD.id: BOARD}


def _behind_files(model: FileModel, *, whole: bool) -> None:
    what = f"{len(model.channels)} channels" if model.channels else "channels as described"
    print(f"{model.id:28} {model.title}; {what}, by the kernel's files")
    if whole:
        print(f"    source: {model.source}")
        for channel in model.channels.values():
            print(f"    {channel.key:24} {channel.unit:8} {channel.title}")
