"""Signing in: no default password, ever; a lost phone, a guessed code and a full disk open nothing."""

import asyncio
import json
import stat
from pathlib import Path

import pytest
from access_tools import ADDRESS, PASSWORD, Gate

from gateway.access.door import HOUR_MS, LONGEST_MS, REFUSALS_AN_HOUR, SESSIONS, Caller, Door
from gateway.access.firstcode import CODE_FILE, first_code, kept_code
from gateway.access.roles import GATEWAY, Right, Role, right_of
from gateway.access.secrets import CODE_LETTERS, check_secret, hash_secret, tidy_code
from gateway.errors import AccessError, AuroraError


class TestFirstCode:
    def test_it_is_made_once_and_only_its_owner_can_read_it(self, tmp_path: Path) -> None:
        code = first_code(tmp_path)
        assert first_code(tmp_path) == code
        assert len(code) == 9
        assert set(code.replace("-", "")) <= set(CODE_LETTERS)
        assert stat.S_IMODE((tmp_path / CODE_FILE).stat().st_mode) == 0o600

    def test_two_gateways_have_two_codes(self, tmp_path: Path) -> None:
        assert first_code(tmp_path / "a") != first_code(tmp_path / "b")

    @pytest.mark.parametrize("text", ["", "ABCD", "ABCD-EFG1", "ABCD-EFGHJ", "\N{GREEK CAPITAL LETTER ALPHA}"])
    def test_a_file_that_holds_no_code_is_made_anew(self, tmp_path: Path, text: str) -> None:
        (tmp_path / CODE_FILE).write_text(text, encoding="utf-8")
        assert first_code(tmp_path) != text
        assert kept_code(tmp_path) is not None

    def test_a_folder_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(AuroraError, match="first-code"):
            first_code(tmp_path / "file")

    async def test_it_makes_the_first_administrator_and_nobody_else(self, tmp_path: Path) -> None:
        gate = Gate(tmp_path)
        assert not gate.door.people_known
        code = first_code(tmp_path)
        token = await gate.door.welcome("Ana Smit", f" {code.lower().replace('-', ' ')}", PASSWORD, ADDRESS)
        caller = gate.door.caller(token)
        assert caller is not None
        assert (caller.person, caller.role) == ("Ana Smit", Role.ADMINISTRATOR)
        assert gate.door.people_known
        assert not (tmp_path / CODE_FILE).exists()
        with pytest.raises(AccessError, match="do not belong together"):
            await gate.door.welcome("Bo", code, PASSWORD, ADDRESS)

    async def test_guessing_it_is_slowed_down(self, tmp_path: Path) -> None:
        gate = Gate(tmp_path)
        for _ in range(5):
            with pytest.raises(AccessError, match="do not belong together"):
                await gate.door.welcome("Eve", "ABCD-EFGH", PASSWORD, ADDRESS)
        with pytest.raises(AccessError, match="wait 2 s"):
            await gate.door.welcome("Eve", first_code(tmp_path), PASSWORD, ADDRESS)
        gate.now_ms += 2000
        with pytest.raises(AccessError, match="do not belong together"):
            await gate.door.welcome("Eve", "ABCD-EFGH", PASSWORD, ADDRESS)
        with pytest.raises(AccessError, match="wait 4 s"):
            await gate.door.welcome("Eve", "ABCD-EFGH", PASSWORD, ADDRESS)
        assert len(gate.told("access.refused")) == 6


