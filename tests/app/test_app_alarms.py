"""An alarm from a bus to a person and into the signed record: uplink down, and the gateway killed in between."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from app_tools import ROOT, command

from gateway.buffer.reader import Reader
from gateway.config import load_site
from gateway.control import ControlError, ask
from gateway.recordkeeping.events import recorded_events

SITE = """
[gateway]
member = "dairy"
site = "north"
id = "gw-1"
data_dir = "data"

[cluster]
broker = "mqtt://127.0.0.1:{dead}"
receipt_key = "cluster.pem"

[clock]
source = "host"
error_s = 1.0

[web]
listen = false

[[bus]]
id = "plant"
type = "modbus-tcp"
host = "127.0.0.1"
port = {port}

[[device]]
id = "probe"
bus = "plant"
model = "generic-registers-20"
unit = 1
period_s = 0.2
channels = ["r0", "r1"]

[[profile]]
id = "store"
unit = ""
title = "Store of the test"

[profile.limits]
high-critical = {{ limit = 100, delay = "1s", hysteresis = 1 }}

[[point]]
id = "room"
name = "Room"
channel = "probe.r0"
critical = true
profile = "store"

[[output]]
id = "office"
type = "webhook"
url = "http://127.0.0.1:{hook}/alarms"

[[notify]]
output = "office"
"""


class Room(threading.Thread):
    """A Modbus TCP unit in a thread; every register holds ``value``."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.value = 50
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]

    def run(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: Any) -> None:
        with client:
            while request := client.recv(12, 0x100):  # MSG_WAITALL
                words = request[11]
                body = bytes((request[6], request[7], 2 * words)) + self.value.to_bytes(2, "big") * words
                client.sendall(request[:4] + len(body).to_bytes(2, "big") + body)

    def stop(self) -> None:
        self._server.close()


