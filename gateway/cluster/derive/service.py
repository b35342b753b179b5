"""The follower as a service: it follows, and once a day it deletes what is older than its days."""

import asyncio
import logging
from collections.abc import Callable

from gateway.cluster.database import Database
from gateway.cluster.derive.follower import Follower, Options
from gateway.cluster.derive.retention import retain
from gateway.cluster.derive.segment import DAY_MS
from gateway.errors import StorageError

__all__ = ["follow"]

log = logging.getLogger(__name__)

POLL_S = 1.0
"""Between two looks at a store where nothing is to be done: one query over all gateways."""


async def follow(
    database: Database, now_ms: Callable[[], int], options: Options | None = None, *, poll_s: float = POLL_S
) -> None:
    """Follow until cancelled; ``now_ms`` gives Unix ms. While the store cannot be reached, it is tried again."""
    follower, reached, tended = Follower(database, options), True, 0
    while True:
        done = 0
        try:
            done = await follower.step(now_ms())
        except StorageError as error:
            if reached:
                log.warning("the tables are not followed: %s", error)
            reached = False
        else:
            if not reached:
                log.info("the tables are followed again")
            reached = True
        if reached and now_ms() // DAY_MS != tended:
            tended = now_ms() // DAY_MS
            await _tend(database, now_ms())
        if not done:
            await asyncio.sleep(poll_s)


async def _tend(database: Database, now_ms: int) -> None:
    """What is to be done once a day; what fails is tried again tomorrow, and does not hold the tables up."""
    try:
        # Partitions of the months to come: nothing else may be started for long.
        await database.prepare(now_ms)
        erased = await retain(database, now_ms)
    except StorageError as error:
        log.error("retention failed, and is tried again tomorrow: %s", error)
        return
    if erased:
        log.info("retention took %d bytes of evidence", sum(one.bytes for one in erased))
