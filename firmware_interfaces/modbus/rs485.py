"""Direction control of an RS-485 line by the kernel's driver (Documentation/driver-api/serial/serial-rs485.rst).

The driver raises or drops RTS around each frame. USB adapters switch their direction themselves and their drivers
know nothing of this: they answer ENOTTY, which is no reason not to use the line.
"""

import errno
import fcntl
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Rs485", "apply_rs485"]

TIOCGRS485, TIOCSRS485 = 0x542E, 0x542F
"""Numbers of all architectures that use asm-generic/ioctls.h, x86 and ARM among them."""
ENABLED, RTS_ON_SEND, RTS_AFTER_SEND, RX_DURING_TX, TERMINATE_BUS = 1, 2, 4, 16, 32
LAYOUT = struct.Struct("@8I")
"""struct serial_rs485: flags, delay before and after sending in ms, padding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rs485:
    """Level of RTS while sending and after, and the time to switch before and after a frame, in milliseconds."""

    rts_on_send: bool = True
    rts_after_send: bool = False
    delay_before_ms: int = 0
    delay_after_ms: int = 0
    rx_during_tx: bool = False
    terminate: bool = False

    @property
    def flags(self) -> int:
        """As the kernel counts them."""
        chosen = (
            (RTS_ON_SEND, self.rts_on_send),
            (RTS_AFTER_SEND, self.rts_after_send),
            (RX_DURING_TX, self.rx_during_tx),
            (TERMINATE_BUS, self.terminate),
        )
        return ENABLED | sum(flag for flag, on in chosen if on)

    def packed(self) -> bytes:
        """The kernel's structure."""
        return LAYOUT.pack(self.flags, self.delay_before_ms, self.delay_after_ms, 0, 0, 0, 0, 0)


def apply_rs485(descriptor: int, wanted: Rs485, ioctl: Callable[..., Any] = fcntl.ioctl) -> str:
    """Set a port's direction control. Returns "" when the driver took it as it was wanted, else what is different.

    Raises `OSError` for a port that is not there any more.
    """
    try:
        ioctl(descriptor, TIOCSRS485, wanted.packed())
        flags, before, after, *_ = LAYOUT.unpack(ioctl(descriptor, TIOCGRS485, bytes(LAYOUT.size)))
    except OSError as error:
        if error.errno in {errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP}:
            return "the driver of this port has no direction control: right for an adapter that switches by itself"
        raise
    if (flags, before, after) == (wanted.flags, wanted.delay_before_ms, wanted.delay_after_ms):
        return ""
    missing = [
        name
        for flag, name in (
            (ENABLED, "direction control"),
            (RTS_ON_SEND, "rts_on_send"),
            (RTS_AFTER_SEND, "rts_after_send"),
            (RX_DURING_TX, "rx_during_tx"),
            (TERMINATE_BUS, "terminate"),
        )
        if (flags ^ wanted.flags) & flag
    ]
    if (before, after) != (wanted.delay_before_ms, wanted.delay_after_ms):
        missing.append(f"delays ({before} ms before, {after} ms after)")
    return f"the driver did not take: {', '.join(missing)}"
