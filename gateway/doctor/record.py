"""The end of the chain: whether the newest batches follow each other, and whether the key is the right one."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from gateway.buffer.reader import Reader
from gateway.doctor.fact import Fact, bad, care, good, unknown
from gateway.errors import SealError, StorageError
from gateway.model import StoredBatch, Stream
from gateway.seal.batch import open_batch
from gateway.seal.keys import KEY_NAME, NEXT_SUFFIX, FileSigner
from gateway.site import Site

__all__ = ["chain", "key"]

TAIL: Final = 50
"""Batches of each stream that are looked at; `aurora-gateway verify` looks at all."""
STREAMS: Final[tuple[Stream, ...]] = ("scan", "event")


def chain(site: Site) -> Iterator[Fact]:
    """The newest batches of each stream, and what the cluster has confirmed."""
    path = site.data_dir / "journal.db"
    if not path.exists():
        return
    with closing(Reader(path)) as reader:
        try:
            for stream in STREAMS:
                yield _stream(reader, stream)
        except StorageError as error:
            yield bad("chain", "Chain", f"the journal cannot be read ({error.what})", error.remedy or "see its log")


def _stream(reader: Reader, stream: Stream) -> Fact:
    check, name = f"chain-{stream}", f"Chain of {stream}s"
    bounds = reader.bounds(stream)
    if bounds is None:
        return unknown(check, name, "no batch yet")
    newest = bounds[1]
    batches = reader.batches(stream, max(bounds[0], newest + 1 - TAIL), TAIL)
    fault = _fault(batches)
    if fault:
        remedy = "keep the file as it is, and have `aurora-gateway export --format batches` and `verify` say more"
        return bad(check, name, fault, remedy)
    state = reader.state(stream)
    size = 0 if state is None else state.size
    words = f"whole at its end (batch {newest}); confirmed by the cluster up to {size - 1}" if size else (
        f"whole at its end (batch {newest}); nothing is confirmed by the cluster"
    )  # fmt: skip
    return good(check, name, words)


def _fault(batches: list[StoredBatch]) -> str:
    """What is wrong with a stretch of one stream, empty when nothing is."""
    previous: StoredBatch | None = None
    for batch in batches:
        if previous is not None and batch.seq != previous.seq + 1:
            return f"batches {previous.seq + 1} to {batch.seq - 1} are missing"
        if batch.body is not None:
            try:
                opened = open_batch(batch.body)
            except SealError as error:
                return f"batch {batch.seq} cannot be read ({error.what})"
            if previous is not None and opened.prev != previous.leaf:
                return f"batch {batch.seq} does not follow the one before it"
        previous = batch
    return ""


def key(site: Site) -> Fact:
    """Whether the signing key is there and the one with which the journal goes on."""
    folder, path = site.data_dir / "keys", site.data_dir / "journal.db"
    in_force = None
    if path.exists():
        with closing(Reader(path)) as reader:
            try:
                in_force = reader.key_in_force()
            except StorageError:
                return unknown("key", "Signing key", "the journal, which names it, cannot be read")
    if in_force is None:
        return unknown("key", "Signing key", "not in use yet")
    return _key_of(folder, in_force)


def _key_of(folder: Path, in_force: bytes) -> Fact:
    name = in_force.hex()[:16]
    if _as_credential() and not (folder / KEY_NAME).exists():
        words = f"key {name}; it is a credential of the service and not looked at"
        return unknown("key", "Signing key", words)
    path = folder / KEY_NAME
    if not path.exists():
        remedy = f"restore {path} from the backup; without it the gateway has to be enrolled anew"
        return bad("key", "Signing key", f"key {name}, with which the journal goes on, is not there", remedy)
    successor = path.with_name(path.name + NEXT_SUFFIX)
    try:
        # Looked at alone: a change of key that was cut off is finished by the gateway, not here.
        if FileSigner.load(path).thumbprint != in_force:
            if successor.exists() and FileSigner.load(successor).thumbprint == in_force:
                return good("key", "Signing key", f"key {name}; its change is finished at the next start")
            words = f"{path} is not key {name}, with which the journal goes on"
            return bad("key", "Signing key", words, "restore that key, or enrol the gateway anew")
    except SealError as error:
        if "Permission denied" in error.what:
            return unknown("key", "Signing key", "it is not open to this user", "run doctor as root")
        return bad("key", "Signing key", error.what, "restore the key, or enrol the gateway anew")
    if successor.exists():
        words = f"key {name}; a change of key is not finished"
        return care("key", "Signing key", words, "aurora-gateway keys SITE rotate")
    return good("key", "Signing key", f"key {name}")


def _as_credential() -> bool:
    return any(
        Path(folder, KEY_NAME).exists()
        for folder in ("/etc/credstore.encrypted", "/etc/credstore", "/run/credstore.encrypted")
    )
