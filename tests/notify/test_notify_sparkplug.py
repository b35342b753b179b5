"""Sparkplug B against Mosquitto, read by Google's Protocol Buffers: births, deaths, sequence, history, rebirth."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiomqtt
import pytest
import sparkplug_reader as reader
from gateway_plugins.sparkplug_payload import BOOLEAN, DOUBLE, INT32, INT64, STRING, Metric, commands, payload
from hypothesis import given
from hypothesis import settings as quietly
from hypothesis import strategies as st
from notify_tools import until
from test_notify_mqtt import Mosquitto, broker, pytestmark  # noqa: F401 - the fixture, and the skip
from value_tools import UTC, made, reading, silent, value

from gateway.api import OutputError

NODE = "spBv1.0/dairy/{}/gw-1"


@asynccontextmanager
async def host(broker: Mosquitto) -> AsyncIterator[tuple[aiomqtt.Client, list[tuple[str, Any]]]]:  # noqa: F811
    """A SCADA host: everything that is said, in order, decoded, with the topic's kind and device."""
    said: list[tuple[str, Any]] = []
    async with aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        await client.subscribe("spBv1.0/dairy/#", qos=1)

        async def collect() -> None:
            async for message in client.messages:
                _, _, kind, _, *device = str(message.topic).split("/")
                assert not message.retain
                if kind != "NCMD":
                    assert message.qos == (1 if kind == "NDEATH" and message.qos else 0)
                    said.append(("/".join([kind, *device]), reader.read(bytes(message.payload))))

        collecting = asyncio.create_task(collect())
        try:
            yield client, said
        finally:
            collecting.cancel()
            await asyncio.wait([collecting])


def kinds(said: list[tuple[str, Any]]) -> list[str]:
    return [kind for kind, _ in said]


def settings(broker: Mosquitto, **more: Any) -> dict[str, Any]:  # noqa: F811
    return {"host": "127.0.0.1", "port": broker.port, **more}


class TestLife:
    async def test_births_before_data_and_one_sequence_over_all(self, broker: Mosquitto) -> None:  # noqa: F811
        async with host(broker) as (_, said):
            node = made("sparkplug", settings(broker))
            both = (value(), value("humidity", 80.0, unit="%"))
            await node.take([reading("fridge", 0, *both), reading("freezer", 0, value(number=-20.5))])
            await node.take([reading("fridge", 1, *both), reading("freezer", 1, value(number=-20.0))])
            await until(lambda: len(said) == 5)
            await node.close()
            await until(lambda: len(said) == 6)
        births = ["NBIRTH", "DBIRTH/fridge", "DBIRTH/freezer"]
        assert kinds(said) == [*births, "DDATA/fridge", "DDATA/freezer", "NDEATH"]
        assert [message.seq for _, message in said[:5]] == [0, 1, 2, 3, 4]
        born, fridge, freezer, data, *_, death = [message for _, message in said]
        node_metrics = {metric.name: metric for metric in born.metrics}
        assert reader.value(node_metrics["bdSeq"]) == 0
        assert reader.value(node_metrics["Node Control/Rebirth"]) is False
        assert not node_metrics["Node Control/Rebirth"].HasField("alias")
        assert {m.name: reader.value(m) for m in fridge.metrics} == {"temperature": 4.1, "humidity": 80.0}
        assert reader.properties(fridge.metrics[1])["engUnit"] == "%"
        assert reader.properties(fridge.metrics[0])["Quality"] == 192
        assert reader.value(freezer.metrics[0]) == -20.5
        assert [m.HasField("name") for m in data.metrics] == [False, False]
        assert [m.alias for m in data.metrics] == [m.alias for m in fridge.metrics]
        assert (data.timestamp, data.metrics[0].timestamp) == (UTC + 10_000, UTC + 10_000)
        assert not death.HasField("seq")
        assert [(m.name, reader.value(m)) for m in death.metrics] == [("bdSeq", 0)]

    async def test_a_dead_line_is_told_by_the_brokers_own_hand_and_counted(
        self,
        broker: Mosquitto,  # noqa: F811
    ) -> None:
        async with host(broker) as (_, said):
            node = made("sparkplug", settings(broker))
            await node.take([reading()])
            await until(lambda: "DBIRTH/fridge" in kinds(said))
            node._link._client._client.socket().shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]
            await until(lambda: "NDEATH" in kinds(said))
            await until(lambda: node._link.lost)  # type: ignore[attr-defined]
            await node.take([reading(slot=1)])
            await until(lambda: kinds(said).count("DBIRTH/fridge") == 2)
            await node.close()
        births = [message for kind, message in said if kind == "NBIRTH"]
        assert [reader.value(m) for b in births for m in b.metrics if m.name == "bdSeq"] == [0, 1]
        assert [b.seq for b in births] == [0, 0]
        death = next(message for kind, message in said if kind == "NDEATH")
        assert reader.value(death.metrics[0]) == 0

    async def test_a_silent_device_dies_and_is_born_again(self, broker: Mosquitto) -> None:  # noqa: F811
        async with host(broker) as (_, said):
            node = made("sparkplug", settings(broker))
            await node.take([reading(), silent(slot=1), silent(slot=2), silent(slot=3), reading(slot=4)])
            await until(lambda: kinds(said).count("DBIRTH/fridge") == 2)
            await node.close()
        assert kinds(said)[1:5] == ["DBIRTH/fridge", "DDATA/fridge", "DDEATH/fridge", "DBIRTH/fridge"]
        missed = said[2][1].metrics[0]
        assert missed.is_null
        assert reader.value(missed) is None
        assert reader.properties(missed) == {"Quality": 0, "Aurora Quality": "bad: timeout"}

    async def test_the_sequence_wraps_after_255(self, broker: Mosquitto) -> None:  # noqa: F811
        async with host(broker) as (_, said):
            node = made("sparkplug", settings(broker))
            await node.take([reading(slot=slot) for slot in range(300)])
            await until(lambda: len(said) == 301)
            await node.close()
        assert [message.seq for _, message in said[:301]] == [number % 256 for number in range(301)]


