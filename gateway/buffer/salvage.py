"""A damaged journal: everything readable goes into a new file, the old one is set aside and never deleted."""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from gateway.buffer import schema
from gateway.buffer.carve import Carver
from gateway.buffer.faults import STORE_ERRORS, fault_of
from gateway.buffer.ledger import Ledger
from gateway.buffer.rebuild import Builder
from gateway.buffer.schema import SALVAGED
from gateway.model import ClockClaim, Event
from gateway.seal.columns import encode_events

_COMPANIONS: Final = ("-wal", "-shm", "")
"""Suffixes of a database's files. The log goes first: a new file must never meet an old log."""


@dataclass(frozen=True, slots=True)
class Damaged:
    """A journal to be salvaged: whose it is, what the daemon still knows of it, and the cap of the new one.

    Where ``known`` is given, heads, deliveries and open records are beyond doubt.
    """

    path: Path
    iss: str
    clock: ClockClaim
    known: Ledger | None
    max_bytes: int


def salvage(damaged: Damaged) -> str:
    """Replace a journal by what is readable of it; returns the name of the file set aside.

    The event ``storage.salvaged`` lies in table ``meta`` of the new file, for the first commit. Takes as long as
    reading the old file and writing the new one; raises `StoreError`, and the damaged file is then as before.
    """
    path = damaged.path
    aside = _aside(path, damaged.clock)
    draft = path.with_name(f"{path.name}.salvaging")
    try:
        try:
            _rebuild(damaged, draft, aside.name, lean=False)
        except sqlite3.OperationalError as error:
            if fault_of(error).state != "full":
                raise
            # The bodies that the cluster has are also in the file set aside.
            _rebuild(damaged, draft, aside.name, lean=True)
        draft.rename(path.with_name(f"{path.name}.salvaged.{aside.name}"))
        finish(path)
    except STORE_ERRORS as error:
        raise fault_of(error) from error
    return aside.name


def finish(path: Path) -> None:
    """Put a salvaged journal in its place, if a run was cut off between building it and doing so."""
    for ready in path.parent.glob(f"{path.name}.salvaged.*"):
        aside = path.with_name(ready.name.removeprefix(f"{path.name}.salvaged."))
        for suffix in _COMPANIONS:
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        ready.rename(path)
        _sync_directory(path.parent)


def _aside(path: Path, clock: ClockClaim) -> Path:
    if clock.utc_ms is None:
        stamp = "damaged"
    else:
        stamp = datetime.fromtimestamp(clock.utc_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    names = (f"{path.stem}-{stamp}{count}{path.suffix}" for count in ("", *(f"-{n}" for n in range(2, 10_000))))
    return next(aside for name in names if not (aside := path.with_name(name)).exists())


def _rebuild(damaged: Damaged, draft: Path, aside: str, *, lean: bool) -> None:
    _remove(draft)
    old = damaged.path
    with closing(schema.connect(draft, max_bytes=damaged.max_bytes)) as connection:
        schema.prepare(connection)
        builder = Builder(connection, damaged.iss, damaged.known)
        with closing(Carver(old, old.with_name(f"{old.name}-wal"))) as carver:
            if lean:
                builder.survey(carver.rows())
            builder.take(carver.rows(), lean=lean)
        data = {"set_aside": aside, **builder.complete()}
        event = encode_events([Event("storage.salvaged", damaged.clock.boot_ms, data)])
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO meta(name, value) VALUES(?, ?)", (SALVAGED, event))
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _remove(path: Path) -> None:
    for suffix in _COMPANIONS:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
