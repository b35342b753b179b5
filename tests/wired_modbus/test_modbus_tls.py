"""Modbus over TLS: certificates on both sides, always checked, and errors that say what is wrong."""

import asyncio
import ssl
from pathlib import Path

import pytest
from modbus_peers import Authority, Papers, device_tls, holding, plant_of, strict_device

from firmware_interfaces.errors import NotConnected
from firmware_interfaces.modbus.links import open_link
from firmware_interfaces.modbus.tls import TlsLink

READ_TWO = (1, 3, 0, 2)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "plant-authority")


@pytest.fixture
def gateway(authority: Authority) -> Papers:
    return authority.issue("gateway")


def link_to(port: int, papers: Papers, **more: str) -> TlsLink:
    link = open_link(
        "modbus-tls",
        host="127.0.0.1",
        port=port,
        ca=papers.ca,
        certificate=papers.certificate,
        key=papers.key,
        **more,
    )
    assert isinstance(link, TlsLink)
    return link


async def refusal(link: TlsLink) -> str:
    """What the link says when it cannot be used, at once or (TLS 1.3) at the first request."""
    try:
        await link.open(10.0)
        await link.read(*READ_TWO, 10.0)
    except NotConnected as error:
        return str(error)
    finally:
        link.close()
    pytest.fail("the link could be used")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_registers_come_through(authority: Authority, gateway: Papers, version: ssl.TLSVersion) -> None:
    tls = device_tls(authority.issue("device", host="127.0.0.1"), newest=version)
    async with plant_of({1: holding({0: 219, 1: 801})}, tls=tls) as plant:
        link = link_to(plant.port, gateway)
        await link.open(10.0)
        assert await link.read(*READ_TWO, 10.0) == bytes.fromhex("00db0321")
        link.close()


async def test_a_certificate_made_out_to_a_name(authority: Authority, gateway: Papers) -> None:
    tls = device_tls(authority.issue("device", host="controller-7.plant.example"))
    async with plant_of({1: holding({0: 1, 1: 2})}, tls=tls) as plant:
        link = link_to(plant.port, gateway, server_name="controller-7.plant.example")
        await link.open(10.0)
        assert await link.read(*READ_TWO, 10.0) == bytes.fromhex("00010002")
        link.close()
        words = await refusal(link_to(plant.port, gateway))
        assert "its certificate is not believed" in words
        assert "127.0.0.1" in words


async def test_a_device_of_another_authority_is_not_believed(
    authority: Authority, gateway: Papers, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "stranger").issue("device", host="127.0.0.1")
    async with plant_of({1: holding({0: 1, 1: 2})}, tls=device_tls(stranger)) as plant:
        assert "its certificate is not believed" in await refusal(link_to(plant.port, gateway))
        assert plant.requests == []


async def test_an_expired_certificate_is_named(authority: Authority, gateway: Papers) -> None:
    tls = device_tls(authority.issue("device", host="127.0.0.1", expired=True))
    async with plant_of({1: holding({0: 1, 1: 2})}, tls=tls) as plant:
        assert "certificate has expired" in await refusal(link_to(plant.port, gateway))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_device_that_refuses_this_gateway_is_said_so(
    authority: Authority, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    (tmp_path / "other").mkdir()
    mine = Authority(tmp_path / "other", "stranger").issue("gateway")
    tls = device_tls(authority.issue("device", host="127.0.0.1"), newest=version)
    with strict_device(tls) as port:
        words = await refusal(link_to(port, mine._replace(ca=authority.path)))
        assert "it refuses this gateway's certificate (" in words


async def test_a_device_that_hangs_up_in_the_handshake(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    mine = Authority(tmp_path / "other", "stranger").issue("gateway")
    tls = device_tls(authority.issue("device", host="127.0.0.1"), newest=ssl.TLSVersion.TLSv1_2)
    async with plant_of({1: holding({0: 1, 1: 2})}, tls=tls) as plant:
        words = await refusal(link_to(plant.port, mine._replace(ca=authority.path)))
        assert "may not accept this gateway's certificate" in words


async def test_a_device_that_does_not_speak_tls(gateway: Papers) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(bytes(40))
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        words = await refusal(link_to(server.sockets[0].getsockname()[1], gateway))
    assert "it does not speak TLS on this port" in words


async def test_files_that_cannot_be_used_are_named(authority: Authority, gateway: Papers, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    missing = gateway._replace(key=tmp_path / "none.key")
    assert "none.key: No such file" in await refusal(link_to(1, missing))
    assert "empty.pem holds no certificate" in await refusal(
        link_to(1, gateway._replace(ca=tmp_path / "empty.pem"))
    )
    other = authority.issue("another")
    words = await refusal(link_to(1, gateway._replace(key=other.key)))
    assert "are no certificate with its key" in words


async def test_a_renewed_certificate_needs_no_restart(
    authority: Authority, gateway: Papers, tmp_path: Path
) -> None:
    tls = device_tls(authority.issue("device", host="127.0.0.1"))
    async with plant_of({1: holding({0: 1, 1: 2})}, tls=tls) as plant:
        (tmp_path / "new.pem").write_text("not yet")
        link = link_to(plant.port, gateway._replace(certificate=tmp_path / "new.pem"))
        with pytest.raises(NotConnected):
            await link.open(10.0)
        (tmp_path / "new.pem").write_bytes(gateway.certificate.read_bytes())
        await link.open(10.0)
        assert await link.read(*READ_TWO, 10.0) == bytes.fromhex("00010002")
        link.close()
