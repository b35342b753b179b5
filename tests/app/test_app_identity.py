"""The key in force is the one that the journal names, whatever moment a change of key was cut off at."""

import asyncio
from pathlib import Path

import pytest

from gateway.buffer.journal import Journal
from gateway.clock import Clock
from gateway.errors import SealError
from gateway.identity import key_directory, open_identity
from gateway.model import Column, DeviceLayout, Event, Layout
from gateway.seal.keys import begin_rotation
from gateway.site import BufferSpec, Identity, Site

LAYOUT = Layout((DeviceLayout("d", "b", "m", "00", 1000, 0, (Column("c", "", 0),)),))


def site(folder: Path) -> Site:
    return Site(
        identity=Identity(member="m", site="s", gateway="g"),
        data_dir=folder,
        buses=(),
        devices=(),
        digest="00" * 32,
    )


async def seal_rotation(of: Site) -> bytes:
    """What `keys rotate` does, up to the moment at which the power fails."""
    identity = open_identity(of)
    rotation = begin_rotation(identity.signer)
    clock = Clock()
    journal = await Journal.open(
        of.data_dir / "journal.db",
        signer=rotation.old,
        iss=of.identity.urn,
        layout=LAYOUT,
        spec=BufferSpec(),
        clock=clock.claim,
        registration=identity.registration,
    )
    running = asyncio.create_task(journal.run())
    assert await journal.rotate(rotation.new, Event("key.rotated", clock.now_ms(), rotation.data))
    await journal.close()
    await asyncio.wait([running])
    return rotation.new.thumbprint


async def test_a_change_of_key_that_was_cut_off_is_finished_at_the_next_start(tmp_path: Path) -> None:
    new = await seal_rotation(site(tmp_path))
    assert open_identity(site(tmp_path)).signer.thumbprint == new
    assert open_identity(site(tmp_path)).signer.thumbprint == new


async def test_a_lost_key_is_said_and_no_other_is_used(tmp_path: Path) -> None:
    await seal_rotation(site(tmp_path))
    for file in key_directory(site(tmp_path)).iterdir():
        file.unlink()
    with pytest.raises(SealError, match="restore that key"):
        open_identity(site(tmp_path))


def test_the_key_is_its_owner_s_alone(tmp_path: Path) -> None:
    signer = open_identity(site(tmp_path)).signer
    assert signer.path.stat().st_mode & 0o777 == 0o600
    assert signer.path.parent.stat().st_mode & 0o777 == 0o700
    signer.path.chmod(0o644)
    with pytest.raises(SealError, match="chmod 600"):
        open_identity(site(tmp_path))
