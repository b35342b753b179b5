"""Requests of gateways: taken in, compared by their code, approved or refused once; nothing counts before that."""

import json
from base64 import b64decode, b64encode
from binascii import Error as BadBase64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal, NamedTuple

from cryptography import x509

from gateway.cluster.database import Database, Row, Work
from gateway.cluster.enrolment import NAME
from gateway.cluster.identity.authority import Authority, checked_certificate, until_ms
from gateway.cluster.identity.certificates import LONGEST_NAME, pem
from gateway.cluster.identity.rows import Staff, known, locked_sizes, note, signs_on, state_deed
from gateway.cluster.nouns import STREAMS, Enrolled, KeyTerm
from gateway.cluster.store import Store
from gateway.errors import OperatorError, SealError
from gateway.model import Stream
from gateway.seal.request import Request, read_code, read_request
from gateway.site import Identity

__all__ = [
    "Approved",
    "Waiting",
    "approve",
    "approved",
    "csr_of",
    "keep_certificate",
    "listed",
    "plain_code",
    "read_file",
    "refuse",
    "reopen",
    "take_in",
]

MOST_OPEN: Final = 1000
"""Requests that wait for a person at most; more than that is no work for people, but a flood."""
FORGOTTEN_MS: Final = 30 * 86_400_000
"""A request that nobody has decided for so long makes room."""
LIFE: Final = timedelta(days=365)
FILE_LIMIT: Final = 64 * 1024

State = Literal["open", "approved", "refused"]


class Waiting(NamedTuple):
    """A request as staff see it. ``kind`` says what approving it would do; names are empty for a box without."""

    code: str
    thumbprint: bytes
    member: str
    site: str
    gateway: str
    state: State
    asked_ms: int
    decided_ms: int | None
    decided_by: str | None
    kind: str


@dataclass(frozen=True, slots=True)
class Approved:
    """What an approval came to: enough to write the answer for the gateway, now or once more."""

    identity: Identity
    thumbprint: bytes
    certificate: bytes
    at_ms: int


def read_file(path: Path) -> bytes:
    """The signed request in a file that a gateway wrote (JSON, member ``request``); raises `OperatorError`."""
    remedy = "use the file that `aurora-gateway setup` or `keys request` wrote"
    try:
        with path.open("rb") as file:
            text = file.read(FILE_LIMIT + 1)
    except OSError as error:
        raise OperatorError(f"{path} cannot be read ({error.strerror})", "see its name") from error
    try:
        if len(text) > FILE_LIMIT:
            raise ValueError("it is too large")
        content = json.loads(text)
        return b64decode(content["request"], validate=True)
    except (ValueError, TypeError, KeyError, BadBase64) as error:
        raise OperatorError(f"{path} holds no request ({error})", remedy) from error


async def take_in(database: Database, data: bytes, staff: Staff) -> Waiting:
    """Keep a request for a person to decide; the same one any number of times is one.

    A newer one of the same signing key with another TLS key takes the place of an older one. Raises `OperatorError`
    for one that is not what it should be, ``replayed``, refused before, or one too many.
    """
    request = _read(data)
    for name in request.names.values():
        _check_name(name)
    async with database.transaction() as work:
        thumbprint = request.public.thumbprint
        await _make_room(work, staff.now_ms)
        query = f"SELECT content, state FROM request WHERE thumbprint = $1{work.dialect.lock}"
        rows = await work.fetch(query, thumbprint)
        content = b64encode(data).decode()
        if not rows:
            await _check_flood(work)
        if not rows or _is_newer(request, rows[0][0], rows[0][1]):
            names = [request.names.get(name, "") for name in ("member", "site", "gateway")]
            await work.execute(
                "INSERT INTO request (thumbprint, code, member, site, gateway, content, asked_ms, state) "
                "VALUES ($1, $2, $3, $4, $5, $6, $7, 'open') ON CONFLICT (thumbprint) DO UPDATE SET "
                "code = excluded.code, member = excluded.member, site = excluded.site, "
                "gateway = excluded.gateway, content = excluded.content, asked_ms = excluded.asked_ms, "
                "state = 'open', decided_ms = NULL, decided_by = NULL",
                thumbprint,
                request.code,
                *names,
                content,
                staff.now_ms,
            )
            await note(work, staff, "request", code=request.code, key=thumbprint.hex(), **request.names)
        return await _by_code(work, request.code)


