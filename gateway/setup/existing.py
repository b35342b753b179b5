"""A site file that is there already: what it answers, and what of it a new set-up leaves alone."""

import re
import tomllib
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from gateway.buffer.reader import Reader
from gateway.errors import OperatorError, SealError, StorageError
from gateway.seal.batch import open_batch
from gateway.setup.answers import Answers

__all__ = ["answers_of", "issuer_of_journal", "rest_of"]

OURS: Final = frozenset({"gateway", "clock", "web", "cluster"})
"""Tables that the set-up writes; all others are left as they are."""
_HEADER: Final = re.compile(r"\[\[?\s*([A-Za-z0-9_-]+)\s*[\].]")


def rest_of(text: str) -> str:
    """The tables that the set-up does not write, word for word, each with the comments right above it."""
    kept: list[str] = []
    waiting: list[str] = []
    ours = True
    for line in text.splitlines():
        header = _HEADER.match(line)
        if header is not None:
            ours = header[1] in OURS
            if not ours:
                kept += ["", *waiting] if waiting else [""]
            waiting = []
        elif ours and line.startswith("#"):
            waiting.append(line)
            continue
        elif ours:
            waiting = []
        if not ours:
            kept.append(line)
    return "\n".join([*kept, ""]) if kept else ""


def answers_of(text: str) -> dict[str, str]:
    """The answers that a site file gives; empty for one that cannot be read."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}
    gateway, clock, web = (_table(document, name) for name in ("gateway", "clock", "web"))
    found = {name: gateway.get(name) for name in ("member", "site", "language", "time_zone", "data_dir")}
    listen = web.get("listen")
    error_s = clock.get("error_s")
    found |= {
        "gateway": gateway.get("id"),
        "clock": clock.get("source"),
        "clock_error_s": None if error_s is None else str(error_s),
        "listen": "off" if listen is False else listen,
        "broker": _table(document, "cluster").get("broker"),
    }
    return {name: value for name, value in found.items() if isinstance(value, str)}


def issuer_of_journal(answers: Answers) -> str | None:
    """The gateway whose record lies in the data folder; None where there is none, or none that can be read."""
    path = Path(answers.data_dir) / "journal.db"
    if not path.exists():
        return None
    with closing(Reader(path)) as reader:
        try:
            batches = reader.batches("event", 0, 1)
            return open_batch(batches[0].body).iss if batches and batches[0].body is not None else None
        except (StorageError, SealError):
            return None


def refuse_another_s(answers: Answers, urn: str) -> None:
    """A record is never continued under another name."""
    issuer = issuer_of_journal(answers)
    if issuer is not None and issuer != urn:
        raise OperatorError(
            f"the record in {answers.data_dir} is that of {issuer}",
            "keep its names, or move the folder away (it is evidence) and begin a new one",
        )


def _table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name)
    return found if isinstance(found, Mapping) else {}
