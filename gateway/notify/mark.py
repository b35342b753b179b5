"""How far an output has been given values: what has to outlive the process, so that nothing is left out after it.

The values themselves are in the journal already, so no second queue is written beside it; a mark of a few hundred
bytes says from where on they are to be read again.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gateway.model import ClockClaim, DeviceLayout, Miss, Scan

__all__ = ["Mark", "Recall", "Recalled", "last_slot"]


@dataclass(frozen=True, slots=True)
class Mark:
    """All that was recorded before ``at_ms`` (boot time of ``boot``) has been given, and of each device in
    ``slots`` all up to that slot of that boot.
    """

    boot: bytes
    at_ms: int
    slots: Mapping[str, tuple[bytes, int]]

    def text(self) -> str:
        """As it is kept."""
        slots = {device: [boot.hex(), slot] for device, (boot, slot) in self.slots.items()}
        return json.dumps({"boot": self.boot.hex(), "at_ms": self.at_ms, "slots": slots})

    @classmethod
    def of_text(cls, text: str) -> "Mark | None":
        """What was kept; None where that cannot be read."""
        try:
            found = json.loads(text)
            slots = {
                str(device): (bytes.fromhex(boot), int(slot)) for device, (boot, slot) in found["slots"].items()
            }
            return cls(bytes.fromhex(found["boot"]), int(found["at_ms"]), slots)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def covers(self, boot: bytes, device: str, slot: int, at_ms: int) -> bool:
        """Whether a record of that boot has been given. For records from the newest back to those of ``boot``."""
        known = self.slots.get(device)
        if known is not None and known[0] == boot:
            return slot <= known[1]
        return boot == self.boot and at_ms < self.at_ms


class Recalled(NamedTuple):
    """A record as the journal has it, with the clock of its time."""

    clock: ClockClaim
    device: DeviceLayout
    record: Scan | Miss


Recall = Callable[[Mark, int], Awaitable[tuple[list[Recalled], bool]]]
"""Records that a mark does not cover, oldest first, only the newest so many; and whether that is all of them."""


def last_slot(record: Scan | Miss) -> int:
    """The last slot that a record speaks for."""
    return record.slot if isinstance(record, Scan) else record.slot + record.count - 1
