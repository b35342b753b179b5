#!/usr/bin/env python3
"""Read and check batches with nothing but cbor2 and cryptography; docs/batch-format.md explains every line.

Usage: read_batches.py KEY.pem ... BATCH.cose ...    each stream in its order, events before the scans they describe
One JSON line a batch. Stops at the first that no given key has signed or that does not follow the one before.
"""

import hashlib
import json
import sys
import zlib
from array import array
from itertools import accumulate
from pathlib import Path

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

ELEMENTS = {64: "B", 69: "H", 70: "I", 71: "Q", 72: "b", 77: "h", 78: "i", 79: "q", 85: "f", 86: "d"}
TAGS = [None, 72, 77, 78, 79, 69, 85, 86]


def key_id(key):
    if isinstance(key, ed25519.Ed25519PublicKey):
        members = {1: 1, -1: 6, -2: key.public_bytes_raw()}
    else:
        point = key.public_numbers()
        members = {1: 2, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}
    return hashlib.sha256(cbor2.dumps(members)).digest()[:8]


def check(key, signature, signed):
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key.verify(signature, signed)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    return key.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))


def numbers(typed):
    return array(ELEMENTS[typed.tag], typed.value)


def scans(body, devices):
    """Yield [device, slot, boot time in ms, channel, role, value, quality] and [device, slot, count, quality]."""

    def column(label):
        return numbers(body[label]) if label in body else []

    def series(count):
        kind = next(kinds)
        first, rest = TAGS[kind & 15], TAGS[kind >> 4]
        if rest in (85, 86):
            return [next(rests[rest]) for _ in range(count)]
        if first is None or first in (85, 86):
            return [next(firsts[first])] * count if first else []
        return list(
            accumulate([next(firsts[first]), *(next(rests[rest]) if rest else 0 for _ in range(count - 1))])
        )

    firsts, rests = ({item.tag: iter(numbers(item)) for item in body.get(label, [])} for label in (15, 16))
    kinds, steps = iter(body.get(13, b"")), iter(column(10))
    quality = b"".join(bytes([code]) * length for length, code in zip(column(11), body.get(12, b""), strict=True))
    index, cell = -1, 0
    for skip, rows, start in zip(column(7), column(8), column(9), strict=True):
        index += skip + 1
        name, period, phase, columns = devices[index]
        begin = start + (body[2] - phase) // period
        slots = list(accumulate([begin, *(1 + next(steps, 0) for _ in range(rows - 1))]))
        times = [slot * period + phase + late for slot, late in zip(slots, series(rows), strict=True)]
        for channel, _, decimals, role in columns:
            codes, cell = quality[cell : cell + rows], cell + rows
            values = iter(series(sum(code < 128 for code in codes)))
            for slot, at_ms, code in zip(slots, times, codes, strict=True):
                value = next(values) if code < 128 else None
                scaled = value / 10**decimals if isinstance(value, int) else value
                yield [name, slot, at_ms, channel, ("value", "indicated")[role], scaled, code]
    runs = [*map(numbers, body[14][:3]), body[14][3]] if 14 in body else []
    for index, slot, count, code in zip(*runs, strict=True):
        name, period, phase, _ = devices[index]
        yield [name, slot + (body[2] - phase) // period, count, code]


def main(paths):
    keys, layouts, expected = {}, {}, {}
    for path in paths:
        data = Path(path).read_bytes()
        if path.endswith(".pem"):
            key = serialization.load_pem_public_key(data)
            keys[key_id(key)] = key
            continue
        protected, unprotected, payload, signature = cbor2.loads(data).value
        header = cbor2.loads(protected)
        seq, prev, boot, boot_ms, clock, state, other = header[-65537]
        stream = header[15][2]
        try:
            check(keys[header[4]], signature, cbor2.dumps(["Signature1", protected, b"", payload]))
        except (InvalidSignature, KeyError):
            sys.exit(f"{path}: not signed by a key given here, or altered")
        if unprotected or (seq, prev) != expected.get(stream, (0, bytes(32))):
            sys.exit(f"{path}: batch {seq} of {stream} does not follow the one before")
        expected[stream] = seq + 1, hashlib.sha256(b"\0" + data).digest()
        content = cbor2.loads(zlib.decompress(payload) if seq else payload)
        if seq and stream.endswith(":scan"):
            content = list(scans(content, layouts[content[1]]))
        for _, kind, details in content if seq and stream.endswith(":event") else []:
            if kind == "layout":
                devices = cbor2.loads(details["layout"])[2]
                layouts[details["id"]] = [(device[0], *device[4:7]) for device in devices]
        utc = clock and clock.value[1] + clock.value[-3] / 1000
        line = {"stream": stream, "seq": seq, "boot": boot, "boot_ms": boot_ms, "utc": utc, "clock_state": state}
        sys.stdout.write(json.dumps({**line, "other": other, "content": content}, default=bytes.hex) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
