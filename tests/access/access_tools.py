"""What the tests of the door share."""

from pathlib import Path

from gateway.access.door import HOUR_MS, Door
from gateway.access.firstcode import first_code
from gateway.access.register import Register
from gateway.model import Event

PASSWORD = "three warm blankets"
ADDRESS = "192.0.2.7"


class Gate:
    """A door with a boot clock that the test moves, and the events it has told."""

    def __init__(self, folder: Path, boot: str = "b1") -> None:
        self.folder = folder
        self.now_ms = 50 * HOUR_MS
        self.events: list[Event] = []
        self.door = Door(folder, boot=boot, now_ms=lambda: self.now_ms, event=self.events.append)
        self.register = Register(self.door)

    async def administrator(self, name: str = "Ana Smit") -> str:
        """The first one; returns her session's cookie."""
        return await self.door.welcome(name, first_code(self.folder), PASSWORD, ADDRESS)

    async def person(self, name: str, role: str, password: str = PASSWORD) -> str:
        """Somebody who was invited and has joined; returns their session's cookie."""
        answer = await self.register.handlers()["people.invite"]({"name": name, "role": role, "person": "Ana Smit"})
        return await self.door.welcome(name, answer["code"], password, ADDRESS)

    def told(self, kind: str) -> list[dict[str, object]]:
        return [event.data for event in self.events if event.kind == kind]
