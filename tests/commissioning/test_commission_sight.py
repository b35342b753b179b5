"""See and try: what is on the wires and in the air, through the gateway that is running on them."""

import asyncio
import math
from pathlib import Path

import pytest
from onsite_tools import SITE, bench, probe

from gateway.acquire.guests import Guests, Request
from gateway.demo.modbus_server import Registers, Table
from gateway.errors import AuroraError
from gateway.onsite import ORDERS, Onsite


class TestSee:
    async def test_what_is_configured_is_told_from_what_is_not(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as at:
            seen = await at.order("commission.see", air=False)
            (bus,) = seen["buses"]
            assert (bus["id"], bus["connected"], bus["port"]) == ("line-1", True, at.port)
            (device,) = bus["devices"]
            assert (device["id"], device["unit"], device["answers"]) == ("room", 1, True)
            assert device["points"] == ["Cold room"]
            assert seen["air"] is None

    async def test_models_are_listed_with_their_channels(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as at:
            models = await at.order("commission.models")
            (xy,) = (model for model in models["modbus"] if model["id"] == "xy-md02")
            assert [channel["key"] for channel in xy["channels"]] == ["temperature", "humidity"]
            assert any(model["id"] == "ruuvi-tag" for model in models["ble"])


class TestWalk:
    async def test_units_that_answer_are_found_between_the_polls(self, tmp_path: Path) -> None:
        units = {1: probe(41), 3: probe(50), 6: Registers({Table.COIL: {0: 1}})}
        async with bench(tmp_path, units) as at:
            before = at.gateway.acquire.pollers[0].stats.scans
            walk = await at.job("commission.walk", bus="line-1", first=1, last=8, timeout_s=0.1)
            assert walk["state"] == "done", walk
            found = {unit["unit"]: unit for unit in walk["result"]["units"]}
            assert sorted(found) == [1, 3, 6]
            assert found[1]["device"] == "room"
            assert found[3]["words"].startswith("answers: illegal data address"), "a refusal is a sign of life"
            assert found[6]["words"] == "answers: illegal function"
            assert walk["done"] == walk["total"] == 8
            await at.scans(1)
            poller = at.gateway.acquire.pollers[0]
            assert poller.stats.scans > before
            assert not poller.breaker.opened, "the polls did not suffer"
            assert at.gateway.acquire.workers[0].guests.served >= 7
            assert at.gateway.acquire.workers[0].link.stats.connects == 1, "nobody opened the line a second time"

    async def test_on_rtu_the_polls_go_on_between_silent_units(self, tmp_path: Path) -> None:
        text = SITE.replace("modbus-tcp", "modbus-rtu-over-tcp")
        async with bench(tmp_path, {1: probe(41), 4: probe(50)}, text) as at:
            walk = await at.job("commission.walk", bus="line-1", first=2, last=5, timeout_s=0.2)
            assert [unit["unit"] for unit in walk["result"]["units"]] == [4], walk
            tried = await at.job("commission.try", bus="line-1", unit=4, model="xy-md02", readings=2, pause_s=0)
            assert tried["result"]["fits"] == "fits", tried
            worker = at.gateway.acquire.workers[0]
            assert worker.link.stats.timeouts >= 3, "who is silent is waited for on the line itself"
            assert worker.link.stats.connects == 1
            await at.scans(2)

    async def test_a_walk_can_be_cancelled_and_only_one_runs_on_a_bus(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as at:
            for unit in range(2, 248):
                at.plant.fault(unit).mute = True
            at.plant.units = {unit: probe(1) for unit in range(1, 248)}
            walk = await at.order("commission.walk", bus="line-1", timeout_s=0.3)
            with pytest.raises(AuroraError, match="under way already"):
                await at.order("commission.walk", bus="line-1")
            await at.order("job.cancel", job=walk["job"])
            ended = await at.ended(walk["job"])
            assert ended["state"] == "cancelled"
            assert ended["done"] < 247
            await at.scans(2)

    async def test_a_bus_that_is_too_busy_says_so_with_the_numbers(self) -> None:
        guests = Guests(lambda: None)
        asking = asyncio.create_task(guests.ask(Request(unit=7, send=never, needed_s=1.08, patience_s=0.2)))
        await asyncio.sleep(0)
        assert not await guests.serve(0.4, lambda _: math.inf), "0.4 s is no room for 1 s"
        with pytest.raises(AuroraError, match=r"at most 0\.40 s between two of them, and 1\.08 s are needed"):
            await asking
        assert not guests.waiting

    async def test_on_rtu_a_polled_unit_is_only_asked_where_its_rest_fits(self) -> None:
        guests = Guests(lambda: None)
        asking = asyncio.create_task(guests.ask(Request(unit=7, send=never, needed_s=0.1, rest_s=2.0)))
        await asyncio.sleep(0)
        assert not await guests.serve(5.0, lambda _: 1.5), "a late answer may come for 2 s"
        assert guests.waiting
        asking.cancel()


async def never() -> bytes:
    raise AssertionError("the line was used")


class TestTry:
    async def test_raw_registers_stand_beside_values(self, tmp_path: Path) -> None:
        async with bench(tmp_path, {1: probe(41), 5: probe(-182 & 0xFFFF, 871)}) as at:
            tried = await at.job("commission.try", bus="line-1", unit=5, model="xy-md02", readings=3, pause_s=0)
            assert tried["state"] == "done", tried
            assert tried["result"]["fits"] == "fits"
            assert len(tried["found"]) == 3
            reading = tried["found"][-1]
            temperature, humidity = reading["channels"]
            assert (temperature["value"], temperature["text"], temperature["unit"]) == (-18.2, "-18.2", "degC")
            assert temperature["raw"] == [65536 - 182]
            assert (humidity["value"], humidity["raw"]) == (87.1, [871])
            assert reading["reads"][0]["words"] == [65536 - 182, 871]
            frames = tried["result"]["frames"]
            assert frames[0]["sent"]
            assert frames[1]["hex"].endswith("ff 4a 03 67")
            assert "temperature: -18.2 in all 3 readings" in tried["result"]["marks"]
            assert at.gateway.acquire.workers[0].link.stats.connects == 1

    async def test_a_connection_that_is_not_in_the_site_file(self, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.mkdir()
        async with bench(tmp_path) as at, bench(other, {1: probe(9), 4: probe(222)}) as there:
            line = {"type": "modbus-tcp", "host": "127.0.0.1", "port": there.port}
            tried = await at.job("commission.try", connection=line, unit=4, model="xy-md02", readings=1)
            assert tried["found"][0]["channels"][0]["value"] == 22.2
            walk = await at.job("commission.walk", connection=line, first=3, last=5)
            assert [unit["unit"] for unit in walk["result"]["units"]] == [4]

    async def test_the_wrong_model_does_not_pass_for_right(self, tmp_path: Path) -> None:
        async with bench(tmp_path, {1: probe(41), 5: probe(0, 0), 6: probe(32767, 65535)}) as at:
            zeros = await at.job("commission.try", bus="line-1", unit=5, model="xy-md02", readings=1)
            assert zeros["result"]["fits"] == "doubtful"
            assert any("every value is 0" in mark for mark in zeros["result"]["marks"])
            wild = await at.job("commission.try", bus="line-1", unit=6, model="xy-md02", readings=1)
            assert wild["result"]["fits"] != "fits"
            assert all(channel["severity"] == "bad" for channel in wild["found"][0]["channels"])
            other = await at.job("commission.try", bus="line-1", unit=5, model="eastron-sdm120", readings=1)
            assert other["state"] == "failed" or other["result"]["fits"] == "no"

    async def test_a_silent_unit_fails_in_words_and_shows_what_was_sent(self, tmp_path: Path) -> None:
        async with bench(tmp_path, {1: probe(41), 5: probe(9)}) as at:
            at.plant.fault(5).mute = True
            tried = await at.job("commission.try", bus="line-1", unit=5, model="xy-md02", readings=1, timeout_s=0.2)
            assert (tried["state"], tried["words"]) == (
                "failed",
                f"Modbus TCP 127.0.0.1:{at.port} unit 5: no answer",
            )
            assert [frame["sent"] for frame in tried["result"]["frames"]] == [True]

    async def test_a_line_that_is_given_back_after_each_poll_has_no_room(self, tmp_path: Path) -> None:
        text = SITE.replace("port = {port}", 'port = {port}\nconnection = "release"')
        async with bench(tmp_path, text=text) as at:
            tried = await at.job("commission.try", bus="line-1", unit=1, model="xy-md02", readings=1)
            assert tried["state"] == "failed"
            assert tried["words"].startswith("bus line-1 gives its connection back after each poll")
            line = {"type": "modbus-tcp", "host": "127.0.0.1", "port": at.port}
            again = await at.job("commission.walk", connection=line, first=1, last=2)
            assert again["words"] == tried["words"], "nor under another name"

    async def test_the_right_model_is_among_the_guesses(self, tmp_path: Path) -> None:
        async with bench(tmp_path, {1: probe(41), 5: probe(52, unit=5)}) as at:
            guess = await at.job("commission.guess", bus="line-1", unit=5, timeout_s=0.2)
            assert guess["state"] == "done", guess
            best = guess["result"]["models"]
            assert best[0]["model"] == "xy-md02", "by its unit id, which the maker documents"
            assert best[0]["score"] >= best[-1]["score"]
            assert all(not one["model"].startswith("generic") for one in best)
            with pytest.raises(AuroraError, match="is in the site file"):
                raise_failed(await at.job("commission.guess", bus="line-1", unit=1))


def raise_failed(job: dict[str, object]) -> None:
    if job["state"] == "failed":
        raise AuroraError(str(job["words"]))


class TestBadRequests:
    @pytest.mark.parametrize(
        ("name", "fields", "words"),
        [
            ("commission.walk", {}, "bus is missing"),
            ("commission.walk", {"bus": "line-2"}, "did you mean 'line-1'"),
            ("commission.walk", {"bus": "line-1", "first": 9, "last": 3}, "last is below 9"),
            ("commission.walk", {"bus": "line-1", "unit": 3}, "unit is not a field of this request"),
            ("commission.walk", {"bus": "line-1", "connection": {}}, "given both"),
            ("commission.walk", {"connection": {"type": "modbus-tcp"}}, "connection.host is missing"),
            ("commission.walk", {"connection": "tcp"}, "not a set of fields"),
            ("commission.try", {"bus": "line-1", "unit": 250, "model": "xy-md02"}, "unit is 250"),
            ("commission.try", {"bus": "line-1", "unit": 1.5, "model": "xy-md02"}, "unit is 1.5"),
            ("commission.try", {"bus": "line-1", "unit": 1, "model": "xy-md2"}, "xy-md02"),
            ("commission.try", {"bus": "line-1", "unit": 1, "model": "../../etc/x.toml"}, "lies elsewhere"),
            ("commission.try", {"address": "CB:B8:33:4C:88:4F"}, "has not been heard"),
            ("job.show", {"job": "J99"}, "there is no job"),
        ],
    )
    async def test_are_refused_with_a_remedy(
        self, tmp_path: Path, name: str, fields: dict[str, object], words: str
    ) -> None:
        async with bench(tmp_path) as at:
            with pytest.raises(AuroraError, match=words):
                await at.order(name, **fields)


def test_every_order_has_a_desk_that_does_it() -> None:
    from importlib import import_module

    for module, names in ORDERS.items():
        desk = import_module(module).Desk
        handlers = desk(Onsite(None)).handlers()  # type: ignore[arg-type]
        assert sorted(handlers) == sorted(names), module
