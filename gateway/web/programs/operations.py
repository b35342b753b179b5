"""All that a program may ask: from this table come the paths, the checks of what is sent, and the OpenAPI text."""

from typing import Final

from gateway.web.programs.engineering import ENGINEERING
from gateway.web.programs.everyday import EVERYDAY
from gateway.web.programs.nouns import Operation

__all__ = ["OPERATIONS", "Operation"]

OPERATIONS: Final[tuple[Operation, ...]] = (*EVERYDAY, *ENGINEERING)
