"""Disturbances of a refrigerated channel: where one begins, what it is, when it is over or lasts too long."""

from gateway_core.refrigeration_base import active, cycling, follow, label, larger, move, settle, tell
from gateway_core.refrigeration_defrosts import alike, defrosted, expected, longest, plain, usual
from gateway_core.refrigeration_state import (
    DAY,
    DEFROST,
    DOOR,
    DOOR_OPEN,
    NAN,
    NO_RETURN,
    NONE,
    OTHER,
    Channel,
    Kind,
    Notices,
)

__all__ = ["again", "door_limit", "enter", "excursion", "leave", "moved", "overdue", "slow_limit"]


def enter(s: Channel, o: Notices, start: float, base: float, x: float, fast: float) -> None:
    """A disturbance begins (its start lies a little back)."""
    if s.w_kind > 0.0:
        label(s, o)
    s.mode = 1.0
    s.ex_start = start
    s.ex_base = base
    s.ex_fast = fast
    s.ex_peak = x
    s.ex_peak_t = s.now
    s.ex_cross = NAN
    s.ex_falls = 0.0
    s.ex_slope = 0.0
    s.ex_mark = 0.0
    s.ex_fast_t = s.now
    s.flag = DOOR if fast > 0.0 else DEFROST


def excursion(s: Channel, p: Kind, o: Notices, x: float) -> None:
    """A disturbance goes on: what is it by now, and is it over?"""
    if x > s.ex_peak:
        s.ex_peak = x
        s.ex_peak_t = s.now
    slope = (x - s.r_x) / (s.now - s.r_t) if s.now > s.r_t else 0.0
    if slope > s.ex_slope:
        s.ex_slope = slope
    abrupt: bool = s.spacing <= 330.0 and s.ex_fast >= 0.4 * (s.ex_peak - s.ex_base)
    if s.ex_cross != s.ex_cross:
        if s.n_hi >= 4.0 and x > s.top:
            s.ex_cross = s.now
        elif s.now - s.ex_fast_t >= 90.0:
            leave(s, p, o, abrupt)
            return
    elif x <= s.hi:
        leave(s, p, o, abrupt)
        return
    if p.room == 0.0:
        s.flag = OTHER
    elif abrupt:
        s.flag = DOOR if s.now - s.ex_start <= 1800.0 or active(s, DOOR_OPEN) else OTHER
    else:
        s.flag = DEFROST if s.ex_falls == 0.0 else OTHER
    again_cycling: bool = s.ex_falls > 0.0 and s.now - s.turned < 3.0 * s.period
    if s.ex_cross == s.ex_cross and not again_cycling and s.now > 3.0 * DAY and p.room > 0.0:
        overdue(s, o, x, abrupt)


def slow_limit(s: Channel) -> float:
    """How long a slow disturbance (a defrost) may stay above the usual peaks (s)."""
    limit = larger(10800.0 if cycling(s) else DAY, 1.5 * s.slow_max)
    if s.n_defrost >= 6.0 and cycling(s):
        limit = larger(larger(2.0 * s.df_above, s.df_above + 6.0 * s.df_above_dev) + 600.0, 1.4 * s.slow_max)
        # It may begin just when the room is being loaded.
        limit = larger(limit, larger(2700.0, s.df_above + s.door_max))
    return limit


def door_limit(s: Channel) -> float:
    """How long the effect of a door may stay above the usual peaks (s)."""
    return larger(2400.0, 1.5 * s.door_max)


def overdue(s: Channel, o: Notices, x: float, abrupt: bool) -> None:
    """Does the disturbance last longer than one of its kind may? A value that is on its way back has more time."""
    above = s.now - s.ex_cross
    falling: bool = x < s.ex_peak - 0.4 * (s.ex_peak - s.hi)
    door: bool = abrupt and cycling(s) and s.n_door >= 5.0
    limit = door_limit(s) if door else slow_limit(s)
    if falling:
        limit *= 2.0
    if above > limit and not active(s, DOOR_OPEN) and not active(s, NO_RETURN):
        if door:
            tell(s, o, DOOR_OPEN, True, s.ex_start, x, s.lo, s.hi, s.n_door)
        else:
            tell(s, o, NO_RETURN, True, s.ex_start, x, s.lo, s.hi, s.n_defrost)


