"""What the pages name is there: commands and options, metrics, settings, events, files, links."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from guide_tools import PAGES, ROOT, Said, blocks, commands, table_names, text_of, trouble

from gateway.api import load_output
from gateway.cluster.metrics import metric_names
from gateway.cluster.receiver import ReceiverStats
from gateway.config.kinds import ALL_BUSES
from gateway.config.outputs_shape import NoticesTable, NotifyTable, OutputTable, output_shape
from gateway.config.rules import RuleTable
from gateway.config.shape import DeviceTable, PointTable
from gateway.config.tables import SINGLE
from gateway.metrics import TABLE
from gateway.operations.messages import MESSAGES

SUFFIXES = ("", "_bucket", "_sum", "_count")
NAMES = [page.name for page in PAGES]


class TestCommands:
    @pytest.mark.parametrize("said", [*commands()], ids=str)
    def test_every_command_and_option_is_one(self, said: Said) -> None:
        assert trouble(said) is None, " ".join(said.words)

    def test_wrong_ones_would_be_found(self) -> None:
        assert trouble(Said("", 0, ["aurora-gateway", "chek", "x"])) == "there is no command aurora-gateway chek"
        assert trouble(Said("", 0, ["aurora-gateway", "check", "--deep"])) is not None
        assert trouble(Said("", 0, ["aurora-gateway", "report", "SITE", "month", "--format", "pdf"])) is None

    def test_there_are_many(self) -> None:
        assert len([*commands()]) > 50


class TestMetrics:
    @pytest.mark.parametrize("page", PAGES, ids=NAMES)
    def test_every_metric_is_in_the_table(self, page: Path) -> None:
        series = {name + suffix for name in TABLE for suffix in SUFFIXES} | metric_names(ReceiverStats())
        named = set(re.findall(r"\baurora_[a-z0-9_]+[a-z0-9]\b", text_of(page)))
        # Python packages of the examples, entry point groups, roles and schemas of SQL begin alike.
        others = ("aurora_gateway", "aurora_example", "aurora_service", "aurora_member", "aurora_read")
        named = {name for name in named if not name.startswith(others)}
        assert named <= series

    @pytest.mark.parametrize("page", PAGES, ids=NAMES)
    def test_every_message_id_is_one(self, page: Path) -> None:
        named = set(re.findall(r"\bc6a01ab6ec5b4a0ebbd4e5b1f6f8a[0-9a-f]{3}\b", text_of(page)))
        assert named <= {message.id for message in MESSAGES.values()}


def unknown_keys(document: dict[str, object]) -> Iterator[str]:
    """Keys of a part of a site file that no table has."""
    for name, content in document.items():
        for table in content if isinstance(content, list) else [content]:
            assert isinstance(table, dict)
            if name == "bus":
                shape = ALL_BUSES.get(str(table.get("type")))
            elif name == "output":
                shape = output_shape(load_output(table["type"])) if table.get("type") in OUTPUTS else None
            else:
                shape = SHAPES.get(name)
            if shape is not None:
                yield from (f"[{name}] {key}" for key in table if key not in shape.model_fields)


SHAPES = {**SINGLE, "device": DeviceTable, "notify": NotifyTable, "notices": NoticesTable}
OUTPUTS = ("email", "webhook", "sms", "siren-modbus", "siren-gpio", "mqtt", "sparkplug", "csv-drop")
SITE_TABLES = {*SHAPES, "bus", "point", "output", "profile", "process", "rule"}


class TestSettings:
    @pytest.mark.parametrize("page", PAGES, ids=NAMES)
    def test_every_key_of_every_piece_of_a_site_file_is_one(self, page: Path) -> None:
        for text in blocks(page, "toml"):
            document = tomllib.loads(text)
            if set(document) <= SITE_TABLES:
                assert list(unknown_keys(document)) == []

    @pytest.mark.parametrize("page", PAGES, ids=NAMES)
    def test_every_setting_that_a_text_names_is_one(self, page: Path) -> None:
        shapes = {**SHAPES, "output": OutputTable, "rule": RuleTable, "point": PointTable}
        for table, key in re.findall(r"`\[{1,2}(\w+)\]{1,2} (\w+)", text_of(page)):
            if table in shapes:
                assert key in shapes[table].model_fields, f"[{table}] {key}"

    def test_every_setting_of_the_file_is_described(self) -> None:
        page = ROOT / "docs/configuration.md"
        described = text_of(page)
        for name, shape in SHAPES.items():
            if name in {"notify", "notices", "alarms"}:
                continue
            for key in shape.model_fields:
                assert f"`{key}`" in described, f"[{name}] {key} is not described"

    def test_a_wrong_key_would_be_found(self) -> None:
        assert list(unknown_keys({"buffer": {"keep_dais": 3}})) == ["[buffer] keep_dais"]


KIND = re.compile(r"[a-z]+\.[a-z_-]+|power_up|power_down|deleted|fork|layout")
RECORDERS = {"Event", "event", "_event", "tell", "_tell", "_tell_once", "_on_event"}
CONSTANTS = {"KIND", "CALIBRATION", "VERIFICATION", "LOT", "NOTE", "CORRECTIVE", "CHANGED"}


def event_kinds() -> set[str]:
    """Kinds that the code gives to what makes events, and those that it names as constants."""
    found = set()
    for path in (ROOT / "gateway").rglob("*.py"):
        if {"cluster", "demo", "web"} & set(path.relative_to(ROOT).parts):
            continue
        for node in ast.walk(ast.parse(text_of(path))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in RECORDERS:
                    found |= {text for argument in node.args[:2] for text in kinds_in(argument)}
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in CONSTANTS:
                found |= set(kinds_in(node.value))
    return found


def kinds_in(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and KIND.fullmatch(node.value):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from kinds_in(node.body)
        yield from kinds_in(node.orelse)


class TestEvents:
    def test_every_kind_is_described(self) -> None:
        described = table_names(ROOT / "docs/events.md", KIND.pattern)
        assert event_kinds() - described == set()

    def test_every_kind_that_is_described_is_in_the_code(self) -> None:
        code = "\n".join(text_of(path) for path in (ROOT / "gateway").rglob("*.py"))
        described = table_names(ROOT / "docs/events.md", KIND.pattern)
        composed = {"device.identity", "device.audit"} if 'f"device.{kind}"' in code else set()
        assert {kind for kind in described - composed if f'"{kind}"' not in code} == set()
        assert len(described) > 40


class TestLinks:
    @pytest.mark.parametrize("page", PAGES, ids=NAMES)
    def test_every_file_that_is_linked_is_there(self, page: Path) -> None:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text_of(page)):
            if "://" not in target and not target.startswith("mailto:"):
                assert (page.parent / target).exists(), target
