"""The worked example of docs/cluster-proofs.md, computed: keys of fixed seeds, a log of two leaves, one witness."""

from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.seal.checkpoint import Checkpoint, StreamHead, log_key, sign_checkpoint
from gateway.seal.cose import PublicKey
from gateway.seal.note import COSIGNATURE, Note, NoteKey, cosign_line
from gateway.seal.offer import Offer, Proven, write_offer
from gateway.seal.tree import inclusion_path, root_hash
from gateway.seal.witness import Request, write_request

ORIGIN = "cluster.example/log"
GATEWAY = "urn:aurora:dairy-7:gw-1"
TIME_S = 1_795_430_000


class Signer:
    """An Ed25519 key of a fixed seed."""

    def __init__(self, seed: bytes) -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey.of(self.key.public_key())

    def sign(self, data: bytes) -> bytes:
        return self.key.sign(data)


CLUSTER, WITNESS = Signer(bytes([1]) * 32), Signer(bytes([2]) * 32)
HEADS = (
    # The event stream of the example in docs/batch-format.md: two batches, with this root.
    StreamHead(
        f"{GATEWAY}:event", 2, bytes.fromhex("d591ff3117d000cba2f0a1582dc8022a004be442f1fc8764de414a9af943811a")
    ),
    StreamHead(f"{GATEWAY}:scan", 4, sha256(b"four batches").digest()),
)
LEAVES = [head.leaf for head in HEADS]
CHECKPOINT = Checkpoint(ORIGIN, 2, root_hash(LEAVES))
NOTE = sign_checkpoint(CHECKPOINT, CLUSTER)
LINE = cosign_line(NOTE.text, GATEWAY, WITNESS, TIME_S)
COSIGNED = Note(NOTE.text, (*NOTE.lines, LINE))
LOG_KEY = log_key(ORIGIN, CLUSTER.public)
WITNESS_KEY = NoteKey(GATEWAY, COSIGNATURE, WITNESS.public)
OFFER = write_offer(
    Offer(
        write_request(Request(0, (), str(NOTE).encode())),
        tuple(Proven(head, place, tuple(inclusion_path(LEAVES, place, 2))) for place, head in enumerate(HEADS)),
    )
)

if __name__ == "__main__":
    for head in HEADS:
        print(head.data().hex(), head.leaf.hex())
    print(CHECKPOINT.root.hex())
    print(str(COSIGNED))
    print(LOG_KEY.vkey(), WITNESS_KEY.vkey())
    print(len(OFFER), sha256(OFFER).hexdigest())
