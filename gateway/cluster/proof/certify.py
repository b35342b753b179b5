"""Certificates of completeness out of the store: the account of a point, signed with the cluster's key."""

from collections.abc import Sequence

from gateway.cluster.database import Work
from gateway.cluster.proof.log import NUMBERS, newest
from gateway.cluster.proof.stored import Held, Point, Source, events_needed, scans_of
from gateway.seal.certificate import Certificate, write_certificate
from gateway.seal.checkpoint import Checkpoint
from gateway.seal.completeness import account
from gateway.seal.cose import MessageSigner

__all__ = ["certify", "write_account"]


async def certify(
    work: Work,
    signer: MessageSigner,
    source: Source,
    point: Point,
    *,
    origin: str,
    from_ms: int,
    to_ms: int,
    now_ms: int,
) -> bytes:
    """The certificate of a point for a period (Unix ms); raises `SealError` for batches that cannot be read."""
    events = await events_needed(work, source, devices=(point.device,))
    scans = await scans_of(work, source, from_ms, to_ms)
    period, batches = (from_ms, to_ms), (events, scans)
    return await write_account(work, signer, source, point, batches, origin=origin, period=period, now_ms=now_ms)


async def write_account(
    work: Work,
    signer: MessageSigner,
    source: Source,
    point: Point,
    batches: tuple[Sequence[Held], Sequence[Held]],
    *,
    origin: str,
    period: tuple[int, int],
    now_ms: int,
) -> bytes:
    """The same from batches that have been read already: those of events, and those of scans."""
    events, scans = batches
    found = account(
        [held.batch for held in events],
        [held.batch for held in scans],
        device=point.device,
        channel=point.channel,
        from_ms=period[0],
        to_ms=period[1],
    )
    forks = await work.fetch("SELECT count(*) FROM fork WHERE gateway = $1", source.id)
    stored = await newest(work)
    certificate = Certificate(
        cluster=origin,
        gateway=source.identity.urn,
        site=source.identity.site,
        point=point.name,
        account=found.to_plain(),
        grounds={stream: source.ground(stream, signer, origin, now_ms) for stream in NUMBERS},
        forks=int(forks[0][0]),
        checkpoint=None if stored is None else Checkpoint(origin, stored.size, stored.root),
        issued_s=now_ms // 1000,
    )
    return write_certificate(signer, certificate)
