"""The device models that a site file names: loaded once each, with the mistakes of a member's own files."""

from pathlib import Path

from firmware_interfaces.errors import ModelError, ModelProblem
from firmware_interfaces.modbus.model import DeviceModel, load_model

__all__ = ["ModelBook"]


class ModelBook:
    """Models by their name in the site file; a name that ends in .toml is a file beside the site file."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._found: dict[str, DeviceModel | list[ModelProblem]] = {}

    def name(self, written: str) -> str:
        """What `load_model` takes: the built-in name, or the whole path of a file."""
        return str((self._base / written).absolute()) if written.endswith(".toml") else written

    def get(self, written: str) -> DeviceModel | None:
        """The model; None when it cannot be used, for which `problems` tells why."""
        if written not in self._found:
            try:
                self._found[written] = load_model(self.name(written))
            except ModelError as error:
                self._found[written] = error.problems
        found = self._found[written]
        return found if isinstance(found, DeviceModel) else None

    def problems(self, written: str) -> list[ModelProblem]:
        """The mistakes in a model that `get` did not give."""
        found = self._found[written]
        return found if isinstance(found, list) else []
