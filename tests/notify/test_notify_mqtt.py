"""MQTT against Mosquitto: notices, retained states, last will, refusals."""

import asyncio
import json
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from notify_tools import alarm, notifying, output, rule, site_of, standing_alarm, until
from plugin_tools import made, notice, waiting
from smtp_sink import write_secret

from gateway.api import OutputError, Secret

PROGRAM = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
pytestmark = pytest.mark.skipif(not Path(PROGRAM).exists(), reason="Mosquitto is not installed")


class Mosquitto:
    """On a port of its own; what it retains lives as long as the process."""

    def __init__(self, folder: Path, extra: str = "allow_anonymous true") -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\n{extra}\npersistence false\nuser root\n")
        self._log = folder / "mosquitto.log"

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([PROGRAM, "-c", str(self._config)], stdout=log, stderr=log)
        end = time.monotonic() + 10
        while time.monotonic() < end and self._process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.01)
        raise AssertionError(self._log.read_text())

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    found = Mosquitto(tmp_path)
    found.start()
    yield found
    found.stop()


@asynccontextmanager
async def listening(broker: Mosquitto, **words: Any) -> AsyncIterator[dict[str, list[tuple[bytes, bool]]]]:
    """Everything on the broker from now on, and what it has retained: topic to (content, retained)."""
    got: dict[str, list[tuple[bytes, bool]]] = {}
    async with aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5, **words) as client:
        await client.subscribe("#", qos=1)

        async def collect() -> None:
            async for message in client.messages:
                got.setdefault(str(message.topic), []).append((bytes(message.payload), message.retain))

        collecting = asyncio.create_task(collect())
        try:
            yield got
        finally:
            collecting.cancel()
            await asyncio.wait([collecting])


def settings(broker: Mosquitto, **changes: object) -> dict[str, object]:
    return {"host": "127.0.0.1", "port": broker.port, "prefix": "site/alarms", **changes}


async def test_a_notice_comes_once_and_a_state_is_kept_for_who_comes_later(broker: Mosquitto) -> None:
    mqtt = made("mqtt", settings(broker))
    async with listening(broker) as got:
        await mqtt.send(notice())
        await mqtt.follow(waiting())
        await mqtt.follow(waiting())
        await until(lambda: "site/alarms/alarm/cold-room-1/high-critical" in got)
    async with listening(broker) as later:
        await until(lambda: len(later) == 2)
    assert [retained for _, retained in got["site/alarms/notice"]] == [False]
    assert len(got["site/alarms/alarm/cold-room-1/high-critical"]) == 1, "said once for the same state"
    state = json.loads(later["site/alarms/alarm/cold-room-1/high-critical"][0][0])
    assert (state["state"], state["value"], state["name"]) == ("unacknowledged", 8.2, "Cold room 1")
    assert later["site/alarms/status"] == [(b"online", True)]
    await mqtt.close()
    async with listening(broker) as after:
        await until(lambda: after.get("site/alarms/status") == [(b"offline", True)])


async def test_silence_is_noticed_by_the_brokers_own_hand(broker: Mosquitto) -> None:
    mqtt = made("mqtt", settings(broker))
    await mqtt.test()
    async with listening(broker) as got:
        await until(lambda: got.get("site/alarms/status") == [(b"online", True)])
        cut = mqtt._link._client._client.socket()  # type: ignore[attr-defined]
        cut.shutdown(socket.SHUT_RDWR)
        await until(lambda: got["site/alarms/status"][-1][0] == b"offline")
        await mqtt.follow(waiting())
        await until(lambda: got["site/alarms/status"][-1][0] == b"online")
    await mqtt.close()


async def test_a_broker_that_is_away_loses_nothing_and_gets_all_states_again(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    spec = output(type="mqtt", settings=settings(broker), to=(), follows=True, digests=False)
    async with notifying(site_of(tmp_path, [spec], [rule()]), alarms=[standing_alarm()]) as world:
        await until(lambda: world.notifier.stats.outputs["mail"].failures)
        assert "no connection to 127.0.0.1" in world.notifier.stats.outputs["mail"].last_error
        broker.start()
        try:
            await until(lambda: world.notifier.stats.outputs["mail"].sent == 1)
            broker.stop()
            broker.start()  # it keeps nothing: what stands has to be said again
            async with listening(broker) as got:
                await until(lambda: "site/alarms/alarm/cold-room-1/high-critical" in got)
                await world.notifier.accept([alarm("acknowledged")])
                await until(lambda: "site/alarms/notice" in got)
                await until(lambda: b'"acknowledged"' in got["site/alarms/alarm/cold-room-1/high-critical"][-1][0])
        finally:
            broker.stop()


async def test_a_refusal_is_seen_although_the_library_does_not_say_it(tmp_path: Path) -> None:
    acl = write_secret(tmp_path / "acl", "user gw\ntopic readwrite other/#\n")
    passwords = write_secret(tmp_path / "passwords", "gw:geheim\n")
    subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True, capture_output=True)
    broker = Mosquitto(tmp_path, f"allow_anonymous false\npassword_file {passwords}\nacl_file {acl}")
    broker.start()
    try:
        secret = Secret(file=write_secret(tmp_path / "secret", "geheim"))
        mqtt = made("mqtt", settings(broker, user="gw", password=secret))
        with pytest.raises(
            OutputError, match=r"refuses the message \(not authorised\); allow this client to write to"
        ):
            await mqtt.send(notice())
        with suppress(OutputError):
            await mqtt.close()
        wrong = Secret(file=write_secret(tmp_path / "wrong", "falsch"))
        with pytest.raises(OutputError, match=r"no connection to .*; check host, port, certificates, user"):
            await made("mqtt", settings(broker, user="gw", password=wrong)).test()
    finally:
        broker.stop()
