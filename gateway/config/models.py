"""The device models that a site file names: loaded once each, with the mistakes of a member's own files."""

from collections.abc import Callable
from pathlib import Path

from firmware_interfaces.asked import Model
from firmware_interfaces.errors import ModelError, ModelProblem
from firmware_interfaces.modbus.model import DeviceModel, load_model

__all__ = ["ModelBook"]


class ModelBook:
    """Models by their name in the site file; a name that ends in .toml is a file beside the site file."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._found: dict[str, Model | list[ModelProblem]] = {}

    def name(self, written: str) -> str:
        """What `load_model` takes: the built-in name, or the whole path of a file."""
        return str((self._base / written).absolute()) if written.endswith(".toml") else written

    def get(self, written: str) -> DeviceModel | None:
        """A Modbus model; None when it cannot be used, for which `problems` tells why."""
        found = self.get_as(load_model, written)
        return found if isinstance(found, DeviceModel) else None

    def get_as(self, load: Callable[[str], Model], written: str) -> Model | None:
        """The model that ``load`` gives, in the same way."""
        if written not in self._found:
            try:
                self._found[written] = load(self.name(written))
            except ModelError as error:
                self._found[written] = error.problems
        found = self._found[written]
        return None if isinstance(found, list) else found

    def problems(self, written: str) -> list[ModelProblem]:
        """The mistakes in a model that `get` did not give."""
        found = self._found[written]
        return found if isinstance(found, list) else []
