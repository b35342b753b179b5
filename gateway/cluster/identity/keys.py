"""Keys that are not to be believed any more: cut off from a batch on, whole gateways revoked, and back again."""

from typing import NamedTuple

from gateway.cluster.database import Database, Work
from gateway.cluster.identity.rows import Staff, changed, known, locked_sizes, note, signs_on, state_deed
from gateway.cluster.nouns import STREAMS, Enrolled, KeyTerm
from gateway.cluster.store import Store
from gateway.errors import OperatorError
from gateway.model import Stream

__all__ = ["CutOff", "cut_off", "reinstate", "revoke", "revoke_certificate", "revoke_client"]


class CutOff(NamedTuple):
    """From which batches on a key signs no more; ``doubted`` names batches before that, in the tree."""

    event: int
    scan: int
    doubted: str


async def cut_off(
    database: Database, client: str, staff: Staff, *, event: int | None, scan: int | None, why: str
) -> CutOff:
    """Let a gateway's key sign nothing from batch ``event`` and batch ``scan`` of its streams on; None: from now.

    What is in the tree stays there, because a receipt vouches for it: then the key ends at the tree's end, and the
    signed statement says from where on the staff doubt it. Raises `OperatorError`.
    """
    async with database.transaction() as work:
        gateway = await known(work, client)
        sizes = await locked_sizes(work, gateway.id)
        held = await _keys(work, gateway)
        last = held[-1]
        if not signs_on(last):
            ends = f"event {last.end['event']} and scan {last.end['scan']}"
            raise OperatorError(
                f"the key of {client} is cut off from {ends} on already",
                "aurora-cluster replace admits its successor",
            )
        end: dict[Stream, int] = {}
        doubted: dict[Stream, int] = {}
        for stream, size, asked in zip(STREAMS, sizes, (event, scan), strict=True):
            end[stream] = max(size if asked is None else asked, size, last.first[stream])
            if asked is not None and asked < end[stream]:
                doubted[stream] = asked
        words = ", ".join(f"{stream} {first} to {end[stream] - 1}" for stream, first in doubted.items())
        last.end.update(end)
        await Store(work).save_terms(gateway.id, held)
        await state_deed(
            work,
            staff,
            gateway,
            "cut-off",
            why=f"{why}; doubted: {words}" if words else why,
            key=last.public.thumbprint,
            event=end["event"],
            scan=end["scan"],
            doubted_event=doubted.get("event"),
            doubted_scan=doubted.get("scan"),
        )
    return CutOff(end["event"], end["scan"], words)


async def revoke(database: Database, client: str, staff: Staff, why: str) -> list[str]:
    """Take nothing from a gateway any more, and revoke its certificates; their serials. Raises `OperatorError`."""
    async with database.transaction() as work:
        gateway = await known(work, client)
        await locked_sizes(work, gateway.id)
        if gateway.revoked_ms is not None:
            raise OperatorError(f"{client} is revoked already", "aurora-cluster certificates CLIENT lists")
        await work.execute("UPDATE gateway SET revoked_ms = $2 WHERE id = $1", gateway.id, staff.now_ms)
        await changed(work, gateway.id)
        serials = await _revoke_all(work, client, staff, why)
        last = (await _keys(work, gateway))[-1]
        await state_deed(work, staff, gateway, "revoked", why=why, key=last.public.thumbprint, certificates=serials)
    return serials


async def revoke_client(database: Database, client: str, staff: Staff, why: str) -> list[str]:
    """Revoke all certificates of a client that is no gateway (a receiver, staff); their serials."""
    async with database.transaction() as work:
        serials = await _revoke_all(work, client, staff, why)
        if not serials:
            raise OperatorError(f"no certificate of {client} is in force", "aurora-cluster certificates lists them")
        await note(work, staff, "certificates revoked", client=client, certificates=serials, why=why)
    return serials


async def revoke_certificate(database: Database, serial: str, staff: Staff, why: str) -> str:
    """Revoke one certificate, the gateway keeps its rights; the client. Raises `OperatorError`."""
    async with database.transaction() as work:
        rows = await work.fetch("SELECT client, revoked_ms FROM certificate WHERE serial = $1", serial)
        if not rows or rows[0][1] is not None:
            words = "is revoked already" if rows else "is not known"
            raise OperatorError(f"certificate {serial} {words}", "aurora-cluster certificates CLIENT lists them")
        client = str(rows[0][0])
        await _mark(work, serial, staff, why)
        await note(work, staff, "certificates revoked", client=client, certificates=[serial], why=why)
    return client


async def reinstate(database: Database, client: str, staff: Staff, why: str) -> None:
    """Take batches of a gateway again; its certificates stay revoked, so that it asks for a new one."""
    async with database.transaction() as work:
        gateway = await known(work, client)
        await locked_sizes(work, gateway.id)
        if gateway.revoked_ms is None:
            raise OperatorError(f"{client} is not revoked", "there is nothing to do")
        await work.execute("UPDATE gateway SET revoked_ms = NULL WHERE id = $1", gateway.id)
        await changed(work, gateway.id)
        last = (await _keys(work, gateway))[-1]
        await state_deed(work, staff, gateway, "reinstated", why=why, key=last.public.thumbprint)


async def _keys(work: Work, gateway: Enrolled) -> list[KeyTerm]:
    held = await Store(work).terms(gateway.id)
    if not held:
        raise OperatorError(f"{gateway.identity.client} has no key", "enrol it first")
    return held


async def _revoke_all(work: Work, client: str, staff: Staff, why: str) -> list[str]:
    query = (
        "SELECT serial FROM certificate WHERE client = $1 AND revoked_ms IS NULL AND until_ms > $2 ORDER BY serial"
    )
    serials = [str(row[0]) for row in await work.fetch(query, client, staff.now_ms)]
    for serial in serials:
        await _mark(work, serial, staff, why)
    return serials


async def _mark(work: Work, serial: str, staff: Staff, why: str) -> None:
    mark = "UPDATE certificate SET revoked_ms = $2, reason = $3 WHERE serial = $1"
    await work.execute(mark, serial, staff.now_ms, why)
