"""Signed notes: known answers of other implementations, a second reader written from the text, broken notes."""

import base64
import hashlib
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import SealError
from gateway.seal.cose import ESP256, PublicKey
from gateway.seal.keys import FileSigner
from gateway.seal.note import (
    COSIGNATURE,
    NOTE,
    P256_COSIGNATURE,
    Line,
    Note,
    NoteKey,
    cosign_line,
    read_line,
    read_note,
    sign_line,
)

# The example of golang.org/x/mod/sumdb/note (its documentation): verifier key, private key, text, signature line.
NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
NEUMANN_TEXT = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
NEUMANN_LINE = (
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXg"
    "KvqfqdngotpRZb6KE6RyyBwJnAM="
)
# The key of the checksum database of Go modules, as its tool has it built in.
SUM_GOLANG = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
# The example of C2SP tlog-cosignature: a checkpoint with the line of its log and that of a witness.
SOFA = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1g"
    "GzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "\u2014 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1n"
    "PZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)


class Signer:
    """Any Ed25519 key as a signer."""

    def __init__(self, seed: bytes) -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey.of(self.key.public_key())

    def sign(self, data: bytes) -> bytes:
        return self.key.sign(data)


def second_reader(note: bytes, name: str, kind: int, raw: bytes) -> list[int | None]:
    """The times of the lines that a key has signed, by the words of the specifications and none of our code.

    C2SP signed-note: text up to the last empty line, lines of dash, name, base64(id, signature); C2SP
    tlog-cosignature: a time of eight bytes before the signature, and two lines before the text.
    """
    key_id = hashlib.sha256(name.encode() + b"\x0a" + bytes([kind]) + raw).digest()[:4]
    split = note.rindex(b"\x0a\x0a")
    text, found = note[: split + 1], []
    for line in note[split + 2 :].splitlines():
        dash, who, coded = line.decode().split(" ")
        data = base64.b64decode(coded)
        if dash != "\u2014" or who != name or data[:4] != key_id:
            continue
        if kind == 1:
            Ed25519PublicKey.from_public_bytes(raw).verify(data[4:], text)
            found.append(None)
        else:
            at = int.from_bytes(data[4:12], "big")
            Ed25519PublicKey.from_public_bytes(raw).verify(
                data[12:], b"cosignature/v1\ntime " + str(at).encode() + b"\n" + text
            )
            found.append(at)
    return found


def test_the_known_answer_is_read_and_written() -> None:
    key = NoteKey.from_vkey(NEUMANN)
    assert (key.name, key.kind, key.id.hex(), key.vkey()) == ("PeterNeumann", NOTE, "c74f20a3", NEUMANN)
    note = f"{NEUMANN_TEXT}\n{NEUMANN_LINE}\n"
    assert read_note(note.encode()).signed_by([key]) == [key]
    assert str(sign_line(NEUMANN_TEXT, "PeterNeumann", Signer(NEUMANN_SEED))) == NEUMANN_LINE + "\n"
    assert NoteKey.from_vkey(SUM_GOLANG).vkey() == SUM_GOLANG


def test_the_example_of_the_specification_is_taken_apart() -> None:
    note = read_note(SOFA.encode())
    assert str(note) == SOFA
    assert note.text == "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    assert [line.name for line in note.lines] == ["example.com/behind-the-sofa", "witness.example.com/w1"]
    assert note.lines[0].id == NoteKey.from_vkey(SUM_GOLANG).id
    # The time that the specification shows in its example of a signed message.
    assert int.from_bytes(note.lines[1].signature[:8], "big") == 1679315147
    assert len(note.lines[1].signature) == 8 + 64


def test_lines_of_unknown_keys_are_passed_over() -> None:
    assert read_note(SOFA.encode()).signed_by([NoteKey.from_vkey(NEUMANN)]) == []


