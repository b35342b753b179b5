"""From the bus to a file that somebody fetches: a gateway with a CSV drop, and what its metrics say of it."""

import csv
from pathlib import Path

from app_tools import Unit, running, scans, site_of, until

from gateway.metrics import Exposition
from gateway.site import ClockSpec, OutputSpec


async def test_values_go_from_the_bus_into_files(tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    drop = OutputSpec(
        id="drop", type="csv-drop", settings={"folder": folder, "reserve_mb": 0}, sends=False, values=True
    )
    async with Unit(word=7) as unit:
        site = site_of(tmp_path, unit.port, outputs=(drop,), clock=ClockSpec(source="host", error_s=0.5))
        async with running(site) as gateway:
            await until(lambda: bool(gateway.feeds))
            await until(lambda: "drop" in gateway.people.notifier.stats.outputs)
            since = scans(gateway)
            await until(lambda: gateway.people.notifier.stats.outputs["drop"].values.taken > 10)
            text = Exposition(gateway).text()[0].decode()
    assert 'aurora_output_values_total{fate="dropped",output="drop"} 0.0\n' in text
    (path,) = folder.glob("*.csv")
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["channel"] == "r0"]
    good = [row for row in rows if row["severity"] == "good"]
    assert len(good) > 10
    assert since > 0
    assert {(row["device"], row["points"], row["value"], row["stored"]) for row in good} == {("a", "p", "7", "0")}
    slots = [int(row["slot"]) for row in rows]
    assert slots == sorted(set(slots))
    assert all(row["utc"].endswith("Z") for row in rows)
