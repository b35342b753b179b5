"""The control socket: what it does, refuses and survives."""

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.control import CLIENTS, LONGEST_REQUEST, Control, ControlError, ask
from gateway.errors import StorageError

ROOT = Path(__file__).parents[2]


async def echo(request: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"heard": dict(request)}


async def refuse(_: Mapping[str, Any]) -> Mapping[str, Any]:
    raise StorageError("the disk is full", "make room")


async def break_down(_: Mapping[str, Any]) -> Mapping[str, Any]:
    raise RuntimeError("boom")


async def say_nan(_: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"value": float("nan")}


async def hang(_: Mapping[str, Any]) -> Mapping[str, Any]:
    await asyncio.get_running_loop().create_future()
    raise AssertionError


@asynccontextmanager
async def serving(folder: Path, **limits: float) -> AsyncIterator[Control]:
    control = Control(folder, **limits)
    for name, handler in {
        "echo": echo,
        "refuse": refuse,
        "break": break_down,
        "nan": say_nan,
        "hang": hang,
    }.items():
        control.handle(name, handler)
    await control.open()
    try:
        yield control
    finally:
        await control.close()


@asynccontextmanager
async def connected(control: Control) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_unix_connection(control.path)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def asked(folder: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    return await asyncio.to_thread(ask, folder, request, timeout_s=10)


async def test_a_request_reaches_its_handler_and_the_answer_comes_back(tmp_path: Path) -> None:
    async with serving(tmp_path):
        answer = await asked(tmp_path, {"do": "echo", "text": "8,2 °C"})
        assert answer == {"ok": True, "heard": {"do": "echo", "text": "8,2 °C"}}
    with pytest.raises(ControlError, match=r"no gateway is running .* aurora-gateway run"):
        await asked(tmp_path, {"do": "echo"})


async def test_a_refusal_carries_what_and_remedy(tmp_path: Path) -> None:
    async with serving(tmp_path) as control:
        with pytest.raises(ControlError) as caught:
            await asked(tmp_path, {"do": "refuse"})
        assert (caught.value.what, caught.value.remedy) == ("the disk is full", "make room")
        with pytest.raises(ControlError, match="did you mean 'echo'"):
            await asked(tmp_path, {"do": "ecko"})
        assert control.failed == 0


@pytest.mark.parametrize("name", ["break", "nan"])
async def test_a_defect_of_a_handler_is_counted_and_harms_nobody_else(tmp_path: Path, name: str) -> None:
    async with serving(tmp_path) as control:
        with pytest.raises(ControlError, match="defect of the gateway"):
            await asked(tmp_path, {"do": name})
        assert control.failed == 1
        assert (await asked(tmp_path, {"do": "echo"}))["ok"]


async def test_a_handler_that_hangs_is_given_up(tmp_path: Path) -> None:
    async with serving(tmp_path, handler_s=0.05):
        with pytest.raises(ControlError, match="took longer"):
            await asked(tmp_path, {"do": "hang"})


@pytest.mark.parametrize(
    "sent", [b"\n", b"nonsense\n", b"[1]\n", b'{"do": 1}\n', b'{"do": "echo"\n', b"\xff\xfe\n", b"[" * 9000 + b"\n"]
)
async def test_what_is_no_request_is_named_and_the_connection_goes_on(tmp_path: Path, sent: bytes) -> None:
    async with serving(tmp_path) as control, connected(control) as (reader, writer):
        writer.write(sent + b'{"do": "echo"}\n')
        assert "error" in json.loads(await reader.readline())
        assert json.loads(await reader.readline())["ok"]


async def test_a_request_beyond_the_limit_ends_the_connection(tmp_path: Path) -> None:
    async with serving(tmp_path) as control, connected(control) as (reader, writer):
        writer.write(b"x" * (LONGEST_REQUEST + 10))
        assert "longer than" in json.loads(await reader.readline())["error"]
        with suppress(ConnectionResetError):  # what was not read yet is thrown away
            assert await reader.read() == b""
        assert (await asked(tmp_path, {"do": "echo"}))["ok"]


async def test_a_silent_client_is_cut_off(tmp_path: Path) -> None:
    async with serving(tmp_path, idle_s=0.05) as control, connected(control) as (reader, writer):
        writer.write(b'{"do": "ec')
        assert await reader.read() == b""


async def test_many_clients_are_served_at_once_and_too_many_are_told(tmp_path: Path) -> None:
    async with serving(tmp_path) as control, AsyncExitStack() as stack:
        open_ones = [await stack.enter_async_context(connected(control)) for _ in range(CLIENTS)]
        for reader, writer in open_ones:
            writer.write(b'{"do": "echo"}\n')
            assert json.loads(await reader.readline())["ok"]
        with pytest.raises(ControlError, match="clients are connected; try again"):
            await asked(tmp_path, {"do": "echo"})


async def test_the_socket_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        async with serving(tmp_path) as control:
            assert stat.S_IMODE(control.path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


async def test_a_path_too_long_for_a_socket_address_serves_all_the_same(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 80) / ("e" * 80)
    deep.mkdir(parents=True)
    async with serving(deep):
        assert (await asked(deep, {"do": "echo"}))["ok"]


async def test_a_second_daemon_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    async with serving(tmp_path):
        with pytest.raises(ControlError, match="a gateway is running on"):
            await Control(tmp_path).open()
        assert (await asked(tmp_path, {"do": "echo"}))["ok"]


async def test_the_socket_of_a_killed_daemon_is_replaced(tmp_path: Path) -> None:
    program = (
        "import asyncio, pathlib, sys\n"
        "from gateway.control import Control\n"
        "async def main():\n"
        "    await Control(pathlib.Path(sys.argv[1])).open()\n"
        "    print('open', flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert await asyncio.to_thread(other.stdout.readline) == "open\n"
        with pytest.raises(ControlError, match="a gateway is running on"):
            await Control(tmp_path).open()
        other.send_signal(signal.SIGKILL)
    assert (tmp_path / "control.sock").exists()
    with pytest.raises(ControlError, match="no gateway is running"):
        await asked(tmp_path, {"do": "echo"})
    async with serving(tmp_path):
        assert (await asked(tmp_path, {"do": "echo"}))["ok"]


async def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match=r"missing/control\.lock cannot be used \(No such file"):
        await Control(tmp_path / "missing").open()


async def test_closing_cuts_off_who_is_connected(tmp_path: Path) -> None:
    async with serving(tmp_path) as control:
        reader, writer = await asyncio.open_unix_connection(control.path)
        writer.write(b'{"do": "hang"}\n')
        await asked(tmp_path, {"do": "echo"})
        await control.close()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    assert not control.path.exists()


def test_a_name_has_one_handler(tmp_path: Path) -> None:
    control = Control(tmp_path)
    control.handle("echo", echo)
    with pytest.raises(ValueError, match="has a handler already"):
        control.handle("echo", echo)


@pytest.mark.parametrize("line", [b"nonsense\n", b"[]\n", b'{"ok": false}\n', b"no end"])
async def test_an_answer_that_is_none_is_an_error_with_a_remedy(tmp_path: Path, line: bytes) -> None:
    def impostor(listener: socket.socket) -> None:
        with listener.accept()[0] as client:
            client.recv(100)
            client.sendall(line)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "control.sock"))
        listener.listen()
        speaking = asyncio.create_task(asyncio.to_thread(impostor, listener))
        with pytest.raises(ControlError, match=r"what answers is no gateway|ended the connection"):
            await asked(tmp_path, {"do": "echo"})
        await speaking
