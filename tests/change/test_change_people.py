"""What people meet of a changed site file: orders, the record, outputs, the page, the command line, SIGHUP."""

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from app_tools import ROOT, Unit, command, record_of, until
from change_tools import HEAD, WHO, bus_text, checked_here, device_text, plant, point_text, two_buses, two_units

from gateway.change import changes
from gateway.change.plan import ChangeError
from gateway.control import ask
from gateway.errors import RecordError
from gateway.identity import open_identity

ALARMED = """
[[profile]]
id = "store"
unit = ""

[profile.limits]
high-critical = { limit = 100, delay = "0s" }

[[output]]
id = "office"
type = "webhook"
url = "http://127.0.0.1:PORT/alarms"

[[notify]]
output = "office"
"""


@pytest.fixture
def no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "inquire", checked_here)


class Hook(ThreadingHTTPServer):
    """Keeps every notice that is posted."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taker)
        self.notices: list[dict[str, Any]] = []


class Taker(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.notices.append(json.loads(body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.usefixtures("no_child")
class TestOrders:
    async def test_a_proposal_says_all_and_changes_nothing(self, tmp_path: Path) -> None:
        async with two_units() as (one, two), plant(tmp_path, two_buses(one.port, two.port)) as here:
            shown = await here.do("site.show")
            assert shown["text"] == here.path.read_text()
            assert shown["in_force"]
            edits = [
                {"op": "set", "path": ["device", "a", "period_s"], "value": 0.5},
                {"op": "remove", "path": ["point", "q"]},
            ]
            told = await here.do("site.propose", edits=edits)
            assert (told["usable"], told["base"], told["problems"]) == (True, shown["digest"], [])
            assert {key: told["changes"][0][key] for key in ("path", "old", "new")} == {
                "path": "device[a].period_ms",
                "old": 100,
                "new": 500,
            }
            assert told["changes"][0]["words"] == "device[a].period_ms: 100 becomes 500"
            assert "-period_s = 0.1\n+period_s = 0.5\n" in told["difference"]
            assert [(fact["kind"], fact["id"]) for fact in told["consequences"]] == [
                ("bus-restarts", "one"),
                ("device-rescheduled", "a"),
                ("point-removed", "q"),
                ("untouched", ""),
            ]
            json.dumps(told)
            assert here.path.read_text() == shown["text"]

    async def test_every_mistake_of_a_proposal_is_named_with_line_and_remedy(self, tmp_path: Path) -> None:
        async with two_units() as (one, two), plant(tmp_path, two_buses(one.port, two.port)) as here:
            text = here.path.read_text().replace('bus = "two"', 'bus = "tow"').replace("a.r0", "a.r99")
            told = await here.do("site.propose", text=text)
            assert not told["usable"]
            assert told["consequences"] == []
            assert [problem["line"] for problem in told["problems"]] == [
                1 + text[: text.index(word)].count("\n") for word in ('bus = "tow"', 'channel = "a.r99"')
            ]
            assert all(problem["remedy"] for problem in told["problems"])
            with pytest.raises(ChangeError, match="2 mistakes") as refused:
                await here.apply(text=text)
            assert "tow" in refused.value.what

    async def test_alarms_that_end_are_named_before(self, tmp_path: Path) -> None:
        async with Unit(150) as one:
            text = HEAD + bus_text("one", one.port) + device_text("a", "one") + device_text("b", "one", unit=2)
            point = point_text("p", "a") + 'profile = "store"\n'
            profile = ALARMED.partition("[[output]]")[0]
            async with plant(tmp_path, text + profile + point) as here:
                await until(lambda: bool(here.gateway.assess.alarms))
                told = await here.do("site.propose", edits=[{"op": "remove", "path": ["point", "p"]}])
                assert ("alarm-ends", "p/high-critical") in [(f["kind"], f["id"]) for f in told["consequences"]]
                await here.apply([{"op": "remove", "path": ["point", "p"]}])
                site = here.gateway.site
        ended = record_of(site).one("alarm.returned").data
        assert f"{WHO['person']}: {WHO['reason']}" in ended["words"]

    @pytest.mark.parametrize("without", ["person", "reason", "base"])
    async def test_who_why_and_of_what_must_be_said(self, tmp_path: Path, without: str) -> None:
        async with two_units() as (one, two), plant(tmp_path, two_buses(one.port, two.port), first=None) as here:
            request = {**WHO, "base": "00", "text": "x"}
            del request[without]
            with pytest.raises((ChangeError, RecordError)) as refused:
                await here.do("site.apply", **request)
            assert refused.value.remedy

    @pytest.mark.parametrize(
        "request_", [{}, {"text": 3}, {"edits": "x"}, {"edits": []}, {"text": "\ud800"}, {"edits": [3]}], ids=str
    )
    async def test_nonsense_is_refused_with_a_remedy(self, tmp_path: Path, request_: dict[str, Any]) -> None:
        async with two_units() as (one, two), plant(tmp_path, two_buses(one.port, two.port), first=None) as here:
            with pytest.raises(ChangeError) as refused:
                await here.do("site.propose", **request_)
            assert refused.value.remedy

    async def test_what_a_form_sends_keeps_the_line_ends_of_the_file(self, tmp_path: Path) -> None:
        async with two_units() as (one, two), plant(tmp_path, two_buses(one.port, two.port)) as here:
            text = here.path.read_text().replace('name = "P"', 'name = "Room"')
            await here.apply(text=text.replace("\n", "\r\n"))
            assert here.path.read_bytes() == text.encode()

    async def test_a_file_that_is_in_force_already_is_no_change(self, tmp_path: Path) -> None:
        async with two_units() as (one, two), plant(tmp_path, two_buses(one.port, two.port)) as here:
            done = await here.apply(text=here.path.read_text())
            assert (done["version"], done["words"]) == (None, "the site file is in force already")


@pytest.mark.usefixtures("no_child")
class TestRecord:
    async def test_each_change_is_recorded_with_person_reason_and_values_and_so_is_the_way_back(
        self, tmp_path: Path
    ) -> None:
        async with two_units() as (one, two):
            text = two_buses(one.port, two.port)
            async with plant(tmp_path, text) as here:
                await here.apply([{"op": "set", "path": ["device", "a", "period_s"], "value": 0.2}])
                digest = (await here.do("site.show"))["digest"]
                back = {"version": 1, "base": digest, "person": "Ann", "reason": "too slow"}
                assert (await here.do("site.rollback", **back))["applied"]
                assert here.path.read_text() == text
                with pytest.raises(ChangeError, match="no version 77"):
                    await here.do("site.rollback", **{**back, "version": 77})
                versions = (await here.do("site.versions"))["versions"]
                assert [(v["number"], v["how"], v["person"], v["in_force"]) for v in versions] == [
                    (3, "rollback", "Ann", True),
                    (2, "apply", WHO["person"], False),
                    (1, "start", None, False),
                ]
                site = here.gateway.site
        stated = [event.data for event in record_of(site).events if event.kind == "config.changed"][1:]
        assert [(data["person"], data["text"]) for data in stated] == [
            (WHO["person"], WHO["reason"]),
            ("Ann", "back to version 1: too slow"),
        ]
        assert stated[0]["changes"] == [{"path": "device[a].period_ms", "old": 100, "new": 200}]
        assert stated[1]["previous_digest"] == stated[0]["digest"] == digest
        assert {data["person_is"] for data in stated} == {"stated when it was applied"}

    async def test_a_record_of_a_new_point_can_be_made_at_once(self, tmp_path: Path) -> None:
        async with two_units() as (one, two), plant(tmp_path, two_buses(one.port, two.port)) as here:
            values = {"id": "hall", "name": "Hall", "channel": "b.r1"}
            await here.apply([{"op": "add", "path": ["point"], "values": values}])
            data_dir = here.gateway.site.data_dir
            request = {"do": "record.note", "person": "Jo", "text": "new", "point": "hall"}
            answer = await asyncio.to_thread(ask, data_dir, request)
            assert answer["ok"]


@pytest.mark.usefixtures("no_child")
class TestOutputs:
    async def test_what_waits_for_an_output_is_sent_by_its_changed_settings(
        self, tmp_path: Path, hook: Hook, unused_tcp_port: int
    ) -> None:
        async with Unit(150) as one:
            text = HEAD + bus_text("one", one.port) + device_text("a", "one") + point_text("p", "a")
            text += 'profile = "store"\n' + ALARMED.replace("PORT", str(unused_tcp_port))
            async with plant(tmp_path, text) as here:
                people = here.gateway.people
                await until(lambda: people.notifier.stats.outputs["office"].failures > 0)
                before = people.notifier
                url = f"http://127.0.0.1:{hook.server_address[1]}/alarms"
                told = await here.apply([{"op": "set", "path": ["output", "office", "url"], "value": url}])
                assert "outputs-restart" in [fact["kind"] for fact in told["consequences"]]
                assert here.gateway.people is people
                assert people.notifier is not before
                await until(lambda: "raised" in [notice.get("transition") for notice in hook.notices])
                await until(lambda: people.notifier.stats.outputs["office"].sent >= 1)
                await here.apply([{"op": "remove", "path": ["notify", 0]}, {"op": "remove", "path": ["output", 0]}])
                listed = await asyncio.to_thread(ask, here.gateway.site.data_dir, {"do": "notify.list"})
                assert listed["outputs"] == {}
                await here.more("a")

    async def test_a_change_that_is_none_of_theirs_leaves_them_alone(
        self, tmp_path: Path, unused_tcp_port: int
    ) -> None:
        async with Unit() as one:
            text = HEAD + bus_text("one", one.port) + device_text("a", "one")
            text += ALARMED.replace("PORT", str(unused_tcp_port))
            async with plant(tmp_path, text) as here:
                notifier = here.gateway.people.notifier
                await here.apply([{"op": "set", "path": ["device", "a", "period_s"], "value": 0.2}])
                assert here.gateway.people.notifier is notifier


@pytest.mark.usefixtures("no_child")
class TestStations:
    async def test_the_page_moves_to_its_new_address(self, tmp_path: Path, unused_tcp_port: int) -> None:
        async with two_units() as (one, two), plant(tmp_path, two_buses(one.port, two.port)) as here:
            assert here.gateway.page_address is None
            listen = f"127.0.0.1:{unused_tcp_port}"
            await here.apply([{"op": "set", "path": ["web", "listen"], "value": listen}])
            await until(lambda: here.gateway.page_address == f"http://{listen}/")
            async with httpx.AsyncClient() as client:
                assert (await client.get(f"http://{listen}/")).status_code < 400
            await here.apply([{"op": "set", "path": ["web", "listen"], "value": False}])
            await until(lambda: here.gateway.page_address is None)
            assert here.gateway.counters.restarts == {}

    async def test_a_cluster_can_be_named_and_taken_away(self, tmp_path: Path, unused_tcp_port: int) -> None:
        async with two_units() as (one, two), plant(tmp_path, two_buses(one.port, two.port)) as here:
            assert here.gateway.uplink is None
            (tmp_path / "cluster.pem").write_bytes(open_identity(here.gateway.site).signer.public.pem())
            values = {"broker": f"mqtt://127.0.0.1:{unused_tcp_port}", "receipt_key": "cluster.pem"}
            await here.apply([{"op": "add", "path": ["cluster"], "values": values}])
            await until(lambda: here.gateway.uplink is not None)
            await here.apply([{"op": "remove", "path": ["cluster"]}])
            await until(lambda: here.gateway.uplink is None)
            assert here.gateway.counters.restarts.get("uplink", 0) == 0


class TestDaemon:
    @asynccontextmanager
    async def daemon(self, folder: Path) -> AsyncIterator[int]:
        """`aurora-gateway run`, once it answers on its socket; stopped in order."""
        with (folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway.cli", "run", str(folder / "site.toml"), cwd=ROOT, stderr=log
            )
        try:
            await until(lambda: (folder / "data" / "control.sock").exists() or process.returncode is not None, 40)
            yield process.pid
            process.terminate()
            assert await process.wait() == 0, (folder / "log").read_text()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def test_the_commands_and_sighup_change_a_running_daemon(self, tmp_path: Path) -> None:
        async def run(*words: str | Path) -> tuple[int, str]:
            done = await asyncio.to_thread(command, *words)
            return done.returncode, done.stdout + done.stderr

        async def in_force(version: int) -> None:
            async with asyncio.timeout(40):
                while True:
                    answer = await asyncio.to_thread(ask, tmp_path / "data", {"do": "site.versions"})
                    if next(v["number"] for v in answer["versions"] if v["in_force"]) == version:
                        return
                    await asyncio.sleep(0.05)

        who = ("--person", "Jo", "--reason", "slower")
        async with two_units() as (one, two):
            path = tmp_path / "site.toml"
            path.write_text(two_buses(one.port, two.port))
            async with self.daemon(tmp_path) as pid:
                status, told = await run("change", path, "set", "device.a.period_s", "0.5", *who)
                assert status == 0, told
                assert "1 setting changed; the site file is in force" in told
                by_hand = path.read_text().replace("period_s = 0.5", "period_s = 0.4")
                path.write_text(by_hand)
                os.kill(pid, signal.SIGHUP)
                await in_force(3)
                path.write_text(by_hand + "nonsense = 1\n")
                os.kill(pid, signal.SIGHUP)
                status, told = await run("reload", path, *who)
                assert status == 2
                assert "nonsense: is not a setting" in told
                path.write_text(by_hand)
                status, told = await run("change", path, "rollback", "1", *who)
                assert status == 0, told
                status, told = await run("change", path, "versions")
                assert "back to version 1: slower (in force)" in told.splitlines()[0]
                status, told = await run("change", path, "propose", path)
                assert (status, "nothing differs" in told) == (0, True)
        log = (tmp_path / "log").read_text()
        assert "the site file was read again and is not put in force" in log
        assert path.read_text() == two_buses(one.port, two.port)
