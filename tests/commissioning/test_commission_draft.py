"""Draft: from a device that was found to its lines in the site file, and the first readings that prove them."""

import asyncio
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onsite_tools import SITE, bench, probe

from firmware_interfaces.modbus.model import load_model
from gateway.commissioning.names import free_id, suggest_period
from gateway.commissioning.profiles import builtin, choices
from gateway.config.check import check_site
from gateway.config.profiles import builtin_profile, builtin_profiles
from gateway.config.shape import PointTable
from gateway.errors import AuroraError
from gateway.site import BusSpec, DeviceSpec, Site


def with_edits(text: str, edits: list[dict[str, Any]]) -> tuple[Site | None, list[Any]]:
    """The site file with added tables, as TOML has them, checked."""
    lines = [text]
    for edit in edits:
        assert edit["op"] == "add"
        (table,) = edit["path"]
        lines.append(f"\n[[{table}]]")
        for key, value in edit["values"].items():
            lines.append(f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}")
    full = "\n".join(lines)
    assert tomllib.loads(full)
    return check_site(full, "site.toml", Path())


class TestIds:
    @pytest.mark.parametrize(
        ("name", "ident"),
        [
            ("Cold room 3", "cold-room-3"),
            ("Chambre froide n° 3 (été)", "chambre-froide-n-3-ete"),
            ("Chłodnia Łódź", "chlodnia-lodz"),
            ("冷蔵室", "point"),
            ("  --  ", "point"),
        ],
    )
    def test_come_from_the_name(self, name: str, ident: str) -> None:
        assert free_id(name, (), "point") == ident

    def test_are_never_taken(self) -> None:
        assert free_id("Cold room", {"cold-room", "cold-room-2"}, "point") == "cold-room-3"

    @given(st.text(max_size=200), st.sets(st.text(max_size=10), max_size=5))
    def test_are_always_ones_that_a_site_file_takes(self, name: str, taken: set[str]) -> None:
        ident = free_id(name, taken, "point")
        assert ident not in taken
        assert PointTable.model_validate({"id": ident, "name": "x", "channel": "a.b"}).id == ident


class TestPeriod:
    MODEL = load_model("xy-md02")

    def line(self, baud: int) -> BusSpec:
        return BusSpec(id="l", kind="modbus-rtu", device="/dev/ttyUSB0", baud=baud)

    def others(self, count: int) -> list[tuple[DeviceSpec, Any]]:
        return [
            (DeviceSpec(id=f"d{n}", bus="l", model="xy-md02", unit=n, period_ms=1000), self.MODEL)
            for n in range(1, count + 1)
        ]

    def test_is_ten_seconds_where_the_line_has_room(self) -> None:
        period_s, why, load = suggest_period(self.line(9600), self.MODEL, ["temperature"], self.others(2))
        assert period_s == 10.0
        assert load is not None
        assert load < 0.1
        assert "busy" in why

    def test_a_line_that_is_full_is_no_place_for_it(self) -> None:
        period_s, why, load = suggest_period(self.line(1200), self.MODEL, ["temperature"], self.others(3))
        assert load is not None
        assert load > 0.5
        assert why.endswith("put the device on one of its own")
        assert period_s == 600.0

    def test_keeps_within_what_the_profile_allows(self) -> None:
        period_s, _, _ = suggest_period(
            self.line(1200), self.MODEL, ["temperature"], self.others(5), longest_s=60.0
        )
        assert period_s <= 20.0


class TestProfiles:
    def test_the_choices_are_those_of_the_checker_with_their_sources(self, tmp_path: Path) -> None:
        assert sorted(builtin()) == builtin_profiles()
        for choice in choices(None):
            checked = builtin_profile(choice["id"])
            assert choice["sources"] == list(checked.sources)
            assert choice["actions"] == list(checked.actions)
            assert choice["actions"], "every profile says what to do"
            assert choice["sources"], "and where that comes from"

    def test_the_members_own_come_first_and_those_of_the_unit(self, tmp_path: Path) -> None:
        path = tmp_path / "site.toml"
        path.write_text('[[profile]]\nid = "ours"\nbase = "chilled-meat"\ntitle = "Ours"\nsources = ["plan 3"]\n')
        found = choices(path, "degC")
        assert (found[0]["id"], found[0]["sources"][0], found[0]["unit"]) == ("ours", "plan 3", "degC")
        assert found[-1]["unit"] != "degC"


