"""Derived tables thrown away, to be made anew from the evidence."""

from gateway.cluster.database import Database
from gateway.cluster.derive.progress import claim
from gateway.errors import OperatorError

__all__ = ["begin_again"]

BY_CHANNEL = ("day", "chunk", "roll", "value")
BY_GATEWAY = ("event", "alarm", "point", "setting", "boot", "layout", "unread")


async def begin_again(database: Database, *, losing: bool = False) -> int:
    """Empty the tables of all gateways, which a follower then fills again; returns how many those are.

    Channels keep their ids. Where retention has taken evidence the tables cannot be made anew: then nothing is done
    (`OperatorError`), unless ``losing`` says that this is meant.
    """
    async with database.transaction(write=False) as work:
        gateways = [int(row[0]) for row in await work.fetch("SELECT id FROM gateway ORDER BY id")]
        gone = await work.fetch("SELECT count(*), coalesce(sum(last - first + 1), 0) FROM erased")
    if gone[0][0] and not losing:
        raise OperatorError(
            f"the evidence of {int(gone[0][1])} batches was erased: what was derived of it would be lost",
            "say --losing if that is meant",
        )
    for gateway in gateways:
        async with database.transaction() as work:
            if await claim(work, gateway) is None:
                raise OperatorError("a follower is at work", "stop it first")
            for table in BY_CHANNEL:
                sql = f"DELETE FROM {table} WHERE channel IN (SELECT id FROM channel WHERE gateway = $1)"
                await work.execute(sql, gateway)
            for table in BY_GATEWAY:
                await work.execute(f"DELETE FROM {table} WHERE gateway = $1", gateway)  # our own names
            await work.execute(
                "UPDATE channel SET last_ms = NULL, last_value = NULL, last_quality = NULL WHERE gateway = $1",
                gateway,
            )
            await work.execute(
                """
                UPDATE progress SET event_next = 0, scan_next = 0, round = 0, worked_ms = 0, open_day = NULL,
                    late = 0 WHERE gateway = $1""",
                gateway,
            )
    return len(gateways)