class TestSignIn:
    async def test_the_right_password_and_no_other(self, tmp_path: Path) -> None:
        gate = Gate(tmp_path)
        await gate.administrator()
        caller = gate.door.caller(await gate.door.sign_in("  ana   SMIT ", PASSWORD, ADDRESS))
        assert caller is not None
        assert caller.person == "Ana Smit", "as it stands in the record, however it was typed"
        for name, password in (("Ana Smit", PASSWORD + " "), ("Ana Smit", ""), ("Bo", PASSWORD), ("", "")):
            with pytest.raises(AccessError, match="name or password is wrong"):
                await gate.door.sign_in(name, password, ADDRESS)

    async def test_nobody_is_locked_out_by_somebody_who_tries_their_name(self, tmp_path: Path) -> None:
        gate = Gate(tmp_path)
        await gate.administrator()
        for number in range(5):
            with pytest.raises(AccessError, match="wrong"):
                await gate.door.sign_in("Ana Smit", "guessed password", f"192.0.2.{100 + number}")
        with pytest.raises(AccessError, match="wait"):
            await gate.door.sign_in("Ana Smit", PASSWORD, "192.0.2.200")
        assert await gate.door.sign_in("Ana Smit", PASSWORD, ADDRESS), "from where she signed in before"

    async def test_every_way_in_and_every_refusal_is_on_record(self, tmp_path: Path) -> None:
        gate = Gate(tmp_path)
        token = await gate.administrator()
        with pytest.raises(AccessError):
            await gate.door.sign_in("Ana Smit", "wrong password", ADDRESS)
        caller = gate.door.caller(token)
        assert caller is not None
        await gate.door.sign_out(caller)
        kinds = [event.kind for event in gate.events]
        assert kinds == ["access.joined", "access.signed_in", "access.refused", "access.signed_out"]
        assert gate.told("access.refused") == [
            {"what": "sign-in", "name": "Ana Smit", "address": ADDRESS, "more": 0}
        ]
        assert "wrong password" not in str(gate.events)

    async def test_a_flood_of_refusals_does_not_flood_the_record(self, tmp_path: Path) -> None:
        gate = Gate(tmp_path)
        for number in range(REFUSALS_AN_HOUR + 40):
            gate.door.refuse("token", "", f"192.0.2.{number}")
        assert len(gate.told("access.refused")) == REFUSALS_AN_HOUR
        gate.now_ms += HOUR_MS
        gate.door.refuse("token", "", ADDRESS)
        assert gate.told("access.refused")[-1]["more"] == 40
        assert gate.door.refused == REFUSALS_AN_HOUR + 41

    async def test_too_many_at_once_are_sent_away(self, tmp_path: Path) -> None:
        gate = Gate(tmp_path)
        tries = [gate.door.sign_in(f"n{i}", PASSWORD, f"192.0.2.{i}") for i in range(12)]
        answers = await asyncio.gather(*tries, return_exceptions=True)
        words = [str(answer) for answer in answers]
        assert sum("too many are signing in" in word for word in words) == 4
        assert sum("wrong" in word for word in words) == 8

    @pytest.mark.parametrize("password", ["short", "x" * 201, "aaaaaaaaaaaa", "Ana Smit Ana"])
    async def test_a_password_that_is_too_easy_is_refused_with_what_would_do(
        self, tmp_path: Path, password: str
    ) -> None:
        gate = Gate(tmp_path)
        name = "ana smit ana"
        with pytest.raises(AccessError, match="a few words"):
            await gate.door.welcome(name, first_code(tmp_path), password, ADDRESS)
        assert not gate.door.people_known

    @pytest.mark.parametrize("name", ["", "   ", "x" * 61, "a\x00b", "a\nb\x1b[0m"])
    async def test_a_name_that_cannot_stand_in_a_record_is_refused(self, tmp_path: Path, name: str) -> None:
        gate = Gate(tmp_path)
        with pytest.raises(AccessError, match="no name"):
            await gate.door.welcome(name, first_code(tmp_path), PASSWORD, ADDRESS)


