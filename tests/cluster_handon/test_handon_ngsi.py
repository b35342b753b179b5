"""NGSI-LD: entities against a broker that refuses what the specification does not allow."""

import logging
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from derive_world import LATER_MS, START_MS, derived
from handon_world import plant, signed
from hypothesis import given
from hypothesis import strategies as st
from ngsi_broker import BadEntityError, NgsiBroker, attribute, check_entity

from gateway.api import Host, Notice, OutputError, Reading, Value, load_output
from gateway.cluster.database import Database
from gateway.cluster.handon.lane import Lane
from gateway.cluster.handon.outputs import load_outputs
from gateway.errors import ConfigError

Ngsi: Any = load_output("ngsi-ld")
LOG = logging.getLogger("test")


@pytest.fixture
def broker() -> Iterator[NgsiBroker]:
    broker = NgsiBroker()
    broker.start()
    yield broker
    broker.stop()


def made(broker: NgsiBroker, gateway: str = "gw-1", **settings: Any) -> Any:
    host = Host("ngsi", "Alder Dairy", "north", gateway, 10.0, LOG)
    return Ngsi(Ngsi.Settings(url=broker.url, **settings), host)


def reading(
    value: float | None, at_ms: int | None = START_MS, device: str = "room", *, channel: str = "air"
) -> Reading:
    severity, reason = ("good", "good") if value is not None else ("bad", "timeout")
    return Reading(device, 1, 1, 5, at_ms, True, False, (Value(channel, value, "degC", 1, severity, reason),))


NOTICE = Notice(
    key="k", transition="raised", alarm="cold/high-critical", occurrence=3, state="unacknowledged", active=True,
    tier="critical", rule="high-critical", point="cold", name="Cold room", value=9.0, limit=5.0, unit="degC",
    since_utc_ms=START_MS, raised_utc_ms=START_MS + 60_000, words="too warm", member="Alder Dairy", site="north",
    gateway="gw-1",
)  # fmt: skip


async def test_an_alarm_is_one_entity_from_its_raising_to_its_end(broker: NgsiBroker) -> None:
    output = made(broker, tenant="alder")
    await output.send(NOTICE)
    from dataclasses import replace

    await output.send(replace(NOTICE, transition="returned", active=False, state="normal", raised_utc_ms=None))
    assert broker.problems == []
    [(tenant, name)] = broker.entities
    assert tenant == "alder"
    assert name == "urn:ngsi-ld:Alert:Alder%20Dairy:gw-1:cold%2Fhigh-critical:3"
    entity = broker.entities[tenant, name]
    assert attribute(entity, "severity") == "critical"
    assert attribute(entity, "subCategory") == "highTemperature"
    assert attribute(entity, "category") == "health"
    assert attribute(entity, "dateIssued") == {"@type": "DateTime", "@value": "2026-11-23T00:01:00.000Z"}
    assert attribute(entity, "alertSource") == "urn:aurora:Alder%20Dairy:gw-1:point:cold"
    assert attribute(entity, "data")["state"] == "normal"
    assert attribute(entity, "data")["value"] == 9.0


async def test_a_bad_reading_leaves_the_value_with_its_own_time(broker: NgsiBroker) -> None:
    output = made(broker)
    await output.take([reading(4.5), reading(None, START_MS + 10_000)])
    name = "urn:ngsi-ld:DeviceMeasurement:Alder%20Dairy:gw-1:room:air"
    entity = broker.entities["", name]
    assert entity["numValue"] == {
        "type": "Property", "value": 4.5, "observedAt": "2026-11-23T00:00:00.000Z", "unitCode": "CEL",
    }  # fmt: skip
    assert attribute(entity, "measurementQuality") == "bad"
    assert entity["measurementQuality"]["observedAt"] == "2026-11-23T00:00:10.000Z"
    assert attribute(entity, "controlledProperty") == "temperature"
    assert attribute(entity, "refDevice") == "urn:ngsi-ld:Device:Alder%20Dairy:gw-1:room"
    assert ("", "urn:ngsi-ld:Device:Alder%20Dairy:gw-1:room") in broker.entities
    await output.take([reading(None, START_MS + 20_000)])
    assert attribute(broker.entities["", name], "numValue") == 4.5
    await output.take([reading(7.0, None)])
    assert attribute(broker.entities["", name], "numValue") == 4.5
    assert broker.problems == []


async def test_many_go_in_parts(broker: NgsiBroker) -> None:
    output = made(broker, entities=7)
    await output.take([reading(1.0, device=f"d{number}") for number in range(10)])
    assert broker.requests == [7, 7, 6]
    assert len(broker.entities) == 20


