"""The clock: whether the time is known, who keeps it, and what is left of it after a power cut."""

from collections.abc import Iterator
from typing import Final

from gateway.doctor.fact import Fact, care, good, unknown
from gateway.doctor.machine import Machine
from gateway.model import ClockClaim, ClockState

__all__ = ["clock", "hardware_clock"]

APART_S: Final = 5.0


def clock(claim: ClockClaim, keeper: str) -> Fact:
    """What the gateway itself says of the time."""
    if claim.state is ClockState.UNTRUSTED:
        remedy = (
            "let the box reach a time server (chrony or systemd-timesyncd); times are corrected on record later"
        )
        return care("clock", "Clock", "not known to be right", remedy)
    words = f"right within {(claim.error_ms or 0) / 1000:.3g} s"
    if claim.state is ClockState.HOLDOVER:
        return care("clock", "Clock", f"{words}, without its source of time", "see the network and the time server")
    return good("clock", "Clock", f"{words} ({keeper})")


def hardware_clock(machine: Machine, claim: ClockClaim) -> Iterator[Fact]:
    """A clock that runs on without power, where there is one."""
    at_s = machine.number("sys/class/rtc/rtc0/since_epoch")
    if at_s is None:
        words = "none: after a power cut the time is known when a time server answers"
        yield good("rtc", "Hardware clock", words)
    elif claim.utc_ms is None or claim.state is ClockState.UNTRUSTED:
        yield unknown("rtc", "Hardware clock", "cannot be judged while the time is not known")
    elif abs(at_s - claim.utc_ms / 1000) > APART_S:
        words = f"{abs(at_s - claim.utc_ms / 1000):.0f} s off"
        yield care("rtc", "Hardware clock", words, "run hwclock --systohc, or let chrony do it (rtcsync)")
    else:
        yield good("rtc", "Hardware clock", "right")
    charging = machine.number("sys/class/rtc/rtc0/charging_voltage")
    if charging == 0 and machine.is_pi:
        words = "its battery is not charged, or there is none: it stops without power"
        remedy = "fit the battery and set dtparam=rtc_bbat_vchg=3000000 (rechargeable cells alone)"
        yield care("rtc-battery", "Hardware clock", words, remedy)