class TestSession:
    async def test_it_ends_when_idle_when_old_and_when_the_machine_has_started_anew(self, tmp_path: Path) -> None:
        gate = Gate(tmp_path)
        token = await gate.administrator()
        gate.now_ms += GATEWAY.idle_ms[Role.ENGINEER]
        assert gate.door.caller(token) is not None
        gate.now_ms += GATEWAY.idle_ms[Role.ENGINEER] + 1
        assert gate.door.caller(token) is None
        viewer = await gate.person("Vi", "viewer")
        for _ in range(LONGEST_MS // HOUR_MS // 24 + 1):
            gate.door.caller(viewer)
            gate.now_ms += 24 * HOUR_MS
        assert gate.door.caller(viewer) is None, "used each day, and over after a month all the same"
        fresh = await gate.door.sign_in("Vi", PASSWORD, ADDRESS)
        assert Gate(tmp_path, boot="b1").door.caller(fresh) is not None, "a restart of the daemon ends nothing"
        assert Gate(tmp_path, boot="b2").door.caller(fresh) is None

    async def test_a_cookie_that_is_none_opens_nothing(self, tmp_path: Path) -> None:
        gate = Gate(tmp_path)
        await gate.administrator()
        kept = next(iter(gate.door.book.sessions))
        for token in (None, "", "x", kept, "\N{SNOWMAN}"):
            assert gate.door.caller(token) is None

    async def test_the_forms_of_one_session_are_not_those_of_another(self, tmp_path: Path) -> None:
        gate = Gate(tmp_path)
        first = gate.door.caller(await gate.administrator())
        second = gate.door.caller(await gate.door.sign_in("Ana Smit", PASSWORD, ADDRESS))
        assert first is not None
        assert second is not None
        assert gate.door.fits(first, first.form)
        assert not gate.door.fits(first, second.form)
        assert not gate.door.fits(first, "")
        assert not gate.door.fits(Caller(person="p", role=Role.VIEWER), "")

    async def test_no_secret_stands_in_the_file(self, tmp_path: Path) -> None:
        gate = Gate(tmp_path)
        token = await gate.administrator()
        await gate.register.set_pin("Ana Smit", PASSWORD, "4711", ADDRESS)
        caller = gate.door.caller(token)
        assert caller is not None
        text = (tmp_path / "access.json").read_text()
        for secret in (token, PASSWORD, "4711", caller.form):
            assert secret not in text
        assert stat.S_IMODE((tmp_path / "access.json").stat().st_mode) == 0o600

    async def test_nobody_signs_the_others_out(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.access.door.SESSIONS_EACH", 2)
        monkeypatch.setattr("gateway.access.door.SESSIONS", 5)
        gate = Gate(tmp_path)
        first = await gate.administrator()
        for _ in range(4):
            await gate.person("Vi", "viewer") if not gate.door.book.people.get("vi") else None
            gate.now_ms += 1
            last = await gate.door.sign_in("Vi", PASSWORD, ADDRESS)
        assert gate.door.caller(first) is not None
        assert gate.door.caller(last) is not None

    async def test_the_oldest_of_too_many_goes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.access.door.SESSIONS", 3)
        assert SESSIONS > 3
        gate = Gate(tmp_path)
        first = await gate.administrator()
        for _ in range(3):
            gate.now_ms += 1
            last = await gate.door.sign_in("Ana Smit", PASSWORD, ADDRESS)
        assert gate.door.caller(first) is None
        assert gate.door.caller(last) is not None

    async def test_an_open_stream_is_held_only_as_long_as_its_session(self, tmp_path: Path) -> None:
        gate = Gate(tmp_path)
        await gate.administrator()
        viewer = gate.door.caller(await gate.person("Vi", "viewer"))
        orders = gate.register.handlers()
        made = await orders["people.token"]({"label": "board", "role": "viewer", "person": "Ana Smit"})
        board = gate.door.program(made["token"])
        assert viewer is not None
        assert board is not None
        assert gate.door.holds(viewer)
        assert gate.door.holds(board)
        await orders["people.remove"]({"name": "Vi", "person": "Ana Smit"})
        await orders["people.revoke"]({"label": "board", "person": "Ana Smit"})
        assert not gate.door.holds(viewer)
        assert not gate.door.holds(board)


class TestSharedDevice:
    async def test_it_looks_by_itself_and_acts_for_whoever_shows_a_pin(self, tmp_path: Path) -> None:
        gate = Gate(tmp_path)
        await gate.administrator()
        await gate.person("Quinn", "quality")
        await gate.register.set_pin("Quinn", PASSWORD, "4711", ADDRESS)
        tablet = gate.door.caller(await gate.door.sign_in("Ana Smit", PASSWORD, ADDRESS, shared=True))
        assert tablet is not None
        assert tablet.role is Role.VIEWER, "what hangs on a wall is no administrator"
        assert tablet.may(Right.HANDLE)
        assert not tablet.may(Right.COMMISSION)
        assert await gate.door.vouch(tablet, "quinn", "4711", Right.HANDLE) == "Quinn"
        for name, pin in (("Quinn", "4712"), ("Quinn", ""), ("Ana Smit", ""), ("Nobody", "4711")):
            with pytest.raises(AccessError, match="do not belong together"):
                await gate.door.vouch(tablet, name, pin, Right.HANDLE)
        gate.now_ms += HOUR_MS
        with pytest.raises(AccessError, match="right to commission"):
            await gate.door.vouch(tablet, "Quinn", "4711", Right.COMMISSION)

    async def test_a_pin_cannot_be_tried_through(self, tmp_path: Path) -> None:
        gate = Gate(tmp_path)
        await gate.administrator()
        await gate.register.set_pin("Ana Smit", PASSWORD, "4711", ADDRESS)
        tablet = gate.door.caller(await gate.door.sign_in("Ana Smit", PASSWORD, ADDRESS, shared=True))
        assert tablet is not None
        for pin in range(5):
            with pytest.raises(AccessError, match="belong"):
                await gate.door.vouch(tablet, "Ana Smit", f"{pin:04}", Right.HANDLE)
        with pytest.raises(AccessError, match="wait"):
            await gate.door.vouch(tablet, "Ana Smit", "4711", Right.HANDLE)

    async def test_a_colleague_with_a_pin_of_their_own_cannot_try_anothers(self, tmp_path: Path) -> None:
        gate = Gate(tmp_path)
        await gate.administrator()
        await gate.person("Quinn", "quality")
        await gate.register.set_pin("Ana Smit", PASSWORD, "4711", ADDRESS)
        await gate.register.set_pin("Quinn", PASSWORD, "8128", ADDRESS)
        tablet = gate.door.caller(await gate.door.sign_in("Ana Smit", PASSWORD, ADDRESS, shared=True))
        assert tablet is not None
        await gate.door.vouch(tablet, "Ana Smit", "4711", Right.HANDLE)
        for pin in range(5):
            with pytest.raises(AccessError, match="belong"):
                await gate.door.vouch(tablet, "Ana Smit", f"{pin:04}", Right.HANDLE)
            if pin < 4:
                await gate.door.vouch(tablet, "Quinn", "8128", Right.HANDLE)
        with pytest.raises(AccessError, match="wait"):
            await gate.door.vouch(tablet, "Ana Smit", "0009", Right.HANDLE)


class TestWhileAnswersAreChecked:
    async def test_somebody_shut_out_meanwhile_stays_out(self, tmp_path: Path) -> None:
        gate = Gate(tmp_path)
        await gate.administrator()
        orders = gate.register.handlers()
        made = await orders["people.invite"]({"name": "Bo", "role": "engineer", "person": "Ana Smit"})
        coming = asyncio.create_task(gate.door.welcome("Bo", made["code"], PASSWORD, ADDRESS))
        await asyncio.sleep(0)
        await orders["people.remove"]({"name": "Bo", "person": "Ana Smit"})
        with pytest.raises(AccessError, match="holds no more"):
            await coming
        assert "bo" not in gate.door.book.people

    async def test_the_label_makes_one_administrator(self, tmp_path: Path) -> None:
        gate = Gate(tmp_path)
        code = first_code(tmp_path)
        both = [gate.door.welcome(name, code, PASSWORD, f"192.0.2.{n}") for n, name in enumerate(("Ana", "Bo"))]
        answers = await asyncio.gather(*both, return_exceptions=True)
        assert sum(isinstance(answer, AccessError) for answer in answers) == 1
        assert len(gate.door.book.people) == 1


class TestFile:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "[]",
            '{"form": 2}',
            '{"form": 1}',
            '{"form": 1, "people": {"x": {}}, "sessions": {}, "tokens": {}}',
            '{"form": 1, "people": {"x": {"name": "x", "role": "king"}}, "sessions": {}, "tokens": {}}',
            "\x00",
        ],
    )
    def test_a_damaged_file_lets_nobody_in_and_says_what_to_do(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "access.json").write_text(text)
        with pytest.raises(AuroraError, match=r"access\.json"):
            Gate(tmp_path)
        assert not (tmp_path / CODE_FILE).exists(), "a damaged file must not open the door of the first code"

    async def test_a_disk_that_refuses_is_said(self, tmp_path: Path) -> None:
        gate = Gate(tmp_path)
        await gate.administrator()
        (tmp_path / ".access.json.draft").mkdir()
        with pytest.raises(AuroraError, match="cannot be written"):
            await gate.door.sign_in("Ana Smit", PASSWORD, ADDRESS)
        assert json.loads((tmp_path / "access.json").read_text())["people"], "what was kept is whole"

    async def test_everything_is_known_again_after_a_restart(self, tmp_path: Path) -> None:
        gate = Gate(tmp_path)
        token = await gate.administrator()
        again = Gate(tmp_path)
        assert again.door.people_known
        assert again.door.caller(token) == gate.door.caller(token)


