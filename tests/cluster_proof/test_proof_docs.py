"""The worked example in docs/cluster-proofs.md is what the code does, and what a second reader reads."""

import base64
import hashlib
import re

from cluster_world import ROOT
from worked_example import CHECKPOINT, COSIGNED, HEADS, LEAVES, LOG_KEY, OFFER, WITNESS_KEY

from gateway.seal.note import read_note
from gateway.seal.offer import read_offer

PAGE = (ROOT / "docs/cluster-proofs.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    found = re.search(rf"```{name}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_checkpoint_is_the_one_that_is_computed() -> None:
    assert block("example-checkpoint") == str(COSIGNED)
    assert read_note(block("example-checkpoint").encode()).signed_by([LOG_KEY, WITNESS_KEY]) == [
        LOG_KEY,
        WITNESS_KEY,
    ]
    assert LOG_KEY.vkey() in PAGE


def test_the_leaves_are_those_that_are_hashed() -> None:
    listed = bytes.fromhex(re.sub(r";.*|\s", "", block("example-leaves")))
    assert listed == b"".join(head.data() for head in HEADS)
    for leaf in LEAVES:
        assert leaf.hex() in PAGE
    assert CHECKPOINT.root.hex() in PAGE
    assert HEADS[0].root.hex() in (ROOT / "docs/batch-format.md").read_text(encoding="utf-8")


def test_it_can_be_computed_by_the_words_of_the_page_alone() -> None:
    listed = bytes.fromhex(re.sub(r";.*|\s", "", block("example-leaves")))
    first, second = (listed[at : at + size] for at, size in ((0, 82), (82, 81)))
    leaves = [hashlib.sha256(b"\x00" + content).digest() for content in (first, second)]
    root = hashlib.sha256(b"\x01" + leaves[0] + leaves[1]).digest()
    assert base64.b64encode(root).decode() == block("example-checkpoint").split("\n")[2]


def test_an_offer_is_what_the_page_says() -> None:
    offer = read_offer(OFFER)
    assert offer.request.startswith(b"old 0\n\ncluster.example/log\n2\n")
    for proven in offer.heads:
        proven.check(CHECKPOINT)
