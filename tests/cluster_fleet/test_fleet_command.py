"""`aurora-cluster fleet` as it is started: the first code in the log, TLS, an orderly end."""

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fleet_page import Person

from gateway.cluster.fleet.commands import _address
from gateway.errors import OperatorError


@asynccontextmanager
async def started(folder: Path, *arguments: str) -> AsyncIterator[tuple[str, str]]:
    """The program on a free port; its address and its first code."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cluster.cli", "fleet", "--data", str(folder)),
        *("--listen", "127.0.0.1:0", *arguments),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    log = ""
    try:
        async with asyncio.timeout(60):
            while (found := re.search(r"the fleet is at (\S+)/", log)) is None:
                line = (await process.stderr.readline()).decode()
                assert line, log
                log += line
        code = re.search(r"the first administrator is (\S+)", log)
        yield found[1], code[1] if code else ""
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            rest = (await process.stderr.read()).decode()
            assert await process.wait() == 0, log + rest


async def test_it_is_started_signed_in_to_and_ended(tmp_path: Path) -> None:
    async with started(tmp_path, "--name", "urn:aurora:cluster:north", "--language", "nl") as (address, code):
        assert address.startswith("http://")
        async with Person(address) as ana:
            await ana.welcome("Ana Smit", code)
            front = (await ana.get("/")).text
            assert '<html lang="nl">' in front
            assert "· north</title>" in front
    async with started(tmp_path) as (address, code):
        assert code == "", "somebody is known now"


async def test_over_tls_with_a_certificate_of_its_own(tmp_path: Path) -> None:
    async with started(tmp_path, "--tls", "self") as (address, _):
        assert address.startswith("https://")
        async with httpx.AsyncClient(base_url=address, verify=False) as client:
            answer = await client.get("/sign-in")
            assert answer.status_code == 303
            assert answer.headers["location"] == "/welcome"


@pytest.mark.parametrize("text", ["8460", "host:", ":8460", "host:port", "host:99999", ""])
def test_an_address_that_is_none(text: str) -> None:
    with pytest.raises(OperatorError, match="is no address"):
        _address(text)


def test_addresses() -> None:
    assert _address("[::1]:80") == ("::1", 80)
    assert _address("0.0.0.0:8460") == ("0.0.0.0", 8460)


async def test_half_a_certificate_is_refused(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cluster.cli", "fleet", "--data", str(tmp_path)),
        *("--page-certificate", "x.pem"),
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await process.communicate()
    assert process.returncode == 2
    assert b"give --page-certificate and --page-key" in told
