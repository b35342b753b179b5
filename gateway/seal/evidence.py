"""Evidence as it lies on a disk: files of batches, receipts and public keys."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from gateway.errors import SealError
from gateway.seal import cbor
from gateway.seal.batch import OpenBatch, open_batch
from gateway.seal.cose import MAX_MESSAGE, PublicKey
from gateway.seal.findings import Finding
from gateway.seal.receipt import MAX_ANSWER, Receipt, read_receipt

BATCH, SEQUENCE, RECEIPT, KEY = ".cose", ".cbor-seq", ".receipt", ".pem"
CLUSTER_KEY = "cluster"
"""A PEM file whose name begins so holds a key of the cluster; the others hold keys of gateways."""
MAX_KEY = 16 * 1024

T = TypeVar("T")


@dataclass(slots=True)
class Evidence:
    """The files by what they hold; keys and receipts are read, batches are read as often as `batches` is called."""

    batch_files: list[Path] = field(default_factory=list)
    receipts: list[tuple[str, Receipt]] = field(default_factory=list)
    gateway_keys: list[PublicKey] = field(default_factory=list)
    cluster_keys: list[PublicKey] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def batches(self) -> Iterator[tuple[str, OpenBatch | SealError]]:
        """Each batch in the order of the files, or why it is none; the place is ``file`` or ``file#number``."""
        for path in self.batch_files:
            if path.suffix == BATCH:
                yield str(path), _read(path, MAX_MESSAGE, open_batch)
            else:
                yield from _sequence(path)


def gather(paths: Iterable[Path]) -> Evidence:
    """Sort files by their endings and read keys and receipts. Other endings are left alone."""
    evidence = Evidence()
    for path in paths:
        if path.suffix in (BATCH, SEQUENCE):
            evidence.batch_files.append(path)
        elif path.suffix == RECEIPT:
            receipt = _read(path, MAX_ANSWER, read_receipt)
            if isinstance(receipt, SealError):
                evidence.findings.append(Finding("error", "bad-receipt", "", None, str(path), str(receipt)))
            else:
                evidence.receipts.append((str(path), receipt))
        elif path.suffix == KEY:
            key = _read(path, MAX_KEY, PublicKey.from_pem)
            if isinstance(key, SealError):
                evidence.findings.append(Finding("error", "bad-key", "", None, str(path), str(key)))
            elif path.name.startswith(CLUSTER_KEY):
                evidence.cluster_keys.append(key)
            else:
                evidence.gateway_keys.append(key)
    return evidence


def files_of(folder: Path) -> list[Path]:
    """All files below a folder, numbers in names by their value, so that 10 follows 9."""
    return sorted((path for path in folder.rglob("*") if path.is_file()), key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdecimal() and part.isascii() else (-1, part) for part in parts]


def _read(path: Path, limit: int, parse: Callable[[bytes], T]) -> T | SealError:
    try:
        with path.open("rb") as file:
            return _parse(file.read(limit + 1), parse)
    except OSError as error:
        return SealError("unreadable", f"cannot be read ({error.strerror})")


def _sequence(path: Path) -> Iterator[tuple[str, OpenBatch | SealError]]:
    number = 0
    try:
        with path.open("rb") as file:
            for number, item in enumerate(cbor.items(file, "not-cose"), start=1):
                yield f"{path}#{number}", _parse(item, open_batch)
    except SealError as error:
        yield f"{path}#{number + 1}", SealError(error.kind, f"{error.what}; the rest of the file is not read")
    except OSError as error:
        yield str(path), SealError("unreadable", f"cannot be read ({error.strerror})")


def _parse(data: bytes, parse: Callable[[bytes], T]) -> T | SealError:
    try:
        return parse(data)
    except SealError as error:
        return error
