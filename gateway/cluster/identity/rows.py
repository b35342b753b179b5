"""The tables that identity reads and writes: gateways and their keys, certificates, deeds, signed statements.

Whoever changes keys or rights of a gateway locks both of its streams first, as every receiver does before it
admits a batch, and makes the gateway's version larger: so no receiver admits a batch by what held before.
"""

import json
from typing import Any, NamedTuple

from gateway.cluster.database import Row, Work
from gateway.errors import OperatorError
from gateway.seal.cose import MessageSigner, PublicKey
from gateway.seal.statement import Statement, write_statement
from gateway.site import Identity

__all__ = [
    "Known",
    "Staff",
    "Term",
    "add_term",
    "admit",
    "changed",
    "end_term",
    "find",
    "known",
    "locked_sizes",
    "note",
    "state_deed",
    "terms",
]

_GATEWAY = (
    "SELECT gateway.id, member.name, site, gateway.name, revoked_ms "
    "FROM gateway JOIN member ON member.id = gateway.member"
)


class Known(NamedTuple):
    """An enrolled gateway; ``revoked_ms`` is since when the cluster takes nothing from it."""

    id: int
    identity: Identity
    revoked_ms: int | None


class Term(NamedTuple):
    """A key and the batches that it signs; an end is the first batch that it no longer signs."""

    place: int
    public: PublicKey
    origin: str
    event_first: int
    event_end: int | None
    scan_first: int
    scan_end: int | None

    @property
    def open(self) -> bool:
        """Whether the key signs what is still to come."""
        return self.event_end is None and self.scan_end is None


class Staff(NamedTuple):
    """Who does something, when (Unix ms), and the key with which the cluster signs what concerns keys."""

    person: str
    now_ms: int
    signer: MessageSigner


async def find(work: Work, client: str) -> Known | None:
    """The gateway of an MQTT client."""
    rows = await work.fetch(f"{_GATEWAY} WHERE client = $1", client)
    return _known(rows[0]) if rows else None


async def known(work: Work, client: str) -> Known:
    """The gateway of an MQTT client; raises `OperatorError` when there is none."""
    found = await find(work, client)
    if found is None:
        raise OperatorError(f"no gateway is enrolled as {client}", "write MEMBER.GATEWAY, as `ledger` lists them")
    return found


async def admit(work: Work, identity: Identity, at_ms: int) -> Known:
    """Add a gateway with its company and its streams; one that is there keeps its row."""
    await work.execute("INSERT INTO member (name) VALUES ($1) ON CONFLICT (name) DO NOTHING", identity.member)
    await work.execute(
        "INSERT INTO gateway (member, site, name, client, enrolled_ms) "
        "SELECT id, $2, $3, $4, CAST($5 AS bigint) FROM member WHERE name = $1 ON CONFLICT (client) DO NOTHING",
        identity.member,
        identity.site,
        identity.gateway,
        identity.client,
        at_ms,
    )
    found = await known(work, identity.client)
    if found.identity.urn != identity.urn:
        raise OperatorError(f"{identity.client} is the MQTT client of {found.identity.urn}", "choose another name")
    for stream in (0, 1):
        await work.execute(
            "INSERT INTO stream (gateway, stream) VALUES ($1, $2) ON CONFLICT (gateway, stream) DO NOTHING",
            found.id,
            stream,
        )
    await work.execute("INSERT INTO progress (gateway) VALUES ($1) ON CONFLICT (gateway) DO NOTHING", found.id)
    return found


async def locked_sizes(work: Work, gateway: int) -> tuple[int, int]:
    """Lock both streams until the transaction ends; how many batches the trees of events and of scans hold."""
    order = f"ORDER BY gateway, stream{work.dialect.lock}"
    rows = await work.fetch(f"SELECT size FROM stream WHERE gateway = $1 {order}", gateway)  # noqa: S608
    event, scan = (int(row[0]) for row in rows)
    return event, scan


async def terms(work: Work, gateway: int) -> list[Term]:
    """The keys of a gateway in the order in which they came."""
    query = (
        "SELECT place, public, origin, event_first, event_end, scan_first, scan_end "
        "FROM term WHERE gateway = $1 ORDER BY place"
    )
    rows = await work.fetch(query, gateway)
    return [Term(place, PublicKey.from_pem(public.encode()), *rest) for place, public, *rest in rows]


async def add_term(work: Work, gateway: int, term: Term, at_ms: int) -> None:
    """Let a key sign from its first batches on."""
    await work.execute(
        "INSERT INTO term (gateway, place, public, origin, since_ms, event_first, scan_first) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7)",
        gateway,
        term.place,
        term.public.pem().decode(),
        term.origin,
        at_ms,
        term.event_first,
        term.scan_first,
    )


async def end_term(work: Work, gateway: int, place: int, event: int, scan: int) -> None:
    """Let a key no longer sign from these batches on."""
    end = "UPDATE term SET event_end = $3, scan_end = $4 WHERE gateway = $1 AND place = $2"
    await work.execute(end, gateway, place, event, scan)


async def changed(work: Work, gateway: int) -> None:
    """Tell every receiver that keys or rights of a gateway are not what they were."""
    await work.execute("UPDATE gateway SET version = version + 1 WHERE id = $1", gateway)


async def note(work: Work, staff: Staff, what: str, **data: Any) -> None:
    """Keep what a person did."""
    await work.execute(
        "INSERT INTO deed (at_ms, person, what, data) VALUES ($1, $2, $3, $4)",
        staff.now_ms,
        staff.person,
        what,
        json.dumps(data, sort_keys=True),
    )


async def state_deed(
    work: Work,
    staff: Staff,
    gateway: Known,
    what: str,
    *,
    why: str,
    key: bytes,
    successor: bytes | None = None,
    event: int | None = None,
    scan: int | None = None,
    **data: Any,
) -> None:
    """Keep what a person did about a key: as a deed, and as a signed statement. The streams have to be locked."""
    rows = await work.fetch("SELECT count(*) FROM key_statement WHERE gateway = $1", gateway.id)
    place = int(rows[0][0])
    statement = Statement(
        what=what,
        sub=gateway.identity.urn,
        place=place,
        at_ms=staff.now_ms,
        by=staff.person,
        why=why,
        key=key,
        successor=successor,
        event=event,
        scan=scan,
    )
    await work.execute(
        "INSERT INTO key_statement (gateway, place, what, at_ms, statement) VALUES ($1, $2, $3, $4, $5)",
        gateway.id,
        place,
        what,
        staff.now_ms,
        write_statement(staff.signer, statement),
    )
    about: dict[str, Any] = {"client": gateway.identity.client, "key": key.hex(), "why": why}
    more = {"successor": None if successor is None else successor.hex(), "event": event, "scan": scan}
    about |= {name: value for name, value in more.items() if value is not None}
    await note(work, staff, what, **about, **data)


def _known(row: Row) -> Known:
    number, member, site, gateway, revoked_ms = row
    return Known(number, Identity(member=member, site=site, gateway=gateway), revoked_ms)
