"""Reading the store from outside of the receiver."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.cluster.database import open_database
from gateway.cluster.store import Store


@asynccontextmanager
async def evidence(where: str | Path) -> AsyncIterator[Store]:
    """One unchanging view of the evidence at ``where``; raises `StorageError`."""
    database = await open_database(where, read_only=True)
    try:
        async with database.transaction(write=False) as work:
            yield Store(work)
    finally:
        await database.close()
