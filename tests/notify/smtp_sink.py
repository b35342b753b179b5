"""A mail server for tests, written from RFC 5321, 3207 and 4954: it takes messages, or fails as it is told to."""

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from gateway.demo.pki import Certificate


@dataclass
class Mail:
    sender: str
    recipients: list[str]
    content: str
    secure: bool
    user: str


@dataclass
class SmtpSink:
    """``answers`` replaces the answer to a command by its first word (``RCPT:a@x`` for one recipient).

    ``"HANGUP"`` ends the connection, ``"SILENCE"`` says nothing. ``after_data`` is the answer to a whole message.
    """

    certificate: Certificate | None = None
    implicit_tls: bool = False
    users: Mapping[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    after_data: str = ""
    mails: list[Mail] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for one in self._open:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(client)
            thread = threading.Thread(target=self._talk, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _talk(self, client: socket.socket) -> None:
        try:
            _Conversation(self, client).run()
        except OSError:
            pass
        finally:
            client.close()

    def context(self) -> ssl.SSLContext:
        assert self.certificate is not None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate.certificate, self.certificate.key)
        return context


class _HangupError(OSError):
    pass


class _Conversation:
    def __init__(self, sink: SmtpSink, client: socket.socket) -> None:
        self.sink = sink
        self.client = client
        self.secure = False
        self.user = ""
        self.sender = ""
        self.recipients: list[str] = []

    def run(self) -> None:
        if self.sink.implicit_tls:
            self.wrap()
        self.file = self.client.makefile("rb")
        self.say(self.sink.answers.get("CONNECT", "220 sink ready"))
        while line := self.file.readline():
            if not self.command(line.decode().rstrip("\r\n")):
                return

    def wrap(self) -> None:
        self.client = self.sink.context().wrap_socket(self.client, server_side=True)
        self.sink._open.append(self.client)
        self.secure = True

    def say(self, words: str) -> None:
        if words == "HANGUP":
            raise _HangupError
        if words != "SILENCE":
            self.client.sendall(words.replace("\n", "\r\n").encode() + b"\r\n")

    def command(self, line: str) -> bool:
        verb = line.split(" ", 1)[0].upper()
        if verb == "RCPT":
            address = line[line.index("<") + 1 : line.index(">")]
            words = self.sink.answers.get(f"RCPT:{address}") or self.sink.answers.get("RCPT", "250 ok")
            if words.startswith("250"):
                self.recipients.append(address)
            self.say(words)
        elif verb in self.sink.answers:
            self.say(self.sink.answers[verb])
        elif verb == "EHLO":
            offers = ["250-sink", *(["250-STARTTLS"] if self.sink.certificate and not self.secure else [])]
            self.say("\n".join([*offers, *(["250-AUTH PLAIN"] if self.sink.users else []), "250 8BITMIME"]))
        elif verb == "STARTTLS":
            self.say("220 go ahead")
            self.wrap()
            self.file = self.client.makefile("rb")
        elif verb == "AUTH":
            _, user, password = base64.b64decode(line.split(" ")[2]).decode().split("\0")
            good = self.sink.users.get(user) == password
            self.user = user if good else ""
            self.say("235 welcome" if good else "535 5.7.8 bad credentials")
        elif verb == "MAIL":
            self.sender, self.recipients = line[line.index("<") + 1 : line.index(">")], []
            self.say("250 ok")
        elif verb == "DATA":
            self.say("354 go on")
            self.take()
        elif verb == "QUIT":
            self.say("221 bye")
            return False
        else:
            self.say("250 ok")
        return True

    def take(self) -> None:
        lines = []
        while (line := self.file.readline()) not in {b".\r\n", b""}:
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        if self.sink.after_data.startswith(("4", "5")):
            self.say(self.sink.after_data)
            return
        content = b"".join(lines).decode()
        self.sink.mails.append(Mail(self.sender, self.recipients, content, self.secure, self.user))
        self.say(self.sink.after_data or "250 taken")


def write_secret(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return path