class Hook(ThreadingHTTPServer):
    """Keeps every notice that is posted."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.notices: list[dict[str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.notices.append(json.loads(body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Plant:
    """The room, the office, and a gateway that is started and killed."""

    def __init__(self, folder: Path, room: Room, hook: Hook) -> None:
        self.folder, self.room, self.hook = folder, room, hook
        self.site = folder / "site.toml"
        self.daemon: subprocess.Popen[str] | None = None

    def start(self) -> None:
        words = [
            sys.executable,
            "-m",
            "gateway.cli",
            "run",
            str(self.site),
            "--person",
            "B. Kowalska",
            "--reason",
            "plan v5",
        ]
        self.daemon = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)

    def kill(self) -> None:
        assert self.daemon is not None
        os.kill(self.daemon.pid, signal.SIGKILL)
        self.daemon.communicate()

    def stop(self) -> None:
        assert self.daemon is not None
        self.daemon.send_signal(signal.SIGTERM)
        _, log = self.daemon.communicate(timeout=15)
        assert self.daemon.returncode == 0, log

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        return command("alarms", self.site, *words)

    def state(self) -> str | None:
        """State of the alarm, None while it is normal. Raises `ControlError` while no gateway answers."""
        for alarm in ask(self.folder / "data", {"do": "alarm.list"})["alarms"]:
            if alarm["alarm"] == "room/high-critical":
                return str(alarm["state"])
        return None

    def until(self, state: str | None) -> None:
        end = time.monotonic() + 40
        last: object = "never asked"
        while time.monotonic() < end:
            try:
                last = self.state()
            except ControlError as error:
                last = error
            else:
                if last == state:
                    return
            time.sleep(0.05)
        pytest.fail(f"the alarm is {last}, not {state}")

    def until_recorded(self, kind: str, words: str) -> None:
        """Orders are taken before the record is compared with the site file: wait for that."""
        end = time.monotonic() + 40
        while time.monotonic() < end:
            if any(words in json.dumps(event, default=str) for event in self.events() if event["kind"] == kind):
                return
            time.sleep(0.05)
        pytest.fail(f"{kind} with {words} is not recorded")

    def events(self) -> list[dict[str, Any]]:
        with closing(Reader(load_site(self.site).data_dir / "journal.db")) as journal:
            return [{"kind": one.event.kind, **one.event.data} for one in recorded_events(journal)]


@pytest.fixture
def plant(tmp_path: Path, unused_tcp_port: int) -> Iterator[Plant]:
    room, hook = Room(), Hook()
    room.start()
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    text = SITE.format(port=room.port, hook=hook.server_address[1], dead=unused_tcp_port)
    (tmp_path / "site.toml").write_text(text)
    keys = command("keys", tmp_path / "site.toml", "export")
    (tmp_path / "cluster.pem").write_text(json.loads(keys.stdout)["public_key_pem"])
    it = Plant(tmp_path, room, hook)
    yield it
    if it.daemon is not None and it.daemon.poll() is None:
        it.kill()
    room.stop()
    hook.shutdown()
    hook.server_close()


def test_raised_told_acknowledged_and_closed_over_a_kill_with_the_uplink_down(plant: Plant) -> None:
    plant.start()
    plant.until(None)
    plant.room.value = 150
    plant.until("unacknowledged")
    plant.kill()

    plant.start()
    plant.until("unacknowledged")
    refused = plant.ask("confirm", "room/high-critical", "--person", "", "--text", "door shut")
    assert refused.returncode == 2
    assert "no person is named" in refused.stderr
    done = plant.ask("acknowledge", "room/high-critical", "--person", "A. Smit", "--text", "on my way")
    assert done.returncode == 0, done.stderr
    assert plant.state() == "acknowledged"
    text = "door was open; shut, core of the product 4.8"
    done = plant.ask("confirm", "room/high-critical", "--person", "A. Smit", "--text", text)
    assert done.returncode == 0, done.stderr
    plant.kill()

    plant.start()
    plant.until("acknowledged")
    plant.room.value = 50
    plant.until(None)
    plant.stop()

    events = [event for event in plant.events() if event.get("alarm") == "room/high-critical"]
    story = [event for event in events if event["kind"].startswith("alarm.")]
    assert [event["kind"] for event in story] == [
        "alarm.raised",
        "alarm.acknowledged",
        "alarm.confirmed",
        "alarm.returned",
    ]
    assert {event["occurrence"] for event in story} == {1}
    assert story[0]["value"] == 150
    assert story[0]["limit"] == 100
    assert story[2]["person"] == "A. Smit"
    assert story[2]["text"] == text
    assert "notify.sent" in [event["kind"] for event in events]
    told = [notice["transition"] for notice in plant.hook.notices if notice.get("alarm") == "room/high-critical"]
    assert told[0] == "raised"
    assert told.count("raised") <= 2, "at least once: a kill between sending and noting it may repeat a notice"
    evidence = plant.folder / "evidence"
    assert command("export", plant.site, "--format", "batches", "--out", evidence).returncode == 0
    verified = command("verify", evidence)
    assert verified.returncode == 0, verified.stdout

    # An unfinished day ends some seconds before now, and all of this was a moment ago.
    now = datetime.fromtimestamp(time.time(), UTC)
    soon = (now + timedelta(minutes=1)).isoformat()
    words = (
        "report",
        plant.site,
        "day",
        "--point",
        "room",
        "--date",
        f"{now:%Y-%m-%d}",
        "--as-of",
        soon,
        "--format",
    )
    report = json.loads(command(*words, "json").stdout)
    told = json.dumps(report, ensure_ascii=False)
    assert "room/high-critical" in told
    assert text in told
    assert "A. Smit" in told
    page = command(*words, "html", "--lang", "pl").stdout
    assert text in page


def test_what_changed_in_the_site_file_is_on_record_with_old_and_new_value(plant: Plant) -> None:
    plant.start()
    plant.until(None)
    plant.until_recorded("config.changed", "100")
    plant.stop()
    plant.site.write_text(plant.site.read_text().replace("limit = 100", "limit = 120"))
    plant.start()
    plant.until(None)
    plant.until_recorded("config.changed", "120")
    plant.stop()
    changes = [event for event in plant.events() if event["kind"] == "config.changed"]
    assert "100" in json.dumps(changes[-1], default=str)
    assert "120" in json.dumps(changes[-1], default=str)
    assert changes[-1]["person"] == "B. Kowalska"
    assert "plan v5" in changes[-1]["text"]


def test_an_order_without_a_running_gateway_says_so(plant: Plant) -> None:
    done = plant.ask("acknowledge", "room/high-critical", "--person", "A. Smit")
    assert done.returncode == 2
    assert "no gateway is running" in done.stderr
