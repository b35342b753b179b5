"""`aurora-gateway models`: device models, and their own test cases."""

from collections.abc import Sequence

from firmware_interfaces.ble.models import MODELS, BleModel
from firmware_interfaces.modbus.model import list_models, load_model, run_tests

__all__ = ["models_command"]


def models_command(names: Sequence[str]) -> int:
    """Exit status 1 when a model fails a test case of its own."""
    failed = 0
    for name in names or (*list_models(), *MODELS):
        if name in MODELS:
            _heard(MODELS[name], whole=bool(names))
            continue
        model = load_model(name)
        failures = run_tests(model)
        failed += bool(failures)
        state = f"{len(model.tests)} of its own tests pass" if not failures else "its own tests FAIL"
        print(f"{model.id:28} {model.title}; {len(model.channels)} channels, {state}")
        for failure in failures:
            print(f"    {failure}")
        if names:
            print(f"    source: {model.source}")
            for channel in model.channels.values():
                print(f"    {channel.key:24} {channel.unit:8} {channel.title}")
    return 1 if failed else 0


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
