"""Alert rules, dashboard and a real Prometheus: all of them speak of metrics that there are."""

import asyncio
import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from socket import socket
from typing import Any
from urllib.parse import quote

import pytest
from app_tools import Unit, running, site_of, until
from promtools import FOLDER, mistakes, program

from gateway.site import ClockSpec, WebSpec


def promtool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program("promtool"), *words], capture_output=True, text=True, check=False)


def rules() -> dict[str, str]:
    text = (FOLDER / "aurora-alerts.yml").read_text(encoding="utf-8")
    found = re.findall(r"- alert: (\w+)\n +expr: '((?:[^']|'')*)'", text)
    assert len(found) == text.count("- alert:")
    return {name: expression.replace("''", "'") for name, expression in found}


def queries() -> Iterator[tuple[str, str]]:
    board = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


class TestAlertRules:
    def test_promtool_finds_them_right(self) -> None:
        done = promtool("check", "rules", FOLDER / "aurora-alerts.yml")
        assert done.returncode == 0, done.stdout + done.stderr

    def test_each_fires_when_it_should_and_is_silent_else(self) -> None:
        done = promtool("test", "rules", FOLDER / "aurora-alerts.test.yml")
        assert done.returncode == 0, done.stdout + done.stderr
        tested = (FOLDER / "aurora-alerts.test.yml").read_text(encoding="utf-8")
        for name in rules():
            assert f'fires-{name}"' in tested
            assert f'silent-{name}"' in tested

    @pytest.mark.parametrize("name", [*rules()])
    def test_it_speaks_of_metrics_that_there_are(self, name: str) -> None:
        assert list(mistakes(rules()[name])) == []

    def test_the_guide_has_every_alert(self) -> None:
        page = (FOLDER.parent / "operations.md").read_text(encoding="utf-8")
        assert set(re.findall(r"^\| `(Aurora\w+)` \|", page, re.MULTILINE)) == set(rules())

    def test_a_wrong_name_would_be_found(self) -> None:
        assert list(mistakes("rate(aurora_scan_total[5m])")) == ["there is no aurora_scan_total"]
        assert list(mistakes('aurora_bus_up{devise="x"}')) == ["aurora_bus_up has no label devise"]
        assert list(mistakes("sum by (planet) (aurora_bus_up)")) == ["no series has 'planet'"]


class TestDashboard:
    @pytest.mark.parametrize(("panel", "query"), [*queries()])
    def test_every_query_is_of_metrics_that_there_are(self, panel: str, query: str) -> None:
        assert list(mistakes(query)) == [], panel

    def test_panels_have_ids_of_their_own_and_do_not_overlap(self) -> None:
        board = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)
        taken = set()
        for panel in board["panels"]:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert not cells & taken, panel["title"]
            taken |= cells

    def test_the_queries_are_sound_promql(self, tmp_path: Path) -> None:
        """Prometheus' own parser reads each of them, as a rule."""
        found = [re.sub(r"\$instance", ".*", query) for _, query in queries()]
        lines = [f"      - record: q{number}\n        expr: {json.dumps(q)}" for number, q in enumerate(found)]
        path = tmp_path / "queries.yml"
        path.write_text("groups:\n  - name: queries\n    rules:\n" + "\n".join(lines) + "\n")
        done = promtool("check", "rules", path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{len(found)} rules found" in done.stdout


def free_port() -> int:
    with socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Prometheus:
    """Prometheus as Debian ships it, with the rules and the sample configuration of the guide."""

    def __init__(self, folder: Path, target: str) -> None:
        self.port = free_port()
        config = (FOLDER / "prometheus.yml").read_text(encoding="utf-8")
        config = config.replace("127.0.0.1:8080", target).replace("30s", "1s")
        (folder / "prometheus.yml").write_text(config)
        (folder / "aurora-alerts.yml").write_bytes((FOLDER / "aurora-alerts.yml").read_bytes())
        self._log = (folder / "log").open("w+")
        self._process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}", timeout=10) as answer:
            return json.load(answer)["data"]

    async def value(self, query: str) -> float | None:
        try:
            found = await asyncio.to_thread(self.ask, f"query?query={quote(query)}")
        except OSError:
            return None
        return float(found["result"][0]["value"][1]) if found["result"] else None

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._log.close()


async def test_a_real_prometheus_scrapes_a_real_gateway(tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    (tmp_path / "prometheus").mkdir()
    async with Unit() as unit:
        site = site_of(
            tmp_path / "gateway",
            unit.port,
            web=WebSpec(port=0),
            clock=ClockSpec(source="host", error_s=0.5),
        )
        async with running(site) as gateway:
            await until(lambda: gateway.page_address is not None)
            target = gateway.page_address.removeprefix("http://").rstrip("/")
            prometheus = Prometheus(tmp_path / "prometheus", target)
            try:
                async with asyncio.timeout(45):
                    # Two scrapes at least: only then there is an increase.
                    while not await prometheus.value("increase(aurora_scans_total[20s])"):
                        await asyncio.sleep(0.2)
                    assert await prometheus.value("up") == 1
                    assert await prometheus.value("aurora_journal_up") == 1
                    assert await prometheus.value('aurora_clock_state{state="trusted"}') == 1
                    groups = (await asyncio.to_thread(prometheus.ask, "rules"))["groups"]
                    assert {rule["name"] for group in groups for rule in group["rules"]} == set(rules())
                    while any(rule["health"] == "unknown" for group in groups for rule in group["rules"]):
                        await asyncio.sleep(0.2)
                        groups = (await asyncio.to_thread(prometheus.ask, "rules"))["groups"]
                    assert not [rule for g in groups for rule in g["rules"] if rule["health"] != "ok"]
            finally:
                await asyncio.to_thread(prometheus.close)
