"""The example package of the guide is installed, found, checked and used, one plugin of each kind."""

import csv
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from app_tools import Unit, running, until
from notify_tools import alarm, notifying, rule, site_of
from plugin_install import ROOT, SITE, command, install

from firmware_interfaces import extra as extra_module
from firmware_interfaces.ble.decoders.dispatch import TABLES
from firmware_interfaces.ble.models import MODELS
from gateway.api import RULES, output_types
from gateway.api_loading import types
from gateway.config import check_site


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("site-packages"), tmp_path_factory.mktemp("source") / "example")


@pytest.fixture
def here(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The example is installed in this process too, and gone after the test."""
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.setattr(extra_module, "_found", None)
    yield installed
    for name in [name for name in sys.modules if name.startswith("aurora_example")]:
        del sys.modules[name]
    TABLES.company.pop(0xFFFF, None)
    MODELS.pop("example-tag", None)


def guide_toml(part: str) -> str:
    page = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
    return next(text for text in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if part in text)


class TestListing:
    def test_all_four_are_listed_with_their_origin(self, installed: Path) -> None:
        done = command(installed, "plugins", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        found = {(p["kind"], p["name"]): p for p in json.loads(done.stdout)["plugins"]}
        for kind, name in (
            ("device", "example"),
            ("rule", "rise-rate"),
            ("output", "alarm-csv"),
            ("report", "plain-text"),
        ):
            plugin = found[kind, name]
            assert (plugin["package"], plugin["version"], plugin["state"]) == ("aurora-example", "1.0", "ok")
        assert found["output", "sparkplug"]["package"] == ""

    def test_one_that_cannot_be_loaded_is_named(self, installed: Path, tmp_path: Path) -> None:
        broken = tmp_path / "broken-1.dist-info"
        broken.mkdir()
        (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
        (broken / "entry_points.txt").write_text(
            "[aurora_gateway.rules]\nbad = broken_rule:Rule\n[aurora_gateway.devices]\nnone = broken_rule:D\n"
        )
        (tmp_path / "broken_rule.py").write_text("raise RuntimeError('no such luck')\n")
        done = command(tmp_path, "plugins")
        assert done.returncode == 1
        assert re.search(r"rule +bad +broken 1 +broken .*RuntimeError: no such luck", done.stdout), done.stdout
        assert re.search(r"device +none +broken 1 +broken .*RuntimeError: no such luck", done.stdout), done.stdout

    def test_the_package_and_the_guide_name_the_same_entry_points(self) -> None:
        project = tomllib.loads((ROOT / "docs/example-plugin/pyproject.toml").read_text(encoding="utf-8"))
        text = guide_toml("aurora_gateway.devices")
        assert tomllib.loads(text)["project"]["entry-points"] == project["project"]["entry-points"]

    def test_the_example_imports_the_border_alone(self) -> None:
        for path in (ROOT / "docs/example-plugin").rglob("*.py"):
            ours = re.findall(
                r"^(?:from|import) (gateway\S*|firmware_interfaces\S*)", path.read_text(), re.MULTILINE
            )
            assert set(ours) <= {"gateway.api"}, path


class TestDevices:
    def test_a_modbus_model_is_used_like_one_of_the_gateways_own(self, installed: Path, tmp_path: Path) -> None:
        done = command(installed, "models", "example-probe")
        assert done.returncode == 0, done.stderr
        assert "1 of its own tests pass" in done.stdout
        (tmp_path / "site.toml").write_text(SITE.format(port=502))
        assert command(installed, "check", tmp_path / "site.toml").returncode == 0
        missing = command(tmp_path, "check", tmp_path / "site.toml")
        assert "there is no model 'example-probe'" in missing.stderr

    @pytest.mark.parametrize(
        ("payload", "readings"),
        [
            ("e1f8310bb807", {"temperature": -19.99, "battery_voltage": 3.0}),
            ("e18000ffff07", {"temperature": None, "battery_voltage": None}),
            ("e1270f0bb807", {"temperature": None, "battery_voltage": 3.0}),
        ],
    )
    def test_an_advertisement_is_decoded_by_its_table(
        self, installed: Path, payload: str, readings: dict[str, float | None]
    ) -> None:
        done = command(installed, "decode", "ble", "--manufacturer", f"0xFFFF={payload}")
        (frame,) = json.loads(done.stdout)["frames"]
        assert frame["format"] == "example-tag"
        assert {reading["key"]: reading["value"] for reading in frame["readings"]} == readings

    @pytest.mark.parametrize("payload", ["e1f831", "e1f8310bb80700", "e2f8310bb807", ""])
    def test_what_is_not_of_its_layout_gives_no_value(self, installed: Path, payload: str) -> None:
        done = command(installed, "decode", "ble", "--manufacturer", f"0xFFFF={payload}")
        assert not any(frame.get("readings") for frame in json.loads(done.stdout or '{"frames": []}')["frames"])

    def test_a_company_of_the_gateways_own_cannot_be_taken(self, here: Path) -> None:
        from firmware_interfaces.ble.extra import add_format
        from gateway.api import AdvertFormat, AdvertQuantity

        temperature = AdvertQuantity(key="t", unit="degC", at=0)
        ours = AdvertFormat(id="mine", title="", source="", size=1, company=0x0499, quantities=(temperature,))
        with pytest.raises(ValueError, match="the gateway itself decodes"):
            add_format(ours)
        name = AdvertFormat(id="ruuvi-tag", title="", source="", size=1, company=0xFFFE, quantities=(temperature,))
        with pytest.raises(ValueError, match="there is a model 'ruuvi-tag' already"):
            add_format(name)
        outside = AdvertQuantity(key="t", unit="degC", at=1, size=2)
        with pytest.raises(ValueError, match="lies outside"):
            add_format(AdvertFormat(id="short", title="", source="", size=2, company=0xFFFE, quantities=(outside,)))


class TestRule:
    async def test_what_it_finds_becomes_an_alarm_and_ends(self, here: Path, tmp_path: Path) -> None:
        async with Unit(word=40) as unit:
            text = SITE.format(port=unit.port) + guide_toml('type = "rise-rate"')
            site, problems = check_site(text, "site.toml", tmp_path)
            assert site is not None, problems
            (spec,) = site.rules
            assert (spec.type, spec.tier, spec.settings) == (
                "rise-rate",
                "advisory",
                {"degrees": 2.0, "minutes": 10.0},
            )
            (tmp_path / "data").mkdir()
            async with running(site) as gateway:
                await until(lambda: gateway.rulebook is not None)
                runner = gateway.rulebook.runners["rises"]
                await until(lambda: runner.stats.findings > 3)
                assert not [a for a in gateway.assess.alarms if a.id == "cold-room-1/rises-rises"]
                unit._word = (90).to_bytes(2, "big")
                await until(lambda: [a for a in gateway.assess.alarms if a.id == "cold-room-1/rises-rises"])
                (found,) = (a for a in gateway.assess.alarms if a.id == "cold-room-1/rises-rises")
                assert found.condition.words == "It rose by 5.0 degC within 10 min"
                assert (found.condition.tier.value, found.condition.value) == ("advisory", 9.0)

    @pytest.mark.parametrize(
        ("change", "what"),
        [
            (("degrees = 2.0", "degrees = 0.005"), "degrees"),
            (("degrees = 2.0", "degres = 2.0"), "degres"),
            (('points = ["cold-room-1"]', 'points = ["cold-rom-1"]'), "there is no point 'cold-rom-1'"),
            (('type = "rise-rate"', 'type = "rise-rat"'), "'rise-rat' is not a kind of rule"),
            (("minutes = 10.0", 'minutes = 10.0\ntier = "critical"'), "tier"),
        ],
    )
    def test_mistakes_are_named_with_their_place(
        self, here: Path, tmp_path: Path, change: tuple[str, str], what: str
    ) -> None:
        text = SITE.format(port=502) + guide_toml('type = "rise-rate"')
        site, problems = check_site(text.replace(*change), "site.toml", tmp_path)
        assert site is None
        (problem,) = problems
        assert what in f"{problem.path} {problem.what}"
        assert problem.line is not None


class TestOutput:
    async def test_it_is_found_checked_and_told(self, here: Path, tmp_path: Path) -> None:
        assert output_types()["alarm-csv"] == "aurora_example.output:AlarmCsv"
        assert types(RULES)["rise-rate"] == "aurora_example.rule:RiseRate"
        text = SITE.format(port=502) + guide_toml('type = "alarm-csv"')
        wrong, problems = check_site(text.replace("alarms.csv", "alarms.txt"), "site.toml", tmp_path)
        assert wrong is None
        assert any("alarms.txt is no CSV file" in problem.what for problem in problems)
        site, problems = check_site(text, "site.toml", tmp_path)
        assert site is not None, problems
        async with notifying(site_of(tmp_path, list(site.outputs), [rule("list")])) as world:
            assert await world.notifier.test("list") == [""]
            await world.notifier.accept([alarm(), alarm("acknowledged", person="Ann")])
            await until(lambda: world.notifier.stats.outputs["list"].sent == 2)
        with (tmp_path / "alarms.csv").open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter=";"))
        assert [row["transition"] for row in rows] == ["test", "raised", "acknowledged"]
        assert (rows[1]["value"], rows[1]["unit"], rows[2]["person"]) == ("8.2", "degC", "Ann")


class TestReport:
    async def test_it_writes_what_the_command_asks_for(self, installed: Path, tmp_path: Path, here: Path) -> None:
        async with Unit(word=40) as unit:
            text = SITE.format(port=unit.port)
            (tmp_path / "site.toml").write_text(text)
            (tmp_path / "data").mkdir()
            site, problems = check_site(text, "site.toml", tmp_path)
            assert site is not None, problems
            async with running(site) as gateway:
                await until(lambda: gateway.acquire.pollers[0].stats.scans > 3)
        site_file, out = tmp_path / "site.toml", tmp_path / "register.txt"
        words = ("report", site_file, "calibration", "--as-of", "2030-01-01", "--out", out, "--format")
        done = command(installed, *words, "plain-text")
        assert done.returncode == 0, done.stderr
        assert out.read_text().startswith("calibration (en)\n")
        unknown = command(installed, *words, "plain-txt")
        assert unknown.returncode == 2
        assert "there is no form 'plain-txt'; use one of: html, pdf, json, csv, plain-text" in unknown.stderr
