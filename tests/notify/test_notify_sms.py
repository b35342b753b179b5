"""Text messages through a modem that is played on a pseudo-terminal."""

from pathlib import Path

import pytest
from gateway_plugins.gsm import GSM_MOST, UCS2_MOST, fold, gsm_bytes, parts, ucs2_hex
from hypothesis import given, settings
from hypothesis import strategies as st
from notify_tools import alarm, notifying, output, rule, site_of, until
from played_modem import PlayedModem
from plugin_tools import made, notice
from smtp_sink import write_secret

from gateway.api import OutputError, Secret

NUMBER = "+48601234567"


async def test_a_short_text_goes_out_in_the_default_alphabet() -> None:
    with PlayedModem() as modem:
        sms = made("sms", {"device": modem.device})
        await sms.test()
        assert modem.messages == []
        await sms.send(notice(NUMBER))
    ((number, content, charset),) = modem.messages
    assert (number, charset) == (NUMBER, "GSM")
    assert content == (b"CRITICAL: Cold room 1 8.2 C (limit 5 C), since 2025-11-24 11:59 UTC (plant-1/gw-1)"), (
        "the degree sign is not in the alphabet; nothing else is lost"
    )
    assert "AT+CMGF=1" in modem.commands
    assert "AT+CSMP=17,167,0,0" in modem.commands


async def test_letters_lose_their_marks_and_numbers_stay() -> None:
    with PlayedModem() as modem:
        await made("sms", {"device": modem.device}).send(
            notice(NUMBER, language="pl", name="Chłodnia nr 1 \u2013 zażółć")
        )
    ((_, content, charset),) = modem.messages
    assert charset == "GSM"
    assert content.startswith(b"KRYTYCZNY: Chlodnia nr 1 - zazolc 8,2 C (limit 5 C)")


async def test_a_text_in_another_script_goes_out_in_ucs2_in_numbered_parts() -> None:
    with PlayedModem() as modem:
        await made("sms", {"device": modem.device}).send(notice(NUMBER, name="Холодильная камера 1"))
    assert {number for number, _, _ in modem.messages} == {ucs2_hex(NUMBER)}
    texts = [bytes.fromhex(content.decode()).decode("utf-16-be") for _, content, _ in modem.messages]
    assert texts[0].startswith("(1/2) CRITICAL: Холодильная камера 1 8.2 °C (limit 5 °C)")
    assert all(len(text) <= UCS2_MOST for text in texts)


async def test_a_locked_card_is_given_its_pin_once(tmp_path: Path) -> None:
    pin = Secret(file=write_secret(tmp_path / "pin", "1234\n"))
    with PlayedModem(pin="1234") as modem:
        await made("sms", {"device": modem.device, "pin": pin}).send(notice(NUMBER))
        assert len(modem.messages) == 1
    with PlayedModem(pin="9999") as modem:
        sms = made("sms", {"device": modem.device, "pin": pin})
        with pytest.raises(OutputError, match=r"the card refuses the PIN .*the PIN is wrong") as caught:
            await sms.send(notice(NUMBER))
        assert "1234" not in str(caught.value)
        for _ in range(3):
            with pytest.raises(OutputError, match=r"refused this PIN and is not asked again"):
                await sms.send(notice(NUMBER))
        assert sum(command.startswith("AT+CPIN=") for command in modem.commands) == 1, "a third time would block it"
        write_secret(tmp_path / "pin", "9999")
        await sms.send(notice(NUMBER))
        assert len(modem.messages) == 1


async def test_a_locked_card_without_a_pin_is_named() -> None:
    with PlayedModem(pin="1234") as modem, pytest.raises(OutputError, match=r"card is locked .*SIM PIN.; set pin"):
        await made("sms", {"device": modem.device}).send(notice(NUMBER))