async def test_what_the_broker_refuses(broker: NgsiBroker) -> None:
    output = made(broker)
    name = "urn:ngsi-ld:Device:Alder%20Dairy:gw-1:room"
    for status, retry in ((400, False), (503, True)):
        broker.refuse = {name: status}
        with pytest.raises(OutputError, match=f"did not take 1 entities .{name}: refused") as refused:
            await output.take([reading(1.0)])
        assert refused.value.retry is retry
    broker.refuse = {}
    for status, retry in ((500, True), (400, False), (401, True), (404, True), (413, False)):
        broker.answers = [status]
        with pytest.raises(OutputError, match=f"answers {status}") as refused:
            await output.take([reading(1.0)])
        assert refused.value.retry is retry
    broker.answers = [207]
    with pytest.raises(OutputError, match="207 without saying what failed"):
        await output.take([reading(1.0)])


NAMES = st.text(min_size=1, max_size=12)
NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@given(
    NAMES, NAMES, NAMES, NUMBERS, st.integers(0, 4_000_000_000_000), st.sampled_from(["degC", "", "%RH", "widgets"])
)
def test_any_names_make_entities_that_are_right(
    member: str, device: str, channel: str, value: float | None, at_ms: int, unit: str
) -> None:
    import sys

    module = sys.modules[Ngsi.__module__]
    what = Value(channel, value, unit, None, "bad" if value is None else "good", "timeout")
    for entity in module.entities([Reading(device, 1, 1, 1, at_ms, True, False, (what,))], member, "gw"):
        check_entity({**entity, "@context": list(module.CONTEXT)})
    notice = Notice(
        key="k", transition="raised", alarm=channel, tier="alert", point=device, value=value, member=member,
        gateway=device, words=member, raised_utc_ms=at_ms,
    )  # fmt: skip
    check_entity({**module.alert(notice), "@context": list(module.CONTEXT)})


@pytest.mark.parametrize(
    "change",
    [
        {"id": "no uri"}, {"type": ""}, {"@context": None}, {"@context": ["https://x.example/"]}, {"x": 5},
        {"x": {"type": "Property", "value": None}}, {"x": {"type": "Property"}},
        {"a b": {"type": "Property", "value": 1}},
        {"x": {"type": "Relationship", "object": "no uri"}}, {"x": {"type": "Property", "value": {"a": None}}},
        {"x": {"type": "Property", "value": 1, "observedAt": "yesterday"}},
        {"x": {"type": "Property", "value": 1, "unitCode": "celsius"}},
        {"x": {"type": "Property", "value": 1, "quality": "good"}},
    ],
)  # fmt: skip
def test_the_broker_of_these_tests_refuses_what_is_wrong(change: dict[str, Any]) -> None:
    right = {
        "id": "urn:ngsi-ld:Device:x",
        "type": "Device",
        "x": {"type": "Property", "value": 1},
        "@context": ["https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld"],
    }
    check_entity(right)
    with pytest.raises(BadEntityError):
        check_entity(right | change)


async def test_a_members_alarms_and_values_reach_its_broker(
    database: Database, tmp_path: Path, broker: NgsiBroker
) -> None:
    box = plant(tmp_path / "box")
    await derived(database, box)
    path = tmp_path / "handon.toml"
    table = '[[output]]\nmember = "dairy"\nid = "fiware"\ntype = "ngsi-ld"\nbegin = "beginning"\n'
    path.write_text(f'{table}url = "{broker.url}"\n')
    [output] = load_outputs(path)
    broker.answers = [503]
    lane = Lane(database, output, utc_ms=lambda: LATER_MS, random=Random(1), rest_s=0.01)
    assert (await lane.round()).rest_s > 0
    assert (await lane.round()).rest_s == 0
    assert broker.problems == []
    newest = [r for r in signed(box) if r.channel == "air" and r.role == "value" and r.value is not None][-1]
    measured = broker.entities["", "urn:ngsi-ld:DeviceMeasurement:dairy:gw-1:room:air"]
    assert attribute(measured, "numValue") == newest.value
    assert attribute(broker.entities["", "urn:ngsi-ld:Device:dairy:gw-1:room"], "deviceState") == "no answer"
    assert ("", "urn:ngsi-ld:Alert:dairy:gw-1:cold%2Fhigh-critical:1") in broker.entities
    before = list(broker.requests)
    again = Lane(database, output, utc_ms=lambda: LATER_MS, random=Random(1))
    assert (await again.round()).rest_s == 0
    assert broker.requests == before


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('url = "https://broker.example/ngsi-ld/v1"', "more than the broker's address"),
        ('url = "http://b.example"\nauthorization = { file = "x" }', "in the clear"),
        ('url = "https://b.example"\ntenant = "a b"', "no name of a tenant"),
        ('url = "https://b.example"\ncontext = ["x"]', "no address"),
    ],
)
def test_settings_that_are_wrong(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "handon.toml"
    path.write_text(f'[[output]]\nmember = "m"\nid = "x"\ntype = "ngsi-ld"\n{line}\n')
    with pytest.raises(ConfigError, match=words):
        load_outputs(path)