async def listed(database: Database, state: State | None = "open") -> list[Waiting]:
    """The requests in a state, oldest first; all for None."""
    async with database.transaction(write=False) as work:
        rows = await work.fetch(f"{_SELECT} ORDER BY asked_ms, code")
        return [await _waiting(work, row) for row in rows if state is None or row[5] == state]


async def approve(
    database: Database,
    code: str,
    staff: Staff,
    authority: Authority,
    *,
    names: Mapping[str, str] | None = None,
    certificate: bytes | None = None,
    replacing: bool = False,
    life: timedelta = LIFE,
) -> Approved:
    """Enrol the signing key and certify the TLS key of a request, in one transaction.

    ``names`` are those of a box that has none; ``certificate`` is what another authority made of the request.
    ``replacing`` has to be said to admit another key for a gateway that is enrolled, whose own key has been cut
    off. Raises `OperatorError`; then nothing has changed.
    """
    code = plain_code(code)
    async with database.transaction() as work:
        request = await _open_request(work, code, lock=True)
        identity = _identity(request, names or {})
        gateway = await Store(work).gateway(identity.client)
        if gateway is None:
            if replacing:
                raise OperatorError(f"no gateway is enrolled as {identity.client}", "there is nothing to replace")
            gateway = await Store(work).enrol(identity, staff.now_ms)
        elif gateway.identity != identity:
            raise OperatorError(
                f"{identity.client} is {gateway.identity.urn} at {gateway.identity.site}, not {identity.site}",
                "a gateway keeps its names; one for another place needs another name",
            )
        origin = await _take_key(work, gateway, request, staff, replacing=replacing)
        if certificate is None:
            made = authority.client(identity.client, request.tls, staff.now_ms, life)
            text = pem(made).decode()
        else:
            text = checked_certificate(certificate, authority, identity.client, request.tls)
        serial = await keep_certificate(work, identity.client, text, staff.now_ms)
        await work.execute(
            "UPDATE request SET state = 'approved', decided_ms = $2, decided_by = $3, member = $4, site = $5, "
            "gateway = $6 WHERE thumbprint = $1",
            request.public.thumbprint,
            staff.now_ms,
            staff.person,
            identity.member,
            identity.site,
            identity.gateway,
        )
        await note(
            work,
            staff,
            "approved",
            client=identity.client,
            code=code,
            key=request.public.thumbprint.hex(),
            tls=request.spki.hex(),
            certificate=serial,
            origin=origin,
        )
    return Approved(identity, request.public.thumbprint, text.encode(), staff.now_ms)


async def approved(database: Database, code: str) -> Approved:
    """An approval of before, for an answer that was lost on the way; raises `OperatorError`."""
    code = plain_code(code)
    async with database.transaction(write=False) as work:
        found = await _by_code(work, code)
        if found.state != "approved" or found.decided_ms is None:
            raise OperatorError(f"request {code} is {found.state}", "aurora-cluster approve CODE")
        identity = Identity(member=found.member, site=found.site, gateway=found.gateway)
        rows = await work.fetch(
            "SELECT pem FROM certificate WHERE client = $1 AND issued_ms = $2", identity.client, found.decided_ms
        )
    return Approved(identity, found.thumbprint, str(rows[0][0]).encode(), found.decided_ms)


async def csr_of(database: Database, code: str) -> bytes:
    """The PKCS #10 request in PEM form, for another authority; raises `OperatorError`."""
    async with database.transaction(write=False) as work:
        return (await _open_request(work, plain_code(code))).csr_pem()


async def refuse(database: Database, code: str, staff: Staff, why: str) -> None:
    """Turn a request down; its signing key stays refused until somebody reopens it. Raises `OperatorError`."""
    await _decide(database, plain_code(code), staff, "refused", why)


