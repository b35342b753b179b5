"""Another implementation reads what we sign, and we read what it signs.

The oracle is the `cwt` package in an environment of its own (oracle/setup_oracle.sh makes it on first use).
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sealing import Gateway

from gateway.errors import SealError
from gateway.seal.cose import PublicKey, parse1, verify1
from gateway.seal.keys import FileSigner
from gateway.seal.tree import Frontier

HERE = Path(__file__).parent / "oracle"

Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def ask(oracle_python: Path) -> Iterator[Ask]:
    """Put a question to the oracle."""
    with subprocess.Popen(
        [oracle_python, "-I", HERE / "oracle.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def put(**request: Any) -> dict[str, Any]:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            answer: dict[str, Any] = json.loads(process.stdout.readline())
            return answer

        yield put
        process.stdin.close()


def verified(ask: Ask, body: bytes, key: PublicKey, detached: bytes | None = None) -> dict[str, Any]:
    pem = key.pem().decode()
    return ask(
        do="verify",
        body=body.hex(),
        key=pem,
        alg=key.alg,
        kid=key.kid.hex(),
        detached=detached.hex() if detached else None,
    )


@pytest.mark.timeout(300)
def test_the_oracle_reads_our_batches(ask: Ask, signer: FileSigner) -> None:
    gateway = Gateway(signer)
    for batch in (*gateway.streams["event"], gateway.seal("scan", b"columns")):
        payload = parse1(batch.body).payload
        assert payload is not None
        assert verified(ask, batch.body, signer.public) == {"payload": payload.hex()}


@pytest.mark.timeout(300)
def test_the_oracle_checks_our_receipts(ask: Ask, signer: FileSigner) -> None:
    gateway = Gateway(signer)
    gateway.seal("scan", b"columns")
    root = Frontier.of(gateway.leaves("scan")).root()
    receipt = gateway.receipt(signer, "scan")
    assert verified(ask, receipt, signer.public, root) == {"payload": root.hex()}
    assert "verify" in verified(ask, receipt, signer.public, bytes(32))["error"]


@pytest.mark.timeout(300)
def test_the_oracle_refuses_an_altered_batch(ask: Ask, signer: FileSigner) -> None:
    body = bytearray(Gateway(signer).seal("scan", b"columns").body)
    body[-70] ^= 1
    assert "verify" in verified(ask, bytes(body), signer.public)["error"]


@pytest.mark.timeout(300)
def test_we_read_what_the_oracle_signs(
    ask: Ask, signer: FileSigner, make_signer: Callable[..., FileSigner]
) -> None:
    for number in range(8):
        payload = bytes([number]) * number
        answer = ask(
            do="sign",
            payload=payload.hex(),
            key=signer.path.read_text(),
            alg=signer.alg,
            kid=signer.public.kid.hex(),
        )
        parsed = parse1(bytes.fromhex(answer["body"]))
        verify1(parsed, signer.public)
        assert parsed.payload == payload
        assert parsed.protected == {1: signer.alg, 3: "text/plain", 4: signer.public.kid}
        with pytest.raises(SealError, match="bad-signature"):
            verify1(parsed, make_signer(77, signer.alg).public)
