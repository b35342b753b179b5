"""AT commands over a serial line (ITU-T V.250): send a line, read to the final result, name what went wrong."""

import re
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import serial  # type: ignore[import-untyped]

from gateway.api import OutputError

__all__ = ["Modem", "Refused"]

LONGEST_ANSWER = 8192

CMS = {  # 3GPP TS 27.005, 3.2.5, with the causes of TS 24.011, annex E-2
    1: "no such number",
    8: "barred by the operator",
    10: "call barred",
    21: "the network refuses it (no credit?)",
    27: "the recipient cannot be reached",
    28: "the recipient is unknown to the network",
    29: "the service is not subscribed to",
    30: "the recipient is unknown",
    38: "the network is out of order",
    41: "a temporary failure of the network",
    42: "the network is congested",
    50: "the service is not subscribed to",
    69: "the service is not there",
    96: "a part of the message is missing",
    111: "a failure of the protocol",
    300: "the modem has failed",
    302: "not allowed",
    304: "a parameter of PDU mode is wrong",
    305: "a parameter of text mode is wrong",
    310: "there is no SIM card",
    311: "the SIM card wants its PIN",
    312: "the SIM card wants a PIN",
    313: "the SIM card has failed",
    314: "the SIM card is busy",
    315: "the SIM card is the wrong one",
    316: "the SIM card is blocked and wants its PUK",
    322: "the memory is full",
    330: "the number of the message centre is not known",
    331: "there is no network service",
    332: "the network does not answer",
    500: "an unknown error",
}
CME = {  # 3GPP TS 27.007, 9.2.1
    3: "not allowed",
    4: "not supported",
    10: "there is no SIM card",
    11: "the SIM card wants its PIN",
    12: "the SIM card is blocked and wants its PUK",
    13: "the SIM card has failed",
    14: "the SIM card is busy",
    15: "the SIM card is the wrong one",
    16: "the PIN is wrong",
    17: "the SIM card wants its PIN2",
    30: "there is no network service",
    31: "the network does not answer",
    32: "the network allows emergency calls only",
    100: "an unknown error",
}
_ERROR = re.compile(r"\+(CM[SE]) ERROR: ?(.*)")


class Refused(Exception):  # noqa: N818 - an answer, which its reader judges
    """The modem's answer is an error; ``kind`` is CMS, CME or ERROR, ``code`` its number where it has one."""

    def __init__(self, kind: str, code: int | None, text: str = "") -> None:
        self.kind = kind
        self.code = code
        names = CMS if kind == "CMS" else CME
        words = names.get(code) if code is not None else text
        number = f" {code}" if code is not None else ""
        self.words = f"+{kind} ERROR{number}: {words or 'no name for it'}" if kind != "ERROR" else "ERROR"
        super().__init__(self.words)


class Modem:
    """An open modem. Every method raises `OutputError` when it is silent or gone, `Refused` when it says no."""

    def __init__(self, device: str, baud: int, timeout_s: float) -> None:
        self.device = device
        self.timeout_s = timeout_s
        with self._named():
            self._line = serial.Serial(device, baud, timeout=0.2, write_timeout=timeout_s, exclusive=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()

    def begin(self) -> None:
        """Wake it up: leave whatever was begun, no echo, errors with their number."""
        with self._named():
            self._line.write(b"\x1b\r")  # a message that an earlier attempt has left open
        self._quiet()
        try:
            self.ask("ATE0", 2.0)
        except (OutputError, Refused):  # the first line may meet a modem that sleeps or is still at the old one
            self.ask("ATE0", 2.0)
        self.ask("AT+CMEE=1")

    def ask(self, command: str | bytes, timeout_s: float | None = None) -> list[str]:
        """Send a command line and return the lines before its OK."""
        line = command.encode("ascii") if isinstance(command, str) else command
        with self._named():
            self._line.reset_input_buffer()
            self._line.write(line + b"\r")
        return self._answer(timeout_s, shown(line))

    def message(self, command: bytes, content: bytes, timeout_s: float) -> list[str]:
        """Send a command that asks for a text with ``>``, and the text."""
        with self._named():
            self._line.reset_input_buffer()
            self._line.write(command + b"\r")
        self._answer(self.timeout_s, shown(command), until=b"> ")
        with self._named():
            self._line.write(content + b"\x1a")
        return self._answer(timeout_s, shown(command))

    def _quiet(self) -> None:
        """Read until nothing comes any more, for at most a second."""
        end = time.monotonic() + 1.0
        with self._named():
            while time.monotonic() < end and self._line.read(256):
                pass

    def _answer(self, timeout_s: float | None, command: str, until: bytes | None = None) -> list[str]:
        end = time.monotonic() + (timeout_s or self.timeout_s)
        found = bytearray()
        while time.monotonic() < end:
            with self._named():
                found += self._line.read(max(1, self._line.in_waiting))
            if len(found) > LONGEST_ANSWER:
                raise OutputError(f"{self.device} sends without end", "see whether it is a modem, and its speed")
            if until is not None and bytes(found).endswith(until):
                return []
            lines = [line.strip() for line in found.decode("latin-1").split("\n")[:-1]]
            lines = [line for line in lines if line]
            if not lines:
                continue
            if lines[-1] == "OK":
                return [line for line in lines[:-1] if line != command]
            _refuse(lines[-1])
        raise OutputError(
            f"the modem {self.device} does not answer {command} within {timeout_s or self.timeout_s:g} s",
            "see whether it has power, and whether device and baud are right",
        )

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, termios.error) as error:  # SerialException is an OSError
            raise OutputError(
                f"the modem {self.device} cannot be used ({getattr(error, 'strerror', None) or error})",
                "see whether it is plugged in, nobody else has it, and the gateway's user is in group dialout",
            ) from error


def _refuse(line: str) -> None:
    if line in {"ERROR", "NO CARRIER", "COMMAND NOT SUPPORT"}:
        raise Refused("ERROR", None)
    if (match := _ERROR.fullmatch(line)) is not None:
        code = int(match[2]) if match[2].isdigit() else None
        raise Refused(match[1], code, match[2])


def shown(command: bytes) -> str:
    """A command for messages and for recognising its echo, without what may be secret in it."""
    text = command.decode("ascii", "replace")
    return "AT+CPIN" if text.startswith("AT+CPIN=") else text
