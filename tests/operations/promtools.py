"""Prometheus' own programs, and what names its expressions use."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from gateway.metrics import TABLE
from gateway.operations.process import PROCESS_TABLE

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/operations"
KNOWN = {**TABLE, **PROCESS_TABLE}
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
OF_PROMETHEUS = {"instance", "job", "le"}


def program(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is missing: run scripts/install-system-packages test"
    return found


def series_names() -> dict[str, set[str]]:
    """Every series that a gateway can have, with its labels."""
    found = {"up": set(OF_PROMETHEUS)}
    for name, row in KNOWN.items():
        for suffix in SUFFIXES.get(row.kind, ("",)):
            found[name + suffix] = {*row.labels, *OF_PROMETHEUS}
    return found


def mistakes(expression: str) -> Iterator[str]:
    """Series and labels of an expression of PromQL that no gateway has."""
    series = series_names()
    text = re.sub(r'"[^"]*"', '""', expression)
    used = set(re.findall(r"\b((?:aurora|process)_\w+|up)\b(?!\s*\()", text))
    yield from (f"there is no {name}" for name in used if name not in series)
    for name, inside in re.findall(r"\b((?:aurora|process)_\w+|up)\{([^}]*)\}", text):
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside):
            if label not in series.get(name, set()):
                yield f"{name} has no label {label}"
    labels = {label for name in used for label in series.get(name, set())}
    for group in re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", text):
        yield from (f"no series has {label!r}" for label in re.findall(r"\w+", group) if label not in labels)
    if not used:
        yield "no series at all"
