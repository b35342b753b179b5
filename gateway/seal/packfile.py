"""An evidence pack as a file: a ZIP archive in exactly one form, with a signed list of what is in it.

Nothing in the archive is free: entries are stored in the order of their names, uncompressed, with one fixed time,
so that the same files are the same bytes and a changed byte anywhere is found. The list, ``MANIFEST.txt``, is a
signed note (C2SP signed-note) with the SHA-256 of each file.
"""

import struct
from collections.abc import Mapping
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from gateway.errors import SealError
from gateway.seal.cose import MessageSigner
from gateway.seal.findings import Finding
from gateway.seal.note import Note, NoteKey, read_note, sign_line

__all__ = ["MANIFEST", "check_manifest", "pack_bytes", "read_pack", "sign_manifest"]

MANIFEST = "MANIFEST.txt"
TITLE = "aurora-evidence-pack/v1"
MAX_PACK = 2 * 1024**3
_TIME = (1980, 1, 1, 0, 0, 0)
_KIND = "bad-pack"


def sign_manifest(files: Mapping[str, bytes], signer: MessageSigner, origin: str) -> bytes:
    """The signed list of all files but itself; ``origin`` names the cluster."""
    text = f"{TITLE}\n{origin}\n{_list(files)}"
    return str(Note(text, (sign_line(text, origin, signer),))).encode()


def check_manifest(files: Mapping[str, bytes], keys: list[NoteKey]) -> list[Finding]:
    """What is not as the list says, file by file; ``keys`` are those of the cluster that is believed."""
    if MANIFEST not in files:
        return [_finding(MANIFEST, "is not in the pack")]
    try:
        # A list is as long as there are files.
        note = read_note(files[MANIFEST], limit=MAX_PACK)
        if not note.signed_by(keys):
            raise SealError(_KIND, "is not signed by a key of the cluster that is believed")
    except SealError as error:
        return [_finding(MANIFEST, error.what)]
    title, _, *lines = note.text.removesuffix("\n").split("\n")
    if title != TITLE:
        return [_finding(MANIFEST, "is no list of an evidence pack")]
    listed = {path: digest for digest, _, path in (line.partition("  ") for line in lines)}
    found = {path: sha256(content).hexdigest() for path, content in files.items() if path != MANIFEST}
    findings = [_finding(path, "is not in the pack") for path in listed if path not in found]
    findings += [_finding(path, "is not in the list") for path in found if path not in listed]
    findings += [
        _finding(path, "has been altered: it is not the file that the cluster has signed for")
        for path, digest in found.items()
        if listed.get(path, digest) != digest
    ]
    return findings


def pack_bytes(files: Mapping[str, bytes]) -> bytes:
    """The archive: the same files are always the same bytes."""
    out = BytesIO()
    with ZipFile(out, "w", ZIP_STORED) as archive:
        for path in sorted(files):
            entry = ZipInfo(path, _TIME)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[path])
    return out.getvalue()


def read_pack(path: Path) -> dict[str, bytes]:
    """The files of an archive; raises `SealError` ``bad-pack`` for one that is not in its one form."""
    try:
        if path.stat().st_size > MAX_PACK:
            raise SealError(_KIND, f"{path} is larger than {MAX_PACK} bytes")
        return open_pack(path.read_bytes())
    except OSError as error:
        raise SealError(_KIND, f"{path} cannot be read ({error.strerror})") from error


def open_pack(data: bytes) -> dict[str, bytes]:
    """The files of an archive's bytes; raises `SealError` ``bad-pack``."""
    try:
        with ZipFile(BytesIO(data)) as archive:
            entries = archive.infolist()
            if any(entry.compress_type != ZIP_STORED for entry in entries):
                raise SealError(_KIND, "an entry is compressed; entries of a pack are stored")
            files = {entry.filename: archive.read(entry) for entry in entries}
    except (BadZipFile, NotImplementedError, EOFError, ValueError, RuntimeError, OSError, struct.error) as error:
        raise SealError(_KIND, f"the archive is damaged or was altered ({error})") from error
    if pack_bytes(files) != data:
        raise SealError(_KIND, "the archive was altered: it is not in the one form that its files give")
    return files


def _list(files: Mapping[str, bytes]) -> str:
    for path in files:
        if not path.isprintable() or "  " in path:
            raise SealError(_KIND, f"{path!r} is no name for a file of a pack")
    return "".join(f"{sha256(files[path]).hexdigest()}  {path}\n" for path in sorted(files) if path != MANIFEST)


def _finding(path: str, what: str) -> Finding:
    return Finding("error", "altered", "", None, path, what)
