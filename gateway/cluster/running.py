"""What the commands of the cluster share: its key, its store opened, and work that goes on until a signal."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from gateway.clock import wall_ms
from gateway.cluster.database import Database, open_database
from gateway.cluster.settings import Settings
from gateway.errors import AwayError
from gateway.seal.keys import FileSigner

__all__ = ["KEY_FILE", "cluster_signer", "opened", "until_signal"]

KEY_FILE = "cluster.key"
RETRY_S = 1.0
log = logging.getLogger(__name__)


def cluster_signer(data_dir: Path) -> FileSigner:
    """The cluster's key, made at the first call; raises `SealError`."""
    path = data_dir / KEY_FILE
    if path.exists():
        return FileSigner.load(path)
    data_dir.mkdir(parents=True, exist_ok=True)
    return FileSigner.create(path)


@asynccontextmanager
async def opened(settings: Settings, *, read_only: bool = False, patient: bool = False) -> AsyncIterator[Database]:
    """The store of the settings, brought to this release's schema unless it is only read; raises `StorageError`.

    What runs as a service is ``patient``: it often starts beside its database, and waits for it.
    """
    said = ""
    while True:
        try:
            database = await _open(settings, read_only=read_only)
            break
        except AwayError as error:
            if not patient:
                raise
            if str(error) != said:
                said = str(error)
                log.warning("%s; asked again until it answers", said)
        await asyncio.sleep(RETRY_S)
    if said:
        log.info("%s is there", database.place)
    try:
        yield database
    finally:
        await database.close()


async def _open(settings: Settings, *, read_only: bool) -> Database:
    database = await open_database(settings.store, read_only=read_only)
    if not read_only:
        try:
            await database.prepare(wall_ms())
        except BaseException:
            await database.close()
            raise
    return database


async def until_signal(work: Coroutine[Any, Any, object]) -> None:
    """Do it until it ends, or until SIGTERM or SIGINT comes: then it is cancelled, and tidies up."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task
