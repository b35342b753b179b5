"""The one tree of exceptions of this package. Each names the quality that its cause gives to a sample."""

from dataclasses import dataclass

from firmware_interfaces.quality import Quality

__all__ = [
    "BadFrame",
    "BusError",
    "CodeError",
    "DeviceRefused",
    "FirmwareError",
    "ModelError",
    "ModelProblem",
    "NoAnswer",
    "NotConnected",
]

EXCEPTION_WORDS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge",
    6: "server device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}
"""Exception codes (Modbus Application Protocol V1.1b3, section 7)."""


class FirmwareError(Exception):
    """Root of all errors that this package raises on purpose."""


class BusError(FirmwareError):
    """A request brought no data; ``quality`` is what its samples are recorded with."""

    quality = Quality.BUS_DOWN


class NotConnected(BusError):  # noqa: N818 - named for what happened on the line
    """There is no connection to the bus, or it was lost while an answer was awaited."""


class NoAnswer(BusError):  # noqa: N818 - named for what happened on the line
    """The device did not answer within the time limit."""

    quality = Quality.TIMEOUT


class BadFrame(BusError):  # noqa: N818 - named for what happened on the line
    """An answer was damaged or not for the request; ``raw`` holds the bytes that came."""

    quality = Quality.BAD_FRAME

    def __init__(self, what: str, raw: bytes = b"") -> None:
        self.raw = raw
        super().__init__(f"{what} [{raw.hex()}]" if raw else what)


class DeviceRefused(BusError):  # noqa: N818 - named for what happened on the line
    """The device answered with a Modbus exception; ``code`` is its number, ``words`` its name."""

    quality = Quality.DEVICE_EXCEPTION

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"device answered with exception {code} ({self.words})")

    @property
    def words(self) -> str:
        """The name that the protocol gives to the code."""
        return EXCEPTION_WORDS.get(self.code, "unknown exception")


@dataclass(frozen=True, slots=True)
class ModelProblem:
    """One mistake in a device model file.

    ``path`` is the place in words of the file (``channel[2].scale``), ``what`` is what is wrong and
    ``remedy`` what would be right.
    """

    path: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}; {self.remedy}"


class ModelError(FirmwareError):
    """A device model cannot be used; ``problems`` holds every mistake found in its file."""

    def __init__(self, source: str, problems: list[ModelProblem]) -> None:
        self.source = source
        self.problems = problems
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))


class CodeError(FirmwareError):
    """A scanned code cannot be used; ``what`` names what is broken in it, ``remedy`` what would help."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}; {remedy}")
