"""The JSON API of a running gateway: it is what its description says, whatever is sent to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from app_tools import Unit, record_of, running, site_of, until
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import ignored_auth

from gateway.access.roles import right_of
from gateway.app import Gateway
from gateway.site import WebSpec
from gateway.web.programs.operations import OPERATIONS


@asynccontextmanager
async def programs(folder: Path, role: str) -> AsyncIterator[tuple[Gateway, httpx.AsyncClient]]:
    """A gateway that measures, and a program with a token of a role."""
    async with Unit() as unit:
        site = site_of(folder, unit.port, web=WebSpec(port=0))
        async with running(site) as gateway:
            await until(lambda: gateway.page_address is not None and gateway.people is not None)
            await until(lambda: gateway.people.records.book is not None)
            order = gateway.register.handlers()["people.token"]
            token = (await order({"label": "test", "role": role, "person": "test"}))["token"]
            headers = {"authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(base_url=str(gateway.page_address), headers=headers, timeout=30) as client:
                yield gateway, client


async def test_a_program_reads_the_state_and_the_description(tmp_path: Path) -> None:
    async with programs(tmp_path, "viewer") as (_, client):
        status = (await client.get("/api/v1/status")).json()
        assert [point["id"] for point in status["points"]] == ["p"]
        described = (await client.get("/api/v1/openapi.json")).json()
        assert described["openapi"] == "3.1.0"
        for operation in OPERATIONS:
            assert operation.path in described["paths"]
        assert (await client.get("/api/v1/alarm/list")).json() == {"alarms": []}


async def test_what_a_program_does_is_in_the_record_under_its_name(tmp_path: Path) -> None:
    async with programs(tmp_path, "quality") as (gateway, client):
        made = await client.post("/api/v1/record/note", json={"text": "door seal worn", "point": "p"})
        assert made.status_code == 200, made.text
        assert made.json()["data"]["person"] == "test (token)"
        declared = {"point": "p", "kind": "cleaning", "for_s": 60, "text": "weekly"}
        answer = await client.post("/api/v1/state/declare", json=declared)
        assert answer.status_code in {200, 409}, answer.text
        site = gateway.site
    assert record_of(site).one("record.note").data["text"] == "door seal worn"


@pytest.mark.parametrize("role", ["viewer", "quality", "engineer"])
async def test_every_operation_asks_for_its_right(tmp_path: Path, role: str) -> None:
    from gateway.access.roles import Role

    async with programs(tmp_path, role) as (_, client):
        for operation in OPERATIONS:
            answer = await client.request("GET" if operation.reads else "POST", operation.path, json={})
            allowed = Role(role).may(right_of(operation.order))
            assert (answer.status_code == 403) is not allowed, (operation.order, answer.text)


WRONG: list[tuple[bytes, str, int, str]] = [
    (b"", "application/json", 400, "not JSON"),
    (b"[]", "application/json", 400, "no JSON object"),
    (b"[" * 60_000, "application/json", 400, "not JSON"),
    (b'{"alarm": "x", "text": "y"}', "text/plain", 415, "not declared as JSON"),
    (b'{"alarm": 1}', "application/json", 422, "alarm"),
    (b'{"alarm": "x", "txet": "y"}', "application/json", 422, "txet"),
    (b'{"alarm": "no/such", "text": "y"}', "application/json", 409, "no/such"),
    (b'{"alarm": "x", "text": "' + b"y" * 70_000 + b'"}', "application/json", 413, "too large"),
    (b'{"alarm": "x", "text": "\xff"}', "application/json", 400, "not JSON"),
]


async def test_what_is_wrong_is_said_with_what_would_be_right(tmp_path: Path) -> None:
    async with programs(tmp_path, "quality") as (_, client):
        for body, kind, code, words in WRONG:
            answer = await client.post("/api/v1/alarm/acknowledge", content=body, headers={"content-type": kind})
            assert (answer.status_code, set(answer.json())) == (code, {"error", "remedy"}), (body[:40], answer.text)
            assert words in answer.json()["error"]


async def test_whatever_is_sent_no_answer_is_undescribed(tmp_path: Path) -> None:
    """Every operation, with right and wrong requests made from its description; the token is always shown."""
    async with programs(tmp_path, "administrator") as (gateway, client):
        document = (await client.get("/api/v1/openapi.json")).json()
        headers = dict(client.headers)

        def attack() -> int:
            schema = schemathesis.openapi.from_dict(document)
            schema.config.base_url = str(gateway.page_address).rstrip("/")
            sent = 0
            for found in schema.get_all_operations():
                operation = found.ok()

                @settings(
                    max_examples=12,
                    phases=[Phase.explicit, Phase.generate],
                    suppress_health_check=list(HealthCheck),
                )
                @given(case=operation.as_strategy())
                def one(case: Any) -> None:
                    nonlocal sent
                    sent += 1
                    case.call_and_validate(headers=headers, timeout=30, excluded_checks=[ignored_auth])

                one()
            return sent

        assert await asyncio.to_thread(attack) > len(OPERATIONS)
        # It measures on, and every way in is as it was.
        before = gateway.acquire.pollers[0].stats.scans
        await until(lambda: gateway.acquire.pollers[0].stats.scans > before)
