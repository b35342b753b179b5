"""The compiled core, each part beside a pure-Python twin that says the same in readable words.

``COMPILED`` tells whether the compiled parts are in use. GATEWAY_REQUIRE_CORE=1 makes their absence an error,
GATEWAY_PURE=1 chooses the twins (for tests that hold the two together).
"""

import os
from importlib import import_module
from types import ModuleType

REQUIRED = os.environ.get("GATEWAY_REQUIRE_CORE") == "1"
PURE = os.environ.get("GATEWAY_PURE") == "1"


def compiled(name: str) -> ModuleType | None:
    """The compiled module ``gateway_core.<name>``, or None where the twin has to serve."""
    if PURE:
        return None
    try:
        return import_module(f"gateway_core.{name}")
    except ImportError as error:
        if REQUIRED:
            message = f"GATEWAY_REQUIRE_CORE=1, but gateway_core.{name} is not compiled; run: make build"
            raise ImportError(message) from error
        return None