async def reopen(database: Database, code: str, staff: Staff, why: str) -> None:
    """Take a refusal back; raises `OperatorError`."""
    await _decide(database, plain_code(code), staff, "open", why)


async def keep_certificate(work: Work, client: str, text: str, now_ms: int) -> str:
    """Keep a certificate; its serial. Raises `OperatorError` when it is known already."""
    found = x509.load_pem_x509_certificate(text.encode())
    serial = f"{found.serial_number:x}"
    if await work.fetch("SELECT 1 FROM certificate WHERE serial = $1", serial):
        raise OperatorError(f"certificate {serial} is known already", "each request needs a new one")
    await work.execute(
        "INSERT INTO certificate (serial, client, pem, issued_ms, until_ms) VALUES ($1, $2, $3, $4, $5)",
        serial,
        client,
        text,
        now_ms,
        until_ms(found),
    )
    return serial


async def _take_key(work: Work, gateway: Enrolled, request: Request, staff: Staff, *, replacing: bool) -> str:
    """See to it that the request's signing key signs for the gateway from now on; how it came to that."""
    sizes = await locked_sizes(work, gateway.id)
    # Somebody may have revoked it while this waited for the lock.
    gateway = await known(work, gateway.identity.client)
    store = Store(work)
    held = await store.terms(gateway.id)
    client, new = gateway.identity.client, request.public
    nothing: dict[Stream, int | None] = dict.fromkeys(STREAMS)
    if not held:
        beginning: dict[Stream, int] = dict.fromkeys(STREAMS, 0)
        await store.save_terms(gateway.id, [KeyTerm(new, "enrolled", staff.now_ms, beginning, nothing)])
        await state_deed(work, staff, gateway, "enrolled", why="", key=new.thumbprint, event=0, scan=0)
        return "enrolled"
    last = held[-1]
    if last.public == new and signs_on(last) and not replacing:
        if gateway.revoked_ms is not None:
            raise OperatorError(f"{client} is revoked", "aurora-cluster reinstate CLIENT, or replace its key")
        return "renewed"
    if not replacing:
        raise OperatorError(
            f"{client} is enrolled with another key ({last.public.thumbprint.hex()[:16]})",
            "is it the same gateway? then aurora-cluster cut-off and replace; else it needs another name",
        )
    if signs_on(last):
        raise OperatorError(f"the key of {client} still signs", "aurora-cluster cut-off CLIENT comes first")
    if any(term.public == new for term in held):
        raise OperatorError("the request is signed by a key that was the gateway's before", "it needs a new key")
    first: dict[Stream, int] = {
        stream: max(last.end[stream] or 0, size) for stream, size in zip(STREAMS, sizes, strict=True)
    }
    await store.save_terms(gateway.id, [*held, KeyTerm(new, "replaced", staff.now_ms, first, nothing)])
    await work.execute("UPDATE gateway SET revoked_ms = NULL WHERE id = $1", gateway.id)
    await state_deed(
        work,
        staff,
        gateway,
        "replaced",
        why="",
        key=last.public.thumbprint,
        successor=new.thumbprint,
        event=first["event"],
        scan=first["scan"],
    )
    return "replaced"


async def _decide(database: Database, code: str, staff: Staff, state: State, why: str) -> None:
    before = {"refused": "open", "open": "refused"}[state]
    async with database.transaction() as work:
        found = await _by_code(work, code, lock=True)
        if found.state != before:
            raise OperatorError(_decided(found), "aurora-cluster requests --all lists them")
        by = (staff.now_ms, staff.person) if state == "refused" else (None, None)
        await work.execute(
            "UPDATE request SET state = $2, decided_ms = $3, decided_by = $4 WHERE thumbprint = $1",
            found.thumbprint,
            state,
            *by,
        )
        what = "refused" if state == "refused" else "reopened"
        await note(work, staff, what, code=code, key=found.thumbprint.hex(), why=why)


