"""The one tree of exceptions. Each carries its data, and says what would mend it where that is known."""

from dataclasses import dataclass


class AuroraError(Exception):
    """Root of all errors that the gateway raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file a person wrote.

    ``path`` is the place in words of the file (``device[2].model``), ``line`` counts from 1 where it is
    known, ``what`` is what is wrong and ``remedy`` what would be right.
    """

    path: str
    what: str
    remedy: str
    line: int | None = None

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        return f"{where}{self.path}: {self.what}; {self.remedy}"


class ConfigError(AuroraError):
    """A site file cannot be used; ``problems`` holds every mistake found in it."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        self.source = source
        self.problems = problems
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))


class StorageError(AuroraError):
    """The journal cannot be read or written; ``remedy`` says what to look at."""

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}; {remedy}" if remedy else what)


class AwayError(StorageError):
    """The store cannot be reached now, and may be again without anybody's doing."""


class UnfitError(StorageError):
    """A value that the store cannot hold; the store itself is well."""


class OperatorError(AuroraError):
    """What a person asked for cannot be done; ``remedy`` says what can."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}; {remedy}")


class AccessError(AuroraError):
    """Somebody may not do what they asked for, or cannot be let in; ``remedy`` says what would help."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}; {remedy}")


class SealError(AuroraError):
    """A batch, receipt or key is not what it should be; ``kind`` is a short stable name of the fault."""

    def __init__(self, kind: str, what: str) -> None:
        self.kind = kind
        self.what = what
        super().__init__(f"{kind}: {what}")


class SyncError(AuroraError):
    """The cluster cannot be reached or answers what it should not."""


class RecordError(AuroraError):
    """A record cannot be made as it was asked for; ``what`` is wrong, ``remedy`` says what would be right."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}; {remedy}")


class EpcisError(AuroraError):
    """Something has no right form in EPCIS; ``what`` is wrong, ``remedy`` says what would be right."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}; {remedy}")
