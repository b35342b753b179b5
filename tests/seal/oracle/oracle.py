"""Runs inside the oracle's environment: signs and checks COSE messages with `cwt`. JSON lines in and out.

{"do": "verify", "body": hex, "key": PEM, "alg": -19, "kid": hex, "detached": hex | null}
    -> {"payload": hex} | {"error": text}
{"do": "sign", "payload": hex, "key": PEM, "alg": -19, "kid": hex} -> {"body": hex}
"""

import json
import sys

from cwt import COSE, COSEKey

for line in sys.stdin:
    request = json.loads(line)
    key = COSEKey.from_pem(
        request["key"], alg={-19: "Ed25519", -9: "ESP256"}[request["alg"]], kid=bytes.fromhex(request["kid"])
    )
    if request["do"] == "verify":
        detached = bytes.fromhex(request["detached"]) if request["detached"] is not None else None
        try:
            payload = COSE.new().decode(bytes.fromhex(request["body"]), key, detached_payload=detached)
            answer = {"payload": payload.hex()}
        except Exception as error:  # noqa: BLE001 - whatever the oracle has against it is the answer
            answer = {"error": f"{type(error).__name__}: {error}"}
    else:
        header = {1: request["alg"], 3: "text/plain", 4: bytes.fromhex(request["kid"])}
        body = COSE.new().encode(bytes.fromhex(request["payload"]), key, protected=header)
        answer = {"body": body.hex()}
    print(json.dumps(answer), flush=True)
