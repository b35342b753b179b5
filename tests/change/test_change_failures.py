"""A change that is interrupted, refused by the disk, raced by another person, or broken by a defect of ours."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from app_tools import Unit, record_of, running, until
from change_tools import (
    WHO,
    Plant,
    causes,
    checked_here,
    device_values,
    no_file_may_grow,
    plant,
    two_buses,
    two_units,
    verified,
    whole,
    write_site,
)

from gateway.acquire.station import Acquire
from gateway.buffer.faults import StoreError
from gateway.change import changes
from gateway.change.history import History
from gateway.change.plan import ChangeError
from gateway.config import check_file
from gateway.model import Quality

MORE = {"op": "add", "path": ["device"], "values": device_values("c", "two", unit=2)}


@pytest.fixture
def no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "inquire", checked_here)


KILLED = """\
import asyncio, os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from change_tools import Plant, WHO, checked_here, running, until
from gateway.acquire.station import Acquire
from gateway import wholefile
from gateway.change import changes, history
from gateway.config import check_file

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

PLACES = {
    "while the new version is kept": lambda: setattr(wholefile.os, "fchmod", die),
    "before the file is replaced": lambda: setattr(changes, "write_whole", die),
    "between the file and the gateway": lambda: setattr(changes, "take_over", die),
    "in the middle of the gateway": lambda: setattr(Acquire, "take_over", die),
    "when all but the answer is done": lambda: setattr(history.History, "confirm", die),
}

async def main():
    site, _ = check_file(Path(sys.argv[1]))
    async with running(site) as gateway:
        here = Plant(gateway, Path(sys.argv[1]))
        await until(lambda: gateway.people is not None and gateway.people.records.book is not None)
        await here.more("b")
        changes.inquire = checked_here
        await gateway.turning.stated(None, None)
        PLACES[sys.argv[2]]()
        await here.apply([{"op": "set", "path": ["device", "b", "period_s"], "value": 0.2}])

