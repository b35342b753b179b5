"""An operator admits and cuts off at the page; others cannot, nor can anybody where the cluster's keys are not."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from derive_world import Box
from fleet_page import Page, Person, page
from fleet_tools import NOW_MS, Fleet
from identity_world import Asking

from gateway.cluster.database import Database
from gateway.cluster.enrolment import Enrolment, enrol
from gateway.cluster.identity import requests
from gateway.cluster.identity.authority import Authority
from gateway.cluster.identity.rows import Staff
from gateway.cluster.opening import Message
from gateway.cluster.register import Register
from gateway.seal.keys import FileSigner
from gateway.seal.setupfile import read_setup
from gateway.site import Identity

NEW = Identity(member="dairy", site="north", gateway="gw-new")


@asynccontextmanager
async def desk(store: Database, folder: Path) -> AsyncIterator[tuple[Page, Person, Person, str, Asking]]:
    """The page with the cluster's keys beside it, an operator, a viewer, and a gateway that asks."""
    keys = folder / "keys"
    keys.mkdir()
    signer = FileSigner.create(keys / "cluster.key")
    Authority.create(keys, "authority of the test", NOW_MS)
    asking = Asking(folder / "asking", NEW)
    waiting = await requests.take_in(store, asking.request(), Staff("post", NOW_MS, signer))
    async with (
        page(store, folder / "page", keys=keys) as here,
        here.first() as ana,
        here.other(ana, "Olga", "operator") as olga,
        here.other(ana, "Vic", "viewer") as vic,
    ):
        yield here, olga, vic, waiting.code, asking


async def test_a_gateway_is_admitted_after_its_code_was_compared(store: Database, tmp_path: Path) -> None:
    async with desk(store, tmp_path) as (here, olga, vic, code, asking):
        assert "The gateway shows the same code" not in (await vic.get("/requests")).text
        assert (await vic.post("/requests/approve", data={"code": code, "compared": "yes"})).status_code == 403
        careless = await olga.fill("/requests", "/requests/approve", code=code)
        assert (careless.status_code, "has not been compared" in careless.text) == (409, True)
        done = await olga.fill("/requests", "/requests/approve", code=code, compared="yes")
        assert "The gateway is admitted" in done.text
        twice = await olga.post(
            "/requests/approve", data={"code": code, "compared": "yes", "form": form_of(careless.text)}
        )
        assert (twice.status_code, "already" in twice.text) == (409, True)
        answer = await olga.get(f"/requests/{code}/answer.cose")
        assert answer.headers["content-disposition"].startswith('attachment; filename="aurora-setup-')
        trusted = FileSigner.load(here.house.house.admission.folder / "cluster.key").public.thumbprint
        box = asking.signer.public.thumbprint
        setup = read_setup(answer.content, trusted=trusted, box=box, last_serial=0)
        assert set(setup.files) >= {"ca.pem", "broker.pem"}
        assert (await vic.get(f"/requests/{code}/answer.cose")).status_code == 403
        front = (await vic.get("/?q=gw-new")).text
        assert "Nothing has come yet" in front
        gateway = front.partition('href="/gateways/')[2].partition('"')[0]
        assert asking.signer.public.thumbprint.hex() in (await vic.get(f"/gateways/{gateway}")).text
    async with store.transaction(write=False) as work:
        rows = await work.fetch("SELECT person, data FROM deed WHERE what = 'approved'")
    assert [row[0] for row in rows] == ["Olga"]
    assert json.loads(rows[0][1])["client"] == "dairy.gw-new"


def form_of(text: str) -> str:
    return text.partition('name="form" value="')[2].partition('"')[0]


async def test_a_request_is_refused_with_a_reason(store: Database, tmp_path: Path) -> None:
    async with desk(store, tmp_path) as (_, olga, _, code, _):
        silent = await olga.fill("/requests", "/requests/refuse", code=code, why=" ")
        assert (silent.status_code, "not said why" in silent.text) == (409, True)
        done = await olga.fill("/requests", "/requests/refuse", code=code, why="nobody knows it")
        assert "The request is refused." in done.text
        assert ">refused<" in done.text


async def test_a_gateway_that_was_cut_off_delivers_nothing_any_more(store: Database, tmp_path: Path) -> None:
    box = Box(FileSigner.create(tmp_path / "box.key"), utc_ms=NOW_MS)
    await enrol(store, Enrolment(box.identity, box.signer.public), NOW_MS)
    async with desk(store, tmp_path) as (here, olga, vic, _, _):
        gateway = (await olga.get("/?q=gw-1")).text.partition('href="/gateways/')[2].partition('"')[0]
        path = f"/gateways/{gateway}"
        assert "Cut this gateway off" not in (await vic.get(path)).text
        assert (await vic.post(f"{path}/revoke", data={"client": "dairy.gw-1", "why": "x"})).status_code == 403
        other = await olga.fill(path, f"{path}/revoke", client="dairy.gw-2", why="stolen")
        assert (other.status_code, "not the name of this gateway" in other.text) == (409, True)
        done = await olga.fill(path, f"{path}/revoke", client="dairy.gw-1", why="stolen")
        assert "nothing is taken from it any more" in done.text
        assert "It was cut off" in done.text
        assert "Cut this gateway off" not in done.text
        signer = FileSigner.load(here.house.house.admission.folder / "cluster.key")
        register = Register(store, signer, iss="urn:aurora:cluster:test")
        await register.take([Message("dairy.gw-1", "scan", box.batches[1][0].body)], NOW_MS)
    async with store.transaction(write=False) as work:
        rows = await work.fetch("SELECT size FROM stream WHERE gateway = $1 AND stream = 1", int(gateway))
        assert not rows or rows[0][0] == 0
        assert (await work.fetch("SELECT count(*) FROM rejected WHERE client = 'dairy.gw-1'"))[0][0] == 1


async def test_without_the_keys_the_page_says_where_to_go(store: Database, tmp_path: Path) -> None:
    fleet = await Fleet.made(store)
    async with page(store, tmp_path) as here, here.first() as ana:
        text = (await ana.get("/requests")).text
        assert "aurora-cluster approve" in text
        assert '<form method="post" action="/requests' not in text
        assert "Cut this gateway off" not in (await ana.get(f"/gateways/{fleet.well}")).text
        form = form_of((await ana.get("/people")).text)
        sent = {"code": "ABCD-EFGH-JKLM", "compared": "yes", "form": form}
        answer = await ana.post("/requests/approve", data=sent)
        assert (answer.status_code, "not on this machine" in answer.text) == (409, True)
        assert (await ana.post("/requests/other", data=sent)).status_code == 404
