#!/usr/bin/env python3
"""Read and check an evidence pack with nothing but cbor2 and cryptography. Usage: read_pack.py FOLDER [CLUSTER.pem]

FOLDER is the unpacked archive. Checked are: every file against the signed list, every batch's signature, its place
in its stream's tree, the tree's place in the cluster's log, the checkpoint's signature. One JSON line a batch, and
one for each statement of the cluster's staff about a gateway's key: a cut-off says from which batch on to doubt it.
"""

import base64
import hashlib
import json
import sys
import zlib
from pathlib import Path
from typing import Any

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils


def check(key: Any, signature: bytes, signed: bytes) -> None:
    if isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, signed)
        return
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    key.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))


def note(data: bytes, name: str, key: Any) -> list[str]:
    """The lines of a signed note (C2SP signed-note) that this Ed25519 key has signed under this name."""
    text, lines = data[: data.rindex(b"\n\n") + 1], data[data.rindex(b"\n\n") + 2 :].decode().splitlines()
    key_id = hashlib.sha256(name.encode() + b"\n\x01" + key.public_bytes_raw()).digest()[:4]
    found = [base64.b64decode(line.split(" ")[2]) for line in lines if line.split(" ")[1] == name]
    check(key, next(one[4:] for one in found if one[:4] == key_id), text)
    return text.decode().splitlines()


def root(leaf: bytes, place: int, size: int, path: list[bytes]) -> bytes:
    """The root that a leaf and its path lead to (RFC 9162, 2.1.3.2)."""
    node, last = leaf, size - 1
    for other in path:
        if place & 1 or place == last:
            node = hashlib.sha256(b"\1" + other + node).digest()
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\1" + node + other).digest()
        place, last = place >> 1, last >> 1
    return node


def main(name: str, *trusted: str) -> None:
    folder = Path(name)
    cluster = serialization.load_pem_public_key(Path(*trusted or [folder / "keys/cluster.pem"]).read_bytes())
    origin = (folder / "checkpoint.txt").read_text(encoding="utf-8").splitlines()[0]
    for entry in note((folder / "MANIFEST.txt").read_bytes(), origin, cluster)[2:]:
        digest, listed = entry.split("  ")
        demand(hashlib.sha256((folder / listed).read_bytes()).hexdigest() == digest, f"{listed} has been altered")
    _, size, coded = note((folder / "checkpoint.txt").read_bytes(), origin, cluster)
    for gateway in sorted((folder / "gateways").iterdir()):
        keys = [serialization.load_pem_public_key(path.read_bytes()) for path in (gateway / "keys").iterdir()]
        proofs = cbor2.loads((gateway / "proofs.cbor").read_bytes())
        for path in sorted([*gateway.glob("event/*.cose"), *gateway.glob("scan/*.cose")]):
            data, stream = path.read_bytes(), path.parent.name
            protected, _, payload, signature = cbor2.loads(data).value
            header, proof = cbor2.loads(protected), proofs[stream]
            signed = cbor2.dumps(["Signature1", protected, b"", payload])
            demand(any(signs(key, signature, signed) for key in keys), f"{path} is not signed")
            seq, leaf = header[-65537][0], hashlib.sha256(b"\0" + data).digest()
            demand(root(leaf, seq, proof[1], proof[4][seq]) == proof[2], f"{path} is not in its tree")
            covered, head, place, steps = proof[5]
            named = cbor2.dumps(["aurora/v1/head", header[15][2], covered, head])
            top = root(hashlib.sha256(b"\0" + named).digest(), place, int(size), steps)
            demand(top == base64.b64decode(coded), f"{stream} of {gateway.name} is not in the log")
            content = cbor2.loads(zlib.decompress(payload) if seq else payload) if stream == "event" else None
            line = {"gateway": gateway.name, "stream": stream, "seq": seq, "content": content}
            sys.stdout.write(json.dumps(line, default=bytes.hex) + "\n")
        for path in sorted(gateway.glob("statements/*.cose")):
            protected, _, payload, signature = cbor2.loads(path.read_bytes()).value
            signed = cbor2.dumps(["Signature1", protected, b"", payload])
            demand(signs(cluster, signature, signed), f"{path} is not signed by the cluster")
            line = {"gateway": gateway.name, "statement": cbor2.loads(payload)}
            sys.stdout.write(json.dumps(line, default=bytes.hex) + "\n")


def demand(condition: bool, words: str) -> None:
    if not condition:
        sys.exit(words)


def signs(key: Any, signature: bytes, signed: bytes) -> bool:
    try:
        check(key, signature, signed)
    except InvalidSignature:
        return False
    return True


if __name__ == "__main__":
    main(*sys.argv[1:])
