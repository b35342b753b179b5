"""Versions of the schema: files ``NNNN.sql`` beside each engine, applied in order, all in one transaction."""

import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import NamedTuple

NAME = re.compile(r"(\d{4})\.sql")


class Migration(NamedTuple):
    """One step; its version is that of the schema after it."""

    version: int
    sql: str


def steps(engine: str, version: int) -> list[Migration]:
    """What brings a schema of ``version`` to this release's, oldest first."""
    return [step for step in _migrations(engine) if step.version > version]


def newest(engine: str) -> int:
    """The version of this release's schema."""
    return _migrations(engine)[-1].version


@cache
def _migrations(engine: str) -> list[Migration]:
    folder = resources.files("gateway.cluster.database") / engine
    found = [
        Migration(int(match[1]), path.read_text(encoding="utf-8"))
        for path in folder.iterdir()
        if (match := NAME.fullmatch(path.name)) is not None
    ]
    return sorted(found)


def statements(sql: str) -> Iterator[str]:
    """The statements of a migration; none of them holds a semicolon, but for function bodies between ``$$``."""
    quoted = False
    kept = ""
    for part in re.split(r"(\$\$|;)", sql):
        quoted ^= part == "$$"
        if part == ";" and not quoted:
            if kept.strip():
                yield kept.strip()
            kept = ""
        else:
            kept += part
    if kept.strip():
        yield kept.strip()
