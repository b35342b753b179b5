"""A receiver that is told to stop stops, also in the moment in which something else goes wrong."""

import asyncio
import os
import signal
from pathlib import Path
from typing import cast

import pytest
from load_world import NOW_MS

from bench.fleet.stage import Broker
from gateway.cluster.receiver import Receiver
from gateway.cluster.register import Register
from gateway.cluster.running import until_signal
from gateway.mqtt import Endpoint, Link, LinkError, beside


class Torn(Receiver):
    """Its connection ends when the test says so."""

    def __init__(self, port: int) -> None:
        endpoint = Endpoint(host="127.0.0.1", port=port, client="torn")
        super().__init__(endpoint, cast("Register", None), utc_ms=lambda: NOW_MS)
        self.serving = asyncio.Event()
        self.tear = asyncio.Event()

    async def _serve(self, link: Link) -> None:
        self.serving.set()
        await beside(self._work(), self._nothing())

    async def _nothing(self) -> None:
        await asyncio.Event().wait()

    async def _work(self) -> None:
        await self.tear.wait()
        raise LinkError("the connection is gone")


@pytest.mark.parametrize("torn", [False, True])
async def test_a_stop_is_not_lost_when_the_connection_goes_at_that_moment(tmp_path: Path, torn: bool) -> None:
    broker = Broker(tmp_path, {})
    broker.start()
    try:
        receiver = Torn(broker.port)
        task = asyncio.ensure_future(until_signal(receiver.run()))
        await asyncio.wait_for(receiver.serving.wait(), 20)
        receiver.serving.clear()
        receiver.tear.set()
        await asyncio.wait_for(receiver.serving.wait(), 20)
        receiver.tear.clear()
        if torn:
            receiver.tear.set()
            await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGTERM)
        done, _ = await asyncio.wait([task], timeout=10)
        assert done, "it goes on"
        await task
    finally:
        broker.kill()