@pytest.mark.parametrize(
    ("answers", "words", "retry", "recipient"),
    [
        ({"MESSAGE": "+CMS ERROR: 21"}, "CMS ERROR 21: the network refuses it .no credit", True, False),
        ({"MESSAGE": "+CMS ERROR: 331"}, "CMS ERROR 331: there is no network service", True, False),
        ({"MESSAGE": "+CMS ERROR: 28"}, "the network refuses .48601234567 .*CMS ERROR 28", False, True),
        ({"MESSAGE": "+CMS ERROR: 27"}, "48601234567: .CMS ERROR 27: the recipient cannot be reached", True, True),
        ({"MESSAGE": "+CMS ERROR: 4711"}, "CMS ERROR 4711: no name for it", True, False),
        ({"MESSAGE": "OK"}, "says OK, but not that the network took the message", True, False),
        ({"AT+CPIN?": "+CME ERROR: 10"}, "CME ERROR 10: there is no SIM card", True, False),
        ({"AT+CPIN?": "+CME ERROR: SIM failure"}, "CME ERROR: SIM failure", True, False),
        ({"AT+CREG?": "+CREG: 0,3\r\nOK"}, "not in a network ..CREG: 0,3", True, False),
        ({"AT+CMGF": "ERROR"}, "the modem refuses .ERROR", True, False),
        ({"AT+CMGS": "+CMS ERROR: 500"}, "CMS ERROR 500", True, False),
    ],
)
async def test_every_refusal_is_named(
    answers: dict[str, str | None], words: str, retry: bool, recipient: bool
) -> None:
    with PlayedModem(answers=answers) as modem:
        with pytest.raises(OutputError, match=words) as caught:
            await made("sms", {"device": modem.device}).send(notice(NUMBER))
        assert modem.messages == []
    assert (caught.value.retry, caught.value.recipient) == (retry, recipient)
    assert caught.value.remedy


async def test_silence_is_named_with_the_command_that_met_it() -> None:
    with (
        PlayedModem(answers={"AT+CREG?": None}) as modem,
        pytest.raises(OutputError, match=r"does not answer AT\+CREG\? within 0\.3 s; see whether it has power"),
    ):
        await made("sms", {"device": modem.device}, timeout_s=0.3).send(notice(NUMBER))


async def test_a_modem_that_is_unplugged_is_named_and_taken_again_when_it_is_back(tmp_path: Path) -> None:
    link = tmp_path / "modem"
    with PlayedModem(unplug_at="AT+CMGS") as modem:
        link.symlink_to(modem.device)
        spec = output(type="sms", settings={"device": str(link)}, to=(NUMBER,))
        async with notifying(site_of(tmp_path, [spec], [rule()])) as world:
            world.notifier.alarm(alarm())
            stats = world.notifier.stats.outputs["mail"]
            await until(lambda: stats.failures)
            assert "cannot be used" in stats.last_error or "does not answer" in stats.last_error
            link.unlink()
            with PlayedModem() as again:
                link.symlink_to(again.device)
                await until(lambda: stats.sent == 1)
                assert len(again.messages) == 1


async def test_a_port_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"nowhere cannot be used .*see whether it is plugged in"):
        await made("sms", {"device": str(tmp_path / "nowhere")}).test()


@settings(deadline=None)
@given(st.text(max_size=400), st.integers(1, 5))
def test_parts_hold_the_text_in_order_and_say_where_it_is_cut(text: str, most: int) -> None:
    for wide, limit in ((False, GSM_MOST), (True, UCS2_MOST)):
        pieces = parts(text, limit, most, wide=wide)
        assert 1 <= len(pieces) <= most
        sizes = [len(piece.encode("utf-16-be", "surrogatepass")) // 2 if wide else len(piece) for piece in pieces]
        assert max(sizes) <= limit
        bare = [piece.split(") ", 1)[1] if len(pieces) > 1 else piece for piece in pieces]
        joined = "".join("".join(bare).split())
        whole = "".join(text.split())
        assert joined == whole or (joined.endswith("...") and whole.startswith(joined[:-3]))


@pytest.mark.parametrize("letter", "ąćęłńóśżźĄĆĘŁŃÓŚŻŹçêëîïôûÿœÇáíúñüöàèéùìò°€[]{}…\u2013≤")
def test_our_languages_fold_into_the_default_alphabet(letter: str) -> None:
    assert gsm_bytes(fold(letter)) is not None


@settings(deadline=None)
@given(st.text(alphabet="0123456789.,:+-() /abcXYZ", max_size=100))
def test_numbers_and_plain_letters_are_never_touched(text: str) -> None:
    assert fold(text) == text
    assert gsm_bytes(text) == text.encode("ascii")


def test_what_would_end_or_throw_away_a_message_is_never_sent() -> None:
    for letter in ("\x1a", "\x1b", "Ξ", "{", "€", "\n"):
        codes = gsm_bytes(fold(letter))
        assert codes is None or not set(codes) & {0x0D, 0x1A, 0x1B}
    assert gsm_bytes("@£$") == b"\x00\x01\x02", "the alphabet of TS 23.038, not ASCII"
