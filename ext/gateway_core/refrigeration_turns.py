"""Turning points of a refrigerated channel: the compressor's cycle, and oscillations."""

from gateway_core.refrigeration_base import absolute, active, follow, label, larger, settle, tell, width, within
from gateway_core.refrigeration_events import moved
from gateway_core.refrigeration_state import DAY, HUNTING, SHORT_CYCLES, UNSATISFIED, Channel, Kind, Notices

__all__ = ["cycle", "peaked", "swing", "troughed", "turn", "turning"]


def turning(s: Channel, p: Kind, o: Notices, x: float) -> None:
    """Find turning points: a value that has come back far enough confirms the extreme before it."""
    if s.z_dir > 0.0:
        if x > s.z_x:
            s.z_x = x
            s.z_t = s.now
        elif x < s.z_x - s.back:
            s.z_dir = -1.0
            peaked(s, p, o)
            s.z_x = x
            s.z_t = s.now
    elif s.z_dir < 0.0:
        if x < s.z_x:
            s.z_x = x
            s.z_t = s.now
        elif x > s.z_x + s.back:
            s.z_dir = 1.0
            troughed(s, p, o)
            s.z_x = x
            s.z_t = s.now
    else:
        if x > s.z_x:
            s.z_x = x
            s.z_t = s.now
        if x < s.z_low:
            s.z_low = x
            s.z_low_t = s.now
        if x < s.z_x - s.back:
            s.z_dir = -1.0
            s.peak_x = s.z_x
            s.peak_t = s.z_t
            s.z_x = x
            s.z_t = s.now
        elif x > s.z_low + s.back:
            s.z_dir = 1.0
            s.trough_x = s.z_low
            s.trough_t = s.z_low_t
            s.z_x = x
            s.z_t = s.now


def turn(s: Channel) -> None:
    """Something turned: learn how long it may take until it does."""
    quiet = s.now - s.turned
    if not active(s, UNSATISFIED):
        if quiet > s.quiet_max and s.mode == 0.0 and s.ex_end <= s.turned:
            s.quiet_max = within(quiet, 0.0, 2.0 * s.quiet_max + 3600.0)
        else:
            s.quiet_max -= s.quiet_max * (within(quiet, 0.0, DAY) * 5.8e-7)
    s.turned = s.now


def swing(s: Channel, p: Kind, o: Notices, size: float, took: float) -> None:
    """Half an oscillation: several in a row that are far too large, at an even pace, are hunting."""
    held = width(s, p)
    even: bool = 0.5 * s.big_took < took < 2.0 * s.big_took and s.now - s.fast_t > 2.0 * took
    known: bool = s.n_hi >= 20.0 or s.n_span >= 24.0
    if size > 2.2 * held and size > held + 6.0 * s.hi_dev and known:
        s.big_t = s.now
        if even:
            s.n_big += 1.0
            if s.n_big >= 8.0:
                s.n_big = 8.0
                tell(s, o, HUNTING, True, s.now - 8.0 * took, size, 0.0, 2.2 * held, s.n_hi)
    elif s.n_big > 0.0:
        s.n_big = larger(s.n_big - 2.0, 0.0)
    s.big_took = took


def peaked(s: Channel, p: Kind, o: Notices) -> None:
    """A peak is certain."""
    s.peak_x = s.z_x
    s.peak_t = s.z_t
    turn(s)
    rise = s.peak_x - s.trough_x
    up = s.peak_t - s.trough_t
    swing(s, p, o, rise, up)
    if s.mode != 0.0 or s.n_big >= 3.0 or s.peak_t - s.ex_end < 300.0:
        return
    e = s.peak_x - s.hi
    s.n_again = 0.0
    s.hi += follow(s, p, e)
    if s.n_hi >= 4.0:
        s.hi_dev += (within(absolute(e), 0.0, 2.0 * s.hi_dev + 0.1 * width(s, p)) - s.hi_dev) * 0.0625
    s.n_hi += 1.0
    settle(s, p)
    if s.trough_t > s.ex_end and up > 0.0:
        pace = rise / up
        if s.n_cycle < 6.0:
            s.warm += (pace - s.warm) * 0.3
        else:
            s.warm += (within(pace, 0.3 * s.warm, 2.0 * s.warm) - s.warm) * 0.0625


def troughed(s: Channel, p: Kind, o: Notices) -> None:
    """A trough is certain: a cycle is complete."""
    before = s.trough_t
    s.trough_x = s.z_x
    s.trough_t = s.z_t
    turn(s)
    fall = s.peak_x - s.trough_x
    down = s.trough_t - s.peak_t
    took = s.trough_t - before
    swing(s, p, o, fall, down)
    if s.mode != 0.0:
        even: bool = 0.3 * s.period < took < 3.0 * s.period
        if even and before > s.ex_cross and s.ex_fast <= s.ex_mark + s.least:
            s.ex_falls += 1.0
            if s.ex_falls >= 4.0:
                moved(s, p, o)
        s.ex_mark = s.ex_fast
        return
    if s.w_kind > 0.0:
        if s.trough_x < s.w_low:
            s.w_low = s.trough_x
        label(s, o)
    if s.n_big >= 3.0:
        return
    s.lo += follow(s, p, s.trough_x - s.lo)
    settle(s, p)
    if before < s.ex_end or took <= 0.0:
        s.n_short = 0.0
        return
    cycle(s, p, o, took, down)


def cycle(s: Channel, p: Kind, o: Notices, took: float, down: float) -> None:
    """A cycle without any disturbance: period, duty, and whether it is far too short."""
    n = s.n_cycle
    if p.room > 0.0 and n >= 30.0 and 3.0 * s.spacing < took < 0.45 * s.period:
        s.n_short += 1.0
        if s.n_short >= 8.0:
            tell(s, o, SHORT_CYCLES, True, s.trough_t - 8.0 * took, took, 0.45 * s.period, s.period, n)
        return
    s.n_short = 0.0
    tell(s, o, SHORT_CYCLES, False, s.trough_t, took, 0.45 * s.period, s.period, n)
    weight = 1.0 / (n + 1.0) if n < 32.0 else 0.03125
    if n >= 10.0:
        took = within(took, 0.4 * s.period, 2.5 * s.period)
        down = within(down, 0.0, took)
    s.period += (took - s.period) * weight
    s.duty += (down / took - s.duty) * weight
    s.n_cycle = n + 1.0
