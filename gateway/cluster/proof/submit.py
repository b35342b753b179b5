"""Ask a witness behind HTTP to cosign the newest checkpoint: the log's side of C2SP tlog-witness."""

import asyncio
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import NamedTuple
from urllib.parse import urlsplit

from gateway.cluster.database import Database
from gateway.cluster.proof.cosigned import keep_line
from gateway.cluster.proof.log import Stored, consistency, newest
from gateway.errors import SealError, SyncError
from gateway.seal.note import Line, NoteKey, read_line
from gateway.seal.witness import Request, write_request

__all__ = ["submit"]

TIMEOUT_S = 20.0
MAX_ANSWER = 64 * 1024


class _Reply(NamedTuple):
    status: int
    body: bytes


async def submit(database: Database, url: str, witness: NoteKey) -> Line | None:
    """Have the newest checkpoint cosigned by the witness at a URL prefix, and keep its line.

    None while there is no checkpoint. Raises `SyncError` when the witness cannot be reached or refuses: a refusal
    with 422, or with 409 where the sizes are equal, means that it has seen another history of this log.
    """
    async with database.transaction(write=False) as work:
        stored = await newest(work)
        if stored is None:
            return None
        rows = await work.fetch("SELECT max(size) FROM cosignature WHERE witness = $1", witness.name)
    begins = int(rows[0][0] or 0)
    reply = await _ask(database, url, stored, begins)
    if reply.status == 409:
        known = _size(reply.body)
        if known != begins and known <= stored.size:
            reply = await _ask(database, url, stored, known)
    if reply.status != 200:
        words = reply.body[:200].decode(errors="replace").strip()
        raise SyncError(f"witness {witness.name} does not cosign {stored.size} leaves: {reply.status} {words}")
    line = _line(reply.body, stored, witness)
    async with database.transaction() as work:
        await keep_line(work, stored.size, line)
    return line


async def _ask(database: Database, url: str, stored: Stored, begins: int) -> _Reply:
    async with database.transaction(write=False) as work:
        path = await consistency(work, begins, stored.size)
    body = write_request(Request(begins, tuple(path), stored.note.encode()))
    try:
        return await asyncio.to_thread(_post, f"{url.rstrip('/')}/add-checkpoint", body)
    except (OSError, HTTPException, ValueError) as error:
        raise SyncError(f"the witness at {url} cannot be reached ({error})") from error


def _post(url: str, body: bytes) -> _Reply:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SyncError(f"{url!r} is no address of a witness; write https://...")
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=TIMEOUT_S)
    try:
        connection.request("POST", parts.path, body, {"Content-Type": "text/plain; charset=utf-8"})
        response = connection.getresponse()
        return _Reply(response.status, response.read(MAX_ANSWER))
    finally:
        connection.close()


def _size(body: bytes) -> int:
    digits = body.removesuffix(b"\n")
    if not digits.isdigit() or len(digits) > 19:
        raise SyncError("the witness answers 409 without the size that it has seen")
    return int(digits)


def _line(body: bytes, stored: Stored, witness: NoteKey) -> Line:
    text = stored.note.split("\n\n")[0] + "\n"
    try:
        lines = [read_line(line) for line in body.decode().removesuffix("\n").split("\n")]
        for line in lines:
            if (line.name, line.id) == (witness.name, witness.id):
                witness.verify(line.signature, text)
                return line
    except (SealError, UnicodeDecodeError) as error:
        raise SyncError(f"the answer of witness {witness.name} does not hold ({error})") from error
    raise SyncError(f"the answer has no line of witness {witness.name} with key {witness.id.hex()}")
