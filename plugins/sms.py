"""Notices as text messages through a modem on a serial port (3GPP TS 27.005, text mode)."""

import re
import time
from dataclasses import dataclass
from typing import Literal

from gateway_plugins.gsm import GSM_MOST, UCS2_MOST, fold, gsm_bytes, parts, ucs2_hex
from gateway_plugins.modem import Modem, Refused

from gateway.api import Host, Mistake, Notice, Output, OutputError, Secret, setting

__all__ = ["SmsOutput", "SmsSettings"]

_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
NO_RECIPIENT = {1, 28, 30}
"""Causes that say that this number is none (3GPP TS 24.011, annex E-2)."""
NETWORK_S = 60.0
"""A network may take this long to accept a message."""
MARGIN_S = 1.0
REGISTERED = {1, 5, 6, 7}
"""In a network at home or roaming, or for text messages only (3GPP TS 27.007, 7.2)."""


def check_number(number: str) -> None:
    """Raises `Mistake` for what is no international number."""
    if not _NUMBER.fullmatch(number):
        raise Mistake(
            f"{number!r} is no telephone number", 'write it with its country, digits only: "+48601234567"'
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsSettings:
    """The modem. ``pin`` is asked for only by a locked card, and tried once."""

    device: str = setting(example="/dev/serial/by-id/usb-...", least=1)
    baud: int = setting(115_200, example=115_200, least=1200, most=921_600)
    pin: Secret | None = setting(None, example={"file": "sim.pin"})
    encoding: Literal["auto", "gsm7", "ucs2"] = setting("auto", example="auto")
    parts: int = setting(2, example=2, least=1, most=5)


class SmsOutput(Output):
    """Delivered when the network has accepted it (``+CMGS``); whether the telephone is on, that does not say."""

    title = "text message through a modem"
    Settings = SmsSettings
    address = "a telephone number"
    timeout_s = 100.0
    settings: SmsSettings

    def __init__(self, settings: SmsSettings, host: Host) -> None:
        super().__init__(settings, host)
        self._pin_refused = ""

    @classmethod
    def check_address(cls, address: str) -> None:
        """International numbers only, so that it is the same number wherever the gateway stands."""
        check_number(address)

    async def send(self, notice: Notice) -> None:
        """One message, or a few numbered ones where it is long."""
        until_s = time.monotonic() + self.host.timeout_s - MARGIN_S
        wide, pieces = self._pieces(notice.short)
        with self._open() as modem:
            try:
                self._prepare(modem, wide)
                for piece in pieces:
                    self._send_piece(modem, notice.recipient, piece, wide=wide, until_s=until_s)
            except Refused as refused:
                raise self._named(refused, notice.recipient) from refused

    async def test(self) -> None:
        """Modem, card and network, without a message."""
        with self._open() as modem:
            try:
                modem.begin()
                self._unlock(modem)
                self._registered(modem)
            except Refused as refused:
                raise self._named(refused, "") from refused

    def _open(self) -> Modem:
        return Modem(self.settings.device, self.settings.baud, min(5.0, self.host.timeout_s))

    def _pieces(self, text: str) -> tuple[bool, list[str]]:
        """Whether UCS2 is used, and the messages."""
        plain = fold(text)
        wide = self.settings.encoding == "ucs2" or (self.settings.encoding == "auto" and gsm_bytes(plain) is None)
        if wide:
            return True, parts(text, UCS2_MOST, self.settings.parts, wide=True)
        plain = "".join(letter if gsm_bytes(letter) is not None else "?" for letter in plain)
        return False, parts(plain, GSM_MOST, self.settings.parts)

    def _prepare(self, modem: Modem, wide: bool) -> None:
        modem.begin()
        self._unlock(modem)
        self._registered(modem)
        modem.ask("AT+CMGF=1")
        modem.ask(f'AT+CSCS="{"UCS2" if wide else "GSM"}"')
        modem.ask(f"AT+CSMP=17,167,0,{8 if wide else 0}")

    def _unlock(self, modem: Modem) -> None:
        """Give a locked card its PIN, once: the third wrong one would block it."""
        state = "".join(modem.ask("AT+CPIN?"))
        if "READY" in state:
            self._pin_refused = ""
            return
        if "SIM PIN" not in state or self.settings.pin is None:
            raise OutputError(f"the SIM card is locked ({state})", "set pin, or take the lock off in a telephone")
        pin = self.settings.pin.read()
        if not re.fullmatch(r"[0-9]{4,8}", pin):
            raise OutputError("the PIN is not four to eight digits", f"correct {self.settings.pin.path}")
        if pin == self._pin_refused:
            raise OutputError("the card has refused this PIN and is not asked again", "correct the PIN")
        self._pin_refused = pin
        try:
            modem.ask(f'AT+CPIN="{pin}"', 10.0)
        except Refused as refused:
            raise OutputError(f"the card refuses the PIN ({refused})", "correct the PIN") from refused
        self._pin_refused = ""

    def _registered(self, modem: Modem) -> None:
        state = "".join(modem.ask("AT+CREG?"))
        match = re.search(r"\+CREG: ?\d,(\d)", state)
        if match is None or int(match[1]) not in REGISTERED:
            raise OutputError(f"the modem is not in a network ({state})", "see antenna, reception and contract")

    def _send_piece(self, modem: Modem, number: str, text: str, *, wide: bool, until_s: float) -> None:
        """Hand over one message and wait for the network, which may take long, but not beyond our own time."""
        content = ucs2_hex(text).encode() if wide else gsm_bytes(text)
        assert content is not None
        to = ucs2_hex(number) if wide else number
        wait_s = max(1.0, min(NETWORK_S, until_s - time.monotonic()))
        answer = modem.message(f'AT+CMGS="{to}"'.encode(), content, wait_s)
        if not any(line.startswith("+CMGS:") for line in answer):
            raise OutputError("the modem says OK, but not that the network took the message", "see the modem")

    def _named(self, refused: Refused, number: str) -> OutputError:
        if refused.kind == "CMS" and refused.code in NO_RECIPIENT:
            what = f"the network refuses {number} ({refused})"
            return OutputError(what, "correct the number", retry=False, recipient=True)
        if refused.kind == "CMS" and refused.code == 27:
            return OutputError(f"{number}: {refused}", "see whether the number is right", recipient=True)
        return OutputError(f"the modem refuses ({refused})", "see SIM card, contract, credit and reception")
