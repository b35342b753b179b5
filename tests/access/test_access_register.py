"""People and tokens as an administrator keeps them."""

from pathlib import Path

import pytest
from access_tools import ADDRESS, PASSWORD, Gate

from gateway.access.roles import Role
from gateway.errors import AccessError


async def ask(gate: Gate, order: str, **fields: object) -> dict[str, object]:
    return dict(await gate.register.handlers()[f"people.{order}"]({"person": "Ana Smit", **fields}))


async def test_somebody_is_let_in_changed_and_shut_out(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    await gate.administrator()
    token = await gate.person("Bo de Vries", "engineer")
    assert gate.door.caller(token) is not None
    await ask(gate, "role", name="bo de vries", role="quality")
    assert gate.door.caller(token) is None, "whoever may do less than before signs in anew"
    caller = gate.door.caller(await gate.door.sign_in("Bo de Vries", PASSWORD, ADDRESS))
    assert caller is not None
    assert caller.role is Role.QUALITY
    await ask(gate, "remove", name="Bo de Vries")
    with pytest.raises(AccessError):
        await gate.door.sign_in("Bo de Vries", PASSWORD, ADDRESS)
    assert gate.told("access.role") == [
        {"name": "Bo de Vries", "old": "engineer", "new": "quality", "person": "Ana Smit"}
    ]
    assert gate.told("access.removed") == [{"name": "Bo de Vries", "person": "Ana Smit"}]


async def test_a_lost_password_is_replaced_by_a_new_code(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    await gate.administrator()
    old = await gate.person("Bo", "engineer")
    answer = await ask(gate, "invite", name="Bo")
    assert answer["role"] == "engineer"
    assert gate.door.caller(old) is None
    with pytest.raises(AccessError):
        await gate.door.sign_in("Bo", PASSWORD, ADDRESS)
    await gate.door.welcome("Bo", str(answer["code"]), "another few words", ADDRESS)
    await gate.door.sign_in("Bo", "another few words", ADDRESS)
    with pytest.raises(AccessError, match="do not belong together"):
        await gate.door.welcome("Bo", str(answer["code"]), PASSWORD, ADDRESS)


async def test_the_code_of_one_person_is_not_that_of_another(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    await gate.administrator()
    code = (await ask(gate, "invite", name="Bo", role="viewer"))["code"]
    await ask(gate, "invite", name="Cas", role="administrator")
    with pytest.raises(AccessError):
        await gate.door.welcome("Cas", str(code), PASSWORD, ADDRESS)


@pytest.mark.parametrize(
    ("order", "fields"),
    [("remove", {}), ("role", {"role": "viewer"}), ("invite", {"role": "viewer"}), ("invite", {})],
)
async def test_the_last_administrator_stays(tmp_path: Path, order: str, fields: dict[str, str]) -> None:
    gate = Gate(tmp_path)
    await gate.administrator()
    await ask(gate, "invite", name="Bo", role="administrator")
    with pytest.raises(AccessError, match="only administrator"):
        await ask(gate, order, name="Ana Smit", **fields)


async def test_a_token_is_shown_once_and_opens_until_it_is_revoked(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    await gate.administrator()
    token = str((await ask(gate, "token", label="dashboard", role="viewer"))["token"])
    caller = gate.door.program(token)
    assert caller is not None
    assert (caller.person, caller.role, caller.form) == ("dashboard (token)", Role.VIEWER, "")
    assert token not in str(await ask(gate, "list"))
    assert token not in str(gate.events)
    with pytest.raises(AccessError, match="there is a token"):
        await ask(gate, "token", label="dashboard", role="viewer")
    await ask(gate, "revoke", label="dashboard")
    assert gate.door.program(token) is None
    with pytest.raises(AccessError, match="there is no token"):
        await ask(gate, "revoke", label="dashboard")


@pytest.mark.parametrize(
    ("order", "fields", "words"),
    [
        ("invite", {}, "name is missing"),
        ("invite", {"name": "Bo"}, "role is missing"),
        ("invite", {"name": "Bo", "role": "king"}, "viewer, quality, engineer, administrator"),
        ("invite", {"name": "Bo", "role": 1}, "role is missing"),
        ("role", {"name": "Nobody", "role": "viewer"}, "nobody is called"),
        ("remove", {"name": "Nobody"}, "nobody is called"),
        ("token", {"label": "x" * 100, "role": "viewer"}, "no name"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_what_would(
    tmp_path: Path, order: str, fields: dict[str, object], words: str
) -> None:
    gate = Gate(tmp_path)
    await gate.administrator()
    with pytest.raises(AccessError, match=words):
        await ask(gate, order, **fields)


async def test_ones_own_password_and_pin(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    token = await gate.administrator()
    with pytest.raises(AccessError, match="wrong"):
        await gate.register.change_password("Ana Smit", "not the one", "a new few words", ADDRESS)
    await gate.register.change_password("Ana Smit", PASSWORD, "a new few words", ADDRESS)
    assert gate.door.caller(token) is None
    await gate.door.sign_in("Ana Smit", "a new few words", ADDRESS)
    for pin in ("123", "12345678901", "1111", "12a4", "\N{ARABIC-INDIC DIGIT ONE}234"):
        with pytest.raises(AccessError, match="no PIN"):
            await gate.register.set_pin("Ana Smit", "a new few words", pin, ADDRESS)
    await gate.register.set_pin("Ana Smit", "a new few words", "4711", ADDRESS)
    (shown,) = (await ask(gate, "list"))["people"]  # type: ignore[misc]
    assert shown["pin"]
    await gate.register.set_pin("Ana Smit", "a new few words", "", ADDRESS)
    (shown,) = (await ask(gate, "list"))["people"]  # type: ignore[misc]
    assert not shown["pin"]
