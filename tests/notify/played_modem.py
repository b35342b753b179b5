"""A modem on a pseudo-terminal, played from 3GPP TS 27.005 and 27.007: it takes messages, or refuses as told."""

import contextlib
import os
import pty
import select
import threading
import tty
from dataclasses import dataclass, field
from typing import Self


@dataclass
class PlayedModem:
    """``answers`` replaces what follows a command (by its beginning); None is silence. ``pin`` locks the card."""

    answers: dict[str, str | None] = field(default_factory=dict)
    pin: str = ""
    echo: bool = True
    messages: list[tuple[str, bytes, str]] = field(default_factory=list)
    """Number, content, character set."""
    commands: list[str] = field(default_factory=list)
    unplug_at: str = ""

    def __enter__(self) -> Self:
        self._ours, self._theirs = pty.openpty()
        tty.setraw(self._theirs)
        self.device = os.ttyname(self._theirs)
        self._wake_read, self._wake_write = os.pipe()
        self._charset = "GSM"
        self._thread = threading.Thread(target=self._play)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._wake_write, b"x")
        self._thread.join(5)
        for descriptor in (self._ours, self._theirs, self._wake_read, self._wake_write):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _play(self) -> None:
        line, text = bytearray(), None
        while True:
            ready, _, _ = select.select([self._ours, self._wake_read], [], [])
            if self._wake_read in ready:
                return
            for byte in os.read(self._ours, 256):
                if text is not None:
                    if byte == 0x1A:
                        self._finish(bytes(text))
                        text = None
                    elif byte == 0x1B:
                        text = None
                    else:
                        text.append(byte)
                elif byte == 0x0D:
                    if line:
                        command = line.decode("ascii", "replace")
                        if self.echo:
                            self._say(command)
                        if command.startswith(self.unplug_at) and self.unplug_at:
                            self._unplug()
                            return
                        if self._command(command):
                            text = bytearray()
                    line.clear()
                elif byte not in (0x0A, 0x1B):
                    line.append(byte)

    def _unplug(self) -> None:
        os.close(self._ours)

    def _say(self, words: str) -> None:
        os.write(self._ours, f"\r\n{words}\r\n".encode("latin-1"))

    def _command(self, command: str) -> bool:
        """Answer; True when a text follows."""
        self.commands.append(command)
        for begin, answer in self.answers.items():
            if command.startswith(begin):
                if answer is not None:
                    self._say(answer)
                return False
        if command == "ATE0":
            self.echo = False
        elif command == "AT+CPIN?":
            self._say("+CPIN: SIM PIN" if self.pin else "+CPIN: READY")
        elif command.startswith("AT+CPIN="):
            if command != f'AT+CPIN="{self.pin}"':
                self._say("+CME ERROR: 16")
                return False
            self.pin = ""
        elif command == "AT+CREG?":
            self._say("+CREG: 0,1")
        elif command.startswith("AT+CSCS="):
            self._charset = command.partition('"')[2].rstrip('"')
        elif command.startswith("AT+CMGS="):
            self._number = command.partition('"')[2].rstrip('"')
            os.write(self._ours, b"\r\n> ")
            return True
        self._say("OK")
        return False

    def _finish(self, content: bytes) -> None:
        answer = self.answers.get("MESSAGE", "")
        if answer is None:
            return
        if answer:
            self._say(answer)
            return
        self.messages.append((self._number, content, self._charset))
        self._say("+CMGS: 12")
        self._say("OK")
