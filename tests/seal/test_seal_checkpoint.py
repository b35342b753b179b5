"""Checkpoints and leaves of the cluster's log, nodes of a large tree, and the judgement of a witness."""

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import SealError
from gateway.seal.checkpoint import Checkpoint, StreamHead, log_key, open_checkpoint, read_checkpoint, read_head
from gateway.seal.checkpoint import sign_checkpoint as sign
from gateway.seal.keys import FileSigner
from gateway.seal.nodes import consistency_cover, cover, fold, inclusion_cover, newly_complete
from gateway.seal.tree import Frontier, consistency_path, inclusion_path, root_hash
from gateway.seal.witness import REFUSALS, Request, Seen, judge, read_request, write_request

ORIGIN = "urn:aurora:cluster:north"


def leaves(count: int) -> list[bytes]:
    return [sha256(f"leaf {n}".encode()).digest() for n in range(count)]


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> FileSigner:
    return FileSigner.create(tmp_path_factory.mktemp("key") / "cluster.key")


class TestTexts:
    # The text of the example in C2SP tlog-checkpoint.
    SOFA = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"

    def test_the_example_of_the_specification(self) -> None:
        found = read_checkpoint(self.SOFA)
        assert (found.origin, found.size, found.root.hex()[:8]) == (
            "example.com/behind-the-sofa",
            20852163,
            "0ac5186a",
        )
        assert found.text() == self.SOFA
        assert read_checkpoint(self.SOFA + "an extension\n") == found

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "a\n1\n",
            SOFA.replace("\n2", "\n02"),
            SOFA.replace("\n2", "\n-2"),
            SOFA.replace("\n2", "\n 2"),
            SOFA.replace("\n2", "\n\u0662"),
            SOFA.replace("20852163", "9" * 19),
            SOFA.replace("q2I=", "q2J="),
            SOFA.replace("CsUY", ""),
            SOFA.replace("\n2", "\n\n2"),
            SOFA + "\nx\n",
        ],
    )
    def test_what_is_no_checkpoint_is_refused(self, text: str) -> None:
        with pytest.raises(SealError):
            read_checkpoint(text)

    @given(
        sub=st.text(min_size=1, max_size=99),
        size=st.integers(1, 2**63 - 1),
        root=st.binary(min_size=32, max_size=32),
    )
    def test_a_leaf_has_one_form(self, sub: str, size: int, root: bytes) -> None:
        head = StreamHead(sub, size, root)
        assert read_head(head.data()) == head
        assert head.leaf == sha256(b"\x00" + head.data()).digest()

    @given(place=st.integers(0, 500), flip=st.integers(1, 255))
    def test_no_byte_of_a_leaf_can_change_unseen(self, place: int, flip: int) -> None:
        head = StreamHead("urn:aurora:dairy:gw-1:scan", 17, bytes(range(32)))
        data = bytearray(head.data())
        data[place % len(data)] ^= flip
        try:
            assert read_head(bytes(data)) != head
        except SealError as error:
            assert error.kind == "bad-checkpoint"  # noqa: PT017

    def test_only_the_logs_own_key_counts(self, signer: FileSigner, tmp_path: Path) -> None:
        note = str(sign(Checkpoint(ORIGIN, 3, root_hash(leaves(3))), signer)).encode()
        key = log_key(ORIGIN, signer.public)
        assert open_checkpoint(note, [key])[0].size == 3
        other = FileSigner.create(tmp_path / "other.key")
        for kind, keys in (
            ("unknown-log", [log_key("urn:other", signer.public)]),
            ("unsigned", [log_key(ORIGIN, other.public)]),
        ):
            with pytest.raises(SealError, match=kind):
                open_checkpoint(note, keys)
        with pytest.raises(SealError, match="bad-signature"):
            open_checkpoint(note.replace(b"\n3\n", b"\n4\n"), [key])


