from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from pty_tools import Wire


@pytest_asyncio.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    made = Wire(tmp_path / "ttyUSB0")
    made.plug()
    yield made
    made.unplug()
