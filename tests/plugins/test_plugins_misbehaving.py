"""A plugin that raises, blocks or floods is stopped, counted and named, while the path goes on."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from app_tools import Unit, more_scans, running, scans, site_of, until

from gateway import rulebook
from gateway.api import Finding, PluginError, Reading, Report, Rule, setting
from gateway.commands import foreign_report as foreign_module
from gateway.commands.foreign_report import foreign_report
from gateway.commands.plugins import of_running
from gateway.control import ask
from gateway.metrics import Exposition
from gateway.site import RuleSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeSettings:
    mode: str = setting("", example="")


class Bad(Rule):
    """Behaves as its settings say until ``good`` is set."""

    title = "for tests"
    Settings = ModeSettings
    good: ClassVar[threading.Event] = threading.Event()
    made: ClassVar[list[str]] = []

    def __init__(self, settings: Any, host: Any) -> None:
        super().__init__(settings, host)
        self.made.append(settings.mode)

    def take(self, readings: Sequence[Reading]) -> Iterator[Any]:
        mode = "" if self.good.is_set() else self.settings.mode
        if mode == "raise":
            raise RuntimeError("a bug")
        if mode == "exit":
            raise SystemExit(3)
        if mode == "block":
            self.good.wait(20)
        elif mode == "spin":
            end = time.monotonic() + 20
            while time.monotonic() < end:
                pass
        elif mode == "flood":
            yield from (Finding(key=f"k{n}", active=True, words="") for n in range(10_000))
        elif mode == "lies":
            yield {"not": "a finding"}
        elif mode == "logs":
            for number in range(1000):
                self.log.warning("line %d", number)
        elif mode == "foreign":
            yield Finding(key="x", active=True, words="", point="another gateway's")
            yield Finding(key="x/y\n", active=True, words="")
        yield Finding(key="seen", active=True, words="it  works\nnow", point="p", value=float("1"))


@pytest.fixture(autouse=True)
def bad(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(rulebook, "load_rule", lambda _: Bad)
    Bad.good.clear()
    Bad.made.clear()
    yield
    Bad.good.set()


def with_rule(folder: Path, port: int, mode: str, **changes: Any) -> Any:
    spec = RuleSpec(id="bad", type="bad", settings={"mode": mode}, **{"limit_s": 0.3, **changes})
    fine = RuleSpec(id="fine", type="fine", settings={"mode": ""})
    return site_of(folder, port, rules=(spec, fine))


@pytest.mark.parametrize(
    ("mode", "fault"),
    [
        ("raise", "raised"),
        ("exit", "raised"),
        ("lies", "raised"),
        ("block", "late"),
        ("spin", "late"),
        ("flood", "floods"),
    ],
)
async def test_it_is_stopped_counted_and_named_and_is_begun_anew(tmp_path: Path, mode: str, fault: str) -> None:
    async with Unit() as unit, running(with_rule(tmp_path, unit.port, mode)) as gateway:
        await until(lambda: gateway.rulebook is not None)
        await until(lambda: gateway.rulebook.listing()["bad"][fault] > 0)
        await until(lambda: gateway.rulebook.listing()["bad"]["state"] != "ok")
        await until(lambda: [a for a in gateway.assess.alarms if a.id == "gateway/rule-bad" and a.active])
        before = scans(gateway)
        await more_scans(gateway, 10)
        assert scans(gateway) >= before + 10
        await until(lambda: [a for a in gateway.assess.alarms if a.id == "p/fine-seen"])
        text = Exposition(gateway).text()[0].decode()
        assert 'aurora_rule_up{rule="bad"} 0.0\n' in text
        assert 'aurora_rule_up{rule="fine"} 1.0\n' in text
        assert f'aurora_rule_faults_total{{fault="{fault}",rule="bad"}} 0.0\n' not in text
        Bad.good.set()
        await until(lambda: gateway.rulebook.listing()["bad"]["state"] == "ok")
        await until(lambda: [a for a in gateway.assess.alarms if a.id == "p/bad-seen"])
        await until(lambda: not [a for a in gateway.assess.alarms if a.id == "gateway/rule-bad" and a.active])
    assert Bad.made.count(mode) >= 2


async def test_what_it_may_not_say_is_not_heard(tmp_path: Path) -> None:
    async with Unit() as unit, running(with_rule(tmp_path, unit.port, "foreign")) as gateway:
        await until(lambda: [a for a in gateway.assess.alarms if a.id == "p/bad-seen"])
        assert gateway.rulebook.listing()["bad"]["floods"] >= 2
        (found,) = (a for a in gateway.assess.alarms if a.id == "p/bad-seen")
        assert found.condition.words == "it works now"
        assert {a.id for a in gateway.assess.alarms if a.id.startswith(("p/bad", "gateway/bad", "another"))} == {
            "p/bad-seen"
        }


async def test_its_log_is_cut(tmp_path: Path) -> None:
    async with Unit() as unit, running(with_rule(tmp_path, unit.port, "logs", limit_s=5.0)) as gateway:
        await until(lambda: gateway.rulebook is not None)
        await until(lambda: gateway.rulebook.listing()["bad"]["silenced"] > 900)
        await until(lambda: [a for a in gateway.assess.alarms if a.id == "p/bad-seen"])


class BadReport(Report):
    """Behaves as the kind says."""

    kinds = ("raise", "exit", "hang", "spin", "grow", "endless", "words", "die", "good")

    def make(self, kind: str, data: Any, language: str) -> bytes:
        if kind == "raise":
            raise RuntimeError("a bug")
        if kind == "exit":
            raise SystemExit(3)
        if kind == "hang":
            time.sleep(60)
        while kind == "spin":
            pass
        if kind == "grow":
            return bytes(4 << 30)
        if kind == "endless":
            return bytes(2 << 20)
        if kind == "words":
            return "text"  # type: ignore[return-value]
        if kind == "die":
            os._exit(7)
        return f"{data['x']} in {language}".encode()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("raise", "RuntimeError: a bug"),
        ("exit", "SystemExit: 3"),
        ("hang", "was not done within"),
        ("spin", "was not done within"),
        ("grow", "MemoryError"),
        ("endless", "without end"),
        ("words", "a report is bytes"),
        ("die", "ended without a word"),
    ],
)
def test_a_report_that_fails_costs_nobody_else(kind: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_module, "known_report", lambda *_: BadReport)
    monkeypatch.setattr(foreign_module, "LARGEST", 1 << 20)
    with pytest.raises(PluginError, match=words) as caught:
        foreign_report("bad", kind, {"x": 1}, "fr", limit_s=1.0 if kind in {"hang", "spin"} else 30.0)
    assert "'bad'" in caught.value.what
    assert foreign_report("bad", "good", {"x": 1}, "fr") == b"1 in fr"


async def test_the_running_gateway_is_asked_how_its_plugins_do(tmp_path: Path) -> None:
    """As `aurora-gateway plugins SITE` does."""
    async with Unit() as unit, running(with_rule(tmp_path, unit.port, "raise")) as gateway:
        await until(lambda: gateway.rulebook is not None)
        await until(lambda: gateway.rulebook.listing()["bad"]["raised"] > 0)
        await until((tmp_path / "control.sock").exists)
        answer = await asyncio.to_thread(ask, tmp_path, {"do": "plugins.list"})
        found = of_running(answer["plugins"])
    assert found["fine"]["state"] == "ok"
    assert (found["bad"]["type"], found["bad"]["state"]) == ("bad", "resting")
    assert found["bad"]["words"].startswith("raised ")
    assert "RuntimeError: a bug" in found["bad"]["words"]
