"""`aurora-gateway calculate`: a process calculation over a CSV file, or its formula or table at one value."""

import argparse
import csv
import json
import math
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from gateway.assess.process.calculation import Calculation
from gateway.assess.process.catalogue import CALCULATIONS, make
from gateway.assess.process.offline import Row, calculate, evaluate, trace
from gateway.assess.process.outcome import Refusal
from gateway.assess.process.parameters import Parameter, close_to
from gateway.assess.process.tables import entries
from gateway.errors import AuroraError

__all__ = ["RowsError", "calculate_command", "read_rows", "settings"]

SHOWN = 20
"""Bad rows that are named one by one."""
NOTHING_WRITTEN = {"", "null", "none", "nan", "-"}


class RowsError(AuroraError):
    """A CSV file cannot be used; the message names its bad rows by line."""


def calculate_command(arguments: argparse.Namespace) -> int:
    """Run the command; 0 for a result, 1 for a refusal, 2 where it cannot be done."""
    if arguments.list:
        return _list(arguments.name)
    if arguments.name is None:
        print("aurora-gateway calculate: name a calculation, or --list", file=sys.stderr)
        return 2
    parameters, more = settings(arguments.set), settings(arguments.input)
    if arguments.at:
        found = [evaluate(arguments.name, parameters, at, more) for at in arguments.at]
        for one in found:
            print(json.dumps(one.as_dict()))
        return 1 if any(isinstance(one, Refusal) for one in found) else 0
    if arguments.file is None:
        print("aurora-gateway calculate: name a CSV file (- for standard input), or --at VALUE", file=sys.stderr)
        return 2
    make(arguments.name, parameters)
    with _opened(arguments.file) as file:
        rows = read_rows(file, arguments.file)
        if arguments.trace:
            refused = False
            for t, outcome in trace(arguments.name, parameters, rows):
                print(json.dumps({"t": t, **outcome.as_dict()}))
                refused = isinstance(outcome, Refusal)
            return 1 if refused else 0
        outcome = calculate(arguments.name, parameters, rows)
    print(json.dumps(outcome.as_dict(), indent=2))
    return 1 if isinstance(outcome, Refusal) else 0


def _opened(name: str) -> Any:
    if name == "-":
        return nullcontext(sys.stdin)
    try:
        return Path(name).open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise RowsError(f"{name}: {error.strerror}; check the path and who may read the file") from None


