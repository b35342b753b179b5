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
    follower, reached, retained_day = Follower(database, options), True, 0
    while True:
        done = 0
        try:
            done = await follower.step(now_ms())
            today = now_ms() // DAY_MS
            if today != retained_day:
                erased = await retain(database, now_ms())
                retained_day = today
                if erased:
                    log.info("retention took %d bytes of evidence", sum(one.bytes for one in erased))
        except StorageError as error:
            if reached:
                log.warning("the tables are not followed: %s", error)
            reached = False
        else:
            if not reached:
                log.info("the tables are followed again")
            reached = True
        if not done:
            await asyncio.sleep(poll_s)