async def _open_request(work: Work, code: str, *, lock: bool = False) -> Request:
    found = await _by_code(work, code, lock=lock)
    if found.state != "open":
        raise OperatorError(_decided(found), "aurora-cluster answer CODE writes the answer of an approval again")
    rows = await work.fetch("SELECT content FROM request WHERE thumbprint = $1", found.thumbprint)
    request = _read(b64decode(rows[0][0]))
    if request.code != code:
        raise OperatorError(f"the request of {code} was altered in the database", "find out by whom")
    return request


_SELECT = "SELECT code, thumbprint, member, site, gateway, state, asked_ms, decided_ms, decided_by FROM request"


async def _by_code(work: Work, code: str, *, lock: bool = False) -> Waiting:
    rows = await work.fetch(f"{_SELECT} WHERE code = $1" + (work.dialect.lock if lock else ""), code)
    if not rows:
        raise OperatorError(
            f"no request has the code {code}", "if the gateway shows it, somebody exchanged keys on the way"
        )
    return await _waiting(work, rows[0])


async def _waiting(work: Work, row: Row) -> Waiting:
    code, thumbprint, member, site, gateway, state, *decided = row
    kind = "new"
    store = Store(work)
    if member and (found := await store.gateway(f"{member}.{gateway}")) is not None:
        held = await store.terms(found.id)
        same = bool(held) and held[-1].public.thumbprint == bytes(thumbprint)
        kind = "renewal" if same else "replacement" if held else "new"
    asked_ms, decided_ms, decided_by = decided
    thumbprint = bytes(thumbprint)
    return Waiting(code, thumbprint, member, site, gateway, state, asked_ms, decided_ms, decided_by, kind)


def _decided(found: Waiting) -> str:
    by = f" by {found.decided_by}" if found.decided_by else ""
    return f"request {found.code} is {found.state}{by} already"


def _identity(request: Request, names: Mapping[str, str]) -> Identity:
    """Whom the request is for; raises `OperatorError` for names that are none, or not those asked for."""
    chosen = dict(request.names) or {name: names.get(name, "") for name in ("member", "site", "gateway")}
    for name, value in names.items():
        if chosen.get(name) != value:
            raise OperatorError(f"the gateway asks as {name} {chosen.get(name)!r}, not {value!r}", "ask the site")
    for value in chosen.values():
        _check_name(value)
    identity = Identity(**chosen)
    if len(identity.client) > LONGEST_NAME:
        raise OperatorError(
            f"{identity.client} does not fit a certificate",
            f"company and gateway together have at most {LONGEST_NAME - 1} characters",
        )
    return identity


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise OperatorError(f"{name!r} is no name", "use 1 to 63 letters, digits, - and _")


def _read(data: bytes) -> Request:
    try:
        return read_request(data)
    except SealError as error:
        raise OperatorError(f"the request does not hold ({error})", "have the gateway write it again") from error


def plain_code(text: str) -> str:
    """A code as it is kept; raises `OperatorError` for what is none."""
    try:
        return read_code(text)
    except SealError as error:
        raise OperatorError(error.what, "write it as the gateway shows it: XXXX-XXXX-XXXX") from error


def _is_newer(request: Request, content: str, state: State) -> bool:
    """Whether a request is to take the place of the one kept; False for the same keys and names once more.

    Raises `OperatorError` for an older one, and for a key that was refused.
    """
    kept = _read(b64decode(content))
    if kept.code == request.code:
        return False
    if state == "refused":
        raise OperatorError("this signing key was refused", "aurora-cluster reopen CODE takes that back")
    if request.serial <= kept.serial:
        raise OperatorError("replayed: a newer request of this key is here", "have the gateway write a new one")
    return True


async def _make_room(work: Work, now_ms: int) -> None:
    old = "DELETE FROM request WHERE state = 'open' AND asked_ms < $1"
    await work.execute(old, now_ms - FORGOTTEN_MS)


async def _check_flood(work: Work) -> None:
    rows = await work.fetch("SELECT count(*) FROM request WHERE state = 'open'")
    if int(rows[0][0]) >= MOST_OPEN:
        raise OperatorError(f"{MOST_OPEN} requests wait already", "decide them, or refuse what nobody knows")
