"""What follows from time passing: level and range of blocks, drift, what does not come."""

from gateway_core.refrigeration_base import absolute, active, larger, resolved, settle, tell, width, within
from gateway_core.refrigeration_defrosts import missing_limit, regular
from gateway_core.refrigeration_state import (
    DAY,
    DOOR_OPEN,
    DRIFT,
    FADED,
    HUNTING,
    JUMP,
    MISSING,
    NAN,
    NO_RETURN,
    STUCK,
    UNSATISFIED,
    Channel,
    Kind,
    Notices,
)

__all__ = ["block", "drift", "faded", "forget_day", "patience", "push", "watch"]


def push(s: Channel, mean: float) -> None:
    """The mean of a block takes the place of the one a day before."""
    s.ring[int(s.slot)] = mean
    s.slot = 0.0 if s.slot >= 11.0 else s.slot + 1.0
    if mean != mean:
        s.pairs = 0.0


def forget_day(s: Channel) -> None:
    """Yesterday is not known."""
    s.pairs = 0.0
    for i in range(12):
        s.ring[i] = NAN


def watch(s: Channel, p: Kind, o: Notices, x: float) -> None:
    """What follows from time passing: a defrost that does not come, a compressor that never stops."""
    s.look = s.now + 300.0
    if s.mode == 0.0 and x <= s.hi:
        # Over already; after a gap nobody saw how it ended.
        tell(s, o, DOOR_OPEN, False, s.now, x, s.lo, s.hi, s.n_door)
        tell(s, o, NO_RETURN, False, s.now, x, s.lo, s.hi, s.n_defrost)
    if active(s, JUMP) and s.now - s.jump_on > DAY:
        tell(s, o, JUMP, False, s.jump_on, x, s.lo, s.hi, s.now)
    if active(s, HUNTING) and s.now - s.big_t > (7200.0 if p.room > 0.0 else 1800.0):
        s.n_big = 0.0
        tell(s, o, HUNTING, False, s.big_t, x, 0.0, 2.2 * width(s, p), s.n_hi)
    if p.room == 0.0 or s.now - s.flat_since > 1800.0:
        return
    if s.now - s.maybe > missing_limit(s) and s.n_interval >= 8.0 and s.mode == 0.0 and regular(s):
        tell(s, o, MISSING, True, s.maybe, s.now - s.maybe, 0.0, missing_limit(s), s.n_interval)
    quiet = s.now - s.turned
    if quiet < 7200.0:
        if s.mode == 0.0:
            tell(s, o, UNSATISFIED, False, s.turned, x, s.lo, s.hi, s.n_cycle)
        return
    if (
        s.mode == 0.0
        and resolved(s)
        and quiet > larger(larger(8.0 * s.period, 14400.0), 1.5 * s.quiet_max)
        and x > s.lo + 0.25 * (s.hi - s.lo)
    ):
        tell(s, o, UNSATISFIED, True, s.turned, quiet, 0.0, larger(8.0 * s.period, 14400.0), s.n_cycle)


def patience(s: Channel) -> None:
    """How long a value may stand from now on."""
    s.flat_due = larger(larger(4.0 * s.flat_max, 3600.0), 20.0 * s.spacing)
    if s.now < 7.0 * DAY:
        # A week has a weekend.
        s.flat_due = larger(s.flat_due, DAY)


def block(s: Channel, p: Kind, o: Notices) -> None:
    """Two hours (a room) are over: their mean, their range."""
    mean = NAN
    if s.b_w > 0.4 * p.block:
        mean = s.b_sum / s.b_w
        faded(s, p, o)
        if s.now - s.turned > 2.0 * p.block and s.mode == 0.0:
            # Nothing turns: a product, a process at rest. The band follows the blocks.
            s.hi += 0.3 * (s.b_max - s.hi)
            s.lo += 0.3 * (s.b_min - s.lo)
            if s.n_hi < 4.0:
                s.n_hi += 1.0
            settle(s, p)
    s.seg_sum += s.b_sum
    s.seg_w += s.b_w
    if p.room > 0.0:
        drift(s, o, mean)
    push(s, mean)
    # Records fade: half of them in two months.
    s.step_max -= s.step_max * (1.3e-7 * p.block)
    s.flat_max -= s.flat_max * (1.3e-7 * p.block)
    patience(s)
    while s.now >= s.b_end:
        s.b_end += p.block
    s.b_sum = 0.0
    s.b_w = 0.0
    s.b_min = s.b_x
    s.b_max = s.b_x


def faded(s: Channel, p: Kind, o: Notices) -> None:
    """The range of a block far below all that was: a probe in the product, or covered."""
    span = s.b_max - s.b_min
    if span == 0.0 or active(s, HUNTING):
        return
    if s.n_span >= 24.0 and span < 0.5 * s.span_min and span < 0.35 * s.span:
        s.n_faint += 1.0
        if s.n_faint >= 4.0 and not active(s, STUCK):
            tell(s, o, FADED, True, s.now - s.n_faint * p.block, span, 0.5 * s.span_min, s.span, s.n_span)
        return
    s.n_faint = 0.0
    tell(s, o, FADED, False, s.now, span, 0.5 * s.span_min, s.span, s.n_span)
    n = s.n_span
    s.n_span = n + 1.0
    s.span += (span - s.span) * (1.0 / (n + 1.0) if n < 24.0 else 0.0417)
    s.span_min = span if span < s.span_min else s.span_min + 0.004 * (s.span - s.span_min)


def drift(s: Channel, o: Notices, mean: float) -> None:
    """Block means against those of the day before: three rises in a row over twelve hours and more are a drift."""
    d = mean - s.ring[int(s.slot)]
    if d != d:
        s.pairs = 0.0
        return
    if s.pairs == 0.0:
        s.half = d
        s.pairs = 1.0
        s.pair0 = NAN
        s.pair1 = NAN
        s.pair2 = NAN
        return
    if s.pairs == 1.0:
        s.pairs = 2.0
        now = 0.5 * (s.half + d)
        a = now - s.pair2
        b = s.pair2 - s.pair1
        c = s.pair1 - s.pair0
        s.pair0 = s.pair1
        s.pair1 = s.pair2
        s.pair2 = now
        if a == a:
            s.n_drift += 1.0
            dev = within(absolute(a), 0.0, 0.6)
            sign = 1.0 if now > 0.0 else -1.0
            total = (a + b + c) * sign
            limit = larger(0.8, (4.0 if s.spacing <= 330.0 else 5.0) * s.drift_dev)
            each = larger(larger(0.15, 0.75 * s.drift_dev), 0.18 * total)
            if (
                a * sign > each
                and b * sign > each
                and c * sign > each
                and total > limit
                and now * sign > limit
                and s.n_drift > 30.0
            ):
                tell(s, o, DRIFT, True, s.now - 57600.0, now, -limit, limit, s.n_drift)
            elif now * sign < 0.4:
                tell(s, o, DRIFT, False, s.now, now, -limit, limit, s.n_drift)
            if not active(s, DRIFT):
                s.drift_dev += (dev - s.drift_dev) * (1.0 / s.n_drift if s.n_drift < 20.0 else 0.05)
        return
    s.pairs = 1.0
    s.half = d