def leave(s: Channel, p: Kind, o: Notices, abrupt: bool) -> None:
    """A disturbance is over: name it, learn from it, and let its label wait for the undershoot."""
    s.mode = 0.0
    s.flag = 0.0
    above = s.now - s.ex_cross if s.ex_cross == s.ex_cross else 0.0
    up = s.ex_peak_t - s.ex_start
    rise = s.ex_peak - s.hi
    kind = OTHER
    sure = 0.0
    told: bool = active(s, DOOR_OPEN) or active(s, NO_RETURN)
    if p.room > 0.0:
        if abrupt:
            if up <= 900.0 and s.now - s.ex_start <= 3600.0:
                kind = DOOR
                s.n_door += 1.0
                if s.spacing <= 120.0:
                    sure = 1.0
            s.door_max = longest(s.door_max, above, 0.0004, told)
        elif cycling(s) and not told and s.ex_start - s.slow_end < 2.5 * s.period and not plain(s, above, rise):
            # Soon after the last one: cycles that go higher than they used to.
            kind = NONE
            again(s, p, o)
        elif above >= 300.0:
            if s.ex_falls == 0.0 and up >= 480.0 and not told:
                if s.n_slow < 4.0 or alike(s, above, rise):
                    kind = DEFROST
                    if s.n_slow >= 8.0 and s.spacing <= 330.0:
                        sure = 1.0
                usual(s, above, rise)
            s.slow_max = longest(s.slow_max, above, 0.01, told)
            s.n_again = 0.0
        else:
            # Barely above, soon back, slowly: a cycle like others.
            kind = NONE
            again(s, p, o)
    if above > 0.0 and not abrupt:
        s.slow_end = s.now
    if kind == DEFROST:
        defrosted(s, o)
    elif kind != NONE and above > 0.0 and (s.n_slow < 8.0 or (above > 0.6 * s.df_above and rise > 0.4 * s.df_rise)):
        # Unlike the others, but it may have hidden one: the next interval proves nothing.
        if expected(s, s.ex_cross - s.maybe):
            s.maybe = s.now
        s.last_cross = NAN
    tell(s, o, DOOR_OPEN, False, s.ex_start, s.ex_peak, s.lo, s.hi, s.n_door)
    tell(s, o, NO_RETURN, False, s.ex_start, s.ex_peak, s.lo, s.hi, s.n_defrost)
    s.ex_end = s.now
    s.turned = s.now
    s.w_kind = kind
    s.w_start = s.ex_start
    s.w_peak_t = s.ex_peak_t
    s.w_end = s.now if above > 0.0 else larger(s.ex_fast_t, s.ex_peak_t)
    s.w_base = s.ex_base
    s.w_peak = s.ex_peak
    s.w_slope = s.ex_slope
    s.w_low = s.hi
    s.w_sure = sure


def again(s: Channel, p: Kind, o: Notices) -> None:
    """A cycle that goes a little higher: the usual peak follows, and moves for good when they all do."""
    s.hi += follow(s, p, s.ex_peak - s.hi)
    s.n_again += 1.0
    if s.n_again >= 4.0:
        move(s, p, o, s.ex_peak, s.trough_x)
    settle(s, p)


def moved(s: Channel, p: Kind, o: Notices) -> None:
    """Several cycles within a disturbance."""
    move(s, p, o, s.peak_x, s.trough_x)
    s.mode = 0.0
    s.flag = 0.0
    s.ex_end = s.now
    tell(s, o, DOOR_OPEN, False, s.ex_start, s.peak_x, s.lo, s.hi, s.n_door)
    tell(s, o, NO_RETURN, False, s.ex_start, s.peak_x, s.lo, s.hi, s.n_defrost)
