"""The witness behind HTTP: an auditor's own process, asked by the cluster as C2SP tlog-witness says."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from cluster_world import NOW_MS
from proof_world import DAY_MS, ORIGIN, Store

from gateway.cluster.database import open_database
from gateway.cluster.proof.log import Stored, checkpoint, consistency
from gateway.cluster.proof.submit import submit
from gateway.cluster.proof.witness import Bench, application
from gateway.errors import SyncError
from gateway.seal.checkpoint import Checkpoint, sign_checkpoint
from gateway.seal.keys import FileSigner
from gateway.seal.note import Note, read_line, read_note
from gateway.seal.tree import root_hash
from gateway.seal.witness import Request, write_request

NAME = "auditor.example/w1"


@pytest.fixture
async def bench(store: Store, tmp_path: Path) -> AsyncIterator[Bench]:
    database = await open_database(tmp_path / "auditor.db")
    await database.prepare(NOW_MS)
    yield Bench(database, NAME, FileSigner.create(tmp_path / "auditor.key"), [store.log_key])
    await database.close()


@asynccontextmanager
async def serving(bench: Bench) -> AsyncIterator[str]:
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(application(bench, lambda: NOW_MS), log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve([listener]))
        while not server.started:
            await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await task


async def grow(store: Store, number: int) -> Stored:
    plant = store.plant() if not number else store.north  # type: ignore[attr-defined]
    store.north = plant  # type: ignore[attr-defined]
    plant.scans(1)
    await store.deliver(plant)
    made = await checkpoint(store.database, store.signer, NOW_MS + number * DAY_MS, origin=ORIGIN)
    assert made is not None
    return made


def body(old: int, note: str, proof: list[bytes] | None = None) -> bytes:
    return write_request(Request(old, tuple(proof or ()), note.encode()))


async def test_the_cluster_has_its_checkpoints_cosigned(store: Store, bench: Bench) -> None:
    async with serving(bench) as url:
        assert await submit(store.database, url, bench.key) is None
        for number in range(3):
            made = await grow(store, number)
            line = await submit(store.database, url, bench.key)
            assert line is not None
            note = read_note(made.note.encode())
            assert Note(note.text, (line,)).signed_by([bench.key]) == [bench.key]
            assert await submit(store.database, url, bench.key) is not None
    assert await store.rows("SELECT size, witness FROM cosignature ORDER BY size") == [
        (2, NAME),
        (3, NAME),
        (4, NAME),
    ]


async def test_a_cluster_that_does_not_know_where_the_witness_is_asks_again(store: Store, bench: Bench) -> None:
    async with serving(bench) as url:
        await grow(store, 0)
        await submit(store.database, url, bench.key)
        await store.sql(("DELETE FROM cosignature",))
        await grow(store, 1)
        assert await submit(store.database, url, bench.key) is not None


async def test_a_rewritten_log_is_not_cosigned(store: Store, bench: Bench) -> None:
    async with serving(bench) as url:
        await grow(store, 0)
        await submit(store.database, url, bench.key)
        await grow(store, 1)
        await store.sql(("UPDATE log_leaf SET leaf = $1 WHERE place = 2", bytes(32)))
        with pytest.raises(SyncError, match="422"):
            await submit(store.database, url, bench.key)
    assert await store.rows("SELECT max(size) FROM cosignature") == [(2,)]


async def test_every_answer_of_the_protocol(store: Store, bench: Bench) -> None:
    first, second = await grow(store, 0), await grow(store, 1)
    async with store.database.transaction(write=False) as work:
        proof = await consistency(work, first.size, second.size)
    stranger = FileSigner.create(store.folder / "stranger.key")
    forged = str(sign_checkpoint(Checkpoint(ORIGIN, 2, bytes(32)), store.signer))
    unsigned = str(sign_checkpoint(Checkpoint(ORIGIN, 9, bytes(32)), stranger))
    unknown = str(sign_checkpoint(Checkpoint("other.example", 9, bytes(32)), stranger))
    async with serving(bench) as url, httpx.AsyncClient() as client:

        async def post(content: bytes) -> httpx.Response:
            return await client.post(f"{url}/add-checkpoint", content=content)

        assert (await post(b"rubbish")).status_code == 400
        assert (await post(b"x" * 400_000)).status_code == 413
        assert (await post(body(9, first.note))).status_code == 400
        assert (await post(body(0, unknown))).status_code == 404
        assert (await post(body(0, unsigned))).status_code == 403
        assert (await post(body(0, first.note.replace("\n2\n", "\n3\n")))).status_code == 403
        assert (await post(body(0, first.note, [bytes(32)]))).status_code == 422
        good = await post(body(0, first.note))
        assert good.status_code == 200
        bench.key.verify(read_line(good.text[:-1]).signature, read_note(first.note.encode()).text)
        conflict = await post(body(0, second.note))
        assert (conflict.status_code, conflict.headers["content-type"]) == (409, "text/x.tlog.size")
        assert conflict.text == "2\n"
        assert (await post(body(2, forged))).status_code == 409
        assert (await post(body(2, second.note, [bytes(32)] * len(proof)))).status_code == 422
        assert (await post(body(2, second.note, proof))).status_code == 200
        assert (await client.get(f"{url}/add-checkpoint")).status_code == 405


async def test_requests_at_once_get_one_history(store: Store, bench: Bench) -> None:
    notes = [
        str(sign_checkpoint(Checkpoint(ORIGIN, 4, root_hash([bytes([n]) * 32] * 4)), store.signer))
        for n in range(8)
    ]
    answers = await asyncio.gather(*(bench.add_checkpoint(body(0, note), NOW_MS) for note in notes))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 7


@pytest.mark.parametrize(
    ("url", "words"), [("ftp://x", "no address"), ("http://127.0.0.1:1", "cannot be reached"), ("x", "no address")]
)
async def test_a_witness_that_is_not_there_is_named(store: Store, bench: Bench, url: str, words: str) -> None:
    await grow(store, 0)
    with pytest.raises(SyncError, match=words):
        await submit(store.database, url, bench.key)


async def test_an_answer_of_somebody_else_is_not_kept(store: Store, bench: Bench) -> None:
    await grow(store, 0)
    other = Bench(bench.database, NAME, FileSigner.create(store.folder / "other.key"), bench.logs)
    async with serving(other) as url:
        with pytest.raises(SyncError, match="no line of witness"):
            await submit(store.database, url, bench.key)
    assert await store.rows("SELECT * FROM cosignature") == []
