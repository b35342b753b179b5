"""`aurora-gateway notify` against a gateway that answers on its control socket."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from notify_tools import AWAY, Probe, World, notifying, output, rule, site_of

from gateway.control import Control

ROOT = Path(__file__).parents[2]
SITE = """
[gateway]
member = "dairy"
site = "plant"
id = "gw-1"
data_dir = "data"
[[bus]]
id = "plant"
type = "modbus-tcp"
host = "10.0.0.1"
[[device]]
id = "room"
bus = "plant"
model = "xy-md02"
unit = 1
period_s = 10
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    (tmp_path / "site.toml").write_text(SITE)
    data = tmp_path / "data"
    data.mkdir()
    control = Control(data)
    async with notifying(site_of(data, [output()], [rule()])) as found:
        for name, handler in found.notifier.handlers().items():
            control.handle(name, handler)
        await control.open()
        yield found
        await control.close()


async def command(folder: Path, *words: str) -> tuple[int, str, str]:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway.cli",
        "notify",
        str(folder / "site.toml"),
        *words,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate()
    assert child.returncode is not None
    return child.returncode, out.decode(), err.decode()


async def test_a_test_is_sent_and_its_failure_named(world: World, tmp_path: Path) -> None:
    status, out, err = await command(tmp_path, "test", "mail", "--person", "Ann")
    assert (status, out, err) == (0, "mail: delivered to a@x.example\n", "")
    assert Probe.told[0][1].transition == "test"
    Probe.failure["mail"] = AWAY
    status, out, err = await command(tmp_path, "test", "mail")
    assert (status, out) == (2, "")
    assert err == "aurora-gateway: the server is away; wait for it\n"


async def test_the_list_shows_how_every_output_does(world: World, tmp_path: Path) -> None:
    status, out, _ = await command(tmp_path, "list")
    assert status == 0
    assert out.split()[:4] == ["mail", "probe", "ok", "0"]
    assert "to a...@x.example" in out
    Probe.failure["mail"] = AWAY
    await command(tmp_path, "test", "mail")
    status, out, _ = await command(tmp_path, "list", "--json")
    assert status == 1
    assert json.loads(out)["outputs"]["mail"]["last_error"] == "the server is away; wait for it"


async def test_what_cannot_be_asked_is_said(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(SITE)
    status, _, err = await command(tmp_path, "test")
    assert (status, err) == (2, "aurora-gateway notify: name the output to test\n")
    status, _, err = await command(tmp_path, "list")
    assert status == 2
    assert "no gateway is running on" in err
