"""One sample of one refrigerated channel: the entry to the bank."""

from gateway_core.refrigeration_base import absolute, active, label, larger, settle, smaller, tell, width, within
from gateway_core.refrigeration_blocks import block, forget_day, patience, push, watch
from gateway_core.refrigeration_events import enter, excursion
from gateway_core.refrigeration_state import (
    DAY,
    JUMP,
    LONGEST,
    NAN,
    STUCK,
    Channel,
    Kind,
    Notices,
)
from gateway_core.refrigeration_turns import turning

__all__ = ["advance", "begin_anew", "cut", "feed", "finish", "forget_clock", "jumped", "stick", "unstick"]


def cut(s: Channel) -> None:
    """Time has passed unseen: what was under way is given up without a label, nothing learned is lost."""
    s.mode = 0.0
    s.flag = 0.0
    s.w_kind = 0.0
    s.z_dir = 0.0
    s.acc_n = 0.0
    s.acc_sum = 0.0
    s.b_t = NAN
    s.ex_end = s.now
    s.last_cross = NAN
    s.maybe = s.now
    s.turned = s.now
    s.flat_since = s.now
    s.look = s.now
    s.jump_t = NAN
    s.n_short = 0.0
    s.n_big = 0.0
    s.seg_w = 0.0
    s.seg_sum = 0.0
    s.b_w = 0.0
    s.b_sum = 0.0


def finish(s: Channel, o: Notices) -> None:
    """A finished event need not wait for its undershoot any longer."""
    if s.w_kind > 0.0:
        label(s, o)


def forget_clock(s: Channel, o: Notices) -> None:
    """The caller's clock starts anew (a restart): how long it stood is not known."""
    if s.t_last == s.t_last:
        finish(s, o)
        cut(s)
        s.t_last = NAN


def feed(s: Channel, p: Kind, o: Notices, t: float, x: float, usable: bool) -> int:
    """Take one sample; the flag of this moment (NONE, DOOR, DEFROST, OTHER)."""
    if not (usable and -1e6 < x < 1e6 and -1e15 < t < 1e15):
        s.skipped += 1.0
        return int(s.flag)
    if s.t_last == s.t_last:
        dt = t - s.t_last
        if dt <= 0.0:
            if dt == 0.0:
                return int(s.flag)
            s.backward += 1.0
            if s.backward < 3.0:
                return int(s.flag)
            finish(s, o)
            cut(s)
            dt = 0.0
        elif dt > 1800.0 and dt > 4.0 * s.spacing:
            finish(s, o)
            s.now += dt
            # One gap changes little; a channel that is slower than half an hour is soon known to be so.
            s.spacing += (within(dt, 0.5 * s.spacing, 2.0 * s.spacing) - s.spacing) * 0.25
            cut(s)
        else:
            s.now += dt
            if dt != s.spacing:
                s.spacing += (within(dt, 0.5 * s.spacing, 2.0 * s.spacing) - s.spacing) * 0.0625
    s.t_last = t
    s.backward = 0.0
    if x != s.flat_x:
        unstick(s, o, x)
    elif s.now - s.flat_since > s.flat_due:
        stick(s, o, x)
    s.acc_sum += x
    s.acc_n += 1.0
    if not (s.now - s.b_t < p.bucket):
        if s.acc_n > 1.0:
            x = s.acc_sum / s.acc_n
        s.acc_sum = 0.0
        s.acc_n = 0.0
        if s.b_t == s.b_t:
            advance(s, p, o, x)
        else:
            begin_anew(s, p, x)
    return int(s.flag)


def unstick(s: Channel, o: Notices, x: float) -> None:
    """The value moves: learn how long it had stood."""
    run = s.now - s.flat_since
    if run > s.flat_max:
        if active(s, STUCK):
            tell(s, o, STUCK, False, s.flat_since, x, 0.0, s.flat_max, s.now)
        else:
            s.flat_max = run
            patience(s)
    s.flat_x = x
    s.flat_since = s.now


def stick(s: Channel, o: Notices, x: float) -> None:
    """The value stands longer than it ever did."""
    tell(s, o, STUCK, True, s.flat_since, x, s.now - s.flat_since, s.flat_due, s.now)


