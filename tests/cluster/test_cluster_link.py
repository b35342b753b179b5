"""The connection itself: certificates, refusals, and that it neither hangs nor leaks."""

import asyncio
import socket
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cluster_world import IDENTITY, OTHER, RECEIVER, Broker, Pki, free_port

from gateway.demo.pki import Authority
from gateway.mqtt import Endpoint, LinkError, connect


async def refused(endpoint: Endpoint, words: str) -> None:
    with pytest.raises(LinkError, match=words):
        async with connect(endpoint):
            pytest.fail("connected")


async def test_what_cannot_be_reached_is_named(tmp_path: Path) -> None:
    port = free_port()
    await refused(Endpoint(host="127.0.0.1", port=port, client="x"), f"127.0.0.1:{port}")
    await refused(Endpoint(host="127.0.0.1", port=port, client="x", ca=tmp_path / "none.pem"), "certificates")


async def test_each_end_wants_the_other_to_be_of_the_right_authority(broker: Broker, tmp_path: Path) -> None:
    ours = broker.endpoint(IDENTITY.client)
    foreign = Authority(tmp_path / "foreign", datetime.now(UTC))
    theirs = foreign.client(IDENTITY.client)
    await refused(replace(ours, ca=foreign.ca), "verify")
    await refused(replace(ours, certificate=theirs.certificate, key=theirs.key), "no connection")
    await refused(replace(ours, certificate=None, key=None), "no connection")


async def test_a_client_cannot_take_over_the_connection_of_another(broker: Broker) -> None:
    async with connect(broker.endpoint(IDENTITY.client)) as link:
        await link.subscribe(f"aurora/v1/{IDENTITY.client}/receipt")
        async with connect(replace(broker.endpoint(OTHER.client), client=IDENTITY.client)) as thief:
            await thief.subscribe("aurora/v1/+/receipt")
            async with connect(broker.endpoint(RECEIVER)) as receiver:
                receiver.send(f"aurora/v1/{IDENTITY.client}/receipt", b"mine")
                (received,) = await link.receive(10)
                receiver.send(f"aurora/v1/{OTHER.client}/receipt", b"theirs")
                (other,) = await thief.receive(10)
    assert (received.payload, other.payload) == (b"mine", b"theirs")


async def test_cancelling_while_the_other_end_is_silent_does_not_wait() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    server.setblocking(False)
    endpoint = Endpoint(host="127.0.0.1", port=server.getsockname()[1], client="x", keepalive_s=1)

    async def enter() -> None:
        async with connect(endpoint):
            pytest.fail("connected")

    task = asyncio.ensure_future(enter())
    accepted, _ = await asyncio.get_running_loop().sock_accept(server)
    task.cancel()
    async with asyncio.timeout(0.5):
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    accepted.close()
    server.close()


async def test_messages_are_held_back_until_they_are_acknowledged(broker: Broker, pki: Pki) -> None:
    topic = f"aurora/v1/{IDENTITY.client}/scan"
    async with (
        connect(broker.endpoint(RECEIVER), manual=True, receive_maximum=3) as receiver,
        connect(broker.endpoint(IDENTITY.client)) as gateway,
    ):
        await receiver.subscribe("aurora/v1/+/scan")
        for count in range(10):
            gateway.send(topic, bytes([count]))
        held = []
        while len(held) < 3:
            held += await receiver.receive(10)
        assert len(held) == 3
        for message in held:
            receiver.acknowledge(message)
        more = []
        while len(more) < 3:
            more += await receiver.receive(10)
        assert [message.payload[0] for message in held + more] == list(range(6))


async def test_what_has_no_id_is_not_acknowledged(broker: Broker, pki: Pki) -> None:
    """With QoS 0 nobody waits; a broker ends the connection of whoever acknowledges such a message all the same."""
    topic = f"aurora/v1/{IDENTITY.client}/scan"
    async with (
        connect(broker.endpoint(RECEIVER), manual=True) as receiver,
        connect(broker.endpoint(IDENTITY.client)) as gateway,
    ):
        await receiver.subscribe("aurora/v1/+/scan")
        for count in range(3):
            gateway.send(topic, bytes([count]), qos=0)
            gateway.send(topic, bytes([count]), qos=1)
            found = []
            while len(found) < 2:
                found += await receiver.receive(10)
            for message in found:
                receiver.acknowledge(message)
            assert [message.payload[0] for message in found] == [count, count]
        assert not receiver.lost
