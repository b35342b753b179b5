"""Device models: how a make of Modbus device is spoken to, as data. One TOML file per model, its proof inside.

The files that come with the package lie in ``models/``; an engineer's own file is named by its path. README.md
beside this module says how to write one.
"""

from pathlib import Path

from firmware_interfaces.errors import ModelError, ModelProblem
from firmware_interfaces.extra import modbus_files
from firmware_interfaces.modbus.modelfile import read_model
from firmware_interfaces.modbus.modeltest import TestFailure, run_tests
from firmware_interfaces.modbus.nouns import Channel, DeviceModel, Fault, LinkFacts, Span, TestCase
from firmware_interfaces.modbus.section import did_you_mean

__all__ = [
    "Channel",
    "DeviceModel",
    "Fault",
    "LinkFacts",
    "Span",
    "TestCase",
    "TestFailure",
    "list_models",
    "load_model",
    "run_tests",
]

MODELS = Path(__file__).parent / "models"
SUFFIX = ".toml"


def list_models() -> list[str]:
    """Names of the models that come with the package, sorted."""
    return sorted(path.stem for path in MODELS.glob(f"*{SUFFIX}"))


def load_model(name_or_path: str | Path) -> DeviceModel:
    """A model by the name that `list_models` gives, or from a file of one's own (a path that ends in .toml).

    Raises `ModelError` with every mistake in the file, or with the names that come near where there is none.
    """
    if isinstance(name_or_path, Path) or name_or_path.endswith(SUFFIX):
        path = Path(name_or_path)
    else:
        path = MODELS / f"{name_or_path}{SUFFIX}"
        if name_or_path not in list_models() and (added := modbus_files().get(name_or_path)) is not None:
            path = added
        elif name_or_path not in list_models():
            hint = did_you_mean(name_or_path, [*list_models(), *modbus_files()])
            problem = ModelProblem("model", f"there is no model {name_or_path!r}", hint)
            raise ModelError(name_or_path, [problem])
    try:
        data = path.read_bytes()
    except OSError as error:
        problem = ModelProblem("file", error.strerror or str(error), "check the path and who may read the file")
        raise ModelError(str(path), [problem]) from error
    return read_model(str(path), path.stem, data)