def begin_anew(s: Channel, p: Kind, x: float) -> None:
    """First value after the start or after a gap."""
    s.b_t = s.now
    s.b_x = x
    s.b_d = 0.0
    s.r_t = s.now
    s.r_x = x
    s.q_t = s.now
    s.q_x = x
    s.z_dir = 0.0
    s.z_x = x
    s.z_t = s.now
    s.z_low = x
    s.z_low_t = s.now
    s.trough_x = x
    s.trough_t = s.now
    s.peak_x = x
    s.peak_t = s.now
    s.b_min = x
    s.b_max = x
    if s.n_hi == 0.0:
        s.hi = x
        s.lo = x
    if s.b_end != s.b_end or s.now - s.b_end >= LONGEST * p.block:
        s.b_end = s.now + p.block
        forget_day(s)
    while s.now >= s.b_end:
        push(s, NAN)
        s.b_end += p.block
    settle(s, p)


def advance(s: Channel, p: Kind, o: Notices, x: float) -> None:
    """One value of the thinned series."""
    dt = s.now - s.b_t
    d = x - s.b_x
    if dt <= 120.0:
        # The turns of a quick cycle are no noise.
        e = within(absolute(d - s.b_d), 0.0, larger(0.1, 0.16 * (s.hi - s.lo)))
        s.noise += (0.5 * e - s.noise) * 0.015625
    since = s.b_t if dt >= 60.0 else s.r_t
    origin = s.b_x if dt >= 60.0 else s.r_x
    rise = x - origin
    fast: bool = rise >= s.least and dt <= 330.0 and p.room > 0.0 and rise >= 4.0 * s.warm * (s.now - since)
    if fast:
        s.fast_t = s.now
    size = absolute(d)
    if size > s.step_max or s.jump_t == s.jump_t:
        jumped(s, p, o, x, size)
    if s.mode == 0.0:
        s.b_sum += x * dt
        s.b_w += dt
        s.b_min = smaller(s.b_min, x)
        s.b_max = larger(s.b_max, x)
        if fast:
            enter(s, o, since, origin, x, rise)
        elif x > s.top and s.n_hi >= 4.0:
            if s.z_dir > 0.0:
                enter(s, o, s.trough_t, s.trough_x, x, 0.0)
            else:
                enter(s, o, since, origin, x, 0.0)
    else:
        if fast:
            s.ex_fast_t = s.now
        if d > 0.0 and (fast or x - s.r_x >= 3.0 * s.warm * (s.now - s.r_t)):
            s.ex_fast += d
        excursion(s, p, o, x)
    turning(s, p, o, x)
    if s.w_kind > 0.0:
        if x < s.w_low:
            s.w_low = x
        if s.now - s.w_end > 3600.0:
            label(s, o)
    if s.now >= s.look:
        watch(s, p, o, x)
    if s.now >= s.b_end:
        block(s, p, o)
    if s.now - s.q_t >= 60.0:
        s.r_t = s.q_t
        s.r_x = s.q_x
        s.q_t = s.now
        s.q_x = x
    s.b_t = s.now
    s.b_x = x
    s.b_d = d


def jumped(s: Channel, p: Kind, o: Notices, x: float, size: float) -> None:
    """A step that no room makes: the probe hangs elsewhere now, or it is another probe."""
    if s.jump_t == s.jump_t:
        if s.now - s.jump_t >= 900.0 and s.now - s.jump_t >= 2.5 * s.spacing:
            step = s.jump_to - s.jump_from
            if (x - s.jump_from) * step > 0.6 * step * step:
                tell(s, o, JUMP, True, s.jump_t, x, s.lo, s.hi, s.now)
                s.hi += step
                s.lo += step
                s.mode = 0.0
                s.flag = 0.0
                s.ex_end = s.now
                s.z_dir = 0.0
                s.z_x = x
                s.z_t = s.now
                s.z_low = x
                s.z_low_t = s.now
                s.pairs = 0.0
                settle(s, p)
                s.jump_on = s.now
            s.jump_t = NAN
        return
    if s.now > DAY and size > 2.5 * s.step_max and size > 2.0 * width(s, p) and size > 5.0 * p.floor:
        s.jump_t = s.now
        s.jump_from = s.b_x
        s.jump_to = x
    else:
        s.step_max = size
