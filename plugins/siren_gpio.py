"""A siren or beacon on a GPIO line: the kernel's character device, interface version 2 (linux/gpio.h, uAPI).

The line is ours as long as it is held open; when the gateway ends, the kernel gives it back, and most chips then
let it fall to its rest. Every request is made by ioctl, so no library is needed.
"""

import asyncio
import fcntl
import os
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.api import Host, Mistake, Notice, Output, OutputError, Standing, setting

__all__ = ["GpioSiren", "GpioSirenSettings"]

TEST_S = 2.0

# linux/gpio.h: gpiochip_info = name, label, lines; gpio_v2_line_request = offsets[64], consumer, config (flags,
# num_attrs, padding, attrs), num_lines, event_buffer_size, padding, fd; gpio_v2_line_values = bits, mask.
_INFO = struct.Struct("=32s32sI")
_REQUEST = struct.Struct("=64I32sQI20x240xII20xi")
_VALUES = struct.Struct("=QQ")


def _request_number(direction: int, number: int, size: int) -> int:
    """asm-generic/ioctl.h: direction, size, type 0xB4, number."""
    return direction << 30 | size << 16 | 0xB4 << 8 | number


GET_CHIPINFO = _request_number(2, 0x01, _INFO.size)
GET_LINE = _request_number(3, 0x07, _REQUEST.size)
GET_VALUES = _request_number(3, 0x0E, _VALUES.size)
SET_VALUES = _request_number(3, 0x0F, _VALUES.size)
ACTIVE_LOW, OUTPUT, OPEN_DRAIN = 1 << 1, 1 << 3, 1 << 6

Ioctl = Callable[[int, int, bytearray], int]


def _ioctl(descriptor: int, number: int, data: bytearray) -> int:
    return int(fcntl.ioctl(descriptor, number, data, True))


@dataclass(frozen=True, slots=True, kw_only=True)
class GpioSirenSettings:
    """Which line. ``chip`` is a path, or the chip's label (``pinctrl-bcm2711``), which stays when numbers change.

    ``on``: ``unacknowledged`` until somebody acknowledges, ``standing`` also until all is well.
    """

    chip: str = setting(example="/dev/gpiochip0", least=1)
    line: int = setting(example=17, least=0, most=10_000)
    active_low: bool = setting(False, example=False)
    open_drain: bool = setting(False, example=False)
    on: Literal["unacknowledged", "standing"] = setting("unacknowledged", example="unacknowledged")


class GpioSiren(Output):
    """Follows what stands. Shown means: set, and read back as set."""

    title = "siren or beacon on a GPIO line"
    Settings = GpioSirenSettings
    sends = False
    follows = True
    settings: GpioSirenSettings
    folder = Path("/dev")

    def __init__(self, settings: GpioSirenSettings, host: Host, ioctl: Ioctl = _ioctl) -> None:
        super().__init__(settings, host)
        self._ioctl = ioctl
        self._line: int | None = None

    @classmethod
    def check(cls, settings: GpioSirenSettings) -> Iterable[Mistake]:
        """A path is one of a chip."""
        if "/" in settings.chip and not Path(settings.chip).name.startswith("gpiochip"):
            yield Mistake(f"{settings.chip!r} is no GPIO chip", 'write "/dev/gpiochip0", or its label', "chip")

    async def follow(self, standing: Standing) -> None:
        """On, or off, as what stands wants it."""
        wants = bool(standing.unacknowledged) or (self.settings.on == "standing" and bool(standing.active))
        self._set(wants)

    async def send(self, notice: Notice) -> None:
        """A test: on for two seconds. What stands is shown again right after it."""
        del notice
        self._set(True)
        await asyncio.sleep(TEST_S)
        self._set(False)

    async def test(self) -> None:
        """Whether the line is ours."""
        self._get(self._held())

    async def close(self) -> None:
        """Give the line back."""
        if self._line is not None:
            line, self._line = self._line, None
            os.close(line)

    def _set(self, on: bool) -> None:
        line = self._held()
        self._ask(line, SET_VALUES, bytearray(_VALUES.pack(int(on), 1)))
        if self._get(line) is not on:
            raise OutputError(
                f"line {self.settings.line} of {self.settings.chip} stays {'off' if on else 'on'}",
                "see whether it is shorted, or open_drain without a resistor",
            )

    def _get(self, line: int) -> bool:
        values = bytearray(_VALUES.pack(0, 1))
        self._ask(line, GET_VALUES, values)
        bits: int = _VALUES.unpack(values)[0]
        return bool(bits & 1)

    def _ask(self, line: int, number: int, values: bytearray) -> None:
        try:
            self._ioctl(line, number, values)
        except OSError as error:
            self._line = None
            os.close(line)
            raise self._named(error) from error

    def _held(self) -> int:
        if self._line is None:
            try:
                self._line = self._request()
            except OSError as error:
                raise self._named(error) from error
        return self._line

    def _request(self) -> int:
        """The line as an output, off, and the descriptor that holds it."""
        settings = self.settings
        flags = OUTPUT | ACTIVE_LOW * settings.active_low | OPEN_DRAIN * settings.open_drain
        offsets = [settings.line] + [0] * 63
        data = bytearray(_REQUEST.pack(*offsets, b"aurora-gateway", flags, 0, 1, 0, -1))
        chip = os.open(self._chip(), os.O_RDWR | os.O_CLOEXEC)
        try:
            self._ioctl(chip, GET_LINE, data)
        finally:
            os.close(chip)
        descriptor: int = _REQUEST.unpack(data)[-1]
        if descriptor < 0:
            raise OutputError(f"{settings.chip} gave no line", "see whether the kernel is 5.10 or newer")
        os.set_inheritable(descriptor, False)
        return descriptor

    def _chip(self) -> Path:
        if "/" in self.settings.chip:
            return Path(self.settings.chip)
        labels = []
        for path in sorted(self.folder.glob("gpiochip*")):
            try:
                chip = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                info = bytearray(_INFO.size)
                self._ioctl(chip, GET_CHIPINFO, info)
            except OSError:
                continue
            finally:
                os.close(chip)
            name, label, _ = (
                part.rstrip(b"\0") if isinstance(part, bytes) else part for part in _INFO.unpack(info)
            )
            if self.settings.chip.encode() in {name, label}:
                return path
            labels.append(label.decode("ascii", "replace"))
        raise OutputError(
            f"there is no GPIO chip {self.settings.chip!r}",
            f"use one of: {', '.join(labels)}" if labels else "see whether the gateway's user is in group gpio",
        )

    def _named(self, error: OSError) -> OutputError:
        return OutputError(
            f"line {self.settings.line} of {self.settings.chip} cannot be had ({error.strerror or error})",
            "see whether another program holds it, and whether the gateway's user is in group gpio",
        )
