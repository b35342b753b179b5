"""A witness for other logs: for an auditor, or for a second cluster. C2SP tlog-witness.

What was cosigned last of each log is a row of ``witnessed``; it is locked while a request is judged and on disk
before the answer, so that no two processes can cosign two histories.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.cluster.database import Database
from gateway.errors import SealError
from gateway.seal.checkpoint import read_checkpoint
from gateway.seal.cose import MessageSigner
from gateway.seal.note import NoteKey, cosign_line, cosignature_kind, read_note
from gateway.seal.witness import MAX_REQUEST, REFUSALS, Seen, judge, read_request

__all__ = ["Answer", "Bench", "application"]

SIZE_TYPE = "text/x.tlog.size"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status of HTTP, media type and body."""

    status: int
    kind: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Bench:
    """A witness under a name, with its key, for the logs of these keys."""

    database: Database
    name: str
    signer: MessageSigner
    logs: Sequence[NoteKey]

    @property
    def key(self) -> NoteKey:
        """What others check its cosignatures with."""
        return NoteKey(self.name, cosignature_kind(self.signer.public), self.signer.public)

    async def add_checkpoint(self, body: bytes, now_ms: int) -> Answer:
        """Judge one ``add-checkpoint`` request; raises `StorageError` when the answer could not be kept."""
        try:
            request = read_request(body)
            origin = read_checkpoint(read_note(request.note).text).origin
            if not any(key.name == origin for key in self.logs):
                raise SealError("unknown-log", f"no key is known for {origin}")
        except SealError as error:
            return _refused(error)
        async with self.database.transaction() as work:
            await work.execute(
                "INSERT INTO witnessed VALUES ($1, 0, $2, '', $3) ON CONFLICT DO NOTHING", origin, b"", now_ms
            )
            ((size, root),) = await work.fetch(
                f"SELECT size, root FROM witnessed WHERE origin = $1{work.dialect.lock}",
                origin,
            )
            try:
                checkpoint, note = judge(request, Seen(int(size), bytes(root)), self.logs)
            except SealError as error:
                return _refused(error, int(size))
            await work.execute(
                "UPDATE witnessed SET size = $1, root = $2, note = $3, at_ms = $4 WHERE origin = $5",
                *(checkpoint.size, checkpoint.root, str(note), now_ms, origin),
            )
        line = cosign_line(note.text, self.name, self.signer, now_ms // 1000)
        return Answer(200, "text/plain; charset=utf-8", str(line).encode())


def _refused(error: SealError, size: int = 0) -> Answer:
    status = REFUSALS[error.kind]
    if status == 409:
        return Answer(status, SIZE_TYPE, f"{size}\n".encode())
    return Answer(status, "text/plain; charset=utf-8", f"{error}\n".encode())


def application(bench: Bench, utc_ms: Callable[[], int]) -> Starlette:
    """The witness behind HTTP: ``POST /add-checkpoint``."""

    async def add_checkpoint(request: Request) -> Response:
        body = bytearray()
        try:
            async for part in request.stream():
                body += part
                if len(body) > MAX_REQUEST:
                    return Response("too large\n", 413)
        except ClientDisconnect:
            return Response(status_code=400)
        answer = await bench.add_checkpoint(bytes(body), utc_ms())
        # A media type with a charset of its own would be changed by the framework.
        return Response(answer.body, answer.status, {"content-type": answer.kind})

    return Starlette(routes=[Route("/add-checkpoint", add_checkpoint, methods=["POST"])])
