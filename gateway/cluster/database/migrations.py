"""Versions of the schema: files ``NNNN.sql`` beside each engine, applied in order, all in one transaction."""

import re
from collections.abc import Iterator
from importlib import resources
from typing import NamedTuple

NAME = re.compile(r"(\d{4})\.sql")


class Migration(NamedTuple):
    """One step; its version is that of the schema after it."""

    version: int
    sql: str


def migrations(engine: str) -> list[Migration]:
    """The steps of an engine, oldest first."""
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
