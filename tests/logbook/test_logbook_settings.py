"""A change of the site file is evidence: which setting, from which value to which, by whom, and no secret."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from logbook_tools import SITE, Desk

from gateway.errors import RecordError, StorageError
from gateway.logbook.settings import AT_ONCE, Change, SettingsWatch, canonical, diff
from gateway.model import Event
from gateway.seal.columns import decode_events, encode_events
from gateway.site import Calibration, Site, WebSpec

SLOW_MACHINE = [HealthCheck.too_slow]
"""Other jobs on the machine are no fault of a test."""

CLAIM = Desk().claim()
ROOM, DOCK = SITE.points


def compared(old, new, **who: str | None) -> list[dict[str, Any]]:
    """The data of the events that a change from one site to another gives rise to, by way of a restart."""
    first = SettingsWatch()
    first.compare(replace(old, digest="aa"), CLAIM)
    later = SettingsWatch(first.memory())
    events = later.compare(replace(new, digest="bb"), CLAIM, **who)
    assert decode_events(encode_events(events)) == events
    return [event.data for event in events]


class TestDiff:
    def test_a_limit_that_was_changed(self) -> None:
        looser = replace(SITE, points=(replace(ROOM, tolerance=2.0, critical=False), DOCK))
        (data,) = compared(SITE, looser)
        assert data["changes"] == [
            {"path": "point[room].critical", "old": True, "new": False},
            {"path": "point[room].tolerance", "old": 0.5, "new": 2.0},
        ]
        assert (data["first"], data["digest"], data["previous_digest"]) == (False, "bb", "aa")

    def test_what_came_and_went(self) -> None:
        calibration = {
            "temperature": Calibration(certificate="K", valid_until=date(2027, 1, 1), points=((0.0, 0.1),))
        }
        device = replace(SITE.devices[0], calibration=calibration)
        (data,) = compared(SITE, replace(SITE, devices=(device,), points=(ROOM,), web=None))
        changes = {change["path"]: (change["old"], change["new"]) for change in data["changes"]}
        assert changes["device[cold].calibration[temperature].valid_until"] == (None, "2027-01-01")
        assert changes["device[cold].calibration[temperature].points[0][1]"] == (None, 0.1)
        assert changes["point[dock].name"] == ("Dock", None)
        assert changes["web.host"] == ("127.0.0.1", None)

    def test_the_order_of_things_does_not_matter(self) -> None:
        assert canonical(replace(SITE, points=(DOCK, ROOM))) == canonical(SITE)

    def test_whether_one_was_true(self) -> None:
        assert diff({"a": True}, {"a": 1}) == [Change("a", True, 1)]
        assert diff({"a": 1}, {"a": 1.0}) == []

    @settings(deadline=None, suppress_health_check=SLOW_MACHINE)
    @given(
        st.dictionaries(st.text("abc", max_size=2), st.one_of(st.none(), st.integers(), st.text(max_size=2))),
        st.dictionaries(st.text("abc", max_size=2), st.one_of(st.none(), st.integers(), st.text(max_size=2))),
    )
    def test_a_diff_leads_from_one_to_the_other(self, old, new) -> None:
        changed = dict(old)
        for change in diff(old, new):
            changed.pop(change.path, None)
            if change.path in new:
                changed[change.path] = change.new
        assert changed == new
        assert diff(old, old) == []


class Kind(StrEnum):
    FAST = "fast"


@dataclass(frozen=True)
class Output:
    id: str = "mail"
    smtp_password: str = "hunter2"
    headers: Mapping[str, str] = field(default_factory=lambda: {"Auth-Token": "t0p"})
    url: str = "https://ana:pw@hooks.example:8443/services/T0/secret?x=1"
    broken: str = "https://[::1"
    plain: str = "mqtts://broker.example:8883"
    words: frozenset[str] = frozenset({"b", "a"})
    raw: bytes = b"key"
    kind: Kind = Kind.FAST
    file: Path = Path("/etc/key.pem")


@dataclass(frozen=True)
class WithOutputs:
    digest: str = "cc"
    source: str = "/etc/site.toml"
    outputs: tuple[Output, ...] = (Output(),)


class TestSecrets:
    def test_none_is_ever_recorded(self) -> None:
        found = canonical(WithOutputs())
        assert found == {
            "outputs[mail].broken": "(withheld)",
            "outputs[mail].file": "/etc/key.pem",
            "outputs[mail].headers[Auth-Token]": "(withheld)",
            "outputs[mail].id": "mail",
            "outputs[mail].kind": "fast",
            "outputs[mail].plain": "mqtts://broker.example:8883",
            "outputs[mail].raw": "(withheld)",
            "outputs[mail].smtp_password": "(withheld)",
            "outputs[mail].url": "https://hooks.example:8443/(withheld)",
            "outputs[mail].words": "a, b",
        }
        for secret in ("hunter2", "t0p", "pw", "T0", "ana"):
            assert secret not in json.dumps(found)

    def test_a_change_that_is_not_shown_is_said_to_be_there(self) -> None:
        (data,) = compared(SITE, SITE)
        assert data["changes"] == []
        assert data["words"].startswith("The site file was changed, but no setting that is shown")


class TestWatch:
    def test_the_first_file_is_recorded_whole(self) -> None:
        (event,) = SettingsWatch().compare(SITE, CLAIM, owner="root")
        assert event.kind == "config.changed"
        assert event.data["first"] is True
        assert {change["path"]: change["new"] for change in event.data["changes"]} == canonical(SITE)
        assert (event.data["person"], event.data["person_is"], event.data["owner"]) == (None, "not known", "root")

    def test_the_same_file_again_is_no_event(self) -> None:
        watch = SettingsWatch()
        watch.compare(SITE, CLAIM)
        assert watch.compare(SITE, CLAIM) == []
        assert SettingsWatch(watch.memory()).compare(SITE, CLAIM) == []

    def test_other_defaults_of_a_new_version_are_changes_too(self) -> None:
        """The file is the same, but what follows from it is not."""
        watch = SettingsWatch()
        watch.compare(SITE, CLAIM)
        (event,) = watch.compare(replace(SITE, web=WebSpec(port=9090)), CLAIM)
        assert event.data["changes"] == [{"path": "web.port", "old": 8080, "new": 9090}]

    def test_who_and_why(self) -> None:
        (data,) = compared(SITE, replace(SITE, web=None), person="Ana", reason="no page here", owner="root")
        assert (data["person"], data["person_is"], data["text"]) == ("Ana", "stated at the start", "no page here")

    def test_a_person_that_is_no_text(self) -> None:
        watch = SettingsWatch()
        with pytest.raises(RecordError, match="person holds"):
            watch.compare(SITE, CLAIM, person="A\x07na")
        assert len(watch.compare(SITE, CLAIM)) == 1, "the change is still to be recorded"

    def test_many_changes_are_several_events(self) -> None:
        points = tuple(replace(ROOM, id=f"p{number}") for number in range(AT_ONCE // 4))
        events = compared(SITE, replace(SITE, points=points))
        assert len(events) >= 2
        assert [(data["part"], data["parts"]) for data in events] == [
            (number, len(events)) for number in range(1, len(events) + 1)
        ]
        assert all(len(data["changes"]) <= AT_ONCE for data in events)
        assert len({data["record"] for data in events}) == len(events)

    @pytest.mark.parametrize(
        "memory",
        [b"", b"{}", b"[]", b"\xff", b'{"version": 9}',
         b'{"version": 1, "settings": [], "digest": "a", "count": 1}',
         b'{"version": 1, "settings": {}, "digest": 5, "count": 1}',
         b'{"version": 1, "settings": {}, "digest": "a", "count": "x"}'],
    )  # fmt: skip
    def test_a_memory_that_is_none_of_ours(self, memory: bytes) -> None:
        with pytest.raises(StorageError, match="settings"):
            SettingsWatch(memory)


class TestStream:
    def changed(self, *sites: Site) -> list[Event]:
        """The events of starts with one site file after the other."""
        watch, events = SettingsWatch(), []
        for number, site in enumerate(sites):
            events += watch.compare(replace(site, digest=str(number)), CLAIM)
        return events

    def test_the_settings_on_record_follow_from_the_events(self) -> None:
        looser = replace(SITE, points=(replace(ROOM, tolerance=2.0),))
        events = self.changed(SITE, looser, replace(looser, web=None))
        again = SettingsWatch()
        for event in events:
            again.take(event)
        assert again.compare(replace(looser, web=None, digest="2"), CLAIM) == []
        (event,) = again.compare(replace(SITE, digest="3"), CLAIM)
        assert event.data["record"].startswith("C4-")
        assert {change["path"] for change in event.data["changes"]} >= {"point[room].tolerance", "web.port"}

    def test_a_memory_serves_where_the_beginning_is_gone(self) -> None:
        first = SettingsWatch()
        first.compare(replace(SITE, digest="0"), CLAIM)
        memory = first.memory()
        (change,) = self.changed(SITE, replace(SITE, web=None))[1:]
        for kept, first_again in ((memory, False), (None, True)):
            watch = SettingsWatch(kept)
            watch.take(change)
            events = watch.compare(replace(SITE, web=None, digest="1"), CLAIM)
            assert [event.data["first"] for event in events] == ([True] if first_again else [])

    def test_a_change_of_which_a_part_is_missing_is_recorded_again(self) -> None:
        points = tuple(replace(ROOM, id=f"p{number}") for number in range(AT_ONCE // 4))
        many = replace(SITE, points=points)
        *begun, _ = self.changed(SITE, many)
        watch = SettingsWatch()
        for event in begun:
            watch.take(event)
        (rest,) = watch.compare(replace(many, digest="1"), CLAIM)
        assert 0 < len(rest.data["changes"]) <= AT_ONCE

    @pytest.mark.parametrize("data", [{}, {"changes": 5}, {"changes": [{}]}, {"changes": [], "record": "X"}])
    def test_what_is_none_of_ours_is_left_aside(self, data: dict[str, Any]) -> None:
        watch = SettingsWatch()
        watch.take(Event("config.changed", 1, data))
        watch.take(Event("note", 1, data))
        assert [event.data["first"] for event in watch.compare(SITE, CLAIM)] == [True]