class TestHistory:
    async def test_what_was_stored_is_marked_and_never_shown_as_now(self, broker: Mosquitto) -> None:  # noqa: F811
        async with host(broker) as (_, said):
            node = made("sparkplug", settings(broker))
            await node.take([reading(slot=0, stored=True), reading(slot=1, stored=True), reading(slot=2)])
            await until(lambda: len(said) == 5)
            await node.close()
        _, birth, *data = [message for _, message in said[:5]]
        assert all(metric.is_null for metric in birth.metrics)
        assert reader.properties(birth.metrics[0]) == {"engUnit": "degC", "Quality": 500}
        assert [m.metrics[0].is_historical for m in data] == [True, True, False]
        assert [m.metrics[0].timestamp for m in data] == [UTC, UTC + 10_000, UTC + 20_000]

    async def test_without_the_time_nothing_is_sent_and_all_of_it_waits(self, broker: Mosquitto) -> None:  # noqa: F811
        node = made("sparkplug", settings(broker))
        with pytest.raises(OutputError, match="the time is not known") as caught:
            await node.take([reading(), reading(slot=1, utc_ms=None)])
        assert (caught.value.taken, caught.value.retry) == (1, True)
        await node.close()

    async def test_a_broker_that_is_away_is_an_error_with_a_remedy(self, broker: Mosquitto) -> None:  # noqa: F811
        broker.stop()
        with pytest.raises(OutputError, match="no connection"):
            await made("sparkplug", settings(broker)).take([reading()])


