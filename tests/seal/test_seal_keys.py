"""Key files: private, durable, never overwritten; a change of key survives a stop at every step."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.errors import SealError
from gateway.seal.cose import ED25519, ESP256, PublicKey
from gateway.seal.keys import (
    KEY_NAME,
    FileSigner,
    Rotation,
    Signer,
    begin_rotation,
    finish_rotation,
    load_in_force,
    load_or_create,
    rotated_key,
)


@pytest.mark.parametrize("alg", [ED25519, ESP256])
def test_a_created_key_can_be_loaded_and_is_private(tmp_path: Path, alg: int) -> None:
    path = tmp_path / "k.key"
    made: Signer = FileSigner.create(path, alg)
    read: Signer = FileSigner.load(path)
    assert made.thumbprint == read.thumbprint
    assert (read.alg, read.storage) == (alg, "file")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    read.public.verify(made.sign(b"data"), b"data")


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "k.key"
    first = FileSigner.create(path)
    with pytest.raises(SealError, match="exists already"):
        FileSigner.create(path)
    assert FileSigner.load(path) == first
    assert list(tmp_path.iterdir()) == [path]


def test_the_private_key_is_not_in_the_repr(tmp_path: Path) -> None:
    assert "PrivateKey" not in repr(FileSigner.create(tmp_path / "k.pem"))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o644])
def test_a_key_that_others_can_use_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "k.key"
    FileSigner.create(path)
    path.chmod(mode)
    with pytest.raises(SealError, match=f"chmod 600 {path}") as caught:
        FileSigner.load(path)
    assert caught.value.kind == "key-exposed"


def pem_of(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        pem_of(ec.generate_private_key(ec.SECP256R1()), b"secret"),
        pem_of(ec.generate_private_key(ec.SECP384R1())),
        pem_of(rsa.generate_private_key(65537, 2048)),
    ],
    ids=["empty", "nonsense", "cut", "encrypted", "P-384", "RSA"],
)
def test_files_that_hold_no_usable_key(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "k.key"
    path.touch(mode=0o600)
    path.write_bytes(content)
    with pytest.raises(SealError) as caught:
        FileSigner.load(path)
    assert caught.value.kind == "bad-key"


def test_a_missing_or_unwritable_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(SealError, match="cannot be read"):
        FileSigner.load(tmp_path / "none.key")
    with pytest.raises(SealError, match="cannot be written"):
        FileSigner.create(tmp_path / "none" / "k.key")
    with pytest.raises(SealError, match="wrong-algorithm"):
        FileSigner.create(tmp_path / "k.key", -8)


def test_the_key_is_made_once_and_then_loaded(tmp_path: Path) -> None:
    first = load_or_create(tmp_path, {})
    assert load_or_create(tmp_path, {}) == first
    assert first.path == tmp_path / KEY_NAME


def credential(folder: Path, name: str = KEY_NAME, mode: int = 0o440) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    FileSigner.create(folder / name)
    (folder / name).chmod(mode)
    return {"CREDENTIALS_DIRECTORY": str(folder)}


def test_a_systemd_credential_is_preferred(tmp_path: Path) -> None:
    file = load_or_create(tmp_path, {})
    environ = credential(tmp_path / "credentials")
    signer = load_or_create(tmp_path, environ)
    assert signer.storage == "systemd-credential"
    assert signer.thumbprint != file.thumbprint


def test_without_our_credential_the_file_is_used(tmp_path: Path) -> None:
    assert load_or_create(tmp_path, {"CREDENTIALS_DIRECTORY": str(tmp_path / "other")}).storage == "file"


def test_a_credential_that_everyone_can_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SealError, match="key-exposed"):
        load_or_create(tmp_path, credential(tmp_path / "credentials", mode=0o444))


def test_rotation_names_the_new_key(tmp_path: Path) -> None:
    old = load_or_create(tmp_path, {})
    rotation = begin_rotation(old, ESP256)
    data = rotation.data
    assert data["old"] == old.thumbprint
    assert data["storage"] == "file"
    assert rotated_key(data) == rotation.new.public
    new = finish_rotation(rotation)
    assert new.alg == ESP256
    assert [path.name for path in tmp_path.iterdir()] == [KEY_NAME]
    assert load_or_create(tmp_path, {}) == new


def stop_before_event(rotation: Rotation) -> bytes:
    return rotation.old.thumbprint


def stop_after_event(rotation: Rotation) -> bytes:
    return rotation.new.thumbprint


def stop_after_finish(rotation: Rotation) -> bytes:
    return finish_rotation(rotation).thumbprint


@pytest.mark.parametrize("stop", [stop_before_event, stop_after_event, stop_after_finish])
def test_after_a_stop_the_key_is_the_one_the_journal_names(
    tmp_path: Path, stop: Callable[[Rotation], bytes]
) -> None:
    rotation = begin_rotation(load_or_create(tmp_path, {}))
    in_force = stop(rotation)
    signer = load_in_force(tmp_path, in_force, {})
    assert signer.thumbprint == in_force
    if stop is stop_before_event:
        assert begin_rotation(signer).new.thumbprint == rotation.new.thumbprint
    else:
        assert load_or_create(tmp_path, {}).thumbprint == in_force


def test_a_key_the_journal_does_not_know_is_refused(tmp_path: Path) -> None:
    load_or_create(tmp_path, {})
    with pytest.raises(SealError, match="wrong-key"):
        load_in_force(tmp_path, bytes(32), {})
    begin_rotation(load_or_create(tmp_path, {}))
    with pytest.raises(SealError, match=r"wrong-key.*restore"):
        load_in_force(tmp_path, bytes(32), {})


def test_credentials_rotate_when_the_operator_provides_the_successor(tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    environ = credential(folder)
    old = load_or_create(tmp_path, environ)
    with pytest.raises(SealError, match="LoadCredentialEncrypted"):
        begin_rotation(old)
    credential(folder, KEY_NAME + ".next")
    rotation = begin_rotation(old)
    assert finish_rotation(rotation).thumbprint == rotation.new.thumbprint
    assert load_in_force(tmp_path, rotation.new.thumbprint, environ).thumbprint == rotation.new.thumbprint
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("data", [{}, {"key": 1}, {"key": b"\xa0", "new": bytes(32)}, {"key": b"\xff"}])
def test_rotation_events_without_a_key_are_refused(data: dict[str, object]) -> None:
    with pytest.raises(SealError, match="bad-key"):
        rotated_key(data)


def test_a_rotation_event_whose_thumbprint_is_not_that_of_its_key(tmp_path: Path) -> None:
    data = begin_rotation(load_or_create(tmp_path, {})).data
    with pytest.raises(SealError, match="thumbprint"):
        rotated_key({**data, "new": bytes(32)})
    assert isinstance(rotated_key(data), PublicKey)
