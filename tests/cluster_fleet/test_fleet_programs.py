"""The JSON API is what its description says, whatever is sent to it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fleet_page import page
from fleet_tools import NOW_MS, Fleet
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import ignored_auth

from gateway.access.roles import Right
from gateway.cluster.database import Database
from gateway.cluster.fleet.programs.operations import OPERATIONS
from gateway.cluster.fleet.staff import StaffRole


async def test_every_operation_answers_what_its_table_says(store: Database, tmp_path: Path) -> None:
    fleet = await Fleet.made(store)
    everything = {"gateway": fleet.ill, "point": "room", "from_ms": NOW_MS - 3_600_000, "to_ms": NOW_MS}
    async with page(store, tmp_path) as here, here.program("administrator") as program:
        for operation in OPERATIONS:
            asked = {name: everything[name] for name in operation.needs}
            answer = await program.get(operation.path, params=asked)
            assert answer.status_code == 200, (operation.name, answer.text)
            assert set(operation.answer) <= set(answer.json()), operation.name
            for name in operation.needs:
                less = {key: value for key, value in asked.items() if key != name}
                refused = await program.get(operation.path, params=less)
                assert (refused.status_code, f"{name} is missing" in refused.text) == (422, True), operation.name
        told = (await program.get("/api/v1/gateways", params={"show": "visit", "sort": "trouble"})).json()
        assert (told["count"], told["gateways"][0]["name"]) == (1, "gw-2")
        assert "Two signed histories" in told["gateways"][0]["reasons"][0]
        assert (await program.get("/api/v1/sums")).json()["visit"] == 1
        nonsense = {**everything, "to_ms": everything["from_ms"]}
        refused = await program.get("/api/v1/chart", params=nonsense)
        assert (refused.status_code, "to_ms has to come after" in refused.text) == (409, True)
        described = (await program.get("/api/v1/openapi.json")).json()
        assert set(described["paths"]) == {operation.path for operation in OPERATIONS}


@pytest.mark.parametrize("role", StaffRole)
async def test_every_operation_asks_for_its_right(store: Database, tmp_path: Path, role: StaffRole) -> None:
    await Fleet.made(store)
    scope = "dairy" if role is StaffRole.MEMBER else ""
    async with page(store, tmp_path) as here, here.program(role.value, scope) as program:
        for operation in OPERATIONS:
            answer = await program.get(operation.path)
            assert (answer.status_code == 403) is not role.may(operation.right), (operation.name, answer.text)
            assert (await program.post(operation.path)).status_code == 405
    assert not StaffRole.MEMBER.may(Right.COMMISSION)


WRONG = [
    ("gateways?show=everything", "show is none of all, visit"),
    ("gateways?sort=1", "sort is none of"),
    ("gateways?limit=0", "limit is out of its range"),
    ("gateways?limit=1001", "limit is out of its range"),
    ("gateways?limit=1.5", "limit is no integer"),
    ("gateways?lmit=1", "'lmit' is not known here"),
    ("gateways?limit=1&limit=2", "given twice"),
    ("gateways?words=a%00", "words is not of the form"),
    ("gateway?gateway=99999999999999999999", "gateway is no integer"),
]


@pytest.mark.parametrize(("asked", "words"), WRONG)
async def test_what_is_wrong_is_said_with_what_would_be_right(
    store: Database, tmp_path: Path, asked: str, words: str
) -> None:
    async with page(store, tmp_path) as here, here.program("viewer") as program:
        answer = await program.get(f"/api/v1/{asked}")
        assert (answer.status_code, set(answer.json())) == (422, {"error", "remedy"})
        assert words in answer.json()["error"]


async def test_whatever_is_sent_no_answer_is_undescribed(store: Database, tmp_path: Path) -> None:
    await Fleet.made(store)
    async with page(store, tmp_path) as here, here.program("administrator") as program:
        document = (await program.get("/api/v1/openapi.json")).json()
        headers = dict(program.headers)

        def attack() -> int:
            schema = schemathesis.openapi.from_dict(document)
            schema.config.base_url = here.address
            sent = 0
            for found in schema.get_all_operations():
                operation = found.ok()

                @settings(
                    max_examples=12,
                    phases=[Phase.explicit, Phase.generate],
                    suppress_health_check=list(HealthCheck),
                    deadline=None,
                )
                @given(case=operation.as_strategy())
                def one(case: Any) -> None:
                    nonlocal sent
                    sent += 1
                    case.call_and_validate(headers=headers, timeout=30, excluded_checks=[ignored_auth])

                one()
            return sent

        assert await asyncio.to_thread(attack) > len(OPERATIONS)
        assert (await program.get("/api/v1/sums")).json()["gateways"] == 3