@given(text=st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=1), at=st.integers(0, 2**63 - 1))
def test_what_is_written_the_second_reader_reads(text: str, at: int) -> None:
    text = "x" + "".join(sign for sign in text if sign.isprintable()) + "\n"
    log, witness = Signer(b"l" * 32), Signer(b"w" * 32)
    lines = sign_line(text, "log.example", log), cosign_line(text, "witness.example", witness, at)
    note = str(Note(text, lines)).encode()
    assert second_reader(note, "log.example", 1, log.public.cose()[-2]) == [None]
    assert second_reader(note, "witness.example", 4, witness.public.cose()[-2]) == [at]
    keys = [NoteKey("log.example", NOTE, log.public), NoteKey("witness.example", COSIGNATURE, witness.public)]
    assert read_note(note).signed_by(keys) == keys
    assert read_line(str(lines[1])[:-1]) == lines[1]


@given(place=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_no_byte_can_change_unseen(place: int, flip: int) -> None:
    log, witness = Signer(b"l" * 32), Signer(b"w" * 32)
    keys = [NoteKey("log.example", NOTE, log.public), NoteKey("witness.example", COSIGNATURE, witness.public)]
    text = "log.example\n12\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    lines = sign_line(text, "log.example", log), cosign_line(text, "witness.example", witness, 1_795_360_000)
    note = bytearray(str(Note(text, lines)).encode())
    note[place % len(note)] ^= flip
    try:
        assert read_note(bytes(note)).signed_by(keys) != keys
    except SealError as error:
        assert error.kind in {"bad-note", "bad-signature"}  # noqa: PT017
    raw = witness.public.cose()[-2]
    try:
        both = (
            second_reader(bytes(note), "log.example", 1, log.public.cose()[-2]),
            second_reader(bytes(note), "witness.example", 4, raw),
        )
    except (InvalidSignature, ValueError):
        return
    assert both != ([None], [1_795_360_000])


def test_a_key_of_a_chip_cosigns_under_a_name_that_others_pass_over(tmp_path: Path) -> None:
    signer = FileSigner.create(tmp_path / "p256.key", ESP256)
    key = NoteKey("urn:aurora:dairy:gw-1", P256_COSIGNATURE, signer.public)
    line = cosign_line("a\n1\nb\n", key.name, signer, 7)
    assert Note("a\n1\nb\n", (line,)).signed_by([NoteKey.from_vkey(key.vkey())]) == [key]
    with pytest.raises(SealError, match="bad-signature"):
        Note("a\n2\nb\n", (line,)).signed_by([key])
    with pytest.raises(SealError, match="wrong-algorithm"):
        sign_line("a\n1\nb\n", "log", signer)


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"\n\n" + NEUMANN_LINE.encode() + b"\n",
        b"text\n\n" + NEUMANN_LINE.encode(),
        b"text\n\n" + NEUMANN_LINE.replace("\u2014", "-").encode() + b"\n",
        b"text\n\n" + NEUMANN_LINE.replace(" x08", "  x08").encode() + b"\n",
        b"text\n\n" + NEUMANN_LINE.replace("AM=", "AN=").encode() + b"\n",
        b"text\n\n\xe2\x80\x94 name x08goA==\n"[:-2] + b"\n",
        "text\n\n\u2014 name x08gow==\n".encode(),
        "text\n\n\u2014 na+me x08go/ZJ\n".encode(),
        "text\n\n\u2014 na\u00a0me x08go/ZJ\n".encode(),
        b"te\rxt\n\n" + NEUMANN_LINE.encode() + b"\n",
        b"te\xffxt\n\n" + NEUMANN_LINE.encode() + b"\n",
        b"x" * 300_000,
    ],
)
def test_what_is_no_note_is_refused(note: bytes) -> None:
    with pytest.raises(SealError, match="bad-note"):
        read_note(note)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a+b",
        "a+b+c",
        NEUMANN.replace("c74f", "c74e"),
        NEUMANN[:-4],
        NEUMANN.replace("+AR", "+AB"),
        SUM_GOLANG.replace("sum", "s um"),
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(SealError, match="bad-key"):
        NoteKey.from_vkey(text)


def test_a_time_beyond_the_limit_is_refused() -> None:
    witness = Signer(b"w" * 32)
    key = NoteKey("w", COSIGNATURE, witness.public)
    message = f"cosignature/v1\ntime {1 << 63}\na\n".encode()
    line = Line("w", key.id, (1 << 63).to_bytes(8, "big") + witness.sign(message))
    with pytest.raises(SealError, match="bad-signature"):
        Note("a\n", (line,)).signed_by([key])
