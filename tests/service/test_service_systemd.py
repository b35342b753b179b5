"""What the daemon tells systemd: ready when records are on disk, alive only while the path moves."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from app_tools import Unit, running, site_of
from service_tools import Manager, daemon, until

from gateway.app import Gateway
from gateway.buffer.reader import Reader
from gateway.clock_sources import KernelSource
from gateway.sdnotify import Systemd
from gateway.supervision import Progress, Supervision


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with closing(Manager(tmp_path)) as manager:
        yield manager


class TestMessages:
    def test_fields_go_out_as_lines_of_one_datagram(self, manager: Manager) -> None:
        systemd = Systemd.of({"NOTIFY_SOCKET": manager.address})
        assert systemd is not None
        systemd.tell(READY=1, STATUS="two\nlines")
        assert manager.read() == [{"READY": "1", "STATUS": "two lines"}]
        systemd.close()

    def test_an_abstract_socket(self) -> None:
        name = f"@aurora-test-{os.getpid()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind("\0" + name[1:])
            systemd = Systemd.of({"NOTIFY_SOCKET": name})
            assert systemd is not None
            systemd.tell(READY=1)
            assert listener.recv(100) == b"READY=1"
            systemd.close()

    @pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
    def test_without_a_socket_there_is_no_manager(self, environ: dict[str, str]) -> None:
        assert Systemd.of(environ) is None

    @pytest.mark.parametrize(
        ("environ", "limit_s"),
        [
            ({"WATCHDOG_USEC": "30000000"}, 30.0),
            ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
            ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
            ({"WATCHDOG_USEC": "0"}, None),
            ({"WATCHDOG_USEC": "often"}, None),
            ({}, None),
        ],
    )
    def test_the_watchdog_that_is_asked_of_this_process(
        self, manager: Manager, environ: dict[str, str], limit_s: float | None
    ) -> None:
        systemd = Systemd.of({"NOTIFY_SOCKET": manager.address, **environ})
        assert systemd is not None
        assert systemd.watchdog_s == limit_s
        systemd.close()

    def test_a_manager_that_is_gone_disturbs_nobody(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        systemd = Systemd(str(tmp_path / "nobody"))
        systemd.tell(WATCHDOG=1)
        systemd.tell(WATCHDOG=1)
        assert len(caplog.records) == 1
        systemd.close()


class TestTheDaemon:
    async def test_a_life(self, tmp_path: Path, manager: Manager) -> None:
        """Started, ready with a record on disk, fed, hung, going on, stopped with a clean seal."""
        async with Unit(7) as unit:
            with daemon(tmp_path, manager, unit.port) as process:
                await until(lambda: manager.has("READY"))
                (ready,) = [message for message in manager.read() if "READY" in message]
                assert ready["STATUS"] == "1 of 1 devices answer; records reach the disk"
                with closing(Reader(tmp_path / "data/journal.db")) as reader:
                    _, groups = reader.rest(0)
                    assert groups, "a scan is on disk when the service says that it is ready"
                before = manager.fed()
                await until(lambda: manager.fed() > before + 1)

                process.send_signal(signal.SIGSTOP)
                while (count := manager.fed()) != await self.later(manager):
                    pass
                assert manager.fed() == count, "a stopped process feeds nothing"
                process.send_signal(signal.SIGCONT)
                await until(lambda: manager.fed() > count)

                process.terminate()
                assert await asyncio.to_thread(process.wait, 20) == 0
                assert manager.has("STOPPING")
            with closing(Reader(tmp_path / "data/journal.db")) as reader:
                assert not reader.rest(None)[1], "all is sealed"
                assert not reader.check()

    @staticmethod
    async def later(manager: Manager) -> int:
        await asyncio.sleep(1.0)
        return manager.fed()

    async def test_without_any_answer_it_is_ready_all_the_same_and_says_so(
        self, tmp_path: Path, manager: Manager
    ) -> None:
        async with Unit() as unit:
            port = unit.port
        with daemon(tmp_path, manager, port):
            await until(lambda: manager.has("READY"))
            assert manager.said("0 of 1 devices answer; records reach the disk")
            before = manager.fed()
            await until(lambda: manager.fed() > before + 1)

    async def test_where_the_first_sample_is_still_to_come_it_is_ready_and_says_when(
        self, tmp_path: Path, manager: Manager
    ) -> None:
        """Started again within one slot: it is on record already, the next is hours away."""
        for words in ("0 of 1 devices answer", "the first sample is due in "):
            manager.read().clear()
            with daemon(tmp_path, manager, 1, period="24h") as process:
                await until(lambda: manager.has("READY"))
                assert manager.said(words)
                process.terminate()
                assert await asyncio.to_thread(process.wait, 20) == 0

    async def test_a_hang_is_told_with_the_place_by_the_signal_of_the_watchdog(
        self, tmp_path: Path, manager: Manager
    ) -> None:
        async with Unit(7) as unit:
            with daemon(tmp_path, manager, unit.port) as process:
                await until(lambda: manager.has("READY"))
                process.send_signal(signal.SIGABRT)
                assert await asyncio.to_thread(process.wait, 20) == -signal.SIGABRT
        assert "Current thread" in (tmp_path / "log").read_text()


@pytest.fixture
async def supervise(manager: Manager) -> AsyncIterator[Callable[[Gateway], None]]:
    """Supervises a gateway with short limits."""
    systemd, tasks = Systemd(manager.address, watchdog_s=0.5), []

    def start(gateway: Gateway) -> None:
        progress = Progress(gateway, overdue_s=-9.0, write_s=0.5)  # a bus has 10 s more for its time-outs
        supervision = Supervision(gateway, systemd, progress)
        supervision.ready()
        tasks.append(asyncio.create_task(supervision.run()))

    yield start
    for task in tasks:
        task.cancel()
        await asyncio.wait([task])
    systemd.close()


class TestProgress:
    async def test_a_bus_that_hangs_stops_the_feeding_and_is_named(
        self,
        tmp_path: Path,
        manager: Manager,
        supervise: Callable[[Gateway], None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async with Unit(7) as unit, running(site_of(tmp_path, unit.port)) as gateway:
            held = asyncio.Event()
            supervise(gateway)
            await until(lambda: manager.has("READY"))
            worker = gateway.acquire.workers[0]

            async def hang(*_: object) -> None:
                await held.wait()

            monkeypatch.setattr(worker, "_poll", hang)
            await until(lambda: manager.said("hangs: a sample of a is due for"))
            count = manager.fed()
            await asyncio.sleep(1.0)
            assert manager.fed() == count
            monkeypatch.undo()
            held.set()
            await until(lambda: manager.fed() > count)

    async def test_a_writer_that_hangs_stops_the_feeding(
        self,
        tmp_path: Path,
        manager: Manager,
        supervise: Callable[[Gateway], None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async with Unit(7) as unit, running(site_of(tmp_path, unit.port)) as gateway:
            held = asyncio.Event()
            supervise(gateway)
            await until(lambda: manager.has("READY"))
            write = gateway.journal._write

            async def hang(*words: object) -> object:
                await held.wait()
                return await write(*words)

            monkeypatch.setattr(gateway.journal, "_write", hang)
            await until(lambda: manager.said("hangs: records wait for the disk"))
            monkeypatch.undo()
            count = manager.fed()
            held.set()
            await until(lambda: manager.fed() > count)

    async def test_a_store_that_refuses_is_not_ready_and_not_restarted(
        self, tmp_path: Path, manager: Manager, supervise: Callable[[Gateway], None]
    ) -> None:
        (tmp_path / "journal.db").mkdir()
        async with Unit(7) as unit, running(site_of(tmp_path, unit.port)) as gateway:
            supervise(gateway)
            await until(lambda: manager.said("the journal cannot be written"))
            assert any("EXTEND_TIMEOUT_USEC" in message for message in manager.read())
            assert not manager.has("READY")
            (tmp_path / "journal.db").rmdir()
            await until(lambda: manager.has("READY"))


def test_timesyncd_is_known_by_its_folder_where_other_processes_are_hidden(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    assert KernelSource(tmp_path / "proc").read().keeper is None
    (tmp_path / "run/systemd/timesync").mkdir(parents=True)
    assert KernelSource(tmp_path / "proc").read().keeper == "timesyncd"


async def test_a_new_box_without_any_sensor_runs_and_says_so(tmp_path: Path, manager: Manager) -> None:
    with daemon(tmp_path, manager, 1, sensors=False) as process:
        await until(lambda: manager.has("READY"))
        assert manager.said("no device is configured; records reach the disk")
        before = manager.fed()
        await until(lambda: manager.fed() > before + 1)
        process.terminate()
        assert await asyncio.to_thread(process.wait, 20) == 0
    with closing(Reader(tmp_path / "data/journal.db")) as reader:
        assert reader.heads()["event"] > 0