class TestDraft:
    async def test_a_unit_on_a_known_bus_becomes_a_device_and_a_point(self, tmp_path: Path) -> None:
        async with bench(tmp_path, {1: probe(41), 5: probe(52, unit=5)}) as at:
            draft = await at.order(
                "commission.draft", name="Cold room", bus="line-1", unit=5, model="xy-md02",
                profile="poultry", critical=True,
            )  # fmt: skip
            assert draft["ids"] == {"bus": "line-1", "device": "cold-room", "point": "cold-room-2"}
            assert [edit["path"] for edit in draft["edits"]] == [["device"], ["point"]]
            assert any("calibration" in note for note in draft["notes"])
            assert any("called Cold room already" in note for note in draft["notes"])
            text = (tmp_path / "site.toml").read_text()
            site, problems = with_edits(text, draft["edits"])
            assert site is not None, problems
            assert not problems
            assert site.devices[-1].unit == 5
            assert site.devices[-1].period_ms == draft["period_s"] * 1000
            assert site.points[-1].critical
            assert site.points[-1].profile is not None
            assert site.points[-1].channel == "temperature", "temperature is what a place is usually judged by"

    async def test_a_new_line_is_added_and_a_known_one_is_found_again(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as at:
            line = {"type": "modbus-rtu", "device": "/dev/ttyUSB7"}
            draft = await at.order(
                "commission.draft", name="Dock", connection=line, unit=3, model="xy-md02", channels=["humidity"]
            )
            bus = draft["edits"][0]
            assert bus["path"] == ["bus"]
            assert (bus["values"]["device"], bus["values"]["baud"]) == ("/dev/ttyUSB7", 9600)
            assert draft["load"] is not None
            site, problems = with_edits((tmp_path / "site.toml").read_text(), draft["edits"])
            assert site is not None, problems
            assert site.devices[-1].channels == ("humidity",)
            known = {"type": "modbus-tcp", "host": "127.0.0.1", "port": at.port}
            again = await at.order("commission.draft", name="Dock", connection=known, unit=3, model="xy-md02")
            assert again["ids"]["bus"] == "line-1"
            assert [edit["path"] for edit in again["edits"]] == [["device"], ["point"]]

    async def test_a_heard_sensor_brings_its_bus_and_its_signal_strength(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as at:
            draft = await at.order(
                "commission.draft", name="Freezer", address="cb:b8:33:4c:88:4f", model="ruuvi-tag",
                channels=["temperature", "humidity"], profile="quick-frozen",
            )  # fmt: skip
            site, problems = with_edits((tmp_path / "site.toml").read_text(), draft["edits"])
            assert site is not None, problems
            device = site.devices[-1]
            assert (device.address, device.channels) == ("CB:B8:33:4C:88:4F", ("temperature", "humidity", "rssi"))
            assert site.buses[-1].kind == "ble"

    async def test_a_device_that_is_there_gets_another_point(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as at:
            draft = await at.order("commission.draft", name="Air, humidity", device="room", channel="humidity")
            assert [edit["path"] for edit in draft["edits"]] == [["point"]]
            site, problems = with_edits((tmp_path / "site.toml").read_text(), draft["edits"])
            assert site is not None, problems
            assert any("recorded, and not judged" in note for note in draft["notes"])

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"bus": "line-1", "unit": 5, "model": "xy-md02"}, "name is missing"),
            ({"name": "x", "unit": 5, "model": "xy-md02"}, "bus is missing"),
            ({"name": "x", "bus": "line-1", "unit": 5, "model": "xy-md02", "profile": "meat"}, "no such profile"),
            ({"name": "x", "bus": "line-1", "unit": 5, "model": "xy-md02", "device_id": "room"}, "one of that id"),
            ({"name": "x", "bus": "line-1", "unit": 5, "model": "xy-md02", "channels": ["t"]}, "names 't'"),
            ({"name": "x", "address": "CB:B8", "model": "ruuvi-tag"}, "address is 'CB:B8'"),
            ({"name": "x", "device": "romo"}, "did you mean 'room'"),
        ],
    )
    async def test_what_cannot_be_is_refused(self, tmp_path: Path, fields: dict[str, Any], words: str) -> None:
        async with bench(tmp_path) as at:
            with pytest.raises(AuroraError, match=words):
                await at.order("commission.draft", **fields)


class TestFirstReadings:
    async def test_are_waited_for_and_shown(self, tmp_path: Path) -> None:
        async with bench(tmp_path, text=SITE.replace("period_s = 1", "period_s = 0.2")) as at:
            first = await at.job("commission.first", device="room", scans=3)
            assert first["state"] == "done", first
            assert first["result"]["good"] == 3
            assert [scan["channels"][0]["text"] for scan in first["found"]] == ["4.1"] * 3
            assert len({scan["slot"] for scan in first["found"]}) == 3

    async def test_a_sensor_fault_is_no_good_scan(self, tmp_path: Path) -> None:
        async with bench(tmp_path, text=SITE.replace("period_s = 1", "period_s = 0.2")) as at:
            at.set(32767)
            begun = await at.order("commission.first", device="room", scans=1)
            async with asyncio.timeout(20):
                while not (found := (await at.order("job.show", job=begun["job"]))["found"]):
                    await asyncio.sleep(0.01)
            at.set(39)
            first = await at.ended(begun["job"])
            assert first["state"] == "done"
            assert found[0]["channels"][0]["value"] in {None, 4.1}
            assert first["found"][-1]["channels"][0]["value"] == 3.9
