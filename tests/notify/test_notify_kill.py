"""kill -9 in the middle of sending: what was accepted is delivered or queued, and nothing confirmed goes twice."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from notify_tools import HandClock, notifying, output, rule, site_of, until
from smtp_sink import SmtpSink

ROOT = Path(__file__).parents[2]
COUNT = 40

PROGRAM = """
import asyncio, json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from notify_tools import HandClock, alarm, output, rule, site_of
from gateway.notify.station import Notifier

async def main():
    settings = {"host": "127.0.0.1", "port": int(sys.argv[2]), "sender": "gw@x.example", "security": "none"}
    spec = output(type="email", settings=settings, to=("ann@x.example",), limit=100000, per_s=1.0)
    site = site_of(Path(sys.argv[1]), [spec], [rule()])
    clock = HandClock()
    def sent(event):
        print(json.dumps([event.kind, event.data["alarm"]]), flush=True)
    notifier = Notifier(site, clock, sent, lambda _: None)
    await notifier.open()
    running = asyncio.ensure_future(notifier.run())
    for number in range(int(sys.argv[4])):
        await notifier.accept([alarm(alarm=f"room-{number}/high")])
        print(json.dumps(["accepted", f"room-{number}/high"]), flush=True)
    await running

asyncio.run(main())
"""


@pytest.mark.parametrize("confirmed", [1, 7])
async def test_nothing_that_was_accepted_is_lost_and_nothing_confirmed_is_sent_again(
    tmp_path: Path, confirmed: int
) -> None:
    with SmtpSink() as sink:
        arguments = [str(tmp_path), str(sink.port), str(Path(__file__).parent), str(COUNT)]
        accepted, noted = set(), set()
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            for line in child.stdout:
                kind, name = json.loads(line)
                (accepted if kind == "accepted" else noted).add(name)
                if len(noted) >= confirmed:
                    os.kill(child.pid, signal.SIGKILL)
                    break
            for line in child.stdout:  # what it still said before it died
                if line.endswith("\n"):
                    kind, name = json.loads(line)
                    (accepted if kind == "accepted" else noted).add(name)
        assert child.returncode == -signal.SIGKILL
        before = len(sink.mails)
        settings = {"host": "127.0.0.1", "port": sink.port, "sender": "gw@x.example", "security": "none"}
        spec = output(type="email", settings=settings, to=("ann@x.example",), limit=100_000, per_s=1.0)
        async with notifying(site_of(tmp_path, [spec], [rule()]), HandClock()) as world:
            await until(lambda: {name_of(mail.content) for mail in sink.mails} >= accepted)
            await world.idle()
        names = [name_of(mail.content) for mail in sink.mails]
    assert len(accepted) >= 1
    twice = {name for name in names if names.count(name) > 1}
    assert not twice & noted, "what was noted as sent is not sent again"
    assert len(twice) <= 1, "at most the one that was on its way comes twice"
    assert set(names[:before]) | set(names[before:]) >= accepted


def name_of(content: str) -> str:
    return next(line for line in content.splitlines() if line.startswith("room-")).split(" ")[0]