asyncio.run(main())
"""


class TestKilled:
    @pytest.mark.parametrize(
        ("where", "new"),
        [
            ("while the new version is kept", False),
            ("before the file is replaced", False),
            ("between the file and the gateway", True),
            ("in the middle of the gateway", True),
            ("when all but the answer is done", True),
        ],
    )
    async def test_the_file_is_whole_the_start_takes_it_and_the_person_is_on_record(
        self, tmp_path: Path, where: str, new: bool
    ) -> None:
        async with two_units() as (one, two):
            write_site(tmp_path, two_buses(one.port, two.port))
            paths = [str(Path(__file__).parent), *sys.path]
            killed = await asyncio.create_subprocess_exec(
                sys.executable, "-c", KILLED, str(tmp_path / "site.toml"), where, *paths, stderr=subprocess.PIPE
            )
            _, told = await killed.communicate()
            assert killed.returncode == -signal.SIGKILL, told.decode()
            site, problems = check_file(tmp_path / "site.toml")
            assert site is not None, problems
            assert site.devices[1].period_ms == (200 if new else 100)
            async with running(site) as gateway:
                here = Plant(gateway, tmp_path / "site.toml")
                await until(lambda: gateway.people is not None and gateway.people.records.book is not None)
                await here.more("b")
                versions = (await here.do("site.versions"))["versions"]
                assert (await here.do("site.show"))["in_force"]
                # What was left of it is in nobody's way.
                await here.apply([{"op": "set", "path": ["device", "a", "period_s"], "value": 0.3}])
                await here.more("a", 1)
                site = gateway.site
        record = record_of(site)
        verified(site, tmp_path)
        stated = [event.data for event in record.events if event.kind == "config.changed"]
        assert [data["person"] for data in stated][1:] == ([WHO["person"]] if new else []) + [WHO["person"]]
        if new:
            assert stated[1]["person_is"] == "stated when it was applied"
            assert stated[1]["text"] == WHO["reason"]
            assert [version["applied"] for version in versions] == [True, True]
        assert next(version["in_force"] for version in versions)
        assert not list(tmp_path.glob(".*draft"))


@pytest.mark.usefixtures("no_child")
class TestDisk:
    async def test_where_nothing_can_be_written_nothing_is_changed(self, tmp_path: Path) -> None:
        async with two_units() as (one, two):
            text = two_buses(one.port, two.port)
            async with plant(tmp_path, text) as here:
                with no_file_may_grow():
                    with pytest.raises(ChangeError, match="cannot be written") as refused:
                        await here.apply([MORE])
                    assert "nothing was changed" in refused.value.what
                    assert here.path.read_text() == text
                await here.more("a")
                assert len((await here.do("site.versions"))["versions"]) == 1
                await here.apply([MORE])
                await here.more("c")
                site = here.gateway.site
        whole(site, tmp_path, "a", "b", "c")

    async def test_a_site_file_that_only_root_may_write_says_how_to_go_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def read_only(path: Path, *_: Any) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        async with two_units() as (one, two), plant(tmp_path, two_buses(one.port, two.port)) as here:
            monkeypatch.setattr(changes, "write_whole", read_only)
            with pytest.raises(ChangeError, match="Permission denied") as refused:
                await here.apply([MORE])
            assert "aurora-gateway reload" in refused.value.remedy
            assert [version["how"] for version in (await here.do("site.versions"))["versions"]] == ["start"]

    async def test_a_journal_that_cannot_turn_over_leaves_the_old_site_in_force(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with two_units() as (one, two):
            text = two_buses(one.port, two.port)
            async with plant(tmp_path, text) as here:
                await here.more("b")

                def full(*_: Any) -> None:
                    raise StoreError("full", "the disk is full")

                with monkeypatch.context() as patch:
                    patch.setattr(here.gateway.journal._writer, "relayout", full)
                    with pytest.raises(ChangeError, match="the disk is full") as refused:
                        await here.apply([MORE])
                assert "the old site file is in its place again" in refused.value.what
                assert here.path.read_text() == text
                assert [poller.spec.id for poller in here.gateway.acquire.pollers] == ["a", "b"]
                await asyncio.gather(here.more("a"), here.more("b"))
                await here.apply([MORE])
                await here.more("c")
                site = here.gateway.site
        record = whole(site, tmp_path, "a", "b", "c")
        refusal = record.one("config.refused").data
        assert (refusal["person"], refusal["text"]) == (WHO["person"], WHO["reason"])
        assert "the disk is full" in refusal["error"]
        assert Quality.GATEWAY_DOWN not in causes(record.slots["b"][:-2])


@pytest.mark.usefixtures("no_child")
class TestTwoPeople:
    async def test_of_two_at_the_same_time_one_is_told_who_was_first(self, tmp_path: Path) -> None:
        async with two_units() as (one, two), plant(tmp_path, two_buses(one.port, two.port)) as here:
            base = (await here.do("site.show"))["digest"]
            done = await asyncio.gather(
                *(
                    here.do("site.apply", edits=[MORE], base=base, person=person, reason="the same idea")
                    for person in ("Ann", "Ben")
                ),
                return_exceptions=True,
            )
            (refused,) = (found for found in done if isinstance(found, ChangeError))
            first = (await here.do("site.versions"))["versions"][0]["person"]
            assert f"changed by {first} (the same idea) since" in refused.what
            assert [poller.spec.id for poller in here.gateway.acquire.pollers] == ["a", "b", "c"]

    async def test_an_editor_on_the_box_is_a_second_person(self, tmp_path: Path) -> None:
        async with two_units() as (one, two), plant(tmp_path, two_buses(one.port, two.port)) as here:
            base = (await here.do("site.show"))["digest"]
            by_hand = here.path.read_text() + "# by hand\n"
            here.path.write_text(by_hand)
            assert not (await here.do("site.show"))["in_force"]
            with pytest.raises(ChangeError, match="has been changed since"):
                await here.do("site.apply", edits=[MORE], base=base, **WHO)
            assert here.path.read_text() == by_hand

    async def test_also_one_who_saves_while_the_change_is_checked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with two_units() as (one, two), plant(tmp_path, two_buses(one.port, two.port)) as here:
            by_hand = here.path.read_text() + "# by hand\n"

            async def meanwhile(question: Any) -> Any:
                here.path.write_text(by_hand)
                return await checked_here(question)

            monkeypatch.setattr(changes, "inquire", meanwhile)
            with pytest.raises(ChangeError, match="has been changed since"):
                await here.apply([MORE])
            assert here.path.read_text() == by_hand
            assert [poller.spec.id for poller in here.gateway.acquire.pollers] == ["a", "b"]
            assert len((await here.do("site.versions"))["versions"]) == 1


@pytest.mark.usefixtures("no_child")
class TestDefects:
    async def test_a_bus_that_cannot_even_be_made_leaves_the_old_site_in_force(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with two_units() as (one, two):
            text = two_buses(one.port, two.port)
            async with plant(tmp_path, text) as here:
                with monkeypatch.context() as patch:
                    patch.setattr("gateway.acquire.modbus.make_link", lambda *_, **__: 1 // 0)
                    with pytest.raises(ChangeError, match="goes on as before"):
                        await here.apply([MORE])
                assert here.path.read_text() == text
                await asyncio.gather(here.more("a"), here.more("b"))
                site = here.gateway.site
        record = whole(site, tmp_path, "a", "b")
        assert "ZeroDivisionError" in record.one("config.refused").data["error"]

    async def test_a_gateway_that_is_neither_here_nor_there_ends_and_records_nothing_wrong(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with two_units() as (one, two):
            text = two_buses(one.port, two.port)
            with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the gateway raises it when it is left
                async with plant(tmp_path, text) as here:
                    await here.more("b")
                    monkeypatch.setattr(Acquire, "take_over", lambda *_: 1 // 0)
                    with pytest.raises(ChangeError, match="the old site file is in its place again"):
                        await here.apply([MORE])
            monkeypatch.undo()
            monkeypatch.setattr(changes, "inquire", checked_here)
            assert here.path.read_text() == text
            async with plant(tmp_path, text) as here:
                await asyncio.gather(here.more("a"), here.more("b"))
                site = here.gateway.site
        whole(site, tmp_path, "a", "b")

    async def test_a_stop_in_the_middle_waits_for_the_change_or_refuses_it(self, tmp_path: Path) -> None:
        async with two_units() as (one, two):
            async with plant(tmp_path, two_buses(one.port, two.port)) as here:
                await here.more("b")
                change = asyncio.create_task(here.apply([MORE]))
                await until(here.gateway.turning.changes._applying.locked)
            (outcome,) = await asyncio.gather(change, return_exceptions=True)
            site = here.gateway.site
        assert isinstance(outcome, dict) or "stopping" in str(outcome)
        whole(site, tmp_path, "a", "b")


class TestTheChild:
    async def test_the_checker_is_not_loaded_into_the_daemon(self, tmp_path: Path) -> None:
        script = (
            "import sys, gateway.change.changes\n"
            "heavy = ('pydantic', 'gateway.config.check', 'gateway.change.edit')\n"
            "print([name for name in heavy if name in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"

    async def test_a_child_that_dies_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        async with Unit() as one, Unit() as two, plant(tmp_path, two_buses(one.port, two.port)) as here:
            monkeypatch.setattr(sys, "executable", "/bin/false")
            with pytest.raises(ChangeError, match="without an answer"):
                await here.apply([MORE])
            monkeypatch.undo()
            assert (await here.apply([MORE]))["applied"]


class TestHistory:
    def test_a_file_is_replaced_whole_and_keeps_its_mode(self, tmp_path: Path) -> None:
        path = tmp_path / "site.toml"
        path.write_text("old")
        path.chmod(0o640)
        (tmp_path / ".site.toml.draft").write_text("left by a kill")
        changes.write_whole(path, b"new")
        assert path.read_bytes() == b"new"
        assert path.stat().st_mode & 0o777 == 0o640
        assert list(tmp_path.iterdir()) == [path]

    def test_a_link_is_followed_and_stays_one(self, tmp_path: Path) -> None:
        (tmp_path / "real.toml").write_text("old")
        (tmp_path / "site.toml").symlink_to("real.toml")
        changes.write_whole(tmp_path / "site.toml", b"new")
        assert (tmp_path / "site.toml").is_symlink()
        assert (tmp_path / "real.toml").read_bytes() == b"new"

    def test_damaged_and_foreign_files_are_left_out(self, tmp_path: Path) -> None:
        history = History(tmp_path)
        for number in range(3):
            history.keep(b"text %d" % number, "apply", person="Ann", reason="x", utc_ms=None)
        folder = tmp_path / "site-history"
        (folder / "notes.toml").write_text("mine")
        (folder / "000009-aaaaaaaaaaaa.toml").write_text("no particulars")
        (folder / "000009-aaaaaaaaaaaa.json").write_text("{")
        two, one = history.versions()[0], history.versions()[1]
        (folder / f"{one.name}.toml").write_text("altered")
        assert [version.number for version in history.versions()] == [3, 2, 1]
        assert history.text(two) == b"text 2"
        assert history.text(one) is None

    def test_two_hundred_are_kept(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.change.history.MOST", 3)
        history = History(tmp_path)
        for number in range(5):
            history.keep(b"%d" % number, "apply", person=None, reason=None, utc_ms=None)
        assert [version.number for version in history.versions()] == [5, 4, 3]
        assert len(list((tmp_path / "site-history").iterdir())) == 6
