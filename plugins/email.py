"""Notices by e-mail: one message for each recipient, handed to one SMTP server (RFC 5321, RFC 8314, RFC 3207)."""

import re
import smtplib
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Literal

from gateway.api import Mistake, Notice, Output, OutputError, Secret, setting

__all__ = ["EmailOutput", "EmailSettings"]

_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
PORTS = {"starttls": 587, "tls": 465, "none": 25}
SOCKET_S = 15.0
GOODBYE_S = 1.0


def check_address(address: str) -> None:
    """Raises `Mistake` for what cannot be an address; only the server can tell whether there is such a mailbox."""
    if not _ADDRESS.fullmatch(address) or ".." in address:
        raise Mistake(f"{address!r} is no e-mail address", 'write it bare: "quality@dairy.example"')


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailSettings:
    """The server that takes our mail, and who we are to it."""

    host: str = setting(example="smtp.dairy.example", least=1)
    sender: str = setting(example="gateway@dairy.example", check=check_address)
    security: Literal["starttls", "tls", "none"] = setting("starttls", example="starttls")
    port: int | None = setting(None, example=587, least=1, most=65535)
    user: str = setting("", example="gateway@dairy.example")
    password: Secret | None = setting(None, example={"file": "smtp.password"})
    ca: Path | None = setting(None, example="mail-ca.pem")


class EmailOutput(Output):
    """A message is delivered when the server has answered 250 to its end: from then on the server answers for it.

    A connection that breaks between the end of the message and that answer leaves open whether it was taken: it is
    sent again with the same Message-ID, by which mail programs recognise a second copy.
    """

    title = "e-mail over an SMTP server"
    Settings = EmailSettings
    address = "an e-mail address"
    settings: EmailSettings

    @classmethod
    def check(cls, settings: EmailSettings) -> Iterable[Mistake]:
        """Login needs both words, and TLS."""
        if bool(settings.user) != (settings.password is not None):
            yield Mistake("user and password belong together", "write both, or neither", "password")
        if settings.password is not None and settings.security == "none":
            yield Mistake(
                "a password would go over the network in the clear", 'use "starttls" or "tls"', "security"
            )
        if settings.ca is not None and settings.security == "none":
            yield Mistake("has no meaning without TLS", "take it away", "ca")

    @classmethod
    def check_address(cls, address: str) -> None:
        """An address as it stands in an envelope."""
        check_address(address)

    async def send(self, notice: Notice) -> None:
        """One message to one recipient."""
        message = compose(notice, self.settings.sender)
        with self._session() as server, self._named(notice.recipient):
            server.send_message(message, self.settings.sender, [notice.recipient])

    async def test(self) -> None:
        """Connect, TLS, login: all but a message."""
        with self._session() as server, self._named():
            server.ehlo_or_helo_if_needed()
            code, words = server.noop()
            if code >= 400:
                raise smtplib.SMTPResponseException(code, words)

    @contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        """A connection for one message. What goes wrong in its making is named."""
        server = self._connect()
        try:
            yield server
        except BaseException:
            server.close()
            raise
        if server.sock is not None:
            server.sock.settimeout(GOODBYE_S)
        with suppress(smtplib.SMTPException, OSError):
            server.quit()
        server.close()

    def _connect(self) -> smtplib.SMTP:
        settings = self.settings
        port = settings.port or PORTS[settings.security]
        timeout_s = min(SOCKET_S, self.host.timeout_s)
        name = "[127.0.0.1]"  # RFC 5321, 4.1.4: for a client without a name of its own; spares a look-up
        context = self._tls() if settings.security != "none" else None
        server: smtplib.SMTP | None = None
        with self._named():
            try:
                if settings.security == "tls":
                    server = smtplib.SMTP_SSL(
                        settings.host, port, local_hostname=name, timeout=timeout_s, context=context
                    )
                else:
                    server = smtplib.SMTP(settings.host, port, local_hostname=name, timeout=timeout_s)
                if settings.security == "starttls":
                    server.starttls(context=context)
                if settings.password is not None:
                    server.login(settings.user, settings.password.read())
            except BaseException:
                if server is not None:
                    server.close()
                raise
        return server

    def _tls(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.settings.ca)
        except (OSError, ssl.SSLError) as error:
            raise OutputError(
                f"{self.settings.ca} cannot be used ({error.strerror or error})",
                "give the certificate of the authority that signed the server's, as PEM",
            ) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    @contextmanager
    def _named(self, recipient: str = "") -> Iterator[None]:
        """Every way in which SMTP fails, in words, and whether trying again can help."""
        where = self.settings.host
        try:
            yield
        except smtplib.SMTPRecipientsRefused as error:
            code, words = next(iter(error.recipients.values()), (550, b""))
            raise OutputError(
                f"{where} refuses the recipient {recipient} ({_said(code, words)})",
                "correct the address" if code >= 500 else "see whether the mailbox is full",
                retry=code < 500,
                recipient=True,
            ) from error
        except smtplib.SMTPAuthenticationError as error:
            raise OutputError(
                f"{where} refuses the login ({_said(error.smtp_code, error.smtp_error)})",
                "check user and password; many providers want a password made for the program",
            ) from error
        except smtplib.SMTPSenderRefused as error:
            raise OutputError(
                f"{where} refuses the sender {error.sender} ({_said(error.smtp_code, error.smtp_error)})",
                "use an address that this login may send from",
            ) from error
        except smtplib.SMTPNotSupportedError as error:
            raise OutputError(f"{where} does not offer what is asked of it ({error})", "see security") from error
        except smtplib.SMTPDataError as error:
            raise OutputError(
                f"{where} does not take the message ({_said(error.smtp_code, error.smtp_error)})",
                "see what it says",
                retry=error.smtp_code < 500,
                recipient=True,
            ) from error
        except smtplib.SMTPResponseException as error:
            raise OutputError(
                f"{where} refuses ({_said(error.smtp_code, error.smtp_error)})", "see what it says"
            ) from error
        except smtplib.SMTPException as error:
            raise OutputError(f"{where} broke off ({error})", "see whether the server is well") from error
        except ssl.SSLError as error:
            raise OutputError(
                f"no TLS with {where} ({error.reason or error})",
                "check host and port, the certificate's name and date, ca, and this machine's clock",
            ) from error
        except OSError as error:
            raise OutputError(
                f"{where} cannot be reached ({error.strerror or error or type(error).__name__})",
                "check network, name server, host, port and firewall",
            ) from error


def compose(notice: Notice, sender: str) -> EmailMessage:
    """The message: plain text, no picture, nothing to follow but the page's own address."""
    message = EmailMessage()
    message["From"] = f"Aurora Gateway {notice.gateway} <{sender}>"
    message["To"] = notice.recipient
    message["Subject"] = notice.subject
    message["Message-ID"] = f"<{notice.key}@{sender.rpartition('@')[2]}>"
    if notice.sent_utc_ms is not None:  # else the server, which knows the time, adds it (RFC 6409, 8.2)
        message["Date"] = format_datetime(datetime.fromtimestamp(notice.sent_utc_ms / 1000, UTC))
    message["Auto-Submitted"] = "auto-generated"
    if notice.tier == "critical" and notice.transition in {"raised", "escalated"}:
        message["Importance"] = "high"
        message["X-Priority"] = "1"
    message.set_content(notice.body, cte="quoted-printable")  # whatever the server can carry
    return message


def _said(code: int, words: bytes | str) -> str:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return f"{code} {text}".strip()
