"""Imports go one way: the house is built so that a station can be read, tested and replaced alone."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

BOTTOM = {"firmware_interfaces", "gateway_core"}
NOUNS = {"gateway.model", "gateway.errors", "gateway.clock", "gateway.clock_sources", "gateway.site", "gateway"} | {
    "gateway.clock_gnss",
    "gateway.garbage",
    "gateway.profile",
    "gateway.wholefile",
}
MQTT = "gateway.mqtt"
"""Hides the client library for the two stations that speak MQTT."""
API = "gateway.api"
"""The border to plugins: known to the station that checks their settings and to the one that runs them."""
TABLES = "gateway.assess.process"
"""Arithmetic and published tables, which import no station: the configuration asks which calculations there are."""
STATIONS = (
    "access",
    "config",
    "acquire",
    "assess",
    "buffer",
    "cluster",
    "logbook",
    "notify",
    "report",
    "sync",
    "web",
)
HANDING_ON = "gateway.cluster.handon"
"""Puts together, as `gateway.app` does at the gateway: the cluster's tables, EPCIS, a gateway's outputs."""
PURE = ("gateway.seal", "gateway.chart", "gateway.language")
"""Functions on bytes, numbers and words that every station may use."""


def modules() -> list[tuple[str, Path]]:
    found = []
    for folder, name in (
        ("gateway", "gateway"),
        ("firmware_interfaces", "firmware_interfaces"),
        ("ext/gateway_core", "gateway_core"),
        ("plugins", "gateway_plugins"),
    ):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            dotted = ".".join((name, *(part for part in parts if part != "__init__")))
            found.append((dotted, path))
    return found


def imports(path: Path) -> Iterator[str]:
    """Every module of ours that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            if node.module == "gateway":
                yield from (f"gateway.{alias.name}" for alias in node.names if not alias.name.startswith("_"))
            else:
                yield node.module
        elif isinstance(node, ast.ImportFrom) and node.level:
            pytest.fail(f"{path}:{node.lineno}: relative import; write the whole name")


def station(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "gateway" and len(parts) > 1 and parts[1] in STATIONS else None


def allowed(importer: str, imported: str) -> bool:
    top = imported.split(".", maxsplit=1)[0]
    if top not in {"gateway", "firmware_interfaces", "gateway_core", "gateway_plugins"}:
        return True
    if importer.startswith("gateway_core"):
        return top in {"gateway_core"} or imported == "firmware_interfaces.quality"
    if importer.startswith("firmware_interfaces"):
        return top in BOTTOM
    if importer.startswith("gateway_plugins"):
        return imported == "gateway.api" or top == "gateway_plugins"
    if top == "gateway_plugins":
        return False
    if top in BOTTOM or imported in NOUNS:
        return importer not in NOUNS or top != "gateway" or imported in NOUNS
    if importer in NOUNS:
        return False
    if importer.startswith("gateway.seal"):
        return imported.startswith("gateway.seal")
    if importer.startswith("gateway.chart"):
        return imported.startswith(("gateway.chart", "gateway.language"))
    if importer == "gateway.language":
        return False
    if importer == MQTT:
        return False
    if importer.startswith(API):
        return imported == MQTT or imported.startswith(API)
    if importer.startswith(TABLES + "."):
        return imported.startswith(TABLES + ".")
    if importer.startswith("gateway.config.") and imported.startswith(TABLES + "."):
        return True
    if station(importer) in {"config", "notify"} and imported.startswith(API):
        return True
    if importer.startswith(HANDING_ON):
        return imported not in {"gateway.app", "gateway.cli"}
    if importer == "gateway.cluster.cli" and imported.startswith(HANDING_ON):
        return True
    if station(importer) == "web" and station(imported) == "access":
        return True  # the page asks at every request who that is, and what they may do
    if importer.startswith("gateway.cluster.fleet") and station(imported) in {"access", "web"}:
        return True  # the cluster's page is built of the same parts as the gateway's
    if importer.startswith("gateway.cluster.fleet") and imported == "gateway.report.names":
        return True  # and has the same words
    if station(importer):
        return imported.startswith(PURE) or imported == MQTT or station(imported) == station(importer)
    return True


@pytest.mark.parametrize(("module", "path"), modules(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_module_imports_only_what_lies_below_it(module: str, path: Path) -> None:
    wrong = sorted({name for name in imports(path) if not allowed(module, name)})
    assert not wrong, f"{module} imports {wrong}: see 'Imports go one way' in docs/architecture.md"


def test_the_rule_would_catch_a_wrong_arrow() -> None:
    assert not allowed("gateway.acquire.worker", "gateway.buffer.journal")
    assert not allowed("gateway.seal.batch", "gateway.sync.uplink")
    assert not allowed("firmware_interfaces.modbus.link", "gateway.model")
    assert not allowed("gateway.model", "gateway.seal.batch")
    assert not allowed("gateway.assess.process.cooling", "gateway.assess.station")
    assert not allowed("gateway.buffer.journal", "gateway.assess.process.cooling")
    assert allowed("gateway.config.process", "gateway.assess.process.catalogue")
    assert not allowed("gateway_plugins.webhook", "gateway.app")
    assert not allowed("gateway.web.server", "gateway.api")
    assert allowed("gateway.web.border", "gateway.access.door")
    assert not allowed("gateway.access.door", "gateway.web.border")
    assert allowed("gateway.cluster.fleet.pages", "gateway.web.border")
    assert not allowed("gateway.cluster.register", "gateway.web.border")
    assert not allowed("gateway.web.pages", "gateway.cluster.fleet.pages")
    assert not allowed("gateway.api", "gateway.notify.station")
    assert allowed("gateway_plugins.webhook", "gateway.api")
    assert allowed("gateway.notify.cell", "gateway.api")
    assert not allowed("gateway.report.model", "gateway.buffer.reader")
    assert not allowed("gateway.chart.strip", "gateway.web.pages")
    assert allowed("gateway.report.page", "gateway.chart")
    assert allowed("gateway.app", "gateway.buffer.journal")
    assert allowed("gateway.cluster.receiver", "gateway.seal.batch")


def test_the_wall_clock_is_read_in_one_place() -> None:
    readers = []
    for module, path in modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and (
                    ast.unparse(node.func)
                    in {
                        "time.time",
                        "time.time_ns",
                        "datetime.now",
                        "datetime.utcnow",
                        "date.today",
                        "time.clock_gettime",
                        "time.clock_gettime_ns",
                    }
                )
            ):
                readers.append(f"{module}:{node.lineno}")
    assert not [reader for reader in readers if not reader.startswith(("gateway.clock", "gateway.demo"))]
