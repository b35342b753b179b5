"""Which gateways of a member an export is about, and their rows."""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from gateway.cluster.database import Work
from gateway.cluster.derive import series
from gateway.cluster.handon.evidence import Left, Source, readings
from gateway.cluster.handon.values import Origin, Row
from gateway.errors import RecordError
from gateway.model import Quality

__all__ = ["Choice", "chosen", "rows"]


class Choice(NamedTuple):
    """A member's gateways (``site``, ``gateway``: all where empty) in ``from_ms`` <= time < ``to_ms``."""

    member: str
    site: str
    gateway: str
    from_ms: int
    to_ms: int


async def chosen(work: Work, choice: Choice) -> list[series.Gateway]:
    """The gateways meant; raises `RecordError` where there is none."""
    if choice.to_ms <= choice.from_ms:
        raise RecordError("the stretch of time is empty", "give --from before --to")
    known = await series.gateways(work)
    of_member = [gateway for gateway in known if gateway.member_name == choice.member]
    if not of_member:
        names = ", ".join(sorted({gateway.member_name for gateway in known})) or "none"
        raise RecordError(f"there is no member {choice.member!r} with gateways", f"there are: {names}")
    found = [
        gateway
        for gateway in of_member
        if choice.site in {"", gateway.site} and choice.gateway in {"", gateway.name}
    ]
    if not found:
        names = ", ".join(f"{gateway.site}/{gateway.name}" for gateway in of_member)
        raise RecordError(f"{choice.member} has no such gateway", f"there are: {names}")
    return found


async def rows(work: Work, choice: Choice, left: Left, points: Sequence[str] = ()) -> AsyncIterator[Sequence[Row]]:
    """Rows batch by batch, gateway after gateway; ``points``: only channels that feed these, empty: all."""
    wanted = set(points)
    for gateway in await chosen(work, choice):
        feeds: dict[tuple[str, str], list[str]] = {}
        for point in await series.points(work, gateway.member, gateway.id):
            if not wanted or point.point in wanted:
                feeds.setdefault((point.device, point.channel), []).append(point.point)
        devices = {device for device, _ in feeds}
        origin = Origin(
            gateway.member_name, gateway.site, gateway.name, {key: " ".join(ids) for key, ids in feeds.items()}
        )
        source = Source(gateway.id, gateway.client, choice.from_ms, choice.to_ms)
        async for part in readings(work, source, left):
            yield [
                origin.row(reading, "event" if reading.quality == Quality.BACKFILLED else "scan")
                for reading in part
                if not wanted
                or (reading.device, reading.channel) in feeds
                or (not reading.channel and reading.device in devices)
            ]
