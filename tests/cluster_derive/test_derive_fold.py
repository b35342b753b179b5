"""Folding events is pure: the same events in any groups give the same changes, and mean what the gateway meant."""

import json
from pathlib import Path
from typing import Any

import pytest
from derive_world import EVENT, START_MS, Box, alarm, settings_changed
from hypothesis import given
from hypothesis import strategies as st

from gateway.cluster.derive.fold import Folded
from gateway.cluster.derive.settings import points_of, take
from gateway.logbook.settings import SettingsWatch, canonical
from gateway.model import Event, Tier
from gateway.profile import Limit, Profile
from gateway.seal.batch import open_batch
from gateway.seal.keys import FileSigner
from gateway.site import Identity, PointSpec, Site

PATHS = ("point[p].name", "point[p].device", "point[p].channel", "point[p].critical", "device[d].period_ms")
CHANGES = st.dictionaries(st.sampled_from(PATHS), st.none() | st.sampled_from(["x", "y", True, 5, 0.5]), max_size=4)
HAPPENS = st.one_of(
    st.builds(settings_changed, CHANGES, first=st.booleans()),
    st.builds(alarm, st.sampled_from("ab"), st.just("raised"), st.sampled_from(["normal", "acknowledged"])),
    st.just(("clock.correction", {"boot": b"a" * 16, "offset_ms": START_MS, "error_ms": 5})),
    st.just(("clock.correction", {"boot": b"a" * 16, "offset_ms": START_MS + 9, "error_ms": 6})),
    st.just(("layout", {"id": b"", "layout": b"broken"})),
    st.just(("note", {"point": "p"})),
)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> FileSigner:
    return FileSigner.create(tmp_path_factory.mktemp("key") / "gateway.key")


def outcome(parts: list[Folded]) -> dict[str, Any]:
    """What the tables would hold after several folds."""
    found: dict[str, Any] = {"rows": [], "alarms": {}, "layouts": {}, "corrected": {}, "unread": []}
    for part in parts:
        found["rows"] += part.rows
        found["unread"] += part.unread
        for name in ("alarms", "layouts", "corrected"):
            found[name] |= getattr(part, name)
    return {**found, "settings": parts[-1].settings, "boots": parts[-1].boots}


@given(st.lists(st.lists(HAPPENS, min_size=1, max_size=3), max_size=8), st.data())
def test_any_groups_give_the_same_changes(signer: FileSigner, batches: list[Any], data: st.DataObject) -> None:
    box = Box(signer, boot=b"a" * 16, utc_ms=None)
    for events in batches:
        box.pass_ms(10)
        box.happens(*events)
    opened = [open_batch(batch.body) for batch in box.batches[EVENT]]
    whole = Folded({}, None)
    for batch in opened:
        whole.add(batch)
    parts = [Folded({}, None)]
    for batch in opened:
        if data.draw(st.booleans()):
            parts.append(Folded(dict(parts[-1].boots), parts[-1].settings))
        parts[-1].add(batch)
    assert outcome(parts) == outcome([whole])


@given(st.lists(st.builds(settings_changed, CHANGES, first=st.booleans()), max_size=8))
def test_settings_are_what_the_gateway_takes_them_for(events: list[tuple[str, dict[str, Any]]]) -> None:
    watch, settings = SettingsWatch(), None
    for kind, data in events:
        watch.take(Event(kind, 0, {**data, "digest": "d"}))
        settings = take(settings, data)
    assert settings == json.loads(watch.memory())["settings"]


def test_a_site_comes_back_as_points(tmp_path: Path) -> None:
    """From the gateway's own canonical form to a row with limits."""
    profile = Profile(
        id="chilled",
        title="Chilled",
        unit="degC",
        sources=("a regulation", "another"),
        limits=(Limit(rule="high", side="above", limit=5.0, tier=Tier.CRITICAL, delay_s=900.0),),
    )
    point = PointSpec(id="cold-1", name="Cold room", device="room", channel="air", critical=True, profile=profile)
    identity = Identity(member="m", site="s", gateway="g")
    site = Site(identity=identity, data_dir=tmp_path, buses=(), devices=(), points=(point,))
    [row] = points_of(canonical(site))
    assert row[:5] == ("cold-1", "Cold room", "room", "air", True)
    found = json.loads(row.settings)["profile"]
    assert found["limits"] == [
        {
            "rule": "high",
            "side": "above",
            "limit": 5.0,
            "tier": "critical",
            "delay_s": 900.0,
            "samples": 1,
            "hysteresis": 0.0,
            "off_delay_s": 0.0,
        }
    ]
    assert found["sources"] == ["a regulation", "another"]


@given(
    st.dictionaries(
        st.text(max_size=20) | st.sampled_from(["point[p].a", "point[p].a.b", "point[p].a[0]"]), st.integers()
    )
)
def test_any_paths_are_borne(settings: dict[str, int]) -> None:
    for row in points_of({"point[p].device": "d", "point[p].channel": "c", **settings}):
        json.loads(row.settings)