def settings(pairs: Sequence[str]) -> dict[str, Any]:
    """``key=value`` pairs as parameters: values as in TOML, words without quotes; a dotted key is a table's entry.

    Raises `AuroraError` for what is no pair.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, written = pair.partition("=")
        if not equals or not key.strip():
            raise AuroraError(f"{pair!r} is not a setting; write key=value, for example table=fsis-a-7log")
        table, dot, name = key.strip().partition(".")
        if dot:
            inner = found.setdefault(table, {})
            if not isinstance(inner, dict):
                raise AuroraError(f"{table} is given as a value and as a table; write one of both")
            inner[name] = _value(written.strip())
        else:
            found[table] = _value(written.strip())
    return found


def _value(written: str) -> Any:
    try:
        return tomllib.loads(f"x = {written}")["x"]
    except (tomllib.TOMLDecodeError, ValueError, RecursionError):
        return written


def read_rows(file: TextIO | Iterable[str], name: str) -> Iterator[Row]:
    """Rows of a CSV text: ``time,value`` and further inputs by the names of their columns.

    Times are seconds, or ISO 8601 (without an offset: UTC). An empty value is no value. Fields are separated by
    commas, or by semicolons, with decimal commas then allowed. Raises `RowsError` at the end, with every bad row by
    its line.
    """
    bad: list[str] = []
    count = 0
    columns: list[str] | None = None
    before: float | None = None
    lines = _lines(file, name)
    first = next((line for line in lines if line.strip()), "")
    comma = ";" in first
    fields = csv.reader(chain([first], lines), delimiter=";" if comma else ",", strict=True)
    try:
        for written in fields:
            cells = [cell.strip() for cell in written]
            if not any(cells):
                continue
            if columns is None:
                columns, is_header = _columns(cells, name)
                if is_header:
                    continue
            row = _row(cells, columns, before, comma)
            if isinstance(row, Row):
                before = row.t
                yield row
                continue
            count += 1
            if len(bad) < SHOWN:
                bad.append(f"{name}: line {fields.line_num}: {row}")
    except csv.Error as error:
        raise RowsError(f"{name}: line {fields.line_num}: {error}; check that it is a CSV file") from None
    if bad:
        rest = [f"{name}: and {count - len(bad)} more"] if count > len(bad) else []
        raise RowsError("\n".join([*bad, *rest]))
    if columns is None:
        raise RowsError(f"{name}: is empty; write the columns time,value")


def _lines(file: Iterable[str], name: str) -> Iterator[str]:
    """Lines that are text."""
    try:
        for number, line in enumerate(file, 1):
            if "\0" in line:
                raise RowsError(f"{name}: line {number}: has a NUL byte; check that it is a CSV file")
            yield line
    except UnicodeDecodeError:
        raise RowsError(f"{name}: is not UTF-8 text; save it as UTF-8") from None


def _columns(cells: Sequence[str], name: str) -> tuple[list[str], bool]:
    """Names of the columns, and whether this row is the header that says them."""
    if _time(cells[0]) is not None:
        return ["time", "value"], False
    names = [cell.lower() for cell in cells]
    for wanted in ("time", "value"):
        if wanted not in names:
            raise RowsError(f"{name}: line 1: there is no column {wanted!r}; the first line names the columns")
    if len(set(names)) != len(names):
        raise RowsError(f"{name}: line 1: a column is named twice; give each its own name")
    return names, True


def _row(cells: Sequence[str], columns: Sequence[str], before: float | None, comma: bool) -> Row | str:
    """A row, or what is wrong with it and what would be right."""
    if len(cells) < len(columns) or any(cells[len(columns) :]):
        return f"has {len(cells)} fields, not {len(columns)}; write {','.join(columns)}"
    values: dict[str, float | None] = {}
    for column, cell in zip(columns, cells, strict=False):
        if column == "time":
            continue
        try:
            number = None if cell.lower() in NOTHING_WRITTEN else float(cell.replace(",", ".") if comma else cell)
        except ValueError:
            return f"{column}: {cell[:40]!r} is not a number; leave it empty where there is none"
        if number is not None and not math.isfinite(number):
            return f"{column}: {cell[:40]!r} is not finite; leave it empty where there is no value"
        values[column] = number
    cell = cells[list(columns).index("time")]
    t = _time(cell.replace(",", ".") if comma else cell)
    if t is None:
        return f"time: {cell[:40]!r} is not a time; write seconds or ISO 8601"
    if before is not None and t <= before:
        return f"time: {cell[:40]!r} is not later than the row before; sort the rows, keep one of equal times"
    return Row(t, values.pop("value"), values)


def _time(cell: str) -> float | None:
    try:
        seconds = float(cell)
        return seconds if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _list(name: str | None) -> int:
    if name is not None and name not in CALCULATIONS:
        print(f"aurora-gateway calculate: {name!r} is not known; {close_to(name, CALCULATIONS)}", file=sys.stderr)
        return 2
    for kind in CALCULATIONS.values() if name is None else [CALCULATIONS[name]]:
        _describe(kind)
    if name is not None:
        _data(name)
    else:
        print("`calculate NAME --list` lists the published tables and models that it knows, with their sources.")
    return 0


def _describe(kind: type[Calculation]) -> None:
    print(f"{kind.name}: {kind.title}")
    for parameter in kind.parameters:
        print(f"    {parameter.name:16} {parameter.words}{_bounds(parameter)}")
    for name, words in kind.also.items():
        print(f"    column {name:9} {words}")


def _bounds(parameter: Parameter) -> str:
    unit = f" [{parameter.unit}]" if parameter.unit else ""
    if parameter.required:
        return f"{unit}; required"
    shown = str(parameter.default).lower() if isinstance(parameter.default, bool) else parameter.default
    return f"{unit}; default {shown}" if parameter.default is not None else unit


DATA = {
    "lethality": ("heat", "definition"),
    "heat-table": ("heat", "table"),
    "cooling": ("cooling", "rule"),
    "growth": ("growth", "model"),
    "shelf-life": ("spoilage", "product"),
}


def _data(name: str) -> None:
    if name not in DATA:
        return
    print(f"published, for {DATA[name][1] if name != 'lethality' else 'definition'} =")
    for entry in entries(*DATA[name]).values():
        title = entry.get("title") or f"{entry['organism']}, {entry['food']}: {entry['formula']}"
        print(f"    {entry['id']:24} {title}")
        print(f"    {'':24} source: {entry['source']}")