class TestRights:
    def test_what_nobody_thought_of_is_not_for_everybody(self) -> None:
        assert right_of("something.new") is Right.COMMISSION
        assert right_of("alarm.acknowledge") is Right.HANDLE
        assert right_of("alarm.list") is Right.LOOK
        assert right_of("people.list") is Right.ADMINISTER

    @pytest.mark.parametrize(
        ("role", "rights"),
        [
            (Role.VIEWER, {Right.LOOK}),
            (Role.QUALITY, {Right.LOOK, Right.HANDLE, Right.RECORD}),
            (Role.ENGINEER, {Right.LOOK, Right.HANDLE, Right.RECORD, Right.COMMISSION}),
            (Role.ADMINISTRATOR, set(Right)),
        ],
    )
    def test_roles(self, role: Role, rights: set[Right]) -> None:
        assert role.rights == rights

    def test_secrets(self) -> None:
        kept = hash_secret(PASSWORD)
        assert kept != hash_secret(PASSWORD), "salted"
        assert check_secret(PASSWORD, kept)
        assert not check_secret(PASSWORD + "x", kept)
        for broken in ("", "x", "md5$1$1$1$AA==$AA==", "scrypt$16384$8$5$AA==$AA==", "scrypt$a$b$c$d$e"):
            assert not check_secret(PASSWORD, broken)
        assert tidy_code(" abcd efgh\n") == "ABCD-EFGH"


def test_a_door_before_anybody_has_come_says_the_code_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Door(tmp_path, boot="b", now_ms=lambda: 0, event=lambda _: None)
    (line,) = [record.getMessage() for record in caplog.records]
    assert first_code(tmp_path) in line