class TestNodes:
    def hashes(self, count: int) -> dict[tuple[int, int], bytes]:
        found: dict[tuple[int, int], bytes] = {}
        frontier = Frontier()
        for place, leaf in enumerate(leaves(count)):
            frontier.append(leaf)
            found[0, place] = leaf
            found.update(newly_complete(frontier))
        return found

    @given(size=st.integers(1, 300), data=st.data())
    def test_proofs_are_those_of_the_whole_tree(self, size: int, data: st.DataObject) -> None:
        all_leaves, hashes = leaves(size), self.hashes(size)
        assert fold(cover(0, size), hashes) == root_hash(all_leaves)
        index = data.draw(st.integers(0, size - 1))
        path = [fold(nodes, hashes) for nodes in inclusion_cover(index, size)]
        assert path == inclusion_path(all_leaves, index, size)
        first = data.draw(st.integers(1, size))
        proof = [fold(nodes, hashes) for nodes in consistency_cover(first, size)]
        assert proof == consistency_path(all_leaves, first, size)

    def test_a_large_log_needs_few_nodes(self) -> None:
        nodes = [node for step in consistency_cover(7_000_001, 7_300_000) for node in step]
        assert len(nodes) < 80
        assert len(inclusion_cover(7_000_001, 7_300_000)) <= 23

    def test_what_is_not_there_is_named(self) -> None:
        hashes = self.hashes(8)
        del hashes[1, 2]
        with pytest.raises(SealError, match=r"node \(1, 2\)"):
            fold(inclusion_cover(7, 8)[1], hashes)
        for call in (
            lambda: inclusion_cover(8, 8),
            lambda: consistency_cover(0, 8),
            lambda: consistency_cover(9, 8),
        ):
            with pytest.raises(SealError, match="bad-proof"):
                call()


class TestWitness:
    # The example request of C2SP tlog-witness, shortened to one line of proof.
    BODY = (
        "old 20852014\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\n"
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1g"
        "GzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    ).encode()

    def request(self, signer: FileSigner, old: int, new: int, *, proof: list[bytes] | None = None) -> Request:
        path = consistency_path(leaves(new), old, new) if old and proof is None else proof or []
        return Request(
            old, tuple(path), str(sign(Checkpoint(ORIGIN, new, root_hash(leaves(new))), signer)).encode()
        )

    def kind(self, signer: FileSigner, request: Request, seen: Seen) -> str:
        with pytest.raises(SealError) as caught:
            judge(request, seen, [log_key(ORIGIN, signer.public)])
        assert caught.value.kind in REFUSALS
        return caught.value.kind

    def test_the_example_of_the_specification(self) -> None:
        found = read_request(self.BODY)
        assert (found.old, len(found.proof), found.proof[0].hex()[:8]) == (20852014, 1, "3e544d0a")
        assert write_request(found) == self.BODY

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"old 1\n",
            BODY.replace(b"old 2", b"old 02"),
            BODY.replace(b"old 2", b"new 2"),
            BODY.replace(b"kaw=", b"kax="),
            BODY.replace(b"PlRN", b""),
            BODY.replace(b"PlRN", b"\xe2\x80"),
            BODY.replace(b"\nPl", b"\n" + b"PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n" * 63 + b"Pl"),
            BODY[:-1],
            BODY + b"x" * 300_000,
        ],
    )
    def test_what_is_no_request_is_refused(self, body: bytes) -> None:
        with pytest.raises(SealError, match=r"bad-request|bad-note"):
            read_request(body)

    @given(old=st.integers(0, 40), more=st.integers(0, 40))
    def test_a_log_that_goes_on_is_cosigned(self, signer: FileSigner, old: int, more: int) -> None:
        new = max(old + more, 1)
        seen = Seen(old, root_hash(leaves(old))) if old else Seen()
        request = self.request(signer, old, new)
        assert read_request(write_request(request)) == request
        assert judge(request, seen, [log_key(ORIGIN, signer.public)])[0].size == new

    def test_a_log_that_was_rewritten_is_not(self, signer: FileSigner) -> None:
        other = Seen(5, root_hash(leaves(6)[1:]))
        assert self.kind(signer, self.request(signer, 5, 9), other) == "bad-proof"
        assert self.kind(signer, self.request(signer, 5, 5), other) == "other-root"
        right = Seen(5, root_hash(leaves(5)))
        assert self.kind(signer, self.request(signer, 5, 9, proof=leaves(3)), right) == "bad-proof"
        assert self.kind(signer, self.request(signer, 0, 9, proof=leaves(1)), Seen()) == "bad-proof"
        assert self.kind(signer, self.request(signer, 5, 5, proof=leaves(1)), right) == "bad-proof"

    def test_sizes_have_to_fit(self, signer: FileSigner) -> None:
        seen = Seen(5, root_hash(leaves(5)))
        assert self.kind(signer, self.request(signer, 4, 9), seen) == "conflict"
        assert self.kind(signer, self.request(signer, 0, 9), seen) == "conflict"
        assert self.kind(signer, self.request(signer, 5, 4, proof=leaves(1)), seen) == "bad-request"

    def test_an_empty_log_has_one_root(self, signer: FileSigner) -> None:
        right = str(sign(Checkpoint(ORIGIN, 0, sha256(b"").digest()), signer)).encode()
        assert judge(Request(0, (), right), Seen(), [log_key(ORIGIN, signer.public)])[0].size == 0
        wrong = str(sign(Checkpoint(ORIGIN, 0, bytes(32)), signer)).encode()
        assert self.kind(signer, Request(0, (), wrong), Seen()) == "bad-proof"
