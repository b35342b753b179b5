"""Outputs of members against real HTTP servers: in order, at least once, with the same key, each by itself."""

import asyncio
import hashlib
import hmac
import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

import pytest
from derive_world import EAGER, LATER_MS, Box, alarm, derived, enrol, store_all
from handon_world import plant

from gateway.cluster.database import Database
from gateway.cluster.derive.follower import Follower
from gateway.cluster.handon.lane import Lane, Told
from gateway.cluster.handon.outputs import load_outputs
from gateway.errors import ConfigError

KEY = "a shared secret"


class Hook(ThreadingHTTPServer):
    """Takes posts; ``answers`` are the next status codes, 204 when there are none left."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.hold = threading.Event()
        self.hold.set()
        self.changed = threading.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"

    @property
    def notices(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]

    async def until(self, enough: Callable[["Hook"], bool]) -> None:
        def wait() -> None:
            with self.changed:
                assert self.changed.wait_for(lambda: enough(self), 60)

        await asyncio.to_thread(wait)


class Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.hold.wait(60)
        with self.server.changed:
            self.server.got.append((dict(self.headers), body))
            status = self.server.answers.pop(0) if self.server.answers else 204
            self.server.changed.notify_all()
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.hold.set()
    server.shutdown()
    thread.join()
    server.server_close()


def written(folder: Path, url: str, more: str = "", name: str = "hook") -> Path:
    (folder / "webhook.key").write_text(KEY)
    path = folder / "handon.toml"
    path.write_text(
        f'[[output]]\nmember = "dairy"\nid = "{name}"\ntype = "webhook"\nurl = "{url}"\n'
        f'key = {{ file = "webhook.key" }}\n{more}\n'
    )
    return path


def lane_of(database: Database, path: Path, now_ms: int = LATER_MS) -> Lane:
    [output] = load_outputs(path)
    return Lane(database, output, utc_ms=lambda: now_ms, random=Random(1), poll_s=0.02, rest_s=0.01)


async def running(lane: Lane, until: Callable[[], Any]) -> None:
    """Run a lane until something is so."""
    task = asyncio.create_task(lane.run())
    try:
        await until()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def more_events(database: Database, gateway: int, box: Box, *events: tuple[str, dict[str, Any]]) -> None:
    for event in events:
        box.pass_ms(1000)
        box.happens(event)
    await store_all(database, gateway, box)
    await Follower(database, EAGER).catch_up(LATER_MS)


async def test_an_alarm_is_posted_signed_with_what_is_known(database: Database, tmp_path: Path, hook: Hook) -> None:
    box = plant(tmp_path / "box")
    await derived(database, box)
    lane = lane_of(database, written(tmp_path, hook.url, 'begin = "beginning"'))
    await running(lane, lambda: hook.until(lambda h: len(h.got) == 1))
    headers, body = hook.got[0]
    assert headers["Aurora-Signature"] == "sha256=" + hmac.new(KEY.encode(), body, hashlib.sha256).hexdigest()
    notice = json.loads(body)
    place = len(box.batches[0]) - 1
    assert notice["key"] == headers["Idempotency-Key"] == f"dairy.gw-1:{place}.0"
    assert (notice["member"], notice["site"], notice["gateway"]) == ("dairy", "north", "gw-1")
    assert (notice["alarm"], notice["transition"], notice["tier"]) == ("cold/high-critical", "raised", "critical")
    assert (notice["point"], notice["name"], notice["value"], notice["limit"]) == (
        "cold",
        "Cold room",
        -16.0,
        -18.0,
    )
    assert notice["sent_utc_ms"] == LATER_MS
    assert notice["late_s"] > 600
    assert "CRITICAL: Cold room" in notice["subject"]


async def test_it_begins_now_unless_it_is_asked_for_history(database: Database, tmp_path: Path, hook: Hook) -> None:
    box = plant(tmp_path / "box")
    gateway = await derived(database, box)
    path = written(tmp_path, hook.url)
    lane = lane_of(database, path)
    assert (await lane.round()).rest_s == 0
    assert hook.got == []
    await more_events(database, gateway, box, alarm("cold/high-critical", "returned", "normal"))
    await lane.round()
    assert [notice["transition"] for notice in hook.notices] == ["returned"]
    # A gateway that comes later is told of from its first event on.
    other = Box(box.signer)
    other.happens(alarm("cold/low", "raised", "unacknowledged"))
    await store_all(database, await enrol(database, "gw-2"), other)
    await Follower(database, EAGER).catch_up(LATER_MS)
    await lane_of(database, path).round()
    assert [notice["gateway"] for notice in hook.notices] == ["gw-1", "gw-2"]


async def test_only_what_was_asked_for_is_told(database: Database, tmp_path: Path, hook: Hook) -> None:
    box = plant(tmp_path / "box")
    gateway = await derived(database, box)
    await more_events(
        database,
        gateway,
        box,
        alarm("cold/high", "raised", "unacknowledged", tier="alert"),
        alarm("cold/high", "acknowledged", "acknowledged", tier="alert", person="Ann", text="door was open"),
        ("alarm.raised", {"alarm": "broken", "tier": "critical"}),
        ("note", {"point": "cold"}),
        alarm("cold/high-critical", "returned", "normal"),
    )
    more = 'begin = "beginning"\ntiers = ["critical"]\ntransitions = ["raised", "returned"]'
    lane = lane_of(database, written(tmp_path, hook.url, more))
    await lane.round()
    assert [(n["alarm"], n["transition"]) for n in hook.notices] == [
        ("cold/high-critical", "raised"),
        ("cold/high-critical", "returned"),
    ]
    lane = lane_of(database, written(tmp_path, hook.url, 'begin = "beginning"\nsites = ["south"]', name="other"))
    await lane.round()
    assert len(hook.got) == 2


async def test_failures_are_tried_again_in_order_with_the_same_key(
    database: Database, tmp_path: Path, hook: Hook
) -> None:
    box = plant(tmp_path / "box")
    gateway = await derived(database, box)
    events = [alarm(f"cold/{number}", "raised", "unacknowledged") for number in range(5)]
    await more_events(database, gateway, box, *events)
    hook.answers = [503, 500, 204, 401, 204, 302]
    lane = lane_of(database, written(tmp_path, hook.url, 'begin = "beginning"'))
    await running(lane, lambda: hook.until(lambda h: len(h.got) == 10))
    keys = [notice["key"] for notice in hook.notices]
    assert [keys.count(key) for key in dict.fromkeys(keys)] == [3, 2, 2, 1, 1, 1]
    assert [n["alarm"] for n in hook.notices if n["key"] in keys][-1] == "cold/4"
    assert len(set(keys)) == 6


async def test_what_will_never_be_taken_is_given_up_and_counted(
    database: Database, tmp_path: Path, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    box = plant(tmp_path / "box")
    gateway = await derived(database, box)
    await more_events(database, gateway, box, alarm("cold/2", "raised", "unacknowledged"))
    hook.answers = [422]
    await lane_of(database, written(tmp_path, hook.url, 'begin = "beginning"')).round()
    assert [notice["alarm"] for notice in hook.notices] == ["cold/high-critical", "cold/2"]
    async with database.transaction(write=False) as work:
        [(place,)] = await work.fetch("SELECT place FROM handed WHERE output = 'hook'")
    assert json.loads(place)["refused"] == 1
    assert "gives up dairy.gw-1:" in caplog.text


async def test_a_restart_goes_on_where_it_was_and_may_repeat_one(
    database: Database, tmp_path: Path, hook: Hook
) -> None:
    """Killed between delivery and the note of it: the same key comes again, nothing is left out."""
    box = plant(tmp_path / "box")
    gateway = await derived(database, box)
    events = [alarm(f"cold/{number}", "raised", "unacknowledged") for number in range(4)]
    await more_events(database, gateway, box, *events)
    path = written(tmp_path, hook.url, 'begin = "beginning"')
    lane = lane_of(database, path)
    saved = 0

    async def dies() -> None:
        nonlocal saved
        saved += 1
        if saved == 3:
            raise KeyboardInterrupt
        assert lane._places is not None
        await lane._places.save(database, LATER_MS)

    lane._save = dies  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        await lane.round()
    delivered = len(hook.got)
    await lane_of(database, path).round()
    keys = [notice["key"] for notice in hook.notices]
    assert len(keys) == 6
    assert len(set(keys)) == 5
    assert keys[delivered - 1] == keys[delivered]


async def test_rebuilt_tables_tell_nothing_twice(database: Database, tmp_path: Path, hook: Hook) -> None:
    box = plant(tmp_path / "box")
    gateway = await derived(database, box)
    path = written(tmp_path, hook.url, 'begin = "beginning"')
    await lane_of(database, path).round()
    async with database.transaction() as work:
        for table in ("event", "alarm", "point", "boot", "layout", "progress"):
            await work.execute(f"DELETE FROM {table} WHERE gateway = $1", gateway)
    await lane_of(database, path).round()
    await Follower(database, EAGER).catch_up(LATER_MS)
    await lane_of(database, path).round()
    assert len(hook.got) == 1


async def test_a_dead_end_holds_up_no_other(database: Database, tmp_path: Path, hook: Hook) -> None:
    """One that never answers and one that is not there, beside one that is well."""
    await derived(database, plant(tmp_path / "box"))
    stuck = Hook()
    stuck.hold.clear()
    thread = threading.Thread(target=stuck.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    lanes = [
        lane_of(database, written(tmp_path, url, 'begin = "beginning"', name=name))
        for name, url in (("stuck", stuck.url), ("gone", "http://127.0.0.1:9/"), ("well", hook.url))
    ]
    tasks = [asyncio.create_task(lane.run()) for lane in (lanes[0], lanes[2])]
    try:
        assert (await lanes[1].round()).rest_s > 0
        await hook.until(lambda h: len(h.got) == 1)
        assert lanes[0].delivered == 0
        stuck.hold.set()
        await stuck.until(lambda h: len(h.got) == 1)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        stuck.shutdown()
        thread.join()
        stuck.server_close()
    assert (lanes[1].failures, lanes[1].delivered) == (1, 0)


async def test_it_is_given_up_after_so_long(database: Database, tmp_path: Path, hook: Hook) -> None:
    await derived(database, plant(tmp_path / "box"))
    [output] = load_outputs(written(tmp_path, hook.url, 'begin = "beginning"\ngive_up = "10min"'))
    now, elapsed = [LATER_MS], [0.0]
    lane = Lane(database, output, utc_ms=lambda: now[0], random=Random(1), rest_s=4.0, elapsed_s=lambda: elapsed[0])
    hook.answers = [500] * 4
    rests = [(await lane.round()).rest_s, (await lane.round()).rest_s]
    assert 2 <= rests[0] <= 4
    assert 4 <= rests[1] <= 8
    # The clock is set a year ahead: nothing is given up for that.
    now[0] += 366 * 86_400_000
    assert (await lane.round()).rest_s > 0
    elapsed[0] += 601
    assert (await lane.round()).rest_s == 0
    assert len(hook.got) == 4
    assert (await lane.round()).rest_s == 0
    assert len(hook.got) == 4


async def test_a_defect_of_one_output_is_named_once_and_tried_again(
    database: Database,
    tmp_path: Path,
    hook: Hook,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await derived(database, plant(tmp_path / "box"))
    lane = lane_of(database, written(tmp_path, hook.url, 'begin = "beginning"'))
    good, calls = lane.round, []

    async def breaks() -> Told:
        calls.append(1)
        if len(calls) < 3:
            raise ValueError("nobody thought of this")
        return await good()

    monkeypatch.setattr(lane, "round", breaks)
    await running(lane, lambda: hook.until(lambda h: len(h.got) > 0))
    assert len(calls) >= 3
    assert sum("nobody thought of this" in record.message for record in caplog.records) == 1


TABLE = '[[output]]\nmember = "m"\nid = "x"\ntype = "webhook"\nurl = "https://x.example/"\n'
MISTAKES = [
    ("", "is missing, or no list of tables"),
    ('[[output]]\nid = "x"\ntype = "webhook"\nurl = "https://x.example/"', "member: is missing"),
    ('[[output]]\nmember = "m"\nid = "x"\ntype = "webhok"', "did you mean 'webhook'"),
    ('[[output]]\nmember = "m"\nid = "x"\ntype = "webhook"\nurl = "ftp://x"', "no address that can be posted to"),
    (TABLE + 'tiers = ["hot"]', "'hot' is none of the tiers"),
    (TABLE + 'begin = "then"', "is no beginning"),
    ('[[output]]\nmember = "m"\nid = "x"\ntype = "siren-gpio"\nchip = "gpio"\nline = 1', "set it up there"),
    ("[[notify]]\n", "is not known here"),
    ("not toml", "is no TOML"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), MISTAKES)
def test_mistakes_in_the_file_are_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "handon.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as found:
        load_outputs(path)
    assert words in str(found.value)


def test_a_name_is_given_once_to_a_member(tmp_path: Path) -> None:
    table = '[[output]]\nmember = "{}"\nid = "x"\ntype = "webhook"\nurl = "https://x.example/"\n'
    path = tmp_path / "handon.toml"
    path.write_text(table.format("a") + table.format("b"))
    assert [output.member for output in load_outputs(path)] == ["a", "b"]
    path.write_text(table.format("a") * 2)
    with pytest.raises(ConfigError, match="another output of this member"):
        load_outputs(path)


def test_the_example_of_the_guide_is_right(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs/cluster-handon.md").read_text()
    path = tmp_path / "outputs.toml"
    path.write_text(guide.split("```TOML\n")[1].split("```")[0])
    assert [(output.spec.type, output.history) for output in load_outputs(path)] == [
        ("webhook", False),
        ("ngsi-ld", True),
    ]


async def test_the_command_runs_until_it_is_told_to_stop(
    database: Database, place: str, tmp_path: Path, hook: Hook
) -> None:
    await derived(database, plant(tmp_path / "box"))
    path = written(tmp_path, hook.url, 'begin = "beginning"')
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cluster.cli", "hand-on", "run", str(path), "--store", place
    )
    try:
        await hook.until(lambda h: len(h.got) == 1)
        process.terminate()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