class TestHost:
    async def test_a_rebirth_says_everything_anew(self, broker: Mosquitto) -> None:  # noqa: F811
        async with host(broker) as (client, said):
            node = made("sparkplug", settings(broker))
            await node.take([reading(), reading("fridge", 1, value(number=5.5))])
            await until(lambda: len(said) == 3)
            await client.publish(NODE.format("NCMD"), b"\xff\xff no payload", qos=1)
            await client.publish(NODE.format("NCMD"), reader.command("Valve/Open", True), qos=1)
            await client.publish(NODE.format("NCMD"), reader.command("Node Control/Rebirth", True), qos=1)
            await until(lambda: len(said) == 5)
            await node.take([reading(slot=2)])
            await until(lambda: len(said) == 6)
            await node.close()
        assert kinds(said)[3:6] == ["NBIRTH", "DBIRTH/fridge", "DDATA/fridge"]
        assert [message.seq for _, message in said[3:6]] == [0, 1, 2]
        assert reader.value(said[4][1].metrics[0]) == 5.5
        assert reader.value(next(m for m in said[3][1].metrics if m.name == "bdSeq")) == 0

    async def test_the_primary_host_is_waited_for_and_missed(self, broker: Mosquitto) -> None:  # noqa: F811
        def state(online: bool, at_ms: int) -> bytes:
            return json.dumps({"online": online, "timestamp": at_ms}).encode()

        async with host(broker) as (client, said):
            node = made("sparkplug", settings(broker, primary_host="scada"))
            with pytest.raises(OutputError, match="the primary host 'scada' is not online"):
                await node.take([reading()])
            assert said == []
            await client.publish("spBv1.0/STATE/scada", b"not a state", qos=1)
            await client.publish("spBv1.0/STATE/scada", state(True, 10), qos=1, retain=True)
            await until(node._host_online.is_set)  # type: ignore[attr-defined]
            await node.take([reading(stored=True)])
            await until(lambda: len(said) == 3)
            await client.publish("spBv1.0/STATE/scada", state(False, 9), qos=1)
            await client.publish("spBv1.0/STATE/scada", state(False, 11), qos=1, retain=True)
            await until(lambda: "NDEATH" in kinds(said))
            with pytest.raises(OutputError, match="not online"):
                await node.take([reading(slot=1)])
            await node.close()
        assert kinds(said) == ["NBIRTH", "DBIRTH/fridge", "DDATA/fridge", "NDEATH"]


SCALARS = (
    st.tuples(st.just(INT32), st.integers(-(2**31), 2**31 - 1))
    | st.tuples(st.just(INT64), st.integers(-(2**63), 2**63 - 1))
    | st.tuples(st.just(DOUBLE), st.floats(allow_nan=False))
    | st.tuples(st.just(BOOLEAN), st.booleans())
    | st.tuples(st.just(STRING), st.text())
)


class TestPayload:
    @quietly(deadline=None)
    @given(SCALARS, st.text(min_size=1), st.integers(0, 2**63), st.booleans(), st.dictionaries(st.text(), SCALARS))
    def test_what_is_written_is_what_protocol_buffers_read(
        self, scalar: tuple[int, Any], name: str, at_ms: int, historical: bool, more: dict[str, tuple[int, Any]]
    ) -> None:
        datatype, wanted = scalar
        first = Metric(name, datatype, wanted, at_ms, 7, historical, more)
        found = reader.read(payload(at_ms, [first, Metric(None, DOUBLE, None)], 255))
        assert (found.timestamp, found.seq) == (at_ms, 255)
        one, second = found.metrics
        bits = {INT32: 1 << 32, INT64: 1 << 64}
        assert reader.value(one) == (wanted % bits[datatype] if datatype in bits else wanted)
        assert (one.name, one.alias, one.timestamp, one.is_historical) == (name, 7, at_ms, historical)
        assert list(one.properties.keys) == list(more)
        assert [v.type for v in one.properties.values] == [kind for kind, _ in more.values()]
        assert second.is_null
        assert not second.HasField("name")

    @quietly(deadline=None)
    @given(st.binary(max_size=200))
    def test_any_bytes_are_a_command_or_none(self, data: bytes) -> None:
        try:
            found = commands(data)
        except ValueError:
            return
        assert all(isinstance(name, str) for name in found)

    @quietly(deadline=None)
    @given(st.text(min_size=1), st.booleans())
    def test_commands_are_read(self, name: str, wanted: bool) -> None:
        assert commands(reader.command(name, wanted)) == {name: wanted}
