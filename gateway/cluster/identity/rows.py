"""The tables that identity reads and writes: gateways and their keys, certificates, deeds, signed statements.

Whoever changes keys or rights of a gateway locks both of its streams first, as every receiver does before it
admits a batch, and makes the gateway's version larger: so no receiver admits a batch by what held before.
"""

import json
from typing import Any, NamedTuple

from gateway.cluster.database import Work
from gateway.cluster.nouns import Enrolled, KeyTerm
from gateway.cluster.store import Store
from gateway.errors import OperatorError
from gateway.seal.cose import MessageSigner
from gateway.seal.statement import Statement, write_statement

__all__ = ["Staff", "changed", "known", "locked_sizes", "note", "signs_on", "state_deed"]


class Staff(NamedTuple):
    """Who does something, when (Unix ms), and the key with which the cluster signs what concerns keys."""

    person: str
    now_ms: int
    signer: MessageSigner


async def known(work: Work, client: str) -> Enrolled:
    """The gateway of an MQTT client; raises `OperatorError` when there is none."""
    found = await Store(work).gateway(client)
    if found is None:
        raise OperatorError(f"no gateway is enrolled as {client}", "write MEMBER.GATEWAY, as `ledger` lists them")
    return found


def signs_on(term: KeyTerm) -> bool:
    """Whether a key signs what is still to come."""
    return term.end["event"] is None and term.end["scan"] is None


async def locked_sizes(work: Work, gateway: int) -> tuple[int, int]:
    """Lock both streams until the transaction ends; how many batches the trees of events and of scans hold."""
    order = f"ORDER BY gateway, stream{work.dialect.lock}"
    rows = await work.fetch(f"SELECT size FROM stream WHERE gateway = $1 {order}", gateway)
    event, scan = (int(row[0]) for row in rows)
    return event, scan


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
    gateway: Enrolled,
    what: str,
    *,
    why: str,
    key: bytes,
    successor: bytes | None = None,
    event: int | None = None,
    scan: int | None = None,
    doubted_event: int | None = None,
    doubted_scan: int | None = None,
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
        doubted_event=doubted_event,
        doubted_scan=doubted_scan,
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
