"""E-mail against a server that speaks SMTP and TLS."""

import email
import email.policy
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
from notify_tools import alarm, notifying, output, rule, site_of, until
from plugin_tools import made, notice
from smtp_sink import SmtpSink, write_secret

from gateway.api import OutputError, Secret
from gateway.demo.pki import Authority, Certificate


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Authority(tmp_path_factory.mktemp("pki"), datetime.now(UTC)).server("mail")


def settings(sink: SmtpSink, **changes: object) -> dict[str, object]:
    return {"host": "127.0.0.1", "port": sink.port, "sender": "gw@dairy.example", "security": "none", **changes}


async def test_a_message_says_it_all_and_can_be_recognised_when_it_comes_twice() -> None:
    with SmtpSink() as sink:
        mail = made("email", settings(sink))
        await mail.send(notice("ann@x.example", words="Zażółć \u2013 8,2 °C"))
        await mail.send(notice("ann@x.example"))
    first, second = (email.message_from_string(mail.content, policy=email.policy.default) for mail in sink.mails)
    assert (sink.mails[0].sender, sink.mails[0].recipients) == ("gw@dairy.example", ["ann@x.example"])
    assert first["Subject"] == "CRITICAL: Cold room 1 8.2 °C (limit 5 °C)"
    assert "Zażółć \u2013 8,2 °C" in first.get_content()
    assert first["Message-ID"] == second["Message-ID"] == "<0123456789abcdef0123456789abcdef@dairy.example>"
    assert first["Auto-Submitted"] == "auto-generated"
    assert first["Importance"] == "high"
    assert first["Date"].datetime == datetime(2025, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(("security", "implicit"), [("starttls", False), ("tls", True)])
async def test_login_over_tls_with_a_password_from_a_file(
    tmp_path: Path, certificate: Certificate, security: str, implicit: bool
) -> None:
    password = Secret(file=write_secret(tmp_path / "password", "geheim\n"))
    with SmtpSink(certificate=certificate, implicit_tls=implicit, users={"gw": "geheim"}) as sink:
        words = {"security": security, "user": "gw", "password": password, "ca": certificate.ca}
        mail = made("email", settings(sink, **words))
        await mail.test()
        await mail.send(notice("ann@x.example"))
        assert (sink.mails[0].secure, sink.mails[0].user) == (True, "gw")
        write_secret(tmp_path / "password", "wrong")
        with pytest.raises(OutputError, match=r"refuses the login \(535 .*check user and password") as caught:
            await mail.send(notice("ann@x.example"))
        assert caught.value.retry, "somebody may correct the file"
    assert len(sink.mails) == 1


async def test_a_server_with_an_unknown_certificate_gets_no_password(
    tmp_path: Path, certificate: Certificate
) -> None:
    other = Authority(tmp_path / "other", datetime.now(UTC)).server("other")
    password = Secret(file=write_secret(tmp_path / "password", "geheim"))
    with SmtpSink(certificate=certificate, users={"gw": "geheim"}) as sink:
        words = {"security": "starttls", "user": "gw", "password": password, "ca": other.ca}
        with pytest.raises(OutputError, match=r"no TLS with 127.0.0.1 .*certificate"):
            await made("email", settings(sink, **words)).send(notice("ann@x.example"))
    assert sink.mails == []


async def test_a_server_without_tls_is_not_talked_to_in_the_clear() -> None:
    with SmtpSink() as sink, pytest.raises(OutputError, match=r"does not offer what is asked of it .*STARTTLS"):
        await made("email", settings(sink, security="starttls")).send(notice("ann@x.example"))
    assert sink.mails == []


@pytest.mark.parametrize(
    ("answers", "words", "retry", "recipient"),
    [
        ({"RCPT": "550 5.1.1 no such user"}, "refuses the recipient ann@x.example .550", False, True),
        ({"RCPT": "452 4.2.2 mailbox full"}, "refuses the recipient ann@x.example .452", True, True),
        ({"MAIL": "553 not yours"}, "refuses the sender gw@dairy.example .553", True, False),
        ({"CONNECT": "421 too busy"}, "refuses .421 too busy", True, False),
        ({"CONNECT": "HANGUP"}, "broke off", True, False),
        ({"DATA": "HANGUP"}, "broke off", True, False),
        ({"DATA": "554 looks like spam"}, "does not take the message .554", False, True),
    ],
)
async def test_every_refusal_is_named(answers: dict[str, str], words: str, retry: bool, recipient: bool) -> None:
    with SmtpSink(answers=answers) as sink, pytest.raises(OutputError, match=words) as caught:
        await made("email", settings(sink)).send(notice("ann@x.example"))
    assert (caught.value.retry, caught.value.recipient) == (retry, recipient)
    assert caught.value.remedy
    assert sink.mails == []


async def test_a_message_refused_at_its_end_is_not_counted_as_sent() -> None:
    with SmtpSink(after_data="451 try later") as sink, pytest.raises(OutputError) as caught:
        await made("email", settings(sink)).send(notice("ann@x.example"))
    assert "does not take the message (451" in caught.value.what
    assert caught.value.retry
    assert sink.mails == []


async def test_silence_ends_after_the_time_limit() -> None:
    silent = SmtpSink(answers={"EHLO": "SILENCE", "HELO": "SILENCE"})
    with silent, pytest.raises(OutputError, match=r"cannot be reached .timed out|broke off"):
        await made("email", settings(silent), timeout_s=0.2).test()


async def test_nobody_there_and_an_unreadable_ca_are_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    there = {"host": "127.0.0.1", "port": port, "sender": "gw@dairy.example"}
    with pytest.raises(OutputError, match=r"127.0.0.1 cannot be reached .Connection refused.; check network"):
        await made("email", {**there, "security": "none"}).send(notice("ann@x.example"))
    with pytest.raises(OutputError, match=r"missing\.pem cannot be used"):
        await made("email", {**there, "ca": tmp_path / "missing.pem"}).send(notice("ann@x.example"))


async def test_an_answer_that_is_lost_brings_the_message_again_and_never_loses_it(tmp_path: Path) -> None:
    """What at-least-once means for SMTP: the server took the message, and its 250 did not arrive."""
    with SmtpSink(after_data="HANGUP") as sink:
        spec = output(type="email", settings=settings(sink), to=("ann@x.example",))
        async with notifying(site_of(tmp_path, [spec], [rule()])) as world:
            world.notifier.alarm(alarm())
            await until(lambda: world.notifier.stats.outputs["mail"].failures)
            sink.after_data = ""
            await until(lambda: world.notifier.stats.outputs["mail"].sent == 1)
    assert len(sink.mails) >= 2
    assert len({email.message_from_string(mail.content)["Message-ID"] for mail in sink.mails}) == 1


async def test_an_outage_delays_and_loses_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    sink = SmtpSink(port=port)
    spec = output(type="email", settings=settings(sink), to=("ann@x.example", "bob@x.example"))
    async with notifying(site_of(tmp_path, [spec], [rule()])) as world:
        await world.notifier.accept([alarm(), alarm("acknowledged", person="Ann", text="door closed")])
        await until(lambda: world.notifier.stats.outputs["mail"].failures >= 2)
        with sink:
            await until(lambda: len(sink.mails) == 4)
            await until(lambda: world.notifier.stats.outputs["mail"].sent == 4)
    assert sum("door closed" in mail.content for mail in sink.mails) == 2
